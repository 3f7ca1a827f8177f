"""What becomes of orders, seen from the client's side and in the ledger."""

from __future__ import annotations

from typing import Any

import pytest

from foxtrot.adapter.session import Operation
from harness.venue.conditions import FillFirst, Halt, ThinBook
from harness.venue.tape import MarketTrade

PLACE, CANCEL = Operation.PLACE_ORDER, Operation.CANCEL_ORDER
QUERY, OPEN, TRADES = Operation.QUERY_ORDER, Operation.OPEN_ORDERS, Operation.TRADES
NAMED = {"symbol": "BTCUSDT", "client_id": "c1"}


def falls_to(at: float, price: float, quantity: float) -> MarketTrade:
    return MarketTrade(at, "BTCUSDT", round(price * 100), round(quantity * 100_000), True)


def fills(bench: Any) -> list[tuple[float, float]]:
    trades = bench.venue.ledger.trades()["main"]
    return [(trade["price"], trade["quantity"]) for trade in trades]


def test_limit_order_rests_and_fills_in_steps_as_the_tape_trades_at_its_price(
    make_bench: Any, order: Any
) -> None:
    bench = make_bench(
        falls_to(1, 49_000.01, 1), falls_to(2, 49_000, 0.004), falls_to(3, 48_000, 1)
    )
    placed = bench.ask(PLACE, **order())
    assert placed == {
        "venue_order_id": "1", "client_id": "c1", "symbol": "BTCUSDT", "side": "BUY",
        "type": "LIMIT", "price": 49_000.0, "quantity": 0.01, "executed": 0.0, "status": "NEW",
        "time": 1_700_000_000.0, "updated": 1_700_000_000.0,
    }  # fmt: skip
    assert bench.balance("USDT") == (9_510.0, 490.0)
    for now in (1.0, 2.0, 3.0):
        bench.advance(now)
    assert bench.story("venue.order", "venue.trade") == [
        ("venue.order", "1", "NEW"),
        ("venue.trade", "1", "filled"),
        ("venue.order", "1", "PARTIALLY_FILLED"),
        ("venue.trade", "2", "filled"),
        ("venue.order", "1", "FILLED"),
    ]
    assert fills(bench) == [(49_000.0, 0.004), (49_000.0, 0.006)]
    assert (bench.balance("USDT"), bench.balance("BTC")) == ((9_510.0, 0.0), (1.01, 0.0))
    assert bench.ask(OPEN) == {"orders": []}
    assert bench.ask(QUERY, **NAMED) == {
        **placed, "executed": 0.01, "status": "FILLED", "updated": 1_700_000_003.0
    }  # fmt: skip


def test_market_order_takes_the_touch_and_walks_on_when_it_is_thin(
    make_bench: Any, order: Any
) -> None:
    bench = make_bench(falls_to(1, 50_000, 0.004))
    bench.advance(1.0)
    placed = bench.ask(PLACE, **order(type="MARKET"))
    assert (placed["status"], placed["executed"], placed["price"]) == ("FILLED", 0.01, 0.0)
    assert fills(bench) == [(50_000.01, 0.004), (50_000.02, 0.006)]
    assert bench.balance("USDT") == (9_499.99984, 0.0)


def test_crossing_limit_takes_at_better_prices_and_rests_with_what_is_left(
    make_bench: Any, order: Any
) -> None:
    bench = make_bench(falls_to(1, 50_000, 0.001))
    bench.advance(1.0)
    placed = bench.ask(PLACE, **order(price=50_000.02))
    assert (placed["status"], placed["executed"]) == ("PARTIALLY_FILLED", 0.003)
    assert fills(bench) == [(50_000.01, 0.001), (50_000.02, 0.002)]
    assert bench.balance("USDT")[1] == 350.00014
    assert [row["client_id"] for row in bench.ask(OPEN)["orders"]] == ["c1"]


