"""One adapter's connection: fresh or stale, open or closing, and what survives a restart."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from contextlib import suppress
from dataclasses import replace

import pytest

from foxtrot.adapter.session import Operation
from foxtrot.util.circuit_breaker import CircuitState
from foxtrot.util.constants import Exchange
from foxtrot.util.errors import (
    AdapterConnectionError,
    AuthenticationError,
    FoxtrotError,
    MarketDataError,
    Outcome,
    RateLimitError,
)
from foxtrot.util.object import SubscribeRequest
from harness.network import Delay
from harness.venue import Skew


def test_subscription_without_ticks_is_stale_after_its_time(play, tools):
    async def body(bench):
        connection = bench.connection
        connection.require_fresh()
        assert connection.is_ticking()
        bench.link.rules["mute"] = tools.Rule(framing=lambda *_: tools.Hang())
        await bench.clock.sleep(10.5)
        with pytest.raises(MarketDataError) as caught:
            connection.require_fresh()
        assert caught.value.context["vt_symbol"] == "BTCUSDT.BINANCE"
        assert 10.0 < caught.value.context["data_age"] < 12.0
        assert not connection.is_ticking()

    play(body, heartbeat_interval=1000.0)


ETHER = SubscribeRequest(symbol="ETHUSDT", exchange=Exchange.BINANCE)


def takes_all(bench):
    """Have every subscription taken, whatever the venue has a market in."""

    async def subscribe(_requests):
        return

    bench.connection.adapter.subscribe = subscribe


def test_symbol_that_is_subscribed_later_has_its_time_to_tick(play):
    """However long the connection has stood."""

    async def body(bench):
        takes_all(bench)
        await bench.clock.sleep(60.0)
        await bench.engine.subscribe([ETHER], "ALPHA")
        assert not bench.connection.is_ticking()
        await bench.clock.sleep(9.0)
        bench.connection.require_fresh()
        await bench.clock.sleep(1.5)
        with pytest.raises(MarketDataError, match=r"no price of the last 10\.5 s") as caught:
            bench.connection.require_fresh()
        assert caught.value.context["vt_symbol"] == ETHER.vt_symbol

    play(body, heartbeat_interval=1000.0)


def test_symbol_that_could_not_be_asked_for_yet_is_not_late(play):
    """Its subscription waits for the end of a ban, and prices of the others go on."""

    async def body(bench):
        takes_all(bench)
        bench.connection.guard.gate.hold(RateLimitError("ALPHA", 30.0))
        subscribing = bench.loop.create_task(bench.engine.subscribe([ETHER], "ALPHA"))
        await bench.clock.sleep(29.0)
        assert not subscribing.done()
        bench.connection.require_fresh()
        await subscribing
        await bench.clock.sleep(9.0)
        bench.connection.require_fresh()

    play(body, heartbeat_interval=1000.0)


def test_symbol_that_is_subscribed_once_more_is_not_late_by_what_it_ticked_before(play, tools):
    async def body(bench):
        connection = bench.connection
        (bitcoin,) = connection.subscriptions
        connection.subscriptions = []
        bench.link.rules["mute"] = tools.Rule(framing=lambda *_: tools.Hang())
        await bench.clock.sleep(60.0)
        await bench.engine.subscribe([bitcoin], "ALPHA")
        await bench.clock.sleep(9.0)
        connection.require_fresh()
        assert not connection.is_ticking()

    play(body, heartbeat_interval=1000.0)


def test_ticks_of_an_old_connection_do_not_count(play, tools):
    async def body(bench):
        assert bench.connection.is_ticking()
        bench.link.rules["mute"] = tools.Rule(framing=lambda *_: tools.Hang())
        await bench.connection.reconnect()
        assert not bench.connection.is_ticking()
        bench.link.rules.clear()
        async with asyncio.timeout(1.5):
            await bench.connection.wait_ticking()

    play(body)


def test_ticks_from_before_a_doubt_do_not_end_it(play):
    """A connection that fell silent eight seconds ago has ticks that are not stale yet."""

    async def body(bench):
        connection = bench.connection
        await bench.clock.sleep(0.5)
        connection.distrust_ticks()
        assert not connection.is_ticking()
        connection.require_fresh()
        began = bench.now
        await connection.wait_ticking()
        assert 0.0 < bench.now - began <= 1.0

    play(body)


async def waiting_in_vain(bench, tools):
    """A task that waits for ticks, of which none comes any more."""
    bench.link.rules["mute"] = tools.Rule(framing=lambda *_: tools.Hang())
    bench.connection.distrust_ticks()
    waiting = asyncio.create_task(bench.connection.wait_ticking())
    await bench.clock.sleep(1.0)
    return waiting


def test_who_waits_for_ticks_is_told_at_once_that_none_will_come(play, tools):
    async def body(bench):
        waiting, began = await waiting_in_vain(bench, tools), bench.now
        bench.connection.adapter.lost_streams = True
        bench.connection.saw_error(MarketDataError("BTCUSDT.BINANCE", "1101"))
        with pytest.raises(MarketDataError):
            await waiting
        assert bench.now == began
        assert not bench.engine.is_ready("ALPHA")
        bench.link.rules.clear()

    play(body, heartbeat_interval=1000.0)


def test_who_waits_for_ticks_of_a_connection_that_breaks_waits_no_longer(play, tools):
    async def body(bench):
        waiting, began = await waiting_in_vain(bench, tools), bench.now
        await bench.connection.adapter.disconnect()
        bench.connection.saw_error(AdapterConnectionError("ALPHA", "reset"))
        with pytest.raises(AdapterConnectionError, match="lost again"):
            await waiting
        assert bench.now == began

    play(body, heartbeat_interval=1000.0)


def test_silent_streams_are_not_ready_and_are_asked_for_again_before_a_reconnect(play, tools):
    """Subscriptions may be lost without a word, behind a socket that stands."""

    async def body(bench):
        connection = bench.connection
        opened = len(bench.opened())
        subscribed = len(bench.sent("stream.subscribe"))

        def is_lost(*_):
            return tools.Hang() if len(bench.sent("stream.subscribe")) == subscribed else None

        bench.link.rules["lost"] = tools.Rule(framing=is_lost)
        recovering = asyncio.create_task(
            bench.engine.handle_adapter_error("ALPHA", TimeoutError("no answer"))
        )
        await bench.clock.sleep(10.5)
        assert not bench.engine.is_ready("ALPHA")
        assert await recovering
        assert bench.engine.is_ready("ALPHA")
        assert not connection.needs_subscribing()
        assert len(bench.opened()) == opened

    play(body, heartbeat_interval=1000.0)


def test_ticks_of_lost_subscriptions_do_not_count(play):
    """They came before the venue said so."""

    async def body(bench):
        assert bench.connection.is_ticking()
        bench.connection.adapter.lost_streams = True
        assert not bench.connection.is_ticking()

    play(body)


def test_recovery_is_not_verified_by_ticks_from_before_it(play, tools):
    """Pings and questions are answered, prices are not; those from before are not stale yet."""

    async def body(bench):
        bench.link.rules["mute"] = tools.Rule(framing=lambda *_: tools.Hang())
        bench.connection.adapter.on_error(AdapterConnectionError("ALPHA", "cut"))
        await bench.clock.sleep(8.0)
        assert not bench.engine.is_ready("ALPHA")
        bench.link.rules.clear()
        await bench.clock.sleep(2.0)
        assert bench.engine.is_ready("ALPHA")

    play(body)


def test_lost_subscriptions_are_made_anew_without_a_reconnect(play):
    """As IB's 1101 wants it: the socket stood all the while."""

    async def body(bench):
        connection = bench.connection
        opened = len(bench.opened())
        connection.adapter.lost_streams = True
        connection.adapter.on_error(AdapterConnectionError("ALPHA", "cut"))
        await bench.clock.sleep(5.0)
        assert bench.engine.is_ready("ALPHA")
        assert not connection.adapter.lost_streams
        assert len(bench.opened()) == opened

    bench = play(body)
    assert len(bench.sent("stream.subscribe")) == 2


