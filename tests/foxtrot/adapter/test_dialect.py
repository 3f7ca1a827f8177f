"""What a client remembers of its orders at a venue that cannot be asked by the client's own id."""

from __future__ import annotations

from dataclasses import replace

from foxtrot.adapter.dialect import DIALECTS, OrderMemory
from foxtrot.util.classification import Classifier
from foxtrot.util.constants import Direction, Exchange, OrderType, Status
from foxtrot.util.object import OrderData, TradeData

SENT = OrderData(
    symbol="AAPL",
    exchange=Exchange.IB,
    adapter_name="IB",
    orderid="c1",
    type=OrderType.LIMIT,
    direction=Direction.LONG,
    price=190.0,
    volume=1.0,
)
SHOWN = replace(SENT, venue_orderid="7", status=Status.NOTTRADED)


def fill(volume: float, orderid: str = "c1") -> TradeData:
    return TradeData(
        symbol="AAPL",
        exchange=Exchange.IB,
        adapter_name="IB",
        orderid=orderid,
        tradeid="t1",
        direction=Direction.LONG,
        price=190.0,
        volume=volume,
    )


def memory(*orders: OrderData) -> OrderMemory:
    kept = OrderMemory()
    for order in orders:
        kept.note(order)
    return kept


def test_every_dialect_speaks_codes_that_can_be_classified() -> None:
    assert {dialect.codes for dialect in DIALECTS.values()} <= set(Classifier().tables)


def test_a_resend_keeps_its_number_and_a_new_order_gets_the_next() -> None:
    kept = memory()
    assert [kept.number(name) for name in ("a", "b", "a", "c")] == [1, 2, 1, 3]


def test_an_order_that_was_certainly_not_taken_gets_a_new_number() -> None:
    """Its old one may be too low by now."""
    kept = memory()
    kept.number("a")
    kept.number("b")
    kept.renumber("a")
    assert kept.number("a") == 3


def test_an_order_that_was_only_sent_and_left_no_fill_was_never_there() -> None:
    assert memory(SENT).ended("c1", [fill(1.0, "c2")]) is None
    assert memory().ended("c1", [fill(1.0)]) is None


def test_an_order_that_was_shown_and_is_not_open_ended_by_its_fills() -> None:
    kept = memory(SENT, SHOWN)
    endings = [kept.ended("c1", fills) for fills in ([], [fill(0.4)], [fill(0.4), fill(0.6)])]
    assert [(order.status, order.traded) for order in endings if order] == [
        (Status.CANCELLED, 0.0),
        (Status.CANCELLED, 0.4),
        (Status.ALLTRADED, 1.0),
    ]


def test_an_order_of_many_units_was_filled_but_for_what_floats_lose() -> None:
    fills = [fill(units) for units in (7695812.4, 9048328.6, 5810958.2, 7937761.5, 2605416.4)]
    kept = memory(replace(SHOWN, volume=33098277.1))
    endings = [kept.ended("c1", some) for some in (fills, fills[1:])]
    assert [order.status for order in endings if order] == [Status.ALLTRADED, Status.CANCELLED]


def test_a_fill_shows_an_order_whose_acknowledgement_was_lost() -> None:
    ended = memory(SENT).ended("c1", [fill(1.0)])
    assert ended is not None
    assert (ended.status, ended.volume) == (Status.ALLTRADED, 1.0)


def test_a_resend_does_not_forget_what_the_venue_has_shown() -> None:
    assert memory(SHOWN, SENT).venue_id("c1") == "7"


def test_only_the_newest_ten_thousand_are_kept() -> None:
    kept = OrderMemory()
    for number in range(10_001):
        kept.number(f"c{number}")
        kept.note(replace(SHOWN, orderid=f"c{number}"))
    assert (kept.venue_id("c0"), kept.venue_id("c1")) == ("", "7")
    assert kept.number("c0") == 10_002
