"""The words and numbers of a report: one place, so that terminal, page and summary agree."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from harness.metrics import SEED_TARGETS
from harness.units import format_number

if TYPE_CHECKING:
    from harness.results import MetricResult
    from harness.verdict import RunResult, ScenarioResult

__all__ = [
    "MEANINGS",
    "NOTHING",
    "SYMBOLS",
    "UNTRIED",
    "Meaning",
    "amount",
    "beside",
    "clock_time",
    "count",
    "excused_of",
    "fired",
    "first",
    "gate",
    "headline",
    "held",
    "interval",
    "is_excused",
    "label_of",
    "missed_targets",
    "round_time",
    "rule",
    "seconds",
    "target",
    "target_bound",
    "unit_of",
    "value",
    "visible",
    "why",
]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a metric is called on the page, what it says, and in which unit."""

    label: str
    sentence: str
    unit: str  # "ratio" (0 to 1) or "seconds"


MEANINGS = {
    "classification_coverage": Meaning(
        "Classification coverage",
        "surfaced errors that carry the injected fault's category, and not by default",
        "ratio",
    ),
    "recovery_success_rate": Meaning(
        "Recovery success",
        "recoverable incidents that an outside probe saw restored, with no operator",
        "ratio",
    ),
    "mttr_seconds": Meaning(
        "Mean time to recovery",
        "connection incidents, impact to restored; unrecovered ones count up to the horizon",
        "seconds",
    ),
    "context_completeness": Meaning(
        "Context completeness",
        "error records with every field of their category present and true",
        "ratio",
    ),
    "breaker_effectiveness": Meaning(
        "Breaker effectiveness",
        "calls attempted on a dependency known to be down that did not reach it",
        "ratio",
    ),
    "retry_success_rate": Meaning(
        "Retry success",
        "operations that failed at first, then succeeded exactly once by the venue's ledger",
        "ratio",
    ),
    "escalation_rate": Meaning(
        "Escalation",
        "incidents handed to an operator, of all incidents",
        "ratio",
    ),
}

# A shape beside each word: a verdict must be readable without colour.
SYMBOLS = {"pass": "✓", "inconclusive": "?", "fail": "✕"}

NOTHING = "\u2013"  # an en dash, where there is no number
UNTRIED = f"{NOTHING} not tested"  # instead of a verdict, where none was meant to be found

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
# What XML 1.0 cannot hold, what a browser drops, and what makes text read other than it is.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f" + _BIDI + "\u2028\u2029\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)


def visible(text: object) -> str:
    r"""`text` with control, bidirectional and unencodable characters written out (`\x07`).

    Newlines and tabs stay. The result encodes as UTF-8 and is legal in XML and HTML once escaped.
    """
    return _INVISIBLE.sub(_written_out, str(text))