def test_nothing_is_sent_over_a_connection_that_is_known_to_be_down(play, tools):
    """Of any lane; and no breaker has to learn it by failures."""

    async def body(bench):
        connection = bench.connection
        connection.adapter.one_connection = True
        bench.link.rules["down"] = tools.Rule(opening=lambda _c: tools.Fail(tools.refused))
        bench.link.drop(tools.reset, code=1006, outcome="reset")
        await bench.clock.sleep(1.0)
        sent = len(bench.sent())
        calls = (
            bench.engine.query_account("ALPHA"),
            bench.engine.query_order(bench.by_id("o1"), "ALPHA"),
            bench.engine.cancel_order(bench.by_id("o1"), "ALPHA"),
        )
        for error in await asyncio.gather(*calls, return_exceptions=True):
            assert error.outcome is Outcome.NOT_SENT
            assert error.retry_after == 5.0
        assert len(bench.sent()) == sent
        assert {b.state for b in connection.guard.breakers.values()} == {CircuitState.CLOSED}
        bench.link.rules.clear()

    play(body)


def test_new_connection_carries_nothing_of_ours_until_something_was_answered_on_it(play, tools):
    """A gateway opens its socket at once, and may have no venue behind it."""

    async def body(bench):
        connection = bench.connection
        connection.adapter.one_connection = True
        bench.link.rules["slow"] = tools.Rule(sending=tools.on(Operation.SUBSCRIBE, Delay(2.0)))
        connecting = asyncio.create_task(connection.reconnect())
        await bench.clock.sleep(1.0)
        assert connection.adapter.connected
        with pytest.raises(AdapterConnectionError) as caught:
            connection.require_line()
        assert caught.value.outcome is Outcome.NOT_SENT
        await connecting
        assert not connection.ready
        connection.require_line()

    play(body, recovery=False)


