"""The breaker against a small reference model: random stories, and all short ones."""

from __future__ import annotations

import asyncio
import contextvars
import datetime as dt
import itertools
import json
import math
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from types import coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from foxtrot.util.circuit_breaker import (
    BreakerEvent,
    BreakerEventKind,
    CircuitBreaker,
    CircuitBreakerOpenError,
    CircuitState,
    Permit,
)
from foxtrot.util.errors import OrderRejectionError, RateLimitError

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN


class ManualClock:
    """Time moves when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def wall(self) -> dt.datetime:
        return dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=self.seconds)

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def sleep_sync(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class Limits:
    failure_threshold: int = 3
    success_threshold: int = 2
    half_open_max_calls: int = 1
    timeout: float = 4.0
    timeout_growth: float = 2.0
    max_timeout: float = 10.0
    permit_lease: float = 3.0
    failure_rate_threshold: float | None = None
    minimum_calls: int = 4
    window_seconds: float = 10.0


@dataclass
class Model:
    """What the breaker should do, in as few words as it takes, and with everything recorded."""

    limits: Limits
    now: float = 1000.0
    mode: str = "automatic"
    state: CircuitState = CLOSED
    failures: int = 0
    epoch: int = 0
    good_probes: int = 0
    open_until: float = -math.inf
    open_time: float = 0.0
    floor: float = -math.inf
    probes: dict[int, float] = field(default_factory=dict)
    permits: dict[int, int | None] = field(default_factory=dict)
    results: list[tuple[float, bool]] = field(default_factory=list)
    blocked: int = 0
    late: int = 0

    def __post_init__(self) -> None:
        self.open_time = self.limits.timeout

    def go(self, state: CircuitState, until: float = -math.inf) -> None:
        self.state, self.open_until = state, until
        self.epoch += 1
        self.good_probes = 0
        self.probes, self.results = {}, []

    def catch_up(self) -> None:
        if self.state is OPEN and self.now >= self.open_until:
            self.go(HALF_OPEN)
        self.probes = {p: until for p, until in self.probes.items() if self.now < until}

    def begin(self, call: int) -> bool:
        self.catch_up()
        full = len(self.probes) >= self.limits.half_open_max_calls
        if self.state is OPEN or (self.state is HALF_OPEN and full):
            if self.mode == "shadow":
                self.permits[call] = None
                return True
            self.blocked += 1
            return False
        if self.state is HALF_OPEN:
            self.probes[call] = self.now + self.limits.permit_lease
        self.permits[call] = self.epoch
        return True

    def end(self, call: int, kind: str, retry_after: float | None = None) -> None:
        self.catch_up()
        epoch = self.permits.pop(call)
        if epoch is None:
            return
        if epoch != self.epoch or (self.state is HALF_OPEN and call not in self.probes):
            self.late += 1
            if kind == "failure" and retry_after and self.mode != "disabled":
                self.hold(retry_after)
            return
        self.probes.pop(call, None)
        if kind == "neutral" or self.mode == "disabled":
            return
        if kind == "failure" and retry_after is not None:
            self.floor = max(self.floor, self.now + retry_after)
        (self.end_probe if self.state is HALF_OPEN else self.end_call)(failed=kind == "failure")

    def end_call(self, *, failed: bool) -> None:
        self.failures = self.failures + 1 if failed else 0
        self.results.append((self.now, failed))
        if self.failures >= self.limits.failure_threshold or self.rate_is_reached():
            self.go(OPEN, max(self.now + self.open_time, self.floor))

    def rate_is_reached(self) -> bool:
        if self.limits.failure_rate_threshold is None:
            return False
        width = self.limits.window_seconds / 10
        oldest = self.now // width - 9
        recent = [failed for t, failed in self.results if t // width >= oldest]
        enough = len(recent) >= self.limits.minimum_calls
        return enough and sum(recent) >= self.limits.failure_rate_threshold * len(recent)

    def end_probe(self, *, failed: bool) -> None:
        if failed:
            longer = self.open_time * self.limits.timeout_growth
            self.open_time = min(self.limits.max_timeout, longer)
            self.go(OPEN, max(self.now + self.open_time, self.floor))
            return
        self.good_probes += 1
        if self.good_probes >= self.limits.success_threshold:
            self.failures, self.open_time = 0, self.limits.timeout
            self.go(CLOSED)

    def hold(self, seconds: float) -> None:
        self.catch_up()
        self.floor = max(self.floor, self.now + seconds)
        if self.state is OPEN:
            self.open_until = max(self.open_until, self.floor)
        elif self.state is HALF_OPEN and self.floor > self.now:
            self.go(OPEN, self.floor)

    def switch(self, mode: str) -> None:
        self.mode, self.failures, self.open_time = mode, 0, self.limits.timeout
        self.go(*((OPEN, math.inf) if mode == "forced" else (CLOSED, -math.inf)))

    def restart(self) -> None:
        """A new process takes the snapshot over: what was in flight died with the old one."""
        state, until = self.shown_state(), self.open_until
        self.go(*((CLOSED, -math.inf) if state is CLOSED else (OPEN, until)))
        self.permits.clear()
        self.blocked = self.late = 0

    def shown_state(self) -> CircuitState:
        over = self.state is OPEN and self.now >= self.open_until
        return HALF_OPEN if over else self.state

    def retry_after(self) -> float | None:
        if self.shown_state() is OPEN:
            return None if self.open_until == math.inf else self.open_until - self.now
        out = sum(self.now < until for until in self.probes.values())
        is_free = self.shown_state() is HALF_OPEN and out < self.limits.half_open_max_calls
        return 0.0 if is_free else None


# -- three ways to have many calls under way at once, on one thread of events


class PermitCall:
    """The block form: entered and left by hand."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        self.permit: Permit = breaker.acquire()
        self.permit.__enter__()

    def end(self, error: BaseException | None) -> None:
        self.permit.__exit__(type(error) if error else None, error, None)


