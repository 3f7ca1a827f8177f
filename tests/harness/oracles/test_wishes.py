"""Orders as they were asked for, in time, and answered in time: as the run's policy promises."""

from __future__ import annotations

import pytest

from .asking import FAIL, OPEN, PASS, ask, verdict

PROMISES = {
    "deadlines": {"orders": 20.0, "cancels": 30.0, "queries": 20.0},
    "attempt": 10.0,
    "resend": 30.0,
    "quiet": 10.0,
}
LIMIT = {"side": "BUY", "type": "LIMIT", "price": 100.0}


# -- orders_are_as_asked


def booked(story, wish=LIMIT, **row):
    tale = story().invoke(1, "o1", client_id="c1", **wish)
    return tale.venue_order(2, "v1", quantity=1.0, **{**LIMIT, **row})


def test_an_order_that_is_booked_as_it_was_asked_for_holds(story):
    tale = booked(story).venue_order(3, "v1", "FILLED", quantity=1.0, **LIMIT)
    found = ask(tale, "orders_are_as_asked")
    assert (found.verdict, found.judged) == (PASS, 1)


@pytest.mark.parametrize(
    "row",
    [
        {"side": "SELL"},
        {"type": "MARKET"},
        {"price": 100.1},
        {"quantity": 2.0},
    ],
    ids=lambda row: next(iter(row)),
)
def test_an_order_that_is_booked_in_other_words_is_a_breach(story, row):
    tale = story().invoke(1, "o1", client_id="c1", **LIMIT)
    tale.venue_order(2, "v1", **{"quantity": 1.0, **LIMIT, **row})
    ((word, value),) = row.items()
    wish = {"quantity": 1.0, **LIMIT}[word]
    assert ask(tale, "orders_are_as_asked").evidence == (
        f"seq 3, t=2.000s: order c1 is at A with {word}={value!r}, asked for was {wish!r} (seq 2)",
    )


def test_an_order_in_another_symbol_is_a_breach(story):
    tale = story().invoke(1, "o1", client_id="c1", symbol="ETHUSDT").venue_order(2, "v1")
    assert verdict(tale, "orders_are_as_asked") is FAIL


def test_a_price_that_was_left_to_the_market_is_anybodys(story):
    wish = {"side": "BUY", "type": "MARKET", "price": 0.0}
    assert verdict(booked(story, wish, type="MARKET", price=99.0), "orders_are_as_asked") is PASS


def test_an_order_that_nobody_asked_for_has_nothing_to_be_held_against(story):
    """That it is there at all is the business of another oracle."""
    assert not ask(story().venue_order(2, "v1"), "orders_are_as_asked").exercised


# -- no_order_sent_too_late


def sent_at(story, *moments, promises=PROMISES):
    tale = story(promises=promises).invoke(10, "o1", client_id="c1")
    for number, t in enumerate(moments):
        tale.sent(t, f"r{number}", client_id="c1")
    return tale


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ((10, 30.9), PASS),  # within its deadline, and the second that whatever is prompt may take
        ((31.1,), FAIL),
        ((12, 42.9), PASS),  # sent again while that is promised
        ((12, 43.1), FAIL),
        ((12, 20, 43.1), FAIL),  # its age counts from the first time
    ],
)
def test_an_order_leaves_within_its_deadline_and_again_while_it_is_young(story, moments, expected):
    assert verdict(sent_at(story, *moments), "no_order_sent_too_late") is expected


def test_a_first_deadline_holds_for_who_is_sent_again_sooner(story):
    tale = sent_at(story, 10, 30, promises={**PROMISES, "resend": 5.0})
    assert verdict(tale, "no_order_sent_too_late") is PASS


def test_a_late_order_is_named_with_what_was_promised(story):
    assert ask(sent_at(story, 12, 50), "no_order_sent_too_late").evidence == (
        "seq 4, t=50.000s: order c1, asked for at t=10.000s (seq 2) and first sent at t=12.000s, "
        "was sent as r1; it was due by t=42.000s",
    )


def test_where_nothing_is_promised_nothing_is_late(story):
    """As in a history from before the promises were written down."""
    assert verdict(sent_at(story, 12, 500, promises={}), "no_order_sent_too_late") is PASS


def test_only_new_orders_are_too_late_to_be_wanted(story):
    tale = story(promises=PROMISES).invoke(10, "o1", client_id="c1")
    tale.sent(90, "r1", "order.cancel", client_id="c1")
    assert not ask(tale, "no_order_sent_too_late").exercised


# -- calls_end_in_time


@pytest.mark.parametrize(
    ("lane", "seconds", "expected"),
    [
        ("orders", 30.9, PASS),
        ("orders", 31.1, FAIL),
        ("cancels", 40.9, PASS),
        ("cancels", 41.1, FAIL),
        ("queries", 31.1, FAIL),
    ],
)
def test_a_call_ends_within_its_lanes_deadline_and_one_attempt(story, lane, seconds, expected):
    tale = story(promises=PROMISES).invoke(10, "o1", "account", lane=lane)
    tale.back(10 + seconds, "o1", "failed")
    assert verdict(tale, "calls_end_in_time") is expected


