"""How long a breaker stays open."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from foxtrot.util.circuit_breaker import (
    CircuitBreaker,
)
from foxtrot.util.errors import (
    RateLimitError,
)

from .forms import (
    CLOSED,
    HALF_OPEN,
    OPEN,
    ManualClock,
    fail,
    heard,
    raising,
)


def test_open_time_grows_to_its_cap_and_starts_again_after_closing(clock: ManualClock) -> None:
    """10, 20, 40, 50, 50; after a recovery 10."""
    breaker = CircuitBreaker("v", 1, 1, 10, timeout_growth=2, max_timeout=50, clock=clock)
    seen = []
    for _ in range(5):
        fail(breaker)
        seen.append(breaker.retry_after())
        clock.tick(breaker.retry_after() or 0)
    breaker.acquire().success()
    fail(breaker)
    assert (seen, breaker.retry_after()) == ([10, 20, 40, 50, 50], 10)


def test_growth_saturates_however_often_a_probe_fails(clock: ManualClock) -> None:
    """Two thousand failed probes at factor ten end at ten times the timeout."""
    breaker = CircuitBreaker("v", 1, 1, 1, timeout_growth=10, clock=clock)
    for _ in range(2000):
        fail(breaker)
        clock.tick(breaker.retry_after() or 0)
    fail(breaker)
    assert breaker.retry_after() == 10


@pytest.mark.parametrize("report", ["failure", "unknown"])
def test_venues_retry_after_is_a_floor_of_the_open_time(report: str, clock: ManualClock) -> None:
    """A ban of three minutes outlasts the timeout, and the cap."""
    breaker = CircuitBreaker("v", 2, 1, 10, max_timeout=10, clock=clock)
    getattr(breaker.acquire(), report)(RateLimitError("v", 180))
    assert breaker.state is CLOSED
    clock.tick(30)
    fail(breaker)
    assert breaker.retry_after() == 150


def test_retry_after_of_a_call_that_is_neutral_is_no_floor(clock: ManualClock) -> None:
    """What is excluded from judgement does not set the window either."""
    breaker = CircuitBreaker("v", 1, 1, 10, excluded=RateLimitError, clock=clock)
    with pytest.raises(RateLimitError):
        breaker.call(raising(RateLimitError("v", 180)))
    fail(breaker)
    assert breaker.retry_after() == 10


def test_shorter_floor_does_not_shorten_a_longer_one(clock: ManualClock) -> None:
    """The venue's longest word holds."""
    breaker = CircuitBreaker("v", 2, 1, 10, clock=clock)
    fail(breaker, error=RateLimitError("v", 180))
    fail(breaker, error=RateLimitError("v", 1))
    assert breaker.retry_after() == 180


def test_hold_by_hand(clock: ManualClock) -> None:
    """Closed it waits; open it extends, never shortens; half-open it opens, probes and all."""
    breaker = CircuitBreaker("v", 1, 1, 10, timeout_growth=3, clock=clock)
    story = heard(breaker)
    breaker.hold(15)
    assert breaker.state is CLOSED
    fail(breaker)
    assert breaker.retry_after() == 15
    breaker.hold(25)
    breaker.hold(5)
    assert breaker.retry_after() == 25
    clock.tick(25)
    probe = breaker.acquire()
    breaker.hold(7)
    probe.success()
    assert (breaker.state, breaker.retry_after()) == (OPEN, 7)
    assert story == [
        (0, "hold", "closed", "closed", "hold"),
        (0, "failure", "closed", "closed", "failure"),
        (0, "state", "closed", "open", "consecutive_failures"),
        (0, "hold", "open", "open", "hold"),
        (0, "hold", "open", "open", "hold"),
        (25, "state", "open", "half_open", "open_time_over"),
        (25, "hold", "half_open", "half_open", "hold"),
        (25, "state", "half_open", "open", "hold"),
        (25, "late", "open", "open", "success"),
    ]


def test_hold_of_zero_leaves_the_probes_alone(clock: ManualClock) -> None:
    """A pause of nothing is no reason to call a probe late."""
    breaker = CircuitBreaker("v", 1, 1, 10, clock=clock)
    fail(breaker)
    clock.tick(10)
    probe = breaker.acquire()
    breaker.hold(0)
    probe.success()
    assert breaker.state is CLOSED


@pytest.mark.parametrize(
    ("act", "to", "reason"),
    [
        (lambda breaker: breaker.hold(5), "open", "hold"),
        (lambda breaker: breaker.reset(), "closed", "reset"),
        (lambda breaker: breaker.force_open(), "open", "forced_open"),
    ],
)
def test_operator_acts_on_the_state_that_is_shown(
    act: Callable[[CircuitBreaker], None], to: str, reason: str, clock: ManualClock
) -> None:
    """The open time is over: the change is told as one from half-open, as whoever looked saw it."""
    breaker = CircuitBreaker("v", 1, 1, 10, clock=clock)
    fail(breaker)
    clock.tick(10)
    story = heard(breaker)
    act(breaker)
    assert [event for event in story if event[1] == "state"] == [
        (10, "state", "open", "half_open", "open_time_over"),
        (10, "state", "half_open", to, reason),
    ]


def test_state_is_half_open_when_the_time_is_over_without_a_caller(clock: ManualClock) -> None:
    """Reading says what a caller would meet, and changes nothing: no event, no transition."""
    breaker = CircuitBreaker("v", 1, 1, 10, clock=clock)
    fail(breaker)
    story = heard(breaker)
    clock.tick(9.5)
    assert (breaker.state, breaker.retry_after()) == (OPEN, 0.5)
    clock.tick(0.5)
    assert (breaker.state, breaker.retry_after()) == (HALF_OPEN, 0.0)
    assert (story, breaker.metrics.transitions) == ([], 1)


@pytest.mark.parametrize("start", [0.1, 0.7, 86_400.3, 1.7e9 + 0.1])
def test_who_sleeps_for_retry_after_finds_the_gate_open(start: float) -> None:
    """Clocks round: a sum of floats a hair short of the deadline is not refused."""
    clock = ManualClock(start)
    breaker = CircuitBreaker("v", 1, 1, 0.2, clock=clock)
    fail(breaker)
    clock.seconds = float(f"{start + 0.2:.9f}") - (2.4e-7 if start > 1e9 else 0)
    breaker.acquire().success()
    assert breaker.state is CLOSED


def test_failures_of_an_open_breaker_are_not_counted(clock: ManualClock) -> None:
    """The count is the one that opened it, through every failed probe."""
    breaker = CircuitBreaker("v", 3, 1, 10, clock=clock)
    fail(breaker, 3)
    for _ in range(4):
        clock.tick(10)
        fail(breaker)
    assert breaker.failure_count == 3
