"""The decorator and the loop: one specification over every shell, then what each has of its own."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import functools
import gc
import inspect
import itertools
import random
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from foxtrot.util.clock import SystemClock
from foxtrot.util.errors import (
    AdapterConnectionError,
    FoxtrotError,
    OrderRejectionError,
    Outcome,
    RateLimitError,
)
from foxtrot.util.retry import (
    OperationKind,
    RetryBudget,
    RetryConfig,
    RetryDeadlineError,
    RetryEvent,
    retry_with_backoff,
    retrying,
    without_waiting,
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


# --- the shells: each runs `work` under retry, to its end ---------------------------------------

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


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def story(clock: FakeClock) -> Story:
    return Story(clock)


# --- one specification --------------------------------------------------------------------------


@every_shell
def test_success_at_once_waits_for_nothing_and_tells_nothing(shell: Shell, story: Story) -> None:
    work = Work(clock=story.clock)
    assert shell(work, **story.options()) == "done"
    assert (work.calls, story.clock.slept, story.told()) == (1, [], [])


@every_shell
def test_transient_failures_are_retried_with_growing_waits(shell: Shell, story: Story) -> None:
    first, second = ConnectionResetError("first"), TimeoutError("second")
    work = Work(first, second, clock=story.clock, takes=0.25)
    assert shell(work, **story.options()) == "done"
    assert story.told() == [
        (0.25, "waiting", 1, 1.0, first),
        (1.5, "waiting", 2, 2.0, second),
        (3.75, "succeeded", 3, 0.0, None),
    ]
    assert story.clock.slept == [1.0, 2.0]


@every_shell
def test_the_last_failure_itself_is_raised_and_says_how_many_tries_were_made(
    shell: Shell, story: Story
) -> None:
    errors = [AdapterConnectionError("binance", str(n), retry_after=None) for n in range(3)]
    work = Work(*errors, clock=story.clock)
    with pytest.raises(AdapterConnectionError) as caught:
        shell(work, **story.options(max_retries=2))
    assert caught.value is errors[2]
    assert [error.context.get("attempts") for error in errors] == [None, None, 3]
    assert story.told() == [
        (0.0, "waiting", 1, 1.0, errors[0]),
        (1.0, "waiting", 2, 2.0, errors[1]),
        (3.0, "exhausted", 3, 0.0, errors[2]),
    ]


@every_shell
def test_a_foreign_last_failure_carries_the_tries_in_a_note(shell: Shell, story: Story) -> None:
    error = ConnectionResetError("for ever")
    with pytest.raises(ConnectionResetError) as caught:
        shell(Work(error, error, clock=story.clock), **story.options(max_retries=1))
    assert caught.value is error
    assert error.__notes__ == ["attempts: 2"]


@every_shell
def test_no_retries_means_one_try(shell: Shell, story: Story) -> None:
    error = TimeoutError("late")
    with pytest.raises(TimeoutError):
        shell(Work(error, clock=story.clock), **story.options(max_retries=0))
    assert story.told() == [(0.0, "exhausted", 1, 0.0, error)]


@every_shell
@pytest.mark.parametrize(
    "error", [KeyError("bug"), TypeError("bug"), OrderRejectionError("1", "insufficient funds")]
)
def test_what_is_not_retried_is_raised_at_once(
    shell: Shell, story: Story, error: Exception
) -> None:
    work = Work(error, clock=story.clock)
    with pytest.raises(type(error)) as caught:
        shell(work, **story.options())
    assert caught.value is error
    assert (work.calls, story.told()) == (1, [(0.0, "refused", 1, 0.0, error)])


@every_shell
@pytest.mark.parametrize("error_type", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
def test_cancellation_and_interrupts_pass_even_where_base_exception_is_named(
    shell: Shell, story: Story, error_type: type[BaseException]
) -> None:
    """tenacity, stamina and nautilus swallow the cancellation here, and the task lives on."""
    work = Work(error_type(), clock=story.clock)
    with pytest.raises(error_type) as caught:
        shell(work, **story.options(exceptions=(BaseException,)))
    assert (work.calls, story.told()) == (1, [])
    assert not hasattr(caught.value, "__notes__")


@every_shell
def test_an_unknown_outcome_is_not_sent_again_unless_it_may_be(shell: Shell, story: Story) -> None:
    """A second order is the one bug of a retry that loses money."""
    lost = AdapterConnectionError("binance", "no acknowledgement")
    assert lost.outcome is Outcome.UNKNOWN
    work = Work(lost, clock=story.clock)
    with pytest.raises(AdapterConnectionError):
        shell(work, **story.options(kind=OperationKind.NOT_IDEMPOTENT))
    assert (work.calls, story.told()) == (1, [(0.0, "refused", 1, 0.0, lost)])


@every_shell
def test_what_was_not_sent_or_was_turned_away_may_be_sent_again(shell: Shell, story: Story) -> None:
    unsent = AdapterConnectionError("binance", "refused", outcome=Outcome.NOT_SENT)
    limited = RateLimitError("binance", retry_after=30.0)
    work = Work(unsent, limited, clock=story.clock)
    assert shell(work, **story.options(kind=OperationKind.NOT_IDEMPOTENT)) == "done"
    assert story.clock.slept == [5.0, 30.0]


@every_shell
def test_a_retry_after_of_zero_is_now_and_not_absent(shell: Shell, story: Story) -> None:
    work = Work(RateLimitError("binance", retry_after=0.0), clock=story.clock)
    assert shell(work, **story.options()) == "done"
    assert story.clock.slept == [0.0]


@every_shell
def test_a_wait_that_does_not_fit_the_deadline_is_not_begun(shell: Shell, story: Story) -> None:
    """The venue's own error is raised, now, with the venue's wait; the event says why."""
    limited = RateLimitError("binance", retry_after=3600.0)
    with pytest.raises(RateLimitError) as caught:
        shell(Work(limited, clock=story.clock, takes=2.0), **story.options(deadline=10.0))
    assert caught.value is limited
    assert limited.retry_after == 3600.0
    assert limited.context["attempts"] == 1
    assert limited.__notes__ == ["No retry: a wait of 3600 s does not fit into the remaining 8 s"]
    assert [(e.kind.value, e.attempt, e.delay) for e in story.events] == [("exhausted", 1, 0.0)]
    refusal = story.events[0].error
    assert isinstance(refusal, RetryDeadlineError)
    assert refusal.__cause__ is limited
    assert refusal.timestamp == story.clock.wall()
    assert story.clock.slept == []


@every_shell
def test_the_deadline_counts_tries_and_waits_together(shell: Shell, story: Story) -> None:
    story.clock.seconds = 1000.0
    errors = [TimeoutError(str(n)) for n in range(9)]
    with pytest.raises(TimeoutError):
        shell(
            Work(*errors, clock=story.clock, takes=1.0),
            **story.options(max_retries=8, deadline=6.0),
        )
    # Tries began 0, 2 and 5 s after the first; after the third nothing remains.
    assert story.clock.slept == [1.0, 2.0]
    assert story.clock.seconds == 1006.0


@every_shell
def test_an_empty_budget_ends_it_and_is_told_as_its_own_outcome(shell: Shell, story: Story) -> None:
    budget = RetryBudget(1, per_second=0.0, clock=story.clock)
    first, second = TimeoutError("1"), TimeoutError("2")
    with pytest.raises(TimeoutError, match="2"):
        shell(Work(first, second, clock=story.clock), **story.options(budget=budget))
    assert story.told() == [
        (0.0, "waiting", 1, 1.0, first),
        (1.0, "budget", 2, 0.0, second),
    ]


@every_shell
def test_only_retries_that_are_made_are_charged(shell: Shell, story: Story) -> None:
    budget = RetryBudget(5, per_second=0.0, clock=story.clock)
    options = story.options(budget=budget, max_retries=1, deadline=100.0)
    shell(Work(clock=story.clock), **options)
    for error in (KeyError("refused"), RateLimitError("binance", retry_after=3600.0)):
        with pytest.raises(type(error)):
            shell(Work(error, clock=story.clock), **options)
    assert budget.available() == 5.0
    with pytest.raises(TimeoutError):
        shell(Work(TimeoutError(), TimeoutError(), clock=story.clock), **options)
    assert budget.available() == 4.0


@every_shell
def test_one_seed_gives_one_schedule(shell: Shell) -> None:
    def slept(seed: int) -> list[float]:
        clock = FakeClock()
        work = Work(TimeoutError(), TimeoutError(), TimeoutError(), clock=clock)
        shell(work, clock=clock, rng=random.Random(seed))
        return clock.slept

    assert slept(1) == slept(1) != slept(2)


@every_shell
def test_a_listener_that_raises_is_not_felt(
    shell: Shell, story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(event: RetryEvent) -> None:
        raise RuntimeError("broken listener")

    options = story.options()
    options["listeners"] = [broken, *options["listeners"]]
    work = Work(TimeoutError(), TimeoutError(), clock=story.clock)
    assert shell(work, **options) == "done"
    assert len(story.events) == 3
    assert capsys.readouterr().out.count("listener.dropped") == 1


@every_shell
def test_waiting_can_be_switched_off_and_comes_back(shell: Shell, story: Story) -> None:
    def run() -> list[float]:
        story.clock.slept.clear()
        shell(Work(TimeoutError(), clock=story.clock), **story.options())
        return [seconds for seconds in story.clock.slept if seconds]

    with without_waiting():
        with without_waiting():
            assert run() == []
        assert run() == []
    assert run() == [1.0]
    assert [event.delay for event in story.events if event.kind == "waiting"] == [1.0] * 3


@every_shell
def test_a_stop_that_is_set_already_means_no_retry(shell: Shell, story: Story) -> None:
    stop = threading.Event()
    stop.set()
    error = TimeoutError("late")
    with pytest.raises(TimeoutError) as caught:
        shell(Work(error, clock=story.clock), **story.options(), stop=stop)
    assert caught.value is error
    assert story.told() == [(0.0, "refused", 1, 0.0, error)]


@every_shell
def test_a_frozen_exception_is_raised_as_it_is(shell: Shell, story: Story) -> None:
    @dataclasses.dataclass(frozen=True, eq=False)
    class Frozen(OSError):
        reason: str = "no note can be put on it"

    error = Frozen()
    with pytest.raises(Frozen) as caught:
        shell(Work(error, clock=story.clock), **story.options(max_retries=0))
    assert caught.value is error


@every_shell
def test_notes_do_not_pile_up_on_an_instance_that_is_raised_again(
    shell: Shell, story: Story
) -> None:
    error = TimeoutError("one for all")
    error.add_note("its own")
    for _ in range(3):
        with pytest.raises(TimeoutError):
            shell(Work(error, error, clock=story.clock), **story.options(max_retries=1))
    assert error.__notes__ == ["its own", "attempts: 2"]


@every_shell
def test_a_config_and_keywords_together_are_refused(shell: Shell, clock: FakeClock) -> None:
    with pytest.raises(TypeError, match="got both: jitter, max_retries; use"):
        shell(Work(clock=clock), config=RetryConfig(), max_retries=1, jitter=False)


@every_shell
def test_a_config_alone_is_taken(shell: Shell, clock: FakeClock) -> None:
    config = RetryConfig(1, 4.0, jitter=False)
    assert shell(Work(TimeoutError(), clock=clock), config=config, clock=clock) == "done"
    assert clock.slept == [4.0]


@every_shell
def test_no_failure_is_kept_alive_by_the_retry(shell: Shell, story: Story) -> None:
    """Frames hold what an adapter was doing; a cycle through them frees it only by chance."""

    class Lost(ConnectionError):
        pass

    gc.collect()
    gc.disable()
    try:
        shell(Work(Lost(), Lost(), clock=story.clock), clock=story.clock, jitter=False)
        assert [kept for kept in gc.get_objects() if isinstance(kept, Lost)] == []
    finally:
        gc.enable()


# --- threads --------------------------------------------------------------------------------------


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


# --- coroutines -----------------------------------------------------------------------------------


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


# --- the loop -------------------------------------------------------------------------------------


def test_a_loop_body_without_with_is_refused() -> None:
    with pytest.raises(RuntimeError, match="wrapped in `with attempt:`"):
        list(itertools.islice(retrying(), 3))


def test_an_async_loop_body_without_with_is_refused() -> None:
    async def main() -> list[object]:
        attempts = aiter(retrying())
        return [await anext(attempts) for _ in range(3)]

    with pytest.raises(RuntimeError, match="wrapped in `with attempt:`"):
        asyncio.run(main())


def test_a_loop_ends_after_the_first_success_and_numbers_its_tries(clock: FakeClock) -> None:
    work, numbers = Work(TimeoutError(), clock=clock), []
    for attempt in retrying(clock=clock):
        with attempt:
            numbers.append(attempt.number)
            work()
    assert numbers == [1, 2]


def test_what_a_loop_hands_out_is_an_iterator_itself() -> None:
    attempts, later = iter(retrying()), aiter(retrying())
    assert iter(attempts) is attempts
    assert aiter(later) is later


def test_a_loop_can_be_left(clock: FakeClock) -> None:
    numbers = []
    for attempt in retrying(clock=clock):
        with attempt:
            numbers.append(attempt.number)
            if attempt.number == 2:
                break
            raise TimeoutError
    assert numbers == [1, 2]


def test_events_carry_the_name_of_what_is_retried(clock: FakeClock) -> None:
    names: list[str] = []
    options: Any = {"clock": clock, "listeners": [lambda event: names.append(event.name)]}
    config = RetryConfig(max_retries=0)

    class Adapter:
        @retry_with_backoff(config, **options)
        def connect(self) -> None:
            raise TimeoutError

    def fail(venue: str) -> None:
        raise TimeoutError

    def in_a_loop() -> None:
        for attempt in retrying(config, name="orders.open", **options):
            with attempt:
                raise TimeoutError

    def in_a_loop_without_a_name() -> None:
        for attempt in retrying(config, **options):
            with attempt:
                raise TimeoutError

    retry = retry_with_backoff(config, **options)
    work = Work(TimeoutError(), clock=clock)
    partial = functools.partial(fail, "binance")
    for call in (
        Adapter().connect,
        retry(partial),
        retry(work),
        in_a_loop,
        in_a_loop_without_a_name,
    ):
        with contextlib.suppress(TimeoutError):
            call()
    here = "test_events_carry_the_name_of_what_is_retried.<locals>."
    assert names == [
        f"{here}Adapter.connect",
        f"{here}fail",
        "Work",
        "orders.open",
        "retrying",
    ]


async def _awaited(call: Callable[[], Awaitable[None]]) -> None:
    await call()


def test_events_of_coroutines_carry_their_name_too(clock: FakeClock) -> None:
    names: list[str] = []
    options: Any = {"clock": clock, "listeners": [lambda event: names.append(event.name)]}
    config = RetryConfig(max_retries=0)

    @retry_with_backoff(config, **options)
    async def connect() -> None:
        raise TimeoutError

    async def in_a_loop() -> None:
        async for attempt in retrying(config, name="orders.open", **options):
            with attempt:
                raise TimeoutError

    async def fail() -> None:
        raise TimeoutError

    @retry_with_backoff(config, **options)
    def plain() -> Awaitable[None]:
        return fail()

    for call in (connect, in_a_loop, plain):
        with pytest.raises(TimeoutError):
            asyncio.run(_awaited(call))
    here = "test_events_of_coroutines_carry_their_name_too.<locals>."
    assert names == [f"{here}connect", "orders.open", f"{here}plain"]


# --- decoration -----------------------------------------------------------------------------------


def generator_function() -> Iterator[int]:
    yield 1


async def async_generator_function() -> AsyncIterator[int]:
    yield 1


class GeneratorCall:
    def __call__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize(
    "func",
    [
        generator_function,
        async_generator_function,
        GeneratorCall(),
        functools.partial(generator_function),
    ],
)
def test_generators_are_refused_at_decoration(func: Callable[[], object]) -> None:
    named = r"generator function \w*(generator_function|GeneratorCall): it fails only while it is"
    with pytest.raises(TypeError, match=named):
        retry_with_backoff()(func)


@pytest.mark.parametrize("func", [classmethod(len), staticmethod(len), property(len), 3])
def test_what_is_no_function_is_refused_at_decoration(func: Any) -> None:
    with pytest.raises(TypeError, match="put retry_with_backoff under @classmethod"):
        retry_with_backoff()(func)


def test_the_forgotten_parentheses_are_named() -> None:
    with pytest.raises(TypeError, match=r"write @retry_with_backoff\(\), with the parentheses"):
        retry_with_backoff(lambda: None)


def test_class_and_static_methods_work_with_the_decorator_underneath(clock: FakeClock) -> None:
    work = Work(TimeoutError(), TimeoutError(), clock=clock)

    class Adapter:
        @classmethod
        @retry_with_backoff(clock=clock)
        def of_class(cls) -> str:
            return f"{cls.__name__} {work()}"

        @staticmethod
        @retry_with_backoff(clock=clock)
        def of_none() -> str:
            return work()

    assert (Adapter.of_class(), Adapter().of_none()) == ("Adapter done", "done")


def test_a_decorated_function_looks_like_the_original() -> None:
    @retry_with_backoff()
    def plain(symbol: str, *, depth: int = 5) -> float:
        """The book."""
        return len(symbol) / depth

    @retry_with_backoff()
    async def coroutine(symbol: str) -> None: ...

    assert coroutine.__name__ == "coroutine"
    assert (plain.__name__, plain.__doc__) == ("plain", "The book.")
    assert str(inspect.signature(plain)) == "(symbol: 'str', *, depth: 'int' = 5) -> 'float'"
    assert plain("BTCUSDT", depth=7) == 1.0
    assert not inspect.iscoroutinefunction(plain)
    assert inspect.iscoroutinefunction(coroutine)


def test_arguments_pass_through_in_each_try(clock: FakeClock) -> None:
    sent: list[object] = []

    def take(*args: object, **kwargs: object) -> str:
        sent.append((args, kwargs))
        if len(sent) % 2:
            raise TimeoutError
        return "done"

    async def take_async(*args: object, **kwargs: object) -> str:
        return take(*args, **kwargs)

    def take_later(*args: object, **kwargs: object) -> Awaitable[str]:
        return take_async(*args, **kwargs)

    async def main(retried: Callable[..., Awaitable[str]]) -> str:
        return await retried(1, func=2, self=3)

    retry = retry_with_backoff(clock=clock)
    assert retry(take)(1, func=2, self=3) == "done"
    assert asyncio.run(main(retry(take_async))) == "done"
    assert asyncio.run(main(retry(take_later))) == "done"
    assert sent == [((1,), {"func": 2, "self": 3})] * 6


def test_the_default_source_of_jitter_is_not_shared_by_forked_processes() -> None:
    """Copies of one generator would draw alike: lockstep, by way of jitter."""
    clock = FakeClock()
    retried = retry_with_backoff(clock=clock, max_retries=3)
    state = random.getstate()
    for _ in range(2):
        retried(Work(TimeoutError(), TimeoutError(), clock=clock))()
    assert random.getstate() == state
    assert len(set(clock.slept)) == 4


def test_types_and_signatures_are_preserved_for_mypy() -> None:
    """The usage file asserts types, and its ignores fail the run where they are not needed."""
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "tests/typing/retry_usage.py"]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (run.stdout, run.returncode) == ("", 0)


def test_a_foxtrot_error_keeps_its_context_beside_the_attempts(story: Story) -> None:
    error = FoxtrotError("x", context={"adapter": "binance"}, recoverable=True)
    with pytest.raises(FoxtrotError):
        function(Work(error, clock=story.clock), **story.options(max_retries=0))
    assert error.context == {"adapter": "binance", "attempts": 1}
