"""Recovery: ladders that end, one climb per adapter, waits, deadlines, what counts as success."""

from __future__ import annotations

import asyncio
import enum
import functools
import itertools
import threading
from random import Random

import pytest

from foxtrot.util.errors import (
    AdapterConnectionError,
    AuthenticationError,
    ComponentError,
    ErrorCategory,
    ErrorSeverity,
    FoxtrotError,
    MarketDataError,
    OrderRejectionError,
    RateLimitError,
)
from foxtrot.util.recovery import (
    DEFAULT_LADDERS,
    ConnectionRecoveryStrategy,
    ErrorRecoveryManager,
    LadderStrategy,
    RateLimitRecoveryStrategy,
    RecoveryAction,
    RecoveryEvent,
    RecoveryStrategy,
    Rung,
    default_strategies,
)
from harness.kernel import VirtualClock, run_virtual

REPAIRS = ["retry", "reconnect", "restart_component"]


class Scripted:
    """An executor that notes what it is told, and whose verification says what it was told to.

    It insists on being told of which error, and by which action.
    """

    def __init__(self, loop, *, verdicts=(), supported=tuple(RecoveryAction), takes=0.0, quiet=0.0):
        self.loop = loop
        self.done = []
        self.verdicts = list(verdicts)
        self.supported = supported
        self.takes = takes
        self.quiet_until = loop.time() + quiet
        self.raises = None
        self.hangs = False
        self.covered = tuple(ErrorCategory)

    def supports(self, action, error):
        assert isinstance(error, FoxtrotError)
        return action in self.supported

    async def perform(self, action, error):
        assert isinstance(error, FoxtrotError)
        self.done.append((round(self.loop.time(), 3), action.value))
        if self.hangs:
            await asyncio.Event().wait()
        await asyncio.sleep(self.takes)
        if self.raises is not None:
            raise self.raises

    async def verify(self, action, error):
        assert isinstance(error, FoxtrotError)
        assert action.value == self.actions[-1]
        await asyncio.sleep(self.takes)
        return self.verdicts.pop(0) if self.verdicts else False

    def covers(self, error):
        return error.category in self.covered

    def wait(self, error):
        assert isinstance(error, FoxtrotError)
        return max(0.0, self.quiet_until - self.loop.time())

    @property
    def actions(self):
        return [action for _, action in self.done]


class Scene:
    def __init__(self, loop, **options):
        self.loop = loop
        strategies = options.pop("strategies", None)
        self.executor = Scripted(loop, **options)
        self.events = []
        self.manager = ErrorRecoveryManager(
            strategies,
            clock=VirtualClock(loop),
            rng=Random(1),
            base_delay=1.0,
            max_delay=8.0,
            listeners=[self.events.append],
        )

    def handle(self, error=None, attempts=3):
        error = error or down()
        return self.manager.handle_error(error, {"executor": self.executor}, attempts)

    def start(self, error=None):
        return asyncio.create_task(self.handle(error))

    @property
    def kinds(self):
        return [event.kind for event in self.events]


@pytest.fixture
def scene():
    """Runs `body(scene)` in virtual time; returns the scene."""

    def run(body, **options):
        async def main(loop):
            made = Scene(loop, **options)
            await body(made)
            return made

        return run_virtual(main, max_time=1e6)

    return run


def down(**overrides):
    return AdapterConnectionError("A", "reset", **overrides)


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


@pytest.mark.parametrize("action", [RecoveryAction.RECONNECT, RecoveryAction.RETRY])
def test_what_works_again_and_does_not_last_is_tried_ever_more_slowly(scene, action):
    """Each was a success, so that no ladder ends it: one relapse may be chance."""

    async def body(s):
        for _ in range(5):
            assert await s.handle()
        assert await s.handle(AdapterConnectionError("B", "reset"))

    s = scene(body, supported=(action,), verdicts=[True] * 6)
    waits = [after - before for (before, _), (after, _) in itertools.pairwise(s.executor.done)]
    assert waits[0] == 0.0
    assert 0.5 <= waits[1] <= 1.5
    assert 1.0 <= waits[2] <= 3.0
    assert 2.0 <= waits[3] <= 6.0
    assert waits[4] == 0.0  # another adapter has no part in it


@pytest.mark.parametrize(("lasted", "is_relapse"), [(7.75, True), (8.0, False)])
def test_connection_that_lasted_longer_than_the_longest_wait_is_no_relapse(
    scene, lasted, is_relapse
):
    async def body(s):
        for _ in range(3):
            assert await s.handle()
        await asyncio.sleep(lasted)
        s.reopened_from = s.loop.time()
        assert await s.handle()

    s = scene(body, supported=(RecoveryAction.RECONNECT,), verdicts=[True] * 4)
    assert (s.executor.done[-1][0] > s.reopened_from) == is_relapse


