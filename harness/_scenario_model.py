"""The scenario as values: frozen, strict, and with nothing left to decide but chance.

Times and durations are seconds as floats from the start of the run, rates are per second, and
shares are from 0 to 1, whatever the file wrote. Who reads files is `harness.scenario`.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    WithJsonSchema,
)
from pydantic.json_schema import SkipJsonSchema

from harness.faults.schema import ParameterValue
from harness.units import (
    DURATION_PATTERN,
    RATE_PATTERN,
    Mistake,
    format_number,
    parse_duration,
    parse_rate,
)

__all__ = [
    "METRICS",
    "TARGETS",
    "FaultSpec",
    "LatencySpec",
    "Occurrence",
    "PolicySpec",
    "RandomFaults",
    "RandomKind",
    "Scenario",
    "SymbolSpec",
    "TapeSpec",
    "Target",
    "VenueSpec",
    "Workload",
]

_COMPARISONS = {"<": lt, "<=": le, ">": gt, ">=": ge, "==": eq}


@dataclass(frozen=True, slots=True)
class Target:
    """What a metric is held to. Prints as it is written: `< 30`."""

    operator: str
    number: float

    def holds(self, value: float) -> bool:
        """Whether `value` meets it."""
        return bool(_COMPARISONS[self.operator](value, self.number))

    def __str__(self) -> str:
        return f"{self.operator} {format_number(self.number)}"


TARGETS: Mapping[str, Target] = {
    "classification_coverage": Target("==", 1.0),
    "recovery_success_rate": Target(">", 0.80),
    "mttr_seconds": Target("<", 30.0),
    "context_completeness": Target(">=", 0.95),
    "breaker_effectiveness": Target(">", 0.90),
    "retry_success_rate": Target(">", 0.70),
    "escalation_rate": Target("<", 0.10),
}
"""The seven metrics, and what they are held to when a scenario does not say."""

METRICS = tuple(TARGETS)


def _some_time(seconds: float) -> float:
    if seconds == 0:
        raise Mistake("a duration above zero")
    return seconds


def _one_line(text: str) -> str:
    if not text.strip() or "\n" in text.strip():
        raise Mistake("one line of text")
    return text.strip()


def _a_name(text: str) -> str:
    if not text or any(char not in "abcdefghijklmnopqrstuvwxyz0123456789_" for char in text):
        raise Mistake("a name of a-z, 0-9 and _", _as_name(text))
    return text


def _as_name(text: str) -> str | None:
    words = "".join(char if char.isascii() and char.isalnum() else " " for char in text).split()
    return "_".join(words).lower() or None


def _in_order(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise Mistake("two durations, the shorter first")
    return pair


def _bytes_of(tape: Path) -> str:
    with tape.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


_Instant = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["90s", "5m"]}),
]
_Duration = Annotated[_Instant, AfterValidator(_some_time)]
_Rate = Annotated[
    float,
    BeforeValidator(parse_rate),
    WithJsonSchema({"type": "string", "pattern": RATE_PATTERN, "examples": ["2/s", "30/m"]}),
]
_Ratio = Annotated[float, Strict(), Field(ge=0, le=1)]
_Positive = Annotated[float, Strict(), Field(gt=0)]
_Count = Annotated[int, Strict(), Field(ge=1)]
_Name = Annotated[str, AfterValidator(_a_name)]
_Line = Annotated[str, AfterValidator(_one_line)]
_Between = Annotated[tuple[_Instant, _Instant], AfterValidator(_in_order)]
_Lengths = Annotated[tuple[_Duration, _Duration], AfterValidator(_in_order)]
# A scenario is the same scenario wherever it lies: of a tape, the bytes count and not the path.
_Tape = Annotated[Path, PlainSerializer(_bytes_of, when_used="json")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LatencySpec(_Part):
    """How long a message is under way to the venue, and back, when nothing is wrong."""

    mean: _Instant = Field(default=0.020, description="Mean time one way.")
    jitter: _Instant = Field(default=0.010, description="Largest deviation from the mean.")


class SymbolSpec(_Part):
    """The market of one instrument."""

    price: _Positive = Field(description="The price it opens at, in quote currency.")
    volatility: _Ratio = Field(
        default=0.0004,
        description="Standard deviation of the relative price change over one second; "
        "over t seconds it is the square root of t times as much.",
    )


class TapeSpec(_Part):
    """Recorded trades that move the market instead of the seeded price path."""

    csv: _Tape = Field(
        description="Trades in Binance's public-data format; relative to the scenario's file."
    )


class VenueSpec(_Part):
    """One simulated exchange and the connection to it."""

    name: _Line = Field(description="The name its adapter goes by, such as BINANCE.")
    profile: str = Field(description="Whose rules, limits and error codes it has.")
    symbols: dict[str, SymbolSpec] = Field(
        min_length=1, description="What is traded there, by symbol."
    )
    tick_interval: _Duration = Field(default=1.0, description="Time between two price ticks.")
    latency: LatencySpec = Field(default=LatencySpec(), description="The way there and back.")
    tape: TapeSpec | None = Field(default=None, description="Recorded trades to replay.")
    standby_for: str | None = Field(
        default=None, description="The venue whose orders it takes when that one is given up."
    )


class Workload(_Part):
    """What the strategy does all the while, spread over venues and symbols."""

    orders: _Rate = Field(default=1.0, description="New orders.")
    cancels: _Ratio = Field(default=0.2, description="Share of the orders that are cancelled.")
    queries: _Rate = Field(default=0.2, description="Order and account look-ups.")
    market_orders: _Ratio = Field(default=0.1, description="Share of the orders sent as MARKET.")
    sides: tuple[Literal["BUY", "SELL"], ...] = Field(
        default=("BUY", "SELL"), min_length=1, description="Sides to choose from."
    )
    notional: _Positive = Field(default=100.0, description="Size of an order, in quote currency.")


class FaultSpec(_Part):
    """One fault as declared: what, where, and when. Its kind's settings are in `parameters`.

    Without `for` it lasts until the next repetition or the end of the run, except for a kind
    that acts at an instant, which is over as soon as it has acted.
    """

    kind: str = Field(description="What happens.")
    variant: str | None = Field(default=None, description="In which of its ways.")
    venue: str = Field(description="Where.")
    symbol: str | None = Field(default=None, description="Only for this symbol.")
    side: Literal["BUY", "SELL"] | None = Field(
        default=None, description="Only for orders of this side."
    )
    operation: str | None = Field(default=None, description="Only for this kind of request.")
    at: _Instant = Field(description="When it begins, from the start of the run.")
    lasts: _Duration | None = Field(default=None, alias="for", description="How long.")
    every: _Duration | None = Field(default=None, description="From one beginning to the next.")
    repeat: _Count | None = Field(
        default=None, description="How many times in all; without it, to the end of the run."
    )
    probability: _Ratio = Field(default=1.0, description="Chance that an eligible request is hit.")
    first: _Count | None = Field(default=None, description="Only the first so many requests.")
    parameters: SkipJsonSchema[dict[str, ParameterValue]] = {}
    instant: SkipJsonSchema[bool] = False


class RandomKind(_Part):
    """A kind that chance may choose, with its variants to choose from and its settings."""

    kind: str
    variants: tuple[str, ...] = ()
    parameters: dict[str, ParameterValue] = {}


class RandomFaults(_Part):
    """Faults drawn from the seed: kind, variant, venue, beginning and length, all uniformly."""

    count: _Count = Field(le=10_000, description="How many.")
    kinds: tuple[RandomKind, ...] = Field(min_length=1, description="Kinds to choose from.")
    venues: tuple[str, ...] = Field(default=(), description="Where; without it, anywhere.")
    between: _Between = Field(description="Earliest and latest beginning.")
    lasts: _Lengths = Field(alias="for", description="Shortest and longest.")


class PolicySpec(_Part):
    """Which policy the core runs under, and the settings that differ from it here."""

    base: str = "default"
    overrides: dict[str, ParameterValue] = {}


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time that a fault happens: from `begin` to `end`, in seconds from the start.

    `begin == end` means that it acts once, at that moment.
    """

    id: str
    fault: FaultSpec
    begin: float
    end: float


