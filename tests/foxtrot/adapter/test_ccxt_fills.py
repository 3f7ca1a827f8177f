"""Fills are all that there are, in their order, under their orders' client ids."""

from __future__ import annotations

import pytest

from foxtrot.adapter import _ccxt_fills
from foxtrot.adapter._ccxt_fills import ClientIds, Fills
from foxtrot.util.constants import Direction, Exchange
from foxtrot.util.object import OrderData

pytestmark = pytest.mark.asyncio


class Account:
    """An account at the venue, and what it was asked; every order has one fill of its number."""

    def __init__(self, count: int, *, garbled: int = 0, every: int = 1) -> None:
        self.fills = range(1, count + 1, every)
        self.orders = range(1, count + 1)
        self.garbled = garbled
        self.ids = ClientIds()
        self.asked: list[tuple[object, ...]] = []
        self.of = Fills(self.ids, ask=self.ask, listed=list, read_order=self.read)

    async def ask(self, operation, call, read):
        return read(await call())

    def read(self, body):
        order = OrderData(
            symbol="S",
            exchange=Exchange.BINANCE,
            adapter_name="A",
            orderid=f"mine-{body['id']}",
            venue_orderid=str(body["id"]),
            direction=Direction.LONG,
        )
        if body.get("garbled"):
            raise KeyError("status")
        self.ids.note(order)
        return order

    async def fetch_my_trades(self, symbol, _since, limit, params):
        self.asked.append(("trades", params.get("fromId")))
        begin = params.get("fromId", 0)
        later = [n for n in self.fills if n >= begin][:limit]
        # As texts, "10" comes before "9": so does ccxt sort what has one time.
        return [{"id": str(n), "order": str(n)} for n in sorted(later, key=str)]

    async def fetch_orders(self, symbol, _since, limit, params):
        self.asked.append(("orders", params["orderId"]))
        numbers = [n for n in self.orders if n >= params["orderId"]][:limit]
        return [{"id": n, "garbled": n == self.garbled} for n in numbers]

    async def fetch_order(self, number, symbol):
        self.asked.append(("order", number))
        return {"id": number}

    async def after(self, tradeid: str) -> list[str]:
        fills = await self.of.after(self, "S", tradeid)
        assert [name for _, name in fills] == [f"mine-{body['id']}" for body, _ in fills]
        return [body["id"] for body, _ in fills]


async def test_more_than_one_page_is_fetched_in_order_and_without_an_end_in_between() -> None:
    """Of an answer that is full nobody knows that it is all."""
    account = Account(2500)
    assert await account.after("0") == [str(n) for n in range(1, 2501)]
    pages = [each for each in account.asked if each[0] == "trades"]
    assert pages == [("trades", 1), ("trades", 1001), ("trades", 2001)]


async def test_many_orders_are_identified_by_one_list() -> None:
    """A thousand look-ups one by one take longer than the engine waits, and begin anew then."""
    account = Account(900)
    await account.after("")
    assert account.asked == [("trades", None), ("orders", 1)]
    await account.after("899")
    assert account.asked[2:] == [("trades", 900)]


async def test_where_few_orders_were_filled_lists_go_on_while_they_are_worth_it() -> None:
    """A list costs the venue as much as five look-ups."""
    often, seldom = Account(3000, every=50), Account(6000, every=400)
    await often.after("")
    assert often.asked[1:] == [("orders", 1), ("orders", 1001), ("orders", 2001)]
    await seldom.after("")
    assert seldom.asked[1:3] == [("orders", 1), ("order", "1201")]
    assert len(seldom.asked) == 2 + 12


async def test_few_are_looked_up_one_by_one_and_so_is_what_the_list_garbles() -> None:
    few, garbled = Account(2), Account(9, garbled=7)
    await few.after("")
    await garbled.after("")
    assert few.asked[1:] == [("order", "1"), ("order", "2")]
    assert garbled.asked[1:] == [("orders", 1), ("order", "7")]


async def test_fills_are_named_however_little_is_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was known when it was asked for may be forgotten for what is found meanwhile."""
    monkeypatch.setattr(_ccxt_fills, "_REMEMBERED", 3)
    account = Account(1500)
    account.read({"id": 1})
    assert len(await account.after("0")) == 1500


async def test_memory_of_ids_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was one entry for each order of the adapter's life."""
    monkeypatch.setattr(_ccxt_fills, "_REMEMBERED", 3)
    account = Account(0)
    for number in range(5):
        account.read({"id": number})
    assert len(account.ids) == 3
    assert "1" not in account.ids
    assert account.ids["4"] == "mine-4"
