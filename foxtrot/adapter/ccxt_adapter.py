"""An adapter over the real ccxt.pro client, with what that client leaves to its users.

ccxt reconnects by itself and says nothing, takes an empty reply for an order, hides Retry-After in
a field of the client, and reports a revoked key as a rate limit. Here every new connection of its
is noticed and reported as a gap, every reply is checked before it is believed, and every error is
classified with the headers that came with it. Needs the extra `ccxt`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from foxtrot.adapter.base_adapter import AdapterStatus, BaseAdapter
from foxtrot.util.classification import Classifier
from foxtrot.util.clock import SYSTEM_CLOCK, Clock
from foxtrot.util.constants import Direction, Exchange, OrderType, Status
from foxtrot.util.errors import (
    AdapterConnectionError,
    DataValidationError,
    ErrorCategory,
    FoxtrotError,
    Outcome,
)
from foxtrot.util.event import EventSink
from foxtrot.util.object import (
    AccountData,
    CancelRequest,
    OrderData,
    OrderRequest,
    SubscribeRequest,
    TickData,
    TradeData,
)

__all__ = ["CcxtAdapter", "binance_client"]

T = TypeVar("T")

_STATUS = {
    "open": Status.NOTTRADED,
    "closed": Status.ALLTRADED,
    "canceled": Status.CANCELLED,
    "expired": Status.CANCELLED,
    "rejected": Status.REJECTED,
}
_SIDE = {Direction.LONG: "buy", Direction.SHORT: "sell"}
_DIRECTION_OF = {"buy": Direction.LONG, "sell": Direction.SHORT}
_TYPE = {OrderType.MARKET: "market"}
_TIME_IN_FORCE = {OrderType.FAK: "IOC", OrderType.FOK: "FOK"}
_ANSWERED_WITH_A_WAIT = frozenset({"DDoSProtection", "RateLimitExceeded"})
_CHANGES_STATE = frozenset({"order.place", "order.cancel"})

# How often the client's sockets are looked at for a connection that it made without a word.
_LOOK_EVERY = 0.5


def binance_client(config: Mapping[str, Any]) -> Any:  # Any: ccxt ships no types for its clients
    """A ccxt.pro client of Binance Spot that asks only what trading needs.

    ccxt's own rate limiter and retries stay off: the engine has both, and must not be hidden from
    what happens. Currencies and margin markets, which ccxt would fetch with signed requests before
    the first order, are left out.
    """
    try:
        from ccxt import pro  # noqa: PLC0415 - the extra is needed here and nowhere else
    except ImportError as exc:
        raise RuntimeError(
            "CcxtAdapter needs ccxt: pip install 'foxtrot-resilience[ccxt]'"
        ) from exc
    options = {
        "fetchMarkets": {"types": ["spot"]},
        "fetchMargins": False,
        "fetchCurrencies": False,
        "warnOnFetchOpenOrdersWithoutSymbol": False,
        "maxRetriesOnFailure": 0,
    }
    return pro.binance({"enableRateLimit": False, "options": options, **config})


class CcxtAdapter(BaseAdapter):
    """A connection through ccxt.pro.

    Args:
        event_engine: Where pushed data goes.
        adapter_name: Its name.
        client: Makes a new ccxt.pro client; called for every connection, so that nothing of a
            broken one is used again.
        exchange: Suffix of its `vt_symbol`s.
        request_timeout: Seconds to wait for a reply, after which its outcome is unknown.
        recv_window: Seconds after its sending in which the venue still takes a request. None
            where the venue has no such bound, so that a lost order is never sent again.
        clock: Time.
    """

    default_name = "CCXT"

    def __init__(
        self,
        event_engine: EventSink,
        adapter_name: str = "",
        *,
        client: Callable[[], Any],  # Any: ccxt ships no types for its clients
        exchange: Exchange = Exchange.BINANCE,
        request_timeout: float = 5.0,
        recv_window: float | None = 10.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(event_engine, adapter_name)
        self.exchange = self._venue = exchange
        self.request_timeout = request_timeout
        self.request_lifetime = recv_window
        self._make_client = client
        self._clock = clock
        self._classifier = Classifier(clock=clock)
        self._client: Any = None
        self._tasks: list[asyncio.Task[None]] = []
        self._subscribed: dict[str, None] = {}
        self._sockets: dict[str, int] = {}
        self._client_ids: dict[str, str] = {}
        self._connections = 0
        self._requests = 0

    async def connect(self, setting: Mapping[str, Any] | None = None) -> None:
        """Make a client and load the venue's markets through it."""
        self.setting = dict(self.setting if setting is None else setting)
        self._connections += 1
        self.connection_id = f"{self.adapter_name}-c{self._connections}"
        self.status = AdapterStatus.CONNECTING
        self._client = self._make_client()
        try:
            await self._load_markets()
        except BaseException:
            await self.disconnect()
            raise
        self.status = AdapterStatus.CONNECTED

    async def _load_markets(self) -> None:
        if not await self._call("connect", self._client.load_markets):
            raise self._malformed("connect", "the venue listed no markets")

    async def disconnect(self) -> None:
        """End the watches and close the client."""
        self.status = AdapterStatus.DISCONNECTED
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._subscribed.clear()
        self._sockets.clear()
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):  # a client that cannot be closed is not used again either
                await client.close()

    async def ping(self) -> None:
        """Ask the venue for the time. The streams' liveness is judged by their data."""
        await self._call("ping", self._connected().fetch_time)

    async def resync(self) -> None:
        """Measure how far the venue's clock is from ours; requests are stamped by the venue's."""
        client = self._connected()
        await self._call("time", client.load_time_difference)
        client.options["adjustForTimeDifference"] = True

    async def subscribe(self, requests: Sequence[SubscribeRequest]) -> None:
        """Start watching the symbols and the account's orders; what is watched already stays so."""
        self._connected()
        if not self._tasks:
            self._watch("orders", self._watch_orders())
            self._watch("sockets", self._watch_sockets())
        for request in requests:
            if request.symbol not in self._subscribed:
                self._subscribed[request.symbol] = None
                self._watch(f"ticker {request.symbol}", self._watch_ticker(request.symbol))

    async def send_order(self, request: OrderRequest) -> OrderData:
        """Place an order under the client order id `request.reference`."""
        client = self._connected()
        params: dict[str, Any] = {"newClientOrderId": request.reference}
        if request.type is OrderType.POST_ONLY:
            params["postOnly"] = True
        if request.type in _TIME_IN_FORCE:
            params["timeInForce"] = _TIME_IN_FORCE[request.type]
        kind = _TYPE.get(request.type, "limit")
        body = await self._call(
            "order.place",
            lambda: client.create_order(
                self._unified(request.symbol),
                kind,
                _SIDE[request.direction],
                request.volume,
                None if kind == "market" else request.price,
                params,
            ),
            about=request,
        )
        return self._order("order.place", body)

    async def cancel_order(self, request: CancelRequest) -> OrderData:
        """Cancel by client order id."""
        client, params = self._connected(), {"clientOrderId": request.orderid}
        body = await self._call(
            "order.cancel",
            lambda: client.cancel_order(None, self._unified(request.symbol), params),
            about=request,
        )
        return self._order("order.cancel", {**body, "clientOrderId": request.orderid})

    async def query_order(self, request: CancelRequest) -> OrderData | None:
        """Look up by client order id."""
        client, params = self._connected(), {"clientOrderId": request.orderid}
        try:
            body = await self._call(
                "order.query",
                lambda: client.fetch_order(None, self._unified(request.symbol), params),
                about=request,
            )
        except FoxtrotError as error:
            if type(error.__cause__).__name__ == "OrderNotFound":
                return None
            raise
        return self._order("order.query", body)

    async def query_open_orders(self) -> list[OrderData]:
        """The account's open orders."""
        bodies = await self._call("orders.open", self._connected().fetch_open_orders)
        return [self._order("orders.open", body) for body in bodies]

    async def query_trades(self, symbol: str, *, after: str = "") -> list[TradeData]:
        """The account's fills after a trade id."""
        client = self._connected()
        params = {"fromId": int(after) + 1} if after else {}
        bodies = await self._call(
            "trades", lambda: client.fetch_my_trades(self._unified(symbol), None, 1000, params)
        )
        return [await self._trade(symbol, body) for body in bodies]

    async def query_account(self) -> list[AccountData]:
        """The account's balances."""
        body = await self._call("account", self._connected().fetch_balance)
        if "balances" not in (body.get("info") or {}):
            # ccxt makes an empty account of an empty reply.
            raise self._malformed("account", "the reply holds no balances")
        return [
            AccountData(
                adapter_name=self.adapter_name,
                accountid=asset,
                balance=float(body["total"][asset] or 0),
                frozen=float(body["used"][asset] or 0),
            )
            for asset in body["total"]
        ]

    async def _call(
        self,
        operation: str,
        call: Callable[[], Awaitable[T]],
        *,
        about: OrderRequest | CancelRequest | None = None,
    ) -> T:
        self._requests += 1
        try:
            async with asyncio.timeout(self.request_timeout):
                return await call()
        except Exception as exc:
            error = self._classified(exc, operation)
            error.context["correlation_id"] = f"{self.adapter_name}-r{self._requests}"
            if about is not None:
                orderid = about.reference if isinstance(about, OrderRequest) else about.orderid
                error.context |= {
                    "vt_symbol": about.vt_symbol,
                    "client_id": orderid,
                    "order_id": orderid,
                }
            if error is exc:
                raise
            raise error from exc

    def _classified(self, exc: Exception, operation: str) -> FoxtrotError:
        if type(exc).__name__ in _ANSWERED_WITH_A_WAIT and self._client is not None:
            # ccxt drops the headers on the way to the exception. The last ones that the client
            # saw are the refusal's, since nothing is awaited between the reply and here.
            exc.headers = self._client.last_response_headers  # type: ignore[attr-defined]
        error = self._classifier.classify(exc, adapter=self.adapter_name, operation=operation)
        if "-2015" in str(exc) and error.category is ErrorCategory.RATE_LIMIT:
            error = self._classifier.classify_code(
                "binance", -2015, str(exc), adapter=self.adapter_name, operation=operation
            )
        return error

    def _malformed(self, operation: str, issue: str) -> DataValidationError:
        changes_state = operation in _CHANGES_STATE
        return DataValidationError(
            "reply",
            issue,
            outcome=Outcome.UNKNOWN if changes_state else Outcome.NONE,
            recoverable=True,
            clock=self._clock,
            context={"adapter": self.adapter_name, "operation": operation},
        )

    def _connected(self) -> Any:
        if self._client is None:
            raise AdapterConnectionError(
                self.adapter_name, "not connected", outcome=Outcome.NOT_SENT, clock=self._clock
            )
        return self._client

    def _watch(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"{self.adapter_name}: {name}")
        self._tasks.append(task)

    async def _watch_ticker(self, symbol: str) -> None:
        unified = self._unified(symbol)
        while True:
            body = await self._next(lambda: self._client.watch_ticker(unified))
            if body is None:
                return
            self.on_tick(
                TickData(
                    symbol=symbol,
                    exchange=self._venue,
                    adapter_name=self.adapter_name,
                    datetime=_utc(body.get("timestamp")) or self._clock.wall(),
                    last_price=float(body["last"]),
                    bid_price_1=float(body.get("bid") or 0.0),
                    ask_price_1=float(body.get("ask") or 0.0),
                )
            )

    async def _watch_orders(self) -> None:
        while True:
            bodies = await self._next(self._client.watch_orders)
            if bodies is None:
                return
            for body in bodies:
                self._push_order(body)

    def _push_order(self, body: Mapping[str, Any]) -> None:
        try:
            order = self._order("stream", body)
        except FoxtrotError as error:
            self._push_error(error)
            return
        fill = body.get("info") or {}
        if fill.get("x") == "TRADE":
            self.on_trade(
                TradeData(
                    symbol=order.symbol,
                    exchange=self._venue,
                    adapter_name=self.adapter_name,
                    orderid=order.orderid,
                    tradeid=str(fill["t"]),
                    direction=order.direction,
                    price=float(fill["L"]),
                    volume=float(fill["l"]),
                    datetime=_utc(fill.get("T")),
                )
            )
        self.on_order(order)

    async def _next(self, watch: Callable[[], Awaitable[T]]) -> T | None:
        """What the client yields next. None: the stream broke, and the error was pushed."""
        try:
            return await watch()
        except Exception as exc:
            error = self._classified(exc, "stream")
            self._lost(error)
            return None

    async def _watch_sockets(self) -> None:
        """Tell of every connection that the client lost or made anew without telling."""
        while True:
            await self._clock.sleep(_LOOK_EVERY)
            for url, client in list(self._client.clients.items()):
                self._look_at(url, client)

    def _look_at(self, url: str, client: Any) -> None:
        connection = client.connection
        if connection is None or connection.closed:
            return
        known = self._sockets.setdefault(url, id(connection))
        if known == id(connection):
            return
        self._sockets[url] = id(connection)
        # What was pushed between the two connections is gone: only a new start brings it back.
        self._lost(
            AdapterConnectionError(
                self.adapter_name,
                "the client replaced a stream's connection without a word",
                outcome=Outcome.NONE,
                clock=self._clock,
                context={"operation": "stream"},
            )
        )

    def _lost(self, error: FoxtrotError) -> None:
        self.status = AdapterStatus.DISCONNECTED
        self._push_error(error)

    def _push_error(self, error: FoxtrotError) -> None:
        error.context.setdefault("adapter", self.adapter_name)
        error.context.setdefault("operation", "stream")
        error.context["correlation_id"] = self.connection_id
        self.on_error(error)

    def _unified(self, symbol: str) -> str:
        """The name that ccxt has for the venue's symbol."""
        for market in self._connected().markets_by_id.get(symbol, ()):
            if market.get("spot"):
                return str(market["symbol"])
        raise DataValidationError(
            "symbol",
            f"the venue lists no {symbol}",
            outcome=Outcome.NOT_SENT,
            clock=self._clock,
            context={"adapter": self.adapter_name},
        )

    def _order(self, operation: str, body: Mapping[str, Any]) -> OrderData:
        """The order that a reply describes. ccxt makes one of every reply, the empty ones too."""
        raw = body.get("info") or {}
        if not body.get("id") or body.get("status") not in _STATUS or not body.get("symbol"):
            raise self._malformed(operation, f"expected an order with id and status, got {raw!r}")
        market = self._connected().markets[body["symbol"]]
        orderid = str(raw.get("origClientOrderId") or body.get("clientOrderId") or body["id"])
        filled = float(body.get("filled") or 0.0)
        status = _STATUS[body["status"]]
        if status is Status.NOTTRADED and filled > 0:
            status = Status.PARTTRADED
        self._client_ids[str(body["id"])] = orderid
        return OrderData(
            symbol=str(market["id"]),
            exchange=self._venue,
            adapter_name=self.adapter_name,
            orderid=orderid,
            venue_orderid=str(body["id"]),
            type=OrderType.MARKET if body.get("type") == "market" else OrderType.LIMIT,
            direction=_DIRECTION_OF[str(body["side"])],
            price=float(body.get("price") or 0.0),
            volume=float(body.get("amount") or 0.0),
            traded=filled,
            status=status,
            datetime=_utc(body.get("lastUpdateTimestamp") or body.get("timestamp")),
        )

    async def _trade(self, symbol: str, body: Mapping[str, Any]) -> TradeData:
        venue_orderid = str(body["order"])
        if venue_orderid not in self._client_ids:
            # A fill names the venue's number only; whose order that is, the venue has to say.
            client = self._connected()
            order = await self._call(
                "order.query", lambda: client.fetch_order(venue_orderid, self._unified(symbol))
            )
            self._order("order.query", order)
        return TradeData(
            symbol=symbol,
            exchange=self._venue,
            adapter_name=self.adapter_name,
            orderid=self._client_ids[venue_orderid],
            tradeid=str(body["id"]),
            direction=_DIRECTION_OF[str(body["side"])],
            price=float(body["price"]),
            volume=float(body["amount"]),
            datetime=_utc(body.get("timestamp")),
        )


def _utc(milliseconds: Any) -> dt.datetime | None:
    if milliseconds is None:
        return None
    return dt.datetime.fromtimestamp(float(milliseconds) / 1000, dt.UTC)
