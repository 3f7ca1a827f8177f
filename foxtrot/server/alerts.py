"""Calling a person: once per incident, through sinks that can be exchanged."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from foxtrot.util.clock import Clock
from foxtrot.util.errors import FoxtrotError
from foxtrot.util.instrumentation import Listeners

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


AlertSink = Callable[[Alert], None]


def log_sink(alert: Alert) -> None:
    """Write the alert to the log, as critical."""
    structlog.get_logger("foxtrot.alerts").critical(
        "operator.alert", incident_id=alert.incident_id, **alert.error.to_dict()
    )


class AlertDesk:
    """Groups errors into incidents and raises one alert for each.

    An incident is one adapter's trouble of one category, or one order's. It ends when the adapter
    has recovered, or when nothing was heard of it for `cooldown` seconds.
    """

    def __init__(self, sinks: Iterable[AlertSink], *, clock: Clock, cooldown: float) -> None:
        self._sinks: Listeners[Alert] = Listeners(sinks)
        self._clock = clock
        self._cooldown = cooldown
        self._heard_at: dict[tuple[str, str, str], float] = {}
        self._count = 0

    def raise_alert(self, error: FoxtrotError) -> Alert | None:
        """Alert, unless the error belongs to an incident that was alerted before."""
        key = _incident_of(error)
        now = self._clock.now()
        heard_at = self._heard_at.get(key)
        self._heard_at[key] = now
        if heard_at is not None and now - heard_at < self._cooldown:
            return None
        self._count += 1
        alert = Alert(f"incident-{self._count}", key[0], error, self._clock.wall())
        self._sinks.emit(alert)
        return alert

    def recovered(self, adapter_name: str) -> None:
        """Close the adapter's incidents: the next error is a new one."""
        self._heard_at = {k: at for k, at in self._heard_at.items() if k[0] != adapter_name}


def _incident_of(error: FoxtrotError) -> tuple[str, str, str]:
    order = error.context.get("order_id", "") if error.outcome.value == "unknown" else ""
    return (error.adapter_name or "", error.category.value, str(order))
