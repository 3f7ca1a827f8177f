"""The verdict of a scenario and of a run: fail over inconclusive over pass."""

from __future__ import annotations

import dataclasses

import orjson
import pytest

from harness.metrics import SEED_TARGETS, MetricTally
from harness.mix import Frequency, Mix
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
    tale = good(story, targets={"mttr_seconds": 0.5}).finished()
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


def named(story, name):
    return dataclasses.replace(judge(good(story).finished().events), name=name)


class TestTheGate:
    """By what the pooled rates are judged."""

    def test_without_a_mix_the_values_decide(self, story):
        run = pool([named(story, "a")])
        assert (run.gate, run.mix, run.verdict) == ("value", None, Verdict.PASS)

    def test_over_the_whole_mix_the_interval_decides(self, story):
        """One recovered incident of one is 100 %, and shows no more than 21 %."""
        run = pool([named(story, "a")], mix=Mix(("a",)))
        recovery = metric(run, "recovery_success_rate")
        assert (run.gate, run.verdict) == ("interval", Verdict.INCONCLUSIVE)
        assert (recovery.value, recovery.verdict) == (1.0, Verdict.INCONCLUSIVE)
        assert run.reasons[0] == (
            "recovery_success_rate is 1 (n=1), target > 0.8: met, but not by its whole 95 % "
            "interval: n=1 is too few"
        )

    def test_enough_incidents_clear_the_target_with_their_whole_interval(self, story):
        names = [f"s{number}" for number in range(80)]
        run = pool([named(story, name) for name in names], mix=Mix(tuple(names)))
        assert (run.gate, run.verdict, run.reasons) == ("interval", Verdict.PASS, ())

    def test_a_part_of_the_mix_is_judged_by_its_values(self, story):
        run = pool([named(story, "a")], mix=Mix(("a", "b")))
        assert (run.gate, run.mix.missing, run.verdict) == ("value", ("b",), Verdict.PASS)

    def test_what_misses_by_its_value_fails_whatever_its_interval_says(self, story):
        """Seven of ten, where above 80 % is asked for, is a miss that chance could explain."""
        result = named(story, "a")
        bad = dataclasses.replace(result, tallies=tuple(_missed(result.tallies)))
        recovery = metric(pool([bad], mix=Mix(("a",))), "recovery_success_rate")
        assert (recovery.verdict, recovery.confident) == (Verdict.FAIL, Verdict.INCONCLUSIVE)

    def test_scenarios_beside_the_mix_are_not_in_its_pool(self, story):
        beside = named(story, "beside")
        run = pool([named(story, "a"), beside], mix=Mix(("a",)))
        assert metric(run, "recovery_success_rate").n == 1
        assert metric(pool([named(story, "a"), beside]), "recovery_success_rate").n == 2

    def test_the_mix_counts_the_incidents_of_its_own_scenarios(self, story):
        mix = Mix(("a",), {"disconnect": Frequency(30.0, "documented", "x", ("https://x",))})
        run = pool([named(story, "a"), named(story, "beside")], mix=mix)
        assert [kind.incidents for kind in run.mix.kinds] == [1]


def _missed(tallies):
    """The tallies with 7 of 10 recoveries."""
    for tally in tallies:
        is_it = tally.name == "recovery_success_rate"
        yield dataclasses.replace(tally, hits=7, n=10) if is_it else tally


def test_a_run_knows_where_its_scenarios_have_been_and_says_so_in_its_report(story):
    run = pool([named(story, "a"), named(story, "b")])
    assert {str(cell): n for cell, n in run.coverage.hits.items()} == {
        "disconnect/closed/none/queries": 2
    }
    entry = orjson.loads(orjson.dumps(run.to_dict()))
    assert entry["coverage"]["reached"] == 1
    assert (entry["gate"], entry["mix"], entry["control"]) == ("value", None, None)
    assert entry["scenarios"][0]["control"] is None


def test_watchers_are_shown_every_event_in_order(story):
    seen = []
    events = good(story).finished().events
    judge(events, watchers=[seen.append])
    assert seen == events
