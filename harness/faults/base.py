"""A fault as something that begins, acts on what it targets, and is healed again."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from foxtrot.adapter.session import VenueRequest
from harness._scenario_model import FaultSpec, Occurrence
from harness.faults.schema import FaultKind, ParameterValue
from harness.network import Link, LinkRule
from harness.venue import Knob, Venue

__all__ = ["Fault", "LinkFault", "Site", "VenueFault"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a fault acts, and whom it tells.

    Attributes:
        fired: Told each request or connection really touched: its id, the operation, what was
            done. A fault that never calls it was inert, and the run proves nothing about it.
        spent: Told when the fault has nothing more to do, so that it counts as over.
    """

    link: Link
    venue: Venue
    now: Callable[[], float]
    rng: random.Random
    fired: Callable[[str, str, str], None]
    spent: Callable[[], None]


class Fault(ABC):
    """One occurrence of a kind of fault, at its site."""

    kind: ClassVar[FaultKind]

    def __init__(self, occurrence: Occurrence, site: Site) -> None:
        self.id = occurrence.id
        self.occurrence = occurrence
        self.spec: FaultSpec = occurrence.fault
        self.site = site
        self._hits = 0

    @property
    def variant(self) -> str:
        """How it happens; the kind's first way unless the scenario names another."""
        return self.spec.variant or (self.kind.variants[0] if self.kind.variants else "")

    def parameter(self, name: str) -> ParameterValue:
        """A setting, as the scenario gives it or as the kind has it."""
        return self.spec.parameters.get(name, self.kind.parameters[name].default)

    def seconds(self, name: str) -> float:
        """A duration or ratio among the settings."""
        return float(self.parameter(name))

    @property
    def blocks(self) -> tuple[str, ...]:
        """Operations that cannot succeed while it lasts; `*` for all. Empty if some may."""
        if self.spec.probability < 1 or self.spec.first or self.spec.symbol:
            return ()
        if self.spec.operation and self.kind.blocks:
            return (self.spec.operation,)
        return self.kind.blocks

    @abstractmethod
    def begin(self) -> None:
        """Start misbehaving."""

    @abstractmethod
    def end(self) -> None:
        """Heal. Called once, whatever became of `begin`."""

    @abstractmethod
    def is_healed(self) -> bool:
        """Whether nothing of it is left; asked after `end`."""

    def hits(self, request: VenueRequest) -> bool:
        """Whether this request is to suffer: targeted, drawn, and not beyond the first N."""
        if not self._targets(request) or self._is_spent():
            return False
        if self.spec.probability < 1 and self.site.rng.random() >= self.spec.probability:
            return False
        self._hits += 1
        if self._is_spent():
            self.site.spent()
        return True

    def _targets(self, request: VenueRequest) -> bool:
        if self.spec.operation not in {None, request.operation.value}:
            return False
        return self.spec.symbol in {None, request.params.get("symbol")}

    def _is_spent(self) -> bool:
        return self.spec.first is not None and self._hits >= self.spec.first


class LinkFault(Fault, LinkRule):
    """A fault of the way to the venue: a rule on its link."""

    def begin(self) -> None:
        """Impose the rule."""
        self.site.link.rules[self.id] = self

    def end(self) -> None:
        """Lift the rule."""
        self.site.link.rules.pop(self.id, None)

    def is_healed(self) -> bool:
        """Whether the rule is lifted."""
        return self.id not in self.site.link.rules

    def touched(self, request: VenueRequest, effect: str) -> None:
        """Record that a request suffered."""
        self.site.fired(request.request_id, request.operation.value, effect)


class VenueFault(Fault):
    """A fault of the venue's own: knobs on it. The venue itself tells what they did."""

    @abstractmethod
    def knobs(self) -> tuple[Knob, ...]:
        """What to impose on the venue."""

    def begin(self) -> None:
        """Impose the knobs."""
        self.site.venue.impose(self.id, *self.knobs())

    def end(self) -> None:
        """Lift the knobs."""
        self.site.venue.lift(self.id)

    def is_healed(self) -> bool:
        """Whether the knobs are lifted."""
        return not self.site.venue.conditions.is_imposed(self.id)
