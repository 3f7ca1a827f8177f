"""The market streams: /ws, /ws/<stream> and /stream?streams=<stream>/<stream>."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from foxtrot.adapter.session import Operation
from harness.wire import forms
from harness.wire.errors import ApiError, Dropped, Lost
from harness.wire.exchange import Call, Exchange
from harness.wire.market import Candle, SymbolView
from harness.wire.market_endpoints import INTERVALS
from harness.wire.params import Message, parse_message

__all__ = ["STREAM_KINDS", "MarketStreams", "Stream", "parse_stream"]

_STREAM = re.compile(
    r"(?P<symbol>[a-zA-Z0-9]{1,20})@(?P<kind>[a-zA-Z0-9]{1,20})(?:_(?P<rest>\w+))?"
)
_ALL = re.compile(r"!(?P<kind>miniTicker|ticker)@arr")
_MOST_STREAMS = 1024


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream by its name: of a symbol, or of all ("")."""

    name: str
    symbol: str
    kind: str


def parse_stream(name: str) -> Stream | None:
    """What a stream's name means; None where no such stream is served.

    Binance takes any name and sends nothing on one that does not exist; so does this.
    """
    everything = _ALL.fullmatch(name)
    if everything:
        return Stream(name, "", everything["kind"])
    match = _STREAM.fullmatch(name)
    if match is None:
        return None
    kind, rest = match["kind"], match["rest"]
    if kind == "kline" and rest in INTERVALS:
        return Stream(name, match["symbol"].upper(), f"kline_{rest}")
    if kind in STREAM_KINDS and rest is None:
        return Stream(name, match["symbol"].upper(), kind)
    return None


