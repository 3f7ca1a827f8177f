"""The seven metrics: each by its definition, on histories small enough to count by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.facts import fold
from harness.metrics import SEED_TARGETS, TALLIES, MetricTally, Target, judge_metrics, metric_result
from harness.metrics.tally import bootstrap_mean, chance_of, quantile, wilson
from harness.results import Verdict


def tally(story, name):
    return TALLIES[name](fold(story.events))


def result(story, name):
    return metric_result(tally(story, name), SEED_TARGETS[name])


def counted(story, name):
    found = tally(story, name)
    return found.hits, found.n


# -- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hits", "n", "low", "high"), [(5, 5, 0.57, 1.0), (17, 20, 0.64, 0.95)])
def test_wilson_gives_the_published_bounds(hits, n, low, high):
    """5 of 5 shows no more than 57 %, 17 of 20 lies in 64 to 95 %."""
    assert wilson(hits, n) == pytest.approx((low, high), abs=0.005)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_its_rate_and_stays_in_range(pair):
    low, high = wilson(*pair)
    assert 0.0 <= low <= pair[0] / pair[1] + 1e-12
    assert pair[0] / pair[1] - 1e-12 <= high <= 1.0


def test_quantile_is_the_smallest_value_that_covers_the_share():
    assert [quantile([3, 1, 2], share) for share in (0.0, 0.34, 0.95)] == [1, 2, 3]


def test_bootstrap_gives_the_same_interval_for_the_same_values():
    values = [1.0, 2.0, 9.0]
    assert bootstrap_mean(values) == bootstrap_mean(values)
    assert bootstrap_mean([4.0, 4.0]) == (4.0, 4.0)


def test_tallies_add_their_counts_and_refuse_another_metric():
    """9 of 10 and 1 of 90 pool to 10 of 100, not to the mean of two ratios."""
    name = "retry_success_rate"
    both = MetricTally(name, 9, 10, {"a": 1}) + MetricTally(name, 1, 90, {"a": 2, "b": 3})
    assert both == MetricTally(name, 10, 100, {"a": 3, "b": 3})
    with pytest.raises(ValueError, match="expected another 'retry_success_rate'"):
        both + MetricTally("mttr_seconds")


@pytest.mark.parametrize(
    ("own", "usual", "expected"),
    [
        ("< 10", "< 30", True),
        ("< 40", "< 30", False),
        ("> 0.9", "> 0.8", True),
        ("> 0.8", "> 0.8", True),
        (">= 0.8", "> 0.8", False),
        ("> 0.5", "> 0.8", False),
        ("== 1", "== 1", True),
        ("== 0.9", "== 1", False),
        (">= 0.9", "== 1", False),
    ],
)
def test_target_is_at_least_another_when_it_is_as_hard_to_meet(own, usual, expected):
    usual = Target.of(usual, SEED_TARGETS["mttr_seconds"])
    assert Target.of(own, usual).is_at_least(usual) is expected


def test_number_as_target_is_compared_as_is_usual():
    assert str(Target.of(0.5, Target(">", 0.9))) == "> 0.5"


def test_nothing_counted_is_inconclusive(story):
    for name in SEED_TARGETS:
        found = result(story(), name)
        assert (found.value, found.verdict, found.n) == (None, Verdict.INCONCLUSIVE, 0)
        assert found.details["why"] == "not exercised"


def test_few_hits_pass_the_point_but_not_the_confident_verdict():
    found = metric_result(MetricTally("retry_success_rate", 5, 5), Target(">", 0.7))
    assert (found.verdict, found.confident) == (Verdict.PASS, Verdict.INCONCLUSIVE)
    found = metric_result(MetricTally("retry_success_rate", 50, 50), Target(">", 0.7))
    assert found.confident is Verdict.PASS
    found = metric_result(MetricTally("retry_success_rate", 1, 50), Target(">", 0.7))
    assert (found.verdict, found.confident) == (Verdict.FAIL, Verdict.FAIL)


@pytest.mark.parametrize(
    ("hits", "n", "target", "expected"),
    [
        (0, 1, Target(">", 0.9), Verdict.INCONCLUSIVE),  # one time in ten
        (2, 4, Target(">", 0.9), Verdict.INCONCLUSIVE),  # one in nineteen
        (0, 2, Target(">", 0.9), Verdict.FAIL),  # one in a hundred
        (8, 9, Target(">", 0.9), Verdict.INCONCLUSIVE),
        (9, 10, Target(">", 0.9), Verdict.FAIL),  # ten are enough, whatever chance can do
    ],
)
def test_a_miss_among_few_decides_only_where_chance_cannot_explain_it(hits, n, target, expected):
    """By the exact probability, which an interval only comes near to."""
    found = metric_result(MetricTally("breaker_effectiveness", hits, n), target)
    assert found.verdict is expected
    assert found.details.get("too_few", False) is (expected is Verdict.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("name", "hits", "n", "target", "expected"),
    [
        ("recovery_success_rate", 0, 1, Target(">", 0.8), Verdict.FAIL),
        ("recovery_success_rate", 3, 4, Target(">", 0.8), Verdict.INCONCLUSIVE),
        ("escalation_rate", 1, 1, Target("<", 0.1), Verdict.FAIL),
        ("classification_coverage", 0, 1, Target("==", 1.0), Verdict.FAIL),  # all means all
    ],
)
def test_an_incident_has_a_cause_and_is_chance_only_inside_the_interval(
    name, hits, n, target, expected
):
    assert metric_result(MetricTally(name, hits, n), target).verdict is expected


@pytest.mark.parametrize(
    ("hits", "n", "target", "expected"),
    [
        (0, 1, Target(">", 0.9), 0.1),
        (1, 2, Target(">=", 0.5), 0.75),
        (1, 2, Target("<", 0.5), 0.75),
        (2, 2, Target("<=", 0.1), 0.01),
        (3, 3, Target("==", 1.0), 1.0),
        (2, 3, Target("==", 1.0), 0.0),
    ],
)
def test_chance_is_that_of_so_many_or_worse(hits, n, target, expected):
    assert chance_of(hits, n, target) == pytest.approx(expected)


# -- classification -----------------------------------------------------------------------------


def test_error_of_an_accepted_category_is_a_hit(story):
    assert counted(story({}).outage(), "classification_coverage") == (1, 1)


@pytest.mark.parametrize(
    "wrong", [{"category": "system"}, {"context": {"classified_by": "default"}}]
)
def test_wrong_category_and_default_are_misses(story, wrong):
    """A right guess by default is no classification."""
    tale = story({}).outage(errors=False).error(12, "E1", "r-F1", **wrong)
    assert counted(tale, "classification_coverage") == (0, 1)


def test_fault_without_an_error_record_is_a_miss(story):
    """A swallowed error counts against the coverage."""
    found = result(story({}).outage(errors=False), "classification_coverage")
    assert (found.numerator, found.denominator, found.details["silent"]) == (0, 1, 1)
    assert found.details["confusion"] == {"connection": {"(silent)": 1}}


def test_unlinked_error_is_judged_by_adapter_and_window(story):
    tale = story({}).outage(errors=False, restored=None).error(33, "E1", "", "validation")
    assert counted(tale, "classification_coverage") == (0, 1)


def test_error_of_a_request_that_no_fault_touched_is_not_judged(story):
    """A rejection of the workload's own, during an outage, has no injected truth."""
    tale = story({}).outage(restored=None).sent(31, "own")
    assert counted(tale.error(32, "E9", "own", "order_execution"), "classification_coverage") == (
        1,
        1,
    )


