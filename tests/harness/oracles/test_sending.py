"""What may be sent when: each invariant held by an honest history, and broken in every way."""

from __future__ import annotations

import pytest

from .asking import FAIL, OPEN, PASS, ask, verdict


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


@pytest.mark.parametrize(
    ("began", "code", "expected"),
    [
        (19.9, -1003, FAIL),
        (20.0, -1003, PASS),
        (9.9, -1003, PASS),  # on its way when the refusal arrived
        (11.0, -1015, PASS),  # of new orders, and of nothing else
    ],
)
@pytest.mark.parametrize("outcome", ["ok", "refused"])
@pytest.mark.parametrize(
    ("status", "name"),
    [(429, "nothing_sent_before_retry_after"), (418, "nothing_sent_while_banned")],
)
def test_nobody_connects_until_the_moment_named_either(
    story, status, name, outcome, began, code, expected
):
    tale = refused(story, status, code)
    tale.add(20.1, "link.open", "k1", outcome, adapter="A", began=began)
    found = ask(tale, name)
    assert found.verdict is expected
    assert expected is PASS or found.evidence == (
        f"seq 6, t=20.100s: A began to open k1 at t=19.900s before t=20.000s, as asked by {status} "
        "to r1 (seq 5, t=10.000s)",
    )


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
    tale.events.insert(-2, tale.events[3]._replace(outcome="FILLED"))
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


@pytest.mark.parametrize(
    ("one_socket", "back_at", "expected"),
    [(True, None, OPEN), (True, 15.0, OPEN), (True, 11.5, FAIL), (False, 15.0, FAIL)],
)
def test_cancel_that_had_no_line_to_go_over_is_excused(story, one_socket, back_at, expected):
    """Where one socket carries all; elsewhere a request opens its own."""
    tale = story({"blocks": ["order.place"]}, venues={"A": {"one_socket": one_socket}}).probe(1)
    opened(story, 2, "l1", tale=tale)
    tale.sent(5, "r0", client_id="c0").venue_order(5, "v0", client_id="c0").begin(10)
    tale.invoke(11, "o1", client_id="c1").sent(11, "r1", client_id="c1").fired(11, "F1", "r1")
    tale.add(11, "link.close", "l1", "reset", adapter="A", by="fault")
    tale.done(11, "r1", "reset").back(11, "o1", "unknown")
    if back_at == 11.5:
        opened(story, back_at, "l2", tale=tale)
    tale.invoke(12, "o2", "order.cancel", client_id="c0", lane="cancels")
    if back_at == 15.0:
        opened(story, back_at, "l2", tale=tale)
    assert verdict(tale.back(16, "o2", "blocked"), "cancels_get_through") is expected


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


def sampled(story, t, *, venue="B", **parts):
    """A fault at `venue` from 10 to 30, the bound is 20 s; then A is looked at."""
    tale = story({"venue": venue}).probe(9).begin(10).end(30)
    tale.events[-2:] = [event for event in tale.events[-2:] if t >= 30]
    return tale.probe(t, "down", **parts)


@pytest.mark.parametrize(("part", "what"), [("connected", "a connection"), ("ticking", "prices")])
@pytest.mark.parametrize(("t", "venue"), [(20, "B"), (60, "A"), (60, "B")])
def test_what_takes_an_adapter_down_whose_venue_is_well_is_harm(story, t, venue, part, what):
    """Whatever the core closed it for, and whether or not anybody called meanwhile."""
    found = ask(sampled(story, t, venue=venue, **{part: False}), "bystanders_unharmed")
    assert found.verdict is FAIL
    assert f"A was without {what}, although its venue" in found.evidence[0]


def test_what_is_up_but_does_not_agree_with_its_venue_is_another_matter(story):
    tale = sampled(story, 60, reconciled=False, canary=False)
    assert verdict(tale, "bystanders_unharmed") is PASS


@pytest.mark.parametrize(("t", "venue"), [(20, "A"), (49, "A"), (20, "*"), (49, "*")])
def test_what_is_down_while_its_venue_is_broken_or_within_the_bound_is_none(story, t, venue):
    tale = sampled(story, t, venue=venue, connected=False, ticking=False)
    assert verdict(tale, "bystanders_unharmed") is OPEN


@pytest.mark.parametrize(("until", "expected"), [(85.0, OPEN), (75.0, FAIL)])
def test_who_was_told_to_keep_quiet_has_as_long_to_come_back(story, until, expected):
    """Nobody may connect during a ban, however long the fault that brought it is over."""
    tale = story().probe(9).sent(11, "r1").add(11, "venue.refused", "r1", status=418, until=until)
    tale.done(11, "r1", "error", status=418).probe(100, "down", connected=False)
    assert verdict(tale, "bystanders_unharmed") is expected


@pytest.mark.parametrize("why", ["never up", "shutdown"])
def test_who_is_on_his_way_up_or_down_is_not_judged(story, why):
    tale = story()
    if why == "shutdown":
        tale.probe(9).add(50, "run.shutdown")
    tale.probe(60, "down", connected=False)
    assert verdict(tale, "bystanders_unharmed") is OPEN


def test_only_new_orders_are_forbidden_after_shutdown(story):
    name = "nothing_sent_after_shutdown"
    tale = story().add(50, "run.shutdown").sent(51, "r1", "order.cancel", client_id="c1")
    assert verdict(tale, name) is PASS
    assert verdict(tale.sent(52, "r2", client_id="c2"), name) is FAIL
