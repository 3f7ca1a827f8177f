"""The error records that surfaced, each held against the fault that caused it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from harness.facts.context import Witness, shortcomings
from harness.facts.links import NO_SUCH_ORDER_CODE, Request
from harness.history import Event
from harness.incidents import Incident, IncidentLog
from harness.plan import FaultPlan

__all__ = ["Errors"]


class Errors:
    """Counts over all error records. A record seen again under the same id is the same record."""

    def __init__(self, incidents: IncidentLog, witness: Witness) -> None:
        self._incidents = incidents
        self._witness = witness
        self._seen: dict[str, Incident | None] = {}
        self._answered: set[str] = set()
        self.confusion: Counter[tuple[str, str]] = Counter()
        self.by_kind: Counter[tuple[str, bool]] = Counter()
        self.by_default = 0
        self.false_recoverable = 0
        self.hopeless = 0
        self.records = 0
        self.complete = 0
        self.shortcomings: Counter[str] = Counter()

    def take(self, event: Event) -> None:
        """Take engine.error."""
        if event.id in self._seen:
            return
        # An event has its outcome beside its details, where a record has it among them.
        record = {"outcome": event.outcome, **event.details}
        adapter, correlation_id = _of(record, "adapter"), _of(record, "correlation_id")
        self._answered.add(correlation_id)
        self._check_context(record)
        traced = self._incidents.touched_by(correlation_id)
        accepted = [traced] if traced is not None else []
        if traced is None and self._witness.operation_of(correlation_id) is None:
            # By adapter and window. A request that no fault touched failed for reasons of its own.
            accepted = self._incidents.active_on(adapter)
        self._seen[event.id] = next(iter(accepted), None)
        for incident in accepted:
            incident.noticed(event.t)
        if traced is not None or (accepted and not _is_derived(record)):
            self._judge(record, accepted)

    def incident_of(self, error_id: str) -> Incident | None:
        """The incident that an error record was tied to."""
        return self._seen.get(error_id)

    def owe(self, request: Request) -> None:
        """A strategy's request has failed and its call is over: its error is due by now.

        One that no fault touched failed for reasons of its own. "No such order" is an answer.
        """
        incident = self._incidents.touched_by(request.id)
        if incident is None or request.outcome in {"", "ok"} or request.code == NO_SUCH_ORDER_CODE:
            return
        if request.id not in self._answered:
            incident.swallowed += 1

    def _check_context(self, record: Mapping[str, Any]) -> None:  # Any: JSON
        self.records += 1
        lacking = shortcomings(record, self._witness)
        self.complete += not lacking
        self.shortcomings.update(f"{record.get('category')}: {name}" for name in lacking)

    def _judge(self, record: Mapping[str, Any], accepted: list[Incident]) -> None:
        category = str(record.get("category") or "").lower()
        plan = _best(category, [incident.plan for incident in accepted])
        is_default = _of(record, "classified_by") == "default"
        for incident in accepted:
            incident.errors += 1
        self.by_default += is_default
        self.confusion[plan.category, category] += 1
        self.by_kind[plan.kind, category in plan.categories and not is_default] += 1
        if not plan.recoverable:
            self.hopeless += 1
            self.false_recoverable += bool(record.get("recoverable"))


def _best(category: str, plans: list[FaultPlan]) -> FaultPlan:
    return next((plan for plan in plans if category in plan.categories), plans[0])


def _is_derived(record: Mapping[str, Any]) -> bool:  # Any: JSON
    """Whether it says what we know or refuse, rather than what went wrong.

    "This order's state is unknown" and "not sent: the breaker is open" follow from an error that
    has a record of its own. Of a request that a fault touched every record is that record, whatever
    it calls itself. Calling everything so gains nothing: a fault without a record of another sort
    counts as missed.
    """
    return record.get("type") == "UnknownOrderError" or record.get("outcome") == "not_sent"


def _of(record: Mapping[str, Any], name: str) -> str:
    value = (record.get("context") or {}).get(name)
    return "" if value is None else str(value)
