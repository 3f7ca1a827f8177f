"""The invariants: each held by an honest history, and broken in every way it can be."""

from __future__ import annotations

import dataclasses

import pytest

from harness.facts import fold
from harness.metrics.tallies import TALLIES
from harness.oracles import ORACLES, judge_invariants
from harness.results import Verdict

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


def ask(story, name):
    return ORACLES[name](fold(story.events))


def verdict(story, name):
    return ask(story, name).verdict


def traded(story, **final):
    """One order, filled, told and read at the end."""
    tale = story().sent(0, "r0", "time").invoke(1, "o1", client_id="c1")
    tale.sent(1, "r1", client_id="c1").venue_order(1, "v1").done(1, "r1").order(1, "NOTTRADED")
    tale.back(2, "o1").venue_trade(3, "t1").venue_order(3, "v1", "FILLED", executed=1.0)
    tale.client_trade(3, "t1").order(3, "ALLTRADED")
    return tale.final("ALLTRADED", "FILLED", traded=1.0, executed=1.0)


@pytest.mark.parametrize(
    "name", ["no_intent_executes_twice", "no_order_lost", "positions_equal_fills"]
)
def test_order_filled_once_and_told_once_holds(story, name):
    assert verdict(traded(story), name) is PASS


ALWAYS_JUDGED = {"run_completed", "no_task_left", "steady_before_and_after"}


@pytest.mark.parametrize("name", [name for name in ORACLES if name not in ALWAYS_JUDGED])
def test_empty_history_judges_nothing_and_weighs_nothing(story, name):
    found = ask(story(), name)
    assert (found.verdict, found.exercised, found.weight) == (OPEN, False, PASS)


# -- orders -------------------------------------------------------------------------------------


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
    tale.final(client, venue, traded=traded_, executed=executed)
    assert verdict(tale, "no_order_lost") is FAIL


@pytest.mark.parametrize(
    ("client", "venue"),
    [("REJECTED", ""), ("CANCELLED", "EXPIRED"), ("PARTTRADED", "PARTIALLY_FILLED")],
)
def test_engine_and_venue_that_mean_the_same_lose_nothing(story, client, venue):
    tale = story().invoke(1, "o1", client_id="c1").final(client, venue)
    assert verdict(tale, "no_order_lost") is PASS


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


def test_unknown_settled_by_a_reply_holds(story):
    tale = (
        unknown(story)
        .sent(6, "q1", "order.query", client_id="c1")
        .done(6, "q1", "error", status=400, delivered=True)
    )
    assert verdict(tale.order(6, "REJECTED"), SETTLED) is PASS


def test_unknown_settled_by_a_list_of_open_orders_holds(story):
    tale = unknown(story).sent(6, "q1", "orders.open").done(6, "q1")
    assert verdict(tale.order(6, "REJECTED"), SETTLED) is PASS


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
    tale.back(2, "o1", "unknown").order(3, "REJECTED")
    assert verdict(tale.order(4, "ALLTRADED"), SETTLED) is expected


def test_final_state_while_the_venue_has_it_open_is_made_up(story):
    """After a failed look-up: unknown taken as empty."""
    tale = story().sent(1, "q1", "orders.open").done(2, "q1", "reset").venue_order(1, "v1")
    name = "failed_reply_changes_no_state"
    assert verdict(tale, name) is PASS
    found = ask(tale.order(3, "CANCELLED"), name)
    assert found.verdict is FAIL
    assert "order c1" in found.evidence[0]


# -- sending ------------------------------------------------------------------------------------


def refused(story, status=429, code=-1003, until=20.0):
    tale = story().sent(9, "r1").sent(9.5, "wire")
    tale.add(9.6, "venue.refused", "r1", venue="A", status=status, code=code, until=until)
    return tale.done(10, "r1", "error", status=status, delivered=True)


@pytest.mark.parametrize(
    ("status", "name"),
    [(429, "nothing_sent_before_retry_after"), (418, "nothing_sent_while_banned")],
)
def test_nothing_is_sent_until_the_moment_named(story, status, name):
    """What was on the wire when the refusal arrived may finish."""
    assert verdict(refused(story, status).sent(20, "r2"), name) is PASS
    found = ask(refused(story, status).sent(19.9, "r2", "order.cancel"), name)
    assert found.verdict is FAIL
    assert all(word in found.evidence[0] for word in ("r1", "r2", "seq"))


