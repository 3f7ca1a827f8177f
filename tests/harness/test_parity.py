"""What must not depend on how a scenario was driven, read off two small histories."""

from __future__ import annotations

import pytest

from harness.bare_facts import BareFacts
from harness.history import Event
from harness.parity import Essence, Measures, parity_of, side_of
from harness.verdict import Verdict


class Told:
    """A history in the making, of one fault F1 at venue A."""

    def __init__(self, *, kind: str = "refuse", digest: str = "d") -> None:
        self.events: list[Event] = []
        self.add("run.start", "story", scenario_digest=digest, faults=[{"id": "F1", "kind": kind}])

    def add(self, kind: str, id: str = "", outcome: str = "", **details: object) -> Told:  # noqa: A002 - the history's word
        seq = len(self.events) + 1
        source = kind.partition(".")[0]
        self.events.append(Event(seq, float(seq), source, kind, id, outcome, details))
        return self

    def error(self, correlation_id: str, category: str, kind: str = "SomeError") -> Told:
        context = {"correlation_id": correlation_id}
        return self.add("engine.error", type=kind, category=category, context=context)

    def touched(self, correlation_id: str) -> Told:
        return self.add("fault.fired", "F1", correlation_id=correlation_id)

    def order(self, client_id: str, number: str = "1", *, executed: float = 1.0) -> Told:
        self.add("venue.order", number, "FILLED", client_id=client_id)
        return self.add("venue.final_order", client_id, "FILLED", executed=executed, quantity=1.0)

    def seen(self, client_id: str, traded: float = 1.0, status: str = "ALLTRADED") -> Told:
        return self.add("client.final_order", client_id, status, traded=traded, volume=1.0)


@pytest.fixture(autouse=True)
def _unjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge has tests of its own, and wants whole histories."""

    class Metric:
        name, value = "mttr_seconds", 2.5

    class Result:
        verdict = Verdict.PASS
        metrics = (Metric,)

    monkeypatch.setattr("harness.parity.judge", lambda _events: Result)


def essence_of(events: list[Event]) -> Essence:
    return side_of(events).essence


def test_errors_count_by_the_fault_that_touched_their_request() -> None:
    """An error of a request that no fault touched, or that only follows, is left out."""
    told = Told().touched("r1").error("r1", "connection").error("r2", "system")
    told.error("r1", "order_execution", "UnknownOrderError")
    context = {"correlation_id": "r1", "code": "not_connected"}
    told.add("engine.error", type="AdapterConnectionError", category="system", context=context)
    assert essence_of(told.events).categories == {"refuse": ("connection",)}


def test_an_order_that_both_sides_have_alike_is_neither_doubled_nor_lost() -> None:
    """And one that the venue never had was rejected, and is not lost."""
    told = Told().order("a").seen("a").seen("b", 0.0, "REJECTED")
    essence = essence_of(told.events)
    assert (essence.doubled, essence.lost) == ((), ())


def test_an_intent_is_doubled_by_a_second_order_or_by_executing_too_much() -> None:
    """Both count, and each intent once."""
    told = Told().order("a", "1").order("a", "2").order("b", "3", executed=1.5)
    assert essence_of(told.events).doubled == ("a", "b")


@pytest.mark.parametrize(
    "told",
    [
        Told().order("a"),
        Told().seen("a"),
        Told().order("a").seen("a", 0.5),
        Told().order("a").seen("a", 0.0, "REJECTED"),
    ],
    ids=["unknown to the client", "unknown to the venue", "other fills", "rejected but filled"],
)
def test_an_order_that_the_sides_have_differently_is_lost(told: Told) -> None:
    """Whichever of them is wrong."""
    assert essence_of(told.events).lost == ("a",)


def test_positions_apart_are_named() -> None:
    """A symbol that only one side has is apart unless there is nothing in it."""
    told = Told().add("venue.final_position", "X", volume=1.0)
    told.add("client.final_position", "X", volume=1.0)
    told.add("venue.final_position", "Y", volume=2.0)
    told.add("client.final_position", "Z", volume=0.0)
    assert essence_of(told.events).apart == ("Y",)


def test_what_differs_is_said_with_both_sides() -> None:
    """A difference is a finding, and names the scenario."""
    simulated = Told().touched("r1").error("r1", "connection")
    live = Told().touched("r1").error("r1", "system")
    assert parity_of(simulated.events, live.events).differences == (
        "story: categories {'refuse': ('connection',)} simulated, {'refuse': ('system',)} live",
    )
    assert parity_of(simulated.events, simulated.events).differences == ()


def test_histories_of_two_scenarios_are_not_compared() -> None:
    """They would differ, and it would mean nothing."""
    with pytest.raises(ValueError, match="of one scenario"):
        parity_of(Told(digest="a").events, Told(digest="b").events)


def test_measures_are_shown_and_not_compared() -> None:
    """Where time is real other orders are filled, and that is no finding."""
    simulated, live = Told().order("a").seen("a"), Told()
    simulated.add("venue.trade", "1").add("venue.final_position", "X", volume=1.0)
    simulated.add("client.final_position", "X", volume=1.0)
    live.add("venue.order", "1", "CANCELED", client_id="b")
    pair = parity_of(simulated.events, live.events)
    assert pair.differences == ()
    assert pair.simulated.measures == Measures(1, 1, {"X": 1.0}, 2.5)
    assert pair.live.measures == Measures(1, 0, {}, 2.5)


def test_as_json_it_has_both_sides_the_control_and_the_findings() -> None:
    """What report.json shows of one scenario."""
    simulated = Told().touched("r1").error("r1", "connection")
    live = Told().touched("r1").error("r1", "system").order("a")
    pair = parity_of(simulated.events, live.events)
    shown = pair.beside(BareFacts(asked=2, doubled=("i1",))).to_dict()
    side = {
        "verdict": "pass",
        "classification": {"refuse": ["connection"]},
        "orders": 0,
        "fills": 0,
        "positions": {},
        "doubled": [],
        "lost": [],
        "positions_apart": [],
        "mttr_seconds": 2.5,
    }
    assert shown["scenario"] == "story"
    assert shown["simulation"] == side
    told = {"classification": {"refuse": ["system"]}, "orders": 1, "lost": ["a"]}
    assert shown["live"] == {**side, **told}
    assert (shown["bare"]["asked"], shown["bare"]["doubled"]) == (2, ("i1",))
    assert shown["findings"] == [
        "story: categories {'refuse': ('connection',)} simulated, {'refuse': ('system',)} live",
        "story: lost () simulated, ('a',) live",
    ]
    assert pair.to_dict()["bare"] is None
