"""Reads what ccxt makes of a venue's replies into our own objects.

ccxt makes an order of every reply, the empty and the truncated ones too: what has no id, no state
or no symbol is none.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from foxtrot.util.constants import Direction, Exchange, OrderType, Status
from foxtrot.util.object import AccountData, OrderData, TickData, TradeData, covers

__all__ = ["UNREADABLE", "CcxtBodies", "Json", "listed", "markets_in"]

Json = Any  # Any: whatever ccxt made of what a venue said

#: What reading a body raises that lacks something or has it in the wrong form.
#: ArithmeticError: a number or a time beyond all bounds.
UNREADABLE = (ArithmeticError, AttributeError, KeyError, TypeError, ValueError)

_DIRECTION_OF = {"buy": Direction.LONG, "sell": Direction.SHORT}
_STATUS = {
    "open": Status.NOTTRADED,
    # Listed as open: one of a pair that waits for the other, which ccxt has no word of its own
    # for, and one that somebody is cancelling.
    "PENDING_NEW": Status.NOTTRADED,
    "canceling": Status.NOTTRADED,
    "closed": Status.ALLTRADED,
    "canceled": Status.CANCELLED,
    "expired": Status.CANCELLED,
    "rejected": Status.REJECTED,
}


class CcxtBodies:
    """Reads the bodies of one adapter. Every method raises one of `UNREADABLE`."""

    def __init__(self, adapter_name: str, exchange: Exchange) -> None:
        self._adapter_name = adapter_name
        self._exchange = exchange

    def tick(self, body: Json, symbol: str, received: dt.datetime) -> TickData:
        """A market update; one without a time is as old as its arrival."""
        return TickData(
            symbol=symbol,
            exchange=self._exchange,
            adapter_name=self._adapter_name,
            datetime=_utc(body.get("timestamp")) or received,
            last_price=float(body["last"]),
            bid_price_1=float(body.get("bid") or 0.0),
            ask_price_1=float(body.get("ask") or 0.0),
        )

    def order(self, body: Json, markets: Json) -> OrderData:
        """An order; `markets` are ccxt's, by its own symbols."""
        raw = body.get("info") or {}
        if not body["id"]:
            raise ValueError("expected an order with an id")
        filled, volume = float(body["filled"]), float(body["amount"])
        status = _STATUS[body["status"]]
        # Where a number is missing ccxt works it out of the others, down to none at all.
        if not volume > 0 or (status is Status.ALLTRADED and not covers(filled, volume)):
            raise ValueError(f"expected the numbers of an order, got {volume=}, {filled=}")
        if status is Status.NOTTRADED and filled > 0:
            status = Status.PARTTRADED
        return OrderData(
            symbol=_symbol_of(body["symbol"], markets),
            exchange=self._exchange,
            adapter_name=self._adapter_name,
            orderid=str(raw.get("origClientOrderId") or body.get("clientOrderId") or body["id"]),
            venue_orderid=str(body["id"]),
            type=OrderType.MARKET if body.get("type") == "market" else OrderType.LIMIT,
            direction=_DIRECTION_OF[body["side"]],
            price=float(body.get("price") or 0.0),
            volume=volume,
            traded=filled,
            status=status,
            datetime=_utc(body.get("lastUpdateTimestamp") or body.get("timestamp")),
        )

    def fill(self, report: Json) -> TradeData | None:
        """The fill that an order's report, as the venue sends it, tells of; None without one."""
        if report.get("x") != "TRADE":
            return None
        return TradeData(
            symbol=str(report["s"]),
            exchange=self._exchange,
            adapter_name=self._adapter_name,
            orderid=str(report["c"]),
            tradeid=str(report["t"]),
            direction=_DIRECTION_OF[report["S"].lower()],
            price=float(report["L"]),
            volume=float(report["l"]),
            datetime=_utc(report.get("T")),
        )

    def trade(self, body: Json, symbol: str, orderid: str) -> TradeData:
        """A fill out of the account's list; whose order it was, the caller says."""
        return TradeData(
            symbol=symbol,
            exchange=self._exchange,
            adapter_name=self._adapter_name,
            orderid=orderid,
            tradeid=str(body["id"]),
            direction=_DIRECTION_OF[body["side"]],
            price=float(body["price"]),
            volume=float(body["amount"]),
            datetime=_utc(body.get("timestamp")),
        )

    def balances(self, body: Json) -> list[AccountData]:
        """The account's balances. ccxt makes an empty account of an empty reply: that is none."""
        if not isinstance(body["info"]["balances"], list):
            raise TypeError("expected a list of balances")
        return [
            AccountData(
                adapter_name=self._adapter_name,
                accountid=asset,
                balance=float(body["total"][asset]),
                frozen=float(body["used"][asset]),
            )
            for asset in body["total"]
        ]


def listed(bodies: Json, text: str) -> list[Json]:
    """The items of a list. ccxt makes an empty list of an empty reply: that is none.

    `text` is the reply as it came. It may be an object, since many venues wrap their lists; one
    that is empty, no JSON or a bare value holds no list.
    """
    if not bodies:
        reply = json.loads(text)
        if not isinstance(reply, list | dict) or reply == {}:
            raise ValueError(f"expected a list, got {text[:80]!r}")
    return list(bodies)


def markets_in(body: Json) -> Json:
    """The markets, of which a venue has at least one: `{"symbols": []}` is no answer."""
    if not body:
        raise ValueError("the venue listed no markets")
    return body


def _symbol_of(unified: str, markets: Json) -> str:
    """The venue's own symbol; of one that was listed after the markets were, ccxt keeps that."""
    if not unified:
        raise ValueError("expected an order with a symbol")
    return str(markets[unified]["id"] if unified in markets else unified)


def _utc(milliseconds: Json) -> dt.datetime | None:
    if milliseconds is None:
        return None
    return dt.datetime.fromtimestamp(float(milliseconds) / 1000, dt.UTC)
