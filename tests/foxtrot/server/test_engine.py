"""The engine as a whole: outages recovered from, errors told once, and nothing sent in between."""

from __future__ import annotations

import asyncio

import pytest

from foxtrot.adapter.session import Operation
from foxtrot.server.engine import ErrorSurfaced, MainEngine
from foxtrot.util.constants import Exchange
from foxtrot.util.errors import (
    AdapterConnectionError,
    AuthenticationError,
    ComponentError,
    ErrorCategory,
    FoxtrotError,
    MarketDataError,
    Outcome,
    RateLimitError,
)
from foxtrot.util.event import EVENT_ERROR, EVENT_TICK
from foxtrot.util.object import SubscribeRequest
from harness.venue import Revoke, Skew


def break_link(bench, tools, *, back_after=None):
    """The connection breaks and nothing gets through; heals by itself if told to."""
    bench.link.rules["down"] = tools.Rule(
        sending=lambda _r: tools.Fail(tools.refused), opening=lambda _c: tools.Fail(tools.refused)
    )
    bench.link.drop(tools.reset, code=1006, outcome="reset")
    if back_after is not None:
        bench.loop.call_later(back_after, bench.link.rules.clear)


async def until_ready(bench, name="ALPHA"):
    while not bench.engine.is_ready(name):
        await bench.clock.sleep(0.1)


def test_ready_means_connected_ticking_and_reconciled(play):
    async def body(bench):
        assert not bench.engine.is_ready("ALPHA")
        await bench.start()
        assert bench.engine.is_ready("ALPHA")

    bench = play(body, connect=False)
    operations = [operation for _, operation in bench.sent()]
    assert operations == ["stream.subscribe", "orders.open", "trades"]


def test_short_outage_is_recovered_from_without_a_person(play, tools):
    async def body(bench):
        break_link(bench, tools, back_after=4.0)
        await bench.clock.sleep(0.1)
        assert not bench.engine.is_ready("ALPHA")
        with pytest.raises(FoxtrotError) as caught:
            await bench.engine.send_order(bench.order("o1"), "ALPHA")
        assert caught.value.outcome is Outcome.NOT_SENT
        await until_ready(bench)
        assert bench.now < 12.0

    bench = play(body, max_retries=2)
    assert bench.alerts == []
    assert bench.recoveries()[-1] == ("succeeded", "connection", "")
    assert bench.sent("order.place") == []
    assert bench.opened()[-1][1] == "ok"


def test_twenty_errors_of_one_outage_make_one_recovery(play, tools):
    async def body(bench):
        bench.link.drop(tools.reset, code=1006, outcome="reset")
        errors = [
            bench.engine.handle_adapter_error("ALPHA", ConnectionResetError(104, "reset"))
            for _ in range(20)
        ]
        assert await asyncio.gather(*errors) == [True] * 20

    bench = play(body)
    assert [outcome for _, outcome in bench.opened()] == ["ok", "ok"]
    assert [kind for kind, _, action in bench.recoveries() if action == "reconnect"] == ["step"]


def test_mute_stream_is_noticed_by_its_silence(play, tools):
    """Pings are answered, nothing comes: stale, not ready, and recovered by asking again."""

    async def body(bench):
        bench.link.rules["mute"] = tools.Rule(framing=lambda *_: tools.Hang())
        await bench.clock.sleep(17)
        assert not bench.engine.is_ready("ALPHA")
        bench.link.rules.clear()
        await until_ready(bench)

    bench = play(body)
    surfaced = [e.error for e in bench.events if isinstance(e, ErrorSurfaced)]
    assert isinstance(surfaced[0], MarketDataError)
    assert bench.recoveries()[0] == ("started", "market_data", "")


def test_half_open_connection_is_noticed_by_the_heartbeat(play, tools):
    async def body(bench):
        bench.link.rules["hole"] = tools.Rule(
            pinging=lambda _c: tools.Hang(), framing=lambda *_: tools.Hang()
        )
        await bench.clock.sleep(9)
        assert not bench.engine.is_ready("ALPHA")
        bench.link.rules.clear()
        await until_ready(bench)

    assert play(body).alerts == []


def test_clock_skew_is_mended_by_a_resync_without_a_reconnect(play):
    async def body(bench):
        bench.venue.impose("skew", Skew(seconds=30.0))
        with pytest.raises(AuthenticationError):
            await bench.engine.send_order(bench.order("o1"), "ALPHA")
        await bench.clock.sleep(2)
        assert await bench.engine.send_order(bench.order("o2"), "ALPHA") == "ALPHA.o2"

    bench = play(body, max_retries=0)
    assert len(bench.opened()) == 1
    assert bench.sent("time")
    assert bench.alerts == []


