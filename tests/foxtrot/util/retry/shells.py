"""Every shell of a retry, work that fails as told, and a clock that only sleeping moves."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
from collections.abc import Callable
from typing import Any

import pytest

from foxtrot.util.clock import SystemClock
from foxtrot.util.retry import (
    RetryEvent,
    retry_with_backoff,
    retrying,
)


class FakeClock(SystemClock):
    """Sleeping only moves it, for coroutines after one turn of the loop."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.seconds

    def wall(self) -> dt.datetime:
        return dt.datetime(2026, 1, 2, tzinfo=dt.UTC)

    def sleep_sync(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.sleep_sync(seconds)


class Work:
    """Fails with each of `failures` in turn, then returns "done". Each try takes `takes` s."""

    def __init__(self, *failures: BaseException, clock: FakeClock, takes: float = 0.0) -> None:
        self.failures = list(failures)
        self.clock = clock
        self.takes = takes
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        self.clock.seconds += self.takes
        if self.failures:
            raise self.failures.pop(0)
        return "done"


Shell = Callable[..., object]


def function(work: Work, **options: Any) -> object:
    def connect() -> str:
        return work()

    return retry_with_backoff(**options)(connect)()


def method(work: Work, **options: Any) -> object:
    class Adapter:
        @retry_with_backoff(**options)
        def connect(self) -> str:
            assert isinstance(self, Adapter)
            return work()

    return Adapter().connect()


def callable_object(work: Work, **options: Any) -> object:
    return retry_with_backoff(**options)(work)()


def loop(work: Work, **options: Any) -> object:
    for attempt in retrying(**options):
        with attempt:
            return work()
    return "the loop ended without a result"


def coroutine_function(work: Work, **options: Any) -> object:
    @retry_with_backoff(**options)
    async def connect() -> str:
        await asyncio.sleep(0)
        return work()

    return asyncio.run(connect())


def coroutine_method(work: Work, **options: Any) -> object:
    class Adapter:
        @retry_with_backoff(**options)
        async def connect(self) -> str:
            assert isinstance(self, Adapter)
            return work()

    return asyncio.run(Adapter().connect())


def object_with_coroutine_call(work: Work, **options: Any) -> object:
    class Connect:
        async def __call__(self) -> str:
            return work()

    return asyncio.run(retry_with_backoff(**options)(Connect())())


def function_that_returns_an_awaitable(work: Work, **options: Any) -> object:
    async def connect(what: Work) -> str:
        return what()

    return asyncio.run(retry_with_backoff(**options)(lambda: connect(work))())


def partial_of_a_coroutine_function(work: Work, **options: Any) -> object:
    async def connect(what: Work) -> str:
        return what()

    return asyncio.run(retry_with_backoff(**options)(functools.partial(connect, work))())


def async_loop(work: Work, **options: Any) -> object:
    async def main() -> str:
        async for attempt in retrying(**options):
            with attempt:
                return work()
        return "the loop ended without a result"

    return asyncio.run(main())


def async_loop_with_async_with(work: Work, **options: Any) -> object:
    async def main() -> str:
        async for attempt in retrying(**options):
            async with attempt:
                return work()
        return "the loop ended without a result"

    return asyncio.run(main())


SYNC: list[Shell] = [function, method, callable_object, loop]
ASYNC: list[Shell] = [
    coroutine_function,
    coroutine_method,
    object_with_coroutine_call,
    function_that_returns_an_awaitable,
    partial_of_a_coroutine_function,
    async_loop,
    async_loop_with_async_with,
]
every_shell = pytest.mark.parametrize("shell", SYNC + ASYNC, ids=lambda shell: shell.__name__)


class Story:
    """What a run told its listeners, and with which delays it went."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.events: list[RetryEvent] = []

    def options(self, **config: Any) -> dict[str, Any]:
        config = {"jitter": False, **config}
        return {"clock": self.clock, "listeners": [self.events.append], **config}

    def told(self) -> list[tuple[float, str, int, float, object]]:
        return [(e.at, e.kind.value, e.attempt, e.delay, e.error) for e in self.events]