def test_refusal_whose_reply_was_lost_binds_nobody(story):
    tale = story().sent(9, "r1").add(9, "venue.refused", "r1", status=429, until=20.0)
    tale.done(10, "r1", "reset").sent(11, "r2")
    assert not ask(tale, "nothing_sent_before_retry_after").exercised


def test_refusal_that_names_no_time_binds_nobody(story):
    assert not ask(
        refused(story, until=None).sent(11, "r2"), "nothing_sent_before_retry_after"
    ).exercised


def test_order_rate_limit_binds_new_orders_only(story):
    name = "nothing_sent_before_retry_after"
    tale = refused(story, code=-1015).sent(11, "r2", "order.cancel")
    assert verdict(tale, name) is PASS
    assert verdict(tale.sent(12, "r3", "order.place"), name) is FAIL


def test_blocked_call_that_sent_something_is_a_breach(story):
    name = "blocked_calls_send_nothing"
    tale = story().invoke(1, "o1", client_id="c1").back(1, "o1", "blocked")
    assert verdict(tale, name) is PASS
    tale.invoke(2, "o2", client_id="c2").sent(2, "r2", client_id="c2").back(2, "o2", "blocked")
    assert verdict(tale, name) is FAIL


def test_retry_held_back_after_a_refused_attempt_sent_nothing(story):
    """The first attempt was turned away, the second never went: blocked is the truth."""
    tale = story().invoke(2, "o2", client_id="c2").sent(2, "r2", client_id="c2")
    tale.done(2, "r2", "refused").back(2, "o2", "blocked")
    assert verdict(tale, "blocked_calls_send_nothing") is PASS


def cancelled(story, outcome="ok", send=True, blocks=("order.place",)):
    tale = story({"blocks": list(blocks)}).probe(1).sent(5, "r0", client_id="c0")
    tale.venue_order(5, "v0", client_id="c0").begin(10)
    tale.invoke(11, "o1", client_id="c1").sent(11, "r1", client_id="c1").fired(11, "F1", "r1")
    tale.done(11, "r1", "reset").back(11, "o1", "unknown")
    tale.invoke(12, "o2", "order.cancel", client_id="c0", lane="cancels")
    if send:
        tale.sent(12, "r2", "order.cancel", client_id="c0", lane="cancels").done(12, "r2", outcome)
    return tale.back(13, "o2", outcome)


def test_cancel_that_is_sent_while_new_orders_fail_gets_through(story):
    assert verdict(cancelled(story), "cancels_get_through") is PASS


def test_cancel_held_back_by_what_tripped_the_orders_is_a_breach(story):
    assert verdict(cancelled(story, "blocked", send=False), "cancels_get_through") is FAIL


def test_cancel_that_waits_with_the_new_orders_is_a_breach_though_it_is_sent_in_the_end(story):
    """By then the order may be filled, or cancelled at last: what counts is when it was asked."""
    tale = cancelled(story, send=False)
    tale.events.pop()
    tale.sent(19, "r2", "order.cancel", client_id="c0", lane="cancels").done(19, "r2")
    found = ask(tale.venue_order(19, "v0", "CANCELED", "c0").back(19, "o2"), "cancels_get_through")
    assert found.evidence == (
        "seq 15, t=19.000s: cancel of c0, asked for as o2 (seq 11, t=12.000s) and sent at "
        "t=19.000s, came back ok, while only new orders had reason to fail on A",
    )


def test_cancel_of_an_order_that_is_not_open_puts_nothing_to_the_test(story):
    tale = cancelled(story, "blocked", send=False)
    tale.events.insert(-2, dataclasses.replace(tale.events[3], outcome="FILLED"))
    assert not ask(tale, "cancels_get_through").exercised


