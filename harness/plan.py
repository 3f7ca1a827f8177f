"""What a run announced in its first event: the plan that everything after is judged against."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.history import Event

__all__ = ["ANY", "FaultPlan", "Header", "Promises"]

#: In a plan, every venue or every operation.
ANY = "*"

#: What a plan that does not say so surfaces by.
_IN_THE_DATA = frozenset({"market_data", "validation"})


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """One planned occurrence of a fault.

    `categories` are the classifications accepted for what it causes, `blocks` the operations
    that cannot succeed while it lasts ("*": none can). `surfaces`: its effect is in the data,
    where neither a link nor a probe need see it, and an error record is due whenever it fires.
    `ends_by_client`: to be taken away at its planned end is not to be recovered from.
    """

    id: str
    kind: str
    category: str
    categories: frozenset[str]
    venue: str
    begin: float
    end: float | None
    recoverable: bool
    must_escalate: bool
    connection: bool
    blocks: frozenset[str]
    surfaces: bool
    ends_by_client: bool

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> FaultPlan:  # Any: JSON
        """The plan that a `faults` entry of run.start describes."""
        category = str(entry["category"]).lower()
        accepted = entry.get("categories") or (category,)
        return cls(
            id=str(entry["id"]),
            kind=str(entry["kind"]),
            category=category,
            categories=frozenset(str(name).lower() for name in accepted),
            venue=str(entry.get("venue") or ANY),
            begin=float(entry.get("begin") or 0.0),
            end=None if entry.get("end") is None else float(entry["end"]),
            recoverable=bool(entry.get("recoverable", True)),
            must_escalate=bool(entry.get("must_escalate", False)),
            connection=bool(entry.get("connection", False)),
            blocks=frozenset(entry.get("blocks") or ()),
            surfaces=bool(entry.get("surfaces", category in _IN_THE_DATA)),
            ends_by_client=bool(entry.get("ends_by_client", False)),
        )

    @property
    def length(self) -> float:
        """Planned seconds from begin to end; without bound when no end is planned."""
        return float("inf") if self.end is None else self.end - self.begin

    def lasts_beyond(self, t: float) -> bool:
        """Whether it is still on at `t`, as planned, or to be ended by a person only."""
        return self.end is None or self.end > t or self.must_escalate

    def stops(self, operation: str) -> bool:
        """Whether `operation` cannot succeed while the fault lasts."""
        return operation in self.blocks or ANY in self.blocks

    def hits(self, venue: str) -> bool:
        """Whether the fault is on `venue`."""
        return self.venue in {venue, ANY}


@dataclass(frozen=True, slots=True)
class Promises:
    """What the run's policy says to who relies on it, in seconds. No deadline is no promise.

    `deadlines`: what a call may take in all, by lane. `attempt`: how much longer the answer to one
    that left in time may take. `resend`: up to which age an order that never arrived is sent again.
    `quiet`: how long nothing is sent after a refusal for asking too often that names no time.
    `cooldown`: how long after it was last heard of the same trouble is no new alert.
    """

    deadlines: Mapping[str, float] = field(default_factory=dict)
    attempt: float = 0.0
    resend: float = 0.0
    quiet: float = 0.0
    cooldown: float = 0.0

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Promises:  # Any: JSON
        """The promises that run.start announces; none, where it was written before there were."""
        if not entry:
            return cls()
        deadlines = {str(lane): float(limit) for lane, limit in entry["deadlines"].items()}
        times = {name: float(entry[name]) for name in ("attempt", "resend", "quiet")}
        return cls(deadlines, **times, cooldown=float(entry.get("cooldown", 0.0)))

    def deadline(self, lane: str) -> float:
        """What a call of the lane may take in all."""
        return self.deadlines.get(lane, math.inf)

    def answer_within(self, lane: str) -> float:
        """When its caller has an answer at the latest."""
        return self.deadline(lane) + self.attempt


@dataclass(frozen=True, slots=True)
class Header:
    """The plan of a run. Times and bounds in virtual seconds."""

    scenario: str = ""
    proves: str = ""
    seed: int = 0
    policy: str = ""
    horizon: float = 0.0
    targets: Mapping[str, str | float] = field(default_factory=dict)
    unexercised: frozenset[str] = frozenset()
    detection_budget: float = 0.0
    recovery_bound: float = 60.0
    promises: Promises = field(default_factory=Promises)
    venues: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON
    faults: Mapping[str, FaultPlan] = field(default_factory=dict)

    @classmethod
    def of(cls, event: Event) -> Header:
        """The header that a run.start event announces."""
        details = event.details
        plans = [FaultPlan.of(entry) for entry in details.get("faults") or ()]
        return cls(
            scenario=event.id,
            proves=str(details.get("proves") or ""),
            seed=int(details.get("seed") or 0),
            policy=str(details.get("policy") or ""),
            horizon=float(details.get("horizon") or 0.0),
            targets=dict(details.get("targets") or {}),
            unexercised=frozenset(details.get("unexercised") or ()),
            detection_budget=float(details.get("detection_budget") or 0.0),
            recovery_bound=float(details.get("recovery_bound") or cls().recovery_bound),
            promises=Promises.of(details.get("promises") or {}),
            venues=dict(details.get("venues") or {}),
            faults={plan.id: plan for plan in plans},
        )
