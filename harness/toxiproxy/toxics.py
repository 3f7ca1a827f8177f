"""What a proxy can be made to do to its connections, as frozen values.

Durations are seconds here and become Toxiproxy's milliseconds or microseconds at the wire. One
that is not zero never becomes zero there: for some toxics zero means the opposite.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar

from harness.units import nearest

__all__ = [
    "TOXICS",
    "Bandwidth",
    "Direction",
    "Disabled",
    "Imposable",
    "Latency",
    "LimitData",
    "ResetPeer",
    "Slicer",
    "SlowClose",
    "Timeout",
    "Toxic",
    "make_toxic",
]

_MILLI = 1_000
_MICRO = 1_000_000
_KILO = 1e-3
_WHOLE = "a whole number"
# The server multiplies what it gets without looking, and panics where that overflows.
_LARGEST = 2**31 - 1


class Direction(StrEnum):
    """Which way of a connection suffers."""

    UP = "upstream"
    DOWN = "downstream"
    BOTH = "both"

    @property
    def streams(self) -> tuple[str, ...]:
        """The server's names for it; it knows no "both", which is two toxics there."""
        if self is Direction.BOTH:
            return (Direction.UP.value, Direction.DOWN.value)
        return (self.value,)


# Any: as `field` is typed
def _seconds(*, per: float = _MILLI) -> Any:
    return field(default=0.0, metadata={"per": per, "unit": "seconds"})


def _whole(default: Any = dataclasses.MISSING) -> Any:
    return field(default=default, metadata={"per": 1, "unit": _WHOLE})


@dataclass(frozen=True, kw_only=True)
class Toxic:
    """Base of the seven.

    Args:
        direction: UP is what the client sends, DOWN what it receives. Toxiproxy's default: DOWN.
        toxicity: The share of connections that suffer, above 0 and up to 1. The server draws it
            anew for each connection and direction, and again whenever a toxic beside it changes,
            from a generator that no seed reaches. Leave it at 1 where a run must repeat, and let
            the harness decide by its own seed when to impose the toxic.

    Raises:
        ValueError: A value is outside the range that the server survives.
    """

    type: ClassVar[str]
    direction: Direction = Direction.DOWN
    toxicity: float = 1.0

    def __post_init__(self) -> None:
        if not _is_number(self.toxicity, whole=False) or not 0 < self.toxicity <= 1:
            raise ValueError(
                f"expected toxicity above 0 and at most 1, got toxicity={self.toxicity!r}"
            )
        for each in _settings(type(self)):
            _check(self.type, each, getattr(self, each.name))

    def attributes(self) -> dict[str, int]:
        """The toxic's settings under the server's names and in its units."""
        return {
            each.name: _at_the_wire(getattr(self, each.name), each.metadata["per"])
            for each in _settings(type(self))
        }


@dataclass(frozen=True, kw_only=True)
class Latency(Toxic):
    """Every chunk is held for `latency`, give or take up to `jitter`, both in seconds.

    The wait counts from when the proxy read the chunk; order is kept, and nothing is lost when
    the toxic goes. Impose it in BOTH directions for a round trip of twice the latency. The
    connect itself is never delayed.
    """

    type = "latency"
    latency: float = _seconds()
    jitter: float = _seconds()


@dataclass(frozen=True, kw_only=True)
class Bandwidth(Toxic):
    """At most `rate` bytes per second pass: whole thousands, at least one. 0 passes nothing."""

    type = "bandwidth"
    rate: float = field(metadata={"per": _KILO, "unit": "bytes per second"})


@dataclass(frozen=True, kw_only=True)
class SlowClose(Toxic):
    """The end of the stream arrives `delay` seconds late; data does not."""

    type = "slow_close"
    delay: float = _seconds()


@dataclass(frozen=True, kw_only=True)
class Timeout(Toxic):
    """All data is dropped without a word, and the connection closed after `timeout` seconds.

    0 never closes: a half-open connection. Otherwise the wait starts again with each chunk, so
    that a stream that ticks faster than `timeout` stays open and silent for good: do not use it
    to close something after a time. Lifting it closes the connections that it held.
    """

    type = "timeout"
    timeout: float = _seconds()


