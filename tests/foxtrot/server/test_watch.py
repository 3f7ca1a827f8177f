"""Heartbeats, and what has to be shown before a connection counts as ready."""

from __future__ import annotations

import pytest

from foxtrot.adapter.session import Operation, VenueReply, VenueRequest
from foxtrot.server.engine import ErrorSurfaced
from foxtrot.server.policy import Lane
from foxtrot.util.errors import (
    AdapterConnectionError,
    ErrorCategory,
    FoxtrotError,
    MarketDataError,
    RateLimitError,
)
from harness.kernel import EPOCH
from harness.network import Delay, Replace
from harness.venue import Revoke


def surfaced(bench):
    return [each.error for each in bench.events if isinstance(each, ErrorSurfaced)]


def test_connection_lost_while_it_is_reconciled_is_not_ready(play, tools):
    """REST answers, and the stream is gone: half a connection is none."""

    async def body(bench):
        bench.connection.ready = False
        plain = bench.engine.pipeline.reconcile

        async def reconcile(connection):
            await plain(connection)
            await connection.adapter.disconnect()

        bench.engine.pipeline.reconcile = reconcile
        with pytest.raises(AdapterConnectionError, match="lost again"):
            await bench.engine.bring_up(bench.connection)
        assert not bench.connection.ready

    play(body)


def test_silent_subscription_keeps_it_from_being_ready(play, tools):
    async def body(bench):
        bench.link.rules["mute"] = tools.Rule(framing=lambda *_: tools.Hang())
        await bench.connection.reconnect()
        with pytest.raises(MarketDataError, match="no price"):
            await bench.engine.bring_up(bench.connection)

    play(body, heartbeat_interval=1000.0)


@pytest.mark.parametrize("was_ready", [True, False])
def test_silence_that_a_recovery_finds_is_told_to_who_relied_on_it(play, tools, was_ready):
    """It is at work on something else. Of what is not ready nobody takes prices for fresh."""

    async def body(bench):
        bench.link.rules["mute"] = tools.Rule(framing=lambda *_: tools.Hang())
        bench.connection.distrust_ticks()
        bench.connection.ready = was_ready
        bench.engine._watch._is_recovering = lambda _name: True
        with pytest.raises(MarketDataError, match="no price"):
            await bench.engine.bring_up(bench.connection)
        assert not bench.connection.ready
        await bench.clock.sleep(20.0)
        told.extend(surfaced(bench))
        bench.link.rules.clear()

    told = []
    play(body, heartbeat_interval=9.0, recovery=False)
    assert [error.context["code"] for error in told] == ["stale"] * was_ready


def test_prices_are_watched_while_a_gate_holds_up_the_check(play, tools):
    """Books that are to be reconciled wait for the end of a ban; what is served meanwhile ages."""

    async def body(bench):
        bench.connection.guard.gate.hold(RateLimitError("ALPHA", 40.0))
        bench.engine.pipeline.needs_reconcile = lambda _name: True
        await bench.clock.sleep(6.0)
        bench.link.rules["mute"] = tools.Rule(framing=lambda *_: tools.Hang())
        await bench.clock.sleep(16.0)
        assert not bench.engine.is_ready("ALPHA")
        told.extend(surfaced(bench))
        bench.link.rules.clear()

    told = []
    play(body)
    assert [error.context["code"] for error in told] == ["stale"]


def test_closing_engine_brings_nothing_up(play):
    async def body(bench):
        bench.connection.is_closing = True
        with pytest.raises(FoxtrotError, match="shutting down"):
            await bench.engine.bring_up(bench.connection)
        bench.connection.is_closing = False

    play(body)


def test_heartbeat_finds_what_was_never_reported(play):
    """The adapter lost its connection without a word."""

    async def body(bench):
        await bench.connection.adapter.disconnect()
        await bench.clock.sleep(10)
        assert bench.engine.is_ready("ALPHA")

    bench = play(body)
    (error,) = surfaced(bench)
    assert error.category is ErrorCategory.CONNECTION
    assert error.context["operation"] == "heartbeat"
    assert error.context["correlation_id"].startswith("ALPHA-c")


def test_connect_that_takes_longer_than_a_heartbeat_is_not_called_down(play, tools):
    """Recovery would open a second connection beside it, and either tear the other's down."""

    async def body(bench):
        bench.link.rules["slow"] = tools.Rule(opening=lambda _c: Delay(3.5))
        await bench.start()
        assert bench.engine.is_ready("ALPHA")

    bench = play(body, connect=False, heartbeat_interval=1.0)
    assert len(bench.opened()) == 1
    assert surfaced(bench) == []


def test_connect_that_waits_for_the_end_of_a_ban_is_not_called_down(play):
    async def body(bench):
        bench.connection.guard.gate.hold(RateLimitError("ALPHA", 40.0))
        await bench.start()
        await bench.clock.sleep(10.0)
        assert bench.engine.is_ready("ALPHA")

    bench = play(body, connect=False)
    assert len(bench.opened()) == 1
    assert surfaced(bench) == []


def test_heartbeat_reconciles_what_was_left_over(play, tools):
    """The venue was behind with its list of fills when they were asked for: they are again."""

    async def body(bench):
        none_yet = Replace(VenueReply(status=200, body=b'{"trades": []}'))
        bench.link.rules["behind"] = tools.Rule(
            framing=lambda _c, frame: tools.Hang() if b'"order"' in frame else None,
            replying=tools.on(Operation.TRADES, none_yet),
        )
        await bench.engine.send_order(bench.order("o1", price=0), "ALPHA")
        await bench.clock.sleep(2)
        bench.link.rules.clear()
        assert bench.position() == (0.0, 0.01)
        await bench.clock.sleep(5)
        assert bench.position() == (0.01, 0.01)

    bench = play(body)
    assert surfaced(bench) == []


