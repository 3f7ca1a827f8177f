"""What can be imposed on a venue to make it misbehave, and lifted again.

Each knob is a frozen record that says what is wrong, not when: the schedule belongs to the fault
that imposes it. Several faults may impose the same kind at once; lifting one leaves the others.
A target of None means all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from foxtrot.adapter.session import VenueReply, VenueRequest

__all__ = [
    "Ban",
    "Conditions",
    "Delivery",
    "FillFirst",
    "Frames",
    "Halt",
    "Knob",
    "Maintenance",
    "Mute",
    "OrderLimit",
    "Reject",
    "Replies",
    "Revoke",
    "Skew",
    "ThinBook",
    "Throttle",
    "WeightLimit",
]


def _every(_request: VenueRequest) -> bool:
    return True


def _any_order(_symbol: str, _side: str) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """503 to every request, new connections refused, nothing trades.

    Open connections stay open but silent; whoever wants them closed closes the link.
    """

    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """A market is closed: new orders are refused, nothing fills, cancels still work.

    Its ticks go on with the last price and no volume, as a halted market's statistics do.
    """

    symbol: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """Refuse matching requests with this error before they have any effect.

    `count` bounds how many; `matches` may keep state and draw from its own random stream.
    """

    code: int
    message: str
    status: int = 400
    matches: Callable[[VenueRequest], bool] = _every
    count: int | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightLimit:
    """Request weight per minute and source shrinks to `limit`."""

    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLimit:
    """Orders per account in the shortest window shrink to `limit`."""

    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """429 to every request. The wait it is told is enforced like one that the limits gave.

    `retry_after` None: the reply has no such header and nothing is enforced. `as_date`: the
    header is an HTTP date, by the venue's own clock.
    """

    retry_after: float | None = None
    as_date: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ban:
    """418 to a source until the virtual second `until`, or until lifted."""

    until: float
    source_ip: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """The venue's wall clock is ahead by `seconds` (behind, if negative). Several add up."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke:
    """Refuse signed requests made with a key."""

    api_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute:
    """Push nothing on a connection, though it stays open."""

    connection_id: str | None = None
    symbol: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A frame to be pushed `after` seconds instead of the one that was due.

    `content` as bytes goes out as it is, which need not be JSON.
    """

    content: Mapping[str, Any] | bytes  # Any: JSON
    after: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Replace pushed frames: drop, repeat, delay, reorder, corrupt, rename.

    `alter(connection_id, frame)` returns what goes out instead, or None to leave the frame as it
    is. It must not change the frame it is handed.
    """

    alter: Callable[[str, Mapping[str, Any]], Sequence[Delivery] | None]  # Any: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Replies:
    """Replace replies after the request had its effect: 5xx on an order that lives, bad bodies.

    `alter(request, reply)` returns what goes out instead, or None to leave the reply as it is.
    """

    alter: Callable[[VenueRequest, VenueReply], VenueReply | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinBook:
    """No taking order finds more than `quantity` (base asset): partial fills, failed FOKs.

    Nor more than `share` of itself. `matches` is asked with the order's symbol and side.
    """

    quantity: float = math.inf
    share: float = 1.0
    symbol: str | None = None
    matches: Callable[[str, str], bool] = _any_order


@dataclass(frozen=True, slots=True, kw_only=True)
class FillFirst:
    """A cancel comes too late: the order fills whole, at its price, and the cancel is refused.

    `matches` is asked with the order's symbol and side.
    """

    symbol: str | None = None
    count: int | None = None
    matches: Callable[[str, str], bool] = _any_order


Knob = (
    Ban
    | FillFirst
    | Frames
    | Halt
    | Maintenance
    | Mute
    | OrderLimit
    | Reject
    | Replies
    | Revoke
    | Skew
    | ThinBook
    | Throttle
    | WeightLimit
)

_K = TypeVar("_K")
_NONE: Mapping[str, Any] = MappingProxyType({})  # Any: it holds none, so it fits every kind


@dataclass(slots=True)
class Conditions:
    """The knobs imposed at this moment, by kind, each under the id of who imposed it."""

    _by_kind: dict[type, dict[str, Any]] = field(default_factory=dict)  # Any: keyed by its type
    _uses: dict[tuple[str, type], int] = field(default_factory=dict)

    def impose(self, knob_id: str, *knobs: Knob) -> None:
        """Impose knobs of different kinds under one id. Raises ValueError if one is there."""
        for knob in knobs:
            imposed = self._by_kind.setdefault(type(knob), {})
            if knob_id in imposed:
                raise ValueError(
                    f"expected one {type(knob).__name__} per knob id, got another for "
                    f"{knob_id=}; lift it first or use a second id"
                )
            imposed[knob_id] = knob

    def lift(self, knob_id: str) -> None:
        """Lift everything imposed under an id. Nothing imposed is nothing to do."""
        for kind in [kind for kind, imposed in self._by_kind.items() if knob_id in imposed]:
            del self._by_kind[kind][knob_id]
            self._uses.pop((knob_id, kind), None)
            if not self._by_kind[kind]:
                del self._by_kind[kind]

    def of(self, kind: type[_K]) -> Mapping[str, _K]:
        """The imposed knobs of one kind by id, in the order in which they were imposed."""
        return self._by_kind.get(kind, _NONE)

    def skew(self) -> float:
        """How far ahead the venue's wall clock is, in seconds."""
        imposed = self.of(Skew)
        return sum(knob.seconds for knob in imposed.values()) if imposed else 0.0

    def is_imposed(self, knob_id: str) -> bool:
        """Whether anything is imposed under the id. Says that a fault healed."""
        return any(knob_id in imposed for imposed in self._by_kind.values())

    def spend(self, knob_id: str, knob: Reject | FillFirst) -> bool:
        """Use a counted knob once; False when its count is spent."""
        key = (knob_id, type(knob))
        used = self._uses.get(key, 0)
        if knob.count is not None and used >= knob.count:
            return False
        self._uses[key] = used + 1
        return True
