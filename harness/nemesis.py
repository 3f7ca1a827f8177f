"""The nemesis: begins every fault at its time, ends it, and heals whatever is left at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from foxtrot.util.clock import Clock
from harness.faults.base import Client, Fault, Site
from harness.faults.catalogue import FAULTS
from harness.history import History
from harness.kernel import RandomStreams
from harness.network import Link
from harness.scenario import Occurrence

__all__ = ["Nemesis"]


@dataclass(frozen=True, slots=True)
class _Step:
    at: float
    rank: int
    number: int
    act: Callable[[Fault], None]


class Nemesis:
    """Runs the occurrences of a scenario.

    Attributes:
        cleared_at: When the last fault of each adapter was over.
    """

    def __init__(
        self,
        occurrences: tuple[Occurrence, ...],
        links: Mapping[str, Link],
        *,
        history: History,
        clock: Clock,
        streams: RandomStreams,
        client: Client | None = None,
    ) -> None:
        self.cleared_at: dict[str, float] = {}
        self._client = client
        self._history = history
        self._clock = clock
        self._streams = streams
        self._links = links
        self._active: dict[str, Fault] = {}
        self._touched: dict[str, dict[tuple[str, str], None]] = {}
        self._venue_of = {each.id: each.fault.venue for each in occurrences}
        self.faults = tuple(self._build(occurrence) for occurrence in occurrences)

    def is_active(self, adapter: str) -> bool:
        """Whether a fault is on the adapter's venue now."""
        return any(fault.spec.venue == adapter for fault in self._active.values())

    def intervened(self, fault_id: str, subject_id: str, effect: str) -> None:
        """Note that a fault touched a request or a connection; once for each effect on it.

        A venue names what it did and to whom, which is all that the record needs.
        """
        self._fired(fault_id, subject_id, "", effect)

    async def run(self) -> None:
        """Begin and end every fault in time."""
        for step in self._schedule():
            await self._clock.sleep(step.at - self._clock.now())
            step.act(self.faults[step.number])

    def heal_all(self) -> None:
        """End what is still on, the last first, and verify that every fault is healed."""
        for fault in reversed(tuple(self._active.values())):
            self._end(fault)
        for fault in reversed(self.faults):
            healed = fault.is_healed()
            self._history.record("fault.healed", fault.id, "ok" if healed else "failed")

    def _schedule(self) -> list[_Step]:
        steps = []
        for number, fault in enumerate(self.faults):
            begin, end = fault.occurrence.begin, fault.occurrence.end
            steps.append(_Step(begin, 1, number, self._begin))
            # At one moment: first the ends, then the beginnings, then what acts at an instant ends.
            steps.append(_Step(end, 2 if end == begin else 0, number, self._end))
        return sorted(steps, key=lambda step: (step.at, step.rank, step.number))

    def _begin(self, fault: Fault) -> None:
        self._active[fault.id] = fault
        self._history.record(
            "fault.begin",
            fault.id,
            kind=fault.spec.kind,
            window=[fault.occurrence.begin, fault.occurrence.end],
        )
        fault.begin()

    def _end(self, fault: Fault, *, spent: bool = False) -> None:
        """End a fault, once. `spent`: by itself, having nothing more to do, before its time."""
        if self._active.pop(fault.id, None) is None:
            return
        fault.end()
        self.cleared_at[fault.spec.venue] = self._clock.now()
        details = {"spent": True} if spent else {}
        self._history.record("fault.end", fault.id, "", **details)

    def _build(self, occurrence: Occurrence) -> Fault:
        link = self._links[occurrence.fault.venue]
        fault: Fault
        site = Site(
            link=link,
            venue=link.venue,
            now=self._clock.now,
            client=self._client,
            rng=self._streams.stream(f"fault.{occurrence.id}"),
            fired=lambda subject, operation, effect: self._fired(
                occurrence.id, subject, operation, effect
            ),
            spent=lambda: self._end(fault, spent=True),
        )
        fault = FAULTS[occurrence.fault.kind](occurrence, site)
        return fault

    def _fired(self, fault_id: str, subject_id: str, operation: str, effect: str) -> None:
        touched = self._touched.setdefault(fault_id, {})
        if (subject_id, effect) in touched:
            return
        touched[subject_id, effect] = None
        self._history.record(
            "fault.fired",
            fault_id,
            correlation_id=subject_id,
            operation=operation,
            effect=effect,
            adapter=self._venue_of[fault_id],
        )
