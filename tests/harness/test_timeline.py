"""What the chart draws: bounded in size, whatever the length of the run."""

from __future__ import annotations

from harness.facts import fold
from harness.timeline import BreakerSpan, Downtime, FaultWindow, Incident, OrderMark


def timeline(story):
    return fold(story.events).timeline


def test_outage_is_a_window_an_incident_and_a_downtime(story):
    drawn = timeline(story({}).outage().finished())
    assert drawn.horizon == 100.0
    assert drawn.faults == (FaultWindow("F1", "disconnect", "connection", 10.0, 30.0, 1),)
    assert drawn.incidents == (Incident("F1", "A", 11.0, 32.0, 30.0, 12.0, None),)
    assert drawn.downtimes == (Downtime("A", 12.0, 32.0),)


def test_what_has_not_ended_is_cut_at_the_end(story):
    tale = (
        story({})
        .outage(restored=None)
        .add(
            40,
            "engine.breaker",
            "A.orders",
            "open",
            adapter="A",
            lane="orders",
            **{"from": "closed"},
        )
    )
    drawn = timeline(tale.finished())
    assert drawn.incidents[0].restored is None
    assert drawn.downtimes == (Downtime("A", 12.0, 100.0),)
    assert drawn.breakers == (
        BreakerSpan("A.orders", "closed", 0.0, 40, "orders", "A"),
        BreakerSpan("A.orders", "open", 40, 100.0, "orders", "A"),
    )


def test_fault_that_never_began_is_drawn_where_it_was_planned(story):
    assert timeline(story({}).finished()).faults[0] == FaultWindow(
        "F1", "disconnect", "connection", 10.0, 30.0, 0
    )


def test_fault_without_an_effect_is_no_incident(story):
    assert timeline(story({}).begin(10).end(30).finished()).incidents == ()


def test_orders_are_counted_by_outcome_and_bucket(story):
    tale = story(horizon=480.0)
    for number, (t, outcome) in enumerate([(1, "ok"), (1.5, "ok"), (1.9, "blocked"), (9, "ok")]):
        tale.invoke(t, f"o{number}", client_id="c").back(t, f"o{number}", outcome)
    tale.invoke(10, "x", "order.cancel").back(10, "x")
    assert timeline(tale).orders == (
        OrderMark(0.0, "blocked", 1),
        OrderMark(0.0, "ok", 2),
        OrderMark(8.0, "ok", 1),
    )


def test_day_of_orders_stays_within_the_buckets(story):
    tale = story(horizon=86_400.0)
    for t in range(0, 86_400, 60):
        tale.invoke(t, f"o{t}").back(t, f"o{t}")
    marks = timeline(tale).orders
    assert len(marks) == 240
    assert sum(mark.number for mark in marks) == 1440
