"""A running count of what was judged and what was found wrong, with evidence that stays small."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.history import Event

__all__ = ["Judgement", "at"]

#: Evidence kept for one judgement: enough to debug from, however long the run.
EVIDENCE_LIMIT = 20


def at(event: Event) -> str:
    """Where in the history to look."""
    return f"seq {event.seq}, t={event.t:.3f}s"


@dataclass(slots=True)
class Judgement:
    """How often a promise was put to the test, and how it was broken."""

    judged: int = 0
    breaches: int = 0
    evidence: list[str] = field(default_factory=list)

    def breach(self, line: str) -> None:
        """Count a breach; the first ones are kept as evidence."""
        self.breaches += 1
        if len(self.evidence) < EVIDENCE_LIMIT:
            self.evidence.append(line)
