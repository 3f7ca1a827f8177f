"""`report.html`: one file, no network and no script, for the person who answers for the desk.

The template decides how it looks, `chart` where figures' marks lie, this file what is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.report import comparison, parity, wording
from harness.report.chart import Chart, distribution, timeline_chart
from harness.report.corners import corner_matrix
from harness.report.wording import SYMBOLS, visible

if TYPE_CHECKING:
    from harness.parity import Parity
    from harness.results import InvariantResult, MetricResult
    from harness.verdict import RunResult, ScenarioResult

__all__ = ["BOOKS", "report_html"]

_RECOVERY_LIMIT = 30.0  # seconds; the seed's target, when the run carries no other
_OWN_SHOWN = 3  # scenarios that missed targets of their own, in the answer
_REASONS_SHOWN = 8  # at the top; each scenario's section has all of its own
# The invariants that are about money: orders, fills and positions.
BOOKS = frozenset(
    {
        "failed_reply_changes_no_state",
        "no_intent_executes_twice",
        "no_order_lost",
        "positions_equal_fills",
        "unknown_never_settled_without_evidence",
    }
)
_EVIDENCE_SHOWN = 50  # of one invariant; report.json holds all of it


def report_html(run: RunResult, pairs: Sequence[Parity] = ()) -> str:
    """Return the page. Everything in `run` is escaped; the same run gives the same bytes."""
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            headline=wording.headline(run),
            reasons=wording.first(run.reasons, _REASONS_SHOWN),
            answers=_answers(run),
            metrics=[_metric_row(metric, wording.excused_of(run)) for metric in run.metrics],
            recovery=_recovery(run.metrics),
            confusion=_confusion(run.metrics),
            control=run.control,
            pairs=pairs,
            corners=corner_matrix(run.coverage),
            sections=[_section(scenario, pairs) for scenario in run.scenarios],
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        symbols=SYMBOLS,
        wording=wording,
        comparison=comparison,
        parity=parity,
        evidence_shown=_EVIDENCE_SHOWN,
    )
    return environment


def _finalized(value: Any) -> Any:  # Any: whatever a template prints
    """Every printed text made visible, before Jinja escapes it; markup of our own is left alone."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@dataclass(frozen=True, slots=True)
class _Answer:
    question: str
    answer: str
    note: str
    verdict: str


def _answers(run: RunResult) -> list[_Answer]:
    return [_downtime(run), _books(run), _targets(run)]


def _downtime(run: RunResult) -> _Answer:
    question = "How long were we down?"
    incidents = [incident for s in run.scenarios for incident in s.timeline.incidents]
    spans = [down.end - down.begin for s in run.scenarios for down in s.timeline.downtimes]
    if not incidents and not spans:
        return _Answer(question, "Not tested", "no fault had an effect", "inconclusive")
    left = sum(incident.restored is None for incident in incidents)
    note = wording.count(len(incidents), "incident")
    note += f", {left} not restored" if left else ", every one restored" if incidents else ""
    if not spans:
        return _Answer(question, "At no time", note, _restoring(run))
    note = f"at a stretch, {wording.seconds(sum(spans))} in all; {note}"
    return _Answer(question, wording.seconds(max(spans)), note, _restoring(run))


def _restoring(run: RunResult) -> str:
    """Fail where an incident lasts; what was stopped half way may only not have had the time."""
    lasting = [s for s in run.scenarios if any(i.restored is None for i in s.timeline.incidents)]
    if lasting and all(scenario.verdict == "inconclusive" for scenario in lasting):
        return "inconclusive"
    has_cause = all(s.timeline.incidents for s in run.scenarios if s.timeline.downtimes)
    return "fail" if lasting or not has_cause else "pass"


def _books(run: RunResult) -> _Answer:
    question = "Was an order lost, doubled or misbooked?"
    checks = [check for scenario in run.scenarios for check in scenario.invariants]
    books = [check for check in checks if check.name in BOOKS and check.weight != "pass"]
    tested = any(check.name in BOOKS and check.exercised for check in checks)
    if any(check.verdict == "fail" for check in books):
        return _Answer(question, "Yes", f"broken: {_names(books, 'fail')}", "fail")
    others = _names(checks, "fail")
    note = f"but broken: {others}" if others else "and no other rule was broken"
    if books or not tested:
        note = _names(books, "inconclusive") or "no scenario put it to the test"
        return _Answer(question, "Not established", note, "inconclusive")
    return _Answer(question, "No", note, "fail" if others else "pass")


def _names(checks: Sequence[InvariantResult], verdict: str) -> str:
    """The rules of that verdict, each once."""
    found = (wording.rule(check.name) for check in checks if check.weight == verdict)
    return ", ".join(dict.fromkeys(found))


