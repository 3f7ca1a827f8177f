"""What an operator was told of each incident, and how often."""

from __future__ import annotations

from collections import Counter

from harness.facts.judgement import Judgement, at
from harness.history import Event
from harness.incidents import Incident

__all__ = ["Alerts"]

#: Alerts of one category that one incident may be worth. It may look over in between.
ALERTS_OF_ONE_SORT = 3


class Alerts:
    """All alerts of a run that are about an incident."""

    def __init__(self) -> None:
        self.few = Judgement()
        self._told: Counter[tuple[str, str, str]] = Counter()

    def take(self, event: Event, incident: Incident) -> None:
        """One incident is one call, or a few where its consequences differ."""
        category = str(event.details.get("category") or "")
        # Each order that stays unknown is a case of its own.
        order = str(event.details.get("order_id") or "") if category == "order_execution" else ""
        key = (incident.plan.id, category, order)
        self._told[key] += 1
        self.few.judged += 1
        if self._told[key] > ALERTS_OF_ONE_SORT:
            self.few.breach(
                f"{at(event)}: {event.id} is alert number {self._told[key]} of {category} for "
                f"{incident.plan.id} ({incident.plan.kind})"
            )
