"""The venue as a whole: its market, its descriptions, and the same answers to the same calls."""

from __future__ import annotations

import random
from itertools import islice
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from foxtrot.adapter.session import Operation, VenueReply, VenueRequest
from harness.venue.conditions import Halt, Replies, Skew
from harness.venue.instruments import DEFAULT_INSTRUMENTS
from harness.venue.tape import MarketTrade, random_tape
from harness.venue.venue import Venue

EPOCH = 1_700_000_000.0


def test_instruments_describe_filters_and_status(bench: Any) -> None:
    bench.venue.impose("F1", Halt(symbol="ETHUSDT"))
    symbols = bench.ask(Operation.INSTRUMENTS)["symbols"]
    assert symbols[0] == {
        "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT", "status": "TRADING",
        "tick_size": 0.01, "lot_size": 1e-05, "min_notional": 5.0, "min_price": 0.01,
        "max_price": 1_000_000.0,
    }  # fmt: skip
    assert [symbol["status"] for symbol in symbols] == ["TRADING", "HALT", "TRADING"]


def test_account_shows_free_and_locked(bench: Any, order: Any) -> None:
    bench.ask(Operation.PLACE_ORDER, **order())
    assert bench.ask(Operation.ACCOUNT) == {
        "balances": [
            {"asset": "USDT", "free": 9_510.0, "locked": 490.0},
            {"asset": "BTC", "free": 1.0, "locked": 0.0},
        ]
    }


def test_request_meets_the_market_of_its_own_time(make_bench: Any, order: Any) -> None:
    """Even if nobody advanced it: a request never sees a price from before."""
    bench = make_bench(MarketTrade(3.0, "BTCUSDT", 6_000_000, 100_000, False))
    bench.now = 3.0
    bench.ask(Operation.PLACE_ORDER, **order(type="MARKET"))
    assert bench.venue.ledger.trades()["main"][0]["price"] == 60_000.0


def test_next_event_is_the_tapes_next_trade_until_it_ends(make_bench: Any) -> None:
    bench = make_bench(MarketTrade(3.0, "BTCUSDT", 5_000_000, 1, False))
    assert bench.venue.next_event_at() == 0.0
    bench.advance(0.0)
    assert bench.venue.next_event_at() == 3.0
    bench.advance(3.0)
    assert bench.venue.next_event_at() is None


def test_reply_can_be_lost_or_spoiled_after_the_order_lives(bench: Any, order: Any) -> None:
    def alter(request: VenueRequest, reply: VenueReply) -> VenueReply | None:
        if request.operation is not Operation.PLACE_ORDER:
            return None
        return VenueReply(status=504, headers=reply.headers, body=b"<html>")

    bench.venue.impose("F1", Replies(alter=alter))
    reply = bench.send(Operation.PLACE_ORDER, **order())
    assert (reply.status, reply.body) == (504, b"<html>")
    assert bench.ask(Operation.QUERY_ORDER, symbol="BTCUSDT", client_id="c1")["status"] == "NEW"
    assert bench.interventions == [("F1", "r1", "reply altered")]


def test_skewed_venue_stamps_everything_with_its_own_clock(bench: Any, order: Any) -> None:
    bench.venue.impose("F1", Skew(seconds=2.0))
    placed = bench.ask(Operation.PLACE_ORDER, **order())
    assert placed["time"] == bench.ask(Operation.TIME)["server_time"] == EPOCH + 2.0


def test_retention_bounds_what_can_be_asked_for(make_bench: Any, order: Any) -> None:
    bench = make_bench(retention=60.0)
    bench.ask(Operation.PLACE_ORDER, **order(type="MARKET"))
    named = {"symbol": "BTCUSDT", "client_id": "c1"}
    bench.advance(60.0)
    assert bench.ask(Operation.QUERY_ORDER, **named)["status"] == "FILLED"
    bench.advance(61.0)
    assert bench.refusal(Operation.QUERY_ORDER, **named)[1] == -2013


def trading_day(seed: int) -> list[Any]:
    """Everything that a venue said in five minutes of random orders."""
    said: list[Any] = []
    rng = random.Random(seed)
    tape = random_tape(DEFAULT_INSTRUMENTS, lambda name: random.Random(f"{seed}{name}"))
    venue = Venue("v", tape=islice(tape, 900), epoch=EPOCH, on_event=lambda *e: said.append(e))
    venue.connect("c", "key-main", 0.0)
    for step in range(300):
        instrument = rng.choice(DEFAULT_INSTRUMENTS)
        params = {
            "symbol": instrument.symbol,
            "side": rng.choice(["BUY", "SELL"]),
            "type": rng.choice(["LIMIT", "MARKET", "IOC", "FOK", "POST_ONLY"]),
            "price": round(float(instrument.start_price) * rng.uniform(0.999, 1.001), 2),
            "quantity": instrument.quantity(rng.randint(1, 2_000)),
            "client_id": f"c{rng.randint(0, 99)}",
        }
        request = VenueRequest(
            request_id=f"r{step}", operation=Operation.PLACE_ORDER, params=params,
            timestamp=EPOCH + step, api_key="key-main",
        )  # fmt: skip
        said.append(venue.handle(request, float(step)))
        said.append(venue.advance(step + 0.5))
    return said


def test_same_calls_get_the_same_answers_to_the_byte() -> None:
    first = trading_day(1)
    assert first == trading_day(1)
    assert first != trading_day(2)
    outcomes = {entry[2] for entry in first if isinstance(entry, tuple)}
    assert outcomes >= {"NEW", "PARTIALLY_FILLED", "FILLED", "EXPIRED", "filled", "refused"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)
PLAUSIBLE = st.sampled_from(["BTCUSDT", "BUY", "LIMIT", "MARKET", "conn", 0.01, 49_000.0, True])
_NAMES = "symbol side type price quantity client_id after symbols user connection"


@settings(max_examples=150, deadline=None)
@given(
    operation=st.sampled_from(Operation),
    params=st.dictionaries(st.sampled_from(_NAMES.split()), PLAUSIBLE | JSON),
)
def test_any_json_gets_an_answer(operation: Operation, params: dict[str, Any]) -> None:
    """The wire will bring anything; no parameter may crash the venue."""
    tape = [MarketTrade(0.0, "BTCUSDT", 5_000_000, 100_000, True)]
    venue = Venue("v", tape=tape, epoch=EPOCH)
    venue.connect("conn", "key-main", 0.0)
    request = VenueRequest(
        request_id="r", operation=operation, params=params, timestamp=EPOCH, api_key="key-main"
    )
    reply = venue.handle(request, 0.0)
    assert reply.status in {200, 400}
    assert isinstance(orjson.loads(reply.body), dict)