@coroutine
def _suspended() -> Generator[None, BaseException | None, None]:
    error = yield
    if error is not None:
        raise error


class AsyncCall:
    """The async shell: a coroutine that is moved on by hand, in a context of its own."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        async def request() -> None:
            await _suspended()

        self.context = contextvars.copy_context()
        self.coro = breaker.call_async(request)
        self.context.run(self.coro.send, None)

    def end(self, error: BaseException | None) -> None:
        raised: BaseException | None = None
        try:
            self.context.run(self.coro.send, error)
        except StopIteration:
            pass
        except BaseException as exc:
            raised = exc
        assert raised is error


class ThreadCall:
    """The sync shell: each call waits in a thread of its own."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        self.is_under_way, self.may_end = threading.Event(), threading.Event()
        self.error: BaseException | None = None
        self.raised: BaseException | None = None
        self.thread = threading.Thread(target=self.work, args=(breaker,), daemon=True)
        self.thread.start()
        assert self.is_under_way.wait(5)
        if isinstance(self.raised, CircuitBreakerOpenError):
            raise self.raised

    def work(self, breaker: CircuitBreaker) -> None:
        try:
            breaker.call(self.request)
        except BaseException as exc:
            self.raised = exc
        finally:
            self.is_under_way.set()

    def request(self) -> None:
        self.is_under_way.set()
        assert self.may_end.wait(5)
        if self.error is not None:
            raise self.error

    def end(self, error: BaseException | None) -> None:
        self.error = error
        self.may_end.set()
        self.thread.join(5)
        assert self.raised is error


RESULTS = {
    "success": (None,),
    "failure": (ConnectionError("down"), TimeoutError("slow")),
    "neutral": (asyncio.CancelledError(), OrderRejectionError("1", "no funds"), GeneratorExit()),
}


