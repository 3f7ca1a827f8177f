"""Whether a scenario came to the same in virtual time and on real sockets.

Not the same events: chance falls otherwise where time is real. The same verdict, the same
classification of each kind of fault, and the same facts in the ledgers. A difference is a finding:
either the simulation leaves something out, or the core relies on what only a simulation gives.
Pure functions of the histories.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from harness.bare_facts import BareFacts
from harness.facts.ledger import TOLERANCE
from harness.history import Event
from harness.verdict import Verdict, judge

__all__ = ["Essence", "Measures", "Parity", "Side", "parity_of", "side_of"]

# What follows from an error that says what went wrong: that something is not known, and that there
# is no connection while one is being made, which takes longer where time is real.
_DERIVED = "UnknownOrderError"
_NOT_CONNECTED = "not_connected"


@dataclass(frozen=True, slots=True)
class Essence:
    """What of a run must not depend on how it was driven.

    Attributes:
        verdict: What the history comes to.
        categories: By kind of fault, the categories of the errors of what it touched.
        doubled: Intents that the venue took twice, or executed beyond what was asked.
        lost: Intents of which venue and engine have not the same in the end.
        apart: Symbols in which their positions differ.
    """

    verdict: Verdict
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    doubled: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measures:
    """What of a run chance has a part in; shown, and never compared.

    Attributes:
        orders: Orders that the venue took.
        fills: Of these orders.
        positions: What the venue has, by symbol.
        mttr: Mean seconds from impact to restored, of the incidents that count; None without one.
    """

    orders: int
    fills: int
    positions: Mapping[str, float]
    mttr: float | None


@dataclass(frozen=True, slots=True)
class Side:
    """One run of a scenario."""

    essence: Essence
    measures: Measures


@dataclass(frozen=True, slots=True)
class Parity:
    """Two runs of one scenario, side by side, and what a bare client made of the same if it ran."""

    scenario: str
    simulated: Side
    live: Side
    bare: BareFacts | None = None

    @property
    def differences(self) -> tuple[str, ...]:
        """What differs, in words; empty where nothing does."""
        a, b = self.simulated.essence, self.live.essence
        return tuple(
            f"{self.scenario}: {name} {_show(getattr(a, name))} simulated, "
            f"{_show(getattr(b, name))} live"
            for name in (each.name for each in fields(Essence))
            if getattr(a, name) != getattr(b, name)
        )

    def beside(self, bare: BareFacts | None) -> Parity:
        """The same with the control beside it."""
        return replace(self, bare=bare)

    def to_dict(self) -> dict[str, Any]:  # Any: JSON
        """The entry of report.json's `parity` list."""
        return {
            "scenario": self.scenario,
            "simulation": _side(self.simulated),
            "live": _side(self.live),
            "bare": None if self.bare is None else self.bare.to_dict(),
            "findings": list(self.differences),
        }


def parity_of(simulated: Iterable[Event], live: Iterable[Event]) -> Parity:
    """Compare two histories of one scenario.

    Raises:
        ValueError: They are not of the same scenario.
    """
    a, b = tuple(simulated), tuple(live)
    digests = [_header(events).details.get("scenario_digest") for events in (a, b)]
    if digests[0] != digests[1]:
        raise ValueError(f"expected two histories of one scenario, got digests {digests!r}")
    return Parity(_header(a).id, side_of(a), side_of(b))


def side_of(events: Iterable[Event]) -> Side:
    """Read one side off a history."""
    told = tuple(events)
    result = judge(told)
    mttr = next((m.value for m in result.metrics if m.name == "mttr_seconds"), None)
    essence = Essence(
        verdict=result.verdict,
        categories=_categories(told),
        doubled=_doubled(told),
        lost=_lost(told),
        apart=_apart(told),
    )
    return Side(essence, _measures(told, mttr))


def _measures(events: tuple[Event, ...], mttr: float | None) -> Measures:
    kinds = Counter(event.kind for event in events)
    orders = {event.id for event in events if event.kind == "venue.order"}
    positions = {e.id: e.details["volume"] for e in events if e.kind == "venue.final_position"}
    return Measures(len(orders), kinds["venue.trade"], positions, mttr)


def _categories(events: tuple[Event, ...]) -> dict[str, tuple[str, ...]]:
    kinds = {each["id"]: each["kind"] for each in _header(events).details.get("faults", ())}
    touched: dict[str, str] = {}
    found: dict[str, set[str]] = {}
    for event in events:
        if event.kind == "fault.fired":
            touched[event.details["correlation_id"]] = kinds[event.id]
        elif event.kind == "engine.error" and not _is_derived(event):
            kind = touched.get((event.details.get("context") or {}).get("correlation_id", ""))
            if kind is not None:
                found.setdefault(kind, set()).add(event.details["category"])
    return {kind: tuple(sorted(found[kind])) for kind in sorted(found)}


def _is_derived(error: Event) -> bool:
    context = error.details.get("context") or {}
    return error.details.get("type") == _DERIVED or context.get("code") == _NOT_CONNECTED


def _doubled(events: tuple[Event, ...]) -> tuple[str, ...]:
    orders: dict[str, set[str]] = {}
    for event in events:
        if event.kind == "venue.order":
            orders.setdefault(event.details["client_id"], set()).add(event.id)
    beyond = {
        event.id
        for event in events
        if event.kind == "venue.final_order"
        and event.details["executed"] > event.details["quantity"] * (1 + TOLERANCE)
    }
    return tuple(sorted(beyond | {each for each, ids in orders.items() if len(ids) > 1}))


def _lost(events: tuple[Event, ...]) -> tuple[str, ...]:
    at_venue = {e.id: e.details["executed"] for e in events if e.kind == "venue.final_order"}
    at_client = {
        e.id: e.details["traded"]
        for e in events
        if e.kind == "client.final_order" and (e.id in at_venue or e.outcome != "REJECTED")
    }
    return tuple(
        each
        for each in sorted(at_venue.keys() | at_client.keys())
        if not _are_equal(at_venue.get(each), at_client.get(each))
    )


def _apart(events: tuple[Event, ...]) -> tuple[str, ...]:
    sides = [
        {e.id: e.details["volume"] for e in events if e.kind == f"{side}.final_position"}
        for side in ("venue", "client")
    ]
    symbols = sorted(sides[0].keys() | sides[1].keys())
    return tuple(s for s in symbols if not _are_equal(sides[0].get(s, 0), sides[1].get(s, 0)))


def _are_equal(a: float | None, b: float | None) -> bool:
    return a is not None and b is not None and abs(a - b) <= TOLERANCE * max(1.0, abs(a))


def _header(events: tuple[Event, ...]) -> Event:
    return next(event for event in events if event.kind == "run.start")


def _side(side: Side) -> dict[str, Any]:  # Any: JSON
    essence, measures = side.essence, side.measures
    return {
        "verdict": essence.verdict.value,
        "classification": {kind: list(found) for kind, found in essence.categories.items()},
        "orders": measures.orders,
        "fills": measures.fills,
        "positions": dict(measures.positions),
        "doubled": list(essence.doubled),
        "lost": list(essence.lost),
        "positions_apart": list(essence.apart),
        "mttr_seconds": measures.mttr,
    }


def _show(value: object) -> str:
    return value.value if isinstance(value, Verdict) else repr(value)
