"""A venue with a scripted tape, and a client that asks it things and keeps what it was told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest

from foxtrot.adapter.session import Operation, VenueReply, VenueRequest
from harness.venue.instruments import DEFAULT_INSTRUMENTS
from harness.venue.ledger import AccountSpec
from harness.venue.profile import Profile
from harness.venue.profiles import BINANCE
from harness.venue.tape import MarketTrade
from harness.venue.venue import Venue

EPOCH = 1_700_000_000.0  # 20 s into a minute
ACCOUNT = AccountSpec("main", "key", {"USDT": 10_000.0, "BTC": 1.0})
FIRST = MarketTrade(0.0, "BTCUSDT", 5_000_000, 100_000, True)  # bid 50000.00, ask 50000.01, 1 BTC


class Bench:
    """The venue, the time, and everything that it said."""

    def __init__(self, trades: Sequence[MarketTrade], **options: Any) -> None:
        self.now = 0.0
        self.events: list[tuple[str, str, str, dict[str, Any]]] = []
        self.interventions: list[tuple[str, str, str]] = []
        self.frames: list[tuple[str, Any]] = []
        self.venue = Venue(
            "alpha",
            options.pop("profile", BINANCE),
            DEFAULT_INSTRUMENTS,
            trades,
            epoch=EPOCH,
            accounts=options.pop("accounts", (ACCOUNT,)),
            on_event=lambda *event: self.events.append(event),
            on_intervention=lambda *touch: self.interventions.append(touch),
            **options,
        )
        self._requests = 0

    def send(
        self,
        operation: Operation,
        *,
        api_key: str = "key",
        timestamp: float | None = None,
        source_ip: str = "client",
        **params: Any,
    ) -> VenueReply:
        self._requests += 1
        request = VenueRequest(
            request_id=f"r{self._requests}",
            operation=operation,
            params=params,
            timestamp=EPOCH + self.now if timestamp is None else timestamp,
            api_key=api_key,
        )
        reply = self.venue.handle(request, self.now, source_ip=source_ip)
        self._keep(self.venue.take_frames())
        return reply

    def ask(self, operation: Operation, **params: Any) -> Any:
        """The body of a reply that must be good."""
        reply = self.send(operation, **params)
        assert reply.status == 200, reply
        return orjson.loads(reply.body)

    def refusal(self, operation: Operation, **params: Any) -> tuple[int, int, str]:
        """Status, code and message of a reply that must be a refusal."""
        reply = self.send(operation, **params)
        body = orjson.loads(reply.body)
        return reply.status, body["code"], body["msg"]

    def advance(self, now: float) -> None:
        self.now = now
        self._keep(self.venue.advance(now))

    def story(self, *kinds: str) -> list[tuple[str, str, str]]:
        """Events of these kinds as (kind, id, outcome)."""
        return [event[:3] for event in self.events if event[0] in kinds]

    def balance(self, asset: str) -> tuple[float, float]:
        balance = self.venue.ledger.balances()["main"][asset]
        return balance["free"], balance["locked"]

    def _keep(self, frames: list[tuple[str, bytes]]) -> None:
        self.frames += [(connection, orjson.loads(data)) for connection, data in frames]


def limit_order(**changes: Any) -> dict[str, Any]:
    """A buy far below the market, which rests."""
    return {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "price": 49_000.0,
        "quantity": 0.01,
        "client_id": "c1",
        **changes,
    }


@pytest.fixture
def order() -> Callable[..., dict[str, Any]]:
    return limit_order


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    def make(*trades: MarketTrade, **options: Any) -> Bench:
        return Bench((FIRST, *trades), **options)

    return make


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()


@pytest.fixture
def small_profile() -> Profile:
    """Ten requests' weight a minute, so that limits are near."""
    from dataclasses import replace

    return replace(BINANCE, weight_limit=10)
