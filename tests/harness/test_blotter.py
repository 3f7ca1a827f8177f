"""The blotter: each intent as the venue executed it and as the engine booked it."""

from __future__ import annotations

from harness.blotter import Blotter, BlotterFold, Line, Position


def blotter_of(story) -> Blotter:
    fold = BlotterFold()
    for event in story.events:
        fold.take(event)
    return fold.done()


def traded(story, t, trade_id, price, quantity=1.0, client_id="c1", side="BUY", *, heard=True):
    """A fill at the venue, and its report to a subscriber."""
    facts = {"client_id": client_id, "symbol": "BTCUSDT", "side": side, "quantity": quantity}
    story.add(t, "venue.trade", trade_id, "filled", venue="A", price=price, **facts)
    if heard:
        story.add(t, "client.trade", f"A.{trade_id}", adapter="A", price=price, **facts)


def held(story, real, believed):
    story.add(99.0, "venue.final_position", "BTCUSDT", adapter="A", volume=real)
    story.add(99.0, "client.final_position", "BTCUSDT", adapter="A", volume=believed)


def test_an_order_filled_in_two_parts_is_one_line_at_its_average_price(story):
    tale = story().invoke(1, "op-1", client_id="c1", quantity=3.0, side="SELL")
    tale.venue_order(2, "v1")
    traded(tale, 3, "t1", 100.0, 1.0, side="SELL")
    traded(tale, 4, "t2", 103.0, 2.0, side="SELL")
    tale.venue_order(4, "v1", "FILLED", executed=3.0)
    tale.final(client="ALLTRADED", venue="FILLED", traded=3.0, executed=3.0)
    held(tale, -3.0, -3.0)
    blotter = blotter_of(tale)
    assert blotter == Blotter(
        lines={"c1": Line("BTCUSDT", -1, 3.0, 1, 3.0, 306.0, "ALLTRADED", 3.0, "FILLED")},
        positions=(Position("A", "BTCUSDT", -3.0, -3.0),),
        marks={("A", "BTCUSDT"): 103.0},
        cash=306.0,
        believed_cash=306.0,
    )
    line = blotter.lines["c1"]
    assert line.price == 102.0
    assert (line.is_doubled, line.is_lost, line.is_unsettled) == (False, False, False)


def test_an_order_that_left_and_was_never_booked_is_not_withheld(story):
    tale = story().invoke(1, "op-1", client_id="c1").invoke(1, "op-2", client_id="c2")
    tale.add(2, "link.sent", "r1", operation="order.place", adapter="A", client_id="c1")
    tale.add(2, "link.sent", "r2", operation="order.query", adapter="A", client_id="c2")
    lines = blotter_of(tale).lines
    assert (lines["c1"].sent, lines["c1"].is_withheld) == (1, False)
    assert (lines["c2"].sent, lines["c2"].is_withheld) == (0, True)


def test_a_fill_that_no_subscriber_heard_of_is_unbooked_and_makes_a_gap(story):
    tale = story().invoke(1, "op-1", client_id="c1")
    traded(tale, 2, "t1", 100.0, heard=False)
    held(tale, 1.0, 0.0)
    blotter = blotter_of(tale)
    assert (blotter.unbooked, blotter.cash, blotter.believed_cash) == (100.0, -100.0, 0.0)
    assert [position.gap for position in blotter.positions] == [1.0]


def test_two_orders_under_one_id_or_more_than_asked_are_doubled():
    assert Line(quantity=1.0, orders=2).is_doubled
    assert Line(quantity=1.0, orders=1, executed=1.5).is_doubled
    assert not Line(quantity=1.0, orders=1, executed=1.0).is_doubled
    assert not Line(quantity=None, orders=1, executed=5.0).is_doubled


def test_an_order_of_which_both_sides_say_another_thing_is_lost_and_an_unknown_one_is_unknown():
    assert Line(status="CANCELLED", there="FILLED").is_lost
    assert Line(status="ALLTRADED", traded=1.0, there="FILLED", executed=2.0).is_lost
    assert Line(status="", there="NEW").is_lost
    assert not Line(status="", there="").is_lost
    assert not Line(status="REJECTED", there="").is_lost
    for status in ("UNKNOWN", "SUBMITTING"):
        unsettled = Line(status=status, there="FILLED")
        assert (unsettled.is_lost, unsettled.is_unsettled) == (False, True)


def test_blocked_calls_errors_and_alerts_are_counted_an_error_once(story):
    tale = story().back(1, "op-1", "blocked").back(2, "op-2", "failed")
    tale.error(3, "E1", "r1").error(4, "E1", "r1").error(5, "E2", "r2").add(6, "operator.alert")
    blotter = blotter_of(tale)
    assert (blotter.blocked, blotter.errors, blotter.alerts) == (1, 2, 1)


def test_what_happens_after_closing_time_is_left_out(story):
    """The cancels of a shutdown are no part of what was traded."""
    tale = story().invoke(1, "op-1", client_id="c1").add(2, "run.shutdown")
    traded(tale, 3, "t1", 100.0)
    assert blotter_of(tale) == Blotter(lines={"c1": Line("BTCUSDT", -1, 1.0)})


def test_an_order_that_nobody_asked_for_is_no_line(story):
    assert blotter_of(story().venue_order(1, "v9", client_id="stranger")).lines == {}
