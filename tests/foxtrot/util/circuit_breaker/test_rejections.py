"""What a caller is told whom an open breaker refuses."""

from __future__ import annotations

import pickle

import pytest

from foxtrot.util.circuit_breaker import (
    CircuitBreaker,
    CircuitBreakerOpenError,
)
from foxtrot.util.errors import (
    ErrorCategory,
    ErrorSeverity,
    Outcome,
)

from .forms import (
    ManualClock,
    fail,
)


def test_rejection_carries_what_its_reader_needs(clock: ManualClock) -> None:
    breaker = CircuitBreaker("binance.orders", 1, timeout=10, adapter="binance", clock=clock)
    fail(breaker)
    clock.tick(4)
    with pytest.raises(CircuitBreakerOpenError) as refused:
        breaker.call(lambda: None)
    error = refused.value
    assert str(error) == "Circuit breaker open for binance.orders after 1 failures"
    assert (error.severity, error.category) == (ErrorSeverity.HIGH, ErrorCategory.CONNECTION)
    assert (error.outcome, error.recoverable, error.retry_after) == (Outcome.NOT_SENT, True, 6)
    assert error.context == {"service": "binance.orders", "failure_count": 1, "adapter": "binance"}
    assert error.suggested_action == "Service binance.orders is temporarily unavailable"
    assert error.timestamp == clock.wall()
    copied = pickle.loads(pickle.dumps(error))
    assert copied.to_dict() == error.to_dict()


def test_each_rejection_is_a_fresh_error(clock: ManualClock) -> None:
    """One error raised again and again would grow by a traceback each time."""
    breaker = CircuitBreaker("v", 1, clock=clock)
    fail(breaker)
    errors = []
    for _ in range(3):
        with pytest.raises(CircuitBreakerOpenError) as refused:
            breaker.call(lambda: None)
        errors.append(refused.value)
    assert len({id(error) for error in errors}) == len({e.error_id for e in errors}) == 3


def test_rejection_can_be_made_by_hand_with_overrides() -> None:
    error = CircuitBreakerOpenError("v", 2, context={"lane": "orders"}, recoverable=False)
    assert error.context == {"service": "v", "failure_count": 2, "adapter": "v", "lane": "orders"}
    assert (error.recoverable, error.suggested_action) == (
        False,
        "Service v is temporarily unavailable",
    )
