"""Counts that add, and the number, interval and verdict that they come to.

Runs are pooled by adding their counts, never by averaging their ratios.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import eq, ge, gt, le, lt
from types import MappingProxyType
from typing import Self

from harness.units import format_number

__all__ = [
    "SEED_TARGETS",
    "MetricTally",
    "Recovery",
    "Target",
    "bootstrap_mean",
    "chance_of",
    "quantile",
    "wilson",
]

Z = 1.959963984540054  # two-sided 95 %
_COMPARISONS = {"<": lt, "<=": le, ">": gt, ">=": ge, "==": eq}
BOOTSTRAP_SAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Target:
    """What a metric is held to. Prints as `< 30`."""

    operator: str
    number: float

    @classmethod
    def of(cls, told: float | str, usual: Target) -> Self:
        """A target as a header has it: `"< 30"`, or a number to compare as is usual."""
        if not isinstance(told, str):
            return cls(usual.operator, float(told))
        operator = told.strip().rstrip("0123456789. ") or usual.operator
        return cls(operator, float(told.strip().lstrip("<>= ")))

    def holds(self, value: float) -> bool:
        """Whether `value` meets it."""
        return bool(_COMPARISONS[self.operator](value, self.number))

    def is_at_least(self, other: Target) -> bool:
        """Whether whatever meets this one meets `other` too."""
        if self.operator == "==":
            return other.holds(self.number)
        if self.operator[0] != other.operator[0]:
            return False
        if self.number == other.number:
            return self.operator == other.operator or len(self.operator) < len(other.operator)
        is_stricter = self.number < other.number
        return is_stricter if self.operator[0] == "<" else not is_stricter

    def __str__(self) -> str:
        return f"{self.operator} {format_number(self.number)}"


SEED_TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "classification_coverage": Target("==", 1.0),
        "recovery_success_rate": Target(">", 0.80),
        "mttr_seconds": Target("<", 30.0),
        "context_completeness": Target(">=", 0.95),
        "breaker_effectiveness": Target(">", 0.90),
        "retry_success_rate": Target(">", 0.70),
        "escalation_rate": Target("<", 0.10),
    }
)


@dataclass(frozen=True, slots=True)
class Recovery:
    """How long one incident lasted, in seconds. Censored: still broken when observation ended.

    `residual` counts from the fault's clearing, `detection` from the impact to the first sign
    that the client knew.
    """

    kind: str
    total: float
    residual: float
    detection: float
    is_censored: bool


@dataclass(frozen=True, slots=True)
class MetricTally:
    """One metric's counts over any number of runs.

    `counts` holds whatever is shown beside it; all of it adds up. `recoveries` is for the metric
    that is a time and no ratio.
    """

    name: str
    hits: int = 0
    n: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    recoveries: tuple[Recovery, ...] = ()

    def __add__(self, other: MetricTally) -> MetricTally:
        if other.name != self.name:
            raise ValueError(f"expected another {self.name!r} to add, got name={other.name!r}")
        names = [*self.counts, *(name for name in other.counts if name not in self.counts)]
        return MetricTally(
            self.name,
            self.hits + other.hits,
            self.n + other.n,
            {name: self.counts.get(name, 0) + other.counts.get(name, 0) for name in names},
            self.recoveries + other.recoveries,
        )

    def group(self, prefix: str) -> dict[str, int]:
        """The counts named `prefix/...`, without the prefix."""
        start = f"{prefix}/"
        mine = ((name, n) for name, n in sorted(self.counts.items()) if name.startswith(start))
        return {name.removeprefix(start): n for name, n in mine}


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a rate of `hits` in `n` > 0. Good for small n and rates near 0 and 1."""
    rate = hits / n
    centre = rate + Z * Z / (2 * n)
    margin = Z * math.sqrt(rate * (1 - rate) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    # At its ends the sums come out a hair off what they are.
    low = (centre - margin) / scale if hits else 0.0
    high = (centre + margin) / scale if hits < n else 1.0
    return max(0.0, low), min(1.0, high)


def chance_of(hits: int, n: int, target: Target) -> float:
    """How likely `hits` in `n`, or worse, is where the true rate is the target's number. Exact."""
    worse = range(hits + 1) if target.operator in {">", ">=", "=="} else range(hits, n + 1)
    rate = target.number
    return sum(math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in worse)


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that at least `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def bootstrap_mean(values: Sequence[float]) -> tuple[float, float]:
    """A 95 % interval of the mean, by resampling under a fixed seed; same values, same interval."""
    rng = random.Random(f"{len(values)}:{math.fsum(values):.6f}")  # noqa: S311 - no secret
    means = [statistics.fmean(rng.choices(values, k=len(values))) for _ in range(BOOTSTRAP_SAMPLES)]
    return quantile(means, 0.025), quantile(means, 0.975)
