"""An invariant asked about a history, and the history of one order that went well."""

from __future__ import annotations

from harness.facts import fold
from harness.oracles import ORACLES
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
