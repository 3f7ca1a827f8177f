"""What an adapter pushes: seen by the engine first, and never a reason for the adapter to break."""

from __future__ import annotations

from dataclasses import replace

from foxtrot.server.engine import ErrorSurfaced, MainEngine
from foxtrot.util.constants import Direction, Exchange, Status
from foxtrot.util.errors import AdapterConnectionError, ComponentError, MarketDataError
from foxtrot.util.event import (
    EVENT_ERROR,
    EVENT_LOG,
    EVENT_ORDER,
    EVENT_TICK,
    EVENT_TRADE,
    Event,
    EventEngine,
)
from foxtrot.util.object import TradeData


def surfaced(bench):
    return [each.error for each in bench.events if isinstance(each, ErrorSurfaced)]


def test_order_and_fill_are_published_once(play):
    async def body(bench):
        adapter = bench.connection.adapter
        order = bench.order("x").create_order_data("x", "ALPHA")
        for _ in range(2):
            adapter.on_order(replace(order, status=Status.NOTTRADED, venue_orderid="1"))
            adapter.on_trade(
                TradeData(
                    symbol="BTCUSDT",
                    exchange=Exchange.BINANCE,
                    adapter_name="ALPHA",
                    orderid="x",
                    tradeid="1",
                    direction=Direction.LONG,
                    volume=0.01,
                )
            )
        assert [what for _, _, what in bench.published] == ["NOTTRADED", "trade 1", "ALLTRADED"]

    play(body)


def test_other_events_go_on_to_subscribers(play):
    async def body(bench):
        seen = []
        bench.engine.event_engine.register(EVENT_LOG, seen.append)
        event = Event(EVENT_LOG, "hello")
        bench.connection.adapter.event_engine.put(event)
        assert seen == [event]

    play(body)


def test_error_of_a_broken_stream_ends_being_ready(play):
    async def body(bench):
        adapter = bench.connection.adapter
        adapter.on_error(MarketDataError("BTCUSDT.BINANCE", "gap"))
        assert bench.engine.is_ready("ALPHA")  # it is connected all the same
        await adapter.disconnect()
        adapter.on_error(MarketDataError("BTCUSDT.BINANCE", "closed"))
        assert not bench.engine.is_ready("ALPHA")

    play(body)


def test_gateway_that_says_that_it_lost_its_venue_ends_being_ready(play):
    """Our own socket stands, and leads nowhere: an order would only be refused by it."""

    async def body(bench):
        bench.connection.adapter.on_error(AdapterConnectionError("ALPHA", "1100"))
        assert bench.connection.adapter.connected
        assert not bench.engine.is_ready("ALPHA")

    play(body)


def test_where_nobody_recovers_a_word_of_the_gateway_ends_nothing(play):
    """Nobody would ever declare it ready again."""

    async def body(bench):
        bench.connection.adapter.on_error(AdapterConnectionError("ALPHA", "1100"))
        assert bench.engine.is_ready("ALPHA")

    play(body, recovery=False)


def test_push_that_cannot_be_taken_is_surfaced_and_not_raised(play):
    """The adapter would take it for a broken frame of the venue's."""

    async def body(bench):
        for kind in (EVENT_ORDER, EVENT_TRADE, EVENT_TICK):
            bench.connection.adapter.event_engine.put(Event(kind, None))
        assert [type(error) for error in surfaced(bench)] == [ComponentError] * 3
        assert [error.context["operation"] for error in surfaced(bench)] == [
            EVENT_ORDER,
            EVENT_TRADE,
            EVENT_TICK,
        ]
        assert all(error.__cause__ is not None for error in surfaced(bench))
        assert {error.adapter_name for error in surfaced(bench)} == {"ALPHA"}

    play(body)


def test_replaced_adapter_is_believed_about_orders_and_nothing_else(play):
    """Its late close must not end the readiness of the one that took its place."""

    async def body(bench):
        old = bench.connection.adapter
        await bench.connection.restart()
        await bench.engine.bring_up(bench.connection)
        ticks, count = [], len(surfaced(bench))
        bench.engine.event_engine.register(EVENT_TICK, ticks.append)
        old.on_error(AdapterConnectionError("ALPHA", "closed"))
        old.event_engine.put(Event(EVENT_TICK, None))
        order = bench.order("x").create_order_data("x", "ALPHA")
        old.on_order(replace(order, status=Status.NOTTRADED, venue_orderid="1"))
        assert bench.engine.is_ready("ALPHA")
        assert len(surfaced(bench)) == count
        assert ticks == []
        assert bench.status("x") == "NOTTRADED"

    play(body, cancel_on_close=False)


def test_subscriber_whose_error_cannot_describe_itself_is_told_of_too(play, odd):
    async def body(bench):
        def fail(_event):
            raise odd

        bench.engine.event_engine.register(EVENT_TICK, fail)
        await bench.clock.sleep(3)
        assert bench.engine.is_ready("ALPHA")

    (alert,) = play(body).alerts
    assert "it raised Odd: <Odd whose __str__ raised AttributeError>" in alert.error.message


def test_push_that_breaks_what_takes_it_is_never_felt_by_the_adapter(play, monkeypatch, odd):
    async def body(bench):
        def fail(_tick):
            raise odd

        with monkeypatch.context() as patch:
            patch.setattr(bench.connection, "saw_tick", fail)
            await bench.clock.sleep(3)
        await bench.clock.sleep(10)
        assert bench.engine.is_ready("ALPHA")

    assert "could not take eTick" in play(body).alerts[0].error.message


def test_subscriber_that_raises_is_told_to_a_person_once(play):
    """No part feels it; whoever wrote it has to know."""

    async def body(bench):
        seen = []
        for kind in (EVENT_TICK, EVENT_ERROR):
            bench.engine.event_engine.register(kind, lambda _event: 1 / 0)
        bench.engine.event_engine.register(EVENT_TICK, seen.append)
        await bench.clock.sleep(3)
        assert len(seen) >= 2
        assert bench.engine.is_ready("ALPHA")

    bench = play(body)
    assert [alert.error.context["component"] for alert in bench.alerts] == [
        "subscriber of eError.",
        "subscriber of eTick.",
    ]


def test_a_subscriber_to_an_event_engine_that_was_handed_in_is_told_of_too(play):
    """As upstream does it: `MainEngine(EventEngine())`."""

    async def body(bench):
        events = EventEngine()
        MainEngine(events, clock=bench.clock, alert_sinks=[bench.alerts.append])
        events.register(EVENT_TICK, lambda _event: 1 / 0)
        events.put(Event(EVENT_TICK, None))
        await bench.clock.sleep(1)

    assert [alert.error.context["component"] for alert in play(body).alerts] == [
        "subscriber of eTick.",
    ]


def test_an_event_engine_that_outlives_an_engine_tells_the_next_one(play):
    """The first is closed, and would tell nobody any more."""

    async def body(bench):
        events = EventEngine()
        events.register(EVENT_TICK, lambda _event: 1 / 0)
        await MainEngine(events, clock=bench.clock).close()
        MainEngine(events, clock=bench.clock, alert_sinks=[bench.alerts.append])
        events.put(Event(EVENT_TICK, None))
        await bench.clock.sleep(1)

    assert [alert.error.context["component"] for alert in play(body).alerts] == [
        "subscriber of eTick.",
    ]
