"""What is measured: every instrument by name, with its labels, for both libraries alike.

Labels are bounded: names of adapters, breakers and operations, which a program gives itself, and
the members of enumerations. No order id, no symbol and no message of an error is ever one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = [
    "ADAPTER_ON_STANDBY",
    "ADAPTER_READY",
    "ADAPTER_SWITCHES",
    "ALERTS",
    "BREAKER_CALLS",
    "BREAKER_EXPIRED_PROBES",
    "BREAKER_REJECTIONS",
    "BREAKER_SHADOW_REJECTIONS",
    "BREAKER_STATE",
    "BREAKER_TRANSITIONS",
    "BUCKETS",
    "ERRORS",
    "ORDERS_UNKNOWN",
    "RECORDED",
    "RECOVERY_DURATION",
    "RECOVERY_RESULTS",
    "RECOVERY_STEPS",
    "RETRIES",
    "RETRY_RESULTS",
    "RETRY_WAIT",
    "Instrument",
    "InstrumentKind",
]

#: Upper bounds in seconds, for waits and recoveries: from a quick retry to a long maintenance.
BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)


class InstrumentKind(Enum):
    """A COUNTER only grows, a GAUGE is what is now, a HISTOGRAM spreads durations in seconds."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Instrument:
    """One thing that is measured; the name is dotted, without unit and suffix."""

    name: str
    kind: InstrumentKind
    labels: tuple[str, ...]
    about: str


def _counter(name: str, about: str, *labels: str) -> Instrument:
    return Instrument(name, InstrumentKind.COUNTER, labels, about)


def _gauge(name: str, about: str, *labels: str) -> Instrument:
    return Instrument(name, InstrumentKind.GAUGE, labels, about)


def _histogram(name: str, about: str, *labels: str) -> Instrument:
    return Instrument(name, InstrumentKind.HISTOGRAM, labels, about)


BREAKER_TRANSITIONS = _counter(
    "breaker.transitions", "Changes of a breaker's state.", "breaker", "from_state", "to_state"
)
RETRIES = _counter("retries", "Tries after the first.", "adapter", "operation")
RETRY_WAIT = _histogram("retry.wait", "Waits before a retry.", "adapter", "operation")
RETRY_RESULTS = _counter(
    "retry.results",
    "Retried calls by end: succeeded after a retry, or given up as exhausted, refused or budget.",
    *("operation", "result"),
)
RECOVERY_STEPS = _counter(
    "recovery.steps",
    "Actions of recoveries; succeeded is one after which the outside confirmed that it works.",
    *("adapter", "category", "action", "result"),
)
RECOVERY_RESULTS = _counter(
    "recovery.results",
    "What came of errors: recovery succeeded, failed, was cancelled, skipped, or joined another's.",
    *("adapter", "category", "result"),
)
RECOVERY_DURATION = _histogram(
    "recovery.duration", "Recoveries from start to end.", "adapter", "category", "result"
)
ERRORS = _counter("errors", "Errors that reached the engine.", "adapter", "category", "severity")
ALERTS = _counter("alerts", "Incidents told to a person.", "adapter", "category", "severity")
ADAPTER_SWITCHES = _counter(
    "adapter.switches", "Times that new orders were turned to a standby.", "adapter"
)

#: Counted as the records come in; the others are read when somebody asks.
RECORDED = (
    BREAKER_TRANSITIONS, RETRIES, RETRY_WAIT, RETRY_RESULTS, RECOVERY_STEPS, RECOVERY_RESULTS,
    RECOVERY_DURATION, ERRORS, ALERTS, ADAPTER_SWITCHES,
)  # fmt: skip

BREAKER_STATE = _gauge(
    "breaker.state", "1 for the state that a caller would meet now, else 0.", "breaker", "state"
)
BREAKER_CALLS = _counter(
    "breaker.calls", "Admitted calls by end; late ones decided nothing.", "breaker", "outcome"
)
BREAKER_REJECTIONS = _counter("breaker.rejections", "Calls refused. Nothing was sent.", "breaker")
BREAKER_SHADOW_REJECTIONS = _counter(
    "breaker.shadow_rejections", "Calls let through that would have been refused.", "breaker"
)
BREAKER_EXPIRED_PROBES = _counter(
    "breaker.expired_probes", "Probes that kept their permit too long.", "breaker"
)
ORDERS_UNKNOWN = _gauge(
    "orders.unknown", "Orders of which nobody knows whether the venue has them.", "adapter"
)
ADAPTER_READY = _gauge(
    "adapter.ready", "1 if it is connected, subscribed and reconciled, else 0.", "adapter"
)
ADAPTER_ON_STANDBY = _gauge(
    "adapter.on_standby", "1 while new orders for it go to its standby, else 0.", "adapter"
)
