"""Retries on threads."""

from __future__ import annotations

import asyncio
import threading

import pytest

from foxtrot.util.clock import SystemClock
from foxtrot.util.errors import (
    RateLimitError,
)
from foxtrot.util.retry import (
    RetryBudget,
    RetryEvent,
    retry_with_backoff,
    without_waiting,
)

from .shells import SYNC, Shell, Story, Work


@pytest.mark.parametrize("shell", SYNC)
def test_a_wait_on_the_thread_of_a_running_loop_is_refused(shell: Shell, story: Story) -> None:
    lost = TimeoutError("late")
    work = Work(lost, clock=story.clock)
    budget = RetryBudget(5, per_second=0.0, clock=story.clock)

    async def main() -> None:
        shell(work, **story.options(budget=budget))

    with pytest.raises(RuntimeError, match="every task of its running loop; make it async") as info:
        asyncio.run(main())
    assert "expected None" not in str(info.value)
    assert info.value.__context__ is lost
    assert (work.calls, story.clock.slept, story.told()) == (1, [], [])
    assert budget.available() == 5.0


@pytest.mark.parametrize("shell", SYNC)
def test_where_there_is_no_wait_a_running_loop_does_not_matter(shell: Shell, story: Story) -> None:
    async def main() -> None:
        now = RateLimitError("binance", retry_after=0.0)
        assert shell(Work(now, clock=story.clock), **story.options()) == "done"
        with without_waiting():
            late = TimeoutError("late")
            assert shell(Work(late, clock=story.clock), **story.options()) == "done"

    asyncio.run(main())


@pytest.mark.parametrize("shell", SYNC)
def test_in_a_thread_beside_the_loop_it_may_wait(shell: Shell, story: Story) -> None:
    async def main() -> object:
        work = Work(TimeoutError("late"), clock=story.clock)
        return await asyncio.to_thread(shell, work, **story.options())

    assert asyncio.run(main()) == "done"
    assert story.clock.slept == [1.0]


@pytest.mark.parametrize("shell", SYNC)
def test_a_stop_ends_the_wait_of_a_thread_with_the_failure(shell: Shell, story: Story) -> None:
    class StopDuring:
        """Set while somebody waits."""

        def __init__(self) -> None:
            self.waits: list[float] = []

        def is_set(self) -> bool:
            return False

        def wait(self, timeout: float) -> bool:
            self.waits.append(timeout)
            return len(self.waits) == 2

    first, second = TimeoutError("1"), TimeoutError("2")
    stop = StopDuring()
    with pytest.raises(TimeoutError) as caught:
        shell(Work(first, second, clock=story.clock), **story.options(), stop=stop)
    assert caught.value is second
    assert second.__notes__ == ["attempts: 2"]
    assert story.told() == [
        (0.0, "waiting", 1, 1.0, first),
        (0.0, "waiting", 2, 2.0, second),
        (0.0, "refused", 2, 0.0, second),
    ]
    assert stop.waits == [1.0, 2.0]


def test_a_threading_event_is_a_stop() -> None:
    stop, outcome = threading.Event(), []
    waiting = threading.Event()

    def listener(event: RetryEvent) -> None:
        if event.kind == "waiting":
            waiting.set()

    @retry_with_backoff(base_delay=50.0, listeners=[listener], stop=stop)
    def connect() -> None:
        raise TimeoutError

    def run() -> None:
        with pytest.raises(TimeoutError):
            connect()
        outcome.append("ended")

    thread = threading.Thread(target=run)
    thread.start()
    assert waiting.wait(5.0)
    stop.set()
    thread.join(5.0)
    assert outcome == ["ended"]


def test_threads_in_one_decorated_function_share_nothing() -> None:
    """hyx shares one backoff: three callers drove each other's waits up ninefold."""
    clocks = threading.local()
    schedules: list[list[float]] = []

    class PerThreadClock(SystemClock):
        def now(self) -> float:
            return 0.0

        def sleep_sync(self, seconds: float) -> None:
            clocks.slept.append(seconds)
            barrier.wait()

    barrier = threading.Barrier(4)

    @retry_with_backoff(jitter=False, clock=PerThreadClock(), max_retries=3)
    def connect() -> None:
        if len(clocks.slept) < 3:
            raise TimeoutError

    def run() -> None:
        clocks.slept = []
        connect()
        schedules.append(clocks.slept)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert schedules == [[1.0, 2.0, 4.0]] * 4
