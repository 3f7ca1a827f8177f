"""Traps of other libraries' circuit breakers, where no test of the breaker shows them alone."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Any

import pytest
from freezegun import freeze_time

from foxtrot.util.circuit_breaker import CircuitBreaker, CircuitBreakerOpenError, CircuitState
from foxtrot.util.clock import SystemClock
from foxtrot.util.errors import AdapterConnectionError, Outcome
from foxtrot.util.retry import retry_with_backoff
from harness.kernel import VirtualClock, run_virtual


class LeapingClock(SystemClock):
    """Monotonic time stands still until it is moved; the wall clock is whatever it is set to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds


@pytest.mark.parametrize("limit", [1, 3])
def test_fifty_threads_at_half_open_get_as_many_permits_as_there_are(limit: int) -> None:
    """The others are refused at once, whether or not a probe ever comes back."""
    clock = LeapingClock()
    breaker = CircuitBreaker("venue", 1, timeout=60, clock=clock, half_open_max_calls=limit)
    breaker.acquire().failure()
    clock.seconds = 60.0
    start = threading.Barrier(50)

    def ask() -> bool:
        start.wait(10)
        with suppress(CircuitBreakerOpenError):
            breaker.acquire()
            return True
        return False

    with ThreadPoolExecutor(50) as pool:
        answers = [future.result(10) for future in [pool.submit(ask) for _ in range(50)]]
    assert answers.count(True) == limit