def test_to_look_again_is_no_reconnect_and_slows_none_down(scene):
    async def body(s):
        for _ in range(5):
            s.executor.supported = {RecoveryAction.RETRY}
            assert await s.handle()
        s.executor.supported = {RecoveryAction.RECONNECT}
        s.began = s.loop.time()
        assert await s.handle()

    s = scene(body, verdicts=[True] * 6)
    assert s.executor.done[-1] == (round(s.began, 3), "reconnect")


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


class Own(RecoveryStrategy):
    """A strategy of a user's."""

    deadline = 2.0

    def __init__(self, results):
        self.results = list(results)
        self.told = []

    async def can_handle(self, error):
        return True

    async def execute_recovery(self, error, context):
        self.told.append((asyncio.get_running_loop().time(), error, context))
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        if result is None:
            await asyncio.sleep(60)
        return result


def test_strategy_of_ones_own_is_tried_with_backoff_and_deadline(scene):
    async def body(s):
        assert await s.handle()

    s = scene(body, strategies=[Own([None, ValueError("x"), True])])
    assert s.kinds == ["started", "step", "step_failed", "step", "step_failed", "step", "succeeded"]
    assert s.manager.recovery_history[0]["strategy"] == "Own"


def test_strategy_of_ones_own_is_told_the_error_and_the_context(scene):
    own, error = Own([False, False, True]), down()

    async def body(s):
        assert await s.handle(error)
        assert [told for _, *told in own.told] == [[error, {"executor": s.executor}]] * 3

    scene(body, strategies=[own])
    first, second, third = (at for at, *_ in own.told)
    assert first == 0.0
    assert 0.5 <= second - first <= 1.5  # the base delay, spread
    assert 1.0 <= third - second <= 3.0  # twice that


def test_ladder_can_be_executed_rung_by_rung(scene):
    async def body(s):
        strategy = LadderStrategy(ErrorCategory.CONNECTION, [Rung(RecoveryAction.RETRY)] * 2)
        assert await strategy.can_handle(down())
        assert await strategy.execute_recovery(down(), {"executor": s.executor})
        assert not await strategy.execute_recovery(down(), {"executor": s.executor})

    assert scene(body, verdicts=[False, True]).executor.actions == ["retry"] * 4


def test_strategies_of_the_seed_are_there_for_every_category():
    strategies = default_strategies()
    assert isinstance(strategies[0], ConnectionRecoveryStrategy)
    assert isinstance(strategies[1], RateLimitRecoveryStrategy)
    assert {s.category for s in strategies} == set(ErrorCategory)


# Bare adapters.


class SeedShaped:
    """As the seed has adapters: coroutines, and a status that is text."""

    def __init__(self, fails=0, dead=False):
        self.status = "disconnected"
        self.calls = []
        self.fails = fails
        self.dead = dead

    async def disconnect(self):
        self.calls.append("disconnect")
        if self.dead:
            raise OSError("bad file descriptor")

    async def connect(self):
        self.calls.append("connect")
        if self.fails:
            self.fails -= 1
            raise ConnectionRefusedError(111, "refused")
        self.status = "connected"


class UpstreamShaped:
    """As upstream has them: plain functions that block, run in whatever thread calls."""

    setting = {"key": "k"}  # noqa: RUF012

    def __init__(self, answers=(True,)):
        self.connected = False
        self.calls = []
        self.answers = list(answers)
        self.threads = set()

    def connect(self, setting):
        self.threads.add(threading.current_thread())
        self.calls.append(("connect", setting))
        self.connected = self.answers.pop(0)
        return self.connected

    def close(self):
        self.calls.append("close")

    def ping(self):
        self.calls.append("ping")


async def recover(adapter, error=None, **options):
    manager = ErrorRecoveryManager(base_delay=0.001, max_delay=0.002, **options)
    recovered = await manager.handle_error(error or down(), {"adapters": {"A": adapter}})
    return recovered, manager


@pytest.mark.asyncio
async def test_bare_adapter_of_the_seed_is_reconnected():
    adapter = SeedShaped(fails=1)
    recovered, manager = await recover(adapter)
    assert recovered
    assert adapter.calls == ["disconnect", "connect", "disconnect", "connect"]
    assert manager.recovery_history[-1]["success"]


@pytest.mark.asyncio
async def test_dead_socket_does_not_keep_from_connecting():
    """Seed 2.5 #3: disconnect raises, the usual case, and connect is tried all the same."""
    adapter = SeedShaped(dead=True)
    assert (await recover(adapter))[0]
    assert adapter.calls == ["disconnect", "connect"]


@pytest.mark.asyncio
async def test_adapter_that_stays_down_is_not_recovered():
    recovered, manager = await recover(SeedShaped(fails=99))
    assert not recovered
    assert not manager.recovery_history[-1]["success"]


