"""Recovery, its time, and who was told, on histories small enough to count by hand."""

from __future__ import annotations

import pytest

from harness.metrics import MetricTally, Target, judge_metrics, metric_result
from harness.results import Verdict

from .counting import counted, result, tally


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