class Watched:
    """The lock of a breaker, which notes what is done to the state while nobody holds it."""

    def __init__(self, breaker: CircuitBreaker, monkeypatch: pytest.MonkeyPatch) -> None:
        self.holders = 0
        self.outside: list[str] = []
        monkeypatch.setattr(breaker._gate, "_lock", self)
        for name in ("admit", "settle", "switch", "hold", "effective_state", "retry_after"):
            self._watch(breaker._gate.core, name, monkeypatch)

    def _watch(self, core: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        method = getattr(core, name)

        def watched(*args: Any, **options: Any) -> Any:
            if not self.holders:
                self.outside.append(name)
            return method(*args, **options)

        monkeypatch.setattr(core, name, watched)

    def __enter__(self) -> None:
        self.holders += 1

    def __exit__(self, *_: object) -> None:
        self.holders -= 1


def test_state_is_never_touched_without_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of threads that meet in a transition, one makes it: no other way is safe to reason about."""
    clock = LeapingClock()
    breaker = CircuitBreaker("venue", 1, 1, 60, clock=clock)
    lock = Watched(breaker, monkeypatch)
    breaker(lambda: None)()
    breaker.acquire().failure()
    with pytest.raises(CircuitBreakerOpenError):
        breaker.call(lambda: None)
    clock.seconds = 60.0
    breaker.acquire().success()
    breaker.hold(1.0)
    breaker.force_open()
    breaker.reset()
    assert (breaker.state, breaker.retry_after()) == (CircuitState.CLOSED, None)
    assert lock.outside == []


def test_lock_keeps_other_threads_out() -> None:
    breaker = CircuitBreaker("venue")
    with ThreadPoolExecutor(1) as other, breaker._gate._lock:
        assert not other.submit(lambda: breaker._gate._lock.acquire(blocking=False)).result(5)


def _called(breaker: CircuitBreaker, work: Callable[[], Awaitable[None]]) -> Any:
    return breaker.call_async(work)


def _decorated(breaker: CircuitBreaker, work: Callable[[], Awaitable[None]]) -> Any:
    return breaker(work)()


async def _block(breaker: CircuitBreaker, work: Callable[[], Awaitable[None]]) -> None:
    async with breaker:
        await work()


@pytest.mark.parametrize(
    "form", [_called, _decorated, _block], ids=["call_async", "decorator", "block"]
)
@pytest.mark.parametrize("has_failed", [False, True], ids=["lane", "permit"])
def test_five_parallel_calls_of_200_ms_take_200_ms(form: Any, has_failed: bool) -> None:
    """pybreaker holds its lock for the whole call: one second. After a failure, by permit."""

    async def request() -> None:
        await asyncio.sleep(0.2)

    async def main(loop: Any) -> float:
        breaker = CircuitBreaker("venue", clock=VirtualClock(loop))
        if has_failed:
            breaker.acquire().failure()
        await asyncio.gather(*(form(breaker, request) for _ in range(5)))
        assert breaker.metrics.success == 5
        return float(loop.time())

    assert run_virtual(main) == pytest.approx(0.2)


@pytest.mark.parametrize("leap", ["2026-03-01 07:00", "2026-03-01 17:00"])
def test_open_window_does_not_move_with_the_wall_clock(leap: str) -> None:
    """Summer time, a time zone, an administrator: none of them opens or holds a venue."""
    clock = LeapingClock()
    with freeze_time("2026-03-01 12:00") as wall:
        breaker = CircuitBreaker("venue", 1, timeout=60, clock=clock)
        breaker.acquire().failure()
        wall.move_to(leap)
        clock.seconds = 59.0
        assert breaker.retry_after() == 1.0
        with pytest.raises(CircuitBreakerOpenError) as refused:
            breaker.acquire()
        assert refused.value.retry_after == 1.0
        clock.seconds = 60.0
        assert breaker.retry_after() == 0.0
        breaker.acquire().success()


def test_default_clock_is_the_monotonic_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(time, "time", lambda: 1.8e9)
    breaker = CircuitBreaker("venue", 1, timeout=60)
    breaker.acquire().failure()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(time, "monotonic", lambda: 130.0)
    assert breaker.retry_after() == 30.0


def _as_call(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    return breaker.call(fn)


def _as_decorator(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    return breaker(fn)()


def _as_block(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    with breaker:
        return fn()


@pytest.mark.parametrize(
    "form", [_as_call, _as_decorator, _as_block], ids=["call", "decorator", "block"]
)
def test_call_that_trips_it_raises_its_own_error(form: Any) -> None:
    """pybreaker puts a rejection in its place: "may have acted" becomes "was not sent"."""
    breaker = CircuitBreaker("venue", 1, clock=LeapingClock())

    def place() -> None:
        raise AdapterConnectionError("venue", "reset after the send")

    with pytest.raises(AdapterConnectionError) as caught:
        form(breaker, place)
    assert (caught.value.outcome, breaker.state) == (Outcome.UNKNOWN, CircuitState.OPEN)


def _depth(traceback: TracebackType | None) -> int:
    return 0 if traceback is None else 1 + _depth(traceback.tb_next)


def test_traceback_of_the_200th_rejection_is_as_deep_as_that_of_the_first() -> None:
    """purgatory raises one instance again and again: from 6 frames to 1,200."""
    breaker = CircuitBreaker("venue", 1, clock=LeapingClock())
    breaker.acquire().failure()
    depths = []
    for _ in range(200):
        with pytest.raises(CircuitBreakerOpenError) as refused:
            breaker.call(lambda: None)
        depths.append(_depth(refused.value.__traceback__))
    assert set(depths) == {depths[0]}


def _breaker() -> Any:
    return CircuitBreaker("venue")


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("make", [_breaker, retry_with_backoff], ids=["breaker", "retry"])
def test_decorated_function_keeps_its_name_and_signature(make: Any, is_async: bool) -> None:
    def plain(symbol: str, *, depth: int = 5) -> float:
        """The book."""
        return 0.0

    async def coroutine(symbol: str, *, depth: int = 5) -> float:
        """The book."""
        return 0.0

    function = coroutine if is_async else plain
    decorated = make()(function)
    assert (decorated.__name__, decorated.__doc__) == (function.__name__, "The book.")
    assert inspect.signature(decorated) == inspect.signature(function)
    assert inspect.iscoroutinefunction(decorated) == is_async