@pytest.mark.asyncio
async def test_bare_adapter_of_upstreams_shape_is_reconnected():
    """Seed 2.5 #2: with its setting, off the event loop, and judged by what it says and a ping."""
    adapter = UpstreamShaped([False, True])
    recovered, _ = await recover(adapter)
    assert recovered
    connect = ("connect", {"key": "k"})
    assert adapter.calls == ["close", connect, "close", connect, "ping"]
    assert threading.current_thread() not in adapter.threads


@pytest.mark.asyncio
async def test_connect_that_answers_false_has_failed_and_says_so():
    events = []
    adapter = UpstreamShaped([False, True])
    assert (await recover(adapter, listeners=[events.append]))[0]
    reasons = [event.reason for event in events if event.kind == "step_failed"]
    assert len(reasons) == 1
    assert reasons[0].startswith("AdapterConnectionError: ")
    assert "Adapter A" in reasons[0]
    assert "connect() returned False" in reasons[0]


@pytest.mark.asyncio
async def test_adapter_without_a_setting_connects_with_its_default_setting():
    """As upstream's user interface does."""

    class Fresh(UpstreamShaped):
        setting = None
        default_setting = {"host": "127.0.0.1"}  # noqa: RUF012

    adapter = Fresh()
    assert (await recover(adapter))[0]
    assert ("connect", {"host": "127.0.0.1"}) in adapter.calls


@pytest.mark.asyncio
async def test_adapter_without_any_setting_connects_with_an_empty_one():
    adapter = UpstreamShaped()

    class Bare:
        connected = False
        close, ping = adapter.close, adapter.ping

        def connect(self, setting):
            self.connected = adapter.connect(setting)
            return self.connected

    assert (await recover(Bare()))[0]
    assert ("connect", {}) in adapter.calls


@pytest.mark.asyncio
async def test_setting_that_is_optional_is_left_to_the_adapter():
    class Optional(UpstreamShaped):
        def connect(self, setting=None):
            return super().connect(setting)

    adapter = Optional()
    assert (await recover(adapter))[0]
    assert ("connect", None) in adapter.calls


@pytest.mark.asyncio
async def test_plain_function_that_returns_an_awaitable_is_awaited():
    """As a decorated coroutine function often is."""
    adapter = SeedShaped()
    adapter.connect = functools.partial(SeedShaped.connect.__call__, adapter)
    assert (await recover(adapter))[0]
    assert adapter.calls == ["disconnect", "connect"]


@pytest.mark.asyncio
async def test_adapter_nobody_knows_cannot_be_recovered():
    manager = ErrorRecoveryManager()
    assert not await manager.handle_error(down(), {})
    assert manager.recovery_history[-1]["attempts"] == 0


@pytest.mark.asyncio
async def test_status_may_be_an_enum():
    from foxtrot.adapter.base_adapter import AdapterStatus

    adapter = SeedShaped()
    adapter.status = AdapterStatus.CONNECTED
    assert (await recover(adapter))[0]
    assert adapter.calls == []  # looked at again, which was enough


@pytest.mark.asyncio
async def test_status_may_be_an_enum_that_is_no_text():
    adapter = SeedShaped()
    adapter.status = enum.Enum("Status", {"UP": "connected"}).UP
    assert (await recover(adapter))[0]
    assert adapter.calls == []


def test_bare_adapter_is_looked_at_without_delay(scene):
    """There is nobody to leave alone: only a rate limit asks for that."""

    async def body(s):
        adapter = SeedShaped()
        adapter.status = "connected"
        error = down(retry_after=30.0)
        assert await s.manager.handle_error(error, {"adapters": {"A": adapter}})
        assert s.loop.time() == 0.0

    assert scene(body).kinds == ["started", "step", "succeeded"]


def test_bare_rate_limit_is_waited_for_once(scene):
    """Seed 2.5 #4: not success by sleeping, and not the whole wait again for each attempt."""

    async def body(s):
        adapter = SeedShaped(fails=1)
        error = RateLimitError("A", 30.0)
        assert await s.manager.handle_error(error, {"adapters": {"A": adapter}})
        assert 30.0 < s.loop.time() < 40.0

    scene(body)


def test_bare_verification_covers_connections_only(scene):
    async def body(s):
        adapter = SeedShaped()
        release = asyncio.Event()
        plain = adapter.connect

        async def slow():
            await release.wait()
            await plain()

        adapter.connect = slow
        context = {"adapters": {"A": adapter}}
        first = asyncio.create_task(s.manager.handle_error(down(), context))
        await asyncio.sleep(1)
        limited = asyncio.create_task(s.manager.handle_error(RateLimitError("A", 5.0), context))
        same = asyncio.create_task(s.manager.handle_error(down(), context))
        await asyncio.sleep(1)
        release.set()
        assert await asyncio.gather(first, same, limited) == [True, True, True]

    assert scene(body).kinds.count("started") == 2
