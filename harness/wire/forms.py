"""The venue's words in Binance's: orders, trades, balances, symbols, and the events of streams.

Numbers are decimal strings and times whole milliseconds of the clients' clocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from harness.venue import Instrument, Profile
from harness.wire.clock import VenueClock
from harness.wire.market import Candle, PublicTrade, SymbolView
from harness.wire.records import cost

__all__ = [
    "ORDER_TYPES",
    "aggregate_trade_form",
    "balance_event",
    "candle_row",
    "day_form",
    "depth_form",
    "exchange_form",
    "order_event",
    "order_form",
    "price",
    "public_trade_form",
    "quantity",
    "text",
    "trade_form",
]

_Row = Mapping[str, Any]  # Any: JSON

#: (Binance's type, its time in force) -> the venue's word for both.
ORDER_TYPES = {
    ("LIMIT", "GTC"): "LIMIT",
    ("LIMIT", "IOC"): "IOC",
    ("LIMIT", "FOK"): "FOK",
    ("LIMIT_MAKER", ""): "POST_ONLY",
    ("MARKET", ""): "MARKET",
}
_BINANCE_TYPES = {
    ours: (type_, in_force or "GTC") for (type_, in_force), ours in ORDER_TYPES.items()
}


def text(number: float | Decimal) -> str:
    """A number as Binance writes it: eight decimals."""
    return f"{number:.8f}"


def price(view: SymbolView, ticks: float) -> str:
    """A price in ticks, which need not be whole, as text."""
    return text(float(view.instrument.tick_size) * ticks) if ticks else text(0)


def quantity(view: SymbolView, lots: int) -> str:
    """A quantity in lots as text."""
    return text(view.instrument.quantity(lots))


def order_form(row: _Row, fills: Sequence[_Row], clock: VenueClock) -> dict[str, Any]:
    """An order as queries show it."""
    type_, in_force = _BINANCE_TYPES[row["type"]]
    return {
        "symbol": row["symbol"],
        "orderId": int(row["venue_order_id"]),
        "orderListId": -1,
        "clientOrderId": row["client_id"],
        "price": text(row["price"]),
        "origQty": text(row["quantity"]),
        "executedQty": text(row["executed"]),
        "origQuoteOrderQty": text(0),
        "cummulativeQuoteQty": text(cost(fills)),
        "status": row["status"],
        "timeInForce": in_force,
        "type": type_,
        "side": row["side"],
        "stopPrice": text(0),
        "icebergQty": text(0),
        "time": clock.milliseconds(row["time"]),
        "updateTime": clock.milliseconds(row["updated"]),
        "isWorking": True,
        "workingTime": clock.milliseconds(row["time"]),
        "selfTradePreventionMode": "NONE",
    }


def trade_form(row: _Row, clock: VenueClock, quote: str, *, is_maker: bool) -> dict[str, Any]:
    """One of an account's own trades."""
    return {
        "symbol": row["symbol"],
        "id": int(row["trade_id"]),
        "orderId": int(row["venue_order_id"]),
        "orderListId": -1,
        "price": text(row["price"]),
        "qty": text(row["quantity"]),
        "quoteQty": text(cost([dict(row)])),
        "commission": text(0),
        "commissionAsset": quote,
        "time": clock.milliseconds(row["time"]),
        "isBuyer": row["side"] == "BUY",
        "isMaker": is_maker,
        "isBestMatch": True,
    }


def exchange_form(
    rows: Sequence[_Row], instruments: Mapping[str, Instrument], profile: Profile, now_ms: int
) -> dict[str, Any]:
    """The answer to exchangeInfo."""
    orders = [
        {
            "rateLimitType": "ORDERS",
            "interval": rule.interval.split()[1],
            "intervalNum": int(rule.interval.split()[0]),
            "limit": rule.limit,
        }
        for rule in profile.order_rates
    ]
    weight = {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "MINUTE",
        "intervalNum": 1,
        "limit": profile.weight_limit,
    }
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "rateLimits": [weight, *orders],
        "exchangeFilters": [],
        "symbols": [_symbol(row, instruments[row["symbol"]]) for row in rows],
    }


def _symbol(row: _Row, instrument: Instrument) -> dict[str, Any]:
    return {
        "symbol": row["symbol"],
        "status": "TRADING" if row["status"] == "TRADING" else "HALT",
        "baseAsset": row["base"],
        "baseAssetPrecision": 8,
        "quoteAsset": row["quote"],
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "amendAllowed": False,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": text(row["min_price"]),
                "maxPrice": text(row["max_price"]),
                "tickSize": text(row["tick_size"]),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": text(row["lot_size"]),
                "maxQty": text(instrument.max_quantity),
                "stepSize": text(row["lot_size"]),
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": text(row["min_notional"]),
                "applyMinToMarket": True,
                "maxNotional": text(9_000_000_000),
                "applyMaxToMarket": False,
                "avgPriceMins": 0,
            },
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    }


# -- The market ---------------------------------------------------------------------------------


def public_trade_form(view: SymbolView, trade: PublicTrade) -> dict[str, Any]:
    """A trade as the public endpoint shows it."""
    return {
        "id": trade.id,
        "price": price(view, trade.price),
        "qty": quantity(view, trade.quantity),
        "quoteQty": _cost(view, trade.price * trade.quantity),
        "time": round(trade.time * 1000),
        "isBuyerMaker": trade.is_sell,
        "isBestMatch": True,
    }