@pytest.mark.parametrize("one_connection", [True, False])
def test_line_that_is_said_to_be_cut_carries_nothing_until_it_is_ready_again(play, one_connection):
    """The gateway says that it has lost its venue, while its socket stands."""

    async def body(bench):
        connection = bench.connection
        connection.adapter.one_connection = one_connection
        connection.saw_error(AdapterConnectionError("ALPHA", "lost its venue"))
        if one_connection:
            with pytest.raises(AdapterConnectionError):
                connection.require_line()
        else:
            connection.require_line()
        connection.ready = True
        connection.require_line()

    play(body)


def test_what_has_a_way_of_its_own_is_sent_while_the_stream_is_down(play, tools):
    async def body(bench):
        bench.link.rules["down"] = tools.Rule(opening=lambda _c: tools.Fail(tools.refused))
        bench.link.drop(tools.reset, code=1006, outcome="reset")
        await bench.clock.sleep(1.0)
        assert await bench.engine.query_account("ALPHA")
        bench.link.rules.clear()

    play(body)


def test_short_break_opens_no_lane_at_its_first_failure(play, tools):
    """Not even after a long one: what was in vain then says nothing of now."""

    async def body(bench):
        def breaks(seconds):
            bench.link.rules["down"] = tools.Rule(
                sending=lambda _r: tools.Fail(tools.refused),
                opening=lambda _c: tools.Fail(tools.refused),
            )
            bench.link.drop(tools.reset, code=1006, outcome="reset")
            bench.loop.call_later(seconds, bench.link.rules.clear)

        breaks(10.0)
        await bench.clock.sleep(30.0)
        assert bench.engine.is_ready("ALPHA")
        breaks(0.2)
        await bench.clock.sleep(0.01)
        assert not bench.connection.adapter.connected
        assert await bench.engine.query_account("ALPHA")

    first, second = [t for t, _ in play(body).sent("account")][:2]
    assert second - first < 1.0