def test_same_record_seen_twice_counts_once(story):
    tale = story({}).outage().error(40, "E-F1", "r-F1")
    assert counted(tale, "classification_coverage") == (1, 1)


def test_calling_everything_unknown_order_hides_nothing(story):
    """What follows from another error is not judged, but does not stand in for it either."""
    tale = story({}).outage(errors=False).error(12, "E1", "r-F1", type="UnknownOrderError")
    assert counted(tale, "classification_coverage") == (0, 1)


@pytest.mark.parametrize("recoverable", [True, False])
def test_hopeless_fault_must_not_be_called_recoverable(story, recoverable):
    """Whoever believes it waits for what no waiting brings."""
    tale = story({"recoverable": False}).outage(errors=False)
    context = {"operation": "order.query"}
    tale.error(12, "E-F1", "r-F1", recoverable=recoverable, context=context)
    found = result(tale, "classification_coverage")
    assert (found.details["hopeless"], found.details["false_recoverable"]) == (1, recoverable)
    assert found.verdict is (Verdict.FAIL if recoverable else Verdict.PASS)
    if recoverable:
        why = "1 errors of what only a person can mend are called recoverable"
        assert found.details["why"] == why


# -- recovery, MTTR, escalation -----------------------------------------------------------------


def test_restored_within_the_bound_is_recovered(story):
    assert counted(story({}).outage().finished(), "recovery_success_rate") == (1, 1)


