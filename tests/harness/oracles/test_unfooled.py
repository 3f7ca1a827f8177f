"""The checks that sabotaged cores once got past: each judges by what such a core cannot touch."""

from __future__ import annotations

import pytest

from harness.facts import fold
from harness.metrics.tallies import TALLIES
from harness.oracles import ORACLES
from harness.verdict import judge

from .asking import FAIL, OPEN, PASS, ask, verdict


def counted(tale, name):
    tally = TALLIES[name](fold(tale.events))
    return tally.hits, tally.n


# -- nothing_blocked_without_cause


def refused_for_cause(tale, t, status, code=-2010):
    tale.invoke(t, f"o{t}", client_id=f"c{t}").sent(t, f"r{t}", client_id=f"c{t}")
    tale.fired(t, "F1", f"r{t}")
    tale.add(t, "venue.refused", f"r{t}", code=code, status=status)
    tale.done(t, f"r{t}", "error", status=status)
    return tale.back(t, f"o{t}", "failed", client_id=f"c{t}")


@pytest.mark.parametrize(("status", "expected"), [(400, FAIL), (503, PASS)])
def test_refused_orders_are_no_cause_to_block_and_a_503_is(story, status, expected):
    """A breaker that opens on a venue's answers holds up orders that nothing is wrong with."""
    tale = story({"category": "order_execution", "blocks": []}).probe(9).begin(10)
    refused_for_cause(tale, 11, status).invoke(12, "o2", client_id="c2").back(12, "o2", "blocked")
    assert verdict(tale, "nothing_blocked_without_cause") is expected


def test_slow_replies_are_no_cause_to_block_though_the_canary_was_blocked_too(story):
    """What the probe cannot do because the core blocks it does not excuse the block."""
    tale = story({"blocks": []}).probe(9).begin(10).sent(11, "r1", "account")
    tale.fired(11, "F1", "r1", effect="delayed").done(12, "r1").probe(12, "down", canary=False)
    tale.invoke(13, "o1", "account", lane="queries").back(13, "o1", "blocked")
    assert verdict(tale, "nothing_blocked_without_cause") is FAIL


@pytest.mark.parametrize("part", ["connected", "ticking"])
def test_a_connection_that_the_probe_found_dead_is_cause_to_block(story, part):
    tale = story({"blocks": []}).probe(9).begin(10).probe(12, "down", **{part: False})
    tale.invoke(13, "o1", client_id="c1").back(13, "o1", "blocked")
    assert verdict(tale, "nothing_blocked_without_cause") is PASS


@pytest.mark.parametrize("part", ["connected", "ticking"])
def test_an_outage_of_the_cores_own_making_is_no_cause_to_block(story, part):
    """Who closes his connection at a venue that is well cannot point at its being closed."""
    tale = story({"venue": "B"}).probe(9).begin(10).probe(12, "down", **{part: False})
    tale.invoke(13, "o1", client_id="c1").back(13, "o1", "blocked")
    assert verdict(tale, "nothing_blocked_without_cause") is FAIL


@pytest.mark.parametrize(("t", "expected"), [(31, PASS), (49, PASS), (99, FAIL)])
def test_a_fault_of_another_sort_is_cause_until_the_bound_has_passed(story, t, expected):
    """What is bad in the data need not show on the links."""
    tale = story({"category": "market_data"}).probe(9).begin(10).end(30)
    tale.invoke(t, "o1", client_id="c1").back(t, "o1", "blocked")
    assert verdict(tale, "nothing_blocked_without_cause") is expected


@pytest.mark.parametrize(("adapter", "expected"), [("A", PASS), ("B", FAIL)])
def test_a_ping_without_an_answer_is_cause_to_block_on_its_own_link(story, adapter, expected):
    tale = story({"blocks": []}).probe(9).begin(10)
    tale.add(12, "link.ping", "c1", "lost", adapter=adapter)
    tale.invoke(13, "o1", client_id="c1").back(13, "o1", "blocked")
    assert verdict(tale, "nothing_blocked_without_cause") is expected


@pytest.mark.parametrize(("waited", "expected"), [(1.0, PASS), (0.9, FAIL)])
def test_a_ping_that_nobody_waited_for_is_none(story, waited, expected):
    tale = story({"blocks": []}).probe(9).begin(10)
    tale.add(12, "link.ping", "c1", "lost", adapter="A", waited=waited)
    tale.invoke(13, "o1", client_id="c1").back(13, "o1", "blocked")
    assert verdict(tale, "nothing_blocked_without_cause") is expected


