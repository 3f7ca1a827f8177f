"""Orders, fills, positions: each invariant held by an honest history, and broken in every way."""

from __future__ import annotations

import pytest

from .asking import FAIL, OPEN, PASS, ask, traded, verdict


@pytest.mark.parametrize(
    "name", ["no_intent_executes_twice", "no_order_lost", "positions_equal_fills"]
)
def test_order_filled_once_and_told_once_holds(story, name):
    assert verdict(traded(story), name) is PASS


def test_second_order_under_one_id_is_a_breach_that_names_both(story):
    found = ask(traded(story).venue_order(5, "v2"), "no_intent_executes_twice")
    assert found.verdict is FAIL
    assert "order c1" in found.evidence[0]
    assert all(word in found.evidence[0] for word in ("v1", "v2", "seq"))


def test_more_executed_than_asked_is_a_breach(story):
    tale = traded(story).venue_order(5, "v1", "FILLED", executed=1.5)
    assert verdict(tale, "no_intent_executes_twice") is FAIL


def test_order_under_an_id_that_nobody_asked_for_is_a_breach(story):
    """A client id made anew on each resend."""
    tale = (
        traded(story).sent(4, "r4", client_id="c1-again").venue_order(4, "v2", client_id="c1-again")
    )
    assert verdict(tale, "no_intent_executes_twice") is FAIL


@pytest.mark.parametrize(
    ("client", "venue", "traded_", "executed"),
    [
        ("REJECTED", "NEW", 0, 0),
        ("UNKNOWN", "", 0, 0),
        ("NOTTRADED", "", 0, 0),
        ("", "NEW", 0, 0),
        ("CANCELLED", "FILLED", 0, 1),
        ("CANCELLED", "CANCELED", 0, 0.5),
    ],
)
def test_engine_and_venue_that_disagree_at_the_end_lose_an_order(
    story, client, venue, traded_, executed
):
    tale = story().invoke(1, "o1", client_id="c1")
    if client:
        tale.order(2, client, traded=traded_)
    tale.final(client, venue, traded=traded_, executed=executed)
    assert verdict(tale, "no_order_lost") is FAIL


@pytest.mark.parametrize(
    ("client", "venue"),
    [("REJECTED", ""), ("CANCELLED", "EXPIRED"), ("PARTTRADED", "PARTIALLY_FILLED")],
)
def test_engine_and_venue_that_mean_the_same_lose_nothing(story, client, venue):
    tale = story().invoke(1, "o1", client_id="c1").order(2, client).final(client, venue)
    assert verdict(tale, "no_order_lost") is PASS


@pytest.mark.parametrize(
    ("told", "traded_", "expected"),
    [("ALLTRADED", 1.0, PASS), ("NOTTRADED", 0.0, FAIL), ("ALLTRADED", 0.5, FAIL), ("", 0, FAIL)],
)
def test_order_that_subscribers_were_told_less_of_than_the_engine_knows_is_lost(
    story, told, traded_, expected
):
    """What the engine keeps to itself helps nobody who trades by what he is told."""
    tale = story().invoke(1, "o1", client_id="c1").sent(1, "r1", client_id="c1")
    if told:
        tale.order(2, told, traded=traded_)
    tale.final("ALLTRADED", "FILLED", traded=1.0, executed=1.0)
    assert verdict(tale, "no_order_lost") is expected


@pytest.mark.parametrize(
    ("told", "traded_", "venue", "executed", "expected"),
    [
        ("CANCELLED", 0.0, "CANCELED", 0.0, PASS),
        ("REJECTED", 0.0, "", 0.0, PASS),
        ("UNKNOWN", 0.0, "", 0.0, FAIL),
        ("NOTTRADED", 0.0, "FILLED", 1.0, FAIL),
        ("ALLTRADED", 0.5, "FILLED", 1.0, FAIL),
    ],
)
def test_of_an_order_that_the_engine_has_forgotten_the_last_word_stands(
    story, told, traded_, venue, executed, expected
):
    """Engines keep so many finished orders; one that is not finished is not theirs to forget."""
    tale = story().invoke(1, "o1", client_id="c1").order(2, told, traded=traded_)
    tale.order(3, "REJECTED", "c2")
    tale.final("", venue, executed=executed).final("REJECTED", "", "c2")
    assert verdict(tale, "no_order_lost") is expected


def test_what_is_told_after_the_final_read_is_not_compared_with_it(story):
    """Orders that shutdown cancels were open when they were read."""
    tale = story().invoke(1, "o1", client_id="c1").order(2, "NOTTRADED").final("NOTTRADED", "NEW")
    assert verdict(tale.order(99.5, "CANCELLED"), "no_order_lost") is PASS


