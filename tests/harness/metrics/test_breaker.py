"""What the breaker held back, on histories small enough to count by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.metrics import TALLIES
from harness.results import Verdict

from .counting import counted, result, tally


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


def looked_up(story, outcome="abandoned", left=0.0, asked=30.0, status=0):
    """An order's attempt of unknown fate at 24 in an outage, and the next account query at `asked`.

    `left`: when its look-up leaves, if it does.
    """
    tale = story({"end": 90.0}).outage(end=90.0, restored=None)
    at_end = tale.events[-2:]
    del tale.events[-2:]
    tale.invoke(14, "o1", client_id="c1").sent(14, "q1", client_id="c1")
    tale.done(24, "q1", outcome, status=status).back(24, "o1", "unknown")
    if left:
        tale.sent(left, "q2", "order.query", client_id="c1", lane="queries").done(
            left, "q2", "lost"
        )
    tale.invoke(asked, "a1", "account", lane="queries")
    tale.sent(asked, "q3", "account", lane="queries").done(asked, "q3", "lost")
    tale.back(asked + 0.1, "a1", "failed")
    tale.events += at_end
    return tale


@pytest.mark.parametrize(("outcome", "status"), [("abandoned", 0), ("lost", 0), ("error", 503)])
def test_query_is_a_probe_when_a_look_up_that_is_due_has_been_held_back(story, outcome, status):
    """A breaker of queries shows in what orders go without: its calls need not be of queries."""
    found = looked_up(story, outcome, status=status)
    assert counted(found, "breaker_effectiveness") == (1, 1)


@pytest.mark.parametrize(
    "details",
    [
        {"left": 24.1},  # it was looked up at once: nothing holds queries back
        {"left": 29.0},
        {"asked": 26.9},  # three seconds are no long time
        {"outcome": "refused"},  # nothing had left, so that nothing is due
        {"outcome": "error", "status": 400},
        {"outcome": "ok"},
    ],
)
def test_query_is_no_probe_when_no_look_up_has_been_held_back(story, details):
    assert counted(looked_up(story, **details), "breaker_effectiveness") == (0, 1)


def test_a_look_up_that_is_due_permits_one_probe_and_no_more(story):
    tale = looked_up(story)
    at_end = tale.events[-2:]
    del tale.events[-2:]
    tale.invoke(50, "a2", "account", lane="queries").sent(50, "q4", "account", lane="queries")
    tale.done(50, "q4", "lost").back(50.1, "a2", "failed")
    tale.events += at_end
    assert counted(tale, "breaker_effectiveness") == (1, 2)


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


@pytest.mark.parametrize("word", ["blocked", "failed", "unknown"])
def test_blocked_while_all_is_well_is_a_false_opening_and_fails_the_metric(story, word):
    """By the link's record nothing left; what the core calls that counts for nothing."""
    tale = down(story, ())
    tale.events += story().probe(120).invoke(125, "x").back(125, "x", word).events[1:]
    found = result(tale, "breaker_effectiveness")
    assert (found.value, found.verdict) == (1.0, Verdict.FAIL)
    assert found.details["false_open_rate"] == 1.0


@pytest.mark.parametrize("word", ["blocked", "failed", "unknown"])
def test_whatever_it_is_called_what_was_held_back_permits_a_probe(story, word):
    tale = down(story, {5})
    tale.events = [
        event._replace(outcome=word) if event.outcome == "blocked" else event
        for event in tale.events
    ]
    assert counted(tale, "breaker_effectiveness") == (10, 10)


def test_blocked_within_the_bound_after_a_fault_is_no_false_opening(story):
    tale = story({}).outage().invoke(45, "x").back(45, "x", "blocked")
    assert tally(tale, "breaker_effectiveness").counts["healthy_calls"] == 0
    tale.invoke(51, "y").back(51, "y")
    assert tally(tale, "breaker_effectiveness").counts["healthy_calls"] == 1


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