@pytest.mark.parametrize(
    ("changes", "status", "executed"),
    [
        ({"type": "IOC", "price": 50_000.01}, "EXPIRED", 0.001),
        ({"type": "IOC", "price": 49_000.0}, "EXPIRED", 0.0),
        ({"type": "IOC", "price": 50_100.0}, "FILLED", 0.01),
        ({"type": "FOK", "price": 50_000.01}, "EXPIRED", 0.0),
        ({"type": "FOK", "price": 50_100.0}, "FILLED", 0.01),
        ({"type": "POST_ONLY", "price": 49_000.0}, "NEW", 0.0),
    ],
)
def test_order_types_differ_in_what_they_do_with_the_rest(
    make_bench: Any, order: Any, changes: dict[str, Any], status: str, executed: float
) -> None:
    bench = make_bench(falls_to(1, 50_000, 0.001))
    bench.advance(1.0)
    placed = bench.ask(PLACE, **order(**changes))
    assert (placed["status"], placed["executed"]) == (status, executed)
    locked = bench.balance("USDT")[1]
    assert locked == (490.0 if status == "NEW" else 0.0)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"price": 49_000.005}, (400, -1013, "Filter failure: PRICE_FILTER")),
        ({"price": -1.0}, (400, -1013, "Filter failure: PRICE_FILTER")),
        ({"price": 1e300}, (400, -1013, "Filter failure: PRICE_FILTER")),
        ({"price": 2_000_000.0}, (400, -1013, "Filter failure: PRICE_FILTER")),
        ({"quantity": 0.000015}, (400, -1013, "Filter failure: LOT_SIZE")),
        ({"quantity": 0}, (400, -1013, "Filter failure: LOT_SIZE")),
        ({"quantity": 9_000.1}, (400, -1013, "Filter failure: LOT_SIZE")),
        ({"quantity": 0.0001}, (400, -1013, "Filter failure: NOTIONAL")),
        ({"type": "MARKET", "quantity": 0.00001}, (400, -1013, "Filter failure: NOTIONAL")),
        ({"quantity": 1.0}, (400, -2010, "Account has insufficient balance for requested action.")),
        (
            {"side": "SELL", "price": 60_000.0, "quantity": 1.1},
            (400, -2010, "Account has insufficient balance for requested action."),
        ),
        (
            {"type": "MARKET", "quantity": 0.3},
            (400, -2010, "Account has insufficient balance for requested action."),
        ),
        (
            {"type": "POST_ONLY", "price": 50_000.01},
            (400, -2010, "Order would immediately match and take."),
        ),
        ({"symbol": "DOGEUSDT"}, (400, -1121, "Invalid symbol.")),
        ({"symbol": "ETHUSDT"}, (400, -2010, "Market is closed.")),
        ({"side": "HOLD"}, (400, -1117, "Invalid side.")),
        ({"type": "STOP"}, (400, -1116, "Invalid orderType.")),
        (
            {"client_id": "has space"},
            (
                400,
                -1100,
                "Illegal characters found in parameter 'newClientOrderId'; "
                r"legal range is '^[\.A-Z\:/a-z0-9_-]{1,36}$'.",
            ),
        ),
    ],
)
def test_bad_order_is_refused_in_the_words_of_the_venue_and_leaves_no_trace(
    bench: Any, order: Any, changes: dict[str, Any], refusal: tuple[int, int, str]
) -> None:
    assert bench.refusal(PLACE, **order(**changes)) == refusal
    assert bench.venue.ledger.orders() == {"main": []}
    assert bench.balance("USDT") == (10_000.0, 0.0)
    assert bench.events == [
        ("venue.refused", "r1", "refused", {
            "venue": "alpha", "operation": "order.place", "status": refusal[0],
            "code": refusal[1], "client_id": changes.get("client_id", "c1"),
            "retry_after": None, "until": None,
        })
    ]  # fmt: skip


@pytest.mark.parametrize("value", [None, "", "abc", "nan", "inf", True, [1], {"a": 1}])
@pytest.mark.parametrize("name", ["price", "quantity"])
def test_malformed_number_is_a_missing_parameter(
    bench: Any, order: Any, name: str, value: object
) -> None:
    message = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    assert bench.refusal(PLACE, **order(**{name: value})) == (400, -1102, message)


def test_numbers_may_come_as_text_as_the_wire_has_them(bench: Any, order: Any) -> None:
    placed = bench.ask(PLACE, **order(price="49000.00", quantity="0.01"))
    assert (placed["price"], placed["quantity"]) == (49_000.0, 0.01)


def test_client_id_is_taken_while_its_order_is_open_and_free_after(bench: Any, order: Any) -> None:
    """Binance dedupes among open orders only: a blind resend after a fill doubles the order."""
    bench.ask(PLACE, **order())
    assert bench.refusal(PLACE, **order()) == (400, -2010, "Duplicate order sent.")
    bench.ask(CANCEL, **NAMED)
    bench.ask(PLACE, **order(type="MARKET"))
    placed = bench.ask(PLACE, **order(type="MARKET"))
    assert (placed["venue_order_id"], placed["status"]) == ("3", "FILLED")
    assert bench.ask(QUERY, **NAMED)["venue_order_id"] == "3"


def test_order_without_client_id_gets_one(bench: Any, order: Any) -> None:
    assert bench.ask(PLACE, **order(client_id=""))["client_id"] == "auto-1"


def test_cancel_frees_the_funds_and_later_trades_fill_nothing(make_bench: Any, order: Any) -> None:
    bench = make_bench(falls_to(1, 48_000, 1))
    bench.ask(PLACE, **order())
    assert bench.ask(CANCEL, **NAMED)["status"] == "CANCELED"
    assert bench.balance("USDT") == (10_000.0, 0.0)
    bench.advance(1.0)
    assert fills(bench) == []


@pytest.mark.parametrize("target", [NAMED, {"symbol": "ETHUSDT", "client_id": "c2"}])
def test_unknown_order_can_neither_be_cancelled_nor_queried(
    bench: Any, order: Any, target: dict[str, str]
) -> None:
    bench.ask(PLACE, **order(client_id="c2"))
    assert bench.refusal(CANCEL, **target) == (400, -2011, "Unknown order sent.")
    assert bench.refusal(QUERY, **target) == (400, -2013, "Order does not exist.")