class BreakerMachine(RuleBasedStateMachine):
    """Any order of admissions, results, late results, time steps and operators' orders."""

    form: Any = PermitCall

    @initialize(
        probes=st.integers(1, 3),
        successes=st.integers(1, 3),
        rate=st.sampled_from([None, 0.5, 1.0]),
    )
    def start(self, probes: int, successes: int, rate: float | None) -> None:
        self.limits = Limits(
            half_open_max_calls=probes, success_threshold=successes, failure_rate_threshold=rate
        )
        self.clock = ManualClock()
        self.model = Model(self.limits)
        self.calls: dict[int, Any] = {}
        self.names = itertools.count()
        self.events: list[BreakerEvent] = []
        self.breaker = self.made()

    def made(self) -> CircuitBreaker:
        return CircuitBreaker(
            "venue", clock=self.clock, listeners=[self.events.append], **vars(self.limits)
        )

    @rule()
    def begin(self) -> None:
        name = next(self.names)
        retry_after = self.model.retry_after()
        if self.model.begin(name):
            self.calls[name] = self.form(self.breaker)
        else:
            with pytest.raises(CircuitBreakerOpenError) as refused:
                self.form(self.breaker)
            assert refused.value.retry_after == retry_after

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), kind=st.sampled_from(sorted(RESULTS)))
    def end(self, data: st.DataObject, kind: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.calls)))
        error = data.draw(st.sampled_from(RESULTS[kind]))
        self.model.end(name, kind)
        self.calls.pop(name).end(error)

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), wait=st.sampled_from([0.0, 2.0, 30.0]))
    def end_limited(self, data: st.DataObject, wait: float) -> None:
        name = data.draw(st.sampled_from(sorted(self.calls)))
        self.model.end(name, "failure", wait)
        self.calls.pop(name).end(RateLimitError("venue", wait))

    @rule(count=st.integers(1, 5))
    def fail(self, count: int) -> None:
        for _ in range(count):
            self.begin()
            name = max(self.calls, default=-1)
            if name in self.model.permits:
                self.model.end(name, "failure")
                self.calls.pop(name).end(ConnectionError())

    @rule(seconds=st.sampled_from([0.25, 1.0, 3.0, 4.0, 10.0]))
    def tick(self, seconds: float) -> None:
        self.clock.seconds += seconds
        self.model.now += seconds

    @precondition(lambda self: self.model.retry_after())
    @rule()
    def wait_for_probe(self) -> None:
        self.tick(self.model.retry_after() or 0.0)

    @rule(seconds=st.sampled_from([0.0, 1.0, 20.0]))
    def hold(self, seconds: float) -> None:
        self.model.hold(seconds)
        self.breaker.hold(seconds)

    @rule()
    def reset(self) -> None:
        self.model.switch("automatic")
        self.breaker.reset()

    @rule()
    def force_open(self) -> None:
        self.model.switch("forced")
        self.breaker.force_open()

    @rule()
    def disable(self) -> None:
        self.model.switch("disabled")
        self.breaker.disable()

    @rule()
    def shadow(self) -> None:
        self.model.switch("shadow")
        self.breaker.shadow()

    @rule()
    def restart(self) -> None:
        data = json.loads(json.dumps(self.breaker.snapshot()))
        self.end_all()
        self.model.restart()
        self.events = []
        self.breaker = self.made()
        self.breaker.restore(data)

    @invariant()
    def is_as_the_model(self) -> None:
        seen = (self.breaker.state, self.breaker.failure_count, self.breaker.retry_after())
        model = self.model
        assert seen == (model.shown_state(), model.failures, model.retry_after())
        metrics = self.breaker.metrics
        assert (metrics.blocked, metrics.late) == (model.blocked, model.late)

    @invariant()
    def changes_follow_each_other_by_the_table(self) -> None:
        changes = [e for e in self.events if e.kind is BreakerEventKind.STATE]
        for before, after in itertools.pairwise(changes):
            assert before.to_state is after.from_state
        by_hand = {"reset", "forced_open", "disabled", "shadow", "restored"}
        by_itself = {(c.from_state, c.to_state) for c in changes if c.reason not in by_hand}
        assert by_itself <= {
            (CLOSED, OPEN),
            (OPEN, HALF_OPEN),
            (HALF_OPEN, OPEN),
            (HALF_OPEN, CLOSED),
        }

    def end_all(self) -> None:
        for call in self.calls.values():
            call.end(None)
        self.calls = {}

    def teardown(self) -> None:
        if not hasattr(self, "breaker"):
            return
        self.end_all()
        done = self.breaker.metrics
        ended = done.success + done.failure + done.unknown + done.neutral + done.late
        assert done.admitted == ended


