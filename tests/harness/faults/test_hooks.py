"""What faults hold on to: the wall clock, the book, and the cancel that comes too late."""

from __future__ import annotations

import datetime as dt
from typing import Any

import orjson
import pytest

from foxtrot.adapter.session import Operation, VenueRequest
from harness.kernel import EPOCH, VirtualClock, run_virtual
from harness.venue import FillFirst, Knob, ThinBook, Venue
from harness.venue.ledger import AccountSpec
from harness.venue.tape import MarketTrade


def test_stepped_wall_clock_leaves_elapsed_time_alone() -> None:
    """A step shows in the date and nowhere else, and steps add up."""

    async def main(loop: Any) -> list[tuple[float, float]]:
        clock = VirtualClock(loop)
        seen = []
        for step in (0.0, 30.0, -40.0):
            clock.step(step)
            await clock.sleep(1.0)
            seen.append((clock.now(), (clock.wall() - EPOCH) / dt.timedelta(seconds=1)))
        return seen

    assert run_virtual(main) == [(1.0, 1.0), (2.0, 32.0), (3.0, -7.0)]


class Counter:
    """A venue with 1 BTC at 50000.00 / 50000.01, and who orders there."""

    def __init__(self, *knobs: Knob) -> None:
        self.interventions: list[tuple[str, str, str]] = []
        self.venue = Venue(
            "alpha",
            tape=[MarketTrade(0.0, "BTCUSDT", 5_000_000, 100_000, True)],
            epoch=0.0,
            accounts=[AccountSpec("main", "key", {"USDT": 1e6, "BTC": 10.0})],
            on_intervention=lambda *touch: self.interventions.append(touch),
        )
        self.venue.impose("F1", *knobs)

    def ask(self, operation: Operation, **params: object) -> dict[str, Any]:
        request = VenueRequest(
            request_id=str(params["client_id"]),
            operation=operation,
            params={"symbol": "BTCUSDT", **params},
            timestamp=0.0,
            api_key="key",
        )
        body: dict[str, Any] = orjson.loads(self.venue.handle(request, 0.0).body)
        return body

    def place(self, client_id: str, side: str, **params: object) -> dict[str, Any]:
        order = {"type": "MARKET", "quantity": 0.01, **params}
        return self.ask(Operation.PLACE_ORDER, client_id=client_id, side=side, **order)


def test_book_that_is_thin_by_a_share_cuts_the_orders_that_it_matches() -> None:
    """The share is of the order, whatever its size; other sides find the whole book."""
    asked: list[tuple[str, str]] = []

    def matches(symbol: str, side: str) -> bool:
        asked.append((symbol, side))
        return side == "BUY"

    bench = Counter(ThinBook(share=0.4, matches=matches))
    assert bench.place("b1", "BUY")["executed"] == 0.004
    assert bench.place("b2", "BUY", quantity=0.02)["executed"] == 0.008
    assert bench.place("s1", "SELL")["executed"] == 0.01
    assert asked == [("BTCUSDT", "BUY"), ("BTCUSDT", "BUY"), ("BTCUSDT", "SELL")]
    assert bench.interventions == [("F1", "b1", "fill cut short"), ("F1", "b2", "fill cut short")]


@pytest.mark.parametrize(("side", "status"), [("BUY", "FILLED"), ("SELL", "CANCELED")])
def test_cancel_loses_its_race_for_the_orders_that_are_matched(side: str, status: str) -> None:
    """A knob for one side leaves the cancels of the other alone."""
    bench = Counter(FillFirst(matches=lambda _, side: side == "BUY"))
    price = 49_000.0 if side == "BUY" else 51_000.0
    bench.place("c1", side, type="LIMIT", price=price)
    bench.ask(Operation.CANCEL_ORDER, client_id="c1")
    assert bench.ask(Operation.QUERY_ORDER, client_id="c1")["status"] == status


def test_knob_that_is_lifted_as_it_matches_has_done_its_work() -> None:
    """A fault that is over after its last hit ends in the middle of the venue's own loop."""

    def matches(_symbol: str, _side: str) -> bool:
        bench.venue.lift("F1")
        return True

    bench = Counter(ThinBook(share=0.5, matches=matches))
    assert bench.place("b1", "BUY")["executed"] == 0.005
    assert bench.place("b2", "BUY")["executed"] == 0.01
