"""Probes of a half-open breaker: how many, how long, and whose report counts."""

from __future__ import annotations

import pytest

from foxtrot.util.circuit_breaker import (
    CircuitBreaker,
    CircuitBreakerOpenError,
)

from .forms import (
    CLOSED,
    HALF_OPEN,
    OPEN,
    ManualClock,
    fail,
    heard,
)


def test_good_probes_before_a_failed_one_do_not_count_for_the_next_round(
    clock: ManualClock,
) -> None:
    """Two good probes close it if both come after the last failure."""
    breaker = CircuitBreaker("v", 1, 2, 10, clock=clock)
    fail(breaker)
    clock.tick(10)
    breaker.acquire().success()
    fail(breaker)
    clock.tick(10)
    breaker.acquire().success()
    assert breaker.state is HALF_OPEN
    breaker.acquire().success()
    assert breaker.state is CLOSED


def test_probes_out_at_a_time_are_limited(clock: ManualClock) -> None:
    """The third caller is refused and told nothing certain; a probe that is back makes room."""
    breaker = CircuitBreaker("v", 1, 3, 10, half_open_max_calls=2, clock=clock)
    fail(breaker)
    clock.tick(10)
    first, _second = breaker.acquire(), breaker.acquire()
    with pytest.raises(CircuitBreakerOpenError) as refused:
        breaker.acquire()
    assert (refused.value.retry_after, breaker.state) == (None, HALF_OPEN)
    first.success()
    assert breaker.retry_after() == 0.0
    breaker.acquire()


def test_hung_probe_loses_its_permit_with_the_lease(clock: ManualClock) -> None:
    """When the lease is over another may probe, and what the hung one says is late."""
    breaker = CircuitBreaker("v", 1, 1, 10, permit_lease=30, clock=clock)
    fail(breaker)
    clock.tick(10)
    hung = breaker.acquire()
    clock.tick(29.75)
    with pytest.raises(CircuitBreakerOpenError):
        breaker.acquire()
    story = heard(breaker)
    clock.tick(0.25)
    assert breaker.retry_after() == 0.0
    breaker.acquire()
    hung.success()
    assert breaker.state is HALF_OPEN
    assert story == [
        (40, "expired", "half_open", "half_open", "lease_over"),
        (40, "late", "half_open", "half_open", "success"),
    ]
    assert (breaker.metrics.expired, breaker.metrics.late) == (1, 1)


def test_every_lease_that_ends_is_counted(clock: ManualClock) -> None:
    """By default it lasts a minute."""
    breaker = CircuitBreaker("v", 1, 1, 10, clock=clock)
    fail(breaker)
    clock.tick(10)
    for expired in range(3):
        breaker.acquire()
        clock.tick(59.75)
        assert breaker.retry_after() is None
        clock.tick(0.25)
        assert breaker.metrics.expired == expired
    breaker.acquire()
    assert breaker.metrics.expired == 3


def test_probe_that_reports_after_its_lease_is_late_though_nobody_asked_meanwhile(
    clock: ManualClock,
) -> None:
    """What a result means does not hang on who looked in between."""
    breaker = CircuitBreaker("v", 1, 1, 10, permit_lease=30, clock=clock)
    fail(breaker)
    clock.tick(10)
    hung = breaker.acquire()
    clock.tick(30)
    hung.success()
    assert (breaker.state, breaker.metrics.late, breaker.metrics.expired) == (HALF_OPEN, 1, 1)


def test_lease_does_not_end_a_call_while_closed(clock: ManualClock) -> None:
    """Only probes are scarce: a long call of a closed breaker still counts."""
    breaker = CircuitBreaker("v", 1, permit_lease=30, clock=clock)
    permit = breaker.acquire()
    clock.tick(1000)
    permit.failure()
    assert breaker.state is OPEN


def test_first_report_of_a_permit_counts(clock: ManualClock) -> None:
    """What is said after it is neither counted nor late."""
    breaker = CircuitBreaker("v", 2, clock=clock)
    permit = breaker.acquire()
    permit.failure()
    permit.failure()
    permit.success()
    assert (breaker.failure_count, breaker.metrics.failure, breaker.metrics.late) == (1, 1, 0)


def test_permit_reports_each_outcome(clock: ManualClock) -> None:
    breaker = CircuitBreaker("v", 9, clock=clock)
    permit = breaker.acquire
    permit().success(), permit().failure(), permit().neutral(), permit().unknown()
    permit().settle(None), permit().settle(TimeoutError())
    metrics = breaker.metrics
    counted = (metrics.success, metrics.failure, metrics.neutral, metrics.unknown)
    assert (counted, breaker.failure_count) == ((2, 1, 1, 2), 1)
