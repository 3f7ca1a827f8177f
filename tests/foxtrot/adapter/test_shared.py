"""A question that is asked once for all who come within a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from foxtrot.adapter._shared import Shared
from harness.kernel import VirtualLoop, run_virtual


class Venue:
    """Answers each question after 0.2 s with the time it was asked at; or fails the first ones."""

    def __init__(self, loop: VirtualLoop, failures: int = 0) -> None:
        self.loop = loop
        self.asked: list[float] = []
        self.failures = failures
        self.shared = Shared(self.answer, 0.05)

    async def answer(self) -> float:
        at = round(self.loop.time(), 3)
        self.asked.append(at)
        await asyncio.sleep(0.2)
        if len(self.asked) <= self.failures:
            raise ConnectionError
        return at

    async def come(self, at: float) -> float:
        await asyncio.sleep(at - self.loop.time())
        return await self.shared.answer()


def play(body: Callable[[Venue], Awaitable[Any]], failures: int = 0) -> tuple[Any, list[float]]:
    async def main(loop: VirtualLoop) -> tuple[Any, list[float]]:
        venue = Venue(loop, failures)
        return await body(venue), venue.asked

    return run_virtual(main, max_time=60.0)


@pytest.mark.parametrize(
    ("times", "asked"),
    [
        ((1.0,), [1.05]),
        ((1.0, 1.0, 1.02, 1.04), [1.05]),
        # What is on its way already was asked before the second came.
        ((1.0, 1.06), [1.05, 1.11]),
        ((1.0, 2.0), [1.05, 2.05]),
    ],
)
def test_nobody_is_told_what_was_asked_before_he_came(
    times: tuple[float, ...], asked: list[float]
) -> None:
    async def body(venue: Venue) -> list[float]:
        return await asyncio.gather(*map(venue.come, times))

    answers, questions = play(body)
    assert questions == asked
    assert all(answer >= came for answer, came in zip(answers, times, strict=True))


def test_failure_is_the_first_ones_and_the_others_ask_for_themselves() -> None:
    async def body(venue: Venue) -> list[Any]:
        return await asyncio.gather(*map(venue.come, (1.0, 1.0, 1.0)), return_exceptions=True)

    (first, *others), asked = play(body, failures=1)
    assert isinstance(first, ConnectionError)
    assert others == [1.25, 1.25]
    assert asked == [1.05, 1.25, 1.25]


@pytest.mark.parametrize("left_at", [1.02, 1.1])
def test_others_are_answered_though_the_first_leaves(left_at: float) -> None:
    async def body(venue: Venue) -> list[float]:
        first = asyncio.create_task(venue.come(1.0))
        others = [asyncio.create_task(venue.come(1.01)) for _ in range(2)]
        await asyncio.sleep(left_at)
        first.cancel()
        return await asyncio.gather(*others)

    answers, _ = play(body)
    assert answers == [left_at, left_at]


def test_one_who_leaves_takes_the_answer_from_nobody() -> None:
    async def body(venue: Venue) -> list[float]:
        first, second, third = (asyncio.create_task(venue.come(at)) for at in (1.0, 1.01, 1.01))
        await asyncio.sleep(1.1)
        second.cancel()
        return [await first, await third]

    answers, asked = play(body)
    assert answers == [1.05, 1.05]
    assert asked == [1.05]
