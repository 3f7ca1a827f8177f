"""No stale price is served as fresh: kept, broken in each way, and never put to the test."""

from __future__ import annotations

import pytest

from harness.facts import fold
from harness.oracles import ORACLES
from harness.results import Verdict

PASS, FAIL = Verdict.PASS, Verdict.FAIL


def ask(tale):
    """With a detection budget of 5 s a price is good for 10."""
    return ORACLES["no_stale_price_served"](fold(tale.events))


def old(tale, t, *, ready, told, made_at=10.0):
    return tale.price(t, "old", made_at, ready=ready, told=told)


def test_prices_that_never_grow_old_put_nothing_to_the_test(story):
    assert not ask(story().probe(9).finished()).exercised


@pytest.mark.parametrize(("until", "expected"), [(19.9, PASS), (20.5, FAIL)])
def test_an_old_price_may_be_served_until_it_must_have_been_noticed(story, until, expected):
    tale = old(story(), 15, ready=True, told=False)
    found = ask(tale.price(until, "new", until))
    assert (found.verdict, found.judged) == (expected, 1)


@pytest.mark.parametrize(
    ("ready", "told", "claim"),
    [
        (False, True, ""),
        (True, True, "its adapter was called ready"),
        (True, False, "its adapter was called ready"),
        (False, False, "nobody had said that it was old"),
    ],
)
def test_a_price_is_fresh_to_who_is_told_nothing_or_told_that_all_is_ready(
    story, ready, told, claim
):
    tale = old(story(), 15, ready=True, told=False)
    old(tale, 18, ready=ready, told=told)
    found = ask(tale.price(40, "new", 40.0))
    assert found.verdict is (FAIL if claim else PASS)
    assert [line.rpartition(": ")[2] for line in found.evidence] == ([claim] if claim else [])


def test_the_evidence_names_the_price_its_adapter_and_the_times(story):
    found = ask(old(story(), 15, ready=True, told=False).price(30, "new", 30.0))
    assert found.evidence == (
        "seq 2, t=15.000s: the price of BTC that A made at t=10.000s was served as fresh until "
        "t=30.000s, although 10s is all that a price is good for: its adapter was called ready",
    )


def test_who_calls_a_dead_stream_ready_again_serves_it_as_fresh_again(story):
    tale = old(story(), 15, ready=True, told=False)
    old(old(tale, 18, ready=False, told=True), 25, ready=True, told=True)
    assert ask(tale.price(26, "new", 26.0)).verdict is FAIL


@pytest.mark.parametrize("end", [("run.shutdown", 30.0), ("run.settle", 30.0)])
def test_a_price_that_never_comes_back_is_judged_at_the_end(story, end):
    """By the shutdown, where there is one; else by the history's own end."""
    kind, t = end
    tale = old(story(), 15, ready=True, told=False).add(t, kind, "story")
    found = ask(tale)
    assert found.verdict is FAIL
    assert f"until t={t:.3f}s" in found.evidence[0]


def test_nothing_is_served_any_more_after_shutdown_began(story):
    tale = old(story(), 15, ready=True, told=False).add(18, "run.shutdown", "story")
    assert ask(tale.finished()).verdict is PASS


def test_one_price_is_one_breach_however_often_its_claims_change(story):
    tale = old(story(), 15, ready=True, told=False)
    for t in (25, 26, 27):
        old(tale, t, ready=bool(t % 2), told=False)
    old(tale, 41, ready=True, told=False, made_at=30.0)
    found = ask(tale.price(50, "new", 50.0))
    assert len(found.evidence) == 2
    assert found.judged == 1


def test_each_symbol_is_judged_by_itself(story):
    tale = old(story(), 15, ready=True, told=False)
    tale.price(15, "old", 10.0, "ETH", ready=True, told=False).price(16, "new", 16.0)
    found = ask(tale.price(30, "new", 30.0, "ETH"))
    assert (found.judged, len(found.evidence)) == (2, 1)
    assert "price of ETH" in found.evidence[0]


def test_an_overtaken_price_handed_on_as_new_is_a_breach_that_names_both(story):
    found = ask(story().price(15, "back", 12.0, newest=14.0))
    assert found.evidence == (
        "seq 2, t=15.000s: a price of BTC that A made at t=12.000s was handed on as new, after "
        "that of t=14.000s",
    )
