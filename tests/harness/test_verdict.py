"""The verdict of a scenario and of a run: fail over inconclusive over pass."""

from __future__ import annotations

import orjson
import pytest

from harness.metrics import SEED_TARGETS, MetricTally
from harness.oracles import ORACLES
from harness.results import Verdict, worst
from harness.verdict import InvariantResult, judge, pool

EVERYTHING = list(SEED_TARGETS)
COUNTED = {"classification_coverage", "context_completeness", "escalation_rate"}
COUNTED |= {"recovery_success_rate", "mttr_seconds"}


def good(story, **header):
    return story({}, unexercised=["breaker_effectiveness", "retry_success_rate"], **header).outage()


def metric(result, name):
    return next(each for each in result.metrics if each.name == name)


def test_fail_outweighs_inconclusive_outweighs_pass():
    assert worst([]) is Verdict.PASS
    assert worst([Verdict.PASS, Verdict.INCONCLUSIVE]) is Verdict.INCONCLUSIVE
    assert worst([Verdict.FAIL, Verdict.INCONCLUSIVE]) is Verdict.FAIL


def test_outage_survived_passes(story):
    result = judge(good(story).finished().events, digest="d1")
    assert (result.verdict, result.reasons) == (Verdict.PASS, ())
    assert (result.name, result.seed, result.policy, result.digest) == ("story", 7, "default", "d1")
    assert result.faults == (
        {
            "id": "F1",
            "kind": "disconnect",
            "category": "connection",
            "venue": "A",
            "armed": True,
            "fired": 1,
            "effect_seen": True,
            "healed": True,
        },
    )
    assert {each.name for each in result.metrics if each.n} == COUNTED


def test_metric_that_counted_nothing_is_inconclusive_unless_announced(story):
    result = judge(story({}, unexercised=["retry_success_rate"]).outage().finished().events)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.reasons == ("breaker_effectiveness: not exercised",)


def test_missed_target_and_broken_invariant_fail_and_say_so(story):
    result = judge(
        good(story)
        .add(60, "run.shutdown")
        .sent(61, "r", client_id="c")
        .error(62, "E2", "r-F1", "system")
        .finished()
        .events
    )
    assert result.verdict is Verdict.FAIL
    assert result.reasons[0].startswith("classification_coverage is 0.5 (n=2), target == 1")
    assert any(r.startswith("nothing_sent_after_shutdown broken: seq") for r in result.reasons)


def test_announced_metric_that_did_count_is_judged(story):
    tale = good(story)
    tale.events[0].details["unexercised"] += ["classification_coverage"]
    assert judge(tale.error(40, "E2", "r-F1", "system").finished().events).verdict is Verdict.FAIL


def test_target_of_the_scenario_counts_in_the_scenario(story):
    tale = good(story, targets={"mttr_seconds": 5.0}).finished()
    assert metric(judge(tale.events), "mttr_seconds").verdict is Verdict.FAIL


def test_fault_that_never_fired_makes_the_scenario_inconclusive(story):
    tale = story({}, unexercised=EVERYTHING).probe(5).begin(10).end(30).probe(40).finished()
    result = judge(tale.events)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.reasons[0].startswith("every_fault_fired undecided: F1 (disconnect) never fired")


def test_check_that_crashes_is_inconclusive_with_the_exception_named(story):
    def broken(facts):
        raise ZeroDivisionError("by n")

    tale = good(story).finished()
    result = judge(tale.events, tallies={"mttr_seconds": broken})
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "mttr_seconds: the check crashed: ZeroDivisionError: by n" in result.reasons
    result = judge(tale.events, oracles={**ORACLES, "broken": broken})
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.reasons == ("broken undecided: the check crashed: ZeroDivisionError: by n",)


def test_history_of_a_crash_fails(story):
    assert judge(good(story).finished(ending="crashed").events).verdict is Verdict.FAIL