@pytest.mark.parametrize("restored", [None, 50.5])
def test_late_or_never_is_not_recovered(story, restored):
    tale = story({}).outage(restored=restored).finished()
    assert counted(tale, "recovery_success_rate") == (0, 1)


def test_recovery_with_an_operator_is_none(story):
    tale = story({}).outage(restored=None).add(31, "operator.alert", "i", adapter="A")
    tale.probe(32).probe(32.5).finished()
    assert counted(tale, "recovery_success_rate") == (0, 1)


def test_hopeless_faults_and_those_cleared_at_the_horizon_are_not_in_the_rate(story):
    assert counted(story({"recoverable": False}).outage(), "recovery_success_rate") == (0, 0)
    tale = story({}).outage(end=100.0, restored=101.0).finished()
    assert counted(tale, "recovery_success_rate") == (0, 0)


def test_core_that_says_recovered_while_the_probe_is_down_has_not_recovered(story):
    """A lying core: its own word is no evidence."""
    tale = story({}).outage(restored=None)
    tale.add(31, "engine.recovery", "i", "succeeded", adapter="A", action="reconnect")
    tale.add(31, "engine.breaker", "A.orders", "closed", adapter="A", lane="orders")
    tale.probe(32, "down").probe(60, "down").finished()
    assert counted(tale, "recovery_success_rate") == (0, 1)
    assert tally(tale, "mttr_seconds").recoveries[0].is_censored


def test_time_to_recovery_runs_from_impact_and_the_residual_from_clearing(story):
    (recovery,) = tally(story({}).outage().finished(), "mttr_seconds").recoveries
    assert (recovery.total, recovery.residual, recovery.detection) == (21.0, 2.0, 1.0)


def test_incident_never_restored_counts_to_the_end_of_watching(story):
    """9 s and still down at 100 s is not 9 s."""
    (recovery,) = tally(story({}).outage(restored=None).finished(), "mttr_seconds").recoveries
    assert (recovery.total, recovery.is_censored) == (89.0, True)


def test_what_an_interrupt_cuts_short_lasted_as_long_as_it_was_watched(story):
    """Ctrl-C after half a minute makes no outage of an hour."""
    tale = story({}).outage(restored=None).finished(t=40.0, ending="interrupted")
    (recovery,) = tally(tale, "mttr_seconds").recoveries
    assert (recovery.total, recovery.is_censored) == (29.0, True)


def test_short_mean_with_a_long_residual_misses(story):
    """The residual's 95th percentile is held to the same target as the mean."""
    tale = story({}).outage(begin=10, end=11.5, restored=45.0).finished()
    short = MetricTally(
        "mttr_seconds",
        9,
        9,
        {},
        tally(story({}).outage(end=13, restored=14), "mttr_seconds").recoveries * 9,
    )
    found = metric_result(short + tally(tale, "mttr_seconds"), Target("<", 30))
    assert found.value < 30
    assert found.verdict is Verdict.FAIL
    assert "residual p95" in found.details["why"]


def test_time_to_recovery_fails_with_recovery_itself(story):
    """Quick where it worked is no success when it mostly did not."""
    tale = story({}).outage(end=13.0, restored=14.0).finished()
    good = tally(tale, "mttr_seconds")
    bad = MetricTally("recovery_success_rate", 1, 10)
    verdicts = {each.name: each.verdict for each in judge_metrics([bad, good])}
    assert verdicts["mttr_seconds"] is Verdict.FAIL


