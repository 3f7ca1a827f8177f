"""Orders and fills brought in line with the venue, after an absence or when it has been long."""

from __future__ import annotations

import math
from collections.abc import Callable

from foxtrot.server.connection import AdapterConnection
from foxtrot.server.fills import FillFetcher
from foxtrot.server.oms import Oms
from foxtrot.server.policy import EnginePolicy
from foxtrot.util.clock import Clock
from foxtrot.util.constants import Status
from foxtrot.util.errors import FoxtrotError
from foxtrot.util.object import CancelRequest, OrderData

__all__ = ["Reconciler", "by_id"]


class Reconciler:
    """Compares what is known with what the venue has.

    Args:
        oms: Says which orders may still change.
        fills: Fetches fills.
        policy: Times.
        clock: Time.
        apply: Takes each order that the venue shows.
        missed: Told each order that the venue does not know.
        is_sending: Whether an order is being sent just now, and will be heard of.
        is_resolving: Whether an order that is UNKNOWN is being looked up.
    """

    def __init__(
        self,
        oms: Oms,
        fills: FillFetcher,
        *,
        policy: EnginePolicy,
        clock: Clock,
        apply: Callable[[AdapterConnection, OrderData], None],
        missed: Callable[[AdapterConnection, OrderData], None],
        is_sending: Callable[[str], bool],
        is_resolving: Callable[[str], bool],
    ) -> None:
        self._oms = oms
        self._fills = fills
        self._policy = policy
        self._clock = clock
        self._apply = apply
        self._missed = missed
        self._is_sending = is_sending
        self._is_resolving = is_resolving
        self._reconciled_at: dict[str, float] = {}

    async def reconcile(self, connection: AdapterConnection) -> None:
        """Bring orders and fills in line with the venue; returns when they are.

        Raises:
            FoxtrotError: The venue could not be asked. Nothing was changed by what did not come.
        """
        symbols = self._symbols(connection)
        await self._compare_orders(connection)
        # Those from before as well: what has just ended may lack fills that nobody told of.
        for symbol in dict.fromkeys((*symbols, *self._symbols(connection))):
            await self._fills.fetch(connection, symbol)
        self._reconciled_at[connection.name] = self._clock.now()

    def is_needed(self, adapter_name: str) -> bool:
        """Whether an order lacks fills, hangs unknown, or is open and was not compared for long."""
        since = self._clock.now() - self._reconciled_at.get(adapter_name, -math.inf)
        is_due = since >= self._policy.reconcile_interval
        return any(
            is_due
            or (
                self._oms.lacks_fills(order)
                and not self._fills.is_seen_to(adapter_name, order.symbol)
            )
            or (order.status is Status.UNKNOWN and not self._is_resolving(order.vt_orderid))
            for order in self._oms.unsettled(adapter_name)
        )

    async def _compare_orders(self, connection: AdapterConnection) -> None:
        before = self._unsettled(connection)
        listed = await connection.guard.probe("orders.open", connection.adapter.query_open_orders)
        for order in listed:
            self._apply(connection, order)
        seen = {order.vt_orderid for order in listed}
        for vt_orderid, order in self._unsettled(connection).items():
            if vt_orderid in seen or self._is_over(vt_orderid):
                continue
            if not connection.adapter.lists_ended:
                await self._ask_after(connection, order)
            elif vt_orderid in before:  # what was sent since need not have been there to be listed
                self._missed(connection, order)

    async def _ask_after(self, connection: AdapterConnection, order: OrderData) -> None:
        query, found = by_id(order), None
        try:
            found = await connection.guard.probe(
                "order.query", lambda: connection.adapter.query_order(query)
            )
        except FoxtrotError as error:
            # That proves nothing of the order. Its look-ups go on beside, to their own end, and
            # the others must not wait for it.
            if not connection.refused.has_given_up(order.symbol, error):
                raise
        if found is not None:
            self._apply(connection, found)
        else:
            self._missed(connection, order)

    def _is_over(self, vt_orderid: str) -> bool:
        """Whether nothing but its fills can lack of an order, and those are asked for by symbol."""
        order = self._oms.order(vt_orderid)
        return order is not None and order.status.is_final

    def _unsettled(self, connection: AdapterConnection) -> dict[str, OrderData]:
        """What may still change, by id; what is being sent just now will be heard of."""
        orders = self._oms.unsettled(connection.name)
        return {o.vt_orderid: o for o in orders if not self._is_sending(o.vt_orderid)}

    def _symbols(self, connection: AdapterConnection) -> tuple[str, ...]:
        """Where fills may be missing; those of others, or of a run before, by subscription."""
        subscribed = (request.symbol for request in connection.subscriptions)
        return tuple(dict.fromkeys((*self._oms.symbols(connection.name), *subscribed)))


def by_id(order: OrderData) -> CancelRequest:
    """How to ask about an order."""
    return CancelRequest(symbol=order.symbol, exchange=order.exchange, orderid=order.orderid)