def test_lane_opens_at_its_first_failure_where_the_connection_is_down_as_well(play, tools):
    async def body(bench):
        refuse = tools.Rule(
            sending=lambda _r: tools.Fail(tools.refused),
            opening=lambda _c: tools.Fail(tools.refused),
        )
        bench.link.rules["down"] = refuse
        bench.link.drop(tools.reset, code=1006, outcome="reset")
        await bench.clock.sleep(5.0)
        with pytest.raises(FoxtrotError):
            await bench.engine.query_account("ALPHA")
        bench.link.rules.clear()

    first, second = [t for t, _ in play(body).sent("account")][:2]
    assert second - first >= 4.0


@pytest.mark.parametrize("is_answered", [True, False])
def test_guard_hears_what_became_of_a_ping(play, is_answered):
    async def body(bench):
        async def ping():
            if not is_answered:
                raise TimeoutError

        told = []
        bench.connection.adapter.ping = ping
        bench.connection.guard.pinged = told.append
        with suppress(TimeoutError):
            await bench.connection.ping()
        assert [type(each) for each in told] == [type(None) if is_answered else TimeoutError]

    play(body, heartbeat_interval=1000.0)


def test_old_price_that_comes_again_is_no_life(play):
    async def body(bench):
        ticks = []
        bench.engine.event_engine.register("eTick.", lambda event: ticks.append(event.data))
        await bench.clock.sleep(1.5)
        before = dict(bench.connection._ticked_at)
        await bench.clock.sleep(0.2)
        bench.connection.saw_tick(ticks[-1])
        assert bench.connection._ticked_at == before

    play(body)


def test_late_price_is_no_newer_for_coming_only_now(play, tools):
    """Behind a narrow link prices come one after the other, each older than the one before."""

    async def body(bench):
        connection, ticks = bench.connection, []
        bench.engine.event_engine.register("eTick.", lambda event: ticks.append(event.data))
        await bench.clock.sleep(1.5)
        bench.link.rules["mute"] = tools.Rule(framing=lambda *_: tools.Hang())
        await bench.clock.sleep(0.5)
        last = ticks[-1]
        for number in range(1, 4):
            await bench.clock.sleep(5.0)
            made = last.datetime + dt.timedelta(seconds=number)
            connection.saw_tick(replace(last, datetime=made))
            assert connection.is_ticking() is (number < 3)
        with pytest.raises(MarketDataError, match=r"no price of the last 1[23]\.\d s"):
            connection.require_fresh()

    play(body, heartbeat_interval=1000.0)


def test_report_of_an_acknowledged_order_is_waited_for(play):
    """A user stream that ended without a word is seen by nothing else."""

    async def body(bench):
        connection = bench.connection
        connection.saw_report()
        connection.require_reports()
        connection.expect_report(bench.loop.time() + 1.0)
        await bench.clock.sleep(10.5)
        with pytest.raises(FoxtrotError, match="reported nothing since"):
            connection.require_reports()
        connection.saw_report()
        connection.require_reports()

    play(body, heartbeat_interval=1000.0)


def test_ping_is_bounded(play, tools):
    async def body(bench):
        bench.link.rules["hole"] = tools.Rule(pinging=lambda _c: tools.Hang())
        before = bench.loop.time()
        with pytest.raises(TimeoutError):
            await bench.connection.ping()
        assert bench.loop.time() - before == pytest.approx(3.0)

    play(body, heartbeat_interval=1000.0)


def test_refused_subscription_is_tried_once_more_after_a_resync(play):
    async def body(bench):
        bench.venue.impose("skew", Skew(seconds=60.0))
        await bench.connection.resubscribe()

    operations = [operation for _, operation in play(body, recovery=False).sent()][3:]
    assert operations == ["stream.subscribe", "time", "stream.subscribe"]


def test_refusal_that_a_resync_does_not_mend_is_raised(play, tools):
    async def body(bench):
        refusal = AuthenticationError("ALPHA", "no such key")
        calls = []

        async def subscribe(requests):
            calls.append(requests)
            raise refusal

        bench.connection.adapter.subscribe = subscribe
        with pytest.raises(AuthenticationError):
            await bench.connection.resubscribe()
        assert len(calls) == 1

    play(body)


