"""What the chart of a scenario draws: faults, breakers, incidents and orders over virtual time.

Breaker states are the core's own word, and shown as such; the rest is what the outside saw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from harness import incidents
from harness.history import Event

__all__ = [
    "BreakerSpan",
    "Downtime",
    "FaultWindow",
    "Incident",
    "OrderMark",
    "Timeline",
    "TimelineFold",
]

BUCKETS = 240
PLACE = "order.place"


@dataclass(frozen=True, slots=True)
class FaultWindow:
    """A fault from its beginning to its end, `fired` times."""

    id: str
    kind: str
    category: str
    begin: float
    end: float
    fired: int


@dataclass(frozen=True, slots=True)
class BreakerSpan:
    """A breaker in one state. `state` is closed, open or half_open, as the core told it."""

    name: str
    state: str
    begin: float
    end: float
    lane: str = ""
    adapter: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident from its impact to the restored service; `restored` None: never."""

    fault_id: str
    adapter: str
    begin: float
    restored: float | None
    cleared: float | None = None
    detected: float | None = None
    escalated: float | None = None


@dataclass(frozen=True, slots=True)
class OrderMark:
    """`number` new orders that came back with `outcome` in the bucket of time beginning at `at`.

    Outcomes are ok, failed, unknown and blocked, as the strategy got them.
    """

    at: float
    outcome: str
    number: int = 1


@dataclass(frozen=True, slots=True)
class Downtime:
    """An adapter that the outside probe found down, from the first such sample to a good one."""

    adapter: str
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """All of it. Its size is bounded by faults, breaker transitions and `BUCKETS`."""

    horizon: float
    faults: tuple[FaultWindow, ...] = ()
    breakers: tuple[BreakerSpan, ...] = ()
    incidents: tuple[Incident, ...] = ()
    orders: tuple[OrderMark, ...] = ()
    downtimes: tuple[Downtime, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The timeline as plain JSON values."""
        return asdict(self)


class TimelineFold:
    """Collects the timeline while a history is read."""

    def __init__(self) -> None:
        self._width = 1.0
        self._placing: set[str] = set()
        self._orders: Counter[tuple[int, str]] = Counter()
        self._breakers: dict[str, tuple[str, float, str, str]] = {}
        self._spans: list[BreakerSpan] = []
        self._down: dict[str, float] = {}
        self._downtimes: list[Downtime] = []

    def take(self, event: Event) -> None:
        """Take one event."""
        match event.kind:
            case "run.start":
                horizon = float(event.details.get("horizon") or 0.0)
                self._width = max(horizon / BUCKETS, 1.0)
            case "client.invoke" if event.details.get("operation") == PLACE:
                self._placing.add(event.id)
            case "client.return" if event.id in self._placing:
                self._placing.discard(event.id)
                self._orders[int(event.t // self._width), event.outcome] += 1
            case "engine.breaker":
                self._breaker(event)
            case "probe.sample":
                self._probe(event)

    def _breaker(self, event: Event) -> None:
        details = event.details
        lane, adapter = str(details.get("lane") or ""), str(details.get("adapter") or "")
        state, since = str(details.get("from") or "closed"), 0.0
        if event.id in self._breakers:
            state, since, lane, adapter = self._breakers[event.id]
        self._spans.append(BreakerSpan(event.id, state, since, event.t, lane, adapter))
        self._breakers[event.id] = (event.outcome, event.t, lane, adapter)

    def _probe(self, event: Event) -> None:
        if event.outcome != "ok":
            self._down.setdefault(event.id, event.t)
        elif event.id in self._down:
            self._downtimes.append(Downtime(event.id, self._down.pop(event.id), event.t))

    def done(self, faults: Iterable[incidents.Incident], until: float) -> Timeline:
        """The timeline up to `until`, where what has not ended is cut off."""
        faults = tuple(faults)
        open_spans = [
            BreakerSpan(name, state, since, until, lane, adapter)
            for name, (state, since, lane, adapter) in self._breakers.items()
        ]
        still_down = [Downtime(adapter, since, until) for adapter, since in self._down.items()]
        marks = [
            OrderMark(bucket * self._width, outcome, number)
            for (bucket, outcome), number in sorted(self._orders.items())
        ]
        return Timeline(
            horizon=until,
            faults=tuple(_window(fault, until) for fault in faults),
            breakers=tuple(sorted([*self._spans, *open_spans], key=lambda s: (s.name, s.begin))),
            incidents=tuple(bar for fault in faults for bar in _bars(fault)),
            orders=tuple(marks),
            downtimes=(*self._downtimes, *still_down),
        )


def _window(fault: incidents.Incident, until: float) -> FaultWindow:
    plan = fault.plan
    begin = plan.begin if fault.began is None else fault.began
    planned = until if plan.end is None else plan.end
    end = planned if fault.cleared is None else fault.cleared
    return FaultWindow(plan.id, plan.kind, plan.category, begin, max(begin, end), fault.fired)


def _bars(fault: incidents.Incident) -> Iterable[Incident]:
    if fault.impact is None:
        return ()
    return (
        Incident(
            fault_id=fault.plan.id,
            adapter=", ".join(fault.adapters) or fault.plan.venue,
            begin=fault.impact,
            restored=fault.restored,
            cleared=fault.cleared,
            detected=fault.detected,
            escalated=fault.escalated,
        ),
    )