class MarketStreams:
    """What one connection listens to.

    Args:
        exchange: Where ticks come from.
        is_combined: Whether events are wrapped with the name of their stream.
    """

    def __init__(self, exchange: Exchange, connection_id: str, *, is_combined: bool) -> None:
        self._exchange = exchange
        self._connection_id = connection_id
        self._is_combined = is_combined
        self._names: dict[str, Stream | None] = {}
        self._symbols: set[str] = set()  # only asked for members
        self._candles: dict[str, int] = {}  # stream -> start of the candle that it told of last
        self._done = asyncio.Event()  # what came before has had its effect
        self._done.set()

    async def subscribe(self, names: Sequence[str], source_ip: str) -> None:
        """Listen to streams. Raises ApiError where the venue refuses."""
        await self._in_turn(Message(None, "SUBSCRIBE", list(names)), source_ip)

    async def _prepare(self, names: Sequence[str], source_ip: str) -> None:
        """Have the venue send what the streams are made of."""
        if len(self._names) + len(names) > _MOST_STREAMS:
            raise ApiError(2, f"Invalid request: more than {_MOST_STREAMS} streams")
        streams = [parse_stream(name) for name in names]
        known = self._exchange.market.symbols
        wanted: dict[str, None] = {}
        for stream in streams:
            if stream is not None:
                wanted.update(dict.fromkeys([stream.symbol] if stream.symbol else known))
        new = [s for s in wanted if s in known and s not in self._symbols]
        if new:
            await self._subscribe(new, source_ip)
        else:
            await self._exchange.front.ping(self._connection_id)

    async def on_text(self, text: str, source_ip: str) -> str:
        """Answer a message of the client. Raises Dropped, or Lost."""
        try:
            message = parse_message(text)
        except ApiError as error:
            await self._exchange.front.ping(self._connection_id)
            return _dumps({"error": {"code": 3, "msg": f"Invalid JSON: {error.message}"}})
        try:
            return _dumps({"result": await self._in_turn(message, source_ip), "id": message.id})
        except ApiError as error:
            problem = {"code": error.code, "msg": error.message}
            return _dumps({"error": problem, "id": message.id})

    def words(self, frame: bytes) -> Iterator[str]:
        """The events that a frame of the venue makes. One that is no tick goes out as it is."""
        try:
            tick = orjson.loads(frame)
            events = list(self._events(tick))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            yield frame.decode("utf-8", "replace")
            return
        yield from events

    async def _subscribe(self, symbols: list[str], source_ip: str) -> None:
        call = Call(
            params={},
            api_key="",
            account="",
            timestamp=0.0,
            recv_window=0.0,
            source_ip=source_ip,
            connection_id=self._connection_id,
        )
        answer = await self._exchange.relay(
            call,
            Operation.SUBSCRIBE,
            lambda body: body["subscribed"] and {},
            symbols=symbols,
            connection=self._connection_id,
        )
        if answer.is_cut:
            raise Dropped("cut off")
        if answer.status >= 400:
            raise ApiError(2, f"Invalid request: {answer.status}", status=answer.status)
        self._symbols.update(symbols)

    async def _in_turn(self, message: Message, source_ip: str) -> Any:  # Any: JSON
        """Do what a message asks for, after what earlier ones did: one socket keeps the order.

        They may be slow together, but none overtakes another, however long a fault holds it up.
        """
        before, self._done = self._done, asyncio.Event()
        done = self._done
        try:
            try:
                await self._arrive(message, source_ip)
            except (ApiError, Lost):  # what follows it waits for what went before it all the same
                await before.wait()
                raise
            await before.wait()
            return self._do(message)
        finally:
            done.set()

    async def _arrive(self, message: Message, source_ip: str) -> None:
        if message.method == "SUBSCRIBE" and isinstance(message.params, list):
            await self._prepare(message.params, source_ip)
        else:  # asks nothing of the venue, but is on its way as long as what does
            await self._exchange.front.ping(self._connection_id)

    def _do(self, message: Message) -> Any:  # Any: JSON
        method, params = message.method, message.params
        if method == "LIST_SUBSCRIPTIONS":
            return list(self._names)
        if method not in {"SUBSCRIBE", "UNSUBSCRIBE", "SET_PROPERTY", "GET_PROPERTY"}:
            raise ApiError(2, "Invalid request: unknown variant of method")
        if not isinstance(params, list):
            raise ApiError(2, "Invalid request: params must be a list of stream names")
        if method.endswith("_PROPERTY"):
            return self._property(method, params)
        for name in params:
            if method == "SUBSCRIBE":
                self._names[name] = parse_stream(name)
            else:
                self._names.pop(name, None)
                self._candles.pop(name, None)
        return None

    def _property(self, method: str, params: Sequence[str]) -> bool | None:
        if params[:1] != ["combined"]:
            raise ApiError(0, "Unknown property")
        if method == "GET_PROPERTY":
            return self._is_combined
        if params[1:] not in (["true"], ["false"]):
            raise ApiError(1, "Invalid value type: expected Boolean")
        self._is_combined = params[1] == "true"
        return None

    def _events(self, tick: dict[str, Any]) -> Iterator[str]:  # Any: JSON
        view = self._exchange.market.symbols[tick["symbol"]]
        for name, stream in self._names.items():
            if stream is None or stream.symbol not in {"", tick["symbol"]}:
                continue
            for event in self._told(stream, view, tick):
                yield _dumps({"stream": name, "data": event} if self._is_combined else event)

    def _told(self, stream: Stream, view: SymbolView, tick: Any) -> Iterator[Any]:  # Any: JSON
        time = self._exchange.clock.milliseconds(tick["time"])
        if stream.kind.startswith("kline_"):
            yield from self._klines(stream, view, tick, time)
            return
        event = STREAM_KINDS[stream.kind](view, tick, time)
        if event is not None:
            yield event if stream.symbol else [event]

    def _klines(
        self, stream: Stream, view: SymbolView, tick: Any, time: int
    ) -> Iterator[dict[str, Any]]:  # Any: JSON
        """The candle as it stands; before it, for the last time, the one that it has ended."""
        interval = stream.kind.removeprefix("kline_")
        candles = view.candles(INTERVALS[interval])
        now, before = candles[-1], candles[-2:-1]
        told, self._candles[stream.name] = self._candles.get(stream.name), now.start
        event = {"e": "kline", "E": time, "s": tick["symbol"]}
        if before and before[0].start == told:
            ended = _kline(view, before[0], interval, last_id=view.count - now.trades)
            yield {**event, "k": {**ended, "x": True}}
        kline = _kline(view, now, interval, last_id=view.count)
        yield {**event, "k": {**kline, "c": forms.text(tick["price"])}}