def test_skew_found_while_reconnecting_is_mended_on_the_way(play, tools):
    async def body(bench):
        bench.venue.impose("skew", Skew(seconds=30.0))
        bench.link.drop(tools.reset, code=1006, outcome="reset")
        await bench.clock.sleep(0.5)
        await until_ready(bench)
        assert bench.now < 5.0

    play(body)


def test_revoked_key_calls_a_person_at_once_and_is_not_hammered(play, tools):
    """One try to log in per ladder, then longer and longer rests; back when the key is."""

    async def body(bench):
        bench.venue.impose("revoked", Revoke(api_key="key"))
        bench.link.drop(tools.reset, code=1006, outcome="reset")
        await bench.clock.sleep(600)
        assert bench.alerts[0].at.timestamp() - bench.clock.wall().timestamp() < -590
        tried = len(bench.opened())
        bench.venue.lift("revoked")
        await bench.clock.sleep(301)
        await until_ready(bench)
        assert tried < 15

    bench = play(body)
    categories = [alert.error.category for alert in bench.alerts]
    assert categories.count(ErrorCategory.AUTHENTICATION) == 1


def test_rejections_need_nobody(play):
    async def body(bench):
        for number in range(20):
            with pytest.raises(FoxtrotError):
                await bench.engine.send_order(bench.order(f"o{number}", price=1.001), "ALPHA")
        assert bench.engine.is_ready("ALPHA")

    bench = play(body)
    assert bench.alerts == []
    assert bench.recoveries() == []


def test_outage_that_stays_calls_a_person_once(play, tools):
    async def body(bench):
        break_link(bench, tools)
        await bench.clock.sleep(1000)
        bench.link.rules.clear()
        await bench.clock.sleep(301)
        await until_ready(bench)

    bench = play(body, reconnect_attempts=3)
    kinds = [alert.error.category.value for alert in bench.alerts]
    assert kinds == ["connection"]


def test_broken_component_is_restarted(play):
    """RESTART_COMPONENT builds a new adapter, with the old setting and subscriptions."""

    async def body(bench):
        bench.connection.setting = {"key": "k"}
        before = bench.connection.adapter
        error = ComponentError("ALPHA", "reader died", recoverable=True)
        assert await bench.engine.handle_adapter_error("ALPHA", error)
        after = bench.connection.adapter
        assert after is not before
        assert after.setting == {"key": "k"}
        assert bench.engine.get_adapter("ALPHA") is after
        assert bench.engine.is_ready("ALPHA")

    bench = play(body)
    assert bench.builds == 2


def test_non_recoverable_error_is_escalated_and_not_tried(play):
    """Seed 2.5 #11: what is not known does not reconnect a healthy adapter."""

    async def body(bench):
        assert not await bench.engine.handle_adapter_error("ALPHA", RuntimeError("bug"))
        assert not await bench.engine.handle_adapter_error("ALPHA", ValueError("bad argument"))
        assert bench.engine.is_ready("ALPHA")

    bench = play(body)
    assert bench.recoveries() == [("skipped", "system", ""), ("skipped", "validation", "")]
    assert [alert.error.category.value for alert in bench.alerts] == ["system"]
    assert len(bench.opened()) == 1


def test_error_without_an_adapter_gets_the_one_it_was_reported_for(play):
    async def body(bench):
        assert await bench.engine.handle_adapter_error("ALPHA", RateLimitError("", 0.0, context={}))
        error = FoxtrotError("x", category=ErrorCategory.CONNECTION)
        assert await bench.engine.handle_adapter_error("ALPHA", error)
        assert error.adapter_name == "ALPHA"

    with pytest.raises(AssertionError):
        play(body)  # "" is a name, and no adapter has it


def test_surfaced_errors_are_published_as_events(play):
    async def body(bench):
        seen = []
        bench.engine.event_engine.register(EVENT_ERROR, seen.append)
        await bench.engine.handle_adapter_error("ALPHA", TimeoutError())
        assert [event.data.category for event in seen] == [ErrorCategory.CONNECTION]

    play(body)