def test_finished_order_can_be_queried_and_not_cancelled(bench: Any, order: Any) -> None:
    bench.ask(PLACE, **order(type="MARKET"))
    assert bench.refusal(CANCEL, **NAMED) == (400, -2011, "Unknown order sent.")
    assert bench.ask(QUERY, **NAMED)["status"] == "FILLED"


def test_trades_come_oldest_first_and_after_a_trade_id(bench: Any, order: Any) -> None:
    for _ in range(3):
        bench.ask(PLACE, **order(type="MARKET"))
    every = bench.ask(TRADES, symbol="BTCUSDT", after="")["trades"]
    assert [trade["trade_id"] for trade in every] == ["1", "2", "3"]
    assert every[0] == {
        "trade_id": "1", "venue_order_id": "1", "client_id": "c1", "symbol": "BTCUSDT",
        "side": "BUY", "price": 50_000.01, "quantity": 0.01, "time": 1_700_000_000.0,
    }  # fmt: skip
    assert bench.ask(TRADES, symbol="BTCUSDT", after="1")["trades"] == every[1:]
    assert bench.ask(TRADES, symbol="BTCUSDT", after="3")["trades"] == []
    assert bench.ask(TRADES, symbol="ETHUSDT")["trades"] == []
    for rubbish in ("x", "-1", "²", "9" * 5000):
        assert bench.refusal(TRADES, symbol="BTCUSDT", after=rubbish)[1] == -1130


def test_open_orders_can_be_asked_for_by_symbol(bench: Any, order: Any) -> None:
    bench.ask(PLACE, **order())
    assert len(bench.ask(OPEN, symbol="BTCUSDT")["orders"]) == 1
    assert bench.ask(OPEN, symbol="ETHUSDT") == {"orders": []}
    assert bench.refusal(OPEN, symbol="DOGEUSDT")[1] == -1121


def test_halted_market_takes_no_orders_fills_none_and_lets_them_be_cancelled(
    make_bench: Any, order: Any
) -> None:
    bench = make_bench(falls_to(1, 48_000, 1), falls_to(2, 48_000, 1))
    bench.ask(PLACE, **order())
    bench.ask(PLACE, **order(client_id="c2"))
    bench.venue.impose("F1", Halt(symbol="BTCUSDT"))
    bench.advance(1.0)
    assert fills(bench) == []
    assert bench.refusal(PLACE, **order(client_id="c3")) == (400, -2010, "Market is closed.")
    assert bench.interventions == [("F1", "r3", "refused with -2010")]
    assert bench.ask(CANCEL, **NAMED)["status"] == "CANCELED"
    bench.venue.lift("F1")
    bench.advance(2.0)
    assert fills(bench) == [(49_000.0, 0.01)]


def test_thin_book_cuts_fills_short_and_says_so(bench: Any, order: Any) -> None:
    bench.venue.impose("F1", ThinBook(quantity=0.004, symbol="BTCUSDT"))
    market = bench.ask(PLACE, **order(type="MARKET"))
    limit = bench.ask(PLACE, **order(price=50_000.01))
    assert [(row["status"], row["executed"]) for row in (market, limit)] == [
        ("EXPIRED", 0.004),
        ("PARTIALLY_FILLED", 0.004),
    ]
    bench.ask(PLACE, **order(type="MARKET", quantity=0.004, client_id="c2"))
    assert bench.interventions == [("F1", "r1", "fill cut short"), ("F1", "r2", "fill cut short")]


def test_cancel_that_loses_its_race_is_refused_and_the_order_is_filled(
    bench: Any, order: Any
) -> None:
    bench.ask(PLACE, **order())
    bench.ask(PLACE, **order(client_id="c2"))
    bench.venue.impose("F0", FillFirst(symbol="ETHUSDT"))
    bench.venue.impose("F1", FillFirst(count=1))
    assert bench.refusal(CANCEL, **NAMED) == (400, -2011, "Unknown order sent.")
    assert bench.ask(QUERY, **NAMED)["status"] == "FILLED"
    assert bench.interventions == [("F1", "r3", "refused with -2011")]
    assert bench.ask(CANCEL, symbol="BTCUSDT", client_id="c2")["status"] == "CANCELED"


def test_publishing_names_the_request_that_caused_it(make_bench: Any, order: Any) -> None:
    """Fills by the tape have none."""
    bench = make_bench(falls_to(1, 48_000, 1))
    bench.ask(PLACE, **order())
    bench.advance(1.0)
    placed, trade, filled = (event[3] for event in bench.events)
    assert placed == {
        **bench.ask(QUERY, **NAMED), "status": "NEW", "executed": 0.0,
        "updated": 1_700_000_000.0, "venue": "alpha", "account": "main", "request_id": "r1",
    }  # fmt: skip
    assert (trade["venue"], trade["account"]) == ("alpha", "main")
    assert (filled["request_id"], filled["status"]) == ("", "FILLED")