def _written_out(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def seconds(duration: float) -> str:
    """A duration for a person: `0.42 s`, `12.3 s`, `4 min 05 s`, `1 h 02 min`."""
    if duration < 10:
        return f"{duration:.2f} s"
    if duration < 120:
        return f"{duration:.1f} s"
    whole = round(duration)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def round_time(duration: float) -> str:
    """A duration on an axis, without decimals: `45 s`, `2 min`, `1.5 h`."""
    for size, unit in ((3600, "h"), (60, "min")):
        if duration >= 2 * size or (duration >= size and duration % size == 0):
            return f"{duration / size:g} {unit}"
    return f"{duration:g} s"


def clock_time(at: float) -> str:
    """A moment of virtual time, to the second: `2:05`, `1:00:00`."""
    whole = round(at)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def amount(number: float, unit: str) -> str:
    """A number in its unit. A ratio never rounds up to 100 % or down to 0 % that it is not."""
    if unit == "seconds":
        return seconds(number)
    percent = round(100 * number, 1)
    # The bound of an interval may be as far from 1 as floats err: it is 1 all the same.
    if percent in {0.0, 100.0} and not math.isclose(100 * number, percent, abs_tol=1e-9):
        return "> 99.9 %" if percent else "< 0.1 %"
    return f"{percent:g} %"


def value(metric: MetricResult) -> str:
    """The metric's value, or a dash when nothing was exercised."""
    if metric.value is None:
        return NOTHING
    shown = amount(metric.value, unit_of(metric.name))
    # What never ended was counted as far as it was watched: the mean is a lower bound.
    return f"≥ {shown}" if metric.details.get("censored") else shown


def interval(metric: MetricResult) -> str:
    """The metric's 95 % interval, or a dash."""
    if metric.interval is None:
        return NOTHING
    unit = unit_of(metric.name)
    low, high = metric.interval
    return f"{amount(low, unit)} to {amount(high, unit)}"


def target(metric: MetricResult) -> str:
    """The metric's target in the metric's unit, with all its digits: `≥ 95 %`, `< 30 s`."""
    parsed = target_bound(metric)
    if parsed is None:
        return visible(metric.target)
    operator, bound = parsed
    if unit_of(metric.name) == "seconds":
        return f"{operator} {format_number(bound)} s"
    return f"{operator} {format_number(float(100 * Decimal(repr(bound))))} %"


_TARGET = re.compile(r"\s*(<=|>=|<|>|==|=|≤|≥)?\s*(\d+(?:\.\d+)?)\s*(%?)")
_OPERATORS = {"<=": "≤", ">=": "≥", "==": "="}


def target_bound(metric: MetricResult) -> tuple[str, float] | None:
    """Operator and number of the metric's target, or None when it is no such thing."""
    match = _TARGET.match(metric.target)
    if match is None:
        return None
    operator, number, percent = match.groups()
    bound = float(number) / (100 if percent else 1)
    return _OPERATORS.get(operator or "=", operator or "="), bound


def unit_of(metric_name: str) -> str:
    """`seconds` for durations, `ratio` for all else."""
    meaning = MEANINGS.get(metric_name)
    return "ratio" if meaning is None else meaning.unit


def label_of(metric_name: str) -> str:
    """The metric's name on the page."""
    meaning = MEANINGS.get(metric_name)
    return visible(metric_name) if meaning is None else meaning.label


def count(number: int, noun: str) -> str:
    """`1 fault`, `2 faults`, `3 breaches`."""
    ending = "es" if noun.endswith("ch") else "s"
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}{ending}"


def rule(name: str) -> str:
    """An invariant's name as words: `no_order_lost` is `no order lost`."""
    return visible(name).replace("_", " ")


def missed_targets(metrics: Sequence[MetricResult]) -> list[str]:
    """The labels of the metrics that missed their target."""
    return [label_of(metric.name) for metric in metrics if metric.verdict == "fail"]


@dataclass(frozen=True, slots=True)
class _Beside:
    """A number that a metric's details hold and that is shown beside it."""

    metric: str
    key: str
    words: str
    unit: str  # "ratio", "seconds", "factor" or "count"


_BESIDE = (
    _Beside("classification_coverage", "by_default", "by default", "count"),
    _Beside("classification_coverage", "silent", "kept silent", "count"),
    _Beside("classification_coverage", "false_recoverable", "wrongly recoverable", "count"),
    _Beside("recovery_success_rate", "never_restored", "never restored", "count"),
    _Beside("recovery_success_rate", "with_operator", "needed an operator", "count"),
    _Beside("mttr_seconds", "median", "median", "seconds"),
    _Beside("mttr_seconds", "p95", "p95", "seconds"),
    _Beside("mttr_seconds", "max", "max", "seconds"),
    _Beside("mttr_seconds", "residual_p95", "p95 from the fault's clearing", "seconds"),
    _Beside("mttr_seconds", "time_to_detect_mean", "mean to detect", "seconds"),
    _Beside("mttr_seconds", "censored", "not restored", "count"),
    _Beside("breaker_effectiveness", "false_open_rate", "false-open rate", "ratio"),
    _Beside("retry_success_rate", "amplification", "attempts per operation", "factor"),
    _Beside("escalation_rate", "must_escalate_recall", "must-escalate recall", "ratio"),
    _Beside("escalation_rate", "spurious", "spurious alerts", "count"),
)