def _trade(view: SymbolView, tick: Any, time: int) -> Any:  # Any: JSON
    if not tick["volume"]:
        return None
    return {
        "e": "trade",
        "E": time,
        "s": tick["symbol"],
        "t": view.trade_id(tick["sequence"]),
        "p": forms.text(tick["price"]),
        "q": forms.text(tick["volume"]),
        "T": time,
        "m": tick["price"] == tick["bid"],
        "M": True,
    }


def _aggregate_trade(view: SymbolView, tick: Any, time: int) -> Any:  # Any: JSON
    trade = _trade(view, tick, time)
    if trade is None:
        return None
    number = trade.pop("t")
    return {**trade, "e": "aggTrade", "a": number, "f": number, "l": number}


def _mini_ticker(view: SymbolView, tick: Any, time: int) -> Any:  # Any: JSON
    day = forms.day_form(view, time / 1000)
    return {
        "e": "24hrMiniTicker",
        "E": time,
        "s": tick["symbol"],
        "c": forms.text(tick["price"]),
        "o": day["openPrice"],
        "h": day["highPrice"],
        "l": day["lowPrice"],
        "v": day["volume"],
        "q": day["quoteVolume"],
    }


def _ticker(view: SymbolView, tick: Any, time: int) -> Any:  # Any: JSON
    day = forms.day_form(view, time / 1000)
    return {
        **_mini_ticker(view, tick, time),
        "e": "24hrTicker",
        "p": day["priceChange"],
        "P": day["priceChangePercent"],
        "w": day["weightedAvgPrice"],
        "x": day["prevClosePrice"],
        "Q": day["lastQty"],
        "b": forms.text(tick["bid"]),
        "B": day["bidQty"],
        "a": forms.text(tick["ask"]),
        "A": day["askQty"],
        "O": day["openTime"],
        "C": day["closeTime"],
        "F": day["firstId"],
        "L": day["lastId"],
        "n": day["count"],
    }


def _book_ticker(view: SymbolView, tick: Any, _time: int) -> Any:  # Any: JSON
    size = forms.quantity(view, view.depth)
    return {
        "u": tick["sequence"],
        "s": tick["symbol"],
        "b": forms.text(tick["bid"]),
        "B": size,
        "a": forms.text(tick["ask"]),
        "A": size,
    }


def _kline(
    view: SymbolView, candle: Candle, interval: str, *, last_id: int
) -> dict[str, Any]:  # Any: JSON
    row = forms.candle_row(view, candle, INTERVALS[interval])
    return {
        "t": row[0],
        "T": row[6],
        "s": view.instrument.symbol,
        "i": interval,
        "f": max(1, last_id - candle.trades + 1),
        "L": last_id,
        "o": row[1],
        "c": row[4],
        "h": row[2],
        "l": row[3],
        "v": row[5],
        "n": row[8],
        "x": False,
        "q": row[7],
        "V": row[9],
        "Q": row[10],
        "B": "0",
    }


#: The streams of a symbol, beside klines.
STREAM_KINDS: dict[str, Callable[[SymbolView, Any, int], Any]] = {  # Any: JSON
    "aggTrade": _aggregate_trade,
    "bookTicker": _book_ticker,
    "miniTicker": _mini_ticker,
    "ticker": _ticker,
    "trade": _trade,
}


def _dumps(value: Any) -> str:  # Any: JSON
    return orjson.dumps(value).decode()
