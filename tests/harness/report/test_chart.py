from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.report.chart import Bar, Label, Tick, distribution, lasting, timeline_chart
from harness.timeline import FaultWindow, Incident, OrderMark, Timeline


def test_a_scenario_is_drawn_lane_by_lane(passing):
    chart = timeline_chart(passing.scenarios[0].timeline)
    assert [lane.name for lane in chart.lanes] == [
        "Faults",
        "BINANCE orders",
        "Incidents",
        "BINANCE down",
        "Orders ok",
        "Orders failed",
        "Orders blocked",
        "Orders unknown",
    ]
    assert [lane.note for lane in chart.lanes[4:]] == ["5", "0", "1", "0"]
    assert [(bar.css, bar.x, bar.width) for bar in chart.bars] == [
        ("fault connection", 10.0, 10.0),
        ("fault rate_limit", 60.0, 30.0),
        ("breaker closed", 0.0, 12.0),
        ("breaker open", 12.0, 18.0),
        ("breaker half_open", 30.0, 1.0),
        ("incident light", 10.0, 10.0),
        ("incident", 20.0, 6.0),
        ("down", 11.0, 14.0),
        ("order ok", 0.0, 0.667),
        ("order ok", 15.0, 0.667),
        ("order blocked", 11.667, 0.666),
    ]
    assert chart.summary == (
        "Timeline of 100.0 s: 2 of 2 faults fired, 1 incident, 0 not restored, 6 orders."
    )


def test_a_fault_that_never_fired_is_drawn_hollow_and_casts_no_band():
    idle = FaultWindow("F1", "disconnect", "connection", 1.0, 2.0, 0)
    chart = timeline_chart(Timeline(horizon=10.0, faults=(idle,)))
    assert [bar.css for bar in chart.bars] == ["fault connection idle"]
    assert [label.text for label in chart.labels] == ["disconnect (never fired)"]
    assert chart.bands == ()


def test_an_incident_that_never_ended_reaches_the_horizon_and_says_so():
    open_ended = Incident("F1", "BINANCE", 40.0, None, escalated=50.0)
    chart = timeline_chart(Timeline(horizon=100.0, incidents=(open_ended,)))
    assert [(bar.css, bar.x, bar.width) for bar in chart.bars] == [
        ("incident open-ended", 40.0, 60.0)
    ]
    assert [label.text for label in chart.labels] == ["≥ 60.0 s, not restored, operator called"]


def test_an_incident_restored_at_zero_is_over():
    """Zero is a time, not a missing one."""
    assert lasting(Incident("F1", "B", 0.0, 0.0), 60.0) == (0.0, True)
    assert lasting(Incident("F1", "B", 10.0, None), 60.0) == (50.0, False)


def test_a_lone_unknown_order_stays_visible_beside_a_thousand_good_ones():
    orders = (OrderMark(1.0, "ok", 1000), OrderMark(5.0, "unknown", 1))
    chart = timeline_chart(Timeline(horizon=10.0, orders=orders))
    assert {bar.css: bar.height for bar in chart.bars}["order unknown"] >= 3


def test_an_empty_timeline_is_an_axis():
    chart = timeline_chart(Timeline(horizon=0.0))
    assert (chart.bars, chart.labels, chart.lanes) == ((), (), ())


_TIMES = st.floats(0, 100, allow_nan=False)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(_TIMES, _TIMES), max_size=30))
def test_bars_of_faults_stay_on_the_page_and_their_texts_out_of_each_other(pairs):
    """However faults crowd, no two texts of a row overlap on the narrowest page."""
    faults = tuple(
        FaultWindow(f"F{i}", "kind_of_fault", "system", min(pair), max(pair), 1)
        for i, pair in enumerate(pairs)
    )
    chart = timeline_chart(Timeline(horizon=100.0, faults=faults))
    assert all(0 <= bar.x <= bar.x + bar.width <= 100.001 for bar in chart.bars)
    for row in {label.y for label in chart.labels}:
        spans = sorted(_extent(label) for label in chart.labels if label.y == row)
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))


def _extent(label: Label) -> tuple[float, float]:
    width = 100 * len(label.text) * 6.0 / 540
    left = {"start": label.x, "end": label.x - width, "middle": label.x - width / 2}[label.anchor]
    return left, left + width


def test_recovery_times_are_stacked_dots_against_the_target():
    chart = distribution([(5.0, True), (5.0, True), (60.0, False)], limit=30.0)
    assert chart is not None
    assert [(dot.css, dot.title) for dot in chart.bars] == [
        ("dot", "5.00 s"),
        ("dot", "5.00 s"),
        ("dot open-ended", "not restored after 60.0 s"),
    ]
    first, second, _ = chart.bars
    assert first.x == second.x
    assert first.y - second.y == first.height
    assert chart.bands == (Bar("limit", 46.296, 0, 0, 30.0, "target 30 s"),)
    assert chart.ticks[:2] == (Tick(0.0, "0 s"), Tick(15.432, "10 s"))


def test_without_an_incident_there_is_no_distribution():
    assert distribution([], limit=30.0) is None


@pytest.mark.parametrize("horizon", [0.5, 59.0, 3600.0, 86_400.0, 1e6])
def test_an_axis_has_few_enough_ticks_to_read(horizon):
    assert 1 <= len(timeline_chart(Timeline(horizon=horizon)).ticks) <= 13
