"""Accounts, orders, trades and positions: what is true, whatever any client believes.

Everything is whole numbers, so the books balance exactly: what an account holds in an asset
changes only by trades, and what is locked is what its open orders hold. There are no commissions.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from harness.venue.instruments import Instrument, amount_of, units_of

__all__ = [
    "DEFAULT_ACCOUNT",
    "Account",
    "AccountSpec",
    "Balance",
    "Ledger",
    "Order",
    "OrderStatus",
    "OrderType",
    "Side",
    "Trade",
]


class Side(StrEnum):
    """Which way an order goes."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """How an order asks to be executed."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    POST_ONLY = "POST_ONLY"
    IOC = "IOC"
    FOK = "FOK"


class OrderStatus(StrEnum):
    """Where an order stands at the venue."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """An account as a venue opens it. Amounts are in the asset itself (1.5 BTC is 1.5)."""

    name: str
    api_key: str
    balances: Mapping[str, float]


DEFAULT_ACCOUNT = AccountSpec(
    "main", "key-main", {"USDT": 10_000_000.0, "BTC": 100.0, "ETH": 2_000.0, "SOL": 40_000.0}
)


@dataclass(slots=True)
class Balance:
    """One asset of an account, in ledger units."""

    free: int = 0
    locked: int = 0


@dataclass(slots=True, eq=False)
class Account:
    """One account's holdings and orders. `position` is units bought less sold, by symbol.

    `last_order_id` is the highest number that the client gave to an order, where it numbers them.
    """

    name: str
    api_key: str
    balances: dict[str, Balance]
    open_orders: dict[str, Order] = field(default_factory=dict)
    newest: dict[str, Order] = field(default_factory=dict)
    position: dict[str, int] = field(default_factory=dict)
    trades: dict[str, deque[Trade]] = field(default_factory=dict)
    last_order_id: int = 0

    def balance(self, asset: str) -> Balance:
        """The balance in an asset, which is zero until something came in."""
        balance = self.balances.get(asset)
        if balance is None:
            balance = self.balances[asset] = Balance()
        return balance


@dataclass(slots=True, eq=False)
class Order:
    """One order. Prices in ticks (0 for MARKET), quantities in lots, `held` in ledger units.

    `key` is what it is filed under among the open ones: the client's id, or where the venue lets
    several bear it, one of its own.
    """

    number: int
    client_id: str
    account: Account
    instrument: Instrument
    side: Side
    type: OrderType
    price: int
    quantity: int
    held: int
    time: float
    updated: float
    executed: int = 0
    status: OrderStatus = OrderStatus.NEW
    key: str = ""

    @property
    def remaining(self) -> int:
        """Lots not executed."""
        return self.quantity - self.executed

    @property
    def is_open(self) -> bool:
        """Whether the venue may still execute it."""
        return self.status in _OPEN

    @property
    def held_asset(self) -> str:
        """The asset that the order pays with."""
        instrument = self.instrument
        return instrument.quote if self.side is Side.BUY else instrument.base

    def as_dict(self) -> dict[str, Any]:  # Any: JSON
        """The order as the venue's replies show it."""
        instrument = self.instrument
        return {
            "venue_order_id": str(self.number),
            "client_id": self.client_id,
            "symbol": instrument.symbol,
            "side": self.side,
            "type": self.type,
            "price": instrument.price(self.price),
            "quantity": instrument.quantity(self.quantity),
            "executed": instrument.quantity(self.executed),
            "status": self.status,
            "time": self.time,
            "updated": self.updated,
        }


_OPEN = frozenset({OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED})


@dataclass(frozen=True, eq=False)
class Trade:
    """One fill. Numbers count up over the whole venue."""

    number: int
    order: Order
    price: int
    quantity: int
    time: float

    @cached_property
    def shown(self) -> Mapping[str, Any]:  # Any: JSON
        """The trade as the venue's replies show it."""
        instrument = self.order.instrument
        return {
            "trade_id": str(self.number),
            "venue_order_id": str(self.order.number),
            "client_id": self.order.client_id,
            "symbol": instrument.symbol,
            "side": self.order.side,
            "price": instrument.price(self.price),
            "quantity": instrument.quantity(self.quantity),
            "time": self.time,
        }


