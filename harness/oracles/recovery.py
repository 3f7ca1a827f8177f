"""What must hold of faults, recovery and the end of the run."""

from __future__ import annotations

from harness.facts import Facts
from harness.facts.judgement import Judgement
from harness.incidents import Incident
from harness.oracles.finding import result_of
from harness.results import InvariantResult, Verdict

__all__ = [
    "every_fault_fired",
    "every_fault_healed",
    "must_escalate_recall",
    "no_alert_storm",
    "no_task_left",
    "recovery_within_bound",
    "run_completed",
    "steady_before_and_after",
    "trouble_noticed_in_time",
]


def every_fault_fired(facts: Facts) -> InvariantResult:
    """Each planned fault touched something; one that did not proves nothing, and says why."""
    idle = [incident for incident in facts.incidents.all.values() if not incident.fired]
    judgement = Judgement(judged=len(facts.incidents.all))
    if not idle:
        return result_of("every_fault_fired", judgement)
    evidence = tuple(_why_idle(facts, incident) for incident in idle)
    return InvariantResult("every_fault_fired", Verdict.INCONCLUSIVE, evidence, judgement.judged)


def _why_idle(facts: Facts, incident: Incident) -> str:
    plan = incident.plan
    if incident.began is None:
        late = plan.begin >= facts.horizon
        why = f"the run ended at t={facts.horizon:g}s" if late else "it was never begun"
        return f"{plan.id} ({plan.kind}) never fired: to begin at t={plan.begin:g}s, {why}"
    end = facts.horizon if incident.cleared is None else incident.cleared
    return (
        f"{plan.id} ({plan.kind}) never fired: on from t={incident.began:g}s to t={end:g}s, and "
        f"nothing that it targets passed at {plan.venue}"
    )


def every_fault_healed(facts: Facts) -> InvariantResult:
    """Each fault that began was healed, and the healing verified."""
    judgement, pending = Judgement(), []
    for incident in facts.incidents.all.values():
        if incident.began is None:
            continue
        if not incident.healed and facts.is_cut_short:
            pending.append(incident.plan.id)
            continue
        judgement.judged += 1
        if incident.healed != "ok":
            why = incident.healed or "the history has no healing of it"
            judgement.breach(f"{incident.plan.id} ({incident.plan.kind}) was not healed: {why}")
    undecided = f"interrupted before the healing of {', '.join(pending)}" if pending else ""
    return result_of("every_fault_healed", judgement, undecided=undecided)


def recovery_within_bound(facts: Facts) -> InvariantResult:
    """Each recoverable incident is restored within the bound after its fault has cleared.

    One that only the client can end has not cleared when its time is up: it was taken away.
    """
    judgement, unwatched = Judgement(), []
    bound = facts.header.recovery_bound
    for incident in facts.incidents.effective():
        if not incident.plan.recoverable or incident.cleared is None:
            continue
        if incident.was_left:
            _judge_left(judgement, incident, facts.horizon)
            continue
        due = facts.incidents.due(incident, bound)
        line = _lateness(incident, due)
        if incident.restored is None and facts.last_t < due:
            unwatched.append(f"{line}; the history ends at t={facts.last_t:.3f}s")
            continue
        judgement.judged += 1
        if incident.restored is None or incident.restored > due:
            judgement.breach(line)
    return result_of("recovery_within_bound", judgement, undecided="; ".join(unwatched))


def _judge_left(judgement: Judgement, incident: Incident, horizon: float) -> None:
    if incident.cleared is None or incident.cleared >= horizon:
        return  # taken away by the market's close: the client was not given its time
    judgement.judged += 1
    judgement.breach(
        f"{incident.plan.id} ({incident.plan.kind}), on from t={incident.began:.3f}s, was never "
        f"ended by the client on {', '.join(incident.adapters)}, and was taken away at "
        f"t={incident.cleared:.3f}s"
    )


