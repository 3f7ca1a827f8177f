"""Calling a person: once per incident, through sinks that can be exchanged."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from foxtrot.util.clock import Clock
from foxtrot.util.errors import ErrorCategory, FoxtrotError
from foxtrot.util.redaction import described

__all__ = ["Alert", "AlertDesk", "AlertSink", "log_sink"]


@dataclass(frozen=True, slots=True)
class Alert:
    """What a person is told: which incident, where, what, and what to do."""

    incident_id: str
    adapter_name: str
    error: FoxtrotError
    at: dt.datetime

    @property
    def suggested_action(self) -> str:
        """What to do about it."""
        return self.error.suggested_action or "Look into it; nothing more is known"

    def to_dict(self) -> dict[str, Any]:  # Any: JSON
        """The alert, redacted, as values that `json.dumps` takes."""
        return {
            "incident_id": self.incident_id,
            "adapter": self.adapter_name,
            "at": self.at.isoformat(),
            "suggested_action": self.suggested_action,
            "error": self.error.to_dict(),
        }


# Seconds within which an order or a part that was in trouble still is.
_STILL_HEARD_OF = 30.0

#: Any callable will do. It is called on the engine's thread, and must not wait for anything.
AlertSink = Callable[[Alert], object]


def log_sink(alert: Alert) -> None:
    """Write the alert to the log, as critical."""
    structlog.get_logger("foxtrot.alerts").critical(
        "operator.alert", incident_id=alert.incident_id, **alert.error.to_dict()
    )


class AlertDesk:
    """Groups errors into incidents and raises one alert for each.

    An incident is one adapter's trouble of one category, one order's, or one part's. It ends when
    the adapter has recovered, or when nothing was heard of it for `cooldown` seconds.

    A sink that raises is not felt by the caller and stays: the next alert may get through. The
    log says so, and carries the alert itself when no sink took it.
    """

    def __init__(self, sinks: Iterable[AlertSink], *, clock: Clock, cooldown: float) -> None:
        self._sinks = tuple(sinks)
        self._clock = clock
        self._cooldown = cooldown
        self._heard_at: dict[tuple[str, str, str], float] = {}
        self._count = 0

    def raise_alert(self, error: FoxtrotError) -> Alert | None:
        """Alert, unless the error belongs to an incident that was alerted before."""
        key = _incident_of(error)
        now = self._clock.now()
        self._heard_at = {k: at for k, at in self._heard_at.items() if now - at < self._cooldown}
        is_known = key in self._heard_at
        self._heard_at[key] = now
        if is_known:
            return None
        self._count += 1
        alert = Alert(f"incident-{self._count}", key[0], error, self._clock.wall())
        taken = [_deliver(sink, alert) for sink in self._sinks]
        if not any(taken):
            with suppress(Exception):  # the log itself may be what is broken
                log_sink(alert)
        return alert

    def recovered(self, adapter_name: str, category: ErrorCategory | None = None) -> None:
        """Close the adapter's incidents, or those of one category: the next error is a new one.

        Those of an order, or of a part other than the adapter itself, go on while they are heard
        of: that it recovered says nothing of them.
        """
        now = self._clock.now()
        self._heard_at = {
            key: at
            for key, at in self._heard_at.items()
            if key[0] != adapter_name
            or (category is not None and key[1] != category.value)
            or (key[2] not in {"", adapter_name} and now - at < _STILL_HEARD_OF)
        }


def _deliver(sink: AlertSink, alert: Alert) -> bool:
    try:
        sink(alert)
    except Exception as exc:  # whatever it is, it is the sink's own trouble
        with suppress(Exception):
            structlog.get_logger("foxtrot.alerts").error(
                "alert.sink_failed",
                sink=repr(sink),
                incident_id=alert.incident_id,
                error=described(exc),
            )
        return False
    return True


def _incident_of(error: FoxtrotError) -> tuple[str, str, str]:
    part = {
        ErrorCategory.ORDER_EXECUTION: "order_id",
        ErrorCategory.SYSTEM: "component",
    }.get(error.category, "")
    return (error.adapter_name or "", error.category.value, str(error.context.get(part, "")))
