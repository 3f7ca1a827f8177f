"""Writes what the core says of itself, and what an operator is told, into the history.

These lines are the core's own words: shown and judged, never taken as evidence of its success.
"""

from __future__ import annotations

from typing import Any

from foxtrot.server.alerts import Alert
from foxtrot.server.engine import ErrorSurfaced
from foxtrot.server.guard import CallRetried
from foxtrot.util.circuit_breaker import BreakerEvent, BreakerEventKind
from foxtrot.util.errors import FoxtrotError
from foxtrot.util.recovery import RecoveryEvent
from harness.history import History

__all__ = ["Recorder"]


class Recorder:
    """A listener of the engine and a sink of its alerts.

    Error ids are unique over processes and therefore differ from run to run; here they are
    numbered anew, in the order in which they appear, so that equal runs write equal bytes.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._error_ids: dict[str, str] = {}

    def on_event(self, event: object) -> None:
        """Write one of the engine's events."""
        match event:
            case ErrorSurfaced(adapter_name, error):
                self._history.record(
                    "engine.error", self.error_id(error), adapter=adapter_name, **self._facts(error)
                )
            case BreakerEvent(kind=BreakerEventKind.STATE):
                self._breaker(event)
            case RecoveryEvent(kind="joined"):
                pass  # as many as there were errors; the first says it all
            case RecoveryEvent():
                self._recovery(event)
            case CallRetried():
                self._history.record(
                    "engine.retry",
                    event.operation,
                    adapter=event.adapter_name,
                    attempt=event.attempt,
                    delay=round(event.delay, 6),
                    error_id=self.error_id(event.error),
                )
            case _:
                pass

    def on_alert(self, alert: Alert) -> None:
        """Write what a person is told."""
        self._history.record(
            "operator.alert",
            alert.incident_id,
            adapter=alert.adapter_name,
            category=alert.error.category.value,
            severity=alert.error.severity.value,
            error_id=self.error_id(alert.error),
            correlation_id=alert.error.context.get("correlation_id", ""),
            order_id=alert.error.context.get("order_id", ""),
            message=alert.error.message,
        )

    def error_id(self, error: FoxtrotError) -> str:
        """The error's number in this history."""
        return self._error_ids.setdefault(error.error_id, f"E{len(self._error_ids) + 1}")

    def _facts(self, error: FoxtrotError) -> dict[str, Any]:  # Any: JSON
        facts = error.to_dict()
        facts["error_id"] = self.error_id(error)
        return facts

    def _breaker(self, event: BreakerEvent) -> None:
        adapter, _, lane = event.name.rpartition(".")
        self._history.record(
            "engine.breaker",
            event.name,
            event.to_state.value,
            **{"from": event.from_state.value},
            reason=event.reason,
            adapter=adapter,
            lane=lane,
        )

    def _recovery(self, event: RecoveryEvent) -> None:
        self._history.record(
            "engine.recovery",
            self.error_id(event.error),
            event.kind,
            adapter=event.adapter_name,
            category=event.error.category.value,
            action=event.action.value if event.action else "",
            attempt=event.attempt,
            reason=event.reason,
        )