def aggregate_trade_form(view: SymbolView, trade: PublicTrade) -> dict[str, Any]:
    """The same trade as aggTrades shows it; nothing is aggregated."""
    return {
        "a": trade.id,
        "p": price(view, trade.price),
        "q": quantity(view, trade.quantity),
        "f": trade.id,
        "l": trade.id,
        "T": round(trade.time * 1000),
        "m": trade.is_sell,
        "M": True,
    }


def depth_form(view: SymbolView, limit: int) -> dict[str, Any]:
    """The book."""
    return {
        "lastUpdateId": view.sequence,
        "bids": [[price(view, p), quantity(view, q)] for p, q in view.levels(-1)[:limit]],
        "asks": [[price(view, p), quantity(view, q)] for p, q in view.levels(1)[:limit]],
    }


def day_form(view: SymbolView, now: float) -> dict[str, Any]:
    """The 24 hours' statistics of a symbol."""
    day = view.day(now)
    change = view.last - day.open
    touch = quantity(view, view.depth)
    return {
        "symbol": view.instrument.symbol,
        "priceChange": text(float(view.instrument.tick_size) * change),
        "priceChangePercent": f"{100 * change / day.open if day.open else 0:.3f}",
        "weightedAvgPrice": price(view, day.cost / day.volume if day.volume else 0),
        "prevClosePrice": price(view, day.open),
        "lastPrice": price(view, view.last),
        "lastQty": touch,
        "bidPrice": price(view, view.bid),
        "bidQty": touch,
        "askPrice": price(view, view.ask),
        "askQty": touch,
        "openPrice": price(view, day.open),
        "highPrice": price(view, day.high),
        "lowPrice": price(view, day.low),
        "volume": quantity(view, day.volume),
        "quoteVolume": _cost(view, day.cost),
        "openTime": round((now - 86_400) * 1000),
        "closeTime": round(now * 1000),
        "firstId": max(0, view.count - day.trades + 1) if day.trades else -1,
        "lastId": view.count if day.trades else -1,
        "count": day.trades,
    }


def candle_row(view: SymbolView, candle: Candle, minutes: int) -> list[Any]:
    """A candle as klines shows it."""
    start = candle.start * 1000
    return [
        start,
        price(view, candle.open),
        price(view, candle.high),
        price(view, candle.low),
        price(view, candle.close),
        quantity(view, candle.volume),
        start + minutes * 60_000 - 1,
        _cost(view, candle.cost),
        candle.trades,
        quantity(view, candle.taker_volume),
        _cost(view, candle.taker_cost),
        "0",
    ]


def _cost(view: SymbolView, ticks_times_lots: int) -> str:
    return text(ticks_times_lots * view.instrument.notional_units / 1e8)


# -- Events of the user stream ------------------------------------------------------------------


def order_event(
    row: _Row,
    trade: _Row | None,
    fills: Sequence[_Row],
    clock: VenueClock,
    quote: str,
    *,
    execution_id: int,
    cancel_id: str,
) -> dict[str, Any]:
    """An executionReport. `fills` are the order's up to this one; `quote` is what a fee is paid in.

    `cancel_id` is what the client called its cancel. Only a fill has a fee, and a fee a currency:
    in other reports `N` is null, as Binance has it.
    """
    type_, in_force = _BINANCE_TYPES[row["type"]]
    number = int(row["venue_order_id"])
    updated = clock.milliseconds(row["updated"])
    is_cancel = trade is None and row["status"] == "CANCELED"
    last_price = trade["price"] if trade else 0
    last_quantity = trade["quantity"] if trade else 0
    return {
        "e": "executionReport",
        "E": updated,
        "s": row["symbol"],
        "c": cancel_id if is_cancel else row["client_id"],
        "S": row["side"],
        "o": type_,
        "f": in_force,
        "q": text(row["quantity"]),
        "p": text(row["price"]),
        "P": text(0),
        "F": text(0),
        "g": -1,
        "C": row["client_id"] if is_cancel else "",
        "x": "TRADE" if trade else row["status"],
        "X": row["status"],
        "r": "NONE",
        "i": number,
        "l": text(last_quantity),
        "z": text(row["executed"]),
        "L": text(last_price),
        "n": "0",
        "N": quote if trade else None,
        "T": updated,
        "t": int(trade["trade_id"]) if trade else -1,
        "I": execution_id,
        "w": row["status"] in {"NEW", "PARTIALLY_FILLED"},
        "m": trade is not None and trade["time"] > row["time"],
        "M": trade is not None,
        "O": clock.milliseconds(row["time"]),
        "Z": text(cost(fills)),
        "Y": text(cost([dict(trade)] if trade else [])),
        "Q": text(0),
        "W": clock.milliseconds(row["time"]),
        "V": "NONE",
    }


def balance_event(
    balances: Mapping[str, Mapping[str, float]], assets: Sequence[str], now_ms: int
) -> dict[str, Any]:
    """An outboundAccountPosition of the assets that an order touched."""
    none = {"free": 0.0, "locked": 0.0}
    rows = [(asset, balances.get(asset, none)) for asset in assets]
    return {
        "e": "outboundAccountPosition",
        "E": now_ms,
        "u": now_ms,
        "B": [{"a": a, "f": text(b["free"]), "l": text(b["locked"])} for a, b in rows],
    }
