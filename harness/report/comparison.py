"""The control arm as a table: each figure under each arm, and what the core made of the difference.

One place, so that terminal, page and summary say the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.control import NO_FAULTS, NO_RESILIENCE, WITH_CORE
from harness.report import wording

if TYPE_CHECKING:
    from harness.control import ControlResult, Figures

__all__ = ["COLUMNS", "Row", "headline", "note", "rows"]

COLUMNS = ("no faults", "faults, no resilience", "faults, with the core")
_COLUMNS = (NO_FAULTS, NO_RESILIENCE, WITH_CORE)
_NOTABLE = 0.005  # of money or seconds; less is rounding


@dataclass(frozen=True, slots=True)
class _Figure:
    name: str
    label: str
    unit: str  # "count", "money" or "seconds"
    better: str = "less"  # "less", "more", or "" where neither is


_FIGURES = (
    _Figure("asked", "Orders asked for", "count", ""),
    _Figure("accepted", "Orders that the venue accepted", "count", "more"),
    _Figure("executed", "Orders filled, at least in part", "count", "more"),
    _Figure("traded", "Traded", "money", "more"),
    _Figure("missed", "Fills missed", "count"),
    _Figure("missed_notional", "Fills missed, worth", "money"),
    _Figure("withheld", "Fills missed of orders that never left", "count", ""),
    _Figure("surplus", "Fills that would not have been", "count"),
    _Figure("surplus_notional", "Fills that would not have been, worth", "money"),
    _Figure("slippage", "Slippage of what was filled in both", "money"),
    _Figure("doubled", "Orders doubled or overfilled", "count"),
    _Figure("lost", "Orders that engine and venue disagree on", "count"),
    _Figure("unknown", "Orders of unknown state at the end", "count"),
    _Figure("position_gap", "Position that the engine has wrong", "money"),
    _Figure("unbooked", "Traded, and in nobody's books", "money"),
    _Figure("misstated", "Result misstated by", "money"),
    _Figure("result", "Result by the venue's ledger", "money", ""),
    _Figure("downtime", "Down, by the outside probe", "seconds"),
    _Figure("falsely_open", "Calls blocked while nothing was wrong", "count"),
    _Figure("errors", "Errors surfaced", "count"),
    _Figure("alerts", "Alerts to an operator", "count", ""),
    _Figure("broken", "Invariants broken", "count"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `cells` in the order of `COLUMNS`; `verdict` is what `saved` amounts to."""

    label: str
    cells: tuple[str, ...]
    saved: str
    verdict: str  # "pass", "fail" or ""


def rows(control: ControlResult) -> tuple[Row, ...]:
    """Every figure, as text."""
    return tuple(_rows(control))


def headline(control: ControlResult) -> str:
    """What the core saved, in one sentence."""
    core, plain = control.arms[WITH_CORE], control.arms[NO_RESILIENCE]
    return (
        f"Without resilience the same faults left {_money(plain.position_gap)} of positions that "
        f"the engine had wrong and {_money(plain.unbooked)} traded in nobody's books, missed "
        f"{_missed(plain)} and were down {wording.seconds(plain.downtime)}; with "
        f"the core {_money(core.position_gap)}, {_money(core.unbooked)}, "
        f"{_missed(core)} and {wording.seconds(core.downtime)}."
    )


def _missed(arm: Figures) -> str:
    told = _count(arm.missed, "fill")
    return f"{told} ({arm.withheld:,} of orders that never left)" if arm.withheld else told


def note(control: ControlResult) -> str:
    """How the figures are meant."""
    pairs = f"Intents are paired by client id: {control.paired:,} alike in all arms"
    pairs += f", {control.unpaired:,} not, and left out" if control.unpaired else ""
    return (
        f"{pairs}. Money is in each symbol's quote currency, positions at the undisturbed arm's "
        "last prices. The strategy trades at random: its result is chance, what the books get "
        "wrong of it is not."
    )


def _rows(control: ControlResult) -> Iterator[Row]:
    for figure in _FIGURES:
        values = [_value(control.arms[name], figure) for name in _COLUMNS]
        saved, verdict = _saved(figure, plain=values[1], core=values[2])
        yield Row(
            figure.label,
            tuple(_text(figure.unit, value) for value in values),
            saved,
            verdict,
        )


def _value(figures: Figures, figure: _Figure) -> float:
    return float(getattr(figures, figure.name))


def _saved(figure: _Figure, *, plain: float, core: float) -> tuple[str, str]:
    difference = core - plain
    if abs(difference) < _NOTABLE or not figure.better:
        return wording.NOTHING, ""
    word = "more" if difference > 0 else "less"
    verdict = "pass" if word == figure.better else "fail"
    return f"{_text(figure.unit, abs(difference))} {word}", verdict


def _text(unit: str, value: float) -> str:
    if unit == "seconds":
        return wording.seconds(value)
    return _money(value) if unit == "money" else f"{value:,.0f}"


def _money(value: float) -> str:
    text = f"{abs(value):,.2f}"
    return f"\N{MINUS SIGN}{text}" if value < -_NOTABLE else text


def _count(number: int, noun: str) -> str:
    return wording.count(number, noun)
