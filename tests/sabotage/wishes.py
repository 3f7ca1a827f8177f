"""Sabotages of what was asked for: the order as it was meant, in time, and an answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from foxtrot.adapter.simulated import SimulatedAdapter
from foxtrot.server.guard import AdapterGuard
from foxtrot.server.orders import OrderPipeline
from foxtrot.util.constants import Direction, OrderType
from foxtrot.util.object import OrderRequest

from .sabotage import Room, wrap

__all__ = ["ROOM"]

ROOM = Room()


def _send_instead(mp, change: Callable[[OrderRequest], OrderRequest]):
    """Have the adapter send `change(request)` of what it is handed."""
    wrap(
        mp,
        SimulatedAdapter,
        "send_order",
        lambda send: lambda self, request: send(self, change(request)),
    )


@ROOM("quiet_day", "orders_are_as_asked")
def a_buy_is_sent_as_a_sell(mp):
    """Books and venue agree to the last fill, and the desk is short what it wanted to hold."""
    flipped = {Direction.LONG: Direction.SHORT, Direction.SHORT: Direction.LONG}
    _send_instead(mp, lambda request: replace(request, direction=flipped[request.direction]))


@ROOM("quiet_day", "orders_are_as_asked")
def an_order_goes_out_at_another_price(mp):
    """What was to be bought below the market is bought above it."""
    _send_instead(mp, lambda request: replace(request, price=round(request.price * 1.002)))


@ROOM("quiet_day", "orders_are_as_asked")
def a_limit_order_goes_out_as_a_market_order(mp):
    """The price that the caller named as his last is none any more."""
    _send_instead(mp, lambda request: replace(request, type=OrderType.MARKET, price=0.0))


@ROOM("quiet_day", "trading_resumes")
def a_quantity_carries_the_noise_of_its_arithmetic(mp):
    """Nothing is wrong with the venue, which refuses every order of the day."""
    _send_instead(mp, lambda request: replace(request, volume=request.volume + 1e-7))


@ROOM("quiet_day", "positions_equal_fills")
def fills_are_told_at_another_price(mp):
    """The position is right; what it has earned is made up."""
    wrap(
        mp,
        OrderPipeline,
        "apply_trade",
        lambda apply: lambda self, trade: apply(self, replace(trade, price=trade.price * 2)),
    )


def _without_deadline(mp, operation: str):
    """Have calls of this operation tried until the venue has answered."""

    def make(call):
        async def patient(self, lane, name, attempt, **options):
            if name == operation:
                options["deadline"] = math.inf
            return await call(self, lane, name, attempt, **options)

        return patient

    wrap(mp, AdapterGuard, "call", make)
    wrap(
        mp,
        AdapterGuard,
        "_delay",
        lambda delay: lambda self, error, _tries, *rest: delay(self, error, 0, *rest),
    )


@ROOM("long_outage", "no_order_sent_too_late")
def a_new_order_waits_for_the_end_of_the_outage(mp):
    """It is sent when the venue is back, at the price of a minute ago."""
    _without_deadline(mp, "order.place")


@ROOM("long_outage", "calls_end_in_time")
def a_question_waits_for_the_end_of_the_outage(mp):
    """Its caller hears nothing, not even that there is nothing to hear."""
    _without_deadline(mp, "account")


@ROOM("long_outage", "no_order_sent_too_late")
def an_order_that_never_arrived_is_sent_again_however_late(mp):
    """The look-ups took as long as the venue was away, and nobody asked how old the order is."""
    wrap(
        mp,
        OrderPipeline,
        "__init__",
        lambda init: (
            lambda self, oms, **options: init(
                self, oms, **{**options, "policy": replace(options["policy"], resend_within=1e9)}
            )
        ),
    )
