from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.metrics import Target
from harness.mix import MixResult
from harness.report import wording
from harness.results import Verdict


@given(st.text(alphabet=st.characters()))
def test_visible_text_encodes_and_holds_no_control_character(text):
    shown = wording.visible(text)
    shown.encode()
    assert not any(ord(char) < 32 and char not in "\t\n" for char in shown)
    assert wording.visible(shown) == shown


def test_ordinary_text_of_any_language_is_left_as_it_is():
    text = "Ünïcode 数字 🙂\ttab\nline"
    assert wording.visible(text) == text


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (1.0, "100 %"),
        (0.9999, "> 99.9 %"),
        (1.0 - 1e-16, "100 %"),
        (1e-17, "0 %"),
        (0.0, "0 %"),
        (0.0001, "< 0.1 %"),
        (0.5, "50 %"),
        (0.876, "87.6 %"),
    ],
)
def test_a_ratio_never_rounds_to_a_perfection_that_it_is_not(number, shown):
    assert wording.amount(number, "ratio") == shown


@pytest.mark.parametrize(
    ("duration", "shown"),
    [
        (0.4, "0.40 s"),
        (12.34, "12.3 s"),
        (119.0, "119.0 s"),
        (245.0, "4 min 05 s"),
        (3720.0, "1 h 02 min"),
    ],
)
def test_durations_read_as_people_say_them(duration, shown):
    assert wording.seconds(duration) == shown


def test_moments_and_axis_marks_are_short():
    assert [wording.clock_time(at) for at in (0, 125, 3600)] == ["0:00", "2:05", "1:00:00"]
    marks = [wording.round_time(at) for at in (0, 45, 60, 90, 120, 3600, 5400, 7200)]
    assert marks == ["0 s", "45 s", "1 min", "90 s", "2 min", "1 h", "90 min", "2 h"]


@pytest.mark.parametrize(
    ("target", "bound", "shown"),
    [
        ("== 1", ("=", 1.0), "= 100 %"),
        (">= 0.95", ("≥", 0.95), "≥ 95 %"),
        ("> 70 %", (">", 0.7), "> 70 %"),
        ("> 0.9995", (">", 0.9995), "> 99.95 %"),
        ("< 0.00001", ("<", 0.00001), "< 0.001 %"),
        ("as agreed", None, "as agreed"),
    ],
)
def test_a_target_is_read_and_shown_in_the_metrics_own_unit(passing, target, bound, shown):
    metric = replace(passing.metrics[0], target=target)
    assert wording.target_bound(metric) == bound
    assert wording.target(metric) == shown


def test_a_target_in_seconds_is_shown_with_all_its_digits(passing):
    metric = replace(passing.metrics[0], name="mttr_seconds", target="< 30.0000001")
    assert wording.target(metric) == "< 30.0000001 s"


def test_the_headline_says_how_much_of_what_failed(passing, failing):
    assert wording.headline(passing) == "Pass: 1 scenario, every target met, no invariant broken"
    assert wording.headline(failing) == "Fail: 1 of 2 scenarios failed, 1 of 7 targets missed"
    unsure = replace(passing.scenarios[0], verdict=Verdict.INCONCLUSIVE)
    run = replace(passing, verdict=Verdict.INCONCLUSIVE, scenarios=(unsure,))
    assert wording.headline(run) == "Inconclusive: 1 of 1 scenario inconclusive"
    both = replace(failing, scenarios=(*failing.scenarios, unsure))
    assert wording.headline(both) == (
        "Fail: 1 of 3 scenarios failed, 1 inconclusive, 1 of 7 targets missed"
    )


def test_what_was_never_put_to_the_test_counts_neither_as_held_nor_as_tested(passing):
    assert wording.held(passing.scenarios[0]) == "1 of 1"
    assert wording.fired(passing.scenarios[0]) == "2 of 2"


def test_a_mean_over_incidents_that_never_ended_is_shown_as_a_lower_bound(passing):
    mttr = passing.metrics[2]
    assert wording.value(mttr) == "12.5 s"
    censored = replace(mttr, details={**mttr.details, "censored": 2})
    assert wording.value(censored) == "≥ 12.5 s"


def test_what_must_be_read_with_a_metric_stands_beside_it(passing):
    shown = {metric.name: wording.beside(metric) for metric in passing.metrics}
    assert shown["mttr_seconds"] == "median 9.00 s, p95 24.0 s, 0 not restored"
    assert shown["breaker_effectiveness"] == "false-open rate 0.4 %"
    assert shown["retry_success_rate"] == ""


def test_only_what_was_announced_is_excused(passing):
    """A check that crashed is never excused, nor one that found something to count."""
    scenario = passing.scenarios[0]
    untried = scenario.metrics[5]
    assert wording.is_excused(untried, scenario.unexercised)
    assert not wording.is_excused(untried, frozenset())
    assert not wording.is_excused(passing.metrics[5], scenario.unexercised)
    crashed = replace(untried, details={"crashed": True})
    assert not wording.is_excused(crashed, scenario.unexercised)


def test_a_run_excuses_only_what_all_its_scenarios_do(passing):
    scenario = passing.scenarios[0]
    other = replace(scenario, unexercised=frozenset({"mttr_seconds"}))
    assert wording.excused_of(passing) == {"retry_success_rate"}
    assert wording.excused_of(replace(passing, scenarios=(scenario, other))) == frozenset()
    assert wording.excused_of(replace(passing, scenarios=())) == frozenset()


def test_a_run_excuses_what_its_scenarios_hold_to_a_target_of_their_own(passing):
    """As the verdict does: what asks for less is out of the pool, and the pool may be empty."""
    scenario = passing.scenarios[0]
    lower = replace(scenario, targets={"escalation_rate": Target("<=", 1.0)})
    higher = replace(scenario, targets={"escalation_rate": Target("<", 0.05)})
    usual = wording.excused_of(passing)
    assert wording.excused_of(replace(passing, scenarios=(lower,))) == {*usual, "escalation_rate"}
    assert wording.excused_of(replace(passing, scenarios=(lower, scenario))) == usual
    assert wording.excused_of(replace(passing, scenarios=(higher,))) == usual


def test_over_the_whole_mix_only_its_scenarios_say_what_is_excused(passing):
    scenario = passing.scenarios[0]
    beside = replace(scenario, name="beside", unexercised=frozenset())
    run = replace(passing, scenarios=(scenario, beside))
    assert wording.excused_of(run) == frozenset()
    whole = replace(run, mix=MixResult((scenario.name,)))
    assert wording.excused_of(whole) == {"retry_success_rate"}
    partly = replace(run, mix=MixResult((scenario.name, "other"), missing=("other",)))
    assert wording.excused_of(partly) == frozenset()


def test_a_pass_that_left_targets_untried_does_not_claim_them(passing):
    untried = passing.scenarios[0].metrics[5]
    run = replace(passing, metrics=(*passing.metrics[:6], untried))
    assert wording.headline(run) == (
        "Pass: 1 scenario, 6 of 7 targets tried and met, no invariant broken"
    )
