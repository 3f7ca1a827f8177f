"""The public endpoints. Market data costs what `time` costs: the venue has no word for it."""

from __future__ import annotations

from typing import Any

from foxtrot.adapter.session import Operation
from harness.wire import forms
from harness.wire.exchange import Answer, Call, Endpoint, Exchange, symbols_of
from harness.wire.market import SymbolView
from harness.wire.params import Param

__all__ = ["INTERVALS", "MARKET_ENDPOINTS", "exchange_info"]

#: Kline intervals served, in minutes.
INTERVALS = {
    "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30,
    "1h": 60, "2h": 120, "4h": 240, "6h": 360, "8h": 480, "12h": 720, "1d": 1440,
}  # fmt: skip

_SYMBOL = Param("symbol", required=True)
_MAYBE_SYMBOL = Param("symbol")
_SYMBOLS = Param("symbols")
_LIMIT = Param("limit", "integer")
_INTERVAL = Param(
    "interval", required=True, choices=tuple(INTERVALS), error=(-1120, "Invalid interval.")
)


async def _ping(exchange: Exchange, call: Call) -> Answer:
    return await exchange.toll(call)


async def _time(exchange: Exchange, call: Call) -> Answer:
    return await exchange.relay(
        call,
        Operation.TIME,
        lambda body: {"serverTime": exchange.clock.milliseconds(body["server_time"])},
    )


async def exchange_info(exchange: Exchange, call: Call) -> Answer:
    """Symbols and their filters, and the limits."""
    wanted = symbols_of(call.params)
    exchange.views(wanted)

    def form(body: Any) -> Any:  # Any: JSON
        rows = [row for row in body["symbols"] if not wanted or row["symbol"] in wanted]
        now = round(exchange.wall() * 1000)
        return forms.exchange_form(rows, exchange.instruments, exchange.venue.profile, now)

    return await exchange.relay(call, Operation.INSTRUMENTS, form)


async def _ticker_price(exchange: Exchange, call: Call) -> Answer:
    return await _by_symbol(exchange, call, _price_form)


async def _ticker_book(exchange: Exchange, call: Call) -> Answer:
    return await _by_symbol(exchange, call, _book_form)


async def _ticker_day(exchange: Exchange, call: Call) -> Answer:
    return await _by_symbol(exchange, call, lambda view: forms.day_form(view, exchange.wall()))


async def _depth(exchange: Exchange, call: Call) -> Answer:
    view, limit = exchange.view(call.params["symbol"]), call.limit(100, 5000)
    return await exchange.public(call, lambda: forms.depth_form(view, limit))


async def _trades(exchange: Exchange, call: Call) -> Answer:
    view, limit = exchange.view(call.params["symbol"]), call.limit(500, 1000)
    return await exchange.public(
        call, lambda: [forms.public_trade_form(view, each) for each in list(view.trades)[-limit:]]
    )


async def _aggregate_trades(exchange: Exchange, call: Call) -> Answer:
    view, limit = exchange.view(call.params["symbol"]), call.limit(500, 1000)
    first, (begin, end) = call.number("fromId"), call.window()
    is_oldest_first = first is not None or begin is not None

    def form() -> Any:  # Any: JSON
        trades = [t for t in view.trades if t.id >= (first or 0)]
        trades = [t for t in trades if (begin or 0) <= round(t.time * 1000) <= end]
        chosen = trades[:limit] if is_oldest_first else trades[-limit:]
        return [forms.aggregate_trade_form(view, each) for each in chosen]

    return await exchange.public(call, form)


async def _klines(exchange: Exchange, call: Call) -> Answer:
    view, limit = exchange.view(call.params["symbol"]), call.limit(500, 1000)
    minutes = INTERVALS[call.params["interval"]]
    begin, end = call.window()

    def form() -> Any:  # Any: JSON
        candles = [c for c in view.candles(minutes) if (begin or 0) <= c.start * 1000 <= end]
        chosen = candles[-limit:] if begin is None else candles[:limit]
        return [forms.candle_row(view, candle, minutes) for candle in chosen]

    return await exchange.public(call, form)


async def _by_symbol(exchange: Exchange, call: Call, form: Any) -> Answer:  # Any: a form
    views = exchange.views(symbols_of(call.params))
    is_one = bool(call.params.get("symbol"))
    return await exchange.public(
        call, lambda: form(views[0]) if is_one else [form(view) for view in views]
    )


def _price_form(view: SymbolView) -> dict[str, Any]:  # Any: JSON
    return {"symbol": view.instrument.symbol, "price": forms.price(view, view.last)}


def _book_form(view: SymbolView) -> dict[str, Any]:  # Any: JSON
    size = forms.quantity(view, view.depth)
    return {
        "symbol": view.instrument.symbol,
        "bidPrice": forms.price(view, view.bid),
        "bidQty": size,
        "askPrice": forms.price(view, view.ask),
        "askQty": size,
    }


def _endpoint(path: str, method: str, answer: Any, summary: str, *params: Param) -> Endpoint:
    return Endpoint(
        verb="GET",
        path=f"/api/v3/{path}",
        method=method,
        answer=answer,
        summary=summary,
        params=params,
    )


_NAMED = (_MAYBE_SYMBOL, _SYMBOLS)
_WINDOW = (Param("startTime", "integer"), Param("endTime", "integer"))

MARKET_ENDPOINTS = (
    _endpoint("ping", "ping", _ping, "Whether the venue answers"),
    _endpoint("time", "time", _time, "The venue's clock"),
    _endpoint("exchangeInfo", "exchangeInfo", exchange_info, "Symbols, filters, limits", *_NAMED),
    _endpoint("ticker/price", "ticker.price", _ticker_price, "Last prices", *_NAMED),
    _endpoint("ticker/bookTicker", "ticker.book", _ticker_book, "Best bids and asks", *_NAMED),
    _endpoint("ticker/24hr", "ticker.24hr", _ticker_day, "A day's statistics", *_NAMED),
    _endpoint("depth", "depth", _depth, "The book", _SYMBOL, _LIMIT),
    _endpoint("trades", "trades.recent", _trades, "Last trades", _SYMBOL, _LIMIT),
    _endpoint(
        "aggTrades",
        "trades.aggregate",
        _aggregate_trades,
        "Last trades, in their other form",
        _SYMBOL,
        Param("fromId", "integer"),
        _LIMIT,
        *_WINDOW,
    ),
    _endpoint("klines", "klines", _klines, "Candles", _SYMBOL, _INTERVAL, _LIMIT, *_WINDOW),
)
