"""Sabotages of failover: of the switch, of the way back, and of what is open on either side."""

from __future__ import annotations

from dataclasses import replace

from foxtrot.server.connection import AdapterConnection
from foxtrot.server.engine import MainEngine
from foxtrot.server.executor import EngineExecutor
from foxtrot.server.orders import OrderPipeline
from foxtrot.server.routes import Routes
from foxtrot.util.constants import Status
from foxtrot.util.errors import FoxtrotError

from .sabotage import Room, wrap
from .worlds import caught_by_the_break

__all__ = ["ROOM"]

ROOM = Room()


def _at_each_switch(mp, act):
    """Have `act(engine, primary, standby)` called when new orders begin to go to the standby."""

    def make(switch):
        def and_act(self, adapter_name, standby):
            was_switched = self.routes.is_switched(adapter_name)
            switch(self, adapter_name, standby)
            if standby and not was_switched:
                act(self, self.connections[adapter_name], self.connections[standby])

        return and_act

    wrap(mp, MainEngine, "switch", make)


def _standbys(mp):
    """Whom each standby stands in for, by its name; filled as adapters are added."""
    names: dict[str, str] = {}

    def make(add_adapter):
        def add(self, adapter_class, adapter_name="", *, standby_for=None, **options):
            if standby_for:
                names[adapter_name] = standby_for
            return add_adapter(
                self, adapter_class, adapter_name, standby_for=standby_for, **options
            )

        return add

    wrap(mp, MainEngine, "add_adapter", make)
    return names


async def _send_there(engine, request, adapter_name, target):
    return await engine.pipeline.send(
        target, engine.routes.localized(request, adapter_name, target)
    )


@ROOM("failover_binance_to_futu", "standby_takes_over")
def orders_never_move_to_the_standby(mp):
    """It is there, it is well, and everything waits for the one that is down."""
    mp.setattr(Routes, "switch", lambda *_: False)


@ROOM("failover_binance_to_futu", "no_intent_executes_twice", world=caught_by_the_break)
def an_order_of_unknown_outcome_goes_to_the_standby_as_well(mp):
    """It lives where it was sent first, and now on another venue, too."""

    def act(engine, primary, standby):
        for order in engine.oms.unsettled(primary.name):
            sent = engine.pipeline._sent.get(order.vt_orderid)
            if order.status is Status.UNKNOWN and sent:
                send = _send_there(engine, sent.request, primary.name, standby)
                engine._tasks.spawn("send again", send)

    _at_each_switch(mp, act)


@ROOM(
    "failover_binance_to_futu", "unknown_never_settled_without_evidence", world=caught_by_the_break
)
def a_switch_gives_up_what_is_unknown(mp):
    """It was filled before the break; its owner is told that it was refused, and buys again."""

    def act(engine, primary, _standby):
        for order in engine.oms.unsettled(primary.name):
            if order.status is Status.UNKNOWN:
                engine.pipeline._settle(order, Status.REJECTED)

    _at_each_switch(mp, act)


@ROOM("failover_binance_to_futu", "positions_equal_fills")
def fills_of_a_standby_are_booked_on_the_one_it_stands_in_for(mp):
    """A position at one venue is closed at another, where there is none."""
    primary_of = _standbys(mp)

    def make(apply_trade):
        def apply(self, trade):
            primary = primary_of.get(trade.adapter_name, trade.adapter_name)
            return apply_trade(self, replace(trade, adapter_name=primary))

        return apply

    wrap(mp, OrderPipeline, "apply_trade", make)


@ROOM("failover_futu_to_ib", "primary_gets_its_orders_back")
def orders_never_come_back_from_the_standby(mp):
    """The makeshift becomes the rule: dearer, or on another exchange than was meant."""
    wrap(
        mp,
        Routes,
        "switch",
        lambda switch: lambda self, name, standby: bool(standby) and switch(self, name, standby),
    )


@ROOM("failover_futu_to_ib", "no_intent_executes_twice", world=caught_by_the_break)
def whatever_fails_is_sent_to_the_standby(mp):
    """A timeout is taken for a no, and the same order is placed elsewhere."""

    def make(send_order):
        async def send(self, request, adapter_name):
            request = self._identified(request)
            vt_orderid = ""
            try:
                vt_orderid = await send_order(self, request, adapter_name)
                if self.oms.order(vt_orderid).status is not Status.UNKNOWN:
                    return vt_orderid
            except FoxtrotError:
                pass
            standby = self.routes.standby(adapter_name)
            if standby is not None:
                await _send_there(self, request, adapter_name, standby)
            return vt_orderid

        return send

    wrap(mp, MainEngine, "send_order", make)


@ROOM("failover_futu_to_ib", "positions_equal_fills")
def fills_of_a_standby_are_dropped(mp):
    """What was bought while the standby served is on no book."""
    primary_of = _standbys(mp)

    def make(apply_trade):
        def apply(self, trade):
            if trade.adapter_name not in primary_of:
                apply_trade(self, trade)

        return apply

    wrap(mp, OrderPipeline, "apply_trade", make)


@ROOM("failover_ib_to_futu", "failed_reply_changes_no_state", world=caught_by_the_break)
def a_switch_gives_up_what_is_open(mp):
    """Orders that still live where the others were taken away from are called cancelled."""

    def act(engine, primary, _standby):
        for order in engine.oms.unsettled(primary.name):
            engine.oms._store(replace(order, status=Status.CANCELLED))
            engine._publish(engine.oms.order(order.vt_orderid))

    _at_each_switch(mp, act)


@ROOM("failover_ib_to_futu", "recovery_within_bound")
def what_was_switched_away_from_is_never_repaired(mp):
    """With a standby at work nobody sees to the one that failed."""
    switched: dict[str, bool] = {}
    _at_each_switch(mp, lambda _engine, primary, _standby: switched.update({primary.name: True}))

    def make(perform):
        async def unless_switched(self, action, error):
            if not switched.get(error.adapter_name or ""):
                await perform(self, action, error)

        return unless_switched

    wrap(mp, EngineExecutor, "perform", make)


@ROOM("failover_ib_to_futu", "blocked_calls_send_nothing")
def new_orders_go_to_both(mp):
    """The standby has filled it, and whoever asked for it is told that nothing was sent."""

    def make(_send_order):
        async def send(self, request, adapter_name):
            request = self._identified(request)
            if self.routes.is_switched(adapter_name):
                standby = self.routes.standby(adapter_name)
                await _send_there(self, request, adapter_name, standby)
            order = await self.pipeline.send(self.connections[adapter_name], request)
            return order.vt_orderid

        return send

    wrap(mp, MainEngine, "send_order", make)


@ROOM("failover_ib_to_futu", "no_stale_price_served")
def orders_come_back_as_soon_as_the_gateway_answers(mp):
    """Its socket opens at once, and behind it there is no venue and no price of today."""
    engines = []

    def make(init):
        def note(self, *args, **options):
            init(self, *args, **options)
            engines.append(self)

        return note

    wrap(mp, MainEngine, "__init__", make)

    def hand_back(resubscribe):
        async def first(self):
            self.ready = True
            engines[-1].switch(self.name, None)
            await resubscribe(self)

        return first

    wrap(mp, AdapterConnection, "resubscribe", hand_back)
