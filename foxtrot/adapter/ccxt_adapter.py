"""An adapter over ccxt.pro's client of Binance Spot, with what that client leaves to its users.

ccxt reconnects by itself and says nothing, takes an empty reply for an order, hides Retry-After in
a field of the client, and reports a revoked key as a rate limit. Here every new connection of its
is noticed and reported as a gap, every reply is checked before it is believed, and every error is
classified with the headers that came with it. Needs the extra `ccxt`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

from foxtrot.adapter._ccxt_bodies import UNREADABLE, CcxtBodies, Json, listed, markets_in
from foxtrot.adapter._ccxt_fills import ClientIds, Fills
from foxtrot.adapter._ccxt_orders import naming, order_arguments, require_spoken
from foxtrot.adapter._ccxt_sockets import Sockets, close_client, refusal_behind
from foxtrot.adapter._replies import check_price, unread
from foxtrot.adapter.base_adapter import AdapterStatus, BaseAdapter
from foxtrot.util.classification import Classifier
from foxtrot.util.clock import SYSTEM_CLOCK, Clock
from foxtrot.util.constants import Exchange
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
    TradeData,
)

__all__ = ["CURRENT_REQUEST", "CcxtAdapter", "binance_client"]

T = TypeVar("T")

CURRENT_REQUEST: ContextVar[str] = ContextVar("current_request", default="")
"""The adapter's name for the request that the present task makes; errors carry it as their
correlation id. Who wraps the client's `fetch` can note it beside what goes over the wire."""

_ANSWERED_WITH_A_WAIT = frozenset({"DDoSProtection", "RateLimitExceeded"})
_CHANGES_STATE = frozenset({"order.place", "order.cancel"})

# How often the client's sockets are looked at for a connection that it made without a word.
_LOOK_EVERY = 0.5


