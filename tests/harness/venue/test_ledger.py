"""The books balance, whatever is asked of the venue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from foxtrot.adapter.session import Operation, VenueRequest
from harness.venue.conditions import FillFirst, Halt, ThinBook
from harness.venue.instruments import DEFAULT_INSTRUMENTS, units_of
from harness.venue.ledger import AccountSpec, Ledger, Order, OrderStatus, OrderType, Side
from harness.venue.tape import MarketTrade
from harness.venue.venue import Venue

BTC = DEFAULT_INSTRUMENTS[0]
EPOCH = 1_700_000_000.0


def buy(ledger: Ledger, client_id: str, time: float = 0.0) -> Order:
    account = ledger.account_of("k")
    assert account is not None
    return ledger.open_order(
        account, BTC, side=Side.BUY, type=OrderType.LIMIT, price=5_000_000, quantity=100,
        client_id=client_id, hold=BTC.notional(5_000_000, 100), time=time,
    )  # fmt: skip


def books(retention: float = 1e9) -> Ledger:
    return Ledger((AccountSpec("a", "k", {"USDT": 100.0}),), retention=retention)


def test_better_price_frees_what_it_saved() -> None:
    """Fifty dollars are locked, forty spent on half the order: five are saved."""
    ledger = books()
    order = buy(ledger, "c1")
    ledger.fill(order, 4_000_000, 50, 1.0)
    assert ledger.balances() == {
        "a": {"BTC": {"free": 0.0005, "locked": 0.0}, "USDT": {"free": 55.0, "locked": 25.0}}
    }
    assert ledger.positions() == {"a": {"BTCUSDT": 0.0005}}
    assert (order.status, order.remaining) == (OrderStatus.PARTIALLY_FILLED, 50)


def test_orders_and_trades_read_as_the_replies_show_them() -> None:
    ledger = books()
    ledger.fill(buy(ledger, ""), 5_000_000, 100, 2.0)
    common = {"venue_order_id": "1", "client_id": "auto-1", "symbol": "BTCUSDT", "side": "BUY"}
    assert ledger.orders() == {
        "a": [
            {**common, "type": "LIMIT", "price": 50_000.0, "quantity": 0.001, "executed": 0.001,
             "status": "FILLED", "time": 0.0, "updated": 2.0}
        ]
    }  # fmt: skip
    assert ledger.trades() == {
        "a": [{**common, "trade_id": "1", "price": 50_000.0, "quantity": 0.001, "time": 2.0}]
    }


def test_what_ended_is_forgotten_after_the_retention_and_its_effect_is_not() -> None:
    """Long runs stay flat in memory; an open order is never forgotten."""
    ledger = books(retention=10.0)
    still_open = buy(ledger, "open")
    ledger.fill(buy(ledger, "done"), 5_000_000, 100, 5.0)
    account = still_open.account
    ledger.forget(15.0)
    assert [order["client_id"] for order in ledger.orders()["a"]] == ["open", "done"]
    ledger.forget(15.1)
    assert [order["client_id"] for order in ledger.orders()["a"]] == ["open"]
    assert (ledger.trades(), ledger.trades_after(account, "BTCUSDT", 0)) == ({"a": []}, [])
    assert list(account.newest) == ["open"]
    assert ledger.positions() == {"a": {"BTCUSDT": 0.001}}


def test_forgetting_an_old_order_keeps_the_newer_one_under_the_same_id() -> None:
    ledger = books(retention=10.0)
    ledger.end(buy(ledger, "c1"), OrderStatus.CANCELED, 0.0)
    newer = buy(ledger, "c1", 5.0)
    ledger.forget(12.0)
    assert newer.account.newest["c1"] is newer


CLIENT_IDS = st.sampled_from(["a", "b", "c", "d", ""])
PRICES = st.integers(4_999_990, 5_000_010).map(BTC.price)
QUANTITIES = st.integers(1, 30).map(lambda lots: lots * 0.001)


@settings(max_examples=100, stateful_step_count=40, deadline=None)
class Books(RuleBasedStateMachine):
    """Any requests, any tape, any of the knobs that touch matching."""

    @initialize()
    def open_venue(self) -> None:
        self.now = 0.0
        self.trades: list[MarketTrade] = []
        self.filled: dict[str, float] = {}
        self.start = {"USDT": units_of(3_000.0), "BTC": units_of(0.05)}
        spec = AccountSpec("main", "key", {"USDT": 3_000.0, "BTC": 0.05})
        self.venue = Venue("v", tape=self._tape(), epoch=EPOCH, accounts=(spec,))
        account = self.venue.ledger.account_of("key")
        assert account is not None
        self.account = account

    def _tape(self) -> Any:
        """A tape that is written while it is read: whatever the last rule appended."""
        yield MarketTrade(0.0, "BTCUSDT", 5_000_000, 2_000, True)
        while True:
            yield (
                self.trades.pop(0)
                if self.trades
                else MarketTrade(self.now + 1.0, "BTCUSDT", 5_000_000, 1, True)
            )

    def _send(self, operation: Operation, **params: Any) -> int:
        request = VenueRequest(
            request_id="r", operation=operation, params=params,
            timestamp=EPOCH + self.now, api_key="key",
        )  # fmt: skip
        return self.venue.handle(request, self.now).status

    @rule(
        side=st.sampled_from(Side),
        type_=st.sampled_from(OrderType),
        price=PRICES,
        quantity=QUANTITIES,
        client_id=CLIENT_IDS,
    )
    def place(
        self, side: Side, type_: OrderType, price: float, quantity: float, client_id: str
    ) -> None:
        self._send(
            Operation.PLACE_ORDER, symbol="BTCUSDT", side=side.value, type=type_.value,
            price=price, quantity=quantity, client_id=client_id,
        )  # fmt: skip

    @precondition(lambda self: self.account.open_orders)
    @rule(which=st.integers(0, 7))
    def cancel(self, which: int) -> None:
        client_ids = list(self.account.open_orders)
        client_id = client_ids[which % len(client_ids)]
        self._send(Operation.CANCEL_ORDER, symbol="BTCUSDT", client_id=client_id)

    @rule(
        price=st.integers(4_999_985, 5_000_015), quantity=st.integers(1, 3_000), sell=st.booleans()
    )
    def trade(self, price: int, quantity: int, sell: bool) -> None:
        self.now += 1.0
        self.trades.append(MarketTrade(self.now, "BTCUSDT", price, quantity, sell))
        self.venue.advance(self.now)

    @rule(knob=st.sampled_from([Halt(), ThinBook(quantity=0.002), FillFirst(count=2)]))
    def impose(self, knob: Any) -> None:
        self.venue.lift("F")
        self.venue.impose("F", knob)

    @rule()
    def lift(self) -> None:
        self.venue.lift("F")

    @invariant()
    def assets_are_conserved(self) -> None:
        """Holdings are what was there at the start, plus and minus what the trades say."""
        expected = dict(self.start)
        for trade in self.venue.ledger.trades_after(self.account, "BTCUSDT", 0):
            sign = 1 if trade.order.side is Side.BUY else -1
            expected["BTC"] += sign * trade.quantity * BTC.lot_units
            expected["USDT"] -= sign * BTC.notional(trade.price, trade.quantity)
        balances = self.account.balances
        assert {asset: b.free + b.locked for asset, b in balances.items()} == expected
        position = self.account.position.get("BTCUSDT", 0)
        assert position == expected["BTC"] - self.start["BTC"]

    @invariant()
    def nothing_is_owed(self) -> None:
        assert all(b.free >= 0 and b.locked >= 0 for b in self.account.balances.values())

    @invariant()
    def locked_is_what_open_orders_need(self) -> None:
        """To the unit: what is left of each, at its own price."""
        needed = {"USDT": 0, "BTC": 0}
        for order in self.account.open_orders.values():
            if order.side is Side.BUY:
                needed["USDT"] += BTC.notional(order.price, order.remaining)
            else:
                needed["BTC"] += order.remaining * BTC.lot_units
        assert {asset: b.locked for asset, b in self.account.balances.items()} == needed

    @invariant()
    def executed_is_the_sum_of_trades_and_within_the_quantity(self) -> None:
        filled: dict[int, int] = {}
        for trade in self.venue.ledger.trades_after(self.account, "BTCUSDT", 0):
            filled[trade.order.number] = filled.get(trade.order.number, 0) + trade.quantity
            worse: Callable[[int], bool] = (
                trade.order.price.__lt__
                if trade.order.side is Side.BUY
                else trade.order.price.__gt__
            )
            assert not trade.order.price or not worse(trade.price)
        for row in self.venue.ledger.orders()["main"]:
            lots = filled.get(int(row["venue_order_id"]), 0)
            assert row["executed"] == BTC.quantity(lots) <= row["quantity"]
            assert (row["status"] == "FILLED") == (row["executed"] == row["quantity"])

    @invariant()
    def open_orders_are_those_with_an_open_status(self) -> None:
        rows = self.venue.ledger.orders()["main"]
        is_open = {r["venue_order_id"] for r in rows if r["status"] in {"NEW", "PARTIALLY_FILLED"}}
        orders = self.account.open_orders.values()
        assert {str(order.number) for order in orders} == is_open


TestBooks = Books.TestCase