def _lateness(incident: Incident, due: float) -> str:
    restored = incident.restored
    when = "was never restored" if restored is None else f"was restored at t={restored:.3f}s"
    return (
        f"{incident.plan.id} ({incident.plan.kind}), cleared at t={incident.cleared:.3f}s, {when} "
        f"on {', '.join(incident.adapters)}, due by t={due:.3f}s"
    )


def must_escalate_recall(facts: Facts) -> InvariantResult:
    """An operator hears of every incident that needs one, unless he just has of the same."""
    judgement = Judgement()
    for incident in facts.incidents.effective():
        if not incident.plan.must_escalate:
            continue
        if incident.was_kept_quiet and facts.is_cut_short:
            continue  # it may have been on its way; that the run was cut short counts already
        judgement.judged += 1
        if incident.was_kept_quiet:
            judgement.breach(
                f"{incident.plan.id} ({incident.plan.kind}), from t={incident.impact:.3f}s on "
                f"{', '.join(incident.adapters)}, was kept from the operator"
            )
    return result_of("must_escalate_recall", judgement)


def no_alert_storm(facts: Facts) -> InvariantResult:
    """An operator is called once for an incident, or a few times, not for each of its errors."""
    return result_of("no_alert_storm", facts.alerts.few)


def trouble_noticed_in_time(facts: Facts) -> InvariantResult:
    """The client side shows within twice the detection budget that it knows of an incident.

    What passes by itself is no recovery: who sees a dead stream only by the gap when it is back
    has traded on old prices until then.
    """
    judgement = Judgement()
    bound = 2 * facts.header.detection_budget
    for incident in facts.incidents.effective():
        if not incident.must_surface or incident.impact is None:
            continue
        noticed = incident.detected
        if noticed is None and facts.may_yet_come(incident.impact + bound):
            continue
        judgement.judged += 1
        if noticed is None or noticed - incident.impact > bound:
            when = "never" if noticed is None else f"at t={noticed:.3f}s"
            judgement.breach(
                f"{incident.plan.id} ({incident.plan.kind}), felt from t={incident.impact:.3f}s on "
                f"{', '.join(incident.adapters)}, was noticed {when}, due within {bound:g}s"
            )
    return result_of("trouble_noticed_in_time", judgement)


def steady_before_and_after(facts: Facts) -> InvariantResult:
    """The probe found every adapter well before the first fault, and at the end."""
    judgement = Judgement()
    ending = {} if facts.is_cut_short else facts.last_sample  # cut short, it has no end
    for when, samples in (("before", facts.samples_before), ("at the end", ending)):
        for adapter, (is_well, where) in samples.items():
            judgement.judged += 1
            if not is_well:
                judgement.breach(f"{adapter} was down {when} ({where})")
    unseen = [name for name in facts.last_sample if name not in facts.samples_before]
    why = f"no sample before the first fault of {', '.join(unseen)}" if unseen else ""
    if not facts.last_sample:
        why = "the history has no probe samples"
    return result_of("steady_before_and_after", judgement, undecided=why)


def no_task_left(facts: Facts) -> InvariantResult:
    """Every task of the core has ended when the run ends."""
    judgement = Judgement()
    if facts.leftover_tasks is None:
        why = "the history does not say which tasks were left"
        return result_of("no_task_left", judgement, undecided=why)
    judgement.judged = 1
    for task in facts.leftover_tasks:
        judgement.breach(f"still running at the end, t={facts.last_t:.3f}s: {task}")
    return result_of("no_task_left", judgement)


def run_completed(facts: Facts) -> InvariantResult:
    """The run came to its end, and no task on the way to its own by what nobody caught.

    A deadlock or crash is a failure, an interruption no proof.
    """
    judgement = Judgement(judged=1)
    if facts.end in {"deadlock", "crashed"}:
        judgement.breach(f"the run ended in a {facts.end} at t={facts.last_t:.3f}s")
    for failure in facts.failures:
        judgement.breach(f"a task died of what nobody caught: {failure}")
    missing = f"the run was {facts.end}" if facts.end else "the history has no end"
    return result_of(
        "run_completed", judgement, undecided="" if facts.end == "completed" else missing
    )