def test_order_that_nobody_names_gets_an_id(play):
    async def body(bench):
        assert await bench.engine.send_order(bench.order(), "ALPHA") == "ALPHA.e-1"
        assert await bench.engine.send_order(bench.order(), "ALPHA") == "ALPHA.e-2"
        assert (await bench.engine.query_order(bench.by_id("e-1"), "ALPHA")).orderid == "e-1"
        assert (await bench.engine.query_account("ALPHA"))[0].adapter_name == "ALPHA"

    play(body)


def test_subscription_made_later_is_kept_as_well(play):
    async def body(bench):
        ticks = []
        bench.engine.event_engine.register(EVENT_TICK, ticks.append)
        request = SubscribeRequest(symbol="BTCUSDT", exchange=Exchange.BINANCE)
        await bench.engine.subscribe([request, request], "ALPHA")
        assert len(bench.connection.subscriptions) == 1
        await bench.clock.sleep(2.5)
        assert len(ticks) == 2

    play(body)


def test_names_are_checked():
    engine = MainEngine()
    with pytest.raises(LookupError, match="there are: none"):
        engine.is_ready("ALPHA")
    assert engine.get_adapter("ALPHA") is None
    with pytest.raises(ValueError, match="expected an adapter name that is not taken"):
        engine.add_adapter(lambda sink, name: None)


def test_same_name_twice_is_refused(play):
    async def body(bench):
        with pytest.raises(ValueError, match="expected an adapter name that is not taken"):
            bench.engine.add_adapter(lambda sink, name: None, "ALPHA")

    play(body)


def test_failed_first_connect_raises_and_is_recovered_from(play, tools):
    async def body(bench):
        bench.link.rules["down"] = tools.Rule(opening=lambda _c: tools.Fail(tools.refused))
        with pytest.raises(AdapterConnectionError):
            await bench.engine.connect("ALPHA", {"key": "k"})
        bench.link.rules.clear()
        await until_ready(bench)

    play(body, connect=False)


def test_policy_none_recovers_from_nothing(play, tools):
    """The control arm: errors are shown, and that is all."""

    async def body(bench):
        bench.link.drop(tools.reset, code=1006, outcome="reset")
        await bench.clock.sleep(60)
        assert not bench.engine.is_ready("ALPHA")

    bench = play(body, recovery=False)
    assert bench.recoveries() == []
    assert len(bench.opened()) == 1


def test_listener_added_later_hears_from_then_on(play):
    async def body(bench):
        heard = []
        bench.engine.add_listener(heard.append)
        await bench.engine.handle_adapter_error("ALPHA", ValueError("x"))
        assert [type(each).__name__ for each in heard] == ["ErrorSurfaced", "RecoveryEvent"]

    play(body)


def test_restarted_process_adopts_what_is_open_and_what_was_filled(play, tools):
    """A second engine on the same account: orders, fills and position before it is ready."""

    async def body(bench):
        await bench.engine.send_order(bench.order("rests"), "ALPHA")
        await bench.engine.send_order(bench.order("filled", price=0), "ALPHA")
        await bench.clock.sleep(1)
        again = MainEngine(clock=bench.clock, order_prefix="second")
        from foxtrot.adapter.simulated import SimulatedAdapter

        again.add_adapter(
            SimulatedAdapter,
            "ALPHA",
            session=bench.link,
            exchange=Exchange.BINANCE,
            clock=bench.clock,
        )
        request = SubscribeRequest(symbol="BTCUSDT", exchange=Exchange.BINANCE)
        await again.subscribe([request], "ALPHA")
        await again.connect("ALPHA")
        assert [(o.orderid, o.status.name) for o in again.oms.orders()] == [("rests", "NOTTRADED")]
        assert again.oms.position("ALPHA", "BTCUSDT.BINANCE") == 0.01
        report = await again.close()
        assert report.open_orders == ()

    play(body)


def test_unknown_orders_are_settled_before_ready(play, tools):
    async def body(bench):
        bench.link.rules["ack"] = tools.Rule(
            replying=tools.on(Operation.PLACE_ORDER, tools.Fail(tools.reset)),
            framing=lambda *_: tools.Hang(),
        )
        await bench.engine.send_order(bench.order("o1", price=0), "ALPHA")
        break_link(bench, tools, back_after=5.0)
        bench.link.rules.pop("ack")
        assert bench.status("o1") == "UNKNOWN"
        await bench.clock.sleep(0.1)
        await until_ready(bench)
        assert bench.status("o1") == "ALLTRADED"
        assert bench.position() == (0.01, 0.01)

    play(body)
