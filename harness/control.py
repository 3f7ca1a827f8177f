"""The control arm: what the faults cost, and what the core saved, from three runs of one seed.

The same market and the same intents, once without faults, once with them under the core, and
once with them under a client that has no resilience. Pure functions of the three histories;
what the core says of itself does not enter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from harness.blotter import Blotter, Line
from harness.facts.ledger import TOLERANCE
from harness.results import Verdict

if TYPE_CHECKING:
    from harness.verdict import ScenarioResult

__all__ = [
    "ARMS",
    "NO_FAULTS",
    "NO_RESILIENCE",
    "WITH_CORE",
    "Arm",
    "ControlResult",
    "Figures",
    "arm_of",
    "compare",
    "pooled",
]

NO_FAULTS = "no_faults"
WITH_CORE = "with_core"
NO_RESILIENCE = "no_resilience"
ARMS = (NO_FAULTS, WITH_CORE, NO_RESILIENCE)

_BREAKER = "breaker_effectiveness"


@dataclass(frozen=True, slots=True)
class Arm:
    """One run as the comparison needs it. `downtime` in seconds, by the outside probe."""

    blotter: Blotter
    downtime: float = 0.0
    healthy_calls: int = 0
    falsely_open: int = 0
    broken: tuple[str, ...] = ()


def arm_of(result: ScenarioResult, blotter: Blotter) -> Arm:
    """The arm that a judged history and its blotter make."""
    counts = next((t.counts for t in result.tallies if t.name == _BREAKER), {})
    return Arm(
        blotter=blotter,
        downtime=sum(down.end - down.begin for down in result.timeline.downtimes),
        healthy_calls=counts.get("healthy_calls", 0),
        falsely_open=counts.get("falsely_open", 0),
        broken=tuple(i.name for i in result.invariants if i.weight is Verdict.FAIL),
    )


@dataclass(frozen=True, slots=True)
class Figures:
    """What one arm came to; all of it adds up over scenarios. Money is in quote currency.

    Compared with the fault-free arm, intent by intent: `missed` was filled there and not, or less,
    here; of these `withheld` were never sent, which is a choice and no accident; `surplus` the
    other way round; `slippage` is what the same quantity cost more here, or
    brought less. `lost`: the engine is sure of something else than the venue has; `unknown`: it
    does not know. `unbooked` was traded and is in no subscriber's books; `position_gap` is the
    unknown part of the positions, marked at the fault-free arm's last prices; `result` is cash and
    positions at these prices by the venue's ledger, `believed` the same by the engine's books, and
    `misstated` how far the two are apart.
    """

    asked: int = 0
    accepted: int = 0
    executed: int = 0
    traded: float = 0.0
    missed: int = 0
    missed_notional: float = 0.0
    withheld: int = 0
    surplus: int = 0
    surplus_notional: float = 0.0
    slippage: float = 0.0
    matched_notional: float = 0.0
    doubled: int = 0
    lost: int = 0
    unknown: int = 0
    position_gap: float = 0.0
    unbooked: float = 0.0
    result: float = 0.0
    believed: float = 0.0
    misstated: float = 0.0
    downtime: float = 0.0
    blocked: int = 0
    falsely_open: int = 0
    healthy_calls: int = 0
    errors: int = 0
    alerts: int = 0
    broken: int = 0

    def __add__(self, other: Figures) -> Figures:
        added = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return Figures(**added)

    @property
    def slippage_bps(self) -> float | None:
        """Slippage in hundredths of a percent of what was filled in both arms."""
        return 1e4 * self.slippage / self.matched_notional if self.matched_notional else None


@dataclass(frozen=True, slots=True)
class ControlResult:
    """The three arms side by side.

    `paired` intents are the same in all arms, by client id, symbol and side; `unpaired` are not,
    and enter no comparison between arms. `broken` names the broken invariants, by arm;
    `positions` what venue and engine hold, by arm.
    """

    arms: Mapping[str, Figures]
    paired: int
    unpaired: int
    broken: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    positions: Mapping[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)  # Any: JSON

    def to_dict(self) -> dict[str, Any]:  # Any: JSON
        """The `control` entry of a scenario in report.json."""
        arms = {
            name: {
                **asdict(figures),
                "slippage_bps": figures.slippage_bps,
                "broken_names": list(self.broken.get(name, ())),
                "positions": list(self.positions.get(name, ())),
            }
            for name, figures in self.arms.items()
        }
        return {"paired": self.paired, "unpaired": self.unpaired, "arms": arms}


def compare(arms: Mapping[str, Arm]) -> ControlResult:
    """Hold the arms named in `ARMS` against the fault-free one.

    Raises:
        KeyError: One of them is missing.
    """
    blotters = {name: arms[name].blotter for name in ARMS}
    paired = _paired([blotter.lines for blotter in blotters.values()])
    marks = _marks(blotters)
    everything = dict.fromkeys(key for blotter in blotters.values() for key in blotter.lines)
    return ControlResult(
        arms={name: _figures(arms[name], arms[NO_FAULTS], paired, marks) for name in ARMS},
        paired=len(paired),
        unpaired=len(everything) - len(paired),
        broken={name: arms[name].broken for name in ARMS},
        positions={
            name: tuple(asdict(p) for p in blotter.positions) for name, blotter in blotters.items()
        },
    )


def pooled(results: Iterable[ControlResult]) -> ControlResult | None:
    """All scenarios together; None when none has a control arm."""
    together = tuple(results)
    if not together:
        return None
    return ControlResult(
        arms={name: sum((r.arms[name] for r in together), Figures()) for name in ARMS},
        paired=sum(r.paired for r in together),
        unpaired=sum(r.unpaired for r in together),
    )


def _paired(books: list[Mapping[str, Line]]) -> tuple[str, ...]:
    """The intents that every arm has, and has alike."""
    first, *others = books
    return tuple(
        client_id
        for client_id, line in first.items()
        if all(client_id in book and _is_alike(line, book[client_id]) for book in others)
    )


def _is_alike(a: Line, b: Line) -> bool:
    return a.symbol == b.symbol and a.side == b.side


def _marks(blotters: Mapping[str, Blotter]) -> dict[tuple[str, str], float]:
    """One price for all arms: the tape is the same, so that the undisturbed arm's is the best."""
    marks: dict[tuple[str, str], float] = {}
    for name in (NO_FAULTS, WITH_CORE, NO_RESILIENCE):
        marks = {**blotters[name].marks, **marks}
    return marks