@pytest.mark.parametrize(("code", "expected"), [(-1015, FAIL), (-1003, OPEN)])
def test_cancel_waits_only_for_what_the_venue_has_asked_of_cancels_too(story, code, expected):
    """Of too many new orders Binance speaks to new orders alone; of too many requests to all."""
    tale = story().probe(1).sent(5, "r0", client_id="c0").venue_order(5, "v0", client_id="c0")
    tale.invoke(11, "o1", client_id="c1").sent(11, "r1", client_id="c1")
    tale.add(11, "venue.refused", "r1", code=code, status=429, until=30.0)
    tale.done(11, "r1", "error", status=429)
    tale.invoke(12, "o2", "order.cancel", client_id="c0", lane="cancels").back(13, "o2", "blocked")
    assert verdict(tale, "cancels_get_through") is expected


@pytest.mark.parametrize(("first_ends", "expected"), [(20.0, OPEN), (11.5, FAIL)])
def test_cancel_that_waited_through_a_hold_is_excused_though_a_later_one_asked_less(
    story, first_ends, expected
):
    """A refusal of new orders makes nobody forget what an earlier one asked of all."""
    tale = cancelled(story, send=False)
    tale.events[-2:] = []
    for t, request, code, until in ((11.2, "r2", -1003, first_ends), (21, "r3", -1015, 22.0)):
        tale.sent(t, request)
        tale.add(t, "venue.refused", request, code=code, status=429, until=until)
        tale.done(t, request, "error", status=429)
        if request == "r2":
            tale.invoke(12, "o2", "order.cancel", client_id="c0", lane="cancels")
    tale.sent(23, "r4", "order.cancel", client_id="c0", lane="cancels").done(23, "r4")
    assert verdict(tale.back(24, "o2"), "cancels_get_through") is expected


def test_shorter_hold_takes_nothing_from_a_longer_one(story):
    tale = cancelled(story, send=False)
    tale.events[-2:] = []
    for t, request, until in ((11.2, "r2", 30.0), (11.3, "r3", 11.6)):
        tale.sent(t - 0.1, request).add(t, "venue.refused", request, status=429, until=until)
        tale.done(t, request, "error", status=429)
    tale.invoke(12, "o2", "order.cancel", client_id="c0", lane="cancels").back(13, "o2", "blocked")
    assert verdict(tale, "cancels_get_through") is OPEN


def test_cancel_held_back_while_new_orders_work_is_another_matter(story):
    tale = story({"blocks": ["order.place"]}).probe(1).sent(5, "r0", client_id="c0")
    tale.venue_order(5, "v0", client_id="c0").begin(10)
    tale.invoke(12, "o2", "order.cancel", client_id="c0", lane="cancels").back(13, "o2", "blocked")
    assert not ask(tale, "cancels_get_through").exercised


def test_look_up_held_back_while_new_orders_fail_is_another_matter(story):
    tale = cancelled(story, "blocked", send=False)
    tale.events[-2].details["operation"] = "order.query"
    assert not ask(tale, "cancels_get_through").exercised


def test_cancel_held_back_by_a_fault_on_cancels_is_excused(story):
    found = ask(cancelled(story, "blocked", send=False, blocks=("*",)), "cancels_get_through")
    assert not found.exercised


def opened(story, t, name, outcome="ok", tale=None):
    return (tale or story()).add(t, "link.open", name, outcome, adapter="A")


def test_reconnecting_after_the_loss_holds(story):
    tale = opened(story, 1, "k1").add(5, "link.close", "k1", "reset", adapter="A", by="fault")
    assert verdict(opened(story, 6, "k2", tale=tale), "one_reconnect_at_a_time") is PASS


def test_second_connection_beside_the_first_is_a_breach(story):
    tale = opened(story, 2, "k2", tale=opened(story, 1, "k1"))
    assert verdict(tale, "one_reconnect_at_a_time") is FAIL


@pytest.mark.parametrize(("gap", "expected"), [(0.5, FAIL), (3.0, PASS)])
def test_storm_of_attempts_is_a_breach_and_patience_none(story, gap, expected):
    tale = story()
    for number in range(40):
        opened(story, number * gap, f"k{number}", "refused", tale=tale)
    assert verdict(tale, "one_reconnect_at_a_time") is expected