class AsyncMachine(BreakerMachine):
    form = AsyncCall


class ThreadMachine(BreakerMachine):
    form = ThreadCall


_STORIES = settings(
    max_examples=60, stateful_step_count=30, deadline=None, derandomize=True, database=None
)
TestPermits = BreakerMachine.TestCase
TestPermits.settings = settings(_STORIES, max_examples=150)
TestAsyncShell = AsyncMachine.TestCase
TestAsyncShell.settings = _STORIES
TestSyncShell = ThreadMachine.TestCase
TestSyncShell.settings = settings(
    _STORIES, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)


# -- every short story


ACTIONS = ("begin", "oldest ok", "oldest fails", "newest ok", "newest fails", "timeout", "reset")
DEPTH = 7


def play(story: tuple[str, ...]) -> bool:
    """Play `story` on breaker and model, comparing at the end; False if it cannot be played.

    Every beginning of a story is a story of its own, so nothing before the end need be compared.
    """
    limits = Limits(failure_threshold=2, success_threshold=1, timeout_growth=1.0)
    clock, model = ManualClock(), Model(limits)
    breaker = CircuitBreaker("venue", clock=clock, **vars(limits))
    permits: list[tuple[int, Permit]] = []
    for name, action in enumerate(story):
        if action == "begin":
            if model.begin(name):
                permits.append((name, breaker.acquire()))
            else:
                with pytest.raises(CircuitBreakerOpenError):
                    breaker.acquire()
        elif action == "timeout":
            clock.seconds = model.now = model.now + limits.timeout
        elif action == "reset":
            model.switch("automatic")
            breaker.reset()
        elif not permits:
            return False
        else:
            which, how = action.split()
            call, permit = permits.pop(0 if which == "oldest" else -1)
            model.end(call, "success" if how == "ok" else "failure")
            permit.success() if how == "ok" else permit.failure()
    seen = (breaker.state, breaker.failure_count, breaker.retry_after(), breaker.metrics.late)
    assert seen == (model.shown_state(), model.failures, model.retry_after(), model.late), story
    return True


def stories(depth: int) -> Generator[tuple[str, ...], None, None]:
    """All that can be played, up to `depth` actions, less those that only name things twice."""
    frontier: list[tuple[tuple[str, ...], int]] = [((), 0)]
    for _ in range(depth):
        frontier = [longer for story in frontier for longer in _longer(*story)]
        yield from (story for story, _ in frontier)


def _longer(story: tuple[str, ...], begun: int) -> Generator[tuple[tuple[str, ...], int]]:
    for action in ACTIONS:
        if action.startswith("newest") and begun < 2:
            continue  # with one call out, the newest is the oldest
        if action.startswith("oldest") and begun < 1:
            continue
        if story[-1:] == (action,) and action in {"timeout", "reset"}:
            continue
        change = {"begin": 1, "timeout": 0, "reset": 0}.get(action, -1)
        yield (*story, action), begun + change


def test_all_stories_up_to_the_depth_end_as_the_model_says() -> None:
    """Every sequence of up to seven actions agrees with the model."""
    played = sum(play(story) for story in stories(DEPTH))
    assert played > 10_000
