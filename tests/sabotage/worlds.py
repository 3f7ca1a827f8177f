"""Conditions that no scenario has yet, and that some sabotages take to show."""

from __future__ import annotations

import json

from foxtrot.adapter.session import Operation, VenueRequest
from harness.faults.base import connection_reset
from harness.kernel import EPOCH
from harness.network import Delay, Effect, Fail, Link, LinkRule
from harness.world import World

__all__ = ["cancelled_by_hand", "overtaken_by_a_reset", "slow_user_stream"]


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
