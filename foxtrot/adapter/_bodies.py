"""Reads what a simulated venue says into our own objects; believes nothing that is not there."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

from foxtrot.util.constants import Direction, Exchange, OrderType, Status
from foxtrot.util.object import AccountData, OrderData, TickData, TradeData

__all__ = ["ORDER_TYPE", "SIDE", "Bodies", "Json", "nonsense_in", "number", "parsed"]

Json = Any  # Any: whatever a venue may have sent

_NUMBERS = (float, int)  # and not bool, which is one of them to isinstance
_DECODER = json.JSONDecoder()  # spares the search for encodings that venues do not use

_STATUS = {
    "NEW": Status.NOTTRADED,
    "PARTIALLY_FILLED": Status.PARTTRADED,
    "FILLED": Status.ALLTRADED,
    "CANCELED": Status.CANCELLED,
    "EXPIRED": Status.CANCELLED,
}
ORDER_TYPE = {
    OrderType.LIMIT: "LIMIT",
    OrderType.MARKET: "MARKET",
    OrderType.POST_ONLY: "POST_ONLY",
    OrderType.FAK: "IOC",
    OrderType.FOK: "FOK",
}
_TYPE_OF = {name: order_type for order_type, name in ORDER_TYPE.items()}
SIDE = {Direction.LONG: "BUY", Direction.SHORT: "SELL"}
_DIRECTION_OF = {"BUY": Direction.LONG, "SELL": Direction.SHORT}


class Bodies:
    """Reads the bodies of one adapter.

    Every method raises AttributeError, KeyError, TypeError or ValueError for a body that lacks
    something or has it in the wrong form.
    """

    def __init__(self, adapter_name: str, exchange: Exchange) -> None:
        self._adapter_name = adapter_name
        self._exchange = exchange

    def tick(self, body: Json) -> TickData:
        """A market update; whether its prices make sense is another question."""
        return TickData(
            symbol=_text(body, "symbol"),
            exchange=self._exchange,
            adapter_name=self._adapter_name,
            datetime=_utc(number(body, "time")),
            last_price=number(body, "price"),
            last_volume=number(body, "volume"),
            bid_price_1=number(body, "bid"),
            ask_price_1=number(body, "ask"),
            sequence=body["sequence"],
        )

    def order(self, body: Json) -> OrderData:
        """An order."""
        return OrderData(
            symbol=_text(body, "symbol"),
            exchange=self._exchange,
            adapter_name=self._adapter_name,
            orderid=_text(body, "client_id"),
            venue_orderid=_text(body, "venue_order_id"),
            type=_TYPE_OF[body["type"]],
            direction=_DIRECTION_OF[body["side"]],
            price=number(body, "price"),
            volume=number(body, "quantity"),
            traded=number(body, "executed"),
            status=_STATUS[body["status"]],
            datetime=_utc(number(body, "updated")),
        )

    def trade(self, body: Json) -> TradeData:
        """A fill."""
        return TradeData(
            symbol=_text(body, "symbol"),
            exchange=self._exchange,
            adapter_name=self._adapter_name,
            orderid=_text(body, "client_id"),
            tradeid=_text(body, "trade_id"),
            direction=_DIRECTION_OF[body["side"]],
            price=number(body, "price"),
            volume=number(body, "quantity"),
            datetime=_utc(number(body, "time")),
        )

    def trades(self, body: Json, *, of: str = "") -> list[TradeData]:
        """The fills in a list of them; with `of`, those of that client order id alone."""
        return [self.trade(each) for each in body["trades"] if not of or each["client_id"] == of]

    def balances(self, body: Json) -> list[AccountData]:
        """The assets of the account."""
        return [self._balance(each) for each in body["balances"]]

    def _balance(self, body: Json) -> AccountData:
        return AccountData(
            adapter_name=self._adapter_name,
            accountid=_text(body, "asset"),
            balance=number(body, "free") + number(body, "locked"),
            frozen=number(body, "locked"),
        )


def parsed(body: bytes) -> object:
    """What the bytes say; None when they are no JSON."""
    try:
        return _DECODER.decode(body.decode())
    except ValueError:
        return None


def number(body: Json, name: str) -> float:
    """A finite number. What is a text today was one that somebody formats, and may round, too."""
    value = body[name]
    if type(value) not in _NUMBERS or not math.isfinite(value):
        raise TypeError(f"expected a number, got {name}={value!r}")
    return float(value)


def _text(body: Json, name: str) -> str:
    value = body[name]
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {name}={value!r}")
    return value


def nonsense_in(tick: TickData) -> str:
    """Why no market can have made this tick; empty when one can."""
    bid, ask = tick.bid_price_1, tick.ask_price_1
    if min(tick.last_price, bid, ask) <= 0:
        return f"impossible prices: last {tick.last_price:g}, bid {bid:g}, ask {ask:g}"
    return f"the book is crossed: bid {bid:g} over ask {ask:g}" if bid > ask else ""


def _utc(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