@pytest.mark.parametrize(("accepted", "expected"), [(("market_data",), PASS), ((), FAIL)])
def test_reports_that_lack_or_overtake_each_other_are_cause_to_block(story, accepted, expected):
    """An order that is refused is an answer; a hole in what is pushed is none."""
    plan = {"category": "order_execution", "categories": ["order_execution", *accepted]}
    tale = story({"blocks": [], **plan}).probe(9).begin(10)
    tale.invoke(13, "o1", client_id="c1").back(13, "o1", "blocked")
    assert verdict(tale, "nothing_blocked_without_cause") is expected


def test_a_wait_that_the_venue_asked_for_is_cause_to_block(story):
    tale = story().probe(9).sent(11, "r1").add(11, "venue.refused", "r1", status=429, until=95.0)
    tale.done(11, "r1", "error", status=429)
    tale.invoke(90, "o1", client_id="c1").back(90, "o1", "blocked")
    assert verdict(tale, "nothing_blocked_without_cause") is PASS


@pytest.mark.parametrize("word", ["blocked", "failed", "unknown"])
def test_a_call_of_which_nothing_left_was_held_back_whatever_it_is_called(story, word):
    tale = story({"category": "order_execution", "blocks": []}).probe(9).begin(10)
    refused_for_cause(tale, 11, 400).invoke(12, "o2", client_id="c2").back(12, "o2", word)
    assert verdict(tale, "nothing_blocked_without_cause") is FAIL


@pytest.mark.parametrize(("is_asked", "expected"), [(True, PASS), (False, FAIL)])
def test_who_waited_for_a_list_that_others_asked_for_was_not_held_back(story, is_asked, expected):
    """It does not come in his time; but asked it was."""
    tale = story(venues={"A": {"looks_up": "in a list"}}).probe(9)
    tale.invoke(12, "o1", "order.query", client_id="c1")
    if is_asked:
        tale.sent(12.1, "r1", "orders.open")
    tale.back(22, "o1", "failed")
    assert verdict(tale, "nothing_blocked_without_cause") is expected


# -- every_answer_was_asked_for, and attempts of which nobody says whose they are


@pytest.mark.parametrize(("is_sent", "expected"), [(True, PASS), (False, FAIL)])
def test_an_answer_needs_a_request(story, is_sent, expected):
    tale = story().invoke(1, "o1", "account", lane="queries")
    if is_sent:
        tale.sent(1, "r1", "account").done(1.1, "r1")
    assert verdict(tale.back(2, "o1"), "every_answer_was_asked_for") is expected


@pytest.mark.parametrize(
    ("operation", "ended", "code", "expected"),
    [
        ("account", "reset", None, FAIL),
        ("account", "error", None, FAIL),
        ("order.query", "abandoned", None, FAIL),
        ("order.query", "error", -2013, PASS),  # no such order: so it was told
        ("order.query", "reset", -2013, FAIL),  # so it was told, and the reply was lost
        ("order.place", "abandoned", None, PASS),  # it may show itself on the stream
    ],
)
def test_an_answer_needs_one_of_the_venues(story, operation, ended, code, expected):
    """A question that failed on its way is not answered by what was known before."""
    tale = story().invoke(1, "o1", operation).sent(1, "r1", operation)
    tale.events[-1].details["call"] = "o1"
    if code is not None:
        tale.add(1, "venue.refused", "r1", code=code, status=400)
    tale.done(1.1, "r1", ended, status=400 if ended == "error" else None)
    assert verdict(tale.back(2, "o1"), "every_answer_was_asked_for") is expected


def test_an_answer_that_came_before_the_last_attempt_failed_is_an_old_one(story):
    tale = story().invoke(1, "o1", "account").sent(1, "r1", "account").done(1, "r1", "ok")
    tale.sent(2, "r2", "account").done(2, "r2", "reset").back(2, "o1")
    assert verdict(tale, "every_answer_was_asked_for") is FAIL


@pytest.mark.parametrize(("ended", "expected"), [("ok", PASS), ("reset", FAIL)])
@pytest.mark.parametrize("recoverys", ["", "reset", "ok"])
def test_what_a_recovery_asks_in_the_name_of_a_look_up_does_not_answer_it(
    story, ended, expected, recoverys
):
    tale = story().invoke(1, "o1", "order.query", client_id="c1")
    tale.sent(1, "r1", "order.query", client_id="c1").sent(1, "r2", "trades")
    for sent in tale.events[-2:]:
        sent.details["call"] = "o1"
    if recoverys:
        tale.done(1.1, "r2", recoverys)
    tale.done(1.1, "r1", ended).back(2, "o1")
    assert verdict(tale, "every_answer_was_asked_for") is expected


