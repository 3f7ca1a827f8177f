"""Arguments of a breaker, its defaults, and its public names."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from freezegun import freeze_time

from foxtrot.util import circuit_breaker as module
from foxtrot.util.circuit_breaker import (
    CallOutcome,
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
    raising,
)


@pytest.mark.parametrize(
    ("limits", "error", "message"),
    [
        ({"failure_threshold": 0}, ValueError, "failure_threshold of at least 1"),
        ({"success_threshold": -1}, ValueError, "success_threshold=-1"),
        ({"half_open_max_calls": 0}, ValueError, "half_open_max_calls=0"),
        ({"minimum_calls": 0}, ValueError, "minimum_calls=0"),
        ({"failure_threshold": 2.0}, TypeError, "whole number"),
        ({"failure_threshold": True}, TypeError, "failure_threshold=True"),
        ({"timeout": -1}, ValueError, "timeout=-1"),
        ({"timeout": float("nan")}, ValueError, "finite"),
        ({"timeout": "60"}, TypeError, "timedelta or a number"),
        ({"timeout": True}, TypeError, "timeout=True"),
        ({"failure_rate_threshold": 0}, ValueError, "share above 0"),
        ({"failure_rate_threshold": 50}, ValueError, "failure_rate_threshold=50"),
        ({"window_seconds": 0}, ValueError, "window_seconds above 0"),
        ({"window_seconds": -1}, ValueError, "got window_seconds=-1"),
        ({"max_timeout": -1}, ValueError, "got max_timeout=-1"),
        ({"permit_lease": -1}, ValueError, "got permit_lease=-1"),
        ({"permit_lease": dt.timedelta(0)}, ValueError, "permit_lease above 0"),
        ({"slow_call_seconds": 1}, ValueError, "together"),
        ({"slow_call_rate_threshold": 0.5}, ValueError, "together"),
        (
            {"slow_call_seconds": 0, "slow_call_rate_threshold": 0.5},
            ValueError,
            "slow_call_seconds above 0",
        ),
        (
            {"slow_call_seconds": -1, "slow_call_rate_threshold": 0.5},
            ValueError,
            "got slow_call_seconds=-1",
        ),
        (
            {"slow_call_seconds": 1, "slow_call_rate_threshold": 2},
            ValueError,
            "slow_call_rate_threshold=2",
        ),
        ({"timeout_growth": 0.5}, ValueError, "at least 1"),
        ({"timeout_growth": float("inf")}, ValueError, "timeout_growth=inf"),
        ({"timeout": 10, "max_timeout": 9}, ValueError, "max_timeout of at least timeout=10"),
        ({"expected_exception": int}, TypeError, "expected_exception"),
        ({"expected_exception": "Down"}, TypeError, "expected_exception='Down'"),
        ({"excluded": (Down, 3)}, TypeError, "excluded=3"),
    ],
)
def test_arguments_are_checked_with_a_message(
    limits: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        CircuitBreaker("v", **limits)


@pytest.mark.parametrize("seconds", [-1, float("inf")])
def test_hold_checks_its_seconds(seconds: float, clock: ManualClock) -> None:
    with pytest.raises(ValueError, match=f"got seconds={seconds!r}"):
        CircuitBreaker("v", clock=clock).hold(seconds)


def test_extreme_limits_are_taken(clock: ManualClock) -> None:
    """Rates of one, an open time of nothing, a cap at the timeout, windows under a second."""
    breaker = CircuitBreaker(
        "v",
        9,
        1,
        0,
        failure_rate_threshold=1,
        minimum_calls=1,
        max_timeout=0,
        timeout_growth=1,
        window_seconds=0.5,
        permit_lease=0.5,
        clock=clock,
    )
    fail(breaker)
    assert breaker.state is HALF_OPEN


def test_defaults_move_with_a_frozen_clock() -> None:
    """Five failures, a minute by freezegun, two probes."""
    with freeze_time("2026-03-01") as frozen:
        breaker = CircuitBreaker("binance_connection")
        for _ in range(5):
            assert breaker.state is CLOSED
            with pytest.raises(Down):
                breaker.call(raising(Down()))
        assert breaker.state is OPEN
        frozen.tick(dt.timedelta(seconds=59))
        with pytest.raises(CircuitBreakerOpenError) as refused:
            breaker.call(lambda: None)
        assert refused.value.retry_after == 1
        frozen.tick(dt.timedelta(seconds=1))
        assert breaker.state is HALF_OPEN
        breaker.call(lambda: None)
        assert breaker.state is HALF_OPEN
        breaker.call(lambda: None)
        assert breaker.state is CLOSED


def test_seeds_attributes_are_there(clock: ManualClock) -> None:
    breaker = CircuitBreaker("v", 3, 1, dt.timedelta(minutes=2), clock=clock)
    assert (breaker.name, breaker.failure_threshold, breaker.success_threshold) == ("v", 3, 1)
    assert breaker.timeout == dt.timedelta(minutes=2)
    assert repr(breaker) == "CircuitBreaker('v', state=closed, mode=automatic, failure_count=0)"


def test_two_breakers_do_not_notice_each_other(clock: ManualClock) -> None:
    one, other = CircuitBreaker("v", 1, clock=clock), CircuitBreaker("v", 1, clock=clock)
    fail(one)
    assert (one.state, other.state) == (OPEN, CLOSED)


def test_public_names_are_exactly_these() -> None:
    assert module.__all__ == sorted(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)
    assert {member.value for member in CallOutcome} == {"success", "failure", "neutral", "unknown"}