class Ledger:
    """The books. Methods that change them take what was decided; they check nothing but money.

    Orders that ended, and trades, older than `retention` seconds are forgotten, so that a long
    run's memory stays flat; balances and positions keep their effect.
    """

    def __init__(self, accounts: tuple[AccountSpec, ...], *, retention: float = math.inf) -> None:
        self._accounts = {spec.name: _open_account(spec) for spec in accounts}
        self._by_key = {account.api_key: account for account in self._accounts.values()}
        self._retention = retention
        self._orders: dict[int, Order] = {}
        self._ended: deque[Order] = deque()
        self._trades: deque[Trade] = deque()
        self._order_number = 0
        self._trade_number = 0

    def account_of(self, api_key: str) -> Account | None:
        """The account that a key opens."""
        return self._by_key.get(api_key)

    def can_hold(self, account: Account, asset: str, units: int) -> bool:
        """Whether so much is free."""
        return account.balance(asset).free >= units

    def open_order(
        self,
        account: Account,
        instrument: Instrument,
        *,
        side: Side,
        type: OrderType,  # noqa: A002 - the word of the field
        price: int,
        quantity: int,
        client_id: str,
        hold: int,
        time: float,
    ) -> Order:
        """Book a new order and lock `hold` units of what it pays with.

        An empty `client_id` gets one made from the order's number.
        """
        self._order_number += 1
        number = self._order_number
        order = Order(
            number=number,
            client_id=client_id or f"auto-{number}",
            account=account,
            instrument=instrument,
            side=side,
            type=type,
            price=price,
            quantity=quantity,
            held=hold,
            time=time,
            updated=time,
        )
        balance = account.balance(order.held_asset)
        balance.free -= hold
        balance.locked += hold
        is_taken = order.client_id in account.open_orders
        order.key = f"{order.client_id} #{number}" if is_taken else order.client_id
        self._orders[number] = order
        account.open_orders[order.key] = order
        account.newest[order.client_id] = order
        return order

    def fill(self, order: Order, price: int, quantity: int, time: float) -> Trade:
        """Book one fill: pay from what is held, take in the other asset."""
        self._trade_number += 1
        trade = Trade(self._trade_number, order, price, quantity, time)
        self._settle(order, price, quantity)
        order.executed += quantity
        order.updated = time
        order.status = OrderStatus.PARTIALLY_FILLED
        self._trades.append(trade)
        symbol = order.instrument.symbol
        order.account.trades.setdefault(symbol, deque()).append(trade)
        if not order.remaining:
            self.end(order, OrderStatus.FILLED, time)
        return trade

    def end(self, order: Order, status: OrderStatus, time: float) -> None:
        """End an order and free what it still holds."""
        order.status = status
        order.updated = time
        balance = order.account.balance(order.held_asset)
        balance.locked -= order.held
        balance.free += order.held
        order.held = 0
        del order.account.open_orders[order.key]
        self._ended.append(order)

    def forget(self, time: float) -> None:
        """Drop what ended longer than the retention before `time`."""
        before = time - self._retention
        while self._ended and self._ended[0].updated < before:
            order = self._ended.popleft()
            del self._orders[order.number]
            if order.account.newest.get(order.client_id) is order:
                del order.account.newest[order.client_id]
        while self._trades and self._trades[0].time < before:
            trade = self._trades.popleft()
            trade.order.account.trades[trade.order.instrument.symbol].popleft()

    def order(self, account: Account, number: str) -> Order | None:
        """The account's order of that number."""
        is_number = number.isascii() and number.isdigit() and len(number) < 19
        order = self._orders.get(int(number)) if is_number else None
        return order if order is not None and order.account is account else None

    def orders_of(self, account: Account) -> list[Order]:
        """All orders of an account, those that ended too, oldest first."""
        return [order for order in self._orders.values() if order.account is account]

    def trades_after(self, account: Account, symbol: str, number: int) -> list[Trade]:
        """The account's fills in a symbol later than a trade number, oldest first."""
        found: list[Trade] = []
        for trade in reversed(account.trades.get(symbol, ())):
            if trade.number <= number:
                break
            found.append(trade)
        found.reverse()
        return found

    def orders(self) -> dict[str, list[dict[str, Any]]]:  # Any: JSON
        """All orders, oldest first, by account."""
        return self._by_account((order.account, order.as_dict()) for order in self._orders.values())

    def trades(self) -> dict[str, list[dict[str, Any]]]:  # Any: JSON
        """All trades, oldest first, by account."""
        return self._by_account((trade.order.account, dict(trade.shown)) for trade in self._trades)

    def positions(self) -> dict[str, dict[str, float]]:
        """Net bought quantity since the start, by account and symbol."""
        return {
            name: {symbol: amount_of(lots) for symbol, lots in sorted(account.position.items())}
            for name, account in self._accounts.items()
        }

    def balances(self) -> dict[str, dict[str, dict[str, float]]]:
        """Free and locked amounts, by account and asset."""
        return {
            name: {
                asset: {"free": amount_of(balance.free), "locked": amount_of(balance.locked)}
                for asset, balance in sorted(account.balances.items())
            }
            for name, account in self._accounts.items()
        }

    def _settle(self, order: Order, price: int, quantity: int) -> None:
        instrument, account = order.instrument, order.account
        cost = instrument.notional(price, quantity)
        base = quantity * instrument.lot_units
        position = account.position.get(instrument.symbol, 0)
        if order.side is Side.BUY:
            reserved = instrument.notional(order.price, quantity) if order.price else cost
            self._release(order, reserved, cost)
            account.balance(instrument.base).free += base
            account.position[instrument.symbol] = position + base
        else:
            self._release(order, base, base)
            account.balance(instrument.quote).free += cost
            account.position[instrument.symbol] = position - base

    @staticmethod
    def _release(order: Order, reserved: int, spent: int) -> None:
        """Take from what the order holds; what the better price saved is free again."""
        order.held -= reserved
        balance = order.account.balance(order.held_asset)
        balance.locked -= reserved
        balance.free += reserved - spent

    def _by_account(
        self, rows: Iterator[tuple[Account, dict[str, Any]]]
    ) -> dict[str, list[dict[str, Any]]]:
        result: dict[str, list[dict[str, Any]]] = {name: [] for name in self._accounts}
        for account, row in rows:
            result[account.name].append(row)
        return result


def _open_account(spec: AccountSpec) -> Account:
    balances = {asset: Balance(free=units_of(amount)) for asset, amount in spec.balances.items()}
    return Account(spec.name, spec.api_key, balances)
