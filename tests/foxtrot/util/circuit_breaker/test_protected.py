"""What can be protected: functions, methods, awaitables, blocks."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from foxtrot.util.circuit_breaker import (
    CircuitBreaker,
)

from .forms import (
    CLOSED,
    HALF_OPEN,
    OPEN,
    Down,
    Form,
    ManualClock,
    by_call,
    by_decorator,
    drive,
    fail,
)


def test_methods_are_protected_each_with_its_self(clock: ManualClock) -> None:
    breaker = CircuitBreaker("v", 2, clock=clock)

    class Adapter:
        name = "a"

        @breaker
        def plain(self, x: int) -> tuple[str, int]:
            """Doc."""
            return self.name, x

        @breaker
        async def waiting(self, x: int) -> tuple[str, int]:
            return self.name, x

        @breaker
        @staticmethod
        def static(x: int) -> int:
            return x

        @breaker
        @classmethod
        def of_class(cls) -> str:
            return cls.name

    adapter = Adapter()
    assert (adapter.plain(1), drive(adapter.waiting(2))) == (("a", 1), ("a", 2))
    assert (Adapter.static(3), Adapter.of_class()) == (3, "a")
    assert (Adapter.plain.__doc__, Adapter.plain.__name__) == ("Doc.", "plain")
    assert Adapter.waiting.__name__ == "waiting"
    assert inspect.iscoroutinefunction(Adapter.waiting)
    assert breaker.metrics.success == 4


def test_arguments_pass_through_whatever_their_names(clock: ManualClock) -> None:
    """Also those called as the breaker's own parameters."""
    breaker = CircuitBreaker("v", clock=clock)

    def echo(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    async def echo_async(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    sent = (1, 2), {"fn": 3, "self": 4, "gate": 5}
    assert breaker.call(echo, *sent[0], **sent[1]) == sent
    assert breaker(echo)(*sent[0], **sent[1]) == sent
    assert drive(breaker.call_async(echo_async, *sent[0], **sent[1])) == sent
    assert drive(breaker(echo_async)(*sent[0], **sent[1])) == sent
    fail(breaker)
    assert breaker.call(echo, *sent[0], **sent[1]) == sent
    fail(breaker)
    assert drive(breaker(echo_async)(*sent[0], **sent[1])) == sent


@pytest.mark.parametrize("failed_before", [0, 1])
def test_call_refuses_a_coroutine_function(failed_before: int, clock: ManualClock) -> None:
    """It says what to use, runs nothing of it, and counts nothing."""
    breaker = CircuitBreaker("v", 2, clock=clock)
    fail(breaker, failed_before)

    async def request() -> None:
        raise AssertionError("was run")

    class Client:
        async def __call__(self) -> None:
            raise AssertionError("was run")

    for fn in (request, functools.partial(request), Client()):
        with pytest.raises(TypeError, match="call_async"):
            breaker.call(fn)
    assert (breaker.metrics.neutral, breaker.failure_count) == (3, failed_before)


@pytest.mark.parametrize("failed_before", [0, 1])
@pytest.mark.parametrize("form", [by_call, by_decorator])
def test_awaitable_of_a_plain_function_reports_when_it_is_done(
    form: Form, failed_before: int, clock: ManualClock
) -> None:
    """The making of a coroutine is no success; its failure is one."""
    breaker = CircuitBreaker("v", 2, clock=clock)
    fail(breaker, failed_before)

    async def request() -> None:
        raise Down

    pending = form(breaker, lambda: request())  # noqa: PLW0108 - a plain function is the point
    assert (breaker.metrics.success, breaker.failure_count) == (0, failed_before)
    with pytest.raises(Down):
        drive(pending)
    assert breaker.failure_count == failed_before + 1
    assert (breaker.metrics.success, breaker.metrics.failure) == (0, failed_before + 1)


def test_future_of_a_plain_function_stays_a_future(clock: ManualClock) -> None:
    """Its holder can cancel it; the breaker hears of its end without an await."""
    breaker = CircuitBreaker("v", 9, clock=clock)

    async def request(error: BaseException | None) -> None:
        if error is not None:
            raise error

    async def main() -> None:
        for error in (None, Down()):
            task = breaker.call(lambda error=error: asyncio.ensure_future(request(error)))  # type: ignore[misc]
            assert isinstance(task, asyncio.Task)
            await asyncio.wait([task])
            task.exception()
        cancelled = breaker.call(lambda: asyncio.ensure_future(request(None)))
        cancelled.cancel()
        await asyncio.wait([cancelled])

    asyncio.run(main())
    metrics = breaker.metrics
    assert (metrics.success, metrics.failure, metrics.neutral) == (1, 1, 1)


def _generate() -> Iterator[int]:
    yield 1


async def _generate_async() -> AsyncIterator[int]:
    yield 1


class _Generating:
    def __call__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize(
    "fn", [_generate, _generate_async, functools.partial(_generate), _Generating()]
)
def test_generators_are_refused_with_a_message(fn: Any, clock: ManualClock) -> None:
    """At decoration, and by call with nothing counted."""
    breaker = CircuitBreaker("v", clock=clock)
    with pytest.raises(TypeError, match="generator function"):
        breaker(fn)
    with pytest.raises(TypeError, match="use `with breaker:`"):
        breaker.call(fn)
    assert (breaker.metrics.success, breaker.metrics.neutral) == (0, 1)


def test_generator_that_a_plain_function_hands_out_is_a_success(clock: ManualClock) -> None:
    breaker = CircuitBreaker("v", clock=clock)
    assert list(breaker.call(lambda: (n for n in range(2)))) == [0, 1]
    assert breaker.metrics.success == 1


def test_callable_object_with_async_call_gets_the_async_shell(clock: ManualClock) -> None:
    class Client:
        async def __call__(self) -> None:
            raise Down

    breaker = CircuitBreaker("v", 1, clock=clock)
    with pytest.raises(Down):
        drive(breaker(Client())())
    assert breaker.state is OPEN


def test_results_of_changing_types_are_all_successes(clock: ManualClock) -> None:
    breaker = CircuitBreaker("v", clock=clock)
    results = [1, "a", None, {}, 2.0, "b", None]
    assert [breaker.call(lambda r=r: r) for r in results] == results  # type: ignore[misc]
    assert (breaker.metrics.success, breaker.metrics.admitted) == (7, 7)


def test_nested_blocks_report_each_their_own(clock: ManualClock) -> None:
    """Inner failure handled, outer success; two breakers do not take each other's permits."""
    outer, inner = CircuitBreaker("o", 5, clock=clock), CircuitBreaker("i", 5, clock=clock)
    with outer, inner, outer:
        with pytest.raises(Down), inner:
            raise Down
        assert (inner.failure_count, outer.failure_count) == (1, 0)
    assert (outer.metrics.success, inner.metrics.success) == (2, 1)


def test_blocks_left_in_another_order_than_entered_report_each_their_own(
    clock: ManualClock,
) -> None:
    """Two breakers may overlap without nesting."""
    a, b = CircuitBreaker("a", 5, clock=clock), CircuitBreaker("b", 5, clock=clock)
    a.__enter__(), b.__enter__()
    a.__exit__(Down, Down(), None)
    b.__exit__(None, None, None)
    assert (a.metrics.failure, b.metrics.success) == (1, 1)


def test_blocks_of_generators_report_each_their_own_in_whatever_order(clock: ManualClock) -> None:
    """One that was begun before the outage ends during a probe: it is late, the probe is out."""
    breaker = CircuitBreaker("v", 1, 1, 10, clock=clock)

    def pages() -> Iterator[None]:
        with breaker:
            yield

    async def pages_to_come() -> AsyncIterator[None]:
        async with breaker:
            yield

    async def main() -> None:
        stale, stale_too = pages(), pages_to_come()
        next(stale)
        await anext(stale_too)
        fail(breaker)
        clock.tick(10)
        with breaker:
            assert next(stale, "end") == "end"
            assert await anext(stale_too, "end") == "end"
            assert (breaker.state, breaker.metrics.late) == (HALF_OPEN, 2)
        assert breaker.state is CLOSED

    asyncio.run(main())


def test_blocks_of_an_exit_stack_report_each_their_own(clock: ManualClock) -> None:
    """It enters and leaves them from frames of its own."""
    breaker = CircuitBreaker("v", 5, clock=clock)
    with suppress(Down), ExitStack() as stack:
        stack.enter_context(breaker)
        with breaker:
            pass
        assert breaker.metrics.success == 1
        raise Down
    assert (breaker.metrics.success, breaker.metrics.failure) == (1, 1)


def test_block_in_concurrent_tasks_keeps_the_permits_apart(clock: ManualClock) -> None:
    """Tasks started inside a block have blocks of their own."""
    breaker = CircuitBreaker("v", 9, clock=clock)

    async def work(error: BaseException | None) -> None:
        async with breaker:
            await asyncio.sleep(0)
            if error is not None:
                raise error

    async def main() -> None:
        async with breaker:
            await asyncio.gather(work(None), work(Down()), work(None), return_exceptions=True)

    asyncio.run(main())
    assert (breaker.metrics.success, breaker.metrics.failure) == (3, 1)


def test_block_left_in_another_context_goes_unreported(clock: ManualClock) -> None:
    """As in fixtures of test frameworks; nothing is raised over what the block did."""
    breaker = CircuitBreaker("v", 1, clock=clock)
    thread = threading.Thread(target=breaker.__enter__)
    thread.start()
    thread.join()
    breaker.__exit__(None, None, None)
    assert (breaker.metrics.admitted, breaker.metrics.success) == (1, 0)


def test_block_gives_its_permit_for_a_verdict_of_ones_own(clock: ManualClock) -> None:
    """A reply that is an error though nothing was raised."""
    breaker = CircuitBreaker("v", 1, clock=clock)
    with breaker as permit:
        permit.failure()
    assert (breaker.state, breaker.metrics.success) == (OPEN, 0)
