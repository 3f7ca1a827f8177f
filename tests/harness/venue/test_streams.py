"""Who hears what, numbered how, and what is lost."""

from __future__ import annotations

from typing import Any

import pytest

from foxtrot.adapter.session import Operation
from harness.venue.conditions import Delivery, Frames, Halt, Maintenance, Mute
from harness.venue.tape import MarketTrade

EPOCH = 1_700_000_000.0
SUBSCRIBE, PLACE, CANCEL = Operation.SUBSCRIBE, Operation.PLACE_ORDER, Operation.CANCEL_ORDER


def at(*times: float, price: int = 5_000_000) -> tuple[MarketTrade, ...]:
    return tuple(MarketTrade(time, "BTCUSDT", price, 1_000, False) for time in times)


def listen(bench: Any, connection: str = "conn", *, user: bool = True) -> None:
    assert bench.venue.connect(connection, "key", bench.now)
    body = bench.ask(SUBSCRIBE, symbols=["BTCUSDT"], user=user, connection=connection)
    assert body == {"subscribed": ["BTCUSDT"], "user": user}


def sequences(bench: Any, kind: str) -> list[tuple[str, int]]:
    return [(c, frame["sequence"]) for c, frame in bench.frames if frame["type"] == kind]


def test_tick_shows_price_touch_volume_and_its_number(make_bench: Any) -> None:
    bench = make_bench(*at(1.0))
    listen(bench)
    bench.advance(1.0)
    assert bench.frames == [
        ("conn", {
            "type": "tick", "symbol": "BTCUSDT", "sequence": 2, "price": 50_000.0,
            "bid": 49_999.99, "ask": 50_000.0, "volume": 0.01, "time": EPOCH + 1.0,
        })
    ]  # fmt: skip


def test_numbers_count_up_though_nobody_listens(make_bench: Any) -> None:
    """Whoever comes back sees how much was missed; frames for a closed connection are lost."""
    bench = make_bench(*at(1.0, 2.0, 3.0, 4.0))
    listen(bench, "one")
    bench.advance(1.0)
    bench.venue.disconnect("one", 1.5)
    bench.advance(3.0)
    listen(bench, "two")
    bench.advance(4.0)
    assert sequences(bench, "tick") == [("one", 2), ("two", 5)]


def test_only_subscribers_hear(make_bench: Any, order: Any) -> None:
    bench = make_bench(*at(1.0))
    bench.venue.connect("deaf", "key", 0.0)
    listen(bench, "market", user=False)
    bench.ask(PLACE, **order())
    bench.advance(1.0)
    assert [(connection, frame["type"]) for connection, frame in bench.frames] == [
        ("market", "tick")
    ]


def test_orders_and_fills_are_pushed_with_the_accounts_numbers(make_bench: Any, order: Any) -> None:
    bench = make_bench(*at(1.0, price=4_900_000))
    listen(bench)
    bench.ask(PLACE, **order(quantity=0.02))
    bench.advance(1.0)
    bench.ask(CANCEL, symbol="BTCUSDT", client_id="c1")
    frames = [frame for _, frame in bench.frames if frame["type"] == "order"]
    assert [
        (frame["sequence"], frame["order"]["status"], frame["order"]["executed"])
        for frame in frames
    ] == [(1, "NEW", 0.0), (2, "PARTIALLY_FILLED", 0.01), (3, "CANCELED", 0.01)]
    assert [frame["trade"] is None for frame in frames] == [True, False, True]
    assert frames[1]["trade"] == bench.venue.ledger.trades()["main"][0]


def test_bad_subscriptions_are_refused(bench: Any) -> None:
    bench.venue.connect("conn", "key", 0.0)
    assert bench.refusal(SUBSCRIBE, symbols=["BTCUSDT"], connection="gone")[1] == -1130
    assert bench.refusal(SUBSCRIBE, symbols="BTCUSDT", connection="conn")[1] == -1130
    assert bench.refusal(SUBSCRIBE, symbols=["DOGE"], connection="conn")[1] == -1121
    assert bench.refusal(SUBSCRIBE, symbols=[["a"]], connection="conn")[1] == -1121
    assert bench.refusal(SUBSCRIBE, symbols=[])[1] == -1102
    assert bench.refusal(SUBSCRIBE, user=True, connection="conn", api_key="x")[1] == -2015
    assert bench.refusal(SUBSCRIBE, user=True, connection="conn", timestamp=0.0)[1] == -1021


