"""Conditions that no scenario has yet, and that some sabotages take to show."""

from __future__ import annotations

import json
from dataclasses import replace

from foxtrot.adapter.session import Operation, VenueReply, VenueRequest
from foxtrot.util.constants import Direction, OrderType
from foxtrot.util.object import OrderRequest
from harness.faults.base import connection_reset
from harness.kernel import EPOCH
from harness.network import Delay, Drop, Effect, Fail, Hang, Link, LinkRule
from harness.workload import Desk
from harness.world import World

__all__ = [
    "after_a_burst",
    "at_a_limit",
    "cancelled_by_hand",
    "caught_by_the_break",
    "overtaken_by_a_reset",
    "slow_user_stream",
]

_BEFORE_THE_BREAK = 1.0
_BURST_AT, _BURST = 130.0, 20
_BEFORE_THE_FAULT, _TOO_MANY = 1.6, 60


class _Overtaken(LinkRule):
    """New orders meet a reset, and arrive all the same some seconds later."""

    def __init__(self, world: World, link: Link) -> None:
        self._world, self._link, self._left = world, link, 8

    def sending(self, request: VenueRequest) -> Effect | None:
        if request.operation is not Operation.PLACE_ORDER or self._world.clock.now() < 80.0:
            return None
        if not self._left:
            return None
        self._left -= 1
        self._world.loop.call_later(3.0, self._arrive, request)
        return Fail(connection_reset)

    def _arrive(self, request: VenueRequest) -> None:
        self._link.venue.handle(request, self._world.clock.now())
        self._link._after_request()


class _SlowUserStream(LinkRule):
    """News of the account's orders take three seconds longer than replies do."""

    def __init__(self, world: World) -> None:
        self._world = world

    def framing(self, connection_id: str, frame: bytes) -> Effect | None:
        is_open = self._world.clock.now() < self._world.scenario.duration
        return Delay(3.0) if is_open and json.loads(frame)["type"] == "order" else None


class _LastWords(LinkRule):
    """What the venue says of orders in the last moment before a break is lost with it."""

    def __init__(self, world: World, breaks: list[float]) -> None:
        self._world, self._breaks = world, breaks

    def replying(self, request: VenueRequest, _reply: VenueReply) -> Effect | None:
        is_order = request.operation is Operation.PLACE_ORDER
        return Hang() if is_order and self._is_late() else None

    def framing(self, _connection_id: str, frame: bytes) -> Effect | None:
        return Drop() if self._is_late() and json.loads(frame)["type"] == "order" else None

    def _is_late(self) -> bool:
        now = self._world.clock.now()
        return any(at - _BEFORE_THE_BREAK <= now <= at for at in self._breaks)


def overtaken_by_a_reset(world: World) -> None:
    """The connection is reset while new orders are under way, and they get there after all."""
    for link in world.links.values():
        link.rules["overtaken"] = _Overtaken(world, link)


def slow_user_stream(world: World) -> None:
    """What a reply did not say, the stream says only later."""
    for link in world.links.values():
        link.rules["slow user stream"] = _SlowUserStream(world)


def cancelled_by_hand(world: World) -> None:
    """While the connection is down, somebody cancels all open orders on the venue's own page."""
    world.loop.call_later(31.0, _cancel_all, world)


def _cancel_all(world: World) -> None:
    now = world.clock.now()
    for (name, client_id), booked in world.books._orders.items():
        if booked.status in {"NEW", "PARTIALLY_FILLED"}:
            request = VenueRequest(
                request_id=f"by-hand-{client_id}",
                operation=Operation.CANCEL_ORDER,
                params={"symbol": booked.symbol, "client_id": client_id},
                timestamp=EPOCH.timestamp() + now,
                recv_window=5.0,
                api_key=f"key-{name}",
            )
            world.venues[name].handle(request, now)


def caught_by_the_break(world: World) -> None:
    """At each break one more order has just been booked; it rests, and nobody has heard of it."""
    breaks: dict[str, list[float]] = {}
    for fault in world.nemesis.faults:
        if fault.kind.connection:
            breaks.setdefault(fault.spec.venue, []).append(fault.occurrence.begin)
    for venue, moments in breaks.items():
        world.links[venue].rules["last words"] = _LastWords(world, moments)
        for at in moments:
            world.loop.call_at(at - _BEFORE_THE_BREAK, _place_far_below, world, venue)


def _place_far_below(world: World, venue: str) -> None:
    """Have the strategy buy at a price that nobody will sell at."""
    strategy = world.strategy
    market = next(each for each in world.markets if each.adapter == venue)
    request = strategy._request(market)
    assert request is not None  # there is a price long before anything breaks
    tick = strategy._ticks[f"{venue}/{market.vt_symbol}"]
    instrument = market.instrument
    ticks = round(tick.last_price * 0.97 / float(instrument.tick_size))
    resting = replace(
        request, direction=Direction.LONG, type=OrderType.LIMIT, price=instrument.price(ticks)
    )
    world.tasks.spawn("an order before the break", _place(strategy.desk, venue, resting))


async def _place(desk: Desk, venue: str, request: OrderRequest) -> None:
    await desk.place(venue, request)


def after_a_burst(world: World) -> None:
    """At a time when all has long been well, more orders come at once than the venue's quota."""
    world.loop.call_at(_BURST_AT, _place_many, world, _BURST)


def at_a_limit(world: World) -> None:
    """The first fault comes while the recovery sees to a limit on new orders."""
    begin = min(fault.occurrence.begin for fault in world.nemesis.faults)
    world.loop.call_at(begin - _BEFORE_THE_FAULT, _place_many, world, _TOO_MANY)


def _place_many(world: World, count: int) -> None:
    strategy = world.strategy
    market = strategy.markets[0]
    for number in range(count):
        request = strategy._request(market)
        assert request is not None  # there is a price long before
        world.tasks.spawn(f"burst {number}", _place(strategy.desk, market.adapter, request))
