"""The seven tallies of one run, each taken from its facts by its definition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from harness.facts import Facts
from harness.facts.calls import Retried
from harness.facts.links import PLACE
from harness.incidents import Incident
from harness.metrics.tally import MetricTally, Recovery

__all__ = [
    "TALLIES",
    "breaker_effectiveness",
    "classification_coverage",
    "context_completeness",
    "escalation_rate",
    "mttr_seconds",
    "recovery_success_rate",
    "retry_success_rate",
]


def classification_coverage(facts: Facts) -> MetricTally:
    """Errors with an accepted category, not by default, over all that a fault caused.

    A fault with a visible effect and no error record is a miss too, and so is a failed request
    of the strategy's without one: nothing was surfaced.
    """
    errors = facts.errors
    by_kind = Counter({(k, ok): n for (k, ok), n in errors.by_kind.items()})
    due = (incident for incident in facts.incidents.effective() if incident.must_surface)
    silent = [incident for incident in due if not incident.errors]
    by_kind.update((incident.plan.kind, False) for incident in silent if not incident.swallowed)
    swallowed = Counter[tuple[str, bool]]()
    for incident in facts.incidents.all.values():
        swallowed[incident.plan.kind, False] += incident.swallowed
    by_kind += swallowed  # which leaves out what is zero
    confusion = {f"confusion/{label}/{got}": n for (label, got), n in errors.confusion.items()}
    silence = Counter(f"confusion/{incident.plan.category}/(silent)" for incident in silent)
    return MetricTally(
        "classification_coverage",
        hits=sum(n for (_, is_right), n in by_kind.items() if is_right),
        n=sum(by_kind.values()),
        counts={
            "by_default": errors.by_default,
            "silent": len(silent),
            "swallowed": swallowed.total(),
            "hopeless": errors.hopeless,
            "false_recoverable": errors.false_recoverable,
            **_by_kind(by_kind),
            **confusion,
            **silence,
        },
    )


def recovery_success_rate(facts: Facts) -> MetricTally:
    """Incidents restored in time and without an operator, over recoverable ones that cleared."""
    judged = [
        incident for incident in facts.incidents.effective() if _had_a_chance(facts, incident)
    ]
    by_kind = Counter((i.plan.kind, _recovered_alone(facts, i)) for i in judged)
    return MetricTally(
        "recovery_success_rate",
        hits=sum(n for (_, is_right), n in by_kind.items() if is_right),
        n=len(judged),
        counts={
            "never_restored": sum(incident.restored is None for incident in judged),
            "with_operator": sum(_needed_operator(incident) for incident in judged),
            **_by_kind(by_kind),
        },
    )


def mttr_seconds(facts: Facts) -> MetricTally:
    """How long each connection incident lasted, impact to restored, or to the end of watching."""
    recoveries = [
        _recovery(facts, incident)
        for incident in facts.incidents.effective()
        if incident.plan.connection
    ]
    return MetricTally(
        "mttr_seconds",
        hits=sum(not recovery.is_censored for recovery in recoveries),
        n=len(recoveries),
        recoveries=tuple(recoveries),
    )


def context_completeness(facts: Facts) -> MetricTally:
    """Error records with every field of their category's schema present and true, over all."""
    errors = facts.errors
    lacking = {f"lacking/{name}": n for name, n in errors.shortcomings.items()}
    return MetricTally("context_completeness", errors.complete, errors.records, lacking)


def breaker_effectiveness(facts: Facts) -> MetricTally:
    """Calls held back, over calls attempted while the dependency was known to be down."""
    outages = facts.outages
    return MetricTally(
        "breaker_effectiveness",
        hits=max(outages.attempted - outages.leaked, 0),
        n=outages.attempted,
        counts={
            "reached": outages.reached,
            "permitted_probes": outages.probes,
            "healthy_calls": outages.healthy,
            "falsely_open": outages.falsely_open,
        },
    )


