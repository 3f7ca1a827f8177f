"""Calls of a breaker inside of a probe of the same breaker: parts of it, until it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from foxtrot.util.circuit_breaker import CircuitBreaker, CircuitBreakerOpenError

from .forms import (
    CLOSED,
    FORMS,
    HALF_OPEN,
    OPEN,
    Down,
    Form,
    ManualClock,
    by_async_permit,
    by_call,
    by_permit,
    drive,
    each_form,
    fail,
    raising,
)

# A permit may be handed on, so nobody knows what is called for its sake.
each_outer_form = pytest.mark.parametrize(
    "outer", [form for form in FORMS if form not in {by_permit, by_async_permit}]
)


def half_open(clock: ManualClock, name: str = "venue") -> CircuitBreaker:
    breaker = CircuitBreaker(name, 1, 1, 10, permit_lease=30, clock=clock)
    fail(breaker)
    clock.tick(10)
    return breaker


@each_outer_form
@each_form
def test_probe_that_calls_through_its_own_breaker_closes_it(
    outer: Form, form: Form, clock: ManualClock
) -> None:
    """A method and the helper that it calls are both protected: one probe, one success."""
    breaker = half_open(clock)
    outer(breaker, lambda: form(breaker, lambda: None))
    assert breaker.state is CLOSED
    assert (breaker.metrics.success, breaker.metrics.blocked) == (1, 0)


@each_outer_form
def test_probe_tells_how_it_went_and_nothing_inside_of_it_does(
    outer: Form, clock: ManualClock
) -> None:
    """A failure inside that is dealt with is none; one that is not fails the probe once."""
    breaker = half_open(clock)

    def undaunted() -> None:
        for _ in range(3):
            with pytest.raises(Down):
                by_call(breaker, raising(Down()))
        assert breaker.state is HALF_OPEN

    outer(breaker, undaunted)
    assert (breaker.state, breaker.metrics.failure) == (CLOSED, 1)
    fail(breaker)
    clock.tick(10)
    with pytest.raises(Down):
        outer(breaker, lambda: by_call(breaker, raising(Down())))
    assert (breaker.state, breaker.metrics.failure) == (OPEN, 3)


@each_outer_form
def test_what_comes_after_a_probe_is_not_inside_of_it(outer: Form, clock: ManualClock) -> None:
    """Nor is what comes after its lease, within which it has to end."""
    breaker = half_open(clock)
    with pytest.raises(Down):
        outer(breaker, raising(Down()))
    with pytest.raises(CircuitBreakerOpenError):
        breaker.acquire()
    clock.tick(10)

    def too_long() -> None:
        clock.tick(30)
        breaker.acquire()
        with pytest.raises(CircuitBreakerOpenError):
            breaker.acquire()

    outer(breaker, too_long)
    assert (breaker.state, breaker.metrics.expired, breaker.metrics.late) == (HALF_OPEN, 1, 1)


def test_probe_of_another_breaker_opens_no_door(clock: ManualClock) -> None:
    ours, other = half_open(clock), half_open(clock, "other")
    other.acquire()

    def request() -> None:
        with pytest.raises(CircuitBreakerOpenError):
            by_call(other, lambda: None)

    by_call(ours, request)


def test_nothing_is_inside_of_a_permit_taken_by_hand(clock: ManualClock) -> None:
    """It may be handed on, and reported elsewhere: others that call meanwhile are others."""
    breaker = half_open(clock)
    with breaker.acquire(), pytest.raises(CircuitBreakerOpenError):
        by_call(breaker, lambda: None)
    assert breaker.state is CLOSED


def test_awaitable_of_a_plain_function_is_inside_of_its_call(clock: ManualClock) -> None:
    breaker = half_open(clock)

    @breaker
    async def request() -> str:
        return "ok"

    @breaker
    def balance() -> Awaitable[str]:
        return request()

    async def main() -> str:
        return await balance()

    assert drive(main()) == "ok"
    assert (breaker.state, breaker.metrics.success) == (CLOSED, 1)


def test_tasks_that_a_probe_starts_are_inside_until_it_ends(clock: ManualClock) -> None:
    """Other tasks are refused meanwhile; one that outlives the probe is as any other then."""
    breaker = half_open(clock)
    story: list[str] = []

    async def call(name: str) -> None:
        try:
            await breaker.call_async(asyncio.sleep, 0)
        except CircuitBreakerOpenError:
            story.append(f"{name} refused")
        else:
            story.append(f"{name} through")

    async def later(ended: asyncio.Event) -> None:
        await ended.wait()
        await call("survivor")

    async def probe(ended: asyncio.Event, tasks: asyncio.TaskGroup) -> None:
        tasks.create_task(later(ended))
        await asyncio.gather(call("child"), call("child"))
        await asyncio.sleep(0)
        raise Down

    async def main() -> None:
        ended = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            outer = tasks.create_task(_fails(breaker.call_async(probe, ended, tasks)))
            await asyncio.sleep(0)
            tasks.create_task(call("stranger"))
            await outer
            ended.set()

    asyncio.run(main())
    assert story == ["stranger refused", "child through", "child through", "survivor refused"]
    assert breaker.state is OPEN


async def _fails(call: Awaitable[None]) -> None:
    with pytest.raises(Down):
        await call
