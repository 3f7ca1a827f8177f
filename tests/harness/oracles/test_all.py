"""What holds for every invariant: on nothing, when its check breaks, and in how it tells."""

from __future__ import annotations

import pytest

from harness.facts import fold
from harness.oracles import ORACLES, judge_invariants

from .asking import OPEN, PASS, ask

ALWAYS_JUDGED = {"run_completed", "no_task_left", "steady_before_and_after"}


@pytest.mark.parametrize("name", [name for name in ORACLES if name not in ALWAYS_JUDGED])
def test_empty_history_judges_nothing_and_weighs_nothing(story, name):
    found = ask(story(), name)
    assert (found.verdict, found.exercised, found.weight) == (OPEN, False, PASS)


def test_oracle_that_crashes_is_undecided_and_counts(story):
    def broken(facts):
        raise KeyError("c1")

    (found,) = judge_invariants(fold(story().events), {"broken": broken})
    assert (found.weight, found.evidence) == (OPEN, ("the check crashed: KeyError: 'c1'",))


def test_evidence_stays_small_and_says_what_was_left_out(story):
    tale = story().add(1, "run.shutdown")
    for number in range(30):
        tale.sent(2, f"r{number}", client_id=f"c{number}")
    found = ask(tale, "nothing_sent_after_shutdown")
    assert (len(found.evidence), found.evidence[-1]) == (21, "and 10 more")