@pytest.mark.parametrize(
    ("status", "expected"), [("NEW", FAIL), ("PARTIALLY_FILLED", FAIL), ("CANCELED", PASS)]
)
def test_a_cancel_is_done_when_its_order_is_open_no_more(story, status, expected):
    """Whoever believes that it is trades on, and the order fills."""
    tale = story().venue_order(1, "v1").invoke(2, "o1", "order.cancel", client_id="c1")
    tale.sent(2, "r1", "order.cancel", client_id="c1").done(2, "r1", "reset")
    tale.venue_order(3, "v1", status).back(4, "o1")
    found = ask(tale, "every_answer_was_asked_for")
    assert found.verdict is expected
    assert expected is PASS or found.evidence == (
        "seq 7, t=4.000s: o1 (order.cancel c1) came back ok, and the order was still open at its "
        "venue",
    )


@pytest.mark.parametrize(
    ("operation", "ended", "hits"),
    [
        ("account", "reset", 0),
        ("account", "ok", 1),
        ("order.cancel", "reset", 0),
    ],
)
def test_what_was_not_answered_is_no_retry_that_succeeded(story, operation, ended, hits):
    """A core that takes every failure for done would look like one that retries well."""
    tale = story().venue_order(1, "v1").invoke(2, "o1", operation, client_id="c1")
    for number, outcome in enumerate(("reset", ended)):
        tale.sent(2, f"r{number}", operation, client_id="c1").done(2, f"r{number}", outcome)
    assert counted(tale.back(4, "o1"), "retry_success_rate") == (hits, 1)


@pytest.mark.parametrize(
    ("operation", "listed_at", "outcome", "looks_up", "expected"),
    [
        ("order.query", 1.05, "ok", "in a list", PASS),
        ("order.query", 0.9, "ok", "in a list", FAIL),  # it left before this was asked
        ("order.query", 1.05, "reset", "in a list", FAIL),
        ("order.query", 1.05, "ok", "", FAIL),  # by its id, and a list comes for another reason
        ("account", 1.05, "ok", "in a list", FAIL),
    ],
)
def test_a_list_answers_all_who_looked_an_order_up_before_it_left(
    story, operation, listed_at, outcome, looks_up, expected
):
    tale = story(venues={"A": {"looks_up": looks_up}})
    if listed_at < 1:
        tale.sent(listed_at, "r1", "orders.open")
    tale.invoke(1, "o1", operation, lane="queries")
    if listed_at > 1:
        tale.sent(listed_at, "r1", "orders.open")
    tale.done(1.1, "r1", outcome)
    assert verdict(tale.back(2, "o1"), "every_answer_was_asked_for") is expected


def test_a_request_that_names_no_call_belongs_to_the_open_call_that_fits(story):
    """Else a core could hammer a dead venue in requests that are nobody's."""
    tale = story({}).begin(10).sent(11, "r1", "account").fired(11, "F1", "r1", "account")
    tale.done(11, "r1", "reset")
    for number in range(3):
        tale.invoke(20 + number, f"o{number}", client_id=f"c{number}")
        details = {"operation": "order.place", "adapter": "A", "venue": "A", "call": ""}
        tale.add(20 + number, "link.sent", f"q{number}", client_id=f"c{number}", **details)
        tale.done(20 + number, f"q{number}", "reset").back(20 + number, f"o{number}", "failed")
    assert fold(tale.events).outages.reached == 3


def asked_in_an_outage(story, returned, operation="order.place", call="o1"):
    """A call that came back at 21 in an outage; its request leaves a second later, for `call`."""
    client_id = "" if operation == "account" else "c1"
    tale = story({"end": 90.0}).begin(10).sent(11, "r1", "time").fired(11, "F1", "r1", "time")
    tale.done(11, "r1", "reset").invoke(20, "o1", operation, client_id=client_id)
    tale.back(21, "o1", returned).sent(22, "q1", operation, client_id=client_id)
    tale.events[-1].details["call"] = call
    return tale.done(22, "q1", "reset")


