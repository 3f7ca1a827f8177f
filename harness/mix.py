"""The declared mix: the scenarios whose pooled rates are gated on, and how often faults happen.

Which faults a run holds decides most of what its rates come to. So the mix is declared, and a
report shows beside it what each kind's share is in the world and in the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Frequency", "KindShare", "Mix", "MixResult", "mix_of", "mix_result"]


@dataclass(frozen=True, slots=True)
class Frequency:
    """How often a kind of fault meets one connection to one venue, and how that is known.

    `per_month` counts incidents, not requests. `basis` is `documented` where a source states the
    rate, `estimated` where it only proves that it happens.
    """

    per_month: float
    basis: str
    why: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mix:
    """The scenarios of the mix by name, and the frequency of every kind."""

    scenarios: tuple[str, ...]
    kinds: Mapping[str, Frequency] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KindShare:
    """A kind's share of the incidents, in the world as declared and in the run."""

    kind: str
    per_month: float
    basis: str
    share_declared: float
    incidents: int
    share: float


@dataclass(frozen=True, slots=True)
class MixResult:
    """The mix as a run met it. `missing` are scenarios of the mix that the run has not."""

    scenarios: tuple[str, ...]
    missing: tuple[str, ...] = ()
    kinds: tuple[KindShare, ...] = ()

    @property
    def is_covered(self) -> bool:
        """Whether the run holds the whole mix: only then can a rate over it be confident."""
        return not self.missing

    def to_dict(self) -> dict[str, Any]:  # Any: JSON
        """The `mix` entry of report.json."""
        return {
            "scenarios": list(self.scenarios),
            "missing": list(self.missing),
            "covered": self.is_covered,
            "kinds": [asdict(kind) for kind in self.kinds],
        }


def mix_result(mix: Mix, names: Iterable[str], incidents: Mapping[str, int]) -> MixResult:
    """Hold a run of the scenarios `names`, with so many `incidents` by kind, against the mix."""
    run = frozenset(names)
    total, declared = sum(incidents.values()), sum(f.per_month for f in mix.kinds.values())
    return MixResult(
        scenarios=mix.scenarios,
        missing=tuple(name for name in mix.scenarios if name not in run),
        kinds=tuple(
            KindShare(
                kind=kind,
                per_month=frequency.per_month,
                basis=frequency.basis,
                share_declared=frequency.per_month / declared if declared else 0.0,
                incidents=incidents.get(kind, 0),
                share=incidents.get(kind, 0) / total if total else 0.0,
            )
            for kind, frequency in mix.kinds.items()
        ),
    )


def mix_of(entry: Mapping[str, Any]) -> Mix:  # Any: JSON
    """The mix that a `mix` entry of report.json tells of; reasons and sources are not in it."""
    return Mix(
        scenarios=tuple(entry["scenarios"]),
        kinds={
            kind["kind"]: Frequency(kind["per_month"], kind["basis"], "", ())
            for kind in entry["kinds"]
        },
    )
