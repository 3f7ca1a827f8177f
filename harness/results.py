"""The words of judgement: what a check found, and how findings add up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["InvariantResult", "MetricResult", "Verdict", "worst"]


class Verdict(StrEnum):
    """What a check, a scenario or a run comes to. `fail` outweighs `inconclusive`, that `pass`."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    INCONCLUSIVE = "inconclusive"
    FAIL = "fail"


_WEIGHT = {Verdict.PASS: 0, Verdict.INCONCLUSIVE: 1, Verdict.FAIL: 2}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The heaviest of `verdicts`; pass when there are none."""
    return max(verdicts, key=_WEIGHT.__getitem__, default=Verdict.PASS)


@dataclass(frozen=True, slots=True)
class MetricResult:
    """One number against its target.

    `verdict` compares the value itself, `confident` the whole 95 % interval: inconclusive where
    the interval holds the target. `value` is None, and both are inconclusive, when n is 0.
    `details` holds JSON values only.
    """

    name: str
    value: float | None
    n: int
    target: str
    interval: tuple[float, float] | None
    verdict: Verdict
    confident: Verdict
    numerator: float
    denominator: int
    details: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON

    def to_dict(self) -> dict[str, Any]:
        """The entry of report.json's `metrics` map."""
        return {
            "value": self.value,
            "n": self.n,
            "target": self.target,
            "interval": None if self.interval is None else list(self.interval),
            "verdict": self.verdict.value,
            "confident": self.confident.value,
            "numerator": self.numerator,
            "denominator": self.denominator,
            "details": dict(self.details),
        }


@dataclass(frozen=True, slots=True)
class InvariantResult:
    """What one oracle found. Each line of `evidence` names orders, times and events by seq.

    `exercised` is False when the run never put the invariant to the test. Its verdict is then
    inconclusive, and weighs nothing in the scenario's: a scenario without a ban has not failed
    to prove that bans are respected, it has not tried to.
    """

    name: str
    verdict: Verdict
    evidence: tuple[str, ...] = ()
    judged: int = 0
    exercised: bool = True

    @property
    def weight(self) -> Verdict:
        """What it adds to the scenario's verdict."""
        return self.verdict if self.exercised else Verdict.PASS

    def to_dict(self) -> dict[str, Any]:
        """The entry of report.json's `invariants` list."""
        return {
            "name": self.name,
            "verdict": self.verdict.value,
            "evidence": list(self.evidence),
            "judged": self.judged,
            "exercised": self.exercised,
        }
