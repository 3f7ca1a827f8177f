"""One adapter's connection: fresh or stale, open or closing, and what survives a restart."""

from __future__ import annotations

import asyncio

import pytest

from foxtrot.adapter.session import Operation
from foxtrot.util.errors import AuthenticationError, FoxtrotError, MarketDataError
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
