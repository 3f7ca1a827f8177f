"""Coverage of the fault space: where each hit counts, and which corners are left."""

from __future__ import annotations

import pytest

from harness.coverage import SPACE, Cell, Coverage, CoverageFold, Reach
from harness.faults.catalogue import BUILT_IN

SMALL = {"refuse": Reach(("orders", "stream")), "ack_lost": Reach(("orders",), is_late=True)}


def cells(story) -> dict[str, int]:
    fold = CoverageFold()
    for event in story.events:
        fold.take(event)
    return {str(cell): n for cell, n in fold.done().hits.items()}


def breaker(story, t, lane, state):
    return story.add(t, "engine.breaker", f"A.{lane}", state, adapter="A", lane=lane)


def test_a_new_order_is_submitting_and_its_breaker_closed_until_it_says_otherwise(story):
    tale = story({}).invoke(1, "op", client_id="c1").sent(1, "r1", client_id="c1")
    assert cells(tale.fired(1, "F1", "r1")) == {"disconnect/closed/submitting/orders": 1}


def test_the_breaker_of_the_lane_concerned_gives_the_state(story):
    tale = breaker(story({}), 0.5, "orders", "open")
    breaker(tale, 0.6, "queries", "half_open")
    tale.sent(1, "r1", client_id="c1").fired(1, "F1", "r1")
    tale.sent(2, "r2", "order.query", "c1", lane="queries").fired(2, "F1", "r2")
    assert cells(tale) == {
        "disconnect/half_open/none/queries": 1,
        "disconnect/open/submitting/orders": 1,
    }


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("SUBMITTING", "submitting"),
        ("NOTTRADED", "open"),
        ("PARTTRADED", "partly_filled"),
        ("UNKNOWN", "unknown"),
        ("ALLTRADED", "none"),
        ("CANCELLED", "none"),
        ("REJECTED", "none"),
    ],
)
def test_the_phase_is_that_of_the_order_as_subscribers_saw_it(story, status, phase):
    tale = story({}).invoke(1, "op", client_id="c1").order(2, status)
    tale.sent(3, "r1", "order.query", "c1", lane="queries").fired(3, "F1", "r1")
    assert cells(tale) == {f"disconnect/closed/{phase}/queries": 1}


def test_an_order_is_cancelling_while_a_cancel_of_it_is_under_way(story):
    tale = story({}).invoke(1, "op", client_id="c1").order(2, "NOTTRADED")
    tale.sent(3, "r1", "order.cancel", "c1", lane="cancels").fired(3, "F1", "r1")
    tale.sent(3.1, "r2", "order.query", "c1", lane="queries").fired(3.1, "F1", "r2")
    tale.done(4, "r1", "reset").sent(5, "r3", "order.query", "c1", lane="queries")
    tale.fired(5, "F1", "r3")
    assert cells(tale) == {
        "disconnect/closed/cancelling/cancels": 1,
        "disconnect/closed/cancelling/queries": 1,
        "disconnect/closed/open/queries": 1,
    }


def test_an_order_sent_again_after_it_was_unknown_counts_as_that(story):
    tale = story({}).invoke(1, "op", client_id="c1").order(2, "UNKNOWN")
    tale.sent(9, "r2", client_id="c1").fired(9, "F1", "r2")
    assert cells(tale) == {"disconnect/closed/unknown/orders": 1}


def test_a_connection_counts_once_for_each_phase_of_its_adapters_live_orders(story):
    tale = story({}).fired(0.5, "F1", "conn-1", "stream")
    for number, status in enumerate(("NOTTRADED", "NOTTRADED", "UNKNOWN", "ALLTRADED")):
        tale.order(1, status, client_id=f"c{number}")
    tale.add(1, "client.order", "b1", "PARTTRADED", adapter="B")
    assert cells(tale.fired(2, "F1", "conn-1", "stream")) == {
        "disconnect/closed/none/stream": 1,
        "disconnect/closed/open/stream": 1,
        "disconnect/closed/unknown/stream": 1,
    }


def test_an_order_that_was_blocked_is_no_live_order(story):
    tale = story({}).invoke(1, "op", client_id="c1").back(1, "op", "blocked")
    assert cells(tale.fired(2, "F1", "conn-1")) == {"disconnect/closed/none/stream": 1}


def test_a_fault_without_effect_and_one_that_was_not_planned_count_nowhere(story):
    tale = story({}).fired(1, "F1", "c", effect="none").fired(2, "F9", "c")
    assert cells(tale) == {}


def test_a_request_that_is_struck_after_nobody_waits_for_it_any_more_still_counts(story):
    tale = story({}).sent(1, "r1", client_id="c1").done(2, "r1", "abandoned").fired(3, "F1", "r1")
    assert cells(tale) == {"disconnect/closed/submitting/orders": 1}


def test_the_space_has_no_corner_that_cannot_be():
    space = {str(cell) for cell in Coverage().space(SMALL)}
    assert space == {
        "ack_lost/closed/submitting/orders",
        "ack_lost/closed/unknown/orders",
        "ack_lost/half_open/submitting/orders",
        "ack_lost/half_open/unknown/orders",
        "ack_lost/open/submitting/orders",
        "ack_lost/open/unknown/orders",
        "refuse/closed/cancelling/stream",
        "refuse/closed/none/stream",
        "refuse/closed/open/stream",
        "refuse/closed/partly_filled/stream",
        "refuse/closed/submitting/orders",
        "refuse/closed/submitting/stream",
        "refuse/closed/unknown/orders",
        "refuse/closed/unknown/stream",
        "refuse/half_open/submitting/orders",
        "refuse/half_open/unknown/orders",
    }


def test_the_gaps_are_told_by_kind_and_lane_and_idle_kinds_in_one_line():
    hit = Cell("refuse", "closed", "submitting", "orders")
    coverage = Coverage({hit: 3})
    assert hit not in coverage.empty(SMALL)
    assert coverage.gaps(SMALL) == [
        "never struck: ack_lost",
        "refuse/orders: closed with unknown; half_open with submitting, unknown",
        "refuse/stream: closed with none, submitting, open, partly_filled, unknown, cancelling",
    ]


def test_a_hit_outside_of_the_space_is_named_and_not_dropped():
    odd = Cell("ack_lost", "closed", "none", "stream")
    assert Coverage({odd: 1}).unforeseen(SMALL) == (odd,)


def test_scenarios_add_up():
    a, b = Cell("refuse", "closed", "none", "stream"), Cell("refuse", "open", "none", "queries")
    assert Coverage({a: 1}) + Coverage({a: 2, b: 1}) == Coverage({a: 3, b: 1})


def test_the_space_has_every_kind_of_the_catalogue():
    """A new kind says here where it can strike, or its gaps would be nobody's."""
    assert set(SPACE) == {fault.kind.name for fault in BUILT_IN}


def test_the_entry_of_the_report_names_what_was_hit_and_what_is_left():
    entry = Coverage({Cell("stale", "closed", "open", "stream"): 2}).to_dict()
    assert entry["reached"] == 1
    assert entry["cells"] == len(entry["empty"]) + 1
    assert entry["hits"] == [
        {"kind": "stale", "state": "closed", "phase": "open", "lane": "stream", "count": 2}
    ]
    assert "stale/closed/none/stream" in entry["empty"]
    assert "stale" not in entry["idle_kinds"]
