"""The loop `for attempt in retrying(...)`."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from foxtrot.util.retry import (
    RetryConfig,
    retry_with_backoff,
    retrying,
)

from .shells import FakeClock, Work


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
