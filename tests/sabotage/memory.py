"""Sabotages of memory and of questions: what is asked, of whom, and what is kept of it."""

from __future__ import annotations

from dataclasses import replace

from foxtrot.adapter.simulated import SimulatedAdapter
from foxtrot.server.connection import AdapterConnection
from foxtrot.server.engine import MainEngine
from foxtrot.server.oms import Oms
from foxtrot.server.orders import OrderPipeline
from foxtrot.util.constants import Direction
from foxtrot.util.errors import FoxtrotError
from foxtrot.util.object import OrderRequest

from .sabotage import Room, wrap

__all__ = ["ROOM"]

ROOM = Room()


@ROOM("fills_in_disorder", "positions_equal_fills")
def fills_are_asked_for_from_where_the_stream_is(mp):
    """The stream has left one out and gone on, so that it lies before every question to come."""

    def make(apply_trade):
        def apply(self, trade):
            apply_trade(self, trade)
            self._fills._fetched_to[trade.adapter_name, trade.symbol] = trade.tradeid

        return apply

    wrap(mp, OrderPipeline, "apply_trade", make)


@ROOM("disconnect_storm", "positions_equal_fills")
def fills_of_one_symbol_stand_for_those_of_all(mp):
    """After a reconnect the fills of the first symbol are fetched, once for each that there is."""
    first: dict[str, str] = {}

    def make(query_trades):
        async def query(self, symbol, **options):
            return await query_trades(self, first.setdefault(self.adapter_name, symbol), **options)

        return query

    wrap(mp, SimulatedAdapter, "query_trades", make)


@ROOM("quiet_day", "failed_reply_changes_no_state")
def an_answer_about_one_order_is_taken_for_another(mp):
    """Replies are told apart by nothing, and the order asked for before was filled."""
    before: dict[str, object] = {}

    def make(query_order):
        async def query(self, request):
            found = await query_order(self, request)
            other = before.get(self.adapter_name)
            before[self.adapter_name] = found
            if found is None or other is None:
                return found
            return replace(found, status=other.status, traded=other.traded)

        return query

    wrap(mp, SimulatedAdapter, "query_order", make)


@ROOM("maintenance_window", "no_order_lost")
def an_order_that_waits_to_be_sent_is_taken_for_a_lost_one(mp):
    """Reconciling finds it nowhere at the venue, where it was never meant to be yet."""

    class Nothing(dict):
        def __contains__(self, _key):
            return False

    def make(init):
        def built(self, *args, **options):
            init(self, *args, **options)
            self._sending = Nothing()

        return built

    wrap(mp, OrderPipeline, "__init__", make)


@ROOM("fills_in_disorder", "no_intent_executes_twice")
def a_failed_cancel_is_made_up_for_by_the_opposite_order(mp):
    """The order could not be cancelled, so it is sold again, and nobody had asked for that."""
    flipped = {Direction.LONG: Direction.SHORT, Direction.SHORT: Direction.LONG}

    def make(cancel_order):
        async def cancel(self, request):
            try:
                return await cancel_order(self, request)
            except FoxtrotError:
                order = self._memory._orders[request.orderid]
                opposite = OrderRequest(
                    symbol=order.symbol,
                    exchange=order.exchange,
                    direction=flipped[order.direction],
                    type=order.type,
                    volume=order.volume,
                    price=order.price,
                    reference=f"{order.orderid}-back",
                )
                await self.send_order(opposite)
                raise

        return cancel

    wrap(mp, SimulatedAdapter, "cancel_order", make)


@ROOM("quiet_day", "no_intent_executes_twice")
def an_order_goes_out_for_twice_its_volume(mp):
    """Lots are taken for units, or the other way round."""

    def make(send_order):
        async def send(self, request):
            return await send_order(self, replace(request, volume=round(2 * request.volume, 8)))

        return send

    wrap(mp, SimulatedAdapter, "send_order", make)


def _at_each_reconnect(mp, act):
    """Have `act(oms, adapter_name)` called when a connection is made that was not the first."""
    books: dict[str, Oms] = {}

    def noting(add_adapter):
        def add(self, adapter_class, adapter_name="", **options):
            books[adapter_name] = self.oms
            return add_adapter(self, adapter_class, adapter_name, **options)

        return add

    def make(reconnect):
        async def and_act(self):
            await reconnect(self)
            act(books[self.name], self.name)

        return and_act

    wrap(mp, MainEngine, "add_adapter", noting)
    wrap(mp, AdapterConnection, "reconnect", make)


@ROOM("disconnect_storm", "no_order_lost")
def the_orders_are_forgotten_with_the_connection(mp):
    """What was open before the reset is nobody's concern after it."""

    def act(oms, adapter_name):
        for order in oms.unsettled(adapter_name):
            del oms._orders[order.vt_orderid], oms._unsettled[order.vt_orderid]

    _at_each_reconnect(mp, act)


@ROOM("disconnect_storm", "positions_equal_fills")
def positions_begin_at_zero_after_a_reconnect(mp):
    """The sum of the fills since the last reset is taken for the position."""
    _at_each_reconnect(mp, lambda oms, _adapter_name: oms._positions.clear())
