"""A link to a venue, and rules that do what a test tells them."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from foxtrot.adapter.session import Operation, VenueRequest
from harness.kernel import EPOCH
from harness.network import Link, LinkRule
from harness.venue import AccountSpec, Venue
from harness.venue.tape import MarketTrade

FIRST = MarketTrade(0.0, "BTCUSDT", 5_000_000, 100_000, True)
ORDER = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "price": 49_000.0,
    "quantity": 0.01,
    "client_id": "c1",
}


def refused():
    return ConnectionRefusedError(111, "Connection refused")


def reset():
    return ConnectionResetError(104, "Connection reset by peer")


class Rule(LinkRule):
    """Answers each of its questions with a fixed effect, and keeps what it was asked."""

    def __init__(self, **effects):
        self.effects = effects
        self.asked = []

    def _decide(self, question, subject):
        self.asked.append((question, subject))
        return self.effects.get(question)

    def opening(self, connection_id):
        return self._decide("opening", connection_id)

    def pinging(self, connection_id):
        return self._decide("pinging", connection_id)

    def sending(self, request):
        return self._decide("sending", request.request_id)

    def replying(self, request, reply):
        return self._decide("replying", (request.request_id, reply.status))

    def framing(self, connection_id, frame):
        effect = self._decide("framing", (connection_id, frame))
        return effect(frame) if callable(effect) else effect


class Wire:
    """A link to a venue with 0.1 s one way, and everything that came of it."""

    def __init__(self, loop, kept, **options):
        self.loop = loop
        self.history = kept(loop.time)
        self.frames, self.closed = [], []
        self.venue = Venue(
            "A",
            tape=[FIRST],
            epoch=EPOCH.timestamp(),
            accounts=[AccountSpec("main", "key", {"USDT": 10_000.0})],
        )
        self.venue.advance(0.0)
        options = {"latency": 0.1, "jitter": 0.0, **options}
        self.link = Link(
            "A",
            self.venue,
            now=loop.time,
            rng=Random(1),
            api_key="key",
            history=self.history,
            after_request=self.push,
            **options,
        )

    def push(self):
        for connection_id, frame in self.venue.take_frames():
            self.link.deliver(connection_id, frame)

    def open(self, connection_id="c-1"):
        return self.link.open(
            connection_id,
            lambda frame: self.frames.append((self.now, frame)),
            lambda code, reason: self.closed.append((self.now, code, reason)),
        )

    def request(self, request_id="r1", operation=Operation.TIME, **params):
        return self.link.request(
            VenueRequest(
                request_id=request_id,
                operation=operation,
                params=params,
                timestamp=EPOCH.timestamp() + self.loop.time(),
                api_key="key",
            )
        )

    def place(self, request_id="r1", **changes):
        return self.request(request_id, Operation.PLACE_ORDER, **{**ORDER, **changes})

    @property
    def now(self):
        return round(self.loop.time(), 6)

    @property
    def story(self):
        return [(e.t, e.kind, e.id, e.outcome) for e in self.history.kept]

    @property
    def orders(self):
        return [order["client_id"] for order in self.venue.ledger.orders()["main"]]


async def given_up(awaitable, seconds):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await awaitable