def test_overlapping_attempts_are_a_breach(story):
    tale = story().add(5, "link.open", "k1", "refused", adapter="A", began=1.0)
    tale.add(6, "link.open", "k2", "refused", adapter="A", began=2.0)
    assert verdict(tale, "one_reconnect_at_a_time") is FAIL


def beside(story, returned, outcome="ok", **done):
    tale = story({}).sent(0, "b0", "time", adapter="B").probe(1, adapter="B").begin(10)
    tale.invoke(11, "o1", adapter="B", client_id="c1").sent(11, "b1", adapter="B", client_id="c1")
    return tale.done(11, "b1", outcome, **done).back(12, "o1", returned)


def test_calls_on_another_venue_that_work_are_unharmed(story):
    assert verdict(beside(story, "ok"), "bystanders_unharmed") is PASS


def test_failure_on_a_venue_without_a_fault_is_harm(story):
    assert verdict(beside(story, "unknown", outcome="abandoned"), "bystanders_unharmed") is FAIL


def test_rejection_by_the_other_venue_itself_is_no_harm(story):
    tale = beside(story, "failed", outcome="error", status=400)
    assert verdict(tale, "bystanders_unharmed") is PASS


def test_only_new_orders_are_forbidden_after_shutdown(story):
    name = "nothing_sent_after_shutdown"
    tale = story().add(50, "run.shutdown").sent(51, "r1", "order.cancel", client_id="c1")
    assert verdict(tale, name) is PASS
    assert verdict(tale.sent(52, "r2", client_id="c2"), name) is FAIL


# -- faults, recovery, the end ------------------------------------------------------------------


def test_fault_that_fired_and_was_healed_holds(story):
    tale = story({}).outage().finished()
    for name in ("every_fault_fired", "every_fault_healed", "recovery_within_bound"):
        assert verdict(tale, name) is PASS


@pytest.mark.parametrize(
    ("plan", "begun", "why"),
    [
        ({"begin": 150.0}, False, "the run ended at t=100s"),
        ({}, False, "it was never begun"),
        ({}, True, "nothing that it targets passed at A"),
    ],
)
def test_fault_that_never_fired_is_undecided_and_says_why(story, plan, begun, why):
    tale = story(plan)
    if begun:
        tale.begin(10).end(30)
    found = ask(tale.finished(), "every_fault_fired")
    assert (found.verdict, found.weight) == (OPEN, OPEN)
    assert why in found.evidence[0]


def test_fault_that_would_not_heal_is_a_breach(story):
    found = ask(story({}).begin(10).end(30, healed="failed"), "every_fault_healed")
    assert found.evidence == ("F1 (disconnect) was not healed: still imposed",)


def test_fault_without_a_healing_is_a_breach(story):
    assert verdict(story({}).begin(10).add(30, "fault.end", "F1"), "every_fault_healed") is FAIL


@pytest.mark.parametrize("restored", [None, 55.0])
def test_late_recovery_is_a_breach(story, restored):
    tale = story({}).outage(restored=restored).finished()
    assert verdict(tale, "recovery_within_bound") is FAIL


def overtaken(story, restored, blocks=("*",), adapter="A"):
    """An outage from 10 to 30, due by 50, and from 35 to 45 another fault, on `adapter`."""
    second = {"id": "F2", "begin": 35.0, "end": 45.0, "blocks": list(blocks)}
    tale = story({}, second).outage(restored=None).begin(35, "F2")
    tale.fired(35, "F2", "r2", "order.query", adapter=adapter).end(45, "F2")
    return tale.probe(restored).probe(restored + 0.5).finished()


@pytest.mark.parametrize(("restored", "expected"), [(60.0, PASS), (60.1, FAIL)])
def test_bound_of_a_recovery_stands_still_while_another_fault_lets_nothing_through(
    story, restored, expected
):
    tale = overtaken(story, restored)
    assert verdict(tale, "recovery_within_bound") is expected
    tally = TALLIES["recovery_success_rate"](fold(tale.events))
    assert (tally.hits, tally.n) == (expected is PASS, 1)


