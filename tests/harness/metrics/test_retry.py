"""What retries came to, on histories small enough to count by hand."""

from __future__ import annotations

import pytest

from .counting import counted, tally


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
