"""Runs faults on a served venue: a scenario's on schedule, and those that are imposed by hand.

Each set of faults has a `Nemesis` of its own, the same that runs them in virtual time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, cast

from pydantic import ValidationError

from foxtrot.adapter.session import Operation
from foxtrot.util.structured_logger import StructuredLogger
from harness.faults.catalogue import CATALOGUE
from harness.faults.schema import TARGETING, FaultKind
from harness.history import History
from harness.kernel import RandomStreams
from harness.nemesis import Nemesis
from harness.network import Link
from harness.scenario import FaultSpec, Occurrence
from harness.units import Mistake
from harness.wire.clock import VenueClock
from harness.wire.front import Front

__all__ = ["NOT_SERVED", "SERVED", "Conductor", "read_fault"]

_log = StructuredLogger("harness.wire")

# Of a fault without an end: until it is lifted, or this many venue seconds.
_DAY = 86_400.0
#: Kinds of the client's own process, or of the way to the venue's door: no server can do them.
NOT_SERVED = frozenset(
    {"blocked_loop", "clock_jump", "component_crash", "dns", "handler_exception", "tls"}
)
SERVED: Mapping[str, FaultKind] = {
    name: kind for name, kind in CATALOGUE.items() if name not in NOT_SERVED
}
_BY_HAND = tuple(each for each in TARGETING if each not in {"venue", "at", "every", "repeat"})


class Conductor:
    """Imposes faults on a front, and lifts them.

    Attributes:
        skipped: What was scheduled and is of a kind that no server can do.
    """

    def __init__(
        self,
        venue: str,
        front: Front,
        clock: VenueClock,
        history: History,
        streams: RandomStreams,
    ) -> None:
        self.skipped: tuple[Occurrence, ...] = ()
        self._venue = venue
        self._front = front
        self._clock = clock
        self._history = history
        self._streams = streams
        self._nemeses: dict[str, Nemesis] = {}
        self._tasks: dict[asyncio.Task[None], Nemesis] = {}
        self._by_hand = 0

    def start(self, occurrences: Iterable[Occurrence]) -> None:
        """Begin and end these on schedule; `skipped` tells which cannot be had here."""
        ours = [each for each in occurrences if each.fault.venue == self._venue]
        self.skipped = tuple(each for each in ours if each.fault.kind not in SERVED)
        planned = tuple(each for each in ours if each.fault.kind in SERVED)
        if planned:
            self._run(planned)

    def impose(self, raw: Mapping[str, Any]) -> str:
        """Impose a fault as `read_fault` reads it, now; return its id. Any: JSON.

        Raises Mistake.
        """
        fault, lasts = read_fault(raw, self._venue)
        self._by_hand += 1
        fault_id = f"A{self._by_hand}"
        now = self._clock.now()
        self._run((Occurrence(fault_id, fault, now, now + lasts),))
        return fault_id

    def lift(self, fault_id: str) -> bool:
        """Lift one fault, and those of its set, begun or to come; False when there is no such."""
        nemesis = self._nemeses.get(fault_id)
        if nemesis is None:
            return False
        for task, run_by in self._tasks.items():
            if run_by is nemesis:
                task.cancel()
        nemesis.heal_all()
        for fault in nemesis.faults:
            self._nemeses.pop(fault.id, None)
        return True

    def imposed(self) -> list[dict[str, Any]]:  # Any: JSON
        """The faults that are on or to come."""
        return [
            {
                "id": fault.id,
                "kind": fault.kind.name,
                "variant": fault.variant,
                "begin": fault.occurrence.begin,
                "end": fault.occurrence.end,
                "is_healed": fault.is_healed(),
            }
            for nemesis in dict.fromkeys(self._nemeses.values())
            for fault in nemesis.faults
        ]

    def intervened(self, knob_id: str, subject_id: str, what: str) -> None:
        """Take the venue's word that a fault of its own had an effect."""
        nemesis = self._nemeses.get(knob_id)
        if nemesis is not None:
            nemesis.intervened(knob_id, subject_id, what)

    async def stop(self) -> None:
        """Lift everything; end what is scheduled."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for fault_id in tuple(self._nemeses):
            self.lift(fault_id)

    def _run(self, occurrences: tuple[Occurrence, ...]) -> None:
        nemesis = Nemesis(
            occurrences,
            # A fault asks of its link nothing but `rules`, `connection_id`, `drop` and `venue`.
            {self._venue: cast(Link, self._front)},
            history=self._history,
            clock=self._clock,
            streams=self._streams,
        )
        self._nemeses.update(dict.fromkeys((each.id for each in occurrences), nemesis))
        task = asyncio.get_running_loop().create_task(nemesis.run())
        self._tasks[task] = nemesis
        task.add_done_callback(lambda done: self._ended(done, nemesis))

    def _ended(self, task: asyncio.Task[None], nemesis: Nemesis) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled():
            error = task.exception()
            if error is not None:
                _log.error("wire.fault_failed", error=type(error).__name__)
            for fault in nemesis.faults:
                self.lift(fault.id)


def read_fault(raw: Mapping[str, Any], venue: str) -> tuple[FaultSpec, float]:
    """A fault as written in JSON, with the keys of a scenario's, and how long it lasts.

    Without `for` it lasts a day, unless its kind acts at an instant. Any: JSON. Raises Mistake.
    """
    kind = SERVED.get(str(raw.get("kind")))
    if kind is None:
        raise Mistake(f"kind to be one of {', '.join(sorted(SERVED))}")
    unknown = [key for key in raw if key not in _BY_HAND and key not in kind.parameters]
    if unknown:
        known = ", ".join((*_BY_HAND, *kind.parameters))
        raise Mistake(f"keys of {known}, not {', '.join(unknown)}")
    _check_words(raw, kind)
    parameters = {
        name: spec.parse(raw[name]) if name in raw else spec.default
        for name, spec in kind.parameters.items()
    }
    try:
        fault = FaultSpec.model_validate(
            {
                **{key: value for key, value in raw.items() if key in _BY_HAND},
                "venue": venue,
                "at": "0s",
                "parameters": parameters,
                "instant": kind.instant,
            }
        )
    except ValidationError as error:
        where = ", ".join(".".join(map(str, each["loc"])) for each in error.errors())
        raise Mistake(f"a fault as in a scenario; wrong: {where}") from None
    return fault, (0.0 if kind.instant else _DAY) if fault.lasts is None else fault.lasts


def _check_words(raw: Mapping[str, Any], kind: FaultKind) -> None:
    variant, operation = raw.get("variant"), raw.get("operation")
    if variant is not None and variant not in kind.variants:
        raise Mistake(f"variant to be one of {', '.join(kind.variants) or 'none'}")
    operations = [each.value for each in Operation]
    if operation is not None and operation not in operations:
        raise Mistake(f"operation to be one of {', '.join(operations)}")
