"""What opens a breaker beside failures in a row: rates, and slow calls."""

from __future__ import annotations

import pytest

from foxtrot.util.circuit_breaker import (
    CircuitBreaker,
    CircuitState,
)

from .forms import (
    CLOSED,
    OPEN,
    Form,
    ManualClock,
    each_form,
    fail,
    heard,
)


def test_failure_rate_opens_it_once_there_are_enough_calls(clock: ManualClock) -> None:
    """Half of the calls fail, never two in a row: the tenth one decides."""
    breaker = CircuitBreaker("venue", 5, failure_rate_threshold=0.5, clock=clock)
    story = heard(breaker)
    for number in range(9):
        permit = breaker.acquire()
        permit.success() if number % 2 else permit.failure()
    assert breaker.state is CLOSED
    breaker.acquire().success()
    assert story[-1] == (0, "state", "closed", "open", "failure_rate")


def test_rate_below_the_threshold_stays_closed(clock: ManualClock) -> None:
    """Four failures in ten are not half."""
    breaker = CircuitBreaker("venue", 5, failure_rate_threshold=0.5, clock=clock)
    for number in range(100):
        permit = breaker.acquire()
        permit.failure() if number % 5 in {1, 3} else permit.success()
    assert breaker.state is CLOSED


def test_rate_forgets_what_is_older_than_the_window(clock: ManualClock) -> None:
    """Failures of a window ago do not open it; those of nine tenths of it do."""

    def after(wait: float) -> CircuitState:
        breaker = CircuitBreaker(
            "venue",
            9,
            failure_rate_threshold=0.5,
            window_seconds=10,
            minimum_calls=4,
            clock=clock,
        )
        fail(breaker, 3)
        clock.tick(wait)
        breaker.acquire().success()
        return breaker.state

    assert [after(8.9), after(10)] == [OPEN, CLOSED]


@pytest.mark.parametrize(("later", "state"), [(54, OPEN), (60, CLOSED)])
def test_rate_looks_back_a_minute_unless_told_otherwise(
    later: float, state: CircuitState, clock: ManualClock
) -> None:
    breaker = CircuitBreaker("v", 9, failure_rate_threshold=0.5, minimum_calls=2, clock=clock)
    fail(breaker)
    clock.tick(later)
    fail(breaker)
    assert breaker.state is state


def test_failures_and_slow_calls_of_a_window_ago_weigh_nothing(clock: ManualClock) -> None:
    """Four good, quick calls are judged alone, whatever was before the window."""
    breaker = CircuitBreaker(
        "venue",
        9,
        failure_rate_threshold=0.5,
        minimum_calls=4,
        slow_call_seconds=2,
        slow_call_rate_threshold=0.5,
        clock=clock,
    )
    for _ in range(3):
        permit = breaker.acquire()
        clock.tick(2)
        permit.failure()
    clock.tick(60)
    for _ in range(4):
        breaker.call(lambda: None)
    assert breaker.state is CLOSED


def test_neutral_results_are_no_calls_of_the_window(clock: ManualClock) -> None:
    """Cancellations make no rate, neither up nor down."""
    breaker = CircuitBreaker("venue", 9, failure_rate_threshold=0.5, minimum_calls=2, clock=clock)
    fail(breaker)
    for _ in range(5):
        breaker.acquire().neutral()
    assert breaker.state is CLOSED


def slow_breaker(clock: ManualClock) -> CircuitBreaker:
    return CircuitBreaker(
        "venue",
        timeout=10,
        success_threshold=1,
        slow_call_seconds=2,
        slow_call_rate_threshold=0.5,
        minimum_calls=4,
        clock=clock,
    )


@each_form
def test_slow_calls_open_it(form: Form, clock: ManualClock) -> None:
    """Two calls in four take two seconds."""
    breaker = slow_breaker(clock)
    story = heard(breaker)
    for seconds in (1.9, 2.0, 1.9, 2.0):
        assert breaker.state is CLOSED
        form(breaker, lambda seconds=seconds: clock.tick(seconds))  # type: ignore[misc]
    assert story == [(7.8, "state", "closed", "open", "slow_call_rate")]


def test_slow_probe_does_not_close_it(clock: ManualClock) -> None:
    """A venue that answers as slowly as before has not recovered."""
    breaker = slow_breaker(clock)
    fail(breaker, 5)
    clock.tick(10)
    story = heard(breaker)
    breaker.call(lambda: clock.tick(2))
    breaker_after_slow = breaker.state
    clock.tick(10)
    breaker.call(lambda: clock.tick(1))
    assert (breaker_after_slow, breaker.state) == (OPEN, CLOSED)
    assert [event[1:] for event in story[:2]] == [
        ("state", "open", "half_open", "open_time_over"),
        ("state", "half_open", "open", "probe_slow"),
    ]
