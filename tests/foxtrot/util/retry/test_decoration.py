"""What the decorator takes, refuses, and leaves as it was."""

from __future__ import annotations

import asyncio
import functools
import inspect
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from foxtrot.util.errors import (
    FoxtrotError,
)
from foxtrot.util.retry import (
    retry_with_backoff,
)

from .shells import FakeClock, Story, Work, function


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
    root = Path(__file__).parents[4]
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "tests/typing/retry_usage.py"]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (run.stdout, run.returncode) == ("", 0)


def test_a_foxtrot_error_keeps_its_context_beside_the_attempts(story: Story) -> None:
    error = FoxtrotError("x", context={"adapter": "binance"}, recoverable=True)
    with pytest.raises(FoxtrotError):
        function(Work(error, clock=story.clock), **story.options(max_retries=0))
    assert error.context == {"adapter": "binance", "attempts": 1}
