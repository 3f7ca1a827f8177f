"""What a run that was stopped half way comes to: nothing is held against it but breaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.facts import Facts
from harness.faults.catalogue import CATALOGUE
from harness.history import Event, read_history
from harness.results import InvariantResult, Verdict
from harness.run import policy_of, simulate
from harness.scenario import load
from harness.verdict import judge, pool
from harness.world import NAMES

STORY = Path(__file__).parents[2] / "scenarios" / "live" / "hung_up.yaml"


@pytest.fixture(scope="module")
def half(tmp_path_factory: Any) -> list[Event]:
    """A story up to the middle of its fault, where orders wait and nothing is restored."""
    story = load(STORY, catalogue=CATALOGUE, names=NAMES)
    told = simulate(story, tmp_path_factory.mktemp("half"), policy=policy_of(story))
    events = [event for event in read_history(told.path) if event.t < 7.0]
    for kind, name, outcome in (
        ("fault.end", "F1", ""),
        ("fault.healed", "F1", "ok"),
        ("run.end", story.name, "interrupted"),
    ):
        details = {"leftover_tasks": [], "failures": [], "detail": ""} if kind == "run.end" else {}
        source = kind.partition(".")[0]
        events.append(Event(len(events) + 1, 7.0, source, kind, name, outcome, details))
    return events


def test_rates_of_what_was_not_over_are_not_judged_alone_or_pooled(half: list[Event]) -> None:
    """What had no time to recover has not failed to: the run is inconclusive, exit code 3."""
    crashed = [*half[:-1], half[-1]._replace(outcome="crashed")]
    assert [line for line in judge(crashed).reasons if "target" in line], "its horizon was here"
    short = judge(half)
    assert short.verdict is Verdict.INCONCLUSIVE
    assert short.reasons[0] == "interrupted: what was not over yet is not judged"
    assert not [line for line in short.reasons if "target" in line]
    assert {metric.verdict for metric in short.metrics} == {Verdict.INCONCLUSIVE}
    whole = pool([short])
    assert whole.verdict is Verdict.INCONCLUSIVE
    assert {metric.n for metric in whole.metrics} == {0}
    assert {metric.details["why"] for metric in whole.metrics} == {short.reasons[0]}


def test_an_invariant_that_was_broken_by_then_stays_broken(half: list[Event]) -> None:
    """A doubled order is doubled, whatever would have followed."""

    def broken(_facts: Facts) -> InvariantResult:
        return InvariantResult("no_intent_executes_twice", Verdict.FAIL, ("seq 9",), judged=1)

    assert judge(half, oracles={"no_intent_executes_twice": broken}).verdict is Verdict.FAIL