@pytest.mark.parametrize(
    ("others", "due"),
    [
        ([], 50.0),
        ([(5, 25)], 50.0),
        ([(20, 40)], 60.0),
        ([(35, 45), (40, 48)], 63.0),
        ([(35, 48), (40, 45)], 63.0),
        ([(35, 45), (55, 58)], 63.0),
        ([(52, 60)], 50.0),
    ],
)
def test_no_second_is_taken_from_the_bound_twice_or_for_what_came_later(story, others, due):
    """The outage was over at 30 s, and 20 s are allowed."""
    plans = [{"id": f"O{n}", "begin": b, "end": e} for n, (b, e) in enumerate(others)]
    facts = fold(story({}, *plans).outage(restored=32.0).events)
    for number, (began, cleared) in enumerate(others):
        other = facts.incidents.all[f"O{number}"]
        other.began, other.cleared, other.adapters = began, cleared, ["A"]
    assert facts.incidents.due(facts.incidents.all["F1"], 20.0) == due


@pytest.mark.parametrize("other", [{"blocks": ("order.place",)}, {"adapter": "B"}])
def test_bound_of_a_recovery_runs_on_while_another_fault_does_not_hinder_it(story, other):
    assert verdict(overtaken(story, 50.0, **other), "recovery_within_bound") is PASS
    assert verdict(overtaken(story, 50.1, **other), "recovery_within_bound") is FAIL


def test_recovery_that_was_not_watched_to_its_bound_is_undecided(story):
    tale = story({}).outage(restored=None).probe(40, "down")
    assert verdict(tale, "recovery_within_bound") is OPEN


def test_operator_hears_of_what_he_must(story):
    name = "must_escalate_recall"
    tale = story({"must_escalate": True}).outage()
    assert verdict(tale, name) is FAIL
    assert verdict(tale.add(40, "operator.alert", "i", error_id="E-F1"), name) is PASS


def test_steady_before_and_at_the_end_holds(story):
    assert verdict(story({}).outage().finished(), "steady_before_and_after") is PASS


@pytest.mark.parametrize(
    "tale",
    [
        lambda story: story({}).probe(5, "down").begin(10).end(30).probe(40),
        lambda story: story({}).probe(5).begin(10).end(30).probe(40, "down"),
    ],
)
def test_down_before_or_at_the_end_is_a_breach(story, tale):
    assert verdict(tale(story), "steady_before_and_after") is FAIL


def test_unprobed_history_is_undecided(story):
    assert ask(story(), "steady_before_and_after").weight is OPEN


@pytest.mark.parametrize(
    ("ending", "expected"),
    [("completed", PASS), ("interrupted", OPEN), ("deadlock", FAIL), ("crashed", FAIL)],
)
def test_run_must_come_to_its_end(story, ending, expected):
    assert verdict(story().finished(ending=ending), "run_completed") is expected


@pytest.mark.parametrize(("ending", "expected"), [("interrupted", OPEN), ("completed", FAIL)])
def test_what_an_interrupt_cut_short_is_undecided_and_no_breach(story, ending, expected):
    """Ctrl-C is no failure of the core: what was due later may still have come."""
    tale = story({"must_escalate": True}, horizon=50.0).probe(5).begin(10).probe(12, "down")
    tale.invoke(13, "op-1", client_id="c1").sent(13, "r1", client_id="c1")
    tale.venue_order(13, "v1", "FILLED", executed=1.0).venue_trade(13, "t1")
    if ending == "completed":
        tale.final("ALLTRADED", "FILLED", traded=1.0, executed=1.0)
    tale.finished(t=50.0, ending=ending)
    assert verdict(tale, "every_fault_healed") is expected
    assert verdict(tale, "positions_equal_fills") is expected
    if ending == "interrupted":
        assert verdict(tale, "steady_before_and_after") is PASS
        assert verdict(tale, "must_escalate_recall") is OPEN
    else:
        assert verdict(tale, "steady_before_and_after") is FAIL


def test_history_without_an_end_is_undecided(story):
    assert ask(story(), "run_completed").weight is OPEN
    assert ask(story(), "no_task_left").weight is OPEN


def test_task_left_behind_is_a_breach_that_names_it(story):
    assert verdict(story().finished(), "no_task_left") is PASS
    found = ask(story().finished(left=["watch A"]), "no_task_left")
    assert found.evidence == ("still running at the end, t=100.000s: watch A",)


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
