"""What every metric rests on: intervals, chance, and when a verdict is open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.metrics import SEED_TARGETS, MetricTally, Target, metric_result
from harness.metrics.tally import bootstrap_mean, chance_of, quantile, wilson
from harness.results import Verdict

from .counting import result


@pytest.mark.parametrize(("hits", "n", "low", "high"), [(5, 5, 0.57, 1.0), (17, 20, 0.64, 0.95)])
def test_wilson_gives_the_published_bounds(hits, n, low, high):
    """5 of 5 shows no more than 57 %, 17 of 20 lies in 64 to 95 %."""
    assert wilson(hits, n) == pytest.approx((low, high), abs=0.005)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_its_rate_and_stays_in_range(pair):
    low, high = wilson(*pair)
    assert 0.0 <= low <= pair[0] / pair[1] + 1e-12
    assert pair[0] / pair[1] - 1e-12 <= high <= 1.0


@given(st.integers(1, 500))
def test_wilson_of_all_and_of_none_ends_where_a_rate_does(n):
    assert (wilson(n, n)[1], wilson(0, n)[0]) == (1.0, 0.0)


@given(
    st.sampled_from(["<", "<=", ">", ">=", "=="]),
    st.one_of(st.floats(0, 1), st.floats(0, 1e9), st.sampled_from([1e-5, 0.9999999, 5e-324])),
)
def test_a_target_can_be_read_as_it_is_printed(operator, number):
    target = Target(operator, number)
    assert Target.of(str(target), Target("<", 0.0)) == target


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