def test_core_that_claims_success_against_the_probe_does_not_pass(story):
    tale = story({}, unexercised=EVERYTHING).outage(restored=None)
    tale.add(31, "engine.recovery", "i", "succeeded", adapter="A").probe(90, "down").finished()
    assert judge(tale.events).verdict is Verdict.FAIL


def test_judging_twice_gives_the_same(story):
    events = good(story).finished().events
    assert judge(events).to_dict() == judge(iter(events)).to_dict()


# -- pooling ------------------------------------------------------------------------------------


def test_pooling_adds_counts(story):
    one = judge(good(story).finished().events)
    two = judge(good(story).error(40, "E2", "r-F1", "system").finished().events)
    pooled = metric(pool([one, two]), "classification_coverage")
    assert (pooled.numerator, pooled.denominator, pooled.verdict) == (2, 3, Verdict.FAIL)


def test_run_is_as_bad_as_its_worst_scenario(story):
    result = judge(good(story).finished().events)
    bad = judge(good(story).finished(ending="crashed").events)
    assert pool([result]).verdict is Verdict.PASS
    run = pool([result, bad])
    assert run.verdict is Verdict.FAIL
    assert run.reasons == ("story: run_completed broken: the run ended in a crashed at t=100.000s",)


def test_scenario_with_a_softer_target_is_apart_from_the_pool_and_named(story):
    tale = good(story, targets={"mttr_seconds": 120.0})
    hard = judge(tale.probe(33, "down").probe(49).probe(49.5).finished().events)
    pooled = metric(pool([hard]), "mttr_seconds")
    assert pooled.n == 0
    assert pooled.details["apart"] == {"story": {"hits": 1, "n": 1, "target": "< 120"}}
    assert pool([hard]).verdict is hard.verdict is Verdict.PASS


def test_nothing_run_is_inconclusive():
    assert pool([]).verdict is Verdict.INCONCLUSIVE


def test_pooled_metric_that_some_scenario_promised_is_missed_when_empty(story):
    promised = judge(story({}, unexercised=["retry_success_rate"]).outage().finished().events)
    run = pool([promised])
    assert run.verdict is Verdict.INCONCLUSIVE
    assert "breaker_effectiveness: not exercised" in run.reasons


def test_report_has_the_shape_that_other_programs_read(story):
    run = pool(
        [judge(good(story).finished().events, digest="d")], command="foxtrot-chaos run x", seed=7
    )
    report = orjson.loads(orjson.dumps(run.to_dict()))
    assert (report["schema_version"], report["verdict"]) == (1, "pass")
    assert set(report["metrics"]) == set(SEED_TARGETS)
    for found in (*report["metrics"].values(), *report["scenarios"][0]["metrics"].values()):
        assert {"value", "n", "target", "interval", "verdict"} <= set(found)
    (scenario,) = report["scenarios"]
    assert {"name", "seed", "digest", "verdict", "metrics", "invariants", "faults"} <= set(scenario)
    assert {"name", "verdict", "evidence"} <= set(scenario["invariants"][0])
    assert {"kind", "category", "armed", "fired"} <= set(scenario["faults"][0])


def test_invariant_that_was_not_exercised_is_inconclusive_but_weighs_nothing():
    unexercised = InvariantResult("x", Verdict.INCONCLUSIVE, exercised=False)
    assert (unexercised.verdict, unexercised.weight) == (Verdict.INCONCLUSIVE, Verdict.PASS)


@pytest.mark.parametrize("name", SEED_TARGETS)
def test_each_target_of_the_seed_can_be_missed(story, name):
    """A tally with nothing right, or nothing but escalations, misses."""
    from harness.metrics import metric_result
    from harness.metrics.tally import Recovery

    hits = 10 if name == "escalation_rate" else 0
    tally = MetricTally(name, hits, 10, {"attempts": 10}, (Recovery("k", 99, 99, 9, True),))
    assert metric_result(tally, SEED_TARGETS[name]).verdict is Verdict.FAIL