def test_expired_user_stream_says_so_and_goes_silent_until_subscribed_again(
    make_bench: Any, order: Any
) -> None:
    bench = make_bench(*at(1.0))
    listen(bench)
    assert bench.venue.expire_user_stream("main", 0.0, knob_id="F1") == ["conn"]
    bench.ask(PLACE, **order())
    bench.advance(1.0)
    assert [frame["type"] for _, frame in bench.frames] == ["expired", "tick"]
    bench.ask(SUBSCRIBE, user=True, connection="conn")
    bench.ask(CANCEL, symbol="BTCUSDT", client_id="c1")
    assert sequences(bench, "order") == [("conn", 2)]
    assert bench.interventions == [("F1", "conn", "user stream expired")]


def test_user_stream_belongs_to_the_key_that_subscribed(bench: Any, order: Any) -> None:
    """A connection may have been opened without a key, for market data."""
    bench.venue.connect("conn", "", 0.0)
    bench.ask(SUBSCRIBE, user=True, connection="conn")
    bench.ask(PLACE, **order())
    assert sequences(bench, "order") == [("conn", 1)]


def test_muted_connection_stays_open_and_silent_and_is_blamed_once(make_bench: Any) -> None:
    bench = make_bench(*at(1.0, 2.0, 3.0))
    listen(bench, "one")
    listen(bench, "two")
    bench.venue.impose("F1", Mute(connection_id="one"))
    bench.advance(2.0)
    bench.venue.lift("F1")
    bench.advance(3.0)
    assert sequences(bench, "tick") == [("two", 2), ("two", 3), ("one", 4), ("two", 4)]
    assert bench.venue.connection_ids() == ["one", "two"]
    assert bench.interventions == [("F1", "one", "frame muted")]


def test_mute_of_a_symbol_lets_orders_through(make_bench: Any, order: Any) -> None:
    bench = make_bench(*at(1.0))
    listen(bench)
    bench.venue.impose("F1", Mute(symbol="BTCUSDT"))
    bench.ask(PLACE, **order())
    bench.advance(1.0)
    assert [frame["type"] for _, frame in bench.frames] == ["order"]


def test_frames_can_be_repeated_delayed_dropped_and_spoiled(make_bench: Any) -> None:
    """Duplicate, late, gap and corrupt, each as a function of the frame."""
    plans = {2: "twice", 3: "late", 4: "lost", 5: "plain"}

    def alter(_connection: str, frame: Any) -> list[Delivery] | None:
        return {
            "twice": [Delivery(frame), Delivery(frame)],
            "late": [Delivery({**frame, "price": -1.0}, after=1.5)],
            "lost": [],
            "plain": None,
        }[plans[frame["sequence"]]]

    bench = make_bench(*at(1.0, 2.0, 3.0, 4.0))
    listen(bench)
    bench.venue.impose("F1", Frames(alter=alter))
    bench.advance(2.0)
    assert bench.venue.next_event_at() == 3.0
    bench.advance(3.0)
    assert bench.venue.next_event_at() == 3.5
    bench.advance(3.5)
    bench.advance(4.0)
    assert sequences(bench, "tick") == [("conn", 2), ("conn", 2), ("conn", 3), ("conn", 5)]
    assert bench.frames[2][1]["price"] == -1.0
    assert bench.interventions == [("F1", "conn", "frame altered")]


def test_spoiled_bytes_go_out_as_they_are(make_bench: Any) -> None:
    bench = make_bench(*at(1.0))
    listen(bench)
    bench.venue.impose("F1", Frames(alter=lambda _c, _f: [Delivery(b"<html>")]))
    assert bench.venue.advance(1.0) == [("conn", b"<html>")]


def test_delayed_frame_for_a_connection_that_closed_meanwhile_is_lost(make_bench: Any) -> None:
    bench = make_bench(*at(1.0))
    listen(bench)
    bench.venue.impose("F1", Frames(alter=lambda _c, frame: [Delivery(frame, after=5.0)]))
    bench.advance(1.0)
    bench.venue.disconnect("conn", 2.0)
    bench.advance(6.0)
    assert bench.frames == []


def test_frame_waiting_for_a_connection_that_closes_is_lost(make_bench: Any) -> None:
    bench = make_bench(*at(1.0))
    listen(bench)
    bench.venue.disconnect("conn", 1.0)
    assert bench.venue.take_frames() == []


@pytest.mark.parametrize(
    ("knob", "ticks"),
    [(Halt(symbol="BTCUSDT"), [(2, 50_000.0, 0.0)]), (Maintenance(), [])],
)
def test_halted_market_repeats_its_price_and_a_closed_venue_says_nothing(
    make_bench: Any, knob: Any, ticks: list[tuple[int, float, float]]
) -> None:
    bench = make_bench(*at(1.0, price=4_000_000))
    listen(bench)
    bench.venue.impose("F1", knob)
    bench.advance(1.0)
    assert [(f["sequence"], f["price"], f["volume"]) for _, f in bench.frames] == ticks