def test_order_that_came_back_ok_and_is_nowhere_is_lost(story):
    tale = traded(story).invoke(5, "o2", client_id="c2").back(6, "o2")
    assert verdict(tale, "no_order_lost") is FAIL


def test_orders_that_were_never_read_at_the_end_are_undecided(story):
    found = ask(story().invoke(1, "o1", client_id="c1"), "no_order_lost")
    assert (found.verdict, found.weight) == (OPEN, OPEN)


@pytest.mark.parametrize(
    "breach",
    [
        lambda tale: tale.client_trade(9, "t1"),
        lambda tale: tale.client_trade(9, "made-up"),
        lambda tale: tale.venue_trade(9, "t2"),
        lambda tale: tale.venue_trade(9, "t2").client_trade(9, "t2", quantity=2.0),
        lambda tale: tale.venue_trade(9, "t2").client_trade(9, "t2", side="SHORT"),
        lambda tale: tale.venue_trade(9, "t2", price=5.0).client_trade(9, "t2", price=5.1),
        lambda tale: tale.add(9, "venue.final_position", "BTCUSDT", adapter="A", volume=1.0),
    ],
    ids=["twice", "made up", "missing", "wrong quantity", "wrong side", "wrong price", "position"],
)
def test_fills_that_are_not_the_venues_are_breaches(story, breach):
    found = ask(breach(traded(story)), "positions_equal_fills")
    assert found.verdict is FAIL
    assert len(found.evidence) == 1


def test_fills_and_positions_that_agree_hold(story):
    tale = traded(story).venue_trade(8, "t2", price=5.0).client_trade(8, "t2", price=5.0)
    tale.add(9, "venue.final_position", "BTCUSDT", adapter="A", volume=1.0)
    tale.add(9, "client.final_position", "BTCUSDT", adapter="A", volume=1.0)
    assert verdict(tale, "positions_equal_fills") is PASS


def unknown(story):
    tale = story().invoke(1, "o1", client_id="c1").sent(1, "r1", client_id="c1")
    return tale.done(5, "r1", "abandoned").order(5, "UNKNOWN").back(5, "o1", "unknown")


SETTLED = "unknown_never_settled_without_evidence"


def test_filled_order_was_never_in_doubt(story):
    assert not ask(traded(story), SETTLED).exercised


def looked_up(tale, status=400, code=-2013, at=6):
    """The venue refuses to show the order."""
    tale.sent(at, "q1", "order.query", client_id="c1").add(at, "venue.refused", "q1", code=code)
    return tale.done(at, "q1", "error", status=status, delivered=True)


def test_unknown_settled_by_what_the_venue_itself_tells_of_it_holds(story):
    """Nobody asked: the stream came back and brought it."""
    tale = unknown(story).venue_order(6, "v1").venue_order(7, "v1", "CANCELED")
    assert verdict(tale.order(7, "CANCELLED"), SETTLED) is PASS


def test_unknown_settled_by_a_venue_that_knows_no_such_order_holds(story):
    assert verdict(looked_up(unknown(story)).order(6, "REJECTED"), SETTLED) is PASS


@pytest.mark.parametrize(("status", "code"), [(429, -1003), (401, -2015), (400, -1021)])
def test_unknown_settled_by_a_look_up_that_was_not_answered_is_a_breach(story, status, code):
    """Asked too often, by whom, or with which clock: that says nothing of the order."""
    tale = looked_up(unknown(story), status, code).order(6, "REJECTED")
    assert verdict(tale, SETTLED) is FAIL


def test_unknown_settled_by_a_list_of_open_orders_holds(story):
    tale = unknown(story).sent(6, "q1", "orders.open").done(6, "q1")
    assert verdict(tale.order(6, "REJECTED"), SETTLED) is PASS


def test_unknown_settled_by_a_list_that_was_asked_for_before_it_left_is_a_breach(story):
    tale = story().sent(0, "q1", "orders.open").invoke(1, "o1", client_id="c1")
    tale.sent(1, "r1", client_id="c1").done(5, "r1", "abandoned").order(5, "UNKNOWN")
    assert verdict(tale.done(6, "q1").order(6, "REJECTED"), SETTLED) is FAIL


def test_unknown_settled_by_nothing_is_a_breach_although_it_never_arrived(story):
    """Who called it unknown did not know that."""
    tale = story().invoke(1, "o1", client_id="c1").sent(1, "r1", client_id="c1")
    tale.done(2, "r1", "reset", delivered=False).order(2, "UNKNOWN")
    assert verdict(tale.order(3, "REJECTED"), SETTLED) is FAIL


