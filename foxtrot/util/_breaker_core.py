"""The breaker's decisions: who may call, and what a result changes. No clock, lock or user code.

Every method is handed `now` in monotonic seconds. What happened is left in `events` for whoever
drives the core, who holds a lock around each call and none while it passes the events on.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable

from foxtrot.util._breaker_records import (
    BreakerEvent,
    BreakerEventKind,
    BreakerMetrics,
    BreakerMode,
    CallOutcome,
    CircuitState,
    Generation,
    Grant,
    Tally,
)
from foxtrot.util._breaker_rules import Rules
from foxtrot.util._breaker_window import Window

__all__ = ["BreakerCore"]

# A caller who sleeps for exactly `retry_after` must find the gate open. Clocks that count in
# nanoseconds (the harness) or from 1970 (freezegun) round a sum of floats by less than this.
_SLACK = 1e-6


# What results and time can do. An operator can go from anywhere to OPEN or CLOSED.
_BY_ITSELF = frozenset(
    {
        (CircuitState.CLOSED, CircuitState.OPEN),
        (CircuitState.OPEN, CircuitState.HALF_OPEN),
        (CircuitState.HALF_OPEN, CircuitState.OPEN),
        (CircuitState.HALF_OPEN, CircuitState.CLOSED),
    }
)


class BreakerCore:
    """The state machine of one breaker.

    Attributes:
        lane: The generation in which a call may go and a success may return without asking here,
            or None while every result matters. Read without a lock: a call compares it by
            identity before and after, so a transition between the two sends it the long way.
        passed: Raised once per call that came and succeeded in the lane.
        events: What happened and was not passed on yet, oldest first.
    """

    def __init__(self, name: str, rules: Rules) -> None:
        self.name = name
        self.rules = rules
        self.state = CircuitState.CLOSED
        self.mode = BreakerMode.AUTOMATIC
        self.failure_count = 0
        self.open_time = rules.timeout
        self.open_until = -math.inf
        self.held_until = -math.inf
        self.lane: Generation | None = None
        self.events: deque[BreakerEvent] = deque()
        self.passed = Tally()
        self._counts: Counter[str] = Counter()
        self._window = Window(rules.window_seconds)
        self._begin_generation()

    # -- admission and results

    def admit(self, now: float, within: Iterable[Grant] = ()) -> Grant | None:
        """Let a call through, or return None. Moves an open breaker whose time is over.

        A call made within a probe that is still out is a part of that probe, which tells how it
        went: it goes through under a grant that is settled already.
        """
        self._advance(now)
        if any(probe in self._probes for probe in within):
            return Grant(None, is_settled=True)
        grant = self._grant(now)
        if grant is None and self.mode is BreakerMode.SHADOW:
            self._counts["shadowed"] += 1
            self._emit(BreakerEventKind.BLOCKED, now, "shadow")
            grant = Grant(None, now)
        elif grant is None:
            self._counts["blocked"] += 1
            self._emit(BreakerEventKind.BLOCKED, now, self.state.value)
        if grant is not None:
            self._counts["admitted"] += 1
        return grant

    def settle(
        self,
        grant: Grant,
        outcome: CallOutcome,
        now: float,
        *,
        reason: str = "",
        retry_after: float | None = None,
        asked: float | None = None,
    ) -> None:
        """Take the result of an admitted call. The first report of a grant counts.

        A late one changes nothing, but for the seconds of quiet that the venue itself has `asked`
        for: whichever call was told of a ban, it is one for all.
        """
        self._advance(now)
        if grant.is_settled:
            return
        grant.is_settled = True
        if grant.started is None:
            self._counts["admitted"] += 1
        if not self._is_current(grant):
            self._counts["late"] += 1
            self._emit(BreakerEventKind.LATE, now, outcome.value)
            is_of_no_weight = outcome is CallOutcome.NEUTRAL or self.mode is BreakerMode.DISABLED
            if asked and not is_of_no_weight:
                self.hold(asked, now)
            return
        self._counts[outcome.value] += 1
        if grant.lease_until is not None:
            self._probes.remove(grant)
        if outcome is CallOutcome.NEUTRAL or not self._decides(grant):
            return
        slow = grant.started is not None and self.rules.is_slow(now - grant.started)
        if outcome is not CallOutcome.SUCCESS:
            self._note_failure(now, reason or outcome.value, retry_after)
        if self.state is CircuitState.HALF_OPEN:
            self._take_probe(now, failed=outcome is not CallOutcome.SUCCESS, slow=slow)
        else:
            self._take_call(now, failed=outcome is not CallOutcome.SUCCESS, slow=slow)

    # -- what an operator, or the venue, says

    def switch(self, mode: BreakerMode, now: float, reason: str) -> None:
        """Start afresh under `mode`: counts, windows and open time forgotten, holds kept."""
        self._advance(now)
        before = self.state
        self.mode = mode
        self.failure_count = 0
        self.open_time = self.rules.timeout
        self.open_until = math.inf if mode is BreakerMode.FORCED_OPEN else -math.inf
        self.state = CircuitState.OPEN if mode is BreakerMode.FORCED_OPEN else CircuitState.CLOSED
        self._begin_generation()
        self._emit_change(before, now, reason)

    def hold(self, seconds: float, now: float) -> None:
        """Let no open window end sooner than in `seconds`; one that has ended opens again."""
        self._advance(now)
        self.held_until = max(self.held_until, now + seconds)
        self._emit(BreakerEventKind.HOLD, now, "hold")
        if self.state is CircuitState.OPEN:
            self.open_until = max(self.open_until, self.held_until)
        elif self.state is CircuitState.HALF_OPEN and not self._is_over(self.held_until, now):
            self._move(CircuitState.OPEN, now, "hold", open_until=self.held_until)

    def resume(
        self,
        *,
        mode: BreakerMode,
        state: CircuitState,
        failure_count: int,
        open_time: float,
        open_until: float,
        held_until: float,
        now: float,
    ) -> None:
        """Take over what another breaker of this name left, in a generation of its own."""
        before = self.effective_state(now)
        self.mode, self.state, self.failure_count = mode, state, failure_count
        self.open_time, self.open_until, self.held_until = open_time, open_until, held_until
        self._begin_generation()
        self._emit_change(before, now, "restored")

    # -- what can be asked; none of these changes anything

    def effective_state(self, now: float) -> CircuitState:
        """The state a caller would meet: HALF_OPEN as soon as the open time has passed."""
        if self.state is CircuitState.OPEN and self._is_over(self.open_until, now):
            return CircuitState.HALF_OPEN
        return self.state

    def retry_after(self, now: float) -> float | None:
        """Seconds until a probe may go. None if closed, forced open, or all probes are out."""
        state = self.effective_state(now)
        if state is CircuitState.OPEN:
            return self.open_until - now if math.isfinite(self.open_until) else None
        if state is CircuitState.HALF_OPEN and self._has_free_probe(now):
            return 0.0
        return None

    def metrics(self) -> BreakerMetrics:
        """The counts so far."""
        passed = self.passed.read()
        return BreakerMetrics(
            admitted=self._counts["admitted"] + passed,
            blocked=self._counts["blocked"],
            shadowed=self._counts["shadowed"],
            success=self._counts["success"] + passed,
            failure=self._counts["failure"],
            neutral=self._counts["neutral"],
            unknown=self._counts["unknown"],
            late=self._counts["late"],
            expired=self._counts["expired"],
            transitions=self._counts["transitions"],
        )

    # -- the inside

    def _advance(self, now: float) -> None:
        """What time alone changes: an open window ends, a lease ends."""
        if self.state is CircuitState.OPEN and self._is_over(self.open_until, now):
            self._move(CircuitState.HALF_OPEN, now, "open_time_over")
        if not self._probes:
            return
        for probe in [p for p in self._probes if not self._holds_lease(p, now)]:
            self._probes.remove(probe)
            self._counts["expired"] += 1
            self._emit(BreakerEventKind.EXPIRED, now, "lease_over")

    def _grant(self, now: float) -> Grant | None:
        if self.state is CircuitState.CLOSED:
            return Grant(self._generation, now)
        if self.state is CircuitState.OPEN or not self._has_free_probe(now):
            return None
        probe = Grant(self._generation, now, now + self.rules.permit_lease)
        self._probes.append(probe)
        return probe

    def _is_current(self, grant: Grant) -> bool:
        if grant.generation is None:
            return True
        if grant.generation is not self._generation:
            return False
        return grant.lease_until is None or grant in self._probes

    def _decides(self, grant: Grant) -> bool:
        return grant.generation is not None and self.mode is not BreakerMode.DISABLED

    def _note_failure(self, now: float, reason: str, retry_after: float | None) -> None:
        if self.state is CircuitState.CLOSED:
            self.failure_count += 1
        if retry_after is not None:
            self.held_until = max(self.held_until, now + retry_after)
        self._emit(BreakerEventKind.FAILURE, now, reason)

    def _take_call(self, now: float, *, failed: bool, slow: bool) -> None:
        if not failed:
            self.failure_count = 0
        if self.rules.uses_window:
            self._window.add(now, failed=failed, slow=slow)
        reason = self._why_trip()
        if reason is not None:
            self._open(now, reason)
        self._set_lane()

    def _take_probe(self, now: float, *, failed: bool, slow: bool) -> None:
        # A probe that answers slowly has not shown a recovered venue: it would close the breaker
        # for the next slow calls to open it.
        if failed or slow:
            self.open_time = self.rules.grown(self.open_time)
            self._open(now, "probe_failed" if failed else "probe_slow")
            return
        self._successes += 1
        if self._successes >= self.rules.success_threshold:
            self.failure_count = 0
            self.open_time = self.rules.timeout
            self._move(CircuitState.CLOSED, now, "probes_succeeded")

    def _why_trip(self) -> str | None:
        rules, window = self.rules, self._window
        if self.failure_count >= rules.failure_threshold:
            return "consecutive_failures"
        if window.calls < rules.minimum_calls:
            return None
        if _reaches(window.failure_rate, rules.failure_rate_threshold):
            return "failure_rate"
        if _reaches(window.slow_rate, rules.slow_call_rate_threshold):
            return "slow_call_rate"
        return None

    def _open(self, now: float, reason: str) -> None:
        until = max(now + self.open_time, self.held_until)
        self._move(CircuitState.OPEN, now, reason, open_until=until)

    def _move(
        self, to: CircuitState, now: float, reason: str, *, open_until: float = -math.inf
    ) -> None:
        assert (self.state, to) in _BY_ITSELF
        before, self.state, self.open_until = self.state, to, open_until
        self._begin_generation()
        self._emit_change(before, now, reason)

    def _begin_generation(self) -> None:
        self._generation = Generation()
        self._probes: list[Grant] = []
        self._successes = 0
        self._window.clear()
        self._set_lane()

    def _set_lane(self) -> None:
        is_quiet = self.failure_count == 0 and not self.rules.uses_window
        is_free = self.state is CircuitState.CLOSED and is_quiet
        self.lane = self._generation if is_free else None

    def _has_free_probe(self, now: float) -> bool:
        out = sum(self._holds_lease(probe, now) for probe in self._probes)
        return out < self.rules.half_open_max_calls

    @staticmethod
    def _holds_lease(probe: Grant, now: float) -> bool:
        return probe.lease_until is not None and now < probe.lease_until

    @staticmethod
    def _is_over(until: float, now: float) -> bool:
        return now >= until - _SLACK

    def _emit_change(self, before: CircuitState, now: float, reason: str) -> None:
        kind = BreakerEventKind.MODE
        if before is not self.state:
            kind = BreakerEventKind.STATE
            self._counts["transitions"] += 1
        self._emit(kind, now, reason, before)

    def _emit(
        self, kind: BreakerEventKind, now: float, reason: str, before: CircuitState | None = None
    ) -> None:
        self.events.append(
            BreakerEvent(
                name=self.name,
                kind=kind,
                at=now,
                from_state=before or self.state,
                to_state=self.state,
                reason=reason,
                failure_count=self.failure_count,
                retry_after=self.retry_after(now),
            )
        )


def _reaches(rate: float, threshold: float | None) -> bool:
    return threshold is not None and rate >= threshold
