"""Ladders that end: which step comes when, how often, and what counts as success."""

from __future__ import annotations

import asyncio
import itertools
from random import Random

import pytest

from foxtrot.util.errors import (
    AuthenticationError,
    ComponentError,
    ErrorCategory,
    ErrorSeverity,
    FoxtrotError,
    RateLimitError,
)
from foxtrot.util.recovery import (
    DEFAULT_LADDERS,
    ErrorRecoveryManager,
    LadderStrategy,
    RecoveryAction,
    Rung,
)
from harness.kernel import VirtualClock

from .scenes import down


def test_first_verified_step_ends_the_climb(scene):
    async def body(s):
        assert await s.handle()

    s = scene(body, verdicts=[False, True])
    assert s.executor.actions == ["retry", "retry"]
    assert s.kinds == ["started", "step", "step", "succeeded"]
    record = s.manager.recovery_history[-1]
    assert record["success"]
    assert (record["attempts"], record["attempted"], record["reason"]) == (2, True, "")
    assert record["strategy"] == "ConnectionRecoveryStrategy"


@pytest.mark.parametrize("category", list(ErrorCategory))
def test_every_ladder_ends_with_a_person(scene, category):
    """However often nothing helps: finitely many steps, the cheapest first, and a person last."""

    async def body(s):
        error = FoxtrotError("x", category=category, recoverable=True, context={"adapter": "A"})
        assert not await s.handle(error, attempts=50)

    s = scene(body)
    actions = [rung.action.value for rung in DEFAULT_LADDERS[category]]
    assert list(dict.fromkeys(s.executor.actions)) == actions
    assert s.executor.actions[-1] == "alert_operator"
    assert len(s.executor.actions) <= 3 + 50 * len(actions)
    assert s.kinds[-1] == "failed"


def test_each_rung_is_tried_three_times_unless_told_otherwise(scene):
    async def body(s):
        assert not await s.manager.handle_error(down(), {"executor": s.executor})

    s = scene(body, supported=(RecoveryAction.RECONNECT,))
    assert s.executor.actions == ["reconnect"] * 3


def test_a_switch_that_was_taken_holds_back_no_later_rung(scene):
    """Only a standby still ahead is a reason to try this adapter no longer."""
    switch = Rung(RecoveryAction.SWITCH_ADAPTER, attempts=1)
    ladder = LadderStrategy(ErrorCategory.CONNECTION, [switch, Rung(RecoveryAction.RECONNECT)])

    async def body(s):
        assert not await s.handle(attempts=5)

    s = scene(body, strategies=[ladder])
    assert s.executor.actions == ["switch_adapter", *["reconnect"] * 5]


def test_a_switch_on_the_very_next_rung_is_seen(scene):
    switch = Rung(RecoveryAction.SWITCH_ADAPTER, attempts=1)
    ladder = LadderStrategy(ErrorCategory.CONNECTION, [Rung(RecoveryAction.RECONNECT), switch])

    async def body(s):
        assert not await s.handle(attempts=5)

    s = scene(body, strategies=[ladder])
    assert s.executor.actions == [*["reconnect"] * 3, "switch_adapter"]


def test_fatal_error_ends_in_a_shutdown(scene):
    async def body(s):
        error = ComponentError("core", "gone", severity=ErrorSeverity.CRITICAL, recoverable=True)
        assert not await s.handle(error)

    actions = scene(body).executor.actions
    assert actions[-2:] == ["alert_operator", "graceful_shutdown"]


def test_actions_that_cannot_be_taken_are_left_out(scene):
    async def body(s):
        assert not await s.handle()

    s = scene(body, supported=(RecoveryAction.RECONNECT,))
    assert s.executor.actions == ["reconnect"] * 3


def test_attempts_back_off_and_spread(scene):
    """Doubling from the base delay, never in step, never above the cap."""

    async def body(s):
        await s.handle(attempts=8)

    s = scene(body, supported=(RecoveryAction.RECONNECT,))
    times = [t for t, _ in s.executor.done]
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert len(waits) == 7
    assert waits[0] < waits[2] < waits[4]
    assert all(0.5 <= wait <= 8.0 for wait in waits)
    assert len(set(waits)) == 7


def test_waits_start_at_half_a_second_and_end_at_six_unless_told_otherwise(scene):
    """Half of that to half more, so that adapters that broke together come back apart."""

    async def body(s):
        manager = ErrorRecoveryManager(clock=VirtualClock(s.loop), rng=Random(1))
        assert not await manager.handle_error(down(), {"executor": s.executor}, 40)

    s = scene(body, supported=(RecoveryAction.RECONNECT,))
    times = [t for t, _ in s.executor.done]
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert 0.25 <= waits[0] <= 0.75
    assert 5.0 < max(waits) <= 6.0


def test_with_a_standby_three_failures_are_enough(scene):
    async def body(s):
        assert await s.handle(attempts=60)

    s = scene(body, verdicts=[False] * 7 + [True])
    assert s.executor.actions == [
        *["retry"] * 2,
        *["reconnect"] * 3,
        *["restart_component"] * 2,
        "switch_adapter",
    ]


def test_with_a_standby_a_silent_venue_is_given_up_in_bounded_time(scene):
    """Each try lasts as long as it may; without a bound on all of them it would be a minute."""

    async def body(s):
        s.executor.hangs = True
        assert not await s.handle(attempts=60)

    s = scene(body)
    assert s.executor.actions[:2] == ["retry", "switch_adapter"]
    assert s.executor.done[1][0] == 12.0