@pytest.mark.parametrize("operation", ["order.place", "order.cancel", "account"])
@pytest.mark.parametrize("call", ["o1", "", "o7"])
def test_a_request_that_leaves_when_its_call_is_over_has_reached_the_venue_too(
    story, operation, call
):
    """A core that gives its callers back at once could hammer a dead venue in the background."""
    facts = fold(asked_in_an_outage(story, "blocked", operation, call).events)
    assert (facts.outages.attempted, facts.outages.reached) == (1, 1)
    assert (facts.calls.attempted, facts.calls.attempts) == (1, 1)


def test_each_further_request_is_one_more_attempt_of_the_same_operation(story):
    tale = asked_in_an_outage(story, "unknown").sent(23, "q2", client_id="c1")
    facts = fold(tale.done(23, "q2", "reset").events)
    assert (facts.outages.reached, facts.calls.attempted, facts.calls.attempts) == (2, 1, 2)


def test_an_order_that_nobody_asked_for_is_an_attempt_as_well(story):
    facts = fold(story().sent(5, "q1", client_id="c9").sent(6, "q2", "time").events)
    assert (facts.calls.attempted, facts.calls.attempts) == (1, 1)


def test_a_request_that_bears_the_name_of_another_open_call_is_its_own_calls_all_the_same(story):
    tale = story().invoke(1, "o1", client_id="c1").invoke(2, "o2", client_id="c2")
    tale.sent(3, "q1", client_id="c1")
    tale.events[-1].details["call"] = "o2"
    assert verdict(tale.back(4, "o1", "blocked"), "blocked_calls_send_nothing") is FAIL


def test_what_the_engine_cancels_as_it_closes_is_nobodys_attempt(story):
    tale = story().add(50, "run.shutdown").sent(51, "q1", "order.cancel", client_id="c1")
    assert fold(tale.events).calls.attempts == 0


@pytest.mark.parametrize(
    ("operation", "returned", "call", "expected"),
    [
        ("order.place", "blocked", "o1", FAIL),
        ("order.place", "blocked", "", FAIL),
        ("order.place", "failed", "o1", FAIL),  # nothing had left, and its caller was told so
        ("order.place", "unknown", "o1", OPEN),  # as it may be: it is looked up and sent again
        ("order.cancel", "blocked", "o1", FAIL),
        ("order.cancel", "blocked", "", PASS),  # perhaps the engine's own, which cleans up
        ("account", "blocked", "o1", PASS),  # a question does nothing
    ],
)
def test_what_came_back_as_blocked_is_not_sent_afterwards(
    story, operation, returned, call, expected
):
    found = ask(asked_in_an_outage(story, returned, operation, call), "blocked_calls_send_nothing")
    assert found.verdict is expected
    assert expected is not FAIL or found.evidence == (
        f"seq 8, t=22.000s: A sent {operation} c1 as q1, although o1 had come back {returned} with "
        "nothing sent",
    )


def test_an_order_of_which_an_attempt_had_failed_may_be_told_as_failed_and_no_more(story):
    """That one left is known to its caller; whether another may follow is for others to judge."""
    tale = story().invoke(1, "o1", client_id="c1").sent(1, "r1", client_id="c1")
    tale.done(1, "r1", "reset").back(2, "o1", "failed").sent(3, "r2", client_id="c1")
    assert verdict(tale, "blocked_calls_send_nothing") is OPEN


# -- no_refusal_is_sent_again


@pytest.mark.parametrize(("code", "expected"), [(-2010, FAIL), (-1013, FAIL), (-1021, OPEN)])
def test_what_was_refused_is_not_sent_again_unchanged(story, code, expected):
    """A time stamp's refusal is none of the order; it may go again with another."""
    tale = refused_for_cause(story({}).begin(10), 11, 400, code)
    assert verdict(tale.sent(12, "r2", client_id="c11"), "no_refusal_is_sent_again") is expected


def test_an_order_in_doubt_may_go_again_though_a_resend_was_refused(story):
    """The refusal may be that of a duplicate, whose first request then expired."""
    tale = story().sent(10, "r0", client_id="c11").done(10, "r0", "reset")
    refused_for_cause(tale, 11, 400)
    assert verdict(tale.sent(12, "r2", client_id="c11"), "no_refusal_is_sent_again") is PASS


# -- errors that were swallowed


def failed_request(tale, t, number, *, is_told):
    tale.invoke(t, f"o{number}", "account", lane="queries").sent(t, f"r{number}", "account")
    tale.fired(t, "F1", f"r{number}", "account").done(t, f"r{number}", "reset")
    if is_told:
        tale.error(t, f"E{number}", f"r{number}", context={"operation": "account"})
    return tale.back(t, f"o{number}", "failed")


