"""Classification coverage, on histories small enough to count by hand."""

from __future__ import annotations

import pytest

from harness.results import Verdict

from .counting import counted, result


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


def test_calling_a_lost_reply_an_unknown_order_hides_nothing(story):
    """Who says of a request that a fault touched what became of it says what the fault did."""
    tale = story({}).outage().sent(15, "r2", client_id="c1").fired(15, "F1", "r2")
    tale.done(16, "r2", "abandoned")
    tale.error(16, "E2", "r2", "order_execution", type="UnknownOrderError")
    assert counted(tale, "classification_coverage") == (1, 2)


def test_order_that_stays_unknown_is_no_error_of_its_own(story):
    """It follows from an error that has a record; a fault without one counts as missed."""
    fields = {"type": "UnknownOrderError", "outcome": "unknown"}
    tale = story({}).outage(errors=False).error(12, "E1", "", "order_execution", **fields)
    assert counted(tale, "classification_coverage") == (0, 1)
    tale = story({}).outage().error(12, "E1", "", "order_execution", **fields)
    assert counted(tale, "classification_coverage") == (1, 1)


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
