"""Faults and recovery: each invariant held by an honest history, and broken in every way."""

from __future__ import annotations

import pytest

from harness.facts import fold
from harness.metrics.tallies import TALLIES

from .asking import FAIL, OPEN, PASS, ask, verdict


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


@pytest.mark.parametrize(
    ("code", "due"), [(-1003, 58.0), pytest.param(-1015, 50.0, id="of new orders alone")]
)
def test_bound_of_a_recovery_stands_still_while_the_venue_wants_silence(story, code, due):
    """Asked at 35 s for silence until 43 s: whoever obeys cannot find out that all is well."""

    def told(restored):
        tale = story({}).outage(restored=None).sent(34, "r2", "order.place")
        tale.add(34, "venue.refused", "r2", venue="A", status=429, code=code, until=43.0)
        tale.done(35, "r2", "error", status=429, delivered=True)
        return tale.probe(restored).probe(restored + 0.5).finished()

    assert verdict(told(due), "recovery_within_bound") is PASS
    assert verdict(told(due + 0.1), "recovery_within_bound") is FAIL


def test_recovery_that_was_not_watched_to_its_bound_is_undecided(story):
    tale = story({}).outage(restored=None).probe(40, "down")
    assert verdict(tale, "recovery_within_bound") is OPEN


def test_operator_hears_of_what_he_must(story):
    name = "must_escalate_recall"
    tale = story({"must_escalate": True}).outage()
    assert verdict(tale, name) is FAIL
    assert verdict(tale.add(40, "operator.alert", "i", error_id="E-F1"), name) is PASS


@pytest.mark.parametrize(
    ("cooldown", "fields", "told", "expected"),
    [
        (71.0, {}, True, PASS),
        (70.0, {}, True, FAIL),
        (71.0, {}, False, FAIL),
        # What adapters had to recover from is news when it comes again.
        (71.0, {"blocks": ["*"]}, True, FAIL),
        (71.0, {"connection": True}, True, FAIL),
    ],
)
def test_operator_need_not_hear_of_the_same_again_at_once(story, cooldown, fields, told, expected):
    """As the policy promises: a subscriber that raises now and then is one trouble."""
    kind = {"must_escalate": True, "blocks": [], "connection": False, **fields}
    first, again = kind, {**kind, "id": "F2", "begin": 99.0, "end": 110.0}
    promises = {"deadlines": {}, "attempt": 1.0, "resend": 1.0, "quiet": 1.0, "cooldown": cooldown}
    tale = story(first, again, horizon=200.0, promises=promises).outage()
    if told:
        tale.add(20, "operator.alert", "i", error_id="E-F1")
        tale.events.sort(key=lambda event: event.t)
    tale.outage(begin=99.0, end=110.0, restored=112.0, fault="F2").probe(199)
    assert verdict(tale, "must_escalate_recall") is expected


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
