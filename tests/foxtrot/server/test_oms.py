"""The record of orders and fills: evidence in any order, late or twice, leads to the same state."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foxtrot.server.oms import Oms
from foxtrot.util.constants import Direction, Exchange, Status
from foxtrot.util.object import OrderData, TradeData


def order(orderid="o1", status=Status.SUBMITTING, **changes):
    changes = {"symbol": "BTC", "exchange": Exchange.LOCAL, "adapter_name": "A", **changes}
    return OrderData(orderid=orderid, status=status, volume=3.0, **changes)


def shown(status, traded=0.0, orderid="o1", **changes):
    return order(orderid, status, traded=traded, venue_orderid=f"v-{orderid}", **changes)


def fill(tradeid, volume=1.0, orderid="o1", **changes):
    changes = {"symbol": "BTC", "exchange": Exchange.LOCAL, "adapter_name": "A", **changes}
    return TradeData(
        orderid=orderid,
        tradeid=tradeid,
        volume=volume,
        **changes | {"direction": changes.get("direction", Direction.LONG)},
    )


def record(oms, orderid="o1"):
    known = oms.order(f"A.{orderid}")
    return known.status.name, known.traded, oms.filled(f"A.{orderid}"), known.venue_orderid


EVIDENCE = [
    shown(Status.NOTTRADED),
    shown(Status.PARTTRADED, 1.0),
    shown(Status.PARTTRADED, 2.0),
    fill("1"),
    fill("2"),
]
ENDINGS = {
    "filled": [shown(Status.ALLTRADED, 3.0), fill("3")],
    "cancelled": [shown(Status.CANCELLED, 2.0)],
    "open": [],
}


def apply(oms, evidence):
    if isinstance(evidence, Status):
        oms.settle("A.o1", evidence)
    elif isinstance(evidence, TradeData):
        oms.apply_trade(evidence)
    else:
        oms.apply_order(evidence)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), ending=st.sampled_from(sorted(ENDINGS)))
def test_any_order_and_repetition_of_evidence_converges(data, ending):
    """Conclusions of our own in between change nothing once all the evidence is in."""
    evidence = EVIDENCE + ENDINGS[ending]
    repeated = data.draw(st.lists(st.sampled_from(range(len(evidence))), max_size=8))
    guesses = data.draw(st.lists(st.sampled_from([Status.UNKNOWN, Status.REJECTED]), max_size=2))
    deliveries = [*evidence, *(evidence[i] for i in repeated), *guesses]
    oms = Oms()
    assert oms.begin(order())
    delivered = data.draw(st.permutations(deliveries))
    for each in delivered:
        apply(oms, each)
    for each in evidence:  # what a reconciliation brings, in the end
        apply(oms, each)
    expected = {
        "filled": ("ALLTRADED", 3.0, 3.0, "v-o1"),
        "cancelled": ("CANCELLED", 2.0, 2.0, "v-o1"),
        "open": ("PARTTRADED", 2.0, 2.0, "v-o1"),
    }
    assert record(oms) == expected[ending]
    assert oms.position("A", "BTC.LOCAL") == expected[ending][2]
    assert [o.orderid for o in oms.unsettled("A")] == (["o1"] if ending == "open" else [])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 15),
            st.sampled_from("ab"),
            st.sampled_from([Direction.LONG, Direction.SHORT]),
        ),
        max_size=40,
    )
)
def test_positions_are_the_sum_of_distinct_fills(trades):
    oms = Oms()
    distinct = {}
    for number, symbol, direction in trades:
        first = distinct.setdefault((number, symbol), direction)
        oms.apply_trade(fill(str(number), number, "o1", symbol=symbol, direction=first))
    for symbol in "ab":
        total = sum(
            number if direction is Direction.LONG else -number
            for (number, of), direction in distinct.items()
            if of == symbol
        )
        assert oms.position("A", f"{symbol}.LOCAL") == total
    assert set(oms.positions()) == {("A", f"{symbol}.LOCAL") for _, symbol in distinct}


def test_rejection_of_our_own_is_refuted_by_the_venue():
    """We concluded that it never arrived; it did."""
    oms = Oms()
    oms.begin(order())
    oms.settle("A.o1", Status.REJECTED)
    assert record(oms)[0] == "REJECTED"
    oms.apply_order(shown(Status.NOTTRADED))
    assert record(oms) == ("NOTTRADED", 0.0, 0.0, "v-o1")


def test_rejection_by_the_venue_is_final():
    oms = Oms()
    oms.begin(order())
    oms.apply_order(shown(Status.REJECTED))
    assert oms.apply_order(shown(Status.NOTTRADED)) is None
    assert record(oms)[0] == "REJECTED"


def test_order_that_the_venue_has_shown_is_never_concluded_to_be_rejected():
    oms = Oms()
    oms.begin(order("o1"))
    oms.apply_order(shown(Status.NOTTRADED))
    assert oms.settle("A.o1", Status.REJECTED) is None
    oms.begin(order("o2"))
    oms.apply_trade(fill("1", orderid="o2"))
    assert oms.settle("A.o2", Status.REJECTED) is None
    assert [o.status.name for o in oms.orders()] == ["NOTTRADED", "PARTTRADED"]
    assert oms.is_at_venue("A.o1")
    assert oms.is_at_venue("A.o2")


def test_conclusions_change_nothing_that_is_final_or_unknown_to_us():
    oms = Oms()
    assert oms.settle("A.o1", Status.UNKNOWN) is None
    assert not oms.is_at_venue("A.o1")
    oms.apply_order(shown(Status.CANCELLED))
    assert oms.settle("A.o1", Status.UNKNOWN) is None
    oms.begin(order("o2"))
    assert oms.settle("A.o2", Status.UNKNOWN).status is Status.UNKNOWN
    assert oms.settle("A.o2", Status.UNKNOWN) is None


def test_late_fill_of_a_cancelled_order_counts():
    oms = Oms()
    oms.apply_order(shown(Status.CANCELLED))
    assert oms.apply_trade(fill("9"))
    assert record(oms) == ("CANCELLED", 1.0, 1.0, "v-o1")


def test_order_heard_of_after_its_fill_is_as_far_as_the_fill_shows():
    oms = Oms()
    oms.apply_trade(fill("1"))
    oms.apply_order(shown(Status.NOTTRADED))
    assert record(oms) == ("PARTTRADED", 1.0, 1.0, "v-o1")


def test_fill_without_an_id_is_not_applied():
    """It cannot be told from its own repetition; asked for, it comes with its id."""
    oms = Oms()
    assert not oms.apply_trade(fill(""))
    assert oms.position("A", "BTC.LOCAL") == 0.0


def test_order_short_of_fills_is_unsettled_although_final():
    oms = Oms()
    oms.apply_order(shown(Status.ALLTRADED, 3.0))
    assert [o.orderid for o in oms.unsettled("A")] == ["o1"]
    assert oms.lacks_fills(oms.order("A.o1"))
    oms.apply_trade(fill("1", 3.0))
    assert oms.unsettled("A") == ()


# They add up to 33098277.1, and as floats to something less.
MANY_UNITS = (7695812.4, 9048328.6, 5810958.2, 7937761.5, 2605416.4)


@pytest.mark.parametrize("acknowledged_first", [True, False])
def test_order_of_many_units_lacks_no_fills_for_what_floats_lose(acknowledged_first):
    oms, volume = Oms(), 33098277.1
    assert sum(MANY_UNITS) < volume - 1e-9
    whole = replace(shown(Status.ALLTRADED, volume), volume=volume)
    oms.begin(replace(order(), volume=volume))
    if acknowledged_first:
        oms.apply_order(whole)
    for number, units in enumerate(MANY_UNITS[:-1]):
        oms.apply_trade(fill(str(number), units))
    assert len(oms.unsettled("A")) == 1
    oms.apply_trade(fill("last", MANY_UNITS[-1]))
    assert oms.order("A.o1").status is Status.ALLTRADED
    oms.apply_order(whole)
    assert not oms.lacks_fills(oms.order("A.o1"))
    assert oms.unsettled("A") == ()


def test_fill_of_another_symbol_with_the_same_number_is_another_fill():
    oms = Oms()
    assert oms.apply_trade(fill("1", symbol="BTC"))
    assert oms.apply_trade(fill("1", symbol="ETH", orderid="o2"))
    assert oms.symbols("A") == ("BTC", "ETH")  # held, although nobody has shown an order


@pytest.mark.parametrize("keep", [10_000, 1])
def test_both_sides_of_a_trade_with_oneself_are_fills(keep):
    """Where the venue does not prevent it, one match fills two orders of ours, under one number."""
    oms = Oms(keep=keep)
    sold = {"orderid": "o2", "direction": Direction.SHORT}
    oms.begin(order("o1"))
    oms.begin(order(**sold))
    for _ in range(2):  # told by the stream, and again by the list
        oms.apply_trade(fill("1", 3.0))
        oms.apply_trade(fill("1", 3.0, **sold))
        assert oms.position("A", "BTC.LOCAL") == 0.0
    assert {each.status for each in oms.orders()} == {Status.ALLTRADED}
    assert oms.unsettled("A") == ()


def test_adopted_order_keeps_the_reference_of_its_intent():
    oms = Oms()
    oms.begin(order(reference="mine"))
    assert oms.apply_order(shown(Status.NOTTRADED)).reference == "mine"
    assert oms.symbols("A") == ("BTC",)


def test_symbol_matters_while_it_is_held_or_an_order_in_it_may_change():
    oms = Oms()
    oms.apply_order(shown(Status.NOTTRADED))
    assert oms.symbols("A") == ("BTC",)
    assert oms.symbols("B") == ()
    oms.apply_order(shown(Status.CANCELLED, 0.3))
    assert oms.symbols("A") == ("BTC",)  # its fill is not there
    oms.apply_trade(fill("1", 0.1))
    oms.apply_trade(fill("2", 0.2))
    assert oms.symbols("A") == ("BTC",)
    oms.apply_trade(fill("3", 0.3, orderid="o2", direction=Direction.SHORT))
    assert oms.position("A", "BTC.LOCAL") != 0.0  # but for what floats make of it
    assert oms.symbols("A") == ()


@pytest.mark.parametrize("stem", ["engine-", "a7-b"])
def test_memory_is_bounded_and_what_was_forgotten_stays_used(stem):
    """A hundred orders, ten kept: no replay of any of them changes anything."""
    oms = Oms(keep=10)
    for number in range(1, 101):
        orderid = f"{stem}{number}"
        assert oms.begin(order(orderid))
        oms.apply_order(shown(Status.ALLTRADED, 3.0, orderid))
        oms.apply_trade(fill(str(number), 3.0, orderid))
    assert len(oms.orders()) == 10
    assert oms.position("A", "BTC.LOCAL") == 300.0
    for number in range(1, 101):
        orderid = f"{stem}{number}"
        assert oms.is_used("A", orderid)
        assert not oms.begin(order(orderid))
        assert not oms.apply_trade(fill(str(number), 3.0, orderid))
        assert oms.apply_order(shown(Status.ALLTRADED, 3.0, orderid)) is None
    assert oms.position("A", "BTC.LOCAL") == 300.0
    assert (len(oms._trades), len(oms._filled), len(oms._trades_of)) == (10, 10, 10)
    assert oms.begin(order(f"{stem}101"))


def test_ids_without_a_number_are_remembered_one_by_one():
    oms = Oms(keep=1)
    for orderid in ("alpha", "beta", "gamma"):
        oms.begin(order(orderid))
        oms.apply_order(shown(Status.ALLTRADED, 3.0, orderid))
        oms.apply_trade(fill(f"t-{orderid}x", 3.0, orderid))
    assert not oms.begin(order("alpha"))
    assert not oms.apply_trade(fill("t-alphax", 3.0, "alpha"))
    assert oms.begin(order("delta"))


def test_late_fill_of_an_order_that_is_kept_counts_however_low_its_number():
    oms = Oms(keep=1)
    oms.apply_order(shown(Status.NOTTRADED, 0.0, "open"))
    for number in range(5, 10):
        oms.apply_order(shown(Status.ALLTRADED, 3.0, f"o-{number}"))
        oms.apply_trade(fill(str(number), 3.0, f"o-{number}"))
    assert oms.apply_trade(fill("2", 1.0, "open"))
    assert oms.position("A", "BTC.LOCAL") == 16.0


def test_unsettled_orders_are_never_forgotten():
    oms = Oms(keep=1)
    for number in range(5):
        oms.begin(order(f"open-{number}"))
    assert len(oms.orders()) == 5


def test_order_of_another_adapter_is_its_own():
    oms = Oms()
    oms.begin(order())
    oms.begin(replace(order(), adapter_name="B"))
    assert [o.vt_orderid for o in oms.unsettled("B")] == ["B.o1"]
