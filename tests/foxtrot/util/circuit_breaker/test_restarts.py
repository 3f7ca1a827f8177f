"""What of a breaker survives a restart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from foxtrot.util.circuit_breaker import (
    CircuitBreaker,
)

from .forms import (
    CLOSED,
    HALF_OPEN,
    OPEN,
    ManualClock,
    fail,
    heard,
)


def restarted(breaker: CircuitBreaker, clock: ManualClock, **limits: Any) -> CircuitBreaker:
    data = json.loads(json.dumps(breaker.snapshot(), allow_nan=False))
    other = CircuitBreaker(breaker.name, 2, 1, 10, clock=clock, **limits)
    other.restore(data)
    return other


def test_open_window_survives_a_restart(clock: ManualClock) -> None:
    """By wall time, since another process counts its seconds from elsewhere."""
    breaker = CircuitBreaker("v", 2, 1, 10, timeout_growth=2, clock=clock)
    fail(breaker, 2)
    clock.tick(10)
    fail(breaker)
    data = json.loads(json.dumps(breaker.snapshot()))
    clock.wall_seconds += 5
    clock.seconds = 77_000.0
    other = CircuitBreaker("v", 2, 1, 10, timeout_growth=2, clock=clock)
    story = heard(other)
    other.restore(data)
    assert (other.state, other.failure_count, other.retry_after()) == (OPEN, 2, 15)
    clock.tick(15)
    fail(other)
    assert other.retry_after() == 40
    assert story[0] == (77_000, "state", "closed", "open", "restored")


def test_hold_survives_a_restart_of_a_closed_breaker(clock: ManualClock) -> None:
    breaker = CircuitBreaker("v", 2, 1, 10, clock=clock)
    fail(breaker)
    breaker.hold(100)
    other = restarted(breaker, clock)
    assert (other.state, other.failure_count) == (CLOSED, 1)
    fail(other)
    assert (other.state, other.retry_after()) == (OPEN, 100)


def test_half_open_comes_back_with_all_its_permits(clock: ManualClock) -> None:
    """The probes died with the process."""
    breaker = CircuitBreaker("v", 2, 1, 10, clock=clock)
    fail(breaker, 2)
    clock.tick(10)
    breaker.acquire()
    assert breaker.retry_after() is None
    other = restarted(breaker, clock)
    assert (other.state, other.retry_after()) == (HALF_OPEN, 0.0)


@pytest.mark.parametrize("mode", ["force_open", "disable", "shadow"])
def test_mode_survives_a_restart(mode: str, clock: ManualClock) -> None:
    breaker = CircuitBreaker("v", 2, 1, 10, clock=clock)
    getattr(breaker, mode)()
    clock.tick(1e6)
    other = restarted(breaker, clock)
    assert (other.mode, other.state) == (breaker.mode, breaker.state)


def test_wall_clock_set_back_makes_no_window_longer(clock: ManualClock) -> None:
    """An hour back, and the ten seconds are still ten; forward, and they are over."""
    clock.tick(1000)
    breaker = CircuitBreaker("v", 2, 1, 10, clock=clock)
    fail(breaker, 2)
    data = breaker.snapshot()
    clock.wall_seconds -= 3600
    back = CircuitBreaker("v", 2, 1, 10, clock=clock)
    back.restore(data)
    clock.wall_seconds += 7200
    forward = CircuitBreaker("v", 2, 1, 10, clock=clock)
    forward.restore(data)
    assert (back.retry_after(), forward.state) == (10, HALF_OPEN)


def test_restore_starts_from_the_state_that_was_shown(clock: ManualClock) -> None:
    """An open window that is over is half-open, whether or not anybody called meanwhile."""
    closed = CircuitBreaker("v", 2, 1, 10, clock=clock).snapshot()
    breaker = CircuitBreaker("v", 2, 1, 10, clock=clock)
    fail(breaker, 2)
    clock.tick(10)
    story = heard(breaker)
    breaker.restore(closed)
    assert story == [(clock.seconds, "state", "half_open", "closed", "restored")]


def test_calls_from_before_a_restore_are_late(clock: ManualClock) -> None:
    breaker = CircuitBreaker("v", 1, clock=clock)
    data, permit = breaker.snapshot(), breaker.acquire()
    breaker.restore(data)
    permit.failure()
    assert (breaker.state, breaker.metrics.late) == (CLOSED, 1)


def test_restored_growth_stays_under_a_lower_cap(clock: ManualClock) -> None:
    breaker = CircuitBreaker("v", 1, 1, 10, timeout_growth=5, clock=clock)
    fail(breaker)
    clock.tick(10)
    fail(breaker)
    clock.tick(50)
    other = restarted(breaker, clock, max_timeout=20)
    fail(other)
    assert other.retry_after() == 20


def test_restart_of_a_closed_breaker_takes_its_new_timeout(clock: ManualClock) -> None:
    """What grew in an outage is kept for that outage alone."""
    breaker = CircuitBreaker("v", 2, 1, 600, clock=clock)
    other = restarted(breaker, clock)
    fail(other, 2)
    assert other.retry_after() == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "w"}, "snapshot of breaker 'v', version 1, got name='w'"),
        ({"version": 2}, "got name='v', version=2"),
        ({"state": "ajar"}, "as CircuitBreaker.snapshot"),
        ({"failure_count": None}, "as CircuitBreaker.snapshot"),
        ({"open": {}}, "as CircuitBreaker.snapshot"),
    ],
)
def test_snapshot_of_something_else_is_refused(
    change: dict[str, Any], message: str, clock: ManualClock
) -> None:
    """And the breaker is as it was."""
    breaker = CircuitBreaker("v", 1, clock=clock)
    fail(breaker)
    with pytest.raises(ValueError, match=message):
        breaker.restore({**breaker.snapshot(), **change})
    assert breaker.state is OPEN
