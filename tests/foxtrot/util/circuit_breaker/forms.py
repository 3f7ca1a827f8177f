"""Every form of use of a breaker, and a clock that moves when told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from foxtrot.util.circuit_breaker import (
    BreakerEvent,
    CircuitBreaker,
    CircuitState,
)

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN


class ManualClock:
    """Time moves when the test says so; wall time can be set apart from it."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.wall_seconds = 1_000_000.0

    def now(self) -> float:
        return self.seconds

    def wall(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.wall_seconds, dt.UTC)

    async def sleep(self, seconds: float) -> None:
        self.tick(seconds)

    def sleep_sync(self, seconds: float) -> None:
        self.tick(seconds)

    def tick(self, seconds: float) -> None:
        self.seconds += seconds
        self.wall_seconds += seconds


class Down(Exception):
    pass


def drive(coro: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that waits for nothing."""
    try:
        coro.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


def by_call(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    return breaker.call(fn)


def by_decorator(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    return breaker(fn)()


def by_with(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    with breaker:
        return fn()


def by_permit(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    with breaker.acquire():
        return fn()


def _as_async(fn: Callable[[], Any]) -> Callable[[], Coroutine[Any, Any, Any]]:
    async def request() -> Any:
        return fn()

    return request


def by_call_async(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    return drive(breaker.call_async(_as_async(fn)))


def by_async_decorator(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    return drive(breaker(_as_async(fn))())


def by_async_with(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    async def block() -> Any:
        async with breaker:
            return fn()

    return drive(block())


def by_async_permit(breaker: CircuitBreaker, fn: Callable[[], Any]) -> Any:
    async def block() -> Any:
        async with breaker.acquire():
            return fn()

    return drive(block())


Form = Callable[[CircuitBreaker, Callable[[], Any]], Any]
FORMS = [
    by_call,
    by_decorator,
    by_with,
    by_permit,
    by_call_async,
    by_async_decorator,
    by_async_with,
    by_async_permit,
]
each_form = pytest.mark.parametrize("form", FORMS)


def raising(error: BaseException) -> Callable[[], Any]:
    def fn() -> Any:
        raise error

    return fn


def fail(breaker: CircuitBreaker, times: int = 1, error: BaseException | None = None) -> None:
    for _ in range(times):
        breaker.acquire().failure(error)


def heard(breaker: CircuitBreaker) -> list[tuple[Any, ...]]:
    """The breaker's events from now on, each as (at, kind, from, to, reason)."""
    story: list[tuple[Any, ...]] = []

    def listen(e: BreakerEvent) -> None:
        story.append((e.at, e.kind.value, e.from_state.value, e.to_state.value, e.reason))

    breaker.add_listener(listen)
    return story