@pytest.mark.parametrize(("t", "expected"), [(40.9, PASS), (41.1, FAIL)])
def test_a_call_that_never_ends_has_waited_until_the_end_of_the_history(story, t, expected):
    tale = story(promises=PROMISES).invoke(10, "o1", client_id="c1").probe(t)
    found = ask(tale, "calls_end_in_time")
    assert found.verdict is expected
    assert expected is PASS or found.evidence == (
        "t=41.100s: o1 never came back, and waited after 31.1s (order.place c1 on A, seq 2, "
        "t=10.000s); 30s are promised",
    )


def test_a_canary_has_the_patience_of_the_probe(story):
    tale = story(promises=PROMISES).invoke(10, "o1", "account", canary=True).back(90, "o1")
    assert not ask(tale, "calls_end_in_time").exercised


# -- quiet_after_a_refusal


def told_to_be_quiet(story, *, sent=9.0, told=10.0, code=100, promises=PROMISES, **refusal):
    tale = story(promises=promises).sent(sent, "r1").sent(9.5, "r2")
    tale.add(9.6, "venue.refused", "r1", venue="A", status=429, code=code, **refusal)
    return tale.done(told, "r1", "error", status=429, delivered=True)


def test_nothing_is_sent_for_as_long_as_is_promised(story):
    name = "quiet_after_a_refusal"
    assert verdict(told_to_be_quiet(story).sent(20, "r3"), name) is PASS
    found = ask(told_to_be_quiet(story).sent(19.9, "r3", "order.cancel"), name)
    assert found.evidence == (
        "seq 6, t=19.900s: A sent order.cancel as r3 before t=20.000s, as is promised after a "
        "refusal by 429 to r1 (seq 5, t=10.000s)",
    )


@pytest.mark.parametrize(("began", "expected"), [(19.9, FAIL), (20.0, PASS), (9.9, PASS)])
def test_nor_does_anybody_connect_for_as_long(story, began, expected):
    tale = told_to_be_quiet(story).add(20.1, "link.open", "k1", "ok", adapter="A", began=began)
    assert verdict(tale, "quiet_after_a_refusal") is expected


@pytest.mark.parametrize("moment", ["before", "the same"])
def test_what_was_on_the_wire_then_makes_the_quiet_no_longer(story, moment):
    told_to = told_to_be_quiet(story, told=9.5 if moment == "the same" else 10)
    told_to.add(10.1, "venue.refused", "r2", status=429, code=100)
    tale = told_to.done(12, "r2", "error", status=429, delivered=True).sent(20, "r3")
    found = ask(tale, "quiet_after_a_refusal")
    assert (found.verdict, found.judged) == (PASS, 1)


def test_the_next_refusal_begins_another_quiet(story):
    tale = told_to_be_quiet(story).sent(20, "r3").add(20, "venue.refused", "r3", status=429)
    tale.done(21, "r3", "error", status=429, delivered=True)
    assert verdict(tale.sent(30.9, "r4"), "quiet_after_a_refusal") is FAIL


@pytest.mark.parametrize("code", [-1015, -1])
def test_a_limit_on_new_orders_lets_the_others_go(story, code):
    tale = told_to_be_quiet(story, code=code).sent(12, "r3", "order.cancel")
    assert verdict(tale, "quiet_after_a_refusal") is PASS
    assert verdict(tale.sent(12, "r4"), "quiet_after_a_refusal") is FAIL


def test_what_opend_says_of_another_call_than_a_new_order_holds_all(story):
    tale = story(promises=PROMISES).sent(9, "r1", "order.cancel")
    tale.add(9.6, "venue.refused", "r1", venue="A", status=429, code=-1)
    tale.done(10, "r1", "error", status=429, delivered=True)
    assert verdict(tale.sent(12, "r2", "orders.open"), "quiet_after_a_refusal") is FAIL


def test_where_the_venue_names_a_time_that_time_counts(story):
    tale = told_to_be_quiet(story, until=11.0).sent(12, "r3")
    assert not ask(tale, "quiet_after_a_refusal").exercised
    assert verdict(tale, "nothing_sent_before_retry_after") is PASS


@pytest.mark.parametrize("promises", [{}, {**PROMISES, "quiet": 0.0}])
def test_who_promises_no_quiet_need_keep_none(story, promises):
    tale = told_to_be_quiet(story, promises=promises).sent(12, "r3")
    assert not ask(tale, "quiet_after_a_refusal").exercised


# -- trading_resumes


