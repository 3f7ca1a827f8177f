"""What a recovery tells: events, records, and the history of both."""

from __future__ import annotations

import asyncio
import threading

from foxtrot.util.errors import (
    OrderRejectionError,
)
from foxtrot.util.recovery import (
    ConnectionRecoveryStrategy,
    ErrorRecoveryManager,
    RecoveryAction,
    RecoveryEvent,
    Rung,
)

from .scenes import down

LADDER = "ConnectionRecoveryStrategy"


def test_events_tell_the_whole_story_of_a_climb(scene):
    """Who, what, by which strategy, which step, when, and why a step failed."""
    first, second = down(), down()
    retry, reconnect = RecoveryAction.RETRY, RecoveryAction.RECONNECT

    async def body(s):
        s.executor.raises = OSError("no route")
        climber = s.start(first)
        await asyncio.sleep(0.5)
        joiner = s.start(second)
        await asyncio.sleep(2.5)
        s.executor.raises = None
        assert await climber
        assert await joiner

    ladder = ConnectionRecoveryStrategy()
    ladder.rungs = (Rung(retry, attempts=1), Rung(reconnect, attempts=1))
    s = scene(body, strategies=[ladder], verdicts=[True], takes=2.0)
    assert s.events == [
        RecoveryEvent("started", first, "A", LADDER, None, 0, "", 0.0),
        RecoveryEvent("step", first, "A", LADDER, retry, 1, "", 0.0),
        RecoveryEvent("joined", second, "A", LADDER, None, 0, "", 0.5),
        RecoveryEvent("step_failed", first, "A", LADDER, retry, 1, "OSError: no route", 2.0),
        RecoveryEvent("step", first, "A", LADDER, reconnect, 2, "", 2.0),
        RecoveryEvent("succeeded", first, "A", LADDER, None, 2, "", 6.0),
    ]


def test_records_tell_what_became_of_each_error(scene):
    climbed, joined, hopeless = down(), down(), OrderRejectionError("o1", "no money")
    at_first = {}

    async def body(s):
        at_first["wall"] = s.manager._clock.wall().isoformat()
        assert not await s.handle(hopeless)
        both = await asyncio.gather(s.handle(climbed), s.handle(joined))
        assert both == [True, True]

    s = scene(body, verdicts=[True])
    shared = {"category": "connection", "adapter": "A", "strategy": LADDER, "success": True}
    shared |= {"severity": climbed.severity.value, "timestamp": at_first["wall"]}
    assert s.manager.recovery_history == [
        {
            "error_id": hopeless.error_id,
            "category": "order_execution",
            "severity": hopeless.severity.value,
            "adapter": None,
            "strategy": "",
            "success": False,
            "attempts": 0,
            "attempted": False,
            "reason": "not recoverable",
            "timestamp": at_first["wall"],
        },
        {
            "error_id": climbed.error_id,
            **shared,
            "attempts": 1,
            "attempted": True,
            "reason": "",
        },
        {
            "error_id": joined.error_id,
            **shared,
            "attempts": 0,
            "attempted": False,
            "reason": "joined a recovery under way",
        },
    ]
    assert s.events[0] == RecoveryEvent(
        "skipped", hopeless, "", "", None, 0, "not recoverable", 0.0
    )


def test_cancelled_climb_ends_with_the_reason(scene):
    async def body(s):
        climber = s.start()
        await asyncio.sleep(0.5)
        climber.cancel()
        await asyncio.wait([climber])

    s = scene(body, takes=1.0)
    assert s.kinds == ["started", "step", "failed"]
    assert (s.events[-1].attempt, s.events[-1].reason) == (1, "cancelled")


def test_history_keeps_the_last_thousand(scene):
    async def body(s):
        for number in range(1100):
            await s.handle(OrderRejectionError(f"o{number}", "no"))

    history = scene(body).manager.recovery_history
    assert len(history) == 1000


def test_history_may_be_read_while_it_is_written():
    manager = ErrorRecoveryManager()
    stop = threading.Event()

    def write():
        while not stop.is_set():
            manager._skipped(down(), "x")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            assert len(manager.recovery_history) <= 1000
    finally:
        stop.set()
        writer.join()


def test_listener_and_history_faults_do_not_turn_success_into_failure(scene):
    """Seed 2.5 #1: what is told about a recovery is no part of it."""

    async def body(s):
        s.manager.add_listener(lambda event: 1 / 0)
        assert await s.handle()

    assert scene(body, verdicts=[True]).executor.actions == ["retry"]


def test_listener_added_later_hears_what_the_others_hear(scene):
    heard = []

    async def body(s):
        s.manager.add_listener(heard.append)
        assert await s.handle()
        assert heard == s.events

    scene(body, verdicts=[True])
    assert [event.kind for event in heard] == ["started", "step", "succeeded"]