def test_last_try_before_the_switch_is_cut_to_what_is_left(scene):
    async def body(s):
        s.executor.takes = 2.5  # and the waits between the tries count as well
        assert await s.handle(attempts=60)

    s = scene(body, verdicts=[False] * 2 + [True])
    assert s.executor.actions == ["retry", "retry", "reconnect", "switch_adapter"]
    wait = s.executor.done[1][0] - 5.0
    assert s.executor.done[-1][0] == pytest.approx(max(12.0, 11.0 + wait))


def test_without_a_standby_a_silent_venue_is_not_given_up(scene):
    async def body(s):
        s.executor.hangs = True
        assert not await s.handle(attempts=3)
        assert s.loop.time() > 90.0

    supported = set(RecoveryAction) - {RecoveryAction.SWITCH_ADAPTER}
    assert scene(body, supported=supported).executor.actions.count("reconnect") == 3


def test_quiet_that_the_venue_asks_for_is_no_silence(scene):
    async def body(s):
        s.executor.takes = 20.0
        s.loop.call_later(5.0, setattr, s.executor, "quiet_until", 45.0)
        assert not await s.handle(attempts=1)

    assert scene(body).executor.actions[:3] == ["retry", "reconnect", "switch_adapter"]


def test_step_that_hangs_is_cut_off_at_its_deadline(scene):
    async def body(s):
        s.executor.hangs = True
        assert not await s.handle(attempts=1)
        assert s.loop.time() == 15.0

    s = scene(body, supported=(RecoveryAction.RECONNECT,))
    assert s.kinds == ["started", "step", "step_failed", "failed"]
    assert s.events[2].reason.startswith("TimeoutError")


def test_step_that_raises_has_failed_and_the_next_is_taken(scene):
    async def body(s):
        s.executor.raises = ZeroDivisionError("x")
        assert not await s.handle(attempts=1)

    s = scene(body, supported=(RecoveryAction.RETRY, RecoveryAction.RECONNECT))
    assert s.executor.actions == ["retry", "reconnect"]
    assert [e.reason for e in s.events if e.kind == "step_failed"] == ["ZeroDivisionError: x"] * 2


def test_step_that_raises_what_cannot_describe_itself_has_failed_too(scene, odd):
    """And a secret in what it says is redacted."""

    async def body(s):
        s.executor.raises = odd()
        assert not await s.handle(attempts=1)
        s.executor.raises = OSError("GET /order?signature=abc")
        assert not await s.handle(attempts=1)

    s = scene(body, supported=(RecoveryAction.RETRY, RecoveryAction.RECONNECT))
    assert s.executor.actions == ["retry", "reconnect"] * 2
    assert [e.reason for e in s.events if e.kind == "step_failed"] == [
        *["Odd: <Odd whose __str__ raised AttributeError>"] * 2,
        *["OSError: GET /order?signature=[redacted]"] * 2,
    ]


def test_waiting_is_not_recovery(scene):
    """After the wait that a rate limit asks for, the outside must confirm."""

    async def body(s):
        assert not await s.handle(RateLimitError("A", 60.0))

    s = scene(body, quiet=60.0)
    assert s.executor.done[0] == (60.0, "retry")
    assert s.kinds[-1] == "failed"


def test_wait_of_the_venue_is_no_part_of_a_deadline(scene):
    """A ban of ten minutes: asked again when it is over, and not before."""

    async def body(s):
        assert await s.handle(RateLimitError("A", 600.0))

    s = scene(body, quiet=600.0, verdicts=[True])
    assert s.executor.done == [(600.0, "retry")]


def test_person_hears_of_a_long_ban_when_it_begins(scene):
    async def body(s):
        assert await s.handle(RateLimitError("A", 259_200.0))

    s = scene(body, quiet=259_200.0, verdicts=[True])
    assert s.executor.done == [(0.0, "alert_operator"), (259_200.0, "retry")]


def test_lockout_stops_repairs_and_calls_a_person(scene):
    """Reconnecting with a key that is not accepted gets it banned: one try, then a person."""

    async def body(s):
        s.executor.raises = AuthenticationError("A", "key revoked")
        assert not await s.handle(attempts=60)

    assert scene(body).executor.actions == ["retry", "switch_adapter", "alert_operator"]


def test_what_turns_out_to_be_broken_is_built_anew_at_once(scene):
    """Twenty attempts to connect what cannot connect only cost time."""

    async def body(s):
        s.executor.raises = ComponentError("A", "its reader task has died")
        assert not await s.handle(attempts=20)

    actions = scene(body).executor.actions
    assert actions == ["retry", *["restart_component"] * 2, "switch_adapter", "alert_operator"]


def test_a_component_that_breaks_while_a_limit_is_waited_out_is_built_anew(scene):
    async def body(s):
        s.executor.raises = ComponentError("A", "its reader task has died")
        assert not await s.handle(RateLimitError("A", 1.0), attempts=20)

    actions = scene(body).executor.actions
    assert actions == ["retry", *["restart_component"] * 2, "switch_adapter", "alert_operator"]


def test_skew_is_no_lockout(scene):
    async def body(s):
        s.executor.raises = AuthenticationError("A", "skew", recoverable=True)
        assert not await s.handle(attempts=3)

    s = scene(body, supported=(RecoveryAction.RECONNECT,))
    assert s.executor.actions == ["reconnect"] * 3


def test_twenty_errors_make_one_reconnect(scene):
    async def body(s):
        results = await asyncio.gather(*(s.handle() for _ in range(20)))
        assert results == [True] * 20

    s = scene(body, supported=(RecoveryAction.RECONNECT,), verdicts=[True], takes=0.5)
    assert s.executor.actions == ["reconnect"]
    assert s.kinds == ["started", "step", *["joined"] * 19, "succeeded"]
    reasons = [record["reason"] for record in s.manager.recovery_history]
    assert reasons == ["", *["joined a recovery under way"] * 19]
