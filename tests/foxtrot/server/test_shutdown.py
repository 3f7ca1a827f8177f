"""Shutting down: in bounded time, whatever is going on, and with what stays open named."""

from __future__ import annotations

import asyncio

import pytest

from foxtrot.adapter.session import Operation
from foxtrot.server.engine import ShutdownReport
from foxtrot.server.shutdown import Tasks
from foxtrot.util.errors import ComponentError, ErrorSeverity, FoxtrotError, Outcome

CANCEL, PLACE = Operation.CANCEL_ORDER, Operation.PLACE_ORDER


def names(report):
    return [order.vt_orderid for order in report.open_orders]


def test_open_orders_are_cancelled_and_nothing_is_left(play):
    async def body(bench):
        for number in range(12):
            await bench.engine.send_order(bench.order(f"o{number}"), "ALPHA")
        assert await bench.engine.close() == ShutdownReport((), False, ())
        assert {status for _, status, _ in bench.booked()} == {"CANCELED"}
        assert not bench.connection.adapter.connected

    bench = play(body)
    assert ShutdownReport((), False, ()) in bench.events


def test_cancels_leave_no_faster_than_any_venue_takes_them(play):
    """IB closes its ears for a while after 50 messages in a second, with the orders still open."""

    async def body(bench):
        for number in range(40):
            await bench.engine.send_order(bench.order(f"o{number}"), "ALPHA")
        assert await bench.engine.close() == ShutdownReport((), False, ())

    times = [t for t, _ in play(body).sent("order.cancel")]
    assert len(times) == 40
    assert max(sum(start <= t < start + 1 for t in times) for start in times) <= 21
    assert times[-1] - times[0] < 3.0


def test_what_cannot_be_cancelled_is_named(play, tools):
    async def body(bench):
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        bench.link.rules["down"] = tools.Rule(sending=lambda _r: tools.Fail(tools.refused))
        before = bench.now
        report = await bench.engine.close()
        assert names(report) == ["ALPHA.o1"]
        assert bench.now - before <= 31.0

    play(body)


def test_venue_that_answers_nothing_does_not_hold_it_up(play, tools):
    async def body(bench):
        for number in range(12):
            await bench.engine.send_order(bench.order(f"o{number}"), "ALPHA")
        bench.link.rules["hole"] = tools.Rule(sending=lambda _r: tools.Hang())
        before = bench.now
        report = await bench.engine.close()
        assert len(names(report)) == 12
        assert report.timed_out
        assert bench.now - before <= 10.0 + 3.0

    play(body, shutdown_timeout=10.0)


def test_orders_stay_when_the_policy_says_so(play):
    async def body(bench):
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        assert names(await bench.engine.close()) == ["ALPHA.o1"]

    assert play(body, cancel_on_close=False).sent("order.cancel") == []


def test_order_in_flight_is_named_and_its_caller_told(play, tools):
    """No resend after the close began, and no task that would look it up."""

    async def body(bench):
        bench.link.rules["hole"] = tools.Rule(sending=tools.on(PLACE, tools.Hang()))
        sending = asyncio.create_task(bench.engine.send_order(bench.order("o1"), "ALPHA"))
        await bench.clock.sleep(0.1)
        report = await bench.engine.close()
        assert names(report) == ["ALPHA.o1"]
        await sending
        assert bench.status("o1") == "UNKNOWN"

    assert len(play(body).sent("order.place")) == 1


def test_nothing_is_sent_after_it_began(play, tools):
    """A send that waits for its next try gives up; a new one is refused; both say why."""

    async def body(bench):
        bench.link.rules["r"] = tools.Rule(
            sending=tools.on(PLACE, tools.Fail(tools.refused), count=1)
        )
        waiting = asyncio.create_task(bench.engine.send_order(bench.order("o1"), "ALPHA"))
        await bench.clock.sleep(0.01)
        closing = asyncio.create_task(bench.engine.close())
        await asyncio.sleep(0)
        for attempt in (waiting, bench.engine.send_order(bench.order("o2"), "ALPHA")):
            with pytest.raises(FoxtrotError):
                await attempt
        with pytest.raises(FoxtrotError, match="shutting down") as caught:
            await bench.engine.connect("ALPHA")
        assert caught.value.outcome is Outcome.NOT_SENT
        assert not caught.value.recoverable
        await closing

    bench = play(body)
    assert len(bench.sent("order.place")) == 1
    assert bench.status("o2") == "REJECTED"


def test_close_may_be_called_again_and_at_the_same_time(play):
    async def body(bench):
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        first, second = await asyncio.gather(bench.engine.close(), bench.engine.close())
        assert first is second
        assert await bench.engine.close() is first

    assert len(play(body).sent("order.cancel")) == 1


