"""Listeners of a breaker."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import structlog

from foxtrot.util import circuit_breaker as module
from foxtrot.util.circuit_breaker import (
    BreakerEvent,
    CircuitBreaker,
)

from .forms import (
    CLOSED,
    OPEN,
    Down,
    ManualClock,
    _as_async,
    fail,
    heard,
    raising,
)


def test_listener_that_raises_is_dropped_with_one_line(clock: ManualClock) -> None:
    """The caller feels nothing, the others hear everything."""
    breaker = CircuitBreaker("v", 2, clock=clock)
    heard_by_bad = []

    def bad(event: BreakerEvent) -> None:
        heard_by_bad.append(event)
        raise RuntimeError("full")

    breaker.add_listener(bad)
    story = heard(breaker)
    with structlog.testing.capture_logs() as lines:
        for _ in range(2):
            with pytest.raises(Down):
                breaker.call(raising(Down()))
    assert [event[1] for event in story] == ["failure", "failure", "state"]
    assert len(heard_by_bad) == 1
    assert lines == [
        {
            "event": "listener.dropped",
            "log_level": "error",
            "on": "breaker.failure",
            "listener": repr(bad),
            "error": "RuntimeError: full",
        }
    ]


def test_listener_may_use_the_breaker_and_order_holds(clock: ManualClock) -> None:
    """What a listener causes is told after what it was told of, to everybody."""
    breaker = CircuitBreaker("v", 1, clock=clock)
    breaker.add_listener(lambda e: breaker.reset() if e.to_state is OPEN else None)
    story = heard(breaker)
    fail(breaker)
    assert [event[4] for event in story] == ["failure", "consecutive_failures", "reset"]
    assert breaker.state is CLOSED


def test_no_lock_is_held_while_a_listener_runs(clock: ManualClock) -> None:
    """Another thread can use the breaker meanwhile, and its own events come after."""
    breaker = CircuitBreaker("v", 2, clock=clock)
    seen = []

    def listen(event: BreakerEvent) -> None:
        seen.append(event.failure_count)
        if len(seen) == 1:
            other = threading.Thread(target=fail, args=(breaker,), daemon=True)
            other.start()
            other.join(5)
            assert not other.is_alive()

    breaker.add_listener(listen)
    with structlog.testing.capture_logs() as lines:
        fail(breaker)
    assert (seen, lines) == ([1, 2, 2], [])


@pytest.mark.parametrize("listener", [None, "x", _as_async(lambda: None)])
def test_listener_that_cannot_listen_is_refused(listener: Any, clock: ManualClock) -> None:
    with pytest.raises(TypeError, match="plain function as listener"):
        CircuitBreaker("v", clock=clock, listeners=[listener])


def test_events_are_frozen_and_say_everything(clock: ManualClock) -> None:
    events: list[BreakerEvent] = []
    breaker = CircuitBreaker("v", 1, timeout=10, clock=clock, listeners=[events.append])
    fail(breaker, error=Down())
    assert events[-1] == BreakerEvent(
        name="v",
        kind=module.BreakerEventKind.STATE,
        at=0.0,
        from_state=CLOSED,
        to_state=OPEN,
        reason="consecutive_failures",
        failure_count=1,
        retry_after=10.0,
    )
    with pytest.raises(AttributeError):
        events[-1].at = 1.0  # type: ignore[misc]