def test_fault_that_is_not_of_the_connection_has_no_time_to_recovery(story):
    assert counted(story({"connection": False}).outage(), "mttr_seconds") == (0, 0)


def test_escalated_incidents_count_once_and_spurious_alerts_too(story):
    tale = story({}).add(5, "operator.alert", "i0", adapter="A").outage()
    tale.add(13, "operator.alert", "i1", error_id="E-F1")
    tale.add(14, "operator.alert", "i2", error_id="E-F1")
    assert counted(tale, "escalation_rate") == (2, 2)


def test_silence_about_what_must_be_told_fails_the_rate(story):
    """0 % escalated is no merit when somebody had to be called."""
    found = result(story({"must_escalate": True}).outage(), "escalation_rate")
    assert (found.value, found.verdict) == (0.0, Verdict.FAIL)
    assert found.details["must_escalate_recall"] == 0.0


# -- context ------------------------------------------------------------------------------------


def with_error(story, category="connection", **fields):
    tale = story().sent(1, "r1", client_id="c1").invoke(1, "o1", client_id="c1")
    return tale.error(2, "E1", "r1", category, **fields)


def lacking(tale):
    return set(result(tale, "context_completeness").details["lacking"])


def test_record_with_every_true_field_is_complete(story):
    assert counted(with_error(story), "context_completeness") == (1, 1)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"suggested_action": "n/a"}, "suggested_action"),
        ({"severity": None}, "severity"),
        ({"outcome": "maybe"}, "outcome"),
        ({"error_id": ""}, "error_id"),
        ({"context": {"adapter": "GHOST"}}, "adapter"),
        ({"context": {"correlation_id": "r99"}}, "correlation_id"),
        ({"context": {"operation": "order.cancel"}}, "operation"),
        ({"context": {"client_id": "c2"}}, "client_id"),
        ({"context": {"cause_type": "unknown"}}, "cause_type|code"),
    ],
)
def test_missing_placeholder_or_false_field_is_incomplete(story, fields, name):
    assert lacking(with_error(story, **fields)) == {f"connection: {name}"}


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        ("rate_limit", {"retry_after|retry_policy"}),
        ("order_execution", {"client_id|order_id", "vt_symbol"}),
        ("market_data", {"vt_symbol", "data_age"}),
        ("validation", {"field"}),
    ],
)
def test_category_asks_for_its_own_fields(story, category, expected):
    assert lacking(with_error(story, category)) == {f"{category}: {name}" for name in expected}


def test_symbol_of_another_order_is_false(story):
    context = {"client_id": "c1", "vt_symbol": "ETHUSDT.BINANCE"}
    assert lacking(with_error(story, "order_execution", context=context)) == {
        "order_execution: vt_symbol"
    }


def test_shorter_wait_than_the_venue_asked_for_is_false(story):
    tale = story().sent(1, "r1").done(1, "r1", "error", status=429, retry_after=30)
    tale.error(2, "E1", "r1", "rate_limit", retry_after=5.0)
    assert lacking(tale) == {"rate_limit: retry_after"}


# -- breaker ------------------------------------------------------------------------------------


def down(story, sends, calls=10, gap=2.0, blocked_sends=False):
    """Calls every `gap` seconds from t=20 in an outage; those in `sends` reach the venue."""
    tale = story({"end": 90.0}).outage(end=90.0, restored=None)
    at_end = tale.events[-2:]
    del tale.events[-2:]
    for index in range(calls):
        t, call = 20 + index * gap, f"o{index}"
        tale.invoke(t, call, client_id=call)
        if index in sends:
            tale.sent(t, f"q{index}", client_id=call).done(t, f"q{index}", "refused")
        tale.back(t + 0.1, call, "failed" if index in sends and not blocked_sends else "blocked")
    tale.events += at_end
    return tale


def test_breaker_that_holds_everything_back_is_effective(story):
    assert counted(down(story, ()), "breaker_effectiveness") == (10, 10)


