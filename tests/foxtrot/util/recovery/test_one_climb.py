"""One climb per adapter: who shares it, and who gets one of his own."""

from __future__ import annotations

import asyncio

from foxtrot.util.errors import (
    AdapterConnectionError,
    ComponentError,
    ErrorCategory,
    MarketDataError,
    OrderRejectionError,
    RateLimitError,
)
from foxtrot.util.recovery import (
    LadderStrategy,
    RecoveryAction,
    Rung,
)


def test_other_adapters_recover_at_the_same_time(scene):
    async def body(s):
        other = AdapterConnectionError("B", "reset")
        assert await asyncio.gather(s.handle(), s.handle(other)) == [True, True]
        assert s.loop.time() == 2.0

    s = scene(body, supported=(RecoveryAction.RECONNECT,), verdicts=[True, True], takes=1.0)
    assert s.executor.actions == ["reconnect"] * 2


def test_error_after_the_verification_began_gets_a_climb_of_its_own(scene):
    """It may have missed it: what is verified once more is cheap, what is missed is not."""

    async def body(s):
        first = s.start()
        await asyncio.sleep(1.5)  # performed at 1, verified at 2
        assert s.manager.verifications("A") == 1
        second = s.start()
        assert await first
        assert await second

    s = scene(body, supported=(RecoveryAction.RECONNECT,), verdicts=[True, True], takes=1.0)
    assert s.executor.done == [(0.0, "reconnect"), (2.0, "reconnect")]
    assert s.manager.verifications("A") == 0


def test_every_verification_of_a_climb_counts(scene):
    """The second one misses what breaks after it began, as the first does."""

    async def body(s):
        first = s.start()
        await asyncio.sleep(1.5)
        assert s.manager.verifications("A") == 1
        await asyncio.sleep(2.0)
        assert s.manager.verifications("A") == 2
        second = s.start()
        assert await first
        assert await second

    ladder = LadderStrategy(
        ErrorCategory.CONNECTION,
        [Rung(RecoveryAction.RETRY, attempts=1), Rung(RecoveryAction.RECONNECT, attempts=1)],
    )
    s = scene(body, strategies=[ladder], verdicts=[False, True, True], takes=1.0)
    assert s.executor.actions == ["retry", "reconnect", "retry"]


def test_error_before_the_verification_began_is_covered_by_it(scene):
    async def body(s):
        first = s.start()
        await asyncio.sleep(0.5)
        assert s.manager.is_recovering("A")
        assert await s.start(MarketDataError("BTC", "stale", context={"adapter": "A"}))
        assert await first
        assert not s.manager.is_recovering("A")

    s = scene(body, supported=(RecoveryAction.RECONNECT,), verdicts=[True], takes=1.0)
    assert s.executor.actions == ["reconnect"]


def test_error_that_the_verification_does_not_look_at_is_not_lost(scene):
    """A broken component during a connection's recovery: it is restarted afterwards."""

    async def body(s):
        s.executor.covered = (ErrorCategory.CONNECTION,)
        first = s.start()
        await asyncio.sleep(0.5)
        broken = s.start(ComponentError("A", "crash", recoverable=True, context={"adapter": "A"}))
        assert await first
        assert await broken

    s = scene(body, verdicts=[True, True], takes=1.0)
    assert s.executor.actions == ["retry", "restart_component"]


def test_failure_is_shared_by_those_who_would_climb_the_same_ladder(scene):
    async def body(s):
        first = s.start()
        await asyncio.sleep(0.5)
        same, other = s.start(), s.start(RateLimitError("A", 0.0))
        assert not await first
        assert not await same
        assert not await other

    s = scene(body, supported=(RecoveryAction.RETRY,), takes=1.0)
    assert s.executor.actions == ["retry"] * 4  # two for each ladder
    assert [e.strategy for e in s.events if e.kind == "started"] == [
        "ConnectionRecoveryStrategy",
        "RateLimitRecoveryStrategy",
    ]


def test_cancelled_climber_hands_the_climb_over(scene):
    """A caller that gives up takes nobody's recovery with it."""

    async def body(s):
        first = s.start()
        await asyncio.sleep(0.5)
        second = s.start()
        await asyncio.sleep(0)
        first.cancel()
        assert await second

    s = scene(body, supported=(RecoveryAction.RECONNECT,), verdicts=[True], takes=1.0)
    assert s.executor.done == [(0.0, "reconnect"), (0.5, "reconnect")]
    assert s.kinds == ["started", "step", "joined", "failed", "started", "step", "succeeded"]
    assert s.manager.recovery_history[0]["reason"] == "cancelled"


def test_cancelled_joiner_leaves_the_climb_alone(scene):
    async def body(s):
        first = s.start()
        await asyncio.sleep(0.5)
        second = s.start()
        await asyncio.sleep(0.1)
        second.cancel()
        assert await first

    s = scene(body, supported=(RecoveryAction.RECONNECT,), verdicts=[True], takes=1.0)
    assert s.executor.actions == ["reconnect"]


def test_what_was_not_attempted_is_recorded_with_the_reason(scene):
    async def body(s):
        assert not await s.handle(OrderRejectionError("o1", "no money"))
        s.manager.strategies.clear()
        assert not await s.handle()

    s = scene(body)
    assert s.kinds == ["skipped", "skipped"]
    assert [(r["reason"], r["attempted"]) for r in s.manager.recovery_history] == [
        ("not recoverable", False),
        ("no strategy for it", False),
    ]
