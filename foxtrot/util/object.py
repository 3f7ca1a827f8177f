"""Data that passes between adapters, the engine and its users, under upstream Foxtrot's names.

Every object is frozen: what was pushed once never changes under a subscriber's feet. Prices and
volumes are floats, as upstream has them; a venue's decimal arithmetic stays inside the venue.
Times are aware UTC.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from foxtrot.util.constants import ACTIVE_STATUSES, Direction, Exchange, Offset, OrderType, Status

__all__ = [
    "AccountData",
    "CancelRequest",
    "OrderData",
    "OrderRequest",
    "PositionData",
    "SubscribeRequest",
    "TickData",
    "TradeData",
    "covers",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfSymbol:
    symbol: str
    exchange: Exchange

    @property
    def vt_symbol(self) -> str:
        """`SYMBOL.EXCHANGE`, unique over all venues."""
        return f"{self.symbol}.{self.exchange.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TickData(_OfSymbol):
    """One market update. `sequence` counts up by one per symbol, where the venue has one."""

    adapter_name: str
    datetime: dt.datetime
    last_price: float
    last_volume: float = 0.0
    bid_price_1: float = 0.0
    ask_price_1: float = 0.0
    sequence: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderData(_OfSymbol):
    """The latest that is known of an order.

    `orderid` is the client order id: one per intent, for life. `venue_orderid` is the venue's own
    number, empty until an acknowledgement came.
    """

    adapter_name: str
    orderid: str
    venue_orderid: str = ""
    type: OrderType = OrderType.LIMIT
    direction: Direction = Direction.LONG
    offset: Offset = Offset.NONE
    price: float = 0.0
    volume: float = 0.0
    traded: float = 0.0
    status: Status = Status.SUBMITTING
    datetime: dt.datetime | None = None
    reference: str = ""

    @property
    def vt_orderid(self) -> str:
        """`ADAPTER.ORDERID`, unique over all adapters."""
        return f"{self.adapter_name}.{self.orderid}"

    def is_active(self) -> bool:
        """Whether the venue may still execute the order, as far as is known."""
        return self.status in ACTIVE_STATUSES


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeData(_OfSymbol):
    """One fill. It is applied once, however often a venue repeats it.

    What tells it from others is its `vt_tradeid` with its symbol and direction: venues number the
    fills of each symbol by themselves, and both sides of a trade with oneself bear one number.
    """

    adapter_name: str
    orderid: str
    tradeid: str
    direction: Direction
    offset: Offset = Offset.NONE
    price: float = 0.0
    volume: float = 0.0
    datetime: dt.datetime | None = None

    @property
    def vt_orderid(self) -> str:
        """The order that was filled."""
        return f"{self.adapter_name}.{self.orderid}"

    @property
    def vt_tradeid(self) -> str:
        """`ADAPTER.TRADEID`, unique over all adapters within a symbol and a direction."""
        return f"{self.adapter_name}.{self.tradeid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionData(_OfSymbol):
    """A position; `volume` is signed when `direction` is NET."""

    adapter_name: str
    direction: Direction = Direction.NET
    volume: float = 0.0

    @property
    def vt_positionid(self) -> str:
        """Unique over all adapters."""
        return f"{self.adapter_name}.{self.vt_symbol}.{self.direction.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountData:
    """One asset of an account. `available` is `balance` less what open orders hold."""

    adapter_name: str
    accountid: str
    balance: float = 0.0
    frozen: float = 0.0

    @property
    def available(self) -> float:
        """What a new order may use."""
        return self.balance - self.frozen

    @property
    def vt_accountid(self) -> str:
        """Unique over all adapters."""
        return f"{self.adapter_name}.{self.accountid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscribeRequest(_OfSymbol):
    """Ask for the market stream of a symbol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest(_OfSymbol):
    """An order to be made: what is wanted, before anybody has been asked.

    `reference` may carry the caller's own client order id; left empty, the engine makes one.
    """

    direction: Direction
    type: OrderType
    volume: float
    price: float = 0.0
    offset: Offset = Offset.NONE
    reference: str = ""
    # Any: upstream leaves it open. Left out of the hash, for a mapping has none.
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def create_order_data(self, orderid: str, adapter_name: str) -> OrderData:
        """The order as it stands before the first reply."""
        return OrderData(
            symbol=self.symbol,
            exchange=self.exchange,
            adapter_name=adapter_name,
            orderid=orderid,
            type=self.type,
            direction=self.direction,
            offset=self.offset,
            price=self.price,
            volume=self.volume,
            reference=self.reference,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequest(_OfSymbol):
    """Ask for an order to be cancelled, by its client order id."""

    orderid: str


def covers(filled: float, volume: float) -> bool:
    """Whether fills that add up to `filled` are all of `volume`, but for what floats lose in that.

    They lose a part in 2**53 with each fill, which above a million units is more than a fixed
    bound that would still tell the smallest lots apart.
    """
    return filled >= volume - max(1e-9, 1e-12 * volume)