def _figures(
    arm: Arm, free: Arm, paired: Iterable[str], marks: Mapping[tuple[str, str], float]
) -> Figures:
    blotter = arm.blotter
    lines = blotter.lines.values()
    held = [(p, marks.get((p.venue, p.symbol), 0.0)) for p in blotter.positions]
    result = blotter.cash + sum(position.real * mark for position, mark in held)
    believed = blotter.believed_cash + sum(position.believed * mark for position, mark in held)
    pairs = [(blotter.lines[key], free.blotter.lines[key]) for key in paired]
    return Figures(
        asked=len(blotter.lines),
        accepted=sum(line.orders > 0 for line in lines),
        executed=sum(line.executed > 0 for line in lines),
        traded=sum(line.notional for line in lines),
        missed=sum(_excess(free, here) > 0 for here, free in pairs),
        missed_notional=sum(_excess(free, here) * (free.price or 0.0) for here, free in pairs),
        withheld=sum(_excess(free, here) > 0 and here.is_withheld for here, free in pairs),
        surplus=sum(_excess(here, free) > 0 for here, free in pairs),
        surplus_notional=sum(_excess(here, free) * (here.price or 0.0) for here, free in pairs),
        slippage=sum(_slippage(here, free) for here, free in pairs),
        matched_notional=sum(_common(here, free) * (free.price or 0.0) for here, free in pairs),
        doubled=sum(line.is_doubled for line in lines),
        lost=sum(line.is_lost for line in lines),
        unknown=sum(line.is_unsettled for line in lines),
        position_gap=sum(position.gap * mark for position, mark in held),
        unbooked=blotter.unbooked,
        result=result,
        believed=believed,
        misstated=abs(result - believed),
        downtime=arm.downtime,
        blocked=blotter.blocked,
        falsely_open=arm.falsely_open,
        healthy_calls=arm.healthy_calls,
        errors=blotter.errors,
        alerts=blotter.alerts,
        broken=len(arm.broken),
    )


def _excess(more: Line, less: Line) -> float:
    excess = more.executed - less.executed
    return excess if excess > TOLERANCE else 0.0


def _common(here: Line, free: Line) -> float:
    return min(here.executed, free.executed)


def _slippage(here: Line, free: Line) -> float:
    """What the quantity filled in both arms cost more here; negative when it cost less."""
    if here.price is None or free.price is None:
        return 0.0
    return here.side * (here.price - free.price) * _common(here, free)
