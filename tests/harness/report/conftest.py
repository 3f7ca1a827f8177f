"""Runs as the verdict hands them over: one passes, one fails, one is full of hostile text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.results import InvariantResult, MetricResult, Verdict
from harness.timeline import BreakerSpan, Downtime, FaultWindow, Incident, OrderMark, Timeline
from harness.verdict import RunResult, ScenarioResult

# What HTML, XML, Markdown, rich and JSON each stumble over.
HOSTILE = "<script>alert(1)</script>|`*_[bold]@all]]>&\"'\x00\x1b[31m\u202e\ud800\ufffe\nnext"

_NUMBERS = (
    ("classification_coverage", 1.0, "== 1", (0.9, 1.0)),
    ("recovery_success_rate", 0.95, "> 0.8", (0.83, 0.99)),
    ("mttr_seconds", 12.5, "< 30", (9.0, 17.25)),
    ("context_completeness", 0.97, ">= 0.95", (0.94, 0.99)),
    ("breaker_effectiveness", 0.9999, "> 0.9", (0.98, 1.0)),
    ("retry_success_rate", 0.8, "> 0.7", (0.72, 0.87)),
    ("escalation_rate", 0.05, "< 0.1", (0.02, 0.12)),
)
_CONFUSION = {
    "connection": {"connection": 7, "system": 1, "(silent)": 2},
    "rate_limit": {"rate_limit": 4},
}
_DETAILS = {
    "classification_coverage": {"confusion": _CONFUSION},
    "mttr_seconds": {"median": 9.0, "p95": 24.0, "censored": 0, "durations": [[9.0, True]]},
    "breaker_effectiveness": {"false_open_rate": 0.004},
}


def _metric(name: str, value: float, target: str, interval: tuple[float, float]) -> MetricResult:
    return MetricResult(
        name=name,
        value=value,
        n=40,
        target=target,
        interval=interval,
        verdict=Verdict.PASS,
        confident=Verdict.INCONCLUSIVE if name == "escalation_rate" else Verdict.PASS,
        numerator=value * 40,
        denominator=40,
        details=_DETAILS.get(name, {}),
    )


METRICS = tuple(_metric(*row) for row in _NUMBERS)
UNTRIED = replace(
    METRICS[5],
    value=None,
    n=0,
    interval=None,
    verdict=Verdict.INCONCLUSIVE,
    confident=Verdict.INCONCLUSIVE,
)
_TIMELINE = Timeline(
    horizon=100.0,
    faults=(
        FaultWindow("F1", "disconnect", "connection", 10.0, 20.0, 3),
        FaultWindow("F2", "rate_limit", "rate_limit", 60.0, 90.0, 5),
    ),
    breakers=(
        BreakerSpan("B.orders", "closed", 0.0, 12.0, "orders", "BINANCE"),
        BreakerSpan("B.orders", "open", 12.0, 30.0, "orders", "BINANCE"),
        BreakerSpan("B.orders", "half_open", 30.0, 31.0, "orders", "BINANCE"),
    ),
    incidents=(Incident("F1", "BINANCE", 10.0, 26.0, cleared=20.0, detected=11.0),),
    orders=(OrderMark(0.0, "ok", 4), OrderMark(12.0, "blocked", 1), OrderMark(15.0, "ok", 1)),
    downtimes=(Downtime("BINANCE", 11.0, 25.0),),
)


def _fault(fault_id: str, kind: str, category: str) -> dict[str, Any]:
    done = {"armed": True, "fired": 3, "effect_seen": True, "healed": True}
    return {"id": fault_id, "kind": kind, "category": category, **done}


PASSING = ScenarioResult(
    name="disconnect_storm",
    proves="Orders survive a disconnect.",
    seed=7,
    policy="default",
    digest="ab" * 32,
    verdict=Verdict.PASS,
    reasons=(),
    metrics=(*METRICS[:5], UNTRIED, METRICS[6]),
    invariants=(
        InvariantResult("no_intent_executes_twice", Verdict.PASS, judged=40),
        InvariantResult("nothing_sent_while_banned", Verdict.INCONCLUSIVE, exercised=False),
    ),
    faults=(_fault("F1", "disconnect", "connection"), _fault("F2", "rate_limit", "rate_limit")),
    timeline=_TIMELINE,
    virtual_seconds=160.0,
    events=1234,
    unexercised=frozenset({"retry_success_rate"}),
)
FAILING = replace(
    PASSING,
    name="lost_acknowledgement",
    verdict=Verdict.FAIL,
    reasons=("no intent executes twice: 1 breach", "F2 never fired"),
    invariants=(
        InvariantResult(
            "no_intent_executes_twice",
            Verdict.FAIL,
            ("order c-1 executed twice: seq 10 at 1.5 s and seq 12 at 3.0 s",),
            judged=40,
        ),
        InvariantResult("every_fault_healed", Verdict.INCONCLUSIVE, ("the check crashed",)),
        PASSING.invariants[1],
    ),
    faults=(PASSING.faults[0], {**PASSING.faults[1], "fired": 0, "effect_seen": False}),
    timeline=replace(
        _TIMELINE,
        faults=(_TIMELINE.faults[0], replace(_TIMELINE.faults[1], fired=0)),
        incidents=(replace(_TIMELINE.incidents[0], restored=None, escalated=40.0),),
    ),
)


def _run(*scenarios: ScenarioResult, **changes: Any) -> RunResult:
    run = RunResult(
        verdict=Verdict.PASS,
        reasons=(),
        metrics=METRICS,
        scenarios=scenarios,
        command="foxtrot-chaos run scenarios/ --seed 7",
        seed=7,
        policy="default",
        versions={"foxtrot-resilience": "0.1.0"},
    )
    return replace(run, **changes)


@pytest.fixture
def passing() -> RunResult:
    return _run(PASSING)


@pytest.fixture
def failing() -> RunResult:
    slow = replace(METRICS[2], value=41.0, verdict=Verdict.FAIL)
    return _run(
        PASSING,
        FAILING,
        verdict=Verdict.FAIL,
        reasons=("lost_acknowledgement: no intent executes twice",),
        metrics=(*METRICS[:2], slow, *METRICS[3:]),
    )


@pytest.fixture
def hostile() -> RunResult:
    check = InvariantResult(HOSTILE, Verdict.FAIL, (HOSTILE, HOSTILE), judged=1)
    scenario = replace(
        FAILING,
        name=HOSTILE,
        proves=HOSTILE,
        policy=HOSTILE,
        digest=HOSTILE,
        reasons=(HOSTILE,),
        invariants=(check,),
        faults=({**FAILING.faults[0], "id": HOSTILE, "kind": HOSTILE, "category": HOSTILE},),
        timeline=Timeline(
            horizon=10.0,
            faults=(FaultWindow(HOSTILE, HOSTILE, HOSTILE, 1.0, 2.0, 1),),
            breakers=(BreakerSpan(HOSTILE, HOSTILE, 0.0, 10.0, HOSTILE, HOSTILE),),
            incidents=(Incident(HOSTILE, HOSTILE, 1.0, None),),
            orders=(OrderMark(1.0, HOSTILE, 1),),
            downtimes=(Downtime(HOSTILE, 1.0, 2.0),),
        ),
    )
    details = {"confusion": {HOSTILE: {HOSTILE: 1}}}
    metrics = (replace(METRICS[0], details=details), replace(METRICS[1], name=HOSTILE))
    return _run(
        replace(scenario, metrics=metrics),
        verdict=Verdict.FAIL,
        reasons=(HOSTILE,),
        metrics=metrics,
        command=HOSTILE,
        policy=HOSTILE,
        versions={HOSTILE: HOSTILE},
    )


@pytest.fixture
def many_failing() -> Callable[[int], RunResult]:
    """A run in which `number` scenarios fail, each with long evidence."""

    def build(number: int) -> RunResult:
        check = InvariantResult("no order is lost", Verdict.FAIL, ("seq 1 " * 500,) * 9, judged=9)
        scenarios = [
            replace(FAILING, name=f"story_{index}", invariants=(check,)) for index in range(number)
        ]
        return _run(*scenarios, verdict=Verdict.FAIL)

    return build