def test_reports_that_are_lost_on_a_living_stream_are_found_by_comparing(play, tools):
    """No number shows the gap, no reply was lost: the order seems to rest, and is cancelled."""

    async def body(bench):
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        bench.link.rules["lossy"] = tools.Rule(
            framing=lambda _c, frame: tools.Hang() if b'"order"' in frame else None
        )
        by_hand = VenueRequest(
            request_id="by-hand",
            operation=Operation.CANCEL_ORDER,
            params={"symbol": "BTCUSDT", "client_id": "o1"},
            timestamp=EPOCH.timestamp() + bench.loop.time(),
            api_key="key",
        )
        bench.venue.handle(by_hand, bench.loop.time())
        await bench.clock.sleep(2)
        bench.link.rules.clear()
        await bench.clock.sleep(30)
        assert bench.status("o1") == "NOTTRADED"
        await bench.clock.sleep(20)
        assert bench.status("o1") == "CANCELLED"

    bench = play(body)
    assert surfaced(bench) == []


@pytest.mark.parametrize("count", [0, 1])
def test_open_orders_alone_are_compared_and_not_often(play, count):
    async def body(bench):
        for number in range(count):
            await bench.engine.send_order(bench.order(f"o{number}"), "ALPHA")
        asked.append(len(bench.sent("orders.open")))
        await bench.clock.sleep(200)
        asked.append(len(bench.sent("orders.open")))

    asked = []
    play(body)
    assert asked[1] - asked[0] == count * 4  # every 40 s, at the next heartbeat


@pytest.mark.parametrize("is_stale", [True, False])
def test_price_that_goes_stale_while_recovery_is_at_work_ends_the_readiness(play, tools, is_stale):
    """Recovery may be busy for long with something else, such as waiting until a gate opens."""

    async def body(bench):
        bench.engine._watch._is_recovering = lambda _name: True
        if is_stale:
            bench.link.rules["mute"] = tools.Rule(framing=lambda *_: tools.Hang())
        await bench.clock.sleep(16.0)
        assert bench.engine.is_ready("ALPHA") is not is_stale
        await bench.clock.sleep(20.0)
        bench.link.rules.clear()
        told.extend(surfaced(bench))

    told = []
    play(body)
    assert [error.context["code"] for error in told] == ["stale"] * is_stale


def test_ping_that_breaks_from_inside_has_the_component_replaced(play):
    async def body(bench):
        async def ping():
            raise RuntimeError("reader task has died")

        bench.connection.adapter.ping = ping
        await bench.clock.sleep(12)
        assert bench.engine.is_ready("ALPHA")

    assert play(body).builds == 2


def test_component_that_breaks_during_another_recovery_is_told_of_and_replaced(play):
    async def body(bench):
        async def ping():
            raise RuntimeError("reader task has died")

        bench.connection.adapter.ping = ping
        assert await bench.engine._recoveries.recover(RateLimitError("ALPHA", 0.1))
        told.extend(surfaced(bench))

    told = []
    assert play(body, heartbeat_interval=1000.0).builds == 2
    assert [each.category for each in told] == [ErrorCategory.SYSTEM]


@pytest.mark.parametrize("was_ready", [True, False])
@pytest.mark.parametrize("is_gone", [True, False])
def test_recovery_tells_that_what_counted_as_ready_does_not_answer(play, was_ready, is_gone):
    """It is at work on something else, and of what is not ready that was told before."""

    async def body(bench):
        async def ping():
            raise TimeoutError

        if is_gone:
            await bench.connection.adapter.disconnect()
        else:
            bench.connection.adapter.ping = ping
        bench.connection.ready = was_ready
        with pytest.raises(AdapterConnectionError):
            await bench.engine.prove(bench.connection)
        assert not bench.connection.ready
        told.extend(surfaced(bench))

    told = []
    play(body, heartbeat_interval=1000.0, recovery=False)
    assert [error.context["operation"] for error in told] == ["ping"] * was_ready
    assert all("correlation_id" in error.context for error in told)


@pytest.mark.parametrize(("was_ready", "state"), [(False, "closed"), (True, "open")])
def test_questions_are_let_out_by_a_connection_that_is_back_and_by_no_other(play, was_ready, state):
    """One that never went away has shown nothing that the breaker did not know."""

    async def body(bench):
        breaker = bench.connection.guard.breakers[Lane.QUERIES]
        for _ in range(3):
            breaker.acquire().failure()
        bench.connection.ready = was_ready
        await bench.engine.bring_up(bench.connection)
        assert breaker.state.value == state

    play(body)


def test_connection_whose_credentials_are_refused_is_not_reconciled_in_vain(play):
    """At every heartbeat: that would be more of what the venue does not want to see."""

    async def body(bench):
        bench.venue.impose("revoked", Revoke())
        bench.connection.ready = False
        began = bench.now
        await bench.clock.sleep(100.0)
        asked = [t for t, _ in bench.sent("orders.open") if t > began]
        assert 4 <= len(asked) <= 6
        bench.venue.lift("revoked")
        await bench.clock.sleep(40.0)
        assert bench.engine.is_ready("ALPHA")

    play(body)