def test_one_probe_after_held_back_calls_is_permitted(story):
    assert counted(down(story, {5}), "breaker_effectiveness") == (10, 10)


def test_client_without_a_breaker_is_forgiven_nothing(story):
    """However seldom it calls: nothing was held back, so nothing was a probe."""
    assert counted(down(story, set(range(10)), gap=5.0), "breaker_effectiveness") == (0, 10)


def waiting(story, asked, sent):
    """One call asked for at `asked` and sent at `sent`, in an outage from t=20."""
    tale = story({"end": 90.0}).outage(end=90.0, restored=None)
    at_end = tale.events[-2:]
    del tale.events[-2:]
    tale.invoke(asked, "o1", client_id="c1").sent(sent, "q1", client_id="c1")
    tale.done(sent, "q1", "refused").back(sent + 0.1, "o1", "failed")
    tale.events += at_end
    return tale


def test_request_of_a_call_that_had_to_wait_is_permitted_as_a_probe(story):
    assert counted(waiting(story, 40.0, 43.0), "breaker_effectiveness") == (1, 1)


def test_request_of_a_call_that_hardly_waited_is_not(story):
    """A retry's backoff is no breaker."""
    assert counted(waiting(story, 40.0, 42.9), "breaker_effectiveness") == (0, 1)


def test_every_other_call_in_quick_succession_is_no_probing(story):
    """The first of these follows held-back calls; the rest come within a second of another."""
    found = tally(down(story, {1, 3, 5, 7, 9}, gap=0.2), "breaker_effectiveness")
    assert (found.counts["permitted_probes"], found.hits) == (1, 6)


def test_breaker_that_says_open_and_lets_calls_through_is_not_effective(story):
    """Blocked by its own word, sent by the link's."""
    tale = down(story, set(range(10)), blocked_sends=True)
    assert counted(tale, "breaker_effectiveness") == (0, 10)


def test_calls_before_the_detection_budget_or_of_other_operations_do_not_count(story):
    tale = story({"blocks": ["order.place"]}).begin(10).sent(10, "r").fired(10, "F1", "r")
    tale.invoke(14, "early").invoke(16, "other", "order.cancel")
    assert counted(tale.invoke(16, "late"), "breaker_effectiveness") == (0 + 1, 1)


def test_blocked_while_all_is_well_is_a_false_opening_and_fails_the_metric(story):
    tale = down(story, ())
    tale.events += story().probe(120).invoke(125, "x").back(125, "x", "blocked").events[1:]
    found = result(tale, "breaker_effectiveness")
    assert (found.value, found.verdict) == (1.0, Verdict.FAIL)
    assert found.details["false_open_rate"] == 1.0


def test_blocked_within_the_bound_after_a_fault_is_no_false_opening(story):
    tale = story({}).outage().invoke(45, "x").back(45, "x", "blocked")
    assert tally(tale, "breaker_effectiveness").counts["healthy_calls"] == 0
    tale.invoke(51, "y").back(51, "y")
    assert tally(tale, "breaker_effectiveness").counts["healthy_calls"] == 1


# -- retry --------------------------------------------------------------------------------------


def retried(story, first="refused", returned="ok", orders=1, status="NOTTRADED", **done):
    tale = story().invoke(1, "o1", client_id="c1")
    tale.sent(1, "r1", client_id="c1").done(1, "r1", first, **done)
    tale.sent(2, "r2", client_id="c1").done(2, "r2")
    for number in range(orders):
        tale.venue_order(2, f"v{number}")
    return tale.back(3, "o1", returned).order(3, status).final(status, "NEW")


def test_operation_that_succeeds_on_a_later_attempt_is_a_success(story):
    found = tally(retried(story), "retry_success_rate")
    assert (found.hits, found.n) == (1, 1)
    assert (found.counts["operations"], found.counts["attempts"]) == (1, 2)


@pytest.mark.parametrize(
    "how",
    [
        {"returned": "failed"},
        {"orders": 0},
        {"orders": 2},
        {"returned": "unknown", "status": "UNKNOWN"},
    ],
)
def test_failure_and_anything_but_exactly_once_is_no_success(story, how):
    assert counted(retried(story, **how), "retry_success_rate") == (0, 1)