def test_unknown_settled_by_a_list_of_fills_is_a_breach(story):
    """An order that has no fills yet may be open."""
    tale = unknown(story).sent(6, "q1", "trades").done(6, "q1").order(6, "REJECTED")
    assert verdict(tale, SETTLED) is FAIL


def test_unknown_settled_by_the_refusal_of_a_resend_is_a_breach(story):
    """It may have been refused because the first one is there."""
    tale = unknown(story).sent(6, "r2", client_id="c1")
    tale.done(6, "r2", "error", status=400, delivered=True)
    assert verdict(tale.order(6, "REJECTED"), SETTLED) is FAIL


@pytest.mark.parametrize("outcome", ["reset", "lost", "abandoned"])
def test_unknown_settled_after_a_failed_lookup_is_a_breach(story, outcome):
    """No answer is not the answer "no"."""
    tale = unknown(story).sent(6, "q1", "order.query", client_id="c1").done(6, "q1", outcome)
    assert verdict(tale.order(6, "REJECTED"), SETTLED) is FAIL


def test_unknown_settled_by_a_server_error_is_a_breach(story):
    tale = (
        unknown(story)
        .sent(6, "q1", "order.query", client_id="c1")
        .done(6, "q1", "error", status=503, delivered=True)
    )
    assert verdict(tale.order(6, "REJECTED"), SETTLED) is FAIL


@pytest.mark.parametrize("returned", ["failed", "blocked"])
def test_order_that_failed_by_return_and_lives_at_the_venue_is_a_breach(story, returned):
    tale = story().invoke(1, "o1", client_id="c1").venue_order(1, "v1").back(2, "o1", returned)
    assert verdict(tale, SETTLED) is FAIL


@pytest.mark.parametrize(
    ("status", "expected"),
    [("FILLED", FAIL), ("CANCELED", FAIL), ("REJECTED", PASS), ("EXPIRED", PASS), (None, PASS)],
)
def test_order_called_rejected_that_the_venue_took_is_a_breach(story, status, expected):
    """Though the caller was told nothing, and another end is told later."""
    tale = story().invoke(1, "o1", client_id="c1").sent(1, "r1", client_id="c1")
    if status:
        tale.venue_order(1, "v1", status)
    tale.done(2, "r1", "error", status=400).back(2, "o1", "unknown").order(3, "REJECTED")
    assert verdict(tale.order(4, "ALLTRADED"), SETTLED) is expected


def told_rejected(story, outcome, **details):
    tale = story().invoke(1, "o1", client_id="c1").sent(1, "r1", client_id="c1")
    tale.order(1, "SUBMITTING")
    if outcome:
        tale.done(2, "r1", outcome, **details)
    return tale.order(3, "REJECTED")


@pytest.mark.parametrize(
    ("outcome", "details", "expected"),
    [
        ("refused", {}, PASS),
        ("error", {"status": 400}, PASS),
        ("error", {"status": 429}, PASS),
        ("reset", {"delivered": False}, PASS),
        ("reset", {"delivered": True}, FAIL),
        ("error", {"status": 502}, FAIL),
        ("abandoned", {}, FAIL),
        ("lost", {}, FAIL),
        ("", {}, FAIL),
    ],
)
def test_rejected_without_ever_being_unknown_takes_an_answer_too(story, outcome, details, expected):
    """A timeout is unknown, never a rejection; what never got there is none either way."""
    assert verdict(told_rejected(story, outcome, **details), SETTLED) is expected


def test_rejection_by_a_venue_in_maintenance_holds(story):
    """A 5xx of its own making is its word, where a proxy's is nobody's."""
    tale = story().invoke(1, "o1", client_id="c1").sent(1, "r1", client_id="c1")
    tale.add(1, "venue.refused", "r1", code=-1016).done(2, "r1", "error", status=503)
    assert verdict(tale.order(3, "REJECTED"), SETTLED) is PASS


@pytest.mark.parametrize(("status", "expected"), [("NEW", FAIL), ("EXPIRED", PASS)])
def test_order_that_comes_into_being_after_its_rejection_is_a_breach(story, status, expected):
    """Whatever is told of it later."""
    tale = looked_up(unknown(story)).order(6, "REJECTED")
    tale.venue_order(7, "v1", status).order(8, "ALLTRADED")
    assert verdict(tale, SETTLED) is expected


def test_final_state_while_the_venue_has_it_open_is_made_up(story):
    """After a failed look-up: unknown taken as empty."""
    tale = story().sent(1, "q1", "orders.open").done(2, "q1", "reset").venue_order(1, "v1")
    name = "failed_reply_changes_no_state"
    assert verdict(tale, name) is PASS
    found = ask(tale.order(3, "CANCELLED"), name)
    assert found.verdict is FAIL
    assert "order c1" in found.evidence[0]