def test_each_failed_request_owes_an_error_of_its_own(story):
    """A listener that drops every other event does not pass for the other half."""
    tale = story({}).probe(9).begin(10)
    for number in range(4):
        failed_request(tale, 11 + number, number, is_told=number % 2 == 0)
    assert counted(tale, "classification_coverage") == (2, 4)


def test_no_such_order_is_an_answer_and_owes_no_error(story):
    tale = story({"blocks": []}).begin(10).invoke(11, "o1", "order.query", client_id="c1")
    tale.sent(11, "r1", "order.query", client_id="c1").fired(11, "F1", "r1", "order.query")
    tale.add(11, "venue.refused", "r1", code=-2013, status=400).done(11, "r1", "error", status=400)
    tale.error(12, "E1", "r1", context={"operation": "order.query"}).back(12, "o1")
    assert fold(tale.events).incidents.all["F1"].swallowed == 0


# -- no_alert_storm


@pytest.mark.parametrize(("count", "expected"), [(3, PASS), (4, FAIL)])
def test_alerts_of_one_sort_for_one_incident_are_few(story, count, expected):
    tale = failed_request(story({}).begin(10), 11, 1, is_told=True)
    for number in range(count):
        details = {"adapter": "A", "category": "connection", "order_id": f"c{number}"}
        tale.add(12, "operator.alert", f"i{number}", correlation_id="r1", **details)
    assert verdict(tale, "no_alert_storm") is expected


def test_each_order_that_nobody_can_settle_is_worth_an_alert(story):
    tale = failed_request(story({}).begin(10), 11, 1, is_told=True)
    for number in range(9):
        details = {"adapter": "A", "category": "order_execution", "order_id": f"c{number}"}
        tale.add(12, "operator.alert", f"i{number}", correlation_id="r1", **details)
    assert verdict(tale, "no_alert_storm") is PASS


# -- trouble_noticed_in_time


@pytest.mark.parametrize(("noticed", "expected"), [(20.0, PASS), (22.0, FAIL), (None, FAIL)])
def test_trouble_has_to_be_noticed_within_twice_the_budget(story, noticed, expected):
    """Who notices a dead stream when it comes back has recovered from nothing."""
    tale = story({}).begin(10).fired(10, "F1", "k1", "stream")
    tale.add(11, "link.close", "k1", "lost", adapter="A", by="venue")
    if noticed is not None:
        tale.error(noticed, "E1", "k1", context={"operation": "stream"})
    assert verdict(tale.end(30), "trouble_noticed_in_time") is expected


@pytest.mark.parametrize(("ended", "is_due"), [(19.0, False), (22.0, True)])
def test_trouble_that_an_interrupt_follows_may_yet_have_been_noticed(story, ended, is_due):
    tale = story({}).begin(10).fired(10, "F1", "k1", "stream")
    tale.add(11, "link.close", "k1", "lost", adapter="A", by="venue")
    tale.finished(t=ended, ending="interrupted")
    found = ORACLES["trouble_noticed_in_time"](fold(tale.events))
    assert (found.exercised, found.verdict is FAIL) == (is_due, is_due)


@pytest.mark.parametrize(("end", "is_seen"), [(19.0, False), (25.0, True)])
def test_bad_data_counts_although_no_probe_took_offence(story, end, is_seen):
    """A frozen price looks well to whoever looks only at whether prices come."""
    plan = {"category": "market_data", "kind": "stale", "blocks": [], "surfaces": False}
    tale = story(plan).probe(9).begin(10).fired(10, "F1", "k1", "stream").probe(12).end(end)
    assert [fault["effect_seen"] for fault in judge(tale.finished().events).faults] == [is_seen]


# -- the others


@pytest.mark.parametrize(("after", "expected"), [("NOTTRADED", FAIL), ("ALLTRADED", PASS)])
def test_an_order_that_ended_stays_ended(story, after, expected):
    """A fill may follow a cancel; an end that was none may not."""
    tale = story().order(1, "NOTTRADED").order(2, "CANCELLED").order(3, after)
    assert verdict(tale, "no_order_comes_back_to_life") is expected


