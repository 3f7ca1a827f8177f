"""A fault as something that begins, acts on what it targets, and is healed again."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from foxtrot.adapter.session import Operation, VenueReply, VenueRequest
from foxtrot.util.event import EventEngine
from harness._scenario_model import FaultSpec, Occurrence
from harness.faults.schema import FaultKind, ParameterValue
from harness.network import Link, LinkRule
from harness.venue import Delivery, Frames, Knob, Replies, Venue

__all__ = [
    "Client",
    "Fault",
    "Frame",
    "FrameFault",
    "LinkFault",
    "ReplyFault",
    "Site",
    "VenueFault",
    "connection_reset",
    "is_new_order",
]

Frame = Mapping[str, Any]  # Any: JSON


@dataclass(frozen=True, slots=True)
class Client:
    """What faults of our own process act on.

    Attributes:
        events: Where the engine publishes to its subscribers.
        step_clock: Sets the wall clock forward by so many seconds, or back.
    """

    events: EventEngine
    step_clock: Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a fault acts, and whom it tells.

    Attributes:
        client: The process on our side; None where it is not ours to break.
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
    client: Client | None = None

    @property
    def own_client(self) -> Client:
        """The process on our side. Raises LookupError where there is none."""
        if self.client is None:
            raise LookupError("expected a client in this process; this fault is for simulations")
        return self.client


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
        spec = self.spec
        if spec.probability < 1 or spec.first or spec.symbol or spec.side:
            return ()
        if self.spec.operation and self.kind.blocks:
            return (self.spec.operation,)
        return self.kind.blocks

    @property
    def must_escalate(self) -> bool:
        """Whether a person must be told; by its kind, unless its variant makes a difference."""
        return self.kind.must_escalate

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
        if self.spec.operation not in {None, request.operation.value}:
            return False
        params = request.params
        return self.hits_order(params.get("symbol"), params.get("side"))

    def hits_order(self, symbol: object, side: object = None) -> bool:
        """Whether something of this symbol and side is to suffer; counts it if so."""
        is_hit = self.chooses(symbol, side)
        if is_hit:
            self.count()
        return is_hit

    def chooses(self, symbol: object, side: object = None) -> bool:
        """Like `hits_order`, without counting it: for who sees only later whether it was hit."""
        if self.spec.symbol not in {None, symbol} or self.spec.side not in {None, side}:
            return False
        if self._is_spent():
            return False
        return self.spec.probability >= 1 or self.site.rng.random() < self.spec.probability

    def count(self) -> None:
        """Count a hit; after the first N the fault is over."""
        self._hits += 1
        if self._is_spent():
            self.site.spent()

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


class FrameFault(VenueFault):
    """A fault of what the venue pushes: some frames go out changed, late, twice, or not at all."""

    #: Which frames: `tick` or `order`.
    frames: ClassVar[str]

    def knobs(self) -> tuple[Knob, ...]:
        """Alter the frames that are hit."""
        return (Frames(alter=self._alter),)

    @abstractmethod
    def altered(self, frame: Frame) -> Sequence[Delivery] | None:
        """What goes out in the place of a frame of the right type; None leaves it as it is."""

    def _alter(self, _connection_id: str, frame: Frame) -> Sequence[Delivery] | None:
        return self.altered(frame) if frame["type"] == self.frames else None


class ReplyFault(VenueFault):
    """A fault of what the venue answers, after it has done what was asked."""

    def knobs(self) -> tuple[Knob, ...]:
        """Put another reply in the place of the good ones that are hit."""
        return (Replies(alter=self._alter),)

    @abstractmethod
    def altered(self, reply: VenueReply) -> VenueReply | None:
        """What comes instead; None where there is nothing to change."""

    def _alter(self, request: VenueRequest, reply: VenueReply) -> VenueReply | None:
        if reply.status >= 400:
            return None
        other = self.altered(reply)
        return other if other is not None and self.hits(request) else None


def is_new_order(request: VenueRequest) -> bool:
    """Whether it asks for a new order."""
    return request.operation is Operation.PLACE_ORDER


def connection_reset() -> Exception:
    """What a socket raises when the other side has reset the connection."""
    return ConnectionResetError(104, "Connection reset by peer")