def binance_client(config: Mapping[str, Any]) -> Any:  # Any: ccxt ships no types for its clients
    """A ccxt.pro client of Binance Spot that asks only what trading needs.

    ccxt's own rate limiter and retries stay off: the engine has both, and must not be hidden from
    what happens. Currencies and margin markets, which ccxt would fetch with signed requests before
    the first order, are left out. `config` is ccxt's; its `options` are added to those, and win.
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
        **config.get("options", {}),
    }
    return pro.binance({"enableRateLimit": False, **config, "options": options})


class CcxtAdapter(BaseAdapter):
    """A connection to Binance Spot through ccxt.pro.

    Args:
        event_engine: Where pushed data goes.
        adapter_name: Its name.
        client: Makes a new ccxt.pro client; called for every connection, so that nothing of a
            broken one is used again. It must be one of Binance Spot, or `connect` refuses it, and
            keep `enableLastHttpResponse`, ccxt's default. Keys are its own: a setting has none.
        exchange: Suffix of its `vt_symbol`s.
        request_timeout: Seconds to wait for a reply, after which its outcome is unknown.
        recv_window: Seconds after its sending in which the venue still takes a request; where the
            client's own `recvWindow` is longer, that one counts. None: without bound, so that a
            lost order is never sent again.
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
        self._bodies = CcxtBodies(self.adapter_name, exchange)
        self._client: Any = None
        self._markets: Json = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._subscribed: dict[str, None] = {}
        self._sockets = Sockets(clock)
        self._client_ids = ClientIds()
        self._fills = Fills(
            self._client_ids, ask=self._call, listed=self._listed, read_order=self._order
        )
        self._is_clock_off = False
        self._connections = 0
        self._ended_connection = ""
        self._requests = 0

    async def connect(self, setting: Mapping[str, Any] | None = None) -> None:
        """Make a client and load the venue's markets through it. An earlier one is closed first."""
        if self._client is not None:
            await self.disconnect()
        self.setting = dict(self.setting if setting is None else setting)
        self._connections += 1
        self._ended_connection = self.connection_id
        self.connection_id = f"{self.adapter_name}-c{self._connections}"
        self._client = self._make_client()
        self.status = AdapterStatus.CONNECTING
        # Of an order's reports that arrive together ccxt hands out the last one only, and fills
        # would be lost; here each passes. Its own book of fills, which this replaces, breaks on a
        # second fill without a fee's currency, and then the stream is silent for good.
        self._client.handle_my_trade = self._push_fill
        # It forgets the account's stream, and lets those who wait for its reports wait for ever.
        self._client.handle_event_stream_terminated = self._stream_ended
        try:
            require_spoken(self._client, self._clock)
            if self._is_clock_off:  # what one client has measured the next one does not know
                self._client.options["adjustForTimeDifference"] = True
            if self.request_lifetime is not None:
                window = float(self._client.options.get("recvWindow") or 0.0) / 1000
                self.request_lifetime = max(self.request_lifetime, window)
            await self._load_markets()
        except BaseException:
            await self.disconnect()
            raise
        self.status = AdapterStatus.CONNECTED

    async def _load_markets(self) -> None:
        self._markets = await self._call("instruments", self._client.load_markets, markets_in)

    async def disconnect(self) -> None:
        """End the watches and close the client."""
        if self.status is not AdapterStatus.CONNECTING:
            self._ended_connection = self.connection_id
        self.status = AdapterStatus.DISCONNECTED
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._subscribed.clear()
        self._sockets = Sockets(self._clock)
        client, self._client = self._client, None
        if client is not None:
            await close_client(client)

    async def ping(self) -> None:
        """A round trip on each of the streams' connections; before there is one, by a request.

        Requests are counted and limited, and during a ban each of them makes it longer.
        """
        if not await self._sockets.ping(self._connected().clients):
            await self._call("time", self._client.fetch_time, float)

    async def resync(self) -> None:
        """Measure how far the venue's clock is from ours; requests are stamped by the venue's.

        From then on each new connection measures it again.
        """
        client = self._connected()
        await self._call("time", client.load_time_difference, float)
        self._is_clock_off = True

    async def subscribe(self, requests: Sequence[SubscribeRequest]) -> None:
        """Start watching the symbols and the account's orders; what is watched already stays so.

        Raises DataValidationError for one that the venue does not list; then nothing is begun.
        """
        self._connected()
        listed_as = {request.symbol: self._unified(request.symbol) for request in requests}
        if not self._tasks:
            self._watch("orders", self._watch_orders())
            self._watch("sockets", self._watch_sockets())
        for symbol, unified in listed_as.items():
            if symbol not in self._subscribed:
                self._subscribed[symbol] = None
                self._watch(f"ticker {symbol}", self._watch_ticker(symbol, unified))

    async def send_order(self, request: OrderRequest) -> OrderData:
        """Place an order under the client order id `request.reference`.

        Between two steps of the market's the price is the better one, and the volume the smaller.
        """
        client = self._connected()
        return await self._call(
            "order.place",
            lambda: client.create_order(
                *order_arguments(self._market(request.symbol), request, self._clock)
            ),
            lambda body: self._order({**body, "clientOrderId": request.reference}),
            about=request,
        )

    async def cancel_order(self, request: CancelRequest) -> OrderData:
        """Cancel by client order id."""
        client, params = self._connected(), {"clientOrderId": request.orderid}
        return await self._call(
            "order.cancel",
            lambda: client.cancel_order(None, self._unified(request.symbol), params),
            lambda body: self._order({**body, "clientOrderId": request.orderid}),
            about=request,
        )

    async def query_order(self, request: CancelRequest) -> OrderData | None:
        """Look up by client order id."""
        client, params = self._connected(), {"clientOrderId": request.orderid}
        try:
            return await self._call(
                "order.query",
                lambda: client.fetch_order(None, self._unified(request.symbol), params),
                lambda body: self._order({**body, "clientOrderId": request.orderid}),
                about=request,
            )
        except FoxtrotError as error:
            if type(error.__cause__).__name__ == "OrderNotFound":
                return None
            raise

    async def query_open_orders(self) -> list[OrderData]:
        """The account's open orders."""
        return await self._call(
            "orders.open",
            self._connected().fetch_open_orders,
            lambda bodies: [self._order(body) for body in self._listed(bodies)],
        )

    async def query_trades(self, symbol: str, *, after: str = "") -> list[TradeData]:
        """The account's fills after a trade id, however many; without one, the last thousand."""
        unified = self._unified(symbol)
        fills = await self._fills.after(self._connected(), unified, after)
        return [self._trade(symbol, body, orderid) for body, orderid in fills]

    async def query_account(self) -> list[AccountData]:
        """The account's balances."""
        return await self._call("account", self._connected().fetch_balance, self._bodies.balances)

    async def _call(
        self,
        operation: str,
        call: Callable[[], Awaitable[Json]],
        read: Callable[[Json], T],
        *,
        about: OrderRequest | CancelRequest | None = None,
    ) -> T:
        self.may_send()
        self._requests += 1
        name = f"{self.adapter_name}-r{self._requests}"
        token = CURRENT_REQUEST.set(name)
        try:
            async with asyncio.timeout(self.request_timeout):
                return read(await call())
        except Exception as exc:
            # ccxt itself trips over some replies that are not what it expects.
            text = self._last_text() if isinstance(exc, UNREADABLE) else None
            error = (
                self._classified(exc, operation)
                if text is None
                else self._unread(operation, exc, text)
            )
            error.context |= {"correlation_id": name, **naming(about)}
            if error is exc:
                raise
            raise error from exc
        finally:
            CURRENT_REQUEST.reset(token)

    def _listed(self, bodies: Json) -> list[Json]:
        return listed(bodies, self._last_text())

    def _last_text(self) -> str:
        """The reply of just now: nothing is awaited between its arrival and here."""
        return str(self._client.last_http_response) if self._client is not None else ""

    def _classified(self, exc: Exception, operation: str) -> FoxtrotError:
        if type(exc).__name__ in _ANSWERED_WITH_A_WAIT and self._client is not None:
            # ccxt drops the headers on the way to the exception. The last ones that the client
            # saw are the refusal's, since nothing is awaited between the reply and here. An
            # exception takes any attribute; `classify` looks for this one.
            exc.headers = self._client.last_response_headers  # type: ignore[attr-defined]
        error = self._classifier.classify(exc, adapter=self.adapter_name, operation=operation)
        if "-2015" in str(exc) and error.category is ErrorCategory.RATE_LIMIT:
            error = self._classifier.classify_code(
                "binance", -2015, str(exc), adapter=self.adapter_name, operation=operation
            )
        return error

    def _unread(self, operation: str, exc: Exception, text: str = "") -> DataValidationError:
        outcome = Outcome.UNKNOWN if operation in _CHANGES_STATE else Outcome.NONE
        error = unread(exc, text, outcome, self._clock)
        error.context |= {"adapter": self.adapter_name, "operation": operation}
        return error

    def _connected(self) -> Any:
        if self._client is None or not self._client.markets:
            raise AdapterConnectionError(
                self.adapter_name,
                "not connected",
                outcome=Outcome.NOT_SENT,
                clock=self._clock,
                context={"code": "not_connected", "correlation_id": self._ended_connection},
            )
        return self._client

    def _watch(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"{self.adapter_name}: {name}")
        self._tasks.append(task)

    async def _watch_ticker(self, symbol: str, unified: str) -> None:
        while True:
            body = await self._next(lambda: self._client.watch_ticker(unified))
            if body is None:
                return
            self._push_tick(body, symbol)

    def _push_tick(self, body: Json, symbol: str) -> None:
        now = self._clock.wall()
        try:
            tick = self._read("stream", lambda: self._bodies.tick(body, symbol, now))
            check_price(tick, self.adapter_name, self._clock)
        except FoxtrotError as error:
            self._push_error(error)
        else:
            self.on_tick(tick)

    async def _watch_orders(self) -> None:
        while True:
            bodies = await self._next(self._client.watch_orders)
            if bodies is None:
                return
            for body in bodies:
                self._push_order(body)

    def _push_order(self, body: Json) -> None:
        try:
            order = self._read("stream", lambda: self._order(body))
        except FoxtrotError as error:
            self._push_error(error)
        else:
            self.on_order(order)

    def _push_fill(self, _socket: Any, report: Json) -> None:
        try:
            fill = self._read("stream", lambda: self._bodies.fill(report))
        except FoxtrotError as error:
            self._push_error(error)
        else:
            if fill is not None:
                self.on_trade(fill)

    async def _next(self, watch: Callable[[], Awaitable[T]]) -> T | None:
        """What the client yields next. None: the stream broke, and the error was pushed."""
        try:
            return await watch()
        except Exception as exc:
            self._lost(self._classified(refusal_behind(exc), "stream"))
            return None

    async def _watch_sockets(self) -> None:
        """Tell of every connection that the client lost or made anew without telling."""
        while True:
            await self._clock.sleep(_LOOK_EVERY)
            if self._sockets.has_replaced(self._client.clients):
                # What was pushed in between is gone: only a new start brings it back.
                self._stream_lost(
                    "the client replaced a stream's connection without a word", "replaced"
                )

    def _stream_ended(self, _socket: Any, _event: Json) -> None:
        self._stream_lost("the venue ended the user stream", "expired")

    def _stream_lost(self, reason: str, code: str) -> None:
        self._lost(
            AdapterConnectionError(
                self.adapter_name,
                reason,
                outcome=Outcome.NONE,
                clock=self._clock,
                context={"operation": "stream", "code": code},
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
        return str(self._market(symbol)["symbol"])

    def _market(self, symbol: str) -> Json:
        for market in self._connected().markets_by_id.get(symbol, ()):
            if market.get("spot"):
                return market
        raise DataValidationError(
            "symbol",
            f"the venue lists no {symbol}",
            outcome=Outcome.NOT_SENT,
            clock=self._clock,
            context={"adapter": self.adapter_name},
        )

    def _order(self, body: Json) -> OrderData:
        # Not the client's: it may be gone by the time that its answer is read, and of an order
        # that was answered nobody may say that it was never sent.
        order = self._bodies.order(body, self._markets)
        self._client_ids.note(order)
        return order

    def _trade(self, symbol: str, body: Json, orderid: str) -> TradeData:
        return self._read("trades", lambda: self._bodies.trade(body, symbol, orderid))

    def _read(self, operation: str, read: Callable[[], T]) -> T:
        """What a body says. Raises DataValidationError for one that is not what it should be."""
        try:
            return read()
        except UNREADABLE as exc:
            raise self._unread(operation, exc) from exc
