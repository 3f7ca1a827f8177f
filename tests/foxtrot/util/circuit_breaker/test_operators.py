"""A breaker under the hand of an operator."""

from __future__ import annotations

import pytest

from foxtrot.util.circuit_breaker import (
    BreakerMode,
    CircuitBreaker,
    CircuitBreakerOpenError,
)

from .forms import (
    CLOSED,
    HALF_OPEN,
    OPEN,
    Down,
    ManualClock,
    fail,
    heard,
    raising,
)


def test_forced_open_refuses_until_reset(clock: ManualClock) -> None:
    """No time passes for it, and it promises none."""
    breaker = CircuitBreaker("v", clock=clock)
    story = heard(breaker)
    breaker.force_open()
    clock.tick(1e9)
    with pytest.raises(CircuitBreakerOpenError) as refused:
        breaker.acquire()
    assert (refused.value.retry_after, breaker.mode) == (None, BreakerMode.FORCED_OPEN)
    breaker.hold(5)
    clock.tick(5)
    assert breaker.state is OPEN
    breaker.reset()
    assert (breaker.state, breaker.mode) == (CLOSED, BreakerMode.AUTOMATIC)
    assert [event[1:] for event in story] == [
        ("state", "closed", "open", "forced_open"),
        ("blocked", "open", "open", "open"),
        ("hold", "open", "open", "hold"),
        ("state", "open", "closed", "reset"),
    ]


def test_disabled_lets_all_through_and_decides_nothing(clock: ManualClock) -> None:
    breaker = CircuitBreaker("v", 2, clock=clock)
    fail(breaker, 2)
    story = heard(breaker)
    breaker.disable()
    for _ in range(10):
        with pytest.raises(Down):
            breaker.call(raising(Down()))
    assert (breaker.state, breaker.failure_count) == (CLOSED, 0)
    assert (breaker.metrics.failure, breaker.metrics.blocked) == (12, 0)
    assert story == [(0, "state", "open", "closed", "disabled")]


def test_shadow_decides_and_reports_but_admits(clock: ManualClock) -> None:
    """What goes through against the decision changes nothing; probes are probes."""
    breaker = CircuitBreaker("v", 2, 1, 10, clock=clock)
    breaker.shadow()
    story = heard(breaker)
    fail(breaker, 4)
    assert (breaker.state, breaker.failure_count, breaker.retry_after()) == (OPEN, 2, 10)
    clock.tick(10)
    probe, beside = breaker.acquire(), breaker.acquire()
    beside.failure()
    assert breaker.state is HALF_OPEN
    probe.success()
    assert (breaker.state, breaker.metrics.shadowed, breaker.metrics.blocked) == (CLOSED, 3, 0)
    assert [event[1:] for event in story] == [
        ("failure", "closed", "closed", "failure"),
        ("failure", "closed", "closed", "failure"),
        ("state", "closed", "open", "consecutive_failures"),
        ("blocked", "open", "open", "shadow"),
        ("blocked", "open", "open", "shadow"),
        ("state", "open", "half_open", "open_time_over"),
        ("blocked", "half_open", "half_open", "shadow"),
        ("state", "half_open", "closed", "probes_succeeded"),
    ]


def test_reset_forgets_all_but_what_the_venue_asked_for(clock: ManualClock) -> None:
    """Run, growth and window go; a ban that is still on bounds the next open window."""
    breaker = CircuitBreaker(
        "v", 3, 1, 10, timeout_growth=2, failure_rate_threshold=1, minimum_calls=2, clock=clock
    )
    breaker.hold(100)
    fail(breaker, 2)
    clock.tick(100)
    fail(breaker)
    assert breaker.retry_after() == 20
    story = heard(breaker)
    breaker.reset()
    assert (breaker.state, breaker.failure_count, breaker.retry_after()) == (CLOSED, 0, None)
    fail(breaker)
    assert breaker.state is CLOSED
    breaker.hold(50)
    breaker.reset()
    fail(breaker, 2)
    assert breaker.retry_after() == 50
    assert [event[1:] for event in story if event[4] == "reset"] == [
        ("state", "open", "closed", "reset"),
        ("mode", "closed", "closed", "reset"),
    ]
