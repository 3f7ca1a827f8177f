"""How a breaker reads errors: failure, business, or neither."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from foxtrot.util.circuit_breaker import (
    CircuitBreaker,
    CircuitBreakerOpenError,
)
from foxtrot.util.errors import (
    AdapterConnectionError,
    AuthenticationError,
    DataValidationError,
    FoxtrotError,
    OrderRejectionError,
    Outcome,
    RateLimitError,
    UnknownOrderError,
)

from .forms import (
    CLOSED,
    OPEN,
    Down,
    ManualClock,
    fail,
    raising,
)


class Meta(type):
    pass


class Business(Exception, metaclass=Meta):
    pass


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Down(), "failure"),
        (TimeoutError(), "unknown"),
        (AdapterConnectionError("v", "reset"), "unknown"),
        (AdapterConnectionError("v", "refused", outcome=Outcome.NOT_SENT), "failure"),
        (UnknownOrderError("1", "timeout"), "unknown"),
        (RateLimitError("v"), "failure"),
        (OrderRejectionError("1", "no funds"), "neutral"),
        (AuthenticationError("v", "revoked"), "neutral"),
        (DataValidationError("price", "x", outcome=Outcome.REJECTED), "neutral"),
        (DataValidationError("body", "truncated"), "failure"),
        (FoxtrotError("x", outcome=Outcome.REJECTED), "failure"),
        (CircuitBreakerOpenError("inner", 3), "neutral"),
        (asyncio.CancelledError(), "neutral"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_are_read_as(error: BaseException, outcome: str, clock: ManualClock) -> None:
    breaker = CircuitBreaker("venue", 1, clock=clock)
    with pytest.raises(type(error)):
        breaker.call(raising(error))
    counted = {name: getattr(breaker.metrics, name) for name in ("failure", "unknown", "neutral")}
    assert counted == {name: int(name == outcome) for name in counted}
    assert breaker.state is (CLOSED if outcome == "neutral" else OPEN)


@pytest.mark.parametrize(
    ("expected", "error", "counts"),
    [
        (ConnectionError, ConnectionResetError(), True),
        (ConnectionError, TimeoutError(), False),
        ((ConnectionError, Down), Down(), True),
        ((ConnectionError, Down), KeyError(), False),
        (lambda exc: "503" in str(exc), Down("503"), True),
        (lambda exc: "503" in str(exc), Down("404"), False),
        ((Down, lambda exc: "503" in str(exc)), KeyError("503"), True),
        (Business, Business(), True),
        (Business, Down(), False),
        (lambda exc: 1 / 0, Down(), True),
        ((KeyError, lambda exc: 1 / 0), Down(), True),
    ],
)
def test_expected_exception_decides_what_can_fail(
    expected: Any, error: Exception, counts: bool, clock: ManualClock
) -> None:
    """A type, a tuple or a predicate; one that raises counts, and the call's error survives."""
    breaker = CircuitBreaker("venue", 1, expected_exception=expected, clock=clock)
    with pytest.raises(type(error)):
        breaker.call(raising(error))
    assert breaker.state is (OPEN if counts else CLOSED)


@pytest.mark.parametrize(
    ("excluded", "error", "counts"),
    [
        (Business, Business(), False),
        (Business, Down(), True),
        ((Business, KeyError), KeyError(), False),
        (lambda exc: "404" in str(exc), Down("404"), False),
        (lambda exc: "404" in str(exc), Down("503"), True),
        (lambda exc: 1 / 0, Down(), True),
    ],
)
def test_excluded_errors_are_neutral(
    excluded: Any, error: Exception, counts: bool, clock: ManualClock
) -> None:
    """A class with a metaclass is a class; a predicate that raises excludes nothing."""
    breaker = CircuitBreaker("venue", 2, excluded=excluded, clock=clock)
    fail(breaker)
    with pytest.raises(type(error)):
        breaker.call(raising(error))
    assert (breaker.failure_count, breaker.state) == ((2, OPEN) if counts else (1, CLOSED))
