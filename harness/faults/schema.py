"""What a kind of fault says of itself, so that files can name it and be checked against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from foxtrot.util.errors import ErrorCategory
from harness.units import (
    DURATION_PATTERN,
    Mistake,
    format_duration,
    nearest,
    parse_duration,
    parse_ratio,
)

__all__ = ["AIMS", "TARGETING", "FaultKind", "ParameterSpec", "ParameterValue"]

ParameterValue = float | int | str

TARGETING = (
    "kind",
    "variant",
    "venue",
    "symbol",
    "side",
    "operation",
    "at",
    "for",
    "every",
    "repeat",
    "probability",
    "first",
)
"""The keys that every fault in a scenario has; no kind may name a parameter after one of them."""

AIMS = ("operation", "symbol", "side", "probability", "first")
"""The keys that narrow down what a fault hits while it is on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSpec:
    """One setting that a kind of fault has beside its target and window.

    Args:
        type: `duration` is written with a unit and read as seconds, `ratio` is from 0 to 1, `int`
            a whole number from 0.
        default: The value when the file does not say; of the type as read (seconds, not text).
        doc: What it does, as one sentence.
        choices: The only texts allowed, for `text`; empty allows any.
    """

    type: Literal["duration", "ratio", "int", "text"]
    default: ParameterValue
    doc: str
    choices: tuple[str, ...] = ()

    def parse(self, value: object) -> ParameterValue:
        """Read a value as written in a file.

        Raises:
            Mistake: It is not of this type.
        """
        match self.type:
            case "duration":
                return parse_duration(value)
            case "ratio":
                return parse_ratio(value)
            case "int":
                return _whole(value)
            case "text":
                return self._text(value)

    def written(self) -> ParameterValue:
        """The default as one would write it in a file."""
        if self.type == "duration" and not isinstance(self.default, str):
            return format_duration(self.default)
        return self.default

    def json_schema(self) -> dict[str, object]:
        """The JSON Schema of the value as written in a file."""
        shapes: dict[str, dict[str, object]] = {
            "duration": {"type": "string", "pattern": DURATION_PATTERN},
            "ratio": {"type": "number", "minimum": 0, "maximum": 1},
            "int": {"type": "integer", "minimum": 0},
            "text": {"type": "string", **({"enum": list(self.choices)} if self.choices else {})},
        }
        return {**shapes[self.type], "default": self.written(), "description": self.doc}

    def _text(self, value: object) -> str:
        if not isinstance(value, str):
            raise Mistake("a text")
        if self.choices and value not in self.choices:
            raise Mistake(f"one of {', '.join(self.choices)}", nearest(value, self.choices))
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """One thing that exchanges do to their clients.

    Args:
        name: The word for it in scenario files.
        category: What the core must classify its consequences as.
        doc: What happens in the real world.
        remedy: What a right client does.
        source: Where that it happens is written down.
        accepted: Other categories that are as defensible as `category`.
        variants: The ways it comes in; a file that names none means the first.
        parameters: Its settings, by name.
        aims: By which of `AIMS` it can be narrowed down; a file with another one is refused.
        connection: Its incidents count for the mean time to recovery.
        recoverable: The core can get over it without a person once it has cleared.
        must_escalate: A person must be told.
        surfaces: That it fires is an effect in itself: an error record is due at once, though no
            request fails and no probe need notice.
        everywhere: It hits the whole client, not the one venue that it is declared on.
        ends_by_client: Only the client can end it, and `for` is how long it may take: what the
            harness takes away at the end of that time was not recovered from.
        instant: It acts at the moment it begins, so that a file may leave out `for`.
        blocks: Operations that cannot succeed while it lasts; `*` for all.
        numbered: It shows by the numbers of what is pushed: a venue that numbers nothing cannot
            have it.

    Raises:
        ValueError: A parameter has the name of a key that every fault has.
    """

    name: str
    category: ErrorCategory
    doc: str
    remedy: str = ""
    source: str = ""
    accepted: tuple[ErrorCategory, ...] = ()
    variants: tuple[str, ...] = ()
    parameters: Mapping[str, ParameterSpec] = field(default_factory=dict)
    aims: tuple[str, ...] = AIMS
    connection: bool = False
    recoverable: bool = True
    must_escalate: bool = False
    surfaces: bool = False
    everywhere: bool = False
    ends_by_client: bool = False
    instant: bool = False
    blocks: tuple[str, ...] = ()
    numbered: bool = False

    def __post_init__(self) -> None:
        taken = [name for name in self.parameters if name in TARGETING]
        if taken:
            raise ValueError(
                f"expected parameters with names of their own, parameters={taken!r} of "
                f"{self.name!r}: every fault has a key of that name; choose another"
            )

    @property
    def categories(self) -> tuple[ErrorCategory, ...]:
        """Every category that counts as right, the best first."""
        return (self.category, *self.accepted)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Mistake("a whole number from 0")
    return value
