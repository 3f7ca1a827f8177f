"""Standbys: judged by where orders were sent, and by what the probe saw of their adapters."""

from __future__ import annotations

import pytest

from harness.facts import fold
from harness.oracles import ORACLES
from harness.results import Verdict

VENUES = {"A": {"profile": "binance"}, "B": {"profile": "futu", "standby_for": "A"}}


def tale(story, *faults, down=10.0, back=None):
    told = story(*faults, venues=VENUES, horizon=300.0)
    told.probe(1, adapter="A").probe(1, adapter="B").probe(down, "down", adapter="A")
    return told if back is None else told.probe(back, adapter="A")


def order(told, t, *, at=None, outcome="ok", number=1):
    told.invoke(t, f"o{number}", client_id=f"c{number}")
    if at is not None:
        told.add(
            t,
            "link.sent",
            f"r{number}",
            adapter=at,
            venue=at,
            lane="orders",
            operation="order.place",
            client_id=f"c{number}",
            call=f"o{number}",
        )
        told.done(t + 0.1, f"r{number}")
    return told.back(t + 0.2, f"o{number}", outcome)


def faulty(told, begin, end):
    told.add(begin, "fault.begin", "F1")
    return told if end is None else told.add(end, "fault.end", "F1")


def verdict(told, name):
    return ORACLES[name](fold(told.events)).verdict


@pytest.mark.parametrize(
    ("t", "at", "outcome", "expected"),
    [
        (49.0, None, "blocked", Verdict.INCONCLUSIVE),  # not down for long enough
        (50.0, None, "blocked", Verdict.FAIL),
        (50.0, "B", "ok", Verdict.PASS),
        (50.0, "A", "ok", Verdict.PASS),  # it is back, and the probe has not seen it yet
    ],
)
def test_an_order_for_an_adapter_that_stays_down_goes_to_its_standby(
    story, t, at, outcome, expected
):
    assert verdict(order(tale(story), t, at=at, outcome=outcome), "standby_takes_over") is expected


def test_a_standby_that_is_down_itself_need_not_take_over(story):
    told = tale(story).probe(40, "down", adapter="B")
    assert verdict(order(told, 50, outcome="blocked"), "standby_takes_over") is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("t", "at", "expected"),
    [
        (74.0, "B", Verdict.INCONCLUSIVE),  # not well for long enough
        (75.0, "B", Verdict.FAIL),
        (75.0, "A", Verdict.PASS),
    ],
)
def test_an_adapter_that_is_well_again_gets_its_orders_back(story, t, at, expected):
    told = order(tale(story), 55, at="B").probe(60, adapter="A")
    told = order(told, t, at=at, number=2)
    assert verdict(told, "primary_gets_its_orders_back") is expected


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (None, Verdict.INCONCLUSIVE),  # the probe has not seen it yet, and who saw it is quick
        (66.0, Verdict.INCONCLUSIVE),
        (65.0, Verdict.FAIL),
    ],
)
def test_a_switch_is_held_against_nobody_while_a_fault_is_on_and_shortly_after(
    story, end, expected
):
    told = order(tale(story, {"begin": 62.0, "end": None}), 55, at="B").probe(60, adapter="A")
    told = order(faulty(told, 62, end), 80, at="B", number=2)
    assert verdict(told, "primary_gets_its_orders_back") is expected


def test_a_fault_at_the_standby_is_no_excuse_to_send_there(story):
    told = order(tale(story, {"venue": "B", "begin": 62.0}), 55, at="B").probe(60, adapter="A")
    told = order(faulty(told, 62, None), 80, at="B", number=2)
    assert verdict(told, "primary_gets_its_orders_back") is Verdict.FAIL


def test_a_primary_that_is_down_is_owed_nothing(story):
    told = order(order(tale(story), 55, at="B"), 80, at="B", number=2)
    assert verdict(told, "primary_gets_its_orders_back") is Verdict.INCONCLUSIVE
