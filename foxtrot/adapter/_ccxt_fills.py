"""The account's fills out of ccxt: page by page, and whose orders they are of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from foxtrot.adapter._ccxt_bodies import UNREADABLE, Json
from foxtrot.util.object import OrderData

__all__ = ["ClientIds", "Fills"]

# Orders whose client id is remembered.
_REMEMBERED = 20_000

# Fills, or orders, that the venue lists at once. A list of orders costs it as much as five that
# are looked up one by one.
_PAGE = 1000
_AS_DEAR_AS_A_LIST = 5


class ClientIds:
    """Client ids of orders by the venue's numbers; the oldest of twenty thousand is forgotten."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def __contains__(self, number: str) -> bool:
        return number in self._known

    def __getitem__(self, number: str) -> str:
        return self._known[number]

    def __len__(self) -> int:
        return len(self._known)

    def note(self, order: OrderData) -> None:
        """Remember an order's."""
        self._known[order.venue_orderid] = order.orderid
        while len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]


class Fills:
    """Asks for fills, and for the orders that they name by the venue's number only.

    Args:
        ids: What is known of orders.
        ask: Sends one request: what it is, how to send it, how to read its answer.
        listed: The items of an answer; raises one of `UNREADABLE` where it is no list.
        read_order: Reads an order and notes its ids.
    """

    def __init__(
        self,
        ids: ClientIds,
        *,
        ask: Callable[[str, Callable[[], Awaitable[Json]], Callable[[Json], Any]], Awaitable[Any]],
        listed: Callable[[Json], list[Json]],
        read_order: Callable[[Json], OrderData],
    ) -> None:
        self._ids = ids
        self._ask = ask
        self._listed = listed
        self._read_order = read_order

    async def after(
        self,
        client: Any,  # Any: ccxt's
        symbol: str,
        tradeid: str,
    ) -> list[tuple[Json, str]]:
        """Those later than a trade id, oldest first; without one, the last thousand.

        Each comes with the client id of its order.
        """
        fills: list[tuple[Json, str]] = []
        while True:
            since = {"fromId": int(tradeid) + 1} if tradeid else {}
            page = await self._ask(
                "trades",
                partial(client.fetch_my_trades, symbol, None, _PAGE, since),
                self._in_order,
            )
            names = await self._names(client, symbol, {str(body["order"]) for body in page})
            fills += [(body, names[str(body["order"])]) for body in page]
            if len(page) < _PAGE:
                return fills
            tradeid = str(page[-1]["id"])

    def _in_order(self, bodies: Json) -> list[Json]:
        # ccxt puts those of one millisecond in the order of their ids as texts.
        page = sorted(self._listed(bodies), key=lambda body: int(body["id"]))
        for body in page:
            int(body["order"])  # raises for one that names no order
        return page

    async def _names(self, client: Any, symbol: str, numbers: set[str]) -> dict[str, str]:
        """The client ids of orders.

        After a new start a thousand may be unknown. Looked up one by one, they take longer than
        anybody waits for them.
        """
        names = {each: self._ids[each] for each in numbers if each in self._ids}
        unknown, found = _sorted(numbers - names.keys()), _AS_DEAR_AS_A_LIST
        # As long as the lists bring more than the same weight of look-ups: orders that were never
        # filled are listed as well.
        while len(unknown) > _AS_DEAR_AS_A_LIST <= found:
            since = {"orderId": int(unknown[0])}
            orders = await self._ask(
                "order.query",
                partial(client.fetch_orders, symbol, None, _PAGE, since),
                partial(self._those_of, frozenset(unknown)),
            )
            names |= {order.venue_orderid: order.orderid for order in orders}
            before, unknown = unknown, _sorted(numbers - names.keys())
            found = len(before) - len(unknown)
        for number in unknown:
            order = await self._ask(
                "order.query", partial(client.fetch_order, number, symbol), self._read_order
            )
            names[number] = order.orderid
        return names

    def _those_of(self, numbers: frozenset[str], bodies: Json) -> list[OrderData]:
        orders = []
        for body in self._listed(bodies):
            with suppress(*UNREADABLE):  # then it is asked for by itself
                if str(body["id"]) in numbers:
                    orders.append(self._read_order(body))
        return orders


def _sorted(numbers: Iterable[str]) -> list[str]:
    return sorted(numbers, key=int)