def test_closing_connection_is_not_opened(play):
    async def body(bench):
        opened = len(bench.opened())
        bench.connection.is_closing = True
        with pytest.raises(FoxtrotError, match="shutting down"):
            await bench.connection.connect()
        with pytest.raises(FoxtrotError, match="shutting down"):
            bench.connection.require_ready()
        assert len(bench.opened()) == opened

    play(body)


def test_dead_connection_closes_without_complaint(play):
    async def body(bench):
        async def broken():
            raise OSError("bad file descriptor")

        bench.connection.adapter.disconnect = broken
        await bench.connection.disconnect()
        assert not bench.connection.ready

    play(body)


def test_connect_that_hangs_ends_at_the_call_timeout(play, tools):
    async def body(bench):
        bench.link.rules["hole"] = tools.Rule(opening=lambda _c: tools.Hang())
        before = bench.loop.time()
        with pytest.raises(FoxtrotError):
            await bench.connection.connect()
        assert bench.loop.time() - before <= 10.0
        bench.link.rules["hole"] = tools.Rule(
            sending=tools.on(Operation.SUBSCRIBE, tools.Fail(tools.refused))
        )
        with pytest.raises(FoxtrotError):
            await bench.connection.connect()
        assert not bench.connection.ready

    play(body, heartbeat_interval=1000.0)


def openings(bench):
    """When each connection was begun to be opened, when it was over, and how it ended."""
    return [
        (details["began"], t, outcome)
        for t, kind, _, outcome, details in bench.notes.lines
        if kind == "link.open"
    ][1:]


@pytest.mark.parametrize("another", ["connect", "reconnect", "restart"])
def test_who_would_connect_while_another_does_takes_what_that_one_brings_up(play, tools, another):
    async def body(bench):
        connection = bench.connection
        bench.link.rules["slow"] = tools.Rule(opening=lambda _c: Delay(3.0))
        first = bench.loop.create_task(connection.reconnect())
        await bench.clock.sleep(1.0)
        await getattr(connection, another)()
        assert first.done()
        assert connection.adapter.connected
        bench.link.rules.clear()
        await getattr(connection, another)()

    assert len(openings(play(body, recovery=False))) == 2


def test_who_connects_with_another_setting_is_not_served_by_what_is_under_way(play, tools):
    """The operator would be told that the new account is in use, and the old one was."""

    async def body(bench):
        adapter, done = bench.connection.adapter, []
        connect, disconnect = adapter.connect, adapter.disconnect

        async def noted(setting):
            done.append(setting)
            await connect(setting)

        async def closed():
            done.append("closed")
            await disconnect()

        adapter.connect, adapter.disconnect = noted, closed
        bench.link.rules["slow"] = tools.Rule(opening=lambda _c: Delay(3.0))
        first = bench.loop.create_task(bench.connection.reconnect())
        await bench.clock.sleep(1.0)
        await bench.engine.connect("ALPHA", {"account": "new"})
        await first
        assert done == ["closed", None, "closed", {"account": "new"}]  # two at once are none's
        assert bench.engine.is_ready("ALPHA")

    play(body, recovery=False)


def test_who_waited_for_another_s_connect_in_vain_tries_himself(play, tools):
    async def body(bench):
        effects = iter([Delay(3.0), tools.Fail(tools.refused)])
        bench.link.rules["down"] = tools.Rule(opening=lambda _c: next(effects, None))
        bench.link.rules["mute"] = tools.Rule(
            sending=tools.on(Operation.SUBSCRIBE, tools.Fail(tools.refused), count=1)
        )
        tries = [bench.loop.create_task(bench.connection.reconnect()) for _ in range(3)]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        assert [type(each) for each in outcomes] == [
            AdapterConnectionError,
            AdapterConnectionError,
            type(None),
        ]

    tried = openings(play(body, recovery=False))
    assert [outcome for *_, outcome in tried] == ["ok", "refused", "ok"]
    assert all(ended <= began for (_, ended, _), (began, *_) in itertools.pairwise(tried))
