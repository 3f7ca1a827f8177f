"""The venues' own record: the newest of each order, all fills of an id together, positions."""

from __future__ import annotations

import pytest

from foxtrot.util.constants import Status
from harness.books import Books


class Ledger:
    """Books over a kept history, fed with a venue's events in a few words."""

    def __init__(self, kept):
        self.history = kept(lambda: 0.0)
        self.books = Books(self.history)
        self.changes = []
        self.books.on_change = lambda *key: self.changes.append(key)

    def order(self, number, status="NEW", executed=0.0, client_id="c1", venue="A", side="BUY"):
        details = {
            "venue_order_id": number,
            "client_id": client_id,
            "symbol": "BTCUSDT",
            "side": side,
            "quantity": 1.0,
            "executed": executed,
        }
        self.books.hook(venue)("venue.order", number, status, details)

    def trade(self, number, quantity, side="BUY", venue="A"):
        details = {"symbol": "BTCUSDT", "side": side, "quantity": quantity, "client_id": "c1"}
        self.books.hook(venue)("venue.trade", number, "filled", details)

    def final(self):
        self.history.kept.clear()
        self.books.write_final()
        return [(e.kind, e.id, e.outcome, e.details) for e in self.history.kept]


@pytest.fixture
def ledger(kept):
    return Ledger(kept)


def test_an_order_that_nobody_placed_is_not_there(ledger):
    assert ledger.books.order("A", "c1") is None


def test_updates_of_one_order_replace_each_other(ledger):
    ledger.order("v1")
    ledger.order("v1", "PARTIALLY_FILLED", 0.4)
    ledger.order("v1", "FILLED", 1.0)
    booked = ledger.books.order("A", "c1")
    assert (booked.status, booked.executed, booked.executed_in_all) == ("FILLED", 1.0, 1.0)
    assert ledger.changes == [("A", "c1")] * 3


def test_two_orders_under_one_client_id_add_up(ledger):
    """The doubled intent that the whole harness exists to catch must not hide the first order."""
    ledger.order("v1", "FILLED", 1.0)
    ledger.order("v2")
    assert ledger.books.order("A", "c1").executed_in_all == 1.0
    ledger.order("v2", "PARTIALLY_FILLED", 0.25)
    ledger.order("v3", "FILLED", 1.0)
    booked = ledger.books.order("A", "c1")
    assert (booked.venue_order_id, booked.executed, booked.executed_in_all) == ("v3", 1.0, 2.25)
    assert ledger.final()[0] == (
        "venue.final_order",
        "c1",
        "FILLED",
        {"venue": "A", "executed": 2.25, "quantity": 1.0, "symbol": "BTCUSDT", "side": "BUY"},
    )


def test_the_same_client_id_at_two_venues_names_two_orders(ledger):
    ledger.order("v1", executed=0.5, venue="A")
    ledger.order("v1", executed=0.0, venue="B")
    assert ledger.books.order("A", "c1").executed == 0.5
    assert ledger.books.order("B", "c1").executed == 0.0
    assert [row[3]["venue"] for row in ledger.final()] == ["A", "B"]


def test_positions_are_the_signed_sum_of_the_fills(ledger):
    for number in range(3):
        ledger.trade(f"b{number}", 0.1)
    ledger.trade("s1", 1.0, side="SELL")
    ledger.trade("s2", 0.5, side="SELL", venue="B")
    assert ledger.final() == [
        ("venue.final_position", "BTCUSDT", "", {"adapter": "A", "volume": -0.7}),
        ("venue.final_position", "BTCUSDT", "", {"adapter": "B", "volume": -0.5}),
    ]


def test_every_event_is_written_down_with_its_venue_and_only_orders_and_trades_are_booked(ledger):
    ledger.books.hook("A")("venue.refused", "r1", "refused", {"code": -1, "venue": "liar"})
    ledger.order("v1")
    ledger.trade("t1", 1.0)
    written = [(e.kind, e.id, e.outcome, e.details["venue"]) for e in ledger.history.kept]
    assert written == [
        ("venue.refused", "r1", "refused", "A"),
        ("venue.order", "v1", "NEW", "A"),
        ("venue.trade", "t1", "filled", "A"),
    ]
    assert ledger.changes == [("A", "c1")]


@pytest.mark.parametrize(
    ("booked", "executed", "believed", "filled", "agrees"),
    [
        ("NEW", 0.0, Status.NOTTRADED, 0.0, True),
        ("PARTIALLY_FILLED", 0.3, Status.PARTTRADED, 0.1 + 0.2, True),
        ("FILLED", 1.0, Status.ALLTRADED, 1.0, True),
        ("CANCELED", 0.0, Status.CANCELLED, 0.0, True),
        ("EXPIRED", 0.4, Status.CANCELLED, 0.4, True),
        ("FILLED", 1.0, Status.ALLTRADED, 0.9, False),
        ("FILLED", 1.0, Status.CANCELLED, 1.0, False),
        ("NEW", 0.0, Status.UNKNOWN, 0.0, False),
        ("CANCELED", 0.0, Status.REJECTED, 0.0, False),
    ],
)
def test_an_engine_agrees_by_status_and_by_fills(
    ledger, booked, executed, believed, filled, agrees
):
    ledger.order("v1", booked, executed)
    assert ledger.books.order("A", "c1").agrees_with(believed, filled) is agrees


def test_an_engine_that_knows_only_one_of_two_orders_does_not_agree(ledger):
    ledger.order("v1", "FILLED", 1.0)
    ledger.order("v2", "FILLED", 1.0)
    booked = ledger.books.order("A", "c1")
    assert not booked.agrees_with(Status.ALLTRADED, 1.0)
    assert booked.agrees_with(Status.ALLTRADED, 2.0)
