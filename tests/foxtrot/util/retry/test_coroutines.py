"""Retries of coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from foxtrot.util.retry import (
    RetryEvent,
    retry_with_backoff,
    retrying,
    without_waiting,
)

from .shells import FakeClock, Work


def test_tasks_over_one_loop_object_share_nothing() -> None:
    """A shared AsyncRetrying of tenacity ran a call again that had succeeded."""
    clock = FakeClock()
    shared = retrying(jitter=False, clock=clock)

    async def place(failures: int) -> tuple[int, list[int]]:
        work, numbers = Work(*[TimeoutError()] * failures, clock=clock), []
        async for attempt in shared:
            with attempt:
                numbers.append(attempt.number)
                await asyncio.sleep(0)
                work()
        return work.calls, numbers

    async def main() -> list[tuple[int, list[int]]]:
        return await asyncio.gather(*(place(n) for n in range(4)))

    assert asyncio.run(main()) == [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (4, [1, 2, 3, 4])]


async def _cancel_at(turn: int, main: Callable[[], Awaitable[object]]) -> bool:
    """Cancel the task after so many turns of the loop; whether it was still running then."""
    task = asyncio.ensure_future(main())
    for _ in range(turn):
        await asyncio.sleep(0)
    was_running = task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        assert was_running
    else:
        assert not was_running, "the cancellation was swallowed"
    return was_running


@pytest.mark.parametrize("form", ["decorator", "loop"])
def test_a_cancellation_at_any_await_ends_the_call_there(form: str) -> None:
    async def trial(turn: int) -> bool:
        clock = FakeClock()
        work = Work(TimeoutError(), TimeoutError(), clock=clock)
        after: list[int] = []

        async def step() -> str:
            await asyncio.sleep(0)
            return work()

        async def in_loop() -> None:
            async for attempt in retrying(exceptions=(BaseException,), clock=clock):
                with attempt:
                    await step()

        decorated = retry_with_backoff(exceptions=(BaseException,), clock=clock)(step)
        running = await _cancel_at(turn, decorated if form == "decorator" else in_loop)
        after.append(work.calls)
        await asyncio.sleep(0)
        assert after == [work.calls]
        return running

    ran = [asyncio.run(trial(turn)) for turn in range(12)]
    assert ran.count(True) >= 5
    assert ran[-1] is False
    assert ran == sorted(ran, reverse=True)


def test_an_outer_timeout_ends_the_wait() -> None:
    @retry_with_backoff(base_delay=50.0, exceptions=(BaseException,))
    async def connect() -> None:
        raise ConnectionResetError

    async def main() -> None:
        async with asyncio.timeout(0.01):
            await connect()

    with pytest.raises(TimeoutError):
        asyncio.run(main())


def test_other_tasks_do_not_see_that_waiting_is_off() -> None:
    async def main() -> list[float]:
        clock, started = FakeClock(), asyncio.Event()

        async def other() -> None:
            await started.wait()
            work = Work(TimeoutError(), clock=clock)
            await retry_with_backoff(jitter=False, clock=clock)(_as_coroutine(work))()

        task = asyncio.create_task(other())
        with without_waiting():
            started.set()
            await task
        return clock.slept

    assert asyncio.run(main()) == [1.0]


def _as_coroutine(work: Work) -> Callable[[], Awaitable[str]]:
    async def call() -> str:
        return work()

    return call


def test_a_function_that_returns_an_awaitable_may_also_fail_before_it_does() -> None:
    clock, failures = FakeClock(), [TimeoutError("before"), TimeoutError("while awaited")]

    async def succeed() -> str:
        if len(failures) == 1:
            raise failures.pop()
        return "done"

    def connect() -> Awaitable[str]:
        if len(failures) == 2:
            raise failures.pop(0)
        return succeed()

    events: list[RetryEvent] = []
    retried = retry_with_backoff(jitter=False, clock=clock, listeners=[events.append])(connect)
    assert asyncio.run(retried()) == "done"
    assert [(e.kind.value, e.attempt, e.delay) for e in events] == [
        ("waiting", 1, 1.0),
        ("waiting", 2, 2.0),
        ("succeeded", 3, 0.0),
    ]