@pytest.mark.parametrize(
    ("end", "adapter", "returned", "expected"),
    [
        ("REJECTED", "B", False, PASS),
        ("REJECTED", "B", True, FAIL),
        ("REJECTED", "A", False, FAIL),
        ("CANCELLED", "B", False, FAIL),
    ],
)
def test_an_order_may_go_elsewhere_while_its_call_is_under_way(
    story, end, adapter, returned, expected
):
    """Refused where it was asked for, it goes to the standby; nobody was told that it is over."""
    tale = story().invoke(1, "o1", client_id="c1").order(2, "SUBMITTING").order(3, end)
    if returned:
        tale.back(4, "o1", "failed", client_id="c1")
    tale.order(5, "SUBMITTING", adapter=adapter)
    assert verdict(tale, "no_order_comes_back_to_life") is expected


@pytest.mark.parametrize(
    ("status", "named", "expected"),
    [("NEW", [], FAIL), ("NEW", ["c1"], PASS), ("CANCELED", [], PASS)],
)
def test_what_stays_open_after_shutdown_is_named(story, status, named, expected):
    tale = story().venue_order(1, "v1", status).add(99, "run.closed", open_orders=named)
    assert verdict(tale, "shutdown_names_what_stays_open") is expected


def test_a_task_that_died_fails_a_run_that_came_to_its_end(story):
    tale = story().add(
        100, "run.end", "story", "completed", leftover_tasks=[], failures=["KeyError"]
    )
    assert verdict(tale, "run_completed") is FAIL


@pytest.mark.parametrize(("t", "expected"), [(1.4, FAIL), (3, PASS)])
def test_a_connection_is_not_closed_before_it_can_have_shown_what_it_is_worth(story, t, expected):
    """Two recoveries at once tear each other's new connections down."""
    tale = story().add(1, "link.open", "k1", "ok", adapter="A")
    tale.add(t, "link.close", "k1", "clean", adapter="A", by="client")
    assert verdict(tale, "one_reconnect_at_a_time") is expected


def test_a_new_connection_on_which_something_failed_may_be_closed_at_once(story):
    tale = story().add(1, "link.open", "k1", "ok", adapter="A").sent(1.1, "r1", "stream.subscribe")
    tale.done(1.2, "r1", "reset").add(1.3, "link.close", "k1", "clean", adapter="A", by="client")
    assert verdict(tale, "one_reconnect_at_a_time") is PASS


@pytest.mark.parametrize(("sent", "expected"), [(50.5, PASS), (54.0, FAIL)])
def test_a_call_that_is_made_to_wait_for_nothing_is_held_back_too(story, sent, expected):
    """A breaker that opens for nothing, over calls that outwait it, blocks none of them."""
    tale = story().probe(9).invoke(50, "o1", client_id="c1").sent(sent, "r1", client_id="c1")
    tale.done(sent, "r1").back(sent + 1, "o1")
    assert verdict(tale, "nothing_blocked_without_cause") is expected


# -- what only the client can end


def crashed(story, *, end, horizon=100.0, **ending):
    """A component that is broken from 10 to `end`, and well again 2 s later."""
    plan = {"kind": "component_crash", "category": "system", "ends_by_client": True, "end": end}
    tale = story(plan, horizon=horizon).outage(restored=None)
    tale.events = tale.events[:-2]  # its end, which is told here
    return tale.end(end, **ending).probe(end + 2).probe(end + 2.5)


@pytest.mark.parametrize(("ending", "expected"), [({"spent": True}, PASS), ({}, FAIL)])
def test_what_is_taken_away_at_its_planned_end_was_not_recovered_from(story, ending, expected):
    """A client that reconnects a broken component for ever is well again when the fault is over."""
    tale = crashed(story, end=40.0, **ending).finished()
    found = ORACLES["recovery_within_bound"](fold(tale.events))
    assert (found.verdict, found.judged) == (expected, 1)
    assert counted(tale, "recovery_success_rate") == (expected is PASS, 1)
    if expected is FAIL:
        assert found.evidence == (
            "F1 (component_crash), on from t=10.000s, was never ended by the client on A, and was "
            "taken away at t=40.000s",
        )


def test_what_the_close_of_the_market_took_away_says_nothing_of_the_client(story):
    tale = crashed(story, end=90.0)
    tale.events[-4:-4] = [story().add(90.0, "run.settle", "story").events[-1]]
    tale.add(100.0, "run.end", "story", "completed", leftover_tasks=[])
    assert verdict(tale, "recovery_within_bound") is OPEN
    assert counted(tale, "recovery_success_rate") == (0, 0)


def test_a_fault_of_another_sort_may_end_by_its_plan(story):
    tale = story({}).outage().finished()
    assert verdict(tale, "recovery_within_bound") is PASS
    assert counted(tale, "recovery_success_rate") == (1, 1)
