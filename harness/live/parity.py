"""Whether a scenario came to the same in virtual time and on real sockets.

Not the same events: chance falls otherwise where time is real. The same verdict, the same
classification of each kind of fault, and the same facts in the ledgers. A difference is a finding:
either the simulation leaves something out, or the core relies on what only a simulation gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

from harness.history import Event
from harness.verdict import Verdict, judge

__all__ = ["Essence", "Parity", "essence_of", "parity_of"]

# An error that says what is not known follows from one that says what went wrong.
_DERIVED = "UnknownOrderError"
_TOLERANCE = 1e-9


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
class Parity:
    """Two runs of one scenario, side by side."""

    scenario: str
    simulated: Essence
    live: Essence

    @property
    def differences(self) -> tuple[str, ...]:
        """What differs, in words; empty where nothing does."""
        pairs = ((each.name, self.simulated, self.live) for each in fields(Essence))
        return tuple(
            f"{self.scenario}: {name} {_show(getattr(a, name))} simulated, "
            f"{_show(getattr(b, name))} live"
            for name, a, b in pairs
            if getattr(a, name) != getattr(b, name)
        )


def parity_of(simulated: Iterable[Event], live: Iterable[Event]) -> Parity:
    """Compare two histories of one scenario.

    Raises:
        ValueError: They are not of the same scenario.
    """
    a, b = tuple(simulated), tuple(live)
    digests = [_header(events).details.get("scenario_digest") for events in (a, b)]
    if digests[0] != digests[1]:
        raise ValueError(f"expected two histories of one scenario, got digests {digests!r}")
    return Parity(_header(a).id, essence_of(a), essence_of(b))


def essence_of(events: Iterable[Event]) -> Essence:
    """Read the essence off a history."""
    told = tuple(events)
    return Essence(
        verdict=judge(told).verdict,
        categories=_categories(told),
        doubled=_doubled(told),
        lost=_lost(told),
        apart=_apart(told),
    )


def _categories(events: tuple[Event, ...]) -> dict[str, tuple[str, ...]]:
    kinds = {each["id"]: each["kind"] for each in _header(events).details.get("faults", ())}
    touched: dict[str, str] = {}
    found: dict[str, set[str]] = {}
    for event in events:
        if event.kind == "fault.fired":
            touched[event.details["correlation_id"]] = kinds[event.id]
        elif event.kind == "engine.error" and event.details.get("type") != _DERIVED:
            kind = touched.get((event.details.get("context") or {}).get("correlation_id", ""))
            if kind is not None:
                found.setdefault(kind, set()).add(event.details["category"])
    return {kind: tuple(sorted(found[kind])) for kind in sorted(found)}


def _doubled(events: tuple[Event, ...]) -> tuple[str, ...]:
    orders: dict[str, set[str]] = {}
    for event in events:
        if event.kind == "venue.order":
            orders.setdefault(event.details["client_id"], set()).add(event.id)
    beyond = {
        event.id
        for event in events
        if event.kind == "venue.final_order"
        and event.details["executed"] > event.details["quantity"] * (1 + _TOLERANCE)
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
    return a is not None and b is not None and abs(a - b) <= _TOLERANCE * max(1.0, abs(a))


def _header(events: tuple[Event, ...]) -> Event:
    return next(event for event in events if event.kind == "run.start")


def _show(value: object) -> str:
    return value.value if isinstance(value, Verdict) else repr(value)
