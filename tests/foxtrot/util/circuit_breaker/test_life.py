"""The plain life of a breaker, on every form of use."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest

from foxtrot.util.circuit_breaker import (
    BreakerMetrics,
    CircuitBreaker,
    CircuitBreakerOpenError,
    CircuitState,
)
from foxtrot.util.errors import (
    AdapterConnectionError,
    OrderRejectionError,
    RateLimitError,
)

from .forms import (
    CLOSED,
    HALF_OPEN,
    OPEN,
    Down,
    Form,
    ManualClock,
    each_form,
    fail,
    heard,
    raising,
)


@each_form
def test_outage_and_recovery_tell_the_whole_story(form: Form, clock: ManualClock) -> None:
    """Two failures open it, it refuses, after the timeout two good probes close it."""
    breaker = CircuitBreaker("venue", 2, 2, dt.timedelta(seconds=10), clock=clock)
    story = heard(breaker)
    assert form(breaker, lambda: "pong") == "pong"
    for _ in range(2):
        clock.tick(1)
        error = Down()
        with pytest.raises(Down) as caught:
            form(breaker, raising(error))
        assert caught.value is error
    with pytest.raises(CircuitBreakerOpenError):
        form(breaker, raising(AssertionError("was called")))
    clock.tick(10)
    assert form(breaker, lambda: 1) == 1
    assert form(breaker, lambda: 2) == 2
    assert story == [
        (1, "failure", "closed", "closed", "Down"),
        (2, "failure", "closed", "closed", "Down"),
        (2, "state", "closed", "open", "consecutive_failures"),
        (2, "blocked", "open", "open", "open"),
        (12, "state", "open", "half_open", "open_time_over"),
        (12, "state", "half_open", "closed", "probes_succeeded"),
    ]
    assert breaker.metrics == BreakerMetrics(
        admitted=5,
        blocked=1,
        shadowed=0,
        success=3,
        failure=2,
        neutral=0,
        unknown=0,
        late=0,
        expired=0,
        transitions=3,
    )


@each_form
def test_failed_probe_opens_it_again_at_once(form: Form, clock: ManualClock) -> None:
    """One failed probe is enough, whatever the threshold."""
    breaker = CircuitBreaker("venue", 3, 2, 10, clock=clock)
    fail(breaker, 3)
    clock.tick(10)
    story = heard(breaker)
    with pytest.raises(Down):
        form(breaker, raising(Down()))
    assert (breaker.state, breaker.failure_count, breaker.retry_after()) == (OPEN, 3, 10)
    assert story[-1][1:] == ("state", "half_open", "open", "probe_failed")


@each_form
def test_success_ends_the_run_of_failures(form: Form, clock: ManualClock) -> None:
    """Failures count in a row: a success in between starts again."""
    breaker = CircuitBreaker("venue", 2, clock=clock)
    for _ in range(3):
        with pytest.raises(Down):
            form(breaker, raising(Down()))
        form(breaker, lambda: None)
    assert (breaker.state, breaker.failure_count) == (CLOSED, 0)


@each_form
def test_business_refusal_neither_counts_nor_ends_a_run(form: Form, clock: ManualClock) -> None:
    """Outages with refusals in between are still a run of outages."""
    breaker = CircuitBreaker("venue", 3, clock=clock)
    for _ in range(3):
        with pytest.raises(OrderRejectionError):
            form(breaker, raising(OrderRejectionError("1", "insufficient funds")))
        with pytest.raises(Down):
            form(breaker, raising(Down()))
    assert (breaker.state, breaker.metrics.neutral) == (OPEN, 3)


@each_form
@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(), GeneratorExit()]
)
def test_cancelled_probe_gives_its_permit_back_and_says_nothing(
    form: Form, error: BaseException, clock: ManualClock
) -> None:
    """A cancellation passes through as it is; the next caller may probe."""
    breaker = CircuitBreaker("venue", 1, 1, 10, expected_exception=BaseException, clock=clock)
    fail(breaker)
    clock.tick(10)
    with pytest.raises(type(error)) as caught:
        form(breaker, raising(error))
    assert caught.value is error
    assert (breaker.state, breaker.retry_after()) == (HALF_OPEN, 0.0)
    form(breaker, lambda: None)
    assert breaker.state is CLOSED


@each_form
@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()])
def test_cancelled_call_of_a_closed_breaker_is_counted_as_neutral(
    form: Form, error: BaseException, clock: ManualClock
) -> None:
    """The books balance whatever ends a call."""
    breaker = CircuitBreaker("venue", 1, expected_exception=BaseException, clock=clock)
    with pytest.raises(type(error)):
        form(breaker, raising(error))
    assert (breaker.metrics.admitted, breaker.metrics.neutral, breaker.state) == (1, 1, CLOSED)


@each_form
def test_call_from_before_the_trip_changes_nothing(form: Form, clock: ManualClock) -> None:
    """A late success closes nothing, in the open state as in another's probe."""
    breaker = CircuitBreaker("venue", 2, 1, 10, clock=clock)

    def overtaken() -> None:
        fail(breaker, 2)
        clock.tick(4)

    form(breaker, overtaken)
    assert (breaker.state, breaker.retry_after(), breaker.metrics.late) == (OPEN, 6, 1)


