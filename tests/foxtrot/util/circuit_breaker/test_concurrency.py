"""The breaker among threads and tasks: who gets through, what a cancellation leaves, what holds."""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import coroutine
from typing import Any

import pytest

from foxtrot.util.circuit_breaker import (
    BreakerEvent,
    BreakerEventKind,
    CircuitBreaker,
    CircuitBreakerOpenError,
    CircuitState,
)

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
CALLERS = 50


class ManualClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def wall(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.seconds, dt.UTC)

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def sleep_sync(self, seconds: float) -> None:
        self.seconds += seconds


@contextmanager
def eager_switches() -> Iterator[None]:
    """Let the interpreter change threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def half_open(**limits: Any) -> tuple[CircuitBreaker, ManualClock]:
    clock = ManualClock()
    breaker = CircuitBreaker("venue", 1, clock=clock, **limits)
    breaker.acquire().failure()
    clock.seconds += 60
    assert breaker.state is HALF_OPEN
    return breaker, clock


def run_in_threads(count: int, work: Callable[[], Any]) -> list[Any]:
    """Start `work` in `count` threads at one moment; what it raised or returned, in any order."""
    start = threading.Barrier(count)

    def one() -> Any:
        start.wait(10)
        try:
            return work()
        except Exception as exc:
            return exc

    with ThreadPoolExecutor(count) as pool:
        return [future.result(20) for future in [pool.submit(one) for _ in range(count)]]


# -- the herd at half-open


@pytest.mark.parametrize("limit", [1, 3])
def test_fifty_threads_at_half_open_make_as_many_probes_as_allowed(limit: int) -> None:
    """Whoever asks, `half_open_max_calls` get through; the others are refused at once."""
    breaker, _ = half_open(half_open_max_calls=limit, success_threshold=CALLERS)
    others_are_refused = threading.Event()
    refused = threading.Semaphore(0)

    def probe() -> str:
        assert others_are_refused.wait(10)
        return "probe"

    def call() -> str:
        try:
            return breaker.call(probe)
        except CircuitBreakerOpenError:
            refused.release()
            return "refused"

    def let_go() -> None:
        for _ in range(CALLERS - limit):
            assert refused.acquire(timeout=10)
        others_are_refused.set()

    watcher = threading.Thread(target=let_go)
    watcher.start()
    with eager_switches():
        results = run_in_threads(CALLERS, call)
    watcher.join(10)
    assert (results.count("probe"), results.count("refused")) == (limit, CALLERS - limit)


@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("form", ["call_async", "decorator", "block"])
def test_fifty_tasks_at_half_open_make_as_many_probes_as_allowed(limit: int, form: str) -> None:
    """The same of tasks, in every async form."""
    breaker, _ = half_open(half_open_max_calls=limit, success_threshold=CALLERS)

    async def probe() -> str:
        await asyncio.sleep(0.001)
        return "probe"

    async def block() -> str:
        async with breaker:
            return await probe()

    forms = {"decorator": breaker(probe), "block": block}

    async def call() -> str:
        try:
            return await forms[form]() if form in forms else await breaker.call_async(probe)
        except CircuitBreakerOpenError:
            return "refused"

    async def main() -> list[str]:
        return await asyncio.gather(*(call() for _ in range(CALLERS)))

    results = asyncio.run(main())
    assert (results.count("probe"), results.count("refused")) == (limit, CALLERS - limit)


def test_calls_through_one_breaker_run_side_by_side() -> None:
    """Five threads meet inside the protected call: no lock is held while it runs."""
    breaker = CircuitBreaker("venue")
    meeting = threading.Barrier(5)
    results = run_in_threads(5, lambda: breaker.call(lambda: meeting.wait(5)))
    assert sorted(results) == [0, 1, 2, 3, 4]


def test_predicates_run_side_by_side() -> None:
    """Five threads meet inside `expected_exception`: no lock is held while an error is judged."""
    meeting = threading.Barrier(5)
    met = []
    breaker = CircuitBreaker(
        "venue", 9, expected_exception=lambda exc: met.append(meeting.wait(2)) is None
    )

    def fail() -> None:
        raise ConnectionError

    results = run_in_threads(5, lambda: breaker.call(fail))
    assert [type(result) for result in results] == [ConnectionError] * 5
    assert (sorted(met), breaker.failure_count) == ([0, 1, 2, 3, 4], 5)


# -- counts under contention


def test_no_failure_is_lost_among_threads() -> None:
    """Eight threads of 250 failures each are 2,000 failures in a row."""
    breaker = CircuitBreaker("venue", 10**6)

    def fail() -> None:
        for _ in range(250):
            breaker.acquire().failure()

    with eager_switches():
        run_in_threads(8, fail)
    assert (breaker.failure_count, breaker.metrics.failure) == (2_000, 2_000)


def test_no_call_of_the_lane_is_lost_among_threads() -> None:
    """Eight threads of 2,000 calls each are counted without a lock, while metrics are read."""
    breaker = CircuitBreaker("venue")
    request = breaker(lambda: None)

    def work() -> None:
        for number in range(2_000):
            request()
            if number % 500 == 0:
                assert breaker.metrics.success <= 16_000

    with eager_switches():
        assert run_in_threads(8, work) == [None] * 8
    metrics = breaker.metrics
    assert (metrics.admitted, metrics.success) == (16_000, 16_000)


def test_transitions_are_one_chain_whatever_the_threads_do() -> None:
    """Every change starts in the state that the one before ended in, and the books balance."""
    events: list[BreakerEvent] = []
    clock = ManualClock()
    breaker = CircuitBreaker(
        "venue", 2, 2, 0.5, half_open_max_calls=2, clock=clock, listeners=[events.append]
    )

    def work() -> None:
        for number in range(300):
            clock.seconds += 0.01
            try:
                permit = breaker.acquire()
            except CircuitBreakerOpenError:
                continue
            permit.failure() if number % 3 else permit.success()
            if number % 100 == 99:
                breaker.reset()

    with eager_switches():
        assert run_in_threads(8, work) == [None] * 8
    changes = [e for e in events if e.kind is BreakerEventKind.STATE]
    states = [CLOSED, *(e.to_state for e in changes)]
    assert [e.from_state for e in changes] == states[:-1]
    metrics = breaker.metrics
    assert metrics.transitions == len(changes) > 10
    assert metrics.admitted == metrics.success + metrics.failure + metrics.late
    assert metrics.blocked == sum(e.kind is BreakerEventKind.BLOCKED for e in events)


def test_one_trip_is_one_event_however_many_fail_at_once() -> None:
    """Fifty threads fail together: it opens once, and the rest are late."""
    events: list[BreakerEvent] = []
    breaker = CircuitBreaker("venue", 5, listeners=[events.append])
    meeting = threading.Barrier(CALLERS)

    def fail() -> None:
        meeting.wait(10)
        raise ConnectionError

    with eager_switches():
        results = run_in_threads(CALLERS, lambda: breaker.call(fail))
    assert [type(result) for result in results] == [ConnectionError] * CALLERS
    assert sum(e.kind is BreakerEventKind.STATE for e in events) == 1
    assert (breaker.failure_count, breaker.metrics.late) == (5, CALLERS - 5)


def test_the_lock_can_be_taken_again_by_who_has_it() -> None:
    """What the garbage collector or a signal handler does inside must come back."""
    breaker = CircuitBreaker("venue", 1)

    def interrupted() -> None:
        with breaker._gate._lock:
            breaker.acquire().failure()

    thread = threading.Thread(target=interrupted, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    assert breaker.state is OPEN


# -- cancellation


@coroutine
def _pause() -> Iterator[None]:
    yield


PAUSES = 4


async def _request(log: list[str]) -> str:
    for number in range(PAUSES):
        log.append(f"pause {number}")
        await _pause()
    return "pong"


async def _block(breaker: CircuitBreaker, log: list[str]) -> str:
    await _pause()
    async with breaker:
        reply = await _request(log)
    await _pause()
    return reply


async def _permit_block(breaker: CircuitBreaker, log: list[str]) -> str:
    async with breaker.acquire():
        return await _request(log)


ASYNC_FORMS: dict[str, Callable[[CircuitBreaker, list[str]], Any]] = {
    "call_async": lambda breaker, log: breaker.call_async(_request, log),
    "decorator": lambda breaker, log: breaker(_request)(log),
    "block": _block,
    "permit": _permit_block,
    "followed": lambda breaker, log: breaker.call(lambda: _request(log)),
}


@pytest.mark.parametrize("form", sorted(ASYNC_FORMS))
@pytest.mark.parametrize("where", range(PAUSES + 2))
@pytest.mark.parametrize("probing", [False, True])
def test_cancelled_at_any_await_it_leaves_no_trace(form: str, where: int, probing: bool) -> None:
    """At each point that it can be: the task is cancelled, the permit back, the state the same."""
    breaker, _ = half_open(success_threshold=1)
    if not probing:
        breaker.reset()
    before = breaker.metrics

    async def main() -> bool:
        task = asyncio.ensure_future(ASYNC_FORMS[form](breaker, []))
        for _ in range(where + 1):
            await asyncio.sleep(0)
        is_cancelled = task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() == is_cancelled
        return is_cancelled

    was_cancelled = asyncio.run(main())
    after = breaker.metrics
    began, ended = after.admitted - before.admitted, after.success - before.success
    assert (after.failure, after.unknown, after.late) == (before.failure, before.unknown, 0)
    assert began - ended == after.neutral - before.neutral <= 1
    if was_cancelled and not ended:
        assert breaker.state is (HALF_OPEN if probing else CLOSED)
    assert breaker.retry_after() == (0.0 if breaker.state is HALF_OPEN else None)


def test_timeout_inside_is_unknown_and_around_is_neutral() -> None:
    """Only a time limit within the protected call is the dependency's doing."""
    breaker = CircuitBreaker("venue", 9)

    async def stuck() -> None:
        await asyncio.Event().wait()

    async def limited() -> None:
        async with asyncio.timeout(0):
            await stuck()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await breaker.call_async(limited)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await breaker.call_async(stuck)

    asyncio.run(main())
    assert (breaker.metrics.unknown, breaker.metrics.neutral) == (1, 1)


def test_coroutine_that_is_thrown_away_gives_its_permit_back() -> None:
    """Closed by the garbage collector, a probe is neutral."""
    breaker, _ = half_open()
    probe = breaker.call_async(_request, [])
    probe.send(None)
    assert breaker.retry_after() is None
    del probe
    gc.collect()
    assert (breaker.state, breaker.retry_after()) == (HALF_OPEN, 0.0)


def test_tasks_do_not_wait_for_each_other() -> None:
    """Five tasks are inside the protected call at once."""
    breaker = CircuitBreaker("venue")
    inside = 0

    async def request() -> int:
        nonlocal inside
        inside += 1
        await asyncio.sleep(0)
        return inside

    async def main() -> list[int]:
        return await asyncio.gather(*(breaker.call_async(request) for _ in range(5)))

    assert asyncio.run(main()) == [5] * 5