class Scenario(_Part):
    """One story: a market, a strategy, what goes wrong, and what must hold all the same."""

    name: _Name = Field(alias="scenario", description="Its name, the same as the file's.")
    proves: _Line = Field(description="What it proves, in one line.")
    seed: Annotated[int, Strict(), Field(ge=0)] = Field(
        default=1, description="Where all chance comes from."
    )
    duration: _Duration = Field(description="How long the market is open.")
    settle: _Instant = Field(default=60.0, description="Quiet time after the faults are healed.")
    venues: tuple[VenueSpec, ...] = Field(min_length=1, description="The exchanges.")
    workload: Workload = Field(default=Workload(), description="What the strategy does.")
    faults: tuple[FaultSpec, ...] = Field(default=(), description="What goes wrong.")
    drawn: RandomFaults | None = Field(
        default=None, alias="random", description="What else goes wrong, by the seed."
    )
    policy: PolicySpec = Field(default=PolicySpec(), description="What the core may do.")
    expect: dict[str, Target] = Field(
        default=dict(TARGETS), description="What the metrics are held to."
    )
    unexercised: tuple[str, ...] = Field(
        default=(), description="Metrics that may have nothing to count in this story."
    )

    def venue(self, name: str) -> VenueSpec:
        """The venue of that name.

        Raises:
            KeyError: There is none.
        """
        return {venue.name: venue for venue in self.venues}[name]

    def with_seed(self, seed: int) -> Self:
        """The same story with other chances."""
        return self.model_copy(update={"seed": seed})

    @property
    def digest(self) -> str:
        """A hash of everything said here, the bytes of the tapes included. Same on any machine."""
        content = json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True)
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()

    def occurrences(self, rng: random.Random) -> tuple[Occurrence, ...]:
        """Every time that a fault happens, by beginning.

        The declared ones are `F1`, or `F2#1`, `F2#2` where they repeat; the drawn ones `R1` and
        on. Each drawn one takes its draws after those before it, so that a smaller count leaves
        the rest as it was, and keeps clear of what else is on at its venue. No window outlasts
        the run.
        """
        declared = [o for n, f in enumerate(self.faults, 1) for o in self._repetitions(f"F{n}", f)]
        drawn = self._draws(rng, declared)
        return tuple(sorted([*declared, *drawn], key=lambda each: each.begin))

    def _repetitions(self, name: str, fault: FaultSpec) -> Iterator[Occurrence]:
        if fault.every is None:
            yield self._occurrence(name, fault, fault.at, self.duration)
            return
        number, begin = 0, fault.at
        # At least one, even after the end: that it never fired is then to be seen.
        while (begin < self.duration or not number) and number != fault.repeat:
            number += 1
            # Multiplied, not added up: the hundredth beginning is as exact as the first.
            following = fault.at + number * fault.every
            yield self._occurrence(f"{name}#{number}", fault, begin, following)
            begin = following

    def _occurrence(self, name: str, fault: FaultSpec, begin: float, at_most: float) -> Occurrence:
        if fault.lasts is not None:
            at_most = begin + fault.lasts
        end = begin if fault.instant and fault.lasts is None else min(at_most, self.duration)
        return Occurrence(name, fault, begin, max(begin, end))

    def _draws(self, rng: random.Random, declared: list[Occurrence]) -> list[Occurrence]:
        """The drawn ones, each where no other is on at its venue, if a few draws find a place.

        Two at once would often leave one without anything to act on: what a refused connection
        never carried, a rate limit cannot refuse.
        """
        drawn: list[Occurrence] = []
        if self.drawn is None:
            return drawn
        venues = self.drawn.venues or tuple(venue.name for venue in self.venues)
        for number in range(1, self.drawn.count + 1):
            for _ in range(_DRAWS_FOR_A_PLACE):
                fault = _draw(self.drawn, venues, rng)
                found = self._occurrence(f"R{number}", fault, fault.at, self.duration)
                if not any(_collide(found, other) for other in (*declared, *drawn)):
                    break
            drawn.append(found)
        return drawn


_DRAWS_FOR_A_PLACE = 50
#: Seconds around a fault in which its consequences, such as a wait that a venue asked for, may
#: still keep another from having anything to act on.
_BREATH = 30.0


def _collide(a: Occurrence, b: Occurrence) -> bool:
    apart = a.begin > b.end + _BREATH or b.begin > a.end + _BREATH
    return a.fault.venue == b.fault.venue and not apart


def _draw(plan: RandomFaults, venues: tuple[str, ...], rng: random.Random) -> FaultSpec:
    choice = rng.choice(plan.kinds)
    variant = rng.choice(choice.variants) if choice.variants else None
    # model_construct: the parts were validated when the plan was.
    return FaultSpec.model_construct(
        kind=choice.kind,
        variant=variant,
        venue=rng.choice(venues),
        at=round(rng.uniform(*plan.between), 3),
        lasts=round(rng.uniform(*plan.lasts), 3),
        parameters=choice.parameters,
    )