@each_form
@pytest.mark.parametrize("error", [Down(), AdapterConnectionError("venue", "reset")])
def test_late_failure_does_not_push_the_window_out(
    form: Form, error: Exception, clock: ManualClock
) -> None:
    """A call begun before the trip that fails during it leaves count and window alone."""
    breaker = CircuitBreaker("venue", 2, 1, 10, clock=clock)

    def overtaken() -> None:
        fail(breaker, 2)
        clock.tick(4)
        raise error

    with pytest.raises(type(error)):
        form(breaker, overtaken)
    assert (breaker.failure_count, breaker.retry_after()) == (2, 6)


@each_form
@pytest.mark.parametrize(("seconds", "state"), [(4, OPEN), (10, HALF_OPEN)])
def test_ban_that_a_late_call_was_told_of_is_sat_out(
    form: Form, seconds: float, state: CircuitState, clock: ManualClock
) -> None:
    """Two calls were on their way: one was reset, which opened it, the other's answer is a ban."""
    breaker = CircuitBreaker("venue", 2, 1, 10, clock=clock)

    def overtaken() -> None:
        fail(breaker, 2)
        clock.tick(seconds)
        assert breaker.state is state
        raise RateLimitError("venue", 3600)

    with pytest.raises(RateLimitError):
        form(breaker, overtaken)
    assert (breaker.state, breaker.retry_after()) == (OPEN, 3600)
    assert (breaker.failure_count, breaker.metrics.late, breaker.metrics.failure) == (2, 1, 2)


def test_ban_that_is_told_late_opens_no_closed_breaker(clock: ManualClock) -> None:
    """It waits for the breaker to open, as a hold by hand does; disabled, it keeps nothing."""
    breaker = CircuitBreaker("venue", 1, 1, 10, clock=clock)
    for change, floor in ((breaker.disable, 10), (breaker.reset, 300)):
        permit = breaker.acquire()
        change()
        permit.failure(RateLimitError("venue", 300))
        assert breaker.state is CLOSED
        breaker.reset()
        fail(breaker)
        assert breaker.retry_after() == floor
        breaker.reset()


def test_ban_that_is_excluded_holds_nothing_late_either(clock: ManualClock) -> None:
    breaker = CircuitBreaker("venue", 1, 1, 10, excluded=RateLimitError, clock=clock)
    permit = breaker.acquire()
    fail(breaker)
    permit.settle(RateLimitError("venue", 300))
    assert breaker.retry_after() == 10


@each_form
def test_success_overtaken_by_a_failure_still_ends_the_run(form: Form, clock: ManualClock) -> None:
    """A call of the lane that finds failures outstanding at its end counts as their end."""
    breaker = CircuitBreaker("venue", 2, clock=clock)
    form(breaker, lambda: fail(breaker))
    assert breaker.failure_count == 0
    assert (breaker.metrics.admitted, breaker.metrics.success) == (2, 1)


@each_form
def test_overtaken_by_reset_is_late(form: Form, clock: ManualClock) -> None:
    """A reset begins a generation of its own, though the state is the same."""
    breaker = CircuitBreaker("venue", 2, clock=clock)
    form(breaker, breaker.reset)
    assert (breaker.metrics.late, breaker.metrics.success) == (1, 0)