def asked_after_all_was_well(story, t, outcome="failed", sent=None, ended="error", **done):
    """A fault is over at t=30, the bound is 20 s; then an order is asked for at `t`."""
    tale = story({}).sent(0, "r0", "time").probe(1).begin(10).end(30)
    tale.invoke(t, "o1", client_id="c1")
    if sent is not None:
        tale.sent(sent, "r1", client_id="c1").done(sent, "r1", ended, **done)
    return tale.back(t + 1, "o1", outcome)


@pytest.mark.parametrize(("t", "expected"), [(50.0, OPEN), (50.1, FAIL)])
def test_a_lane_that_stays_shut_longer_than_recovery_may_take_is_a_breach(story, t, expected):
    found = ask(asked_after_all_was_well(story, t, "blocked"), "trading_resumes")
    assert found.verdict is expected
    assert expected is OPEN or "o1 (order.place c1) came back blocked on A" in found.evidence[0]


def test_a_call_that_is_served_is_what_is_wanted(story):
    for ended in ("ok", "abandoned"):  # an order whose acknowledgement was lost may show itself
        tale = asked_after_all_was_well(story, 60, "ok", sent=60, ended=ended)
        assert verdict(tale, "trading_resumes") is PASS


@pytest.mark.parametrize(
    ("operation", "status", "is_touched", "expected"),
    [
        ("order.cancel", 400, False, PASS),  # it may have been filled
        ("order.place", 400, True, PASS),
        ("order.place", 400, False, FAIL),  # what is well takes orders that are in order
        ("order.place", 401, True, FAIL),
        ("order.place", 403, True, FAIL),
        ("order.place", 429, True, FAIL),
        ("order.place", 503, True, FAIL),
    ],
)
def test_a_no_to_the_order_is_an_answer_where_it_is_no_doing_of_the_core(
    story, operation, status, is_touched, expected
):
    """A core that garbles what it sends is refused all day, and nothing is wrong with the venue."""
    tale = story({}).sent(0, "r0", "time").probe(1).begin(10).end(30)
    tale.invoke(60, "o1", operation, client_id="c1").sent(60, "r1", operation, client_id="c1")
    if is_touched:
        tale.fired(60, "F1", "r1", operation)
    tale.done(60, "r1", "error", status=status)
    assert verdict(tale.back(61, "o1", "failed"), "trading_resumes") is expected


@pytest.mark.parametrize(
    ("code", "operation", "free_at", "is_judged"),
    [
        (-1, "order.place", 80.5, False),  # it is due by 80
        (-1, "order.place", 79.5, True),
        (-1, "account", 80.5, True),
        (-1003, "order.place", 80.5, True),
    ],
)
def test_no_order_has_to_get_through_before_the_quota_of_orders_is_free_again(
    story, code, operation, free_at, is_judged
):
    tale = story({}, promises=PROMISES).sent(0, "r0", "time").probe(1).begin(10).end(30)
    tale.invoke(60, "o1", client_id="c1").sent(60, "r1", operation, client_id="c1")
    tale.add(60, "venue.refused", "r1", status=429, code=code, free_at=free_at)
    tale.done(60, "r1", "error", status=429).back(61, "o1", "failed")
    assert ask(tale, "trading_resumes").exercised is is_judged


def test_a_call_whose_caller_was_ended_is_no_refusal_and_waits_on(story):
    """Ctrl-C ends callers. A core that ends them by itself leaves them without an answer."""
    tale = story({}, promises=PROMISES).sent(0, "r0", "time").probe(1).begin(10).end(30)
    tale.invoke(60, "o1", client_id="c1").back(61, "o1", "abandoned")
    assert not ask(tale, "trading_resumes").exercised
    assert verdict(tale, "calls_end_in_time") is PASS
    assert verdict(tale.probe(200), "calls_end_in_time") is FAIL


def test_a_fault_that_comes_while_the_call_waits_is_an_excuse(story):
    tale = story({}, {"id": "F2"}).probe(1).begin(10).end(30).invoke(60, "o1", client_id="c1")
    tale.begin(60.2, "F2").end(60.4, "F2").back(61, "o1", "unknown")
    assert not ask(tale, "trading_resumes").exercised


def test_a_fault_elsewhere_is_none(story):
    tale = story({}, {"id": "F2", "venue": "B"}).probe(1).begin(10).end(30).begin(59, "F2")
    tale.invoke(60, "o1", client_id="c1").back(61, "o1", "unknown")
    assert verdict(tale, "trading_resumes") is FAIL


@pytest.mark.parametrize("why", ["never up", "canary", "shutdown"])
def test_who_was_never_well_or_asks_while_all_is_closed_is_not_judged(story, why):
    tale = story()
    if why != "never up":
        tale.probe(1)
    if why == "shutdown":
        tale.add(59, "run.shutdown")
    tale.invoke(60, "o1", client_id="c1", canary=why == "canary").back(61, "o1", "blocked")
    assert not ask(tale, "trading_resumes").exercised