@dataclass(frozen=True, kw_only=True)
class ResetPeer(Toxic):
    """The first data kills the connection, `timeout` seconds later, with a TCP reset.

    Only connections opened after it was imposed get the reset: those opened before get a plain
    end of stream, with their first data. An idle connection is not touched. The wait cannot be
    interrupted: lifting the toxic meanwhile takes until it is over.
    """

    type = "reset_peer"
    timeout: float = _seconds()


@dataclass(frozen=True, kw_only=True)
class Slicer(Toxic):
    """Data arrives in pieces of `average_size` bytes, `delay` seconds apart.

    Args:
        average_size: Bytes, at least 1. The server's own default, 0, crashes it with everybody's
            proxies on it.
        size_variation: Bytes that a piece may be larger or smaller; below `average_size`.
        delay: Seconds between pieces, to the microsecond.
    """

    type = "slicer"
    average_size: int = _whole()
    size_variation: int = _whole(0)
    delay: float = _seconds(per=_MICRO)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.average_size < 1:
            raise ValueError(
                f"expected average_size of at least 1 byte, got {self.average_size!r}: "
                "0 crashes the whole server"
            )
        if self.size_variation >= self.average_size:
            raise ValueError(
                f"expected size_variation below average_size={self.average_size!r}, "
                f"got size_variation={self.size_variation!r}: the server would panic"
            )


@dataclass(frozen=True, kw_only=True)
class LimitData(Toxic):
    """The connection ends after `bytes` bytes: a reply cut in the middle.

    Counted per connection from when it was imposed or the connection opened, so that on a kept
    connection the cut falls into a later reply. 0 ends it at the first byte.
    """

    type = "limit_data"
    bytes: int = _whole()


@dataclass(frozen=True)
class Disabled:
    """The proxy itself is off: what is open is closed, what is new is refused.

    The only way to have a connection refused: the toxics act after the server has accepted. What
    is open ends with a plain end of stream, or with a reset if data was still under way.
    """


Imposable = Toxic | Disabled

TOXICS: Mapping[str, type[Toxic]] = MappingProxyType(
    {
        toxic.type: toxic
        for toxic in (Bandwidth, Latency, LimitData, ResetPeer, Slicer, SlowClose, Timeout)
    }
)


def make_toxic(type: str, settings: Mapping[str, object]) -> Toxic:  # noqa: A002 - the field's word
    """Build a toxic from names, as a file gives them.

    Raises:
        ValueError: The server has no such toxic, it has no such setting (the server itself would
            silently take 0 instead), one is missing, or a value is out of range.
    """
    if type not in TOXICS:
        raise ValueError(_unknown("toxic", type, TOXICS))
    fields = {each.name: each for each in dataclasses.fields(TOXICS[type])}
    for name in settings:
        if name not in fields:
            raise ValueError(_unknown(f"setting of {type}", name, fields))
    for name, each in fields.items():
        if name not in settings and each.default is dataclasses.MISSING:
            raise ValueError(f"expected {type} with {name}, got settings={dict(settings)!r}")
    values: dict[str, Any] = dict(settings)  # Any: each is checked by the toxic itself
    if "direction" in values:
        values["direction"] = Direction(values["direction"])
    return TOXICS[type](**values)


def _settings(toxic: type[Toxic]) -> list[dataclasses.Field[Any]]:  # Any: each its own type
    return [each for each in dataclasses.fields(toxic) if "per" in each.metadata]


def _check(toxic: str, setting: dataclasses.Field[Any], value: float) -> None:
    name, unit = setting.name, setting.metadata["unit"]
    largest = _LARGEST / setting.metadata["per"]
    if not _is_number(value, whole=unit == _WHOLE) or not 0 <= value <= largest:
        raise ValueError(
            f"expected {name} of {toxic} as {unit} from 0 to {largest:g}, got {name}={value!r}"
        )


def _is_number(value: object, *, whole: bool) -> bool:
    return not isinstance(value, bool) and isinstance(value, int if whole else int | float)


def _at_the_wire(value: float, per: float) -> int:
    return max(1, round(value * per)) if value else 0


def _unknown(what: str, name: object, known: Mapping[str, object]) -> str:
    close = nearest(name, known)
    hint = f"; did you mean {close!r}?" if close else ""
    return f"expected a {what} ({', '.join(known)}), got {name!r}{hint}"