def retry_success_rate(facts: Facts) -> MetricTally:
    """Operations that ended well and exactly once, over those that failed retryably at first.

    Those that no permitted retry could save, in an outage beyond the budget or a wait that the
    venue asked for, are a set of their own, shown beside it: all of them, the lucky ones too.
    """
    judged = [(retried, _ended_well(facts, retried)) for retried in facts.calls.retried]
    outcomes = [(retried, good) for retried, good in judged if not retried.was_hopeless]
    beyond = [good for retried, good in judged if retried.was_hopeless]
    why = Counter(f"why/{retried.why}/{_word(good)}" for retried, good in outcomes)
    return MetricTally(
        "retry_success_rate",
        hits=sum(good for _, good in outcomes),
        n=len(outcomes),
        counts={
            "operations": facts.calls.attempted,
            "attempts": facts.calls.attempts,
            "beyond_budget": len(beyond),
            "beyond_budget_hits": sum(beyond),
            **dict(sorted(why.items())),
        },
    )


def escalation_rate(facts: Facts) -> MetricTally:
    """Incidents handed to an operator, over all; an alert about nothing is an incident too."""
    incidents = list(facts.incidents.effective())
    spurious = len(facts.incidents.spurious_alerts)
    escalated = [incident for incident in incidents if incident.escalated is not None]
    must = [incident for incident in incidents if incident.plan.must_escalate]
    return MetricTally(
        "escalation_rate",
        hits=len(escalated) + spurious,
        n=len(incidents) + spurious,
        counts={
            "spurious": spurious,
            "must_escalate": len(must),
            "must_escalate_silent": sum(incident.was_kept_quiet for incident in must),
            **{f"escalated/{kind}": n for kind, n in _kinds(escalated).items()},
        },
    )


TALLIES: Mapping[str, Callable[[Facts], MetricTally]] = {
    function.__name__: function
    for function in (
        classification_coverage,
        recovery_success_rate,
        mttr_seconds,
        context_completeness,
        breaker_effectiveness,
        retry_success_rate,
        escalation_rate,
    )
}


def _by_kind(counts: Mapping[tuple[str, bool], int]) -> dict[str, int]:
    return {f"kind/{kind}/{_word(good)}": n for (kind, good), n in sorted(counts.items())}


def _word(good: bool) -> str:
    return "hit" if good else "miss"


def _kinds(incidents: Iterable[Incident]) -> dict[str, int]:
    return dict(sorted(Counter(incident.plan.kind for incident in incidents).items()))


def _had_a_chance(facts: Facts, incident: Incident) -> bool:
    cleared = incident.cleared
    return incident.plan.recoverable and cleared is not None and cleared < facts.horizon


def _recovered_alone(facts: Facts, incident: Incident) -> bool:
    if incident.restored is None or incident.was_left or _needed_operator(incident):
        return False
    return incident.restored <= facts.incidents.due(incident, facts.header.recovery_bound)


def _needed_operator(incident: Incident) -> bool:
    """Whether an operator was called before it was over, other than because he had to be."""
    if incident.escalated is None or incident.plan.must_escalate:
        return False
    return incident.restored is None or incident.escalated <= incident.restored


def _recovery(facts: Facts, incident: Incident) -> Recovery:
    impact = incident.impact or 0.0
    end = facts.observed_until if incident.restored is None else incident.restored
    noticed = end if incident.detected is None else incident.detected
    return Recovery(
        kind=incident.plan.kind,
        total=round(max(end - impact, 0.0), 6),
        residual=round(max(end - incident.repairable_since, 0.0), 6),
        detection=round(max(noticed - impact, 0.0), 6),
        is_censored=incident.restored is None,
    )


def _ended_well(facts: Facts, retried: Retried) -> bool:
    """An order must stand at the venue exactly once; found again after UNKNOWN will do.

    Of anything else that it is done is the venue's to say, too.
    """
    if retried.operation != PLACE:
        return retried.returned == "ok" and retried.is_true
    intent = facts.ledger.intents.get(retried.client_id)
    if intent is None or not intent.accepted_once or retried.returned not in {"ok", "unknown"}:
        return False
    last = intent.status if intent.final is None else intent.final[0]
    return last not in {"", "UNKNOWN", "REJECTED"}
