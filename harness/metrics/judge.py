"""From a tally to a result: the value, its interval, and two verdicts against the target."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from harness.metrics.tally import (
    SEED_TARGETS,
    MetricTally,
    Recovery,
    Target,
    bootstrap_mean,
    chance_of,
    quantile,
    wilson,
)
from harness.results import MetricResult, Verdict

__all__ = ["judge_metrics", "metric_result"]

FALSE_OPEN_LIMIT = 0.01
#: Below this many, a miss that chance alone can explain decides nothing. It is judged in the pool.
ENOUGH_FOR_A_MISS = 10
#: As rare as what lies beyond one end of a 95 % interval. Exact, as Wilson's is not for a few: it
#: takes none of one, where nine of ten are asked for, for more than chance.
CHANCE = 0.025
_OF_CALLS = frozenset({"breaker_effectiveness", "retry_success_rate"})
#: From this many on, the largest of n values bounds the 95th percentile with 95 % confidence.
ENOUGH_FOR_P95 = 59

Details = dict[str, Any]  # Any: JSON


def judge_metrics(
    tallies: Iterable[MetricTally], targets: Mapping[str, Target] = SEED_TARGETS
) -> tuple[MetricResult, ...]:
    """Judge each tally; a time to recovery counts only where recovery itself meets its target."""
    results = {t.name: metric_result(t, targets.get(t.name, SEED_TARGETS[t.name])) for t in tallies}
    recovery, mttr = results.get("recovery_success_rate"), results.get("mttr_seconds")
    if recovery and mttr and recovery.verdict is Verdict.FAIL and mttr.verdict is Verdict.PASS:
        results["mttr_seconds"] = _failed(mttr, "recovery_success_rate missed its target")
    return tuple(results.values())


def metric_result(tally: MetricTally, target: Target) -> MetricResult:
    """Judge one tally. n = 0 is inconclusive: nothing was exercised."""
    if tally.n == 0:
        return _unexercised(tally, target)
    if tally.name == "mttr_seconds":
        return _time(tally, target)
    return _ratio(tally, target)


def _unexercised(tally: MetricTally, target: Target) -> MetricResult:
    return MetricResult(
        name=tally.name,
        value=None,
        n=0,
        target=str(target),
        interval=None,
        verdict=Verdict.INCONCLUSIVE,
        confident=Verdict.INCONCLUSIVE,
        numerator=0,
        denominator=0,
        details={"why": "not exercised", **_DETAILS.get(tally.name, _plain)(tally)},
    )


def _ratio(tally: MetricTally, target: Target) -> MetricResult:
    value, interval = tally.hits / tally.n, wilson(tally.hits, tally.n)
    details = _DETAILS.get(tally.name, _plain)(tally)
    result = MetricResult(
        name=tally.name,
        value=value,
        n=tally.n,
        target=str(target),
        interval=interval,
        verdict=Verdict.PASS if target.holds(value) else Verdict.FAIL,
        confident=_confident(target, value, interval),
        numerator=tally.hits,
        denominator=tally.n,
        details=details,
    )
    objection = _OBJECTIONS.get(tally.name, _none)(tally)
    if objection:
        return _failed(result, objection)
    return _told(result, may_be_chance=_may_be_chance(result, tally, target))


def _time(tally: MetricTally, target: Target) -> MetricResult:
    totals = [recovery.total for recovery in tally.recoveries]
    value, interval = statistics.fmean(totals), bootstrap_mean(totals)
    details = _time_details(tally)
    result = MetricResult(
        name=tally.name,
        value=value,
        n=tally.n,
        target=str(target),
        interval=interval,
        verdict=Verdict.PASS if target.holds(value) else Verdict.FAIL,
        confident=_confident(target, value, interval),
        numerator=sum(totals),
        denominator=tally.n,
        details=details,
    )
    if not target.holds(details["residual_p95"]):
        return _failed(result, f"residual p95 is {details['residual_p95']:g} s, target {target}")
    # A mean of a few times to recovery is mostly how long the faults lasted. What the core itself
    # took is held to the target by the residual, however few there are.
    return _told(result, may_be_chance=True)


def _confident(target: Target, value: float, interval: tuple[float, float]) -> Verdict:
    """What the whole interval says. "All of them" is proven by enumeration, no sample can."""
    if target.operator == "==":
        return Verdict.PASS if target.holds(value) else Verdict.FAIL
    meets = {target.holds(bound) for bound in interval}
    if len(meets) > 1:
        return Verdict.INCONCLUSIVE
    return Verdict.PASS if meets == {True} else Verdict.FAIL


def _may_be_chance(result: MetricResult, tally: MetricTally, target: Target) -> bool:
    """Whether a miss among few may be none. Of calls by the exact probability.

    An incident is an event with a cause of its own: of those already what lies beyond the interval
    counts, which with a few is stricter.
    """
    if tally.name not in _OF_CALLS or tally.n >= ENOUGH_FOR_A_MISS:
        return result.confident is not Verdict.FAIL
    return chance_of(tally.hits, tally.n, target) > CHANCE


def _told(result: MetricResult, *, may_be_chance: bool) -> MetricResult:
    """The result, or "too few" where it is a miss in a sample too small to tell one from chance."""
    is_miss = result.verdict is Verdict.FAIL and may_be_chance
    if not is_miss or result.n >= ENOUGH_FOR_A_MISS:
        return result
    why = f"missed, but {result.n} are too few to tell that from chance"
    return dataclasses.replace(
        result,
        verdict=Verdict.INCONCLUSIVE,
        details={"why": why, "too_few": True, **result.details},
    )


def _failed(result: MetricResult, why: str) -> MetricResult:
    return dataclasses.replace(
        result,
        verdict=Verdict.FAIL,
        confident=Verdict.FAIL,
        details={"why": why, **result.details},
    )


def _none(_: MetricTally) -> str:
    return ""


def _falsely_hopeful(tally: MetricTally) -> str:
    falsely = tally.counts.get("false_recoverable", 0)
    if falsely:
        return f"{falsely} errors of what only a person can mend are called recoverable"
    return ""


def _too_often_open(tally: MetricTally) -> str:
    healthy, falsely = tally.counts.get("healthy_calls", 0), tally.counts.get("falsely_open", 0)
    if healthy and falsely / healthy > FALSE_OPEN_LIMIT:
        return f"{falsely} of {healthy} calls were blocked while nothing was wrong"
    return ""


def _too_silent(tally: MetricTally) -> str:
    silent = tally.counts.get("must_escalate_silent", 0)
    return f"{silent} incidents that an operator must hear of were kept from him" if silent else ""


_OBJECTIONS: Mapping[str, Callable[[MetricTally], str]] = {
    "breaker_effectiveness": _too_often_open,
    "classification_coverage": _falsely_hopeful,
    "escalation_rate": _too_silent,
}


def _plain(tally: MetricTally) -> Details:
    return {name: n for name, n in tally.counts.items() if "/" not in name}


def _with_kinds(tally: MetricTally) -> Details:
    return {**_plain(tally), "by_kind": _nested(tally.group("kind"))}


def _nested(counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for name, n in counts.items():
        outer, _, inner = name.rpartition("/")
        nested.setdefault(outer, {})[inner] = n
    return nested


def _classification(tally: MetricTally) -> Details:
    return {**_with_kinds(tally), "confusion": _nested(tally.group("confusion"))}


def _context(tally: MetricTally) -> Details:
    return {"lacking": tally.group("lacking")}


def _breaker(tally: MetricTally) -> Details:
    healthy = tally.counts.get("healthy_calls", 0)
    return {
        **_plain(tally),
        "false_open_rate": tally.counts.get("falsely_open", 0) / healthy if healthy else None,
        "allowance": "one request per lane and open period: 1 s after the last, with a call "
        "held back between, or 3 s after it, for a call that had to wait; for a query also when an "
        "order's look-up has been due for 3 s and no query has left",
    }


def _retry(tally: MetricTally) -> Details:
    operations = tally.counts.get("operations", 0)
    return {
        **_plain(tally),
        "amplification": tally.counts["attempts"] / operations if operations else None,
        "by_first_failure": _nested(tally.group("why")),
    }


def _escalation(tally: MetricTally) -> Details:
    must = tally.counts.get("must_escalate", 0)
    silent = tally.counts.get("must_escalate_silent", 0)
    return {
        **_plain(tally),
        "must_escalate_recall": (must - silent) / must if must else None,
        "escalated": tally.group("escalated"),
    }


_DETAILS: Mapping[str, Callable[[MetricTally], Details]] = {
    "classification_coverage": _classification,
    "recovery_success_rate": _with_kinds,
    "context_completeness": _context,
    "breaker_effectiveness": _breaker,
    "retry_success_rate": _retry,
    "escalation_rate": _escalation,
}


def _time_details(tally: MetricTally) -> Details:
    totals = [recovery.total for recovery in tally.recoveries]
    residuals = [recovery.residual for recovery in tally.recoveries]
    return {
        "median": statistics.median(totals),
        "p95": quantile(totals, 0.95),
        "max": max(totals),
        "residual_mean": statistics.fmean(residuals),
        "residual_p95": quantile(residuals, 0.95),
        "residual_max": max(residuals),
        "p95_is_bounded": len(totals) >= ENOUGH_FOR_P95,
        "time_to_detect_mean": statistics.fmean(r.detection for r in tally.recoveries),
        "time_to_detect_max": max(r.detection for r in tally.recoveries),
        "censored": sum(recovery.is_censored for recovery in tally.recoveries),
        "durations": [[r.total, not r.is_censored] for r in _by_duration(tally.recoveries)],
        "by_kind": _times_by_kind(tally.recoveries),
    }


def _by_duration(recoveries: Iterable[Recovery]) -> list[Recovery]:
    return sorted(recoveries, key=lambda recovery: (recovery.total, recovery.is_censored))


def _times_by_kind(recoveries: Iterable[Recovery]) -> dict[str, Details]:
    groups: dict[str, list[float]] = {}
    for recovery in recoveries:
        groups.setdefault(recovery.kind, []).append(recovery.total)
    return {
        kind: {"n": len(totals), "mean": statistics.fmean(totals), "max": max(totals)}
        for kind, totals in sorted(groups.items())
    }
