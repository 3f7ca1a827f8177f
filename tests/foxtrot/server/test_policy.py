"""The numbers that the engine goes by."""

from __future__ import annotations

import dataclasses

import pytest

from foxtrot.server.policy import POLICIES, BreakerPolicy, EnginePolicy, Lane
from foxtrot.util.circuit_breaker import CircuitBreakerOpenError
from foxtrot.util.clock import SYSTEM_CLOCK
from foxtrot.util.errors import AdapterConnectionError, RateLimitError


def test_policies_are_frozen_and_named():
    assert {name: policy.name for name, policy in POLICIES.items()} == {
        "default": "default",
        "none": "none",
    }
    with pytest.raises(dataclasses.FrozenInstanceError):
        POLICIES["default"].max_retries = 1
    assert set(EnginePolicy().deadlines) == set(Lane)


def test_breaker_stays_open_for_less_than_an_outage_may_last():
    """Its longest window is well under the 30 s in which a connection has to recover."""
    assert BreakerPolicy().max_open_seconds < 30


def test_breaker_counts_outages_and_no_rate_limits():
    breaker = BreakerPolicy(failure_threshold=2).build("A.orders", SYSTEM_CLOCK)

    def fail(error):
        raise error

    for _ in range(5):
        with pytest.raises(RateLimitError):
            breaker.call(fail, RateLimitError("A", 0.0))
    for _ in range(2):
        with pytest.raises(AdapterConnectionError):
            breaker.call(fail, AdapterConnectionError("A", "x"))
    with pytest.raises(CircuitBreakerOpenError):
        breaker.call(lambda: None)


def test_control_arm_has_no_breaker():
    breaker = POLICIES["none"].breaker.build("A.orders", SYSTEM_CLOCK)
    for _ in range(50):
        with pytest.raises(ZeroDivisionError):
            breaker.call(lambda: 1 / 0)