def beside(metric: MetricResult) -> str:
    """What must be read with the metric: `median 4.00 s, p95 9.10 s, 0 not restored`."""
    found = ((note, metric.details.get(note.key)) for note in _BESIDE if note.metric == metric.name)
    return ", ".join(_noted(note, float(number)) for note, number in found if number is not None)


def _noted(note: _Beside, number: float) -> str:
    if note.unit == "count":
        return f"{number:,.0f} {note.words}"
    if note.unit == "factor":
        return f"{number:.2f} {note.words}"
    return f"{note.words} {amount(number, note.unit)}"


def why(metric: MetricResult) -> str:
    """What beyond its value speaks against the metric, or why it has none."""
    return visible(metric.details.get("why") or "")


def is_excused(metric: MetricResult, unexercised: frozenset[str]) -> bool:
    """Whether the metric has nothing to say, as was announced."""
    return metric.n == 0 and metric.name in unexercised and not metric.details.get("crashed")


def excused_of(run: RunResult) -> frozenset[str]:
    """The metrics that no scenario of the run's pool meant to exercise, or none up to the target.

    The pool leaves out who holds itself to less, so that there may be nothing in it.
    """
    gated = [
        scenario
        for scenario in run.scenarios
        if run.mix is None or run.gate != "interval" or scenario.name in run.mix.scenarios
    ]
    return frozenset(
        name for name in SEED_TARGETS if gated and all(_is_left_out(name, each) for each in gated)
    )


def _is_left_out(name: str, scenario: ScenarioResult) -> bool:
    usual = SEED_TARGETS[name]
    own = scenario.targets.get(name, usual)
    return name in scenario.unexercised or not own.is_at_least(usual)


def first(lines: Sequence[str], limit: int) -> list[str]:
    """The first `limit` of `lines`, and how many more there are if there are more."""
    left = len(lines) - limit
    return [*lines[:limit], f"and {left:,} more"] if left > 0 else list(lines)


def held(scenario: ScenarioResult) -> str:
    """How many of the invariants that the scenario put to the test held: `11 of 12`."""
    tested = [check for check in scenario.invariants if check.exercised]
    return f"{sum(check.verdict == 'pass' for check in tested)} of {len(tested)}"


def fired(scenario: ScenarioResult) -> str:
    """How many of the scenario's faults fired: `3 of 3`."""
    return f"{sum(bool(fault['fired']) for fault in scenario.faults)} of {len(scenario.faults)}"


def gate(run: RunResult) -> str:
    """By what the pooled rates were judged, and why."""
    if run.mix is None:
        return "Judged by the values: no mix is declared for these scenarios."
    mix = count(len(run.mix.scenarios), "scenario")
    if run.gate == "interval":
        return f"Judged by the whole 95 % intervals, over the declared mix of {mix}."
    lacking = ", ".join(visible(name) for name in first(run.mix.missing, 3))
    return f"Judged by the values: of the declared mix of {mix}, {lacking} did not run."


def headline(run: RunResult) -> str:
    """The verdict and its scope in one sentence: the first line of every report."""
    total = len(run.scenarios)
    if run.verdict == "pass":
        tried, targets = sum(metric.n > 0 for metric in run.metrics), len(run.metrics)
        met = (
            "every target met"
            if tried == targets
            else f"{tried} of {targets} targets tried and met"
        )
        return f"Pass: {count(total, 'scenario')}, {met}, no invariant broken"
    failed = sum(scenario.verdict == "fail" for scenario in run.scenarios)
    unsure = sum(scenario.verdict == "inconclusive" for scenario in run.scenarios)
    missed = len(missed_targets(run.metrics))
    of_all = f" of {count(total, 'scenario')}"
    parts = [f"{failed}{of_all} failed"] if failed else []
    parts += [f"{unsure}{'' if failed else of_all} inconclusive"] if unsure else []
    parts += [f"{missed} of {count(len(run.metrics), 'target')} missed"] if missed else []
    return f"{run.verdict.capitalize()}: {', '.join(parts) or count(total, 'scenario')}"
