"""What the core says of itself, as it is written down: numbered anew, and nothing left out."""

from __future__ import annotations

import datetime as dt

import pytest

from foxtrot.server.alerts import Alert
from foxtrot.server.engine import ErrorSurfaced
from foxtrot.server.guard import CallRetried
from foxtrot.util.circuit_breaker import BreakerEvent, BreakerEventKind, CircuitState
from foxtrot.util.errors import AdapterConnectionError, OrderRejectionError
from foxtrot.util.recovery import RecoveryAction, RecoveryEvent
from harness.recorder import Recorder

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def history(kept):
    return kept(lambda: 2.5)


@pytest.fixture
def recorder(history):
    return Recorder(history)


@pytest.fixture
def error():
    return AdapterConnectionError(
        "A", "reset", context={"correlation_id": "A-r1", "operation": "account"}
    )


def written(history):
    return [(e.t, e.kind, e.id, e.outcome) for e in history.kept]


def test_errors_are_numbered_in_the_order_in_which_they_appear(recorder, history):
    """Real ids differ from run to run; equal runs must write equal bytes."""
    errors = [AdapterConnectionError("A", f"reset {number}") for number in range(3)]
    for error in (errors[2], errors[0], errors[2], errors[1]):
        recorder.on_event(ErrorSurfaced("A", error))
    assert [event.id for event in history.kept] == ["E1", "E2", "E1", "E3"]
    assert all(event.details["error_id"] == event.id for event in history.kept)
    assert not any(error.error_id in str(history.kept) for error in errors)


def test_an_error_is_written_with_all_that_it_says(recorder, history, error):
    recorder.on_event(ErrorSurfaced("A", error))
    (event,) = history.kept
    told = {**error.to_dict(), "error_id": "E1", "adapter": "A"}
    assert told.pop("outcome") == event.outcome == "unknown"  # the history has a place of its own
    assert (event.kind, event.id, event.details) == ("engine.error", "E1", told)
    assert event.details["context"]["correlation_id"] == "A-r1"


def test_one_error_has_one_number_wherever_it_is_named(recorder, history, error):
    other = OrderRejectionError("c1", "no money")
    recorder.on_event(ErrorSurfaced("A", other))
    recorder.on_event(CallRetried("A", "account", 2, 0.12345678, error))
    recorder.on_event(RecoveryEvent("started", error, "A", "ladder", None, 0))
    recorder.on_event(
        RecoveryEvent("step", error, "A", "ladder", RecoveryAction.RECONNECT, 3, "refused")
    )
    recorder.on_alert(Alert("A/connection/1", "A", error, AT))
    assert written(history) == [
        (2.5, "engine.error", "E1", "rejected"),
        (2.5, "engine.retry", "account", ""),
        (2.5, "engine.recovery", "E2", "started"),
        (2.5, "engine.recovery", "E2", "step"),
        (2.5, "operator.alert", "A/connection/1", ""),
    ]
    retry, started, step, alert = (event.details for event in history.kept[1:])
    assert retry == {"adapter": "A", "attempt": 2, "delay": 0.123457, "error_id": "E2"}
    assert started["action"] == ""
    assert step == {
        "adapter": "A",
        "category": "connection",
        "action": RecoveryAction.RECONNECT.value,
        "attempt": 3,
        "reason": "refused",
    }
    assert alert == {
        "adapter": "A",
        "category": "connection",
        "severity": error.severity.value,
        "error_id": "E2",
        "correlation_id": "A-r1",
        "order_id": "",
        "message": error.message,
    }


def test_a_breaker_s_change_of_state_is_written_by_adapter_and_lane(recorder, history):
    change = (7.0, CircuitState.CLOSED, CircuitState.OPEN, "3 failures in a row", 3, 4.0)
    recorder.on_event(BreakerEvent("MY.VENUE.orders", BreakerEventKind.STATE, *change))
    (event,) = history.kept
    assert (event.kind, event.id, event.outcome) == ("engine.breaker", "MY.VENUE.orders", "open")
    assert event.details == {
        "from": "closed",
        "reason": "3 failures in a row",
        "adapter": "MY.VENUE",
        "lane": "orders",
    }


@pytest.mark.parametrize("kind", [k for k in BreakerEventKind if k is not BreakerEventKind.STATE])
def test_what_is_no_change_of_state_is_not_written(recorder, history, kind):
    change = (7.0, CircuitState.CLOSED, CircuitState.CLOSED, "", 1, None)
    recorder.on_event(BreakerEvent("A.orders", kind, *change))
    assert history.kept == []


def test_joining_a_recovery_and_events_of_other_kinds_are_not_written(recorder, history, error):
    recorder.on_event(RecoveryEvent("joined", error, "A", "ladder", None, 0))
    recorder.on_event("something else")
    assert history.kept == []