def _targets(run: RunResult) -> _Answer:
    question = "Which targets were missed?"
    missed = wording.missed_targets(run.metrics)
    if missed:
        return _Answer(question, f"{len(missed)} of {len(run.metrics)}", ", ".join(missed), "fail")
    own = [f"{s.name}: {', '.join(names)}" for s in run.scenarios if (names := _own_misses(s))]
    if own:
        note = "; ".join(wording.first(own, _OWN_SHOWN))
        return _Answer(question, f"By {wording.count(len(own), 'scenario')}", note, "fail")
    open_ones = sum(metric.verdict != "pass" for metric in run.metrics)
    if run.verdict == "pass" and open_ones < len(run.metrics):
        return _Answer(question, "None", _met(len(run.metrics), open_ones), "pass")
    if open_ones or not run.metrics:
        note = f"{open_ones} of {wording.count(len(run.metrics), 'target')} not established"
        return _Answer(question, "None so far", note, "inconclusive")
    return _Answer(question, "None", _met(len(run.metrics), 0), "pass")


def _own_misses(scenario: ScenarioResult) -> list[str]:
    """The targets that the scenario holds itself to and missed, also where the pool met them.

    A miss among so few that only the pool can judge it is none.
    """
    return wording.missed_targets([m for m in scenario.metrics if not m.details.get("too_few")])


def _met(targets: int, untried: int) -> str:
    return f"{targets - untried} met, {untried} not tried" if untried else f"all {targets} met"


@dataclass(frozen=True, slots=True)
class _Bullet:
    """A bullet bar: percent positions along its scale, None for what there is not."""

    value: float | None
    low: float | None
    high: float | None
    target: float | None
    good_from: float
    good_to: float


@dataclass(frozen=True, slots=True)
class _MetricRow:
    metric: MetricResult
    label: str
    sentence: str
    value: str
    target: str
    interval: str
    bullet: _Bullet
    tried: bool


def _metric_row(metric: MetricResult, unexercised: frozenset[str]) -> _MetricRow:
    meaning = wording.MEANINGS.get(metric.name)
    return _MetricRow(
        metric=metric,
        label=wording.label_of(metric.name),
        sentence="" if meaning is None else meaning.sentence,
        value=wording.value(metric),
        target=wording.target(metric),
        interval=wording.interval(metric),
        bullet=_bullet(metric),
        tried=not wording.is_excused(metric, unexercised),
    )


def _bullet(metric: MetricResult) -> _Bullet:
    operator, bound = wording.target_bound(metric) or ("", None)
    low, high = metric.interval or (None, None)
    top = 1.0
    if wording.unit_of(metric.name) == "seconds":
        top = 1.1 * max(filter(None, (metric.value, high, bound, 1.0)))

    def percent(number: float | None) -> float | None:
        return None if number is None else round(100 * min(max(number / top, 0.0), 1.0), 2)

    at = percent(bound)
    below = operator in {"<", "≤"}
    return _Bullet(
        value=percent(metric.value),
        low=percent(low),
        high=percent(high),
        target=at,
        good_from=0.0 if below or at is None else at,
        good_to=100.0 if at is None or not below else at,
    )


@dataclass(frozen=True, slots=True)
class _Section:
    scenario: ScenarioResult
    timeline: Chart
    recovery: Chart | None
    confusion: _Confusion | None
    metrics: list[_MetricRow]
    pair: Parity | None


def _section(scenario: ScenarioResult, pairs: Sequence[Parity]) -> _Section:
    return _Section(
        scenario=scenario,
        timeline=timeline_chart(scenario.timeline),
        recovery=_recovery(scenario.metrics),
        confusion=_confusion(scenario.metrics),
        metrics=[_metric_row(metric, scenario.unexercised) for metric in scenario.metrics],
        pair=next((pair for pair in pairs if pair.scenario == scenario.name), None),
    )


def _recovery(metrics: Sequence[MetricResult]) -> Chart | None:
    """The incidents that the mean time to recovery is the mean of."""
    for metric in metrics:
        durations = metric.details.get("durations")
        if metric.name == "mttr_seconds" and durations:
            _, limit = wording.target_bound(metric) or ("", _RECOVERY_LIMIT)
            values = [(float(lasted), bool(ended)) for lasted, ended in durations]
            return distribution(values, limit=limit)
    return None


@dataclass(frozen=True, slots=True)
class _Confusion:
    """Injected category by surfaced category. `columns` has every category that occurs."""

    columns: list[str]
    rows: list[tuple[str, list[int]]]


def _confusion(metrics: Sequence[MetricResult]) -> _Confusion | None:
    for metric in metrics:
        matrix = metric.details.get("confusion")
        if metric.name == "classification_coverage" and isinstance(matrix, Mapping) and matrix:
            seen = {column for row in matrix.values() for column in row}
            columns = sorted({*matrix, *seen})
            rows = [
                (truth, [int(matrix[truth].get(column, 0)) for column in columns])
                for truth in sorted(matrix)
            ]
            return _Confusion(columns, rows)
    return None