def test_caller_that_gives_up_leaves_no_half_closed_engine(play):
    async def body(bench):
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        closing = asyncio.create_task(bench.engine.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        assert names(await bench.engine.close()) == []

    play(body)


def test_close_during_a_recovery_ends_it(play, tools):
    """And a reconnect that comes through too late is closed again."""

    async def body(bench):
        bench.link.rules["down"] = tools.Rule(opening=lambda _c: tools.Hang())
        bench.link.drop(tools.reset, code=1006, outcome="reset")
        await bench.clock.sleep(1)
        assert bench.engine.error_recovery.is_recovering("ALPHA")
        await bench.engine.close()
        assert not bench.engine.error_recovery.is_recovering("ALPHA")
        opened = len(bench.opened())
        await bench.clock.sleep(60)
        assert len(bench.opened()) == opened

    play(body)


def test_recovery_of_a_caller_ends_without_reconnecting(play, tools):
    """`handle_adapter_error` under way in somebody's own task, which the engine cannot cancel."""

    async def body(bench):
        slow = asyncio.Event()
        plain = bench.connection.adapter.connect

        async def connect(setting=None):
            await slow.wait()
            await plain(setting)

        bench.connection.adapter.connect = connect
        await bench.connection.adapter.disconnect()  # without a word to the engine
        mine = asyncio.create_task(
            bench.engine.handle_adapter_error("ALPHA", ConnectionResetError(104, "reset"))
        )
        await bench.clock.sleep(1)
        await bench.engine.close()
        slow.set()
        assert not await mine
        assert not bench.connection.adapter.connected
        assert bench.link.connection_id is None
        assert [action for _, _, action in bench.recoveries() if action] == [
            "reconnect",  # taken
            "reconnect",  # failed
            "alert_operator",
        ]

    play(body, heartbeat_interval=1000.0)


@pytest.mark.parametrize("in_background", [False, True])
def test_recovery_may_end_in_the_shutdown_itself(play, tools, in_background):
    """GRACEFUL_SHUTDOWN from within a climb: it closes, and says at once what stayed open."""

    async def body(bench):
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        bench.link.rules["down"] = tools.Rule(sending=lambda _r: tools.Fail(tools.refused))
        error = ComponentError(
            "core",
            "gone",
            severity=ErrorSeverity.CRITICAL,
            recoverable=True,
            context={"adapter": "ALPHA"},
        )
        if in_background:
            bench.engine._surfaced(error)
            await bench.clock.sleep(100)
        else:
            assert not await bench.engine.handle_adapter_error("ALPHA", error)
        report = await bench.engine.close()
        assert names(report) == ["ALPHA.o1"]

    bench = play(body, reconnect_attempts=1)
    actions = [action for _, _, action in bench.recoveries() if action]
    assert actions[-1] == "graceful_shutdown"
    last = bench.alerts[-1].error
    assert "still open: ALPHA.o1" in last.message
    assert last.suggested_action == "Cancel or watch at the venue: ALPHA.o1"


def test_task_that_does_not_obey_is_named_and_left(play):
    async def body(bench):
        release = asyncio.Event()

        async def stubborn():
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        bench.engine._tasks.spawn("stubborn", stubborn())
        await asyncio.sleep(0)
        before = bench.now
        report = await bench.engine.close()
        assert report.tasks == ("stubborn",)
        assert bench.now - before <= 2.0
        release.set()
        await asyncio.sleep(0)

    play(body)


def test_adapter_that_cannot_be_closed_does_not_hold_it_up(play):
    async def body(bench):
        async def hang():
            await asyncio.Event().wait()

        bench.connection.adapter.disconnect = hang
        before = bench.now
        report = await bench.engine.close()
        assert bench.now - before <= 3.5
        assert not report.timed_out  # bounded by the connection itself

    play(body)


def test_task_that_failed_is_reported_by_nobody_else(play):
    async def body(bench):
        async def fail():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ZeroDivisionError from None

        bench.engine._tasks.spawn("fails", fail())
        await asyncio.sleep(0)
        assert (await bench.engine.close()).tasks == ()

    play(body)


@pytest.mark.asyncio
async def test_no_task_starts_once_it_is_closed():
    tasks = Tasks()
    tasks.close()

    async def work():
        raise AssertionError

    assert tasks.spawn("late", work()) is None
    assert await tasks.end() == ()


@pytest.mark.asyncio
async def test_engine_without_adapters_closes():
    from foxtrot.server.engine import MainEngine

    assert await MainEngine().close() == ShutdownReport((), False)
