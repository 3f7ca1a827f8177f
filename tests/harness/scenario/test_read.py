"""What is read from a scenario file, and what stands in for what it leaves out."""

from __future__ import annotations

import copy
import pickle

import pytest

from harness.scenario import TARGETS, FaultSpec, Names, Scenario, Target, load

from .samples import CATALOGUE, HEAD, duration, fault


def test_shortest_scenario_has_the_defaults(read):
    """Name, claim, duration and one venue suffice; the rest is as documented."""
    story = read()
    venue = story.venue("BINANCE")
    assert (story.name, story.proves, story.seed) == ("story", "It holds.", 1)
    assert (story.duration, story.settle) == (600.0, 60.0)
    assert (venue.tick_interval, venue.latency.mean, venue.latency.jitter) == (1.0, 0.02, 0.01)
    assert (venue.symbols["BTCUSDT"].price, venue.tape, venue.standby_for) == (60000, None, None)
    assert (story.faults, story.drawn, story.unexercised) == ((), None, ())
    assert story.policy.base == "default"
    assert story.expect == TARGETS


def test_fault_is_read_with_its_kinds_defaults(read):
    """Times come as seconds, the variant left out is the first, settings left out the default."""
    story = read(
        fault(
            "kind: rate_limit, venue: BINANCE, symbol: BTCUSDT, operation: order.place, at: 90s, "
            "for: 250ms, every: 1m, repeat: 3, probability: 0.5, first: 2"
        )
    )
    assert story.faults == (
        FaultSpec.model_validate(
            {
                "kind": "rate_limit",
                "variant": "seconds",
                "venue": "BINANCE",
                "symbol": "BTCUSDT",
                "operation": "order.place",
                "at": "90s",
                "for": "250ms",
                "every": "1m",
                "repeat": 3,
                "probability": 0.5,
                "first": 2,
                "parameters": {"retry_after": 10.0},
            }
        ),
    )
    assert story.faults[0].at == 90.0
    assert story.faults[0].lasts == 0.25


def test_fault_settings_are_read_in_their_units(read):
    """A duration among the settings of a kind is read as seconds."""
    story = read(fault("kind: latency, venue: BINANCE, at: 1s, for: 5s, delay: 800ms"))
    assert story.faults[0].parameters == {"delay": 0.8, "jitter": 0.1}


def test_expect_replaces_single_targets(read):
    """A target given replaces its default and leaves the others."""
    story = read("expect:\n  mttr_seconds: <= 45.5\n  recovery_success_rate: '>0.5'\n")
    assert story.expect == {
        **TARGETS,
        "mttr_seconds": Target("<=", 45.5),
        "recovery_success_rate": Target(">", 0.5),
    }
    assert str(story.expect["mttr_seconds"]) == "<= 45.5"


def test_default_targets_are_the_seeds():
    """The seven metrics and their targets are those of the seed document, as text."""
    assert {name: str(target) for name, target in TARGETS.items()} == {
        "classification_coverage": "== 1",
        "recovery_success_rate": "> 0.8",
        "mttr_seconds": "< 30",
        "context_completeness": ">= 0.95",
        "breaker_effectiveness": "> 0.9",
        "retry_success_rate": "> 0.7",
        "escalation_rate": "< 0.1",
    }


@pytest.mark.parametrize(
    ("target", "holds"),
    [
        (Target("<", 1), [True, False, False]),
        (Target("<=", 1), [True, True, False]),
        (Target("==", 1), [False, True, False]),
        (Target(">=", 1), [False, True, True]),
        (Target(">", 1), [False, False, True]),
    ],
)
def test_target_compares_below_at_and_above(target, holds):
    assert [target.holds(value) for value in (0.9, 1.0, 1.1)] == holds


def test_policy_by_name_and_inline(write):
    """A policy is a name, or settings on top of one, read by their own specification."""
    names = Names(policy_options={"breaker_timeout": duration(60.0)})
    inline = "policy: {base: none, breaker_timeout: 5s}\n"
    story = load(write(HEAD + inline), catalogue=CATALOGUE, names=names)
    assert (story.policy.base, story.policy.overrides) == ("none", {"breaker_timeout": 5.0})
    story = load(write(HEAD + "policy: none\n"), catalogue=CATALOGUE)
    assert (story.policy.base, story.policy.overrides) == ("none", {})


def test_tape_is_found_beside_the_file(read, tmp_path):
    """A tape's path is relative to the scenario, not to where the command runs."""
    (tmp_path / "trades.csv").write_text("1,60000,1,60000,0,true,true\n", encoding="utf-8")
    story = read("    tape: {csv: trades.csv}\n")
    assert story.venues[0].tape.csv == tmp_path / "trades.csv"


def test_yes_and_no_and_clock_times_are_words(complaints):
    """YAML 1.1 would make them True, False and 90; here they stay what was written."""
    assert complaints("settle: 1:30\npolicy: no\non: true\n") == [
        (9, "expected a duration such as 250ms, 90s, 5m or 1h, settle='1:30', did you mean '90s'?"),
        (10, "expected one of default, none, policy='no', did you mean 'none'?"),
        (
            11,
            "expected one of the keys scenario, proves, seed, duration, settle, venues, workload, "
            "faults, random, policy, expect, unexercised, key='on'",
        ),
    ]


def test_numeric_symbols_keep_their_zeros(read):
    """Hong Kong's 00700 is an instrument and not the number 700."""
    assert list(read(head=HEAD.replace("BTCUSDT", "00700")).venues[0].symbols) == ["00700"]


def test_scenario_is_frozen_and_travels(read):
    """It cannot be changed, and it survives copies and processes."""
    story = read(fault("kind: disconnect, venue: BINANCE, at: 1m"))
    with pytest.raises(ValueError, match="frozen"):
        story.seed = 2
    assert pickle.loads(pickle.dumps(story)) == story == copy.deepcopy(story)


def test_scenario_can_be_made_without_a_file():
    """Tests and searches build scenarios from values, by the same model."""
    story = Scenario.model_validate(
        {
            "scenario": "made",
            "proves": "It holds.",
            "duration": "1m",
            "venues": [{"name": "A", "profile": "binance", "symbols": {"X": {"price": 1}}}],
        }
    )
    assert story.duration == 60.0
