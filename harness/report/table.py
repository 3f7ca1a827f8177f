"""The end of a run in the terminal: verdict, command, metrics, scenarios.

Print it with `crop=False`: the command is one line, whole, for who copies it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.report import comparison, wording
from harness.report.wording import SYMBOLS, visible

if TYPE_CHECKING:
    from harness.verdict import RunResult, ScenarioResult

__all__ = ["result_table"]

# Blue and orange rather than green and red; the word and the sign stand beside the colour anyway.
_STYLES = {"pass": "bold blue", "inconclusive": "bold magenta", "fail": "bold dark_orange3"}
_REASONS_SHOWN = 3  # of a scenario, and of the run; the report has all of them


def result_table(run: RunResult) -> Group:
    """Return what `rich` prints when a run ends. Nothing in it is read as console markup."""
    verdict = Text(f"{SYMBOLS[run.verdict]} {wording.headline(run)}", style=_STYLES[run.verdict])
    command = Text(visible(run.command), style="dim", no_wrap=True, overflow="ignore")
    told = wording.first(run.reasons, _REASONS_SHOWN)
    reasons = [Text(f"  {visible(reason)}") for reason in told]
    parts = [_metrics(run), _padded(Text(wording.gate(run), style="dim"))]
    if run.control is not None:
        parts.append(_padded(Text(comparison.headline(run.control))))
    return Group(verdict, command, *reasons, *parts, _scenarios(run.scenarios))


def _padded(text: Text) -> Padding:
    return Padding(text, (1, 0, 0, 0))


def _metrics(run: RunResult) -> Padding:
    excused = wording.excused_of(run)
    table = _table(("Metric", "left"), ("Value", "right"), ("Target", "right"), ("n", "right"))
    table.add_column("95 % interval", justify="right")
    table.add_column("Verdict")
    for metric in run.metrics:
        table.add_row(
            Text(wording.label_of(metric.name)),
            wording.value(metric),
            Text(wording.target(metric)),
            f"{metric.n:,}",
            wording.interval(metric),
            _untried() if wording.is_excused(metric, excused) else _mark(metric.verdict),
        )
    return Padding(table, (1, 0, 0, 0))


def _scenarios(scenarios: Sequence[ScenarioResult]) -> Padding:
    table = _table(("Scenario", "left"), ("Faults fired", "right"), ("Invariants held", "right"))
    table.add_column("Verdict")
    table.add_column("Why", overflow="fold")
    for scenario in scenarios:
        table.add_row(
            Text(visible(scenario.name)),
            wording.fired(scenario),
            wording.held(scenario),
            _mark(scenario.verdict),
            _why(scenario),
        )
    return Padding(table, (1, 0, 0, 0))


def _table(*columns: tuple[str, str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name, side in columns:
        table.add_column(name, justify="right" if side == "right" else "left", no_wrap=True)
    return table


def _mark(verdict: str) -> Text:
    return Text(f"{SYMBOLS[verdict]} {verdict}", style=_STYLES[verdict])


def _untried() -> Text:
    return Text(wording.UNTRIED, style="dim")


def _why(scenario: ScenarioResult) -> Text:
    return Text(visible("\n".join(wording.first(scenario.reasons, _REASONS_SHOWN))))
