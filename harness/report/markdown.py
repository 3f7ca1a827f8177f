"""`summary.md`: the run for a CI job summary or a comment on a change.

Bounded: however many scenarios fail, it stays under `LIMIT` characters, which GitHub takes both
as a job summary (1 MiB) and as a comment (65,536), and says what it left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from harness.report import comparison, parity, wording
from harness.report.wording import SYMBOLS, visible

if TYPE_CHECKING:
    from harness.control import ControlResult
    from harness.parity import Parity
    from harness.results import InvariantResult, MetricResult
    from harness.verdict import RunResult, ScenarioResult

__all__ = ["LIMIT", "report_markdown"]

LIMIT = 60_000
_REASONS_SHOWN = 8
_EVIDENCE_SHOWN = 5
_TEXT_SHOWN = 600  # characters of one piece of evidence; the page and report.json hold all of it

_SPECIAL = re.compile(r"([\\`*_\[\]|~#@!<>&])")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;", "|": "&#124;"}


def report_markdown(run: RunResult, pairs: Sequence[Parity] = ()) -> str:
    """Return the summary: verdict, command, reasons, metrics, what failed, and folded details."""
    head = [
        f"## {SYMBOLS[run.verdict]} {_text(wording.headline(run))}",
        _fenced(run.command),
        *_bullets(run.reasons),
        "",
        *_metrics_table(run),
        "",
        f"<sub>{_text(wording.gate(run))}</sub>",
        "",
        *_parity(pairs),
    ]
    troubled = [scenario for scenario in run.scenarios if scenario.verdict != "pass"]
    troubled.sort(key=lambda scenario: scenario.verdict != "fail")  # stable: file order within
    sections = [_trouble(scenario) for scenario in troubled]
    return _bounded("\n".join(head), sections, _folded(run, pairs))


def _bounded(head: str, sections: Sequence[str], folded: str) -> str:
    """`head`, as many sections as fit, and the folded part if it fits; what is left out is said."""
    parts = [head[:LIMIT]]
    room = LIMIT - len(parts[0]) - 200  # for the sentence about what is missing
    for shown, section in enumerate(sections):
        if len(section) > room:
            left = wording.count(len(sections) - shown, "more scenario")
            parts.append(f"… and {left} that did not pass: see `report.html`.\n")
            break
        parts.append(section)
        room -= len(section)
    parts.append(folded if len(folded) <= room else "All scenarios: see `report.html`.\n")
    return "\n".join(parts)


def _metrics_table(run: RunResult) -> list[str]:
    excused = wording.excused_of(run)
    rows = ["| | Metric | Value | Target | n | 95 % interval |", "|---|---|--:|--:|--:|--:|"]
    for metric in run.metrics:
        cells = (
            wording.UNTRIED if wording.is_excused(metric, excused) else _mark(metric.verdict),
            _named(metric),
            wording.value(metric),
            wording.target(metric),
            f"{metric.n:,}",
            wording.interval(metric),
        )
        rows.append(_row(cells))
    return rows


def _parity(pairs: Sequence[Parity]) -> list[str]:
    """The modes side by side, a scenario a row, and every difference."""
    if not pairs:
        return []
    has_bare = any(pair.bare for pair in pairs)
    heads = ["Scenario", "Verdict", "Told as", "Doubled or lost", "MTTR simulation / live"]
    heads += ["Bare ccxt client"] * has_bare
    rows = [_row(heads), "|---" * len(heads) + "|"]
    for pair in pairs:
        cells = [_text(pair.scenario), *(_text(cell) for cell in parity.overview(pair))]
        cells += [_text(parity.bare_line(pair.bare)) if pair.bare else ""] * has_bare
        rows.append(_row(cells))
    findings = wording.first(parity.findings(pairs), _REASONS_SHOWN)
    told = [f"- {_text(_shortened(line))}" for line in findings]
    return [f"**Parity.** {_text(parity.headline(pairs))}", "", *rows, "", *told, ""]


def _side_by_side(pair: Parity) -> list[str]:
    heads = parity.columns([pair])
    rows = [_row([_text(pair.scenario), *heads]), "|---" * (len(heads) + 1) + "|"]
    for line in parity.lines(pair):
        label = f"{'≠ ' if line.differs else ''}{_text(line.label)}"
        rows.append(_row([label, *(_text(_shortened(cell)) for cell in line.cells)]))
    return [*rows, ""]


def _modes(pairs: Sequence[Parity]) -> list[str]:
    if not pairs:
        return []
    tables = [line for pair in pairs for line in _side_by_side(pair)]
    return ["<details><summary>Simulation and live</summary>", "", *tables, "</details>", ""]


def _control(control: ControlResult) -> list[str]:
    lines = [_row(["", *comparison.COLUMNS, "the core made it"]), "|---|--:|--:|--:|--:|"]
    for row in comparison.rows(control):
        saved = f"{SYMBOLS[row.verdict]} {row.saved}" if row.verdict else row.saved
        lines.append(_row([_text(row.label), *row.cells, saved]))
    return [
        f"<details><summary>Control arm. {_text(comparison.headline(control))}</summary>",
        "",
        *lines,
        "",
        f"{_text(comparison.note(control))}",
        "",
        "</details>",
        "",
    ]


def _named(metric: MetricResult) -> str:
    notes = ", ".join(filter(None, (wording.beside(metric), wording.why(metric))))
    label = _text(wording.label_of(metric.name))
    return f"{label}<br><sub>{_text(notes)}</sub>" if notes else label


def _trouble(scenario: ScenarioResult) -> str:
    lines = [f"### {_mark(scenario.verdict)}: {_text(scenario.name)}", "", _text(scenario.proves)]
    lines += ["", *_bullets(scenario.reasons)]
    for check in scenario.invariants:
        if check.weight != "pass":
            lines += _evidence(check)
    return "\n".join([*lines, ""])


def _evidence(check: InvariantResult) -> list[str]:
    shown = check.evidence[:_EVIDENCE_SHOWN]
    lines = [f"- **{_text(wording.rule(check.name))}** {_mark(check.verdict)}"]
    lines += [f"  - {_text(_shortened(item))}" for item in shown]
    if len(check.evidence) > len(shown):
        lines.append(f"  - … and {len(check.evidence) - len(shown):,} more in `report.html`")
    return lines


def _folded(run: RunResult, pairs: Sequence[Parity]) -> str:
    rows = ["| | Scenario | Proves | Faults fired | Invariants held |", "|---|---|---|--:|--:|"]
    for scenario in run.scenarios:
        cells = (
            _mark(scenario.verdict),
            _text(scenario.name),
            _text(_shortened(scenario.proves)),
            wording.fired(scenario),
            wording.held(scenario),
        )
        rows.append(_row(cells))
    control = [] if run.control is None else _control(run.control)
    scenarios = ["<details><summary>All scenarios</summary>", "", *rows, "", _made_by(run)]
    return "\n".join([*control, *_modes(pairs), *scenarios])


def _made_by(run: RunResult) -> str:
    seed = "Seeds of the scenarios" if run.seed is None else f"Seed {run.seed}"
    versions = ", ".join(f"{_text(name)} {_text(number)}" for name, number in run.versions.items())
    return f"{seed}, policy {_text(run.policy)}. {versions}\n\n</details>\n"


def _mark(verdict: str) -> str:
    return f"{SYMBOLS[verdict]} {verdict}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _bullets(reasons: Sequence[str]) -> list[str]:
    return [f"- {_text(_shortened(reason))}" for reason in wording.first(reasons, _REASONS_SHOWN)]


def _shortened(text: str) -> str:
    return text if len(text) <= _TEXT_SHOWN else f"{text[:_TEXT_SHOWN]}…"


def _text(text: object) -> str:
    """`text` on one line, as itself: nothing in it is read as Markdown, HTML or a mention."""
    line = " ".join(visible(text).split())
    return _SPECIAL.sub(lambda match: _ENTITIES.get(match[0], f"\\{match[0]}"), line)


def _fenced(command: str) -> str:
    """`command` as a code block whose fence is longer than any run of backticks in it."""
    line = visible(command)
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"\n{fence}sh\n{line}\n{fence}\n"
