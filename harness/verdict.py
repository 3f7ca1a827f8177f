"""The verdict: what a history comes to, and what many come to together.

Pure functions of events: a history stored yesterday on another machine gives the same today.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.control import ControlResult, pooled
from harness.coverage import Coverage, CoverageFold
from harness.facts import Facts, fold
from harness.history import Event
from harness.metrics import (
    SEED_TARGETS,
    TALLIES,
    MetricTally,
    Target,
    judge_metrics,
    metric_result,
)
from harness.mix import Mix, MixResult, mix_result
from harness.oracles import ORACLES, judge_invariants
from harness.results import InvariantResult, MetricResult, Verdict, worst
from harness.timeline import Timeline

__all__ = [
    "SCHEMA_VERSION",
    "InvariantResult",
    "MetricResult",
    "RunResult",
    "ScenarioResult",
    "Verdict",
    "judge",
    "pool",
    "worst",
]

SCHEMA_VERSION = 1

Json = dict[str, Any]  # Any: JSON
TallyOf = Callable[[Facts], MetricTally]
Oracle = Callable[[Facts], InvariantResult]
Watcher = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """What one run of one scenario came to. Times in virtual seconds.

    `tallies`, `targets` and `unexercised` are what pooling needs. `control` is None unless the
    run was paired with the other arms.
    """

    name: str
    proves: str
    seed: int
    policy: str
    digest: str
    verdict: Verdict
    reasons: tuple[str, ...]
    metrics: tuple[MetricResult, ...]
    invariants: tuple[InvariantResult, ...]
    faults: tuple[Json, ...]
    timeline: Timeline
    virtual_seconds: float
    events: int
    tallies: tuple[MetricTally, ...] = ()
    targets: Mapping[str, Target] = field(default_factory=dict)
    unexercised: frozenset[str] = frozenset()
    coverage: Coverage = field(default_factory=Coverage)
    control: ControlResult | None = None

    def to_dict(self) -> Json:
        """The entry of report.json's `scenarios` list."""
        return {
            "name": self.name,
            "proves": self.proves,
            "seed": self.seed,
            "policy": self.policy,
            "digest": self.digest,
            "verdict": self.verdict.value,
            "reasons": list(self.reasons),
            "virtual_seconds": self.virtual_seconds,
            "events": self.events,
            "metrics": {metric.name: metric.to_dict() for metric in self.metrics},
            "invariants": [invariant.to_dict() for invariant in self.invariants],
            "faults": [dict(fault) for fault in self.faults],
            "control": None if self.control is None else self.control.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class RunResult:
    """What all scenarios of a run came to. `command` reproduces it.

    `mix` is None when the scenarios come without a declared mix.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    metrics: tuple[MetricResult, ...]
    scenarios: tuple[ScenarioResult, ...]
    command: str
    seed: int | None
    policy: str
    versions: Mapping[str, str]
    mix: MixResult | None = None

    @property
    def gate(self) -> str:
        """What the pooled rates are judged by: `interval` over the whole mix, else `value`."""
        return "interval" if self.mix is not None and self.mix.is_covered else "value"

    @property
    def coverage(self) -> Coverage:
        """Where in the fault space the scenarios have been."""
        return sum((scenario.coverage for scenario in self.scenarios), Coverage())

    @property
    def control(self) -> ControlResult | None:
        """The control arms of all scenarios together."""
        return pooled(s.control for s in self.scenarios if s.control is not None)

    def to_dict(self) -> Json:
        """The content of report.json."""
        control = self.control
        return {
            "schema_version": SCHEMA_VERSION,
            "verdict": self.verdict.value,
            "command": self.command,
            "reasons": list(self.reasons),
            "seed": self.seed,
            "policy": self.policy,
            "versions": dict(self.versions),
            "gate": self.gate,
            "mix": None if self.mix is None else self.mix.to_dict(),
            "control": None if control is None else control.to_dict(),
            "coverage": self.coverage.to_dict(),
            "metrics": {metric.name: metric.to_dict() for metric in self.metrics},
            "scenarios": [scenario.to_dict() for scenario in self.scenarios],
        }


def judge(
    events: Iterable[Event],
    *,
    digest: str = "",
    tallies: Mapping[str, TallyOf] = TALLIES,
    oracles: Mapping[str, Oracle] = ORACLES,
    watchers: Iterable[Watcher] = (),
) -> ScenarioResult:
    """Read a history once and judge it; `watchers` are shown every event on the way.

    A metric with nothing to count makes the scenario inconclusive, unless the scenario said that
    it would (`unexercised`). An invariant that was never put to the test weighs nothing.
    """
    coverage = CoverageFold()
    facts = fold(_watched(events, (coverage.take, *watchers)))
    targets = _targets(facts.header.targets)
    counted, broken = _counted(facts, tallies)
    metrics = (*judge_metrics(counted, targets), *broken)
    invariants = judge_invariants(facts, oracles)
    weighty = _weighty(metrics, facts.header.unexercised)
    result = ScenarioResult(
        name=facts.header.scenario,
        proves=facts.header.proves,
        seed=facts.header.seed,
        policy=facts.header.policy,
        digest=digest,
        verdict=worst([*(m.verdict for m in weighty), *(i.weight for i in invariants)]),
        reasons=(*_metric_reasons(weighty), *_invariant_reasons(invariants)),
        metrics=metrics,
        invariants=invariants,
        faults=tuple(_fault(facts, fault_id) for fault_id in facts.incidents.all),
        timeline=facts.timeline,
        virtual_seconds=facts.last_t,
        events=facts.events,
        tallies=counted,
        targets=targets,
        unexercised=facts.header.unexercised,
        coverage=coverage.done(),
    )
    return _cut_short(result) if facts.is_cut_short else result


def pool(
    scenarios: Iterable[ScenarioResult],
    *,
    command: str = "",
    seed: int | None = None,
    policy: str = "",
    versions: Mapping[str, str] | None = None,
    targets: Mapping[str, Target] = SEED_TARGETS,
    mix: Mix | None = None,
) -> RunResult:
    """Judge scenarios together: the worst of their verdicts and of the pooled metrics'.

    A scenario that holds itself to less than `targets` asks for in some metric is out of that
    metric's pool, and the result's details name it under `apart`: an outage that is meant to be
    harder than the budget is judged by its own target, and hides neither here nor there.

    When the run holds the whole declared `mix`, the pool is the mix and nothing beside it, and a
    metric passes only when its whole 95 % interval clears the target. Otherwise every scenario is
    in it, and the value decides.
    """
    results = tuple(scenarios)
    met = None if mix is None else _met(mix, results)
    gated = results
    if met is not None and met.is_covered:
        gated = tuple(scenario for scenario in results if scenario.name in met.scenarios)
    metrics = tuple(_pooled(name, gated, target) for name, target in targets.items())
    if met is not None and met.is_covered:
        metrics = tuple(_by_interval(metric) for metric in metrics)
    weighty = [m for m in metrics if m.n or not _is_excused(m.name, gated, targets)]
    reasons = [f"{s.name}: {reason}" for s in results for reason in s.reasons]
    if not results:
        reasons.append("no scenario was run")
    return RunResult(
        verdict=worst(
            [
                *(scenario.verdict for scenario in results),
                *(metric.verdict for metric in weighty),
                *([] if results else [Verdict.INCONCLUSIVE]),
            ]
        ),
        reasons=(*_metric_reasons(weighty), *reasons),
        metrics=metrics,
        scenarios=results,
        command=command,
        seed=seed,
        policy=policy,
        versions=dict(versions or {}),
        mix=met,
    )


def _watched(events: Iterable[Event], watchers: Iterable[Watcher]) -> Iterator[Event]:
    watchers = tuple(watchers)
    for event in events:
        for watch in watchers:
            watch(event)
        yield event


def _met(mix: Mix, results: Iterable[ScenarioResult]) -> MixResult:
    """The mix against the incidents that its scenarios had."""
    kinds: Counter[str] = Counter()
    names = []
    for scenario in results:
        names.append(scenario.name)
        if scenario.name in mix.scenarios:
            kinds.update(str(f["kind"]) for f in scenario.faults if f["effect_seen"])
    return mix_result(mix, names, kinds)


def _by_interval(metric: MetricResult) -> MetricResult:
    """The metric judged by its whole interval. What missed by its value has missed all the same."""
    verdict = worst([metric.verdict, metric.confident])
    if verdict is metric.verdict:
        return metric
    why = f"met, but not by its whole 95 % interval: n={metric.n} is too few"
    return dataclasses.replace(metric, verdict=verdict, details={"why": why, **metric.details})


def _targets(told: Mapping[str, float | str]) -> dict[str, Target]:
    return {
        name: Target.of(told[name], usual) if name in told else usual
        for name, usual in SEED_TARGETS.items()
    }


def _counted(
    facts: Facts, tallies: Mapping[str, TallyOf]
) -> tuple[tuple[MetricTally, ...], tuple[MetricResult, ...]]:
    """All tallies that could be taken, and a result for each that crashed."""
    counted, broken = [], []
    for name, tally_of in tallies.items():
        try:
            counted.append(tally_of(facts))
        except Exception as exc:  # the other metrics still have something to say
            empty = metric_result(MetricTally(name), SEED_TARGETS[name])
            why = f"the check crashed: {type(exc).__name__}: {exc}"
            broken.append(dataclasses.replace(empty, details={"why": why, "crashed": True}))
    return tuple(counted), tuple(broken)


def _cut_short(result: ScenarioResult) -> ScenarioResult:
    """The same without its rates: what had no time to recover has not failed to.

    An invariant that was broken by then stays broken.
    """
    rates = (
        dataclasses.replace(
            m, verdict=Verdict.INCONCLUSIVE, details={**m.details, "why": _CUT_SHORT}
        )
        for m in result.metrics
    )
    return dataclasses.replace(
        result,
        verdict=worst([Verdict.INCONCLUSIVE, *(i.weight for i in result.invariants)]),
        reasons=(_CUT_SHORT, *_invariant_reasons(result.invariants)),
        metrics=tuple(rates),
        tallies=(),
    )


def _weighty(
    metrics: Iterable[MetricResult], unexercised: frozenset[str]
) -> tuple[MetricResult, ...]:
    """The metrics that bear on the verdict: nothing to count, as announced, does not.

    Nor does a miss among too few, which only the pool can judge.
    """
    return tuple(
        metric
        for metric in metrics
        if not metric.details.get("too_few")
        and (metric.n or metric.details.get("crashed") or metric.name not in unexercised)
    )


def _metric_reasons(metrics: Iterable[MetricResult]) -> list[str]:
    return [_missed(metric) for metric in metrics if metric.verdict is not Verdict.PASS]


def _missed(metric: MetricResult) -> str:
    why = metric.details.get("why")
    if metric.value is None:
        return f"{metric.name}: {why}"
    value = f"{metric.name} is {metric.value:.4g} (n={metric.n}), target {metric.target}"
    return f"{value}: {why}" if why else value


def _invariant_reasons(invariants: Iterable[InvariantResult]) -> list[str]:
    return [
        f"{invariant.name} {_VERBS[invariant.weight]}: {'; '.join(invariant.evidence[:1])}"
        for invariant in invariants
        if invariant.weight is not Verdict.PASS
    ]


_CUT_SHORT = "interrupted: what was not over yet is not judged"
_VERBS = {Verdict.FAIL: "broken", Verdict.INCONCLUSIVE: "undecided"}


def _fault(facts: Facts, fault_id: str) -> Json:
    incident = facts.incidents.all[fault_id]
    return {
        "id": fault_id,
        "kind": incident.plan.kind,
        "category": incident.plan.category,
        "venue": incident.plan.venue,
        "armed": incident.began is not None,
        "fired": incident.fired,
        "effect_seen": incident.effect_seen,
        "healed": incident.healed == "ok",
    }


def _pooled(name: str, scenarios: Iterable[ScenarioResult], target: Target) -> MetricResult:
    together, apart = MetricTally(name), {}
    is_cut_short = False
    for scenario in scenarios:
        is_cut_short |= _CUT_SHORT in scenario.reasons
        tally = next((t for t in scenario.tallies if t.name == name), MetricTally(name))
        own = scenario.targets.get(name, target)
        if own.is_at_least(target):
            together = together + tally
        elif tally.n:
            apart[scenario.name] = {"hits": tally.hits, "n": tally.n, "target": str(own)}
    result = metric_result(together, target)
    details = {**result.details, "apart": apart}
    if is_cut_short and not result.n:
        details["why"] = _CUT_SHORT
    return dataclasses.replace(result, details=details)


def _is_excused(
    name: str, scenarios: Iterable[ScenarioResult], targets: Mapping[str, Target]
) -> bool:
    """Whether no scenario was to contribute to this metric's pool."""
    return all(
        name in scenario.unexercised
        or not scenario.targets.get(name, targets[name]).is_at_least(targets[name])
        for scenario in scenarios
    )