def test_unknown_that_was_found_at_the_venue_is_a_success(story):
    assert counted(retried(story, "lost", "unknown"), "retry_success_rate") == (1, 1)


def test_first_failure_that_no_retry_can_mend_does_not_count(story):
    tale = story().invoke(1, "o1", client_id="c1").sent(1, "r1", client_id="c1")
    tale.done(1, "r1", "error", status=400).back(2, "o1", "failed")
    assert counted(tale, "retry_success_rate") == (0, 0)


@pytest.mark.parametrize(("end", "apart"), [(40.0, 1), (14.0, 0)])
def test_outage_beyond_the_budget_is_a_set_of_its_own(story, end, apart):
    """No retry can succeed there, so it is shown apart; a short outage is judged."""
    tale = story({"begin": 10.0, "end": end}).begin(10).invoke(11, "o1", client_id="c1")
    tale.sent(11, "r1", client_id="c1").fired(11, "F1", "r1").done(11, "r1", "refused")
    found = tally(tale.back(13, "o1", "failed"), "retry_success_rate")
    assert (found.hits, found.n, found.counts["beyond_budget"]) == (0, 1 - apart, apart)


def test_sets_apart_are_whole_with_hits_and_misses(story):
    """Keeping the lucky ones in the rate and leaving the others out would flatter it."""
    tale = story({"end": 40.0}).begin(10).invoke(11, "o1", client_id="c1")
    tale.sent(11, "r1", client_id="c1").fired(11, "F1", "r1").done(11, "r1", "lost")
    tale.venue_order(11, "v1").back(13, "o1", "unknown").order(50, "NOTTRADED")
    found = tally(tale.final("NOTTRADED", "NEW"), "retry_success_rate")
    assert (found.n, found.counts["beyond_budget_hits"]) == (0, 1)


def test_wait_that_the_venue_asked_for_is_apart_while_it_lasts(story):
    tale = story().invoke(1, "o1", client_id="c1").sent(1, "r1", client_id="c1")
    tale.done(1, "r1", "error", status=429, retry_after=30)
    assert tally(tale.back(5, "o1", "failed"), "retry_success_rate").counts["beyond_budget"] == 1


def test_canary_that_was_given_up_owes_no_record(story):
    """The harness lost its patience, not the client; a plain request that is given up does owe."""
    for canary, expected in ((True, (0, 0)), (False, (0, 1))):
        tale = story({"blocks": []}).probe(9).begin(10).invoke(11, "o1", "account", canary=canary)
        tale.sent(11, "r1", "account").fired(11, "F1", "r1", effect="delayed")
        tale.done(14, "r1", "abandoned").back(14, "o1", "failed").end(30)
        assert counted(tale, "classification_coverage") == expected


def test_answer_to_a_request_that_was_only_slow_is_the_venues_own(story):
    """A delay does not make an order be refused."""
    tale = story({"blocks": []}).begin(10).sent(11, "r1").fired(11, "F1", "r1", effect="delayed")
    tale.done(14, "r1", "error", status=400).error(14, "E1", "r1", "order_execution")
    assert counted(tale, "classification_coverage") == (0, 0)


# -- the core's own word ------------------------------------------------------------------------

_BOASTS = st.lists(
    st.tuples(
        st.sampled_from(["engine.recovery", "engine.breaker", "engine.retry"]),
        st.sampled_from(["succeeded", "closed", "ok", "started"]),
        st.integers(1, 20),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=40, deadline=None)
@given(_BOASTS)
def test_success_that_the_core_claims_improves_no_metric(story, boasts):
    """Whatever engine.* says of success, and wherever: the tallies stay as they are."""
    tale = down(story, {1, 2, 3}).probe(95, "down").finished()
    before = {name: tally(tale, name) for name in TALLIES}
    for kind, outcome, position in boasts:
        event = story().add(50, kind, "A", outcome, adapter="A", lane="orders").events[-1]
        tale.events.insert(position, event)
    assert {name: tally(tale, name) for name in TALLIES} == before
