"""What a record of the core adds to which instrument."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from foxtrot.server.alerts import Alert
from foxtrot.server.engine import AdapterSwitched, ErrorSurfaced
from foxtrot.server.guard import CallEnded, CallRetried
from foxtrot.telemetry._instruments import (
    ADAPTER_SWITCHES,
    ALERTS,
    BREAKER_TRANSITIONS,
    ERRORS,
    RECOVERY_DURATION,
    RECOVERY_RESULTS,
    RECOVERY_STEPS,
    RETRIES,
    RETRY_RESULTS,
    RETRY_WAIT,
    Instrument,
)
from foxtrot.util.circuit_breaker import BreakerEvent, BreakerEventKind
from foxtrot.util.errors import FoxtrotError
from foxtrot.util.recovery import RecoveryEvent
from foxtrot.util.retry import RetryEvent, RetryEventKind

__all__ = ["Measure", "Measures"]


@dataclass(frozen=True, slots=True)
class Measure:
    """An amount for one instrument; label values in the order of its labels."""

    instrument: Instrument
    values: tuple[str, ...]
    amount: float = 1.0


@dataclass(slots=True)
class _Climb:
    """A recovery under way: since when, and the action whose result is not known yet."""

    started_at: float
    action: str = ""


class Measures:
    """Reads records. Keeps only the recoveries under way; one met halfway is counted at its end."""

    def __init__(self) -> None:
        self._climbs: dict[str, _Climb] = {}

    def of(self, record: object) -> Iterator[Measure]:
        """What the record adds: nothing for a kind of record that is not measured."""
        match record:
            case BreakerEvent(kind=BreakerEventKind.STATE, name=name):
                states = (record.from_state.value, record.to_state.value)
                yield Measure(BREAKER_TRANSITIONS, (name, *states))
            case RetryEvent(kind=RetryEventKind.WAITING, name=name, delay=delay):
                yield from _retry("", name, delay)
            case RetryEvent(kind=kind, name=name):
                yield Measure(RETRY_RESULTS, (name, kind.value))
            case CallRetried(adapter_name=adapter, operation=operation, delay=delay):
                yield from _retry(adapter, operation, delay)
            case CallEnded(operation=operation, result=result):
                yield Measure(RETRY_RESULTS, (operation, result.value))
            case RecoveryEvent():
                yield from self._recovery(record)
            case ErrorSurfaced(adapter_name=adapter, error=error):
                yield Measure(ERRORS, (adapter, *_kind_of(error)))
            case Alert(adapter_name=adapter, error=error):
                yield Measure(ALERTS, (adapter, *_kind_of(error)))
            case AdapterSwitched(adapter_name=adapter, standby=str()):
                yield Measure(ADAPTER_SWITCHES, (adapter,))

    def _recovery(self, event: RecoveryEvent) -> Iterator[Measure]:
        # All events of one climb carry the error that it began with.
        key = event.error.error_id
        match event.kind:
            case "started":
                self._climbs[key] = _Climb(event.at)
            case "step":
                yield from self._step_ended(event, "failed")
                if key in self._climbs:
                    self._climbs[key].action = event.action.value if event.action else "custom"
            case "skipped" | "joined":
                yield Measure(RECOVERY_RESULTS, (*_where(event), event.kind))
            case "succeeded" | "failed":
                yield from self._ended(event)

    def _ended(self, event: RecoveryEvent) -> Iterator[Measure]:
        result = "cancelled" if event.reason == "cancelled" else event.kind
        yield from self._step_ended(event, result)
        yield Measure(RECOVERY_RESULTS, (*_where(event), result))
        climb = self._climbs.pop(event.error.error_id, None)
        if climb is not None:
            seconds = event.at - climb.started_at
            yield Measure(RECOVERY_DURATION, (*_where(event), result), seconds)

    def _step_ended(self, event: RecoveryEvent, result: str) -> Iterator[Measure]:
        climb = self._climbs.get(event.error.error_id)
        if climb is not None and climb.action:
            yield Measure(RECOVERY_STEPS, (*_where(event), climb.action, result))


def _retry(adapter: str, operation: str, delay: float) -> Iterator[Measure]:
    yield Measure(RETRIES, (adapter, operation))
    yield Measure(RETRY_WAIT, (adapter, operation), delay)


def _where(event: RecoveryEvent) -> tuple[str, str]:
    return (event.adapter_name, event.error.category.value)


def _kind_of(error: FoxtrotError) -> tuple[str, str]:
    return (error.category.value, error.severity.value)
