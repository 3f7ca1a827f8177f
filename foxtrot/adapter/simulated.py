"""An adapter for the simulated venue, over any `Session`.

It is written as an adapter for a real venue has to be: it signs requests with a time and a
window, turns every refusal and every broken reply into a FoxtrotError, checks what a reply holds
before anything is believed, and notices gaps in what the venue pushes.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

from foxtrot.adapter.base_adapter import AdapterStatus, BaseAdapter
from foxtrot.adapter.session import Operation, Session, VenueReply, VenueRequest
from foxtrot.util.classification import Classifier
from foxtrot.util.clock import SYSTEM_CLOCK, Clock
from foxtrot.util.constants import Direction, Exchange, OrderType, Status
from foxtrot.util.errors import (
    AdapterConnectionError,
    DataValidationError,
    FoxtrotError,
    MarketDataError,
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

__all__ = ["SimulatedAdapter"]

_STATUS = {
    "NEW": Status.NOTTRADED,
    "PARTIALLY_FILLED": Status.PARTTRADED,
    "FILLED": Status.ALLTRADED,
    "CANCELED": Status.CANCELLED,
    "EXPIRED": Status.CANCELLED,
}
_ORDER_TYPE = {
    OrderType.LIMIT: "LIMIT",
    OrderType.MARKET: "MARKET",
    OrderType.POST_ONLY: "POST_ONLY",
    OrderType.FAK: "IOC",
    OrderType.FOK: "FOK",
}
_TYPE_OF = {name: order_type for order_type, name in _ORDER_TYPE.items()}
_SIDE = {Direction.LONG: "BUY", Direction.SHORT: "SELL"}
_DIRECTION_OF = {"BUY": Direction.LONG, "SELL": Direction.SHORT}
_CHANGES_STATE = frozenset({Operation.PLACE_ORDER, Operation.CANCEL_ORDER})
_NO_SUCH_ORDER = -2013


class SimulatedAdapter(BaseAdapter):
    """A connection to a simulated venue.

    Args:
        event_engine: Where pushed data goes.
        adapter_name: Its name.
        session: The way to the venue.
        exchange: Suffix of the venue's `vt_symbol`s.
        codes: Whose error codes the venue speaks, as `classify_code` names the source.
        api_key: The account.
        request_timeout: Seconds to wait for a reply, after which the outcome is unknown.
        recv_window: Seconds after its sending in which the venue still takes a request.
        clock: Time; its wall time is what requests are stamped with.
    """

    default_name = "SIMULATED"

    def __init__(
        self,
        event_engine: EventSink,
        adapter_name: str = "",
        *,
        session: Session,
        exchange: Exchange = Exchange.LOCAL,
        codes: str = "binance",
        api_key: str = "key",
        request_timeout: float = 5.0,
        recv_window: float = 5.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(event_engine, adapter_name)
        self.exchange = exchange
        self.request_timeout = request_timeout
        self.request_lifetime = recv_window
        self._session = session
        self._codes = codes
        self._api_key = api_key
        self._recv_window = recv_window
        self._clock = clock
        self._classifier = Classifier(clock=clock)
        self._clock_offset = 0.0
        self._requests = 0
        self._connections = 0
        self._tick_sequence: dict[str, int] = {}
        self._user_sequence: int | None = None

    # -- connection -------------------------------------------------------------------------

    async def connect(self, setting: Mapping[str, Any] | None = None) -> None:
        """Open the stream connection. Subscriptions are made by `subscribe`."""
        self.setting = dict(self.setting if setting is None else setting)
        self._connections += 1
        self.connection_id = connection_id = f"{self.adapter_name}-c{self._connections}"
        self.status = AdapterStatus.CONNECTING
        self._tick_sequence.clear()
        self._user_sequence = None
        try:
            async with asyncio.timeout(self.request_timeout):
                await self._session.open(
                    connection_id,
                    lambda frame: self._on_frame(connection_id, frame),
                    lambda code, reason: self._on_close(connection_id, code, reason),
                )
        except BaseException as exc:
            self.status = AdapterStatus.DISCONNECTED
            if isinstance(exc, Exception):
                raise self._classified(exc, "connect", connection_id) from exc
            raise
        self.status = AdapterStatus.CONNECTED

    async def disconnect(self) -> None:
        """Close the stream connection."""
        self.status = AdapterStatus.DISCONNECTED
        await self._session.close()

    async def ping(self) -> None:
        """Wait for a pong on the stream connection."""
        try:
            async with asyncio.timeout(self.request_timeout):
                await self._session.ping()
        except Exception as exc:
            raise self._classified(exc, "ping", self.connection_id) from exc

    async def resync(self) -> None:
        """Measure how far the venue's clock is from ours, and stamp requests by the venue's."""
        body = await self._request(Operation.TIME, {}, ("server_time",))
        self._clock_offset = float(body["server_time"]) - self._clock.wall().timestamp()

    async def subscribe(self, requests: Sequence[SubscribeRequest]) -> None:
        """Subscribe to the symbols and to the account's stream, on the open connection."""
        await self._request(
            Operation.SUBSCRIBE,
            {
                "symbols": [request.symbol for request in requests],
                "user": True,
                "connection": self.connection_id,
            },
            ("subscribed",),
        )

    # -- orders and queries -----------------------------------------------------------------

    async def send_order(self, request: OrderRequest) -> OrderData:
        """Place an order under the client order id `request.reference`."""
        body = await self._request(
            Operation.PLACE_ORDER,
            {
                "symbol": request.symbol,
                "side": _SIDE[request.direction],
                "type": _ORDER_TYPE[request.type],
                "price": request.price,
                "quantity": request.volume,
                "client_id": request.reference,
            },
            ("venue_order_id", "status"),
        )
        return self._order(body)

    async def cancel_order(self, request: CancelRequest) -> OrderData:
        """Cancel by client order id."""
        body = await self._request(
            Operation.CANCEL_ORDER, _named(request), ("venue_order_id", "status")
        )
        return self._order(body)

    async def query_order(self, request: CancelRequest) -> OrderData | None:
        """Look up by client order id."""
        try:
            body = await self._request(
                Operation.QUERY_ORDER, _named(request), ("venue_order_id", "status")
            )
        except FoxtrotError as error:
            if error.context.get("code") == _NO_SUCH_ORDER:
                return None
            raise
        return self._order(body)

    async def query_open_orders(self) -> list[OrderData]:
        """The account's open orders."""
        body = await self._request(Operation.OPEN_ORDERS, {}, ("orders",))
        return [self._order(order) for order in body["orders"]]

    async def query_trades(self, symbol: str, *, after: str = "") -> list[TradeData]:
        """The account's fills after a trade id."""
        body = await self._request(
            Operation.TRADES, {"symbol": symbol, "after": after}, ("trades",)
        )
        return [self._trade(trade) for trade in body["trades"]]

    async def query_account(self) -> list[AccountData]:
        """The account's balances."""
        body = await self._request(Operation.ACCOUNT, {}, ("balances",))
        return [
            AccountData(
                adapter_name=self.adapter_name,
                accountid=balance["asset"],
                balance=balance["free"] + balance["locked"],
                frozen=balance["locked"],
            )
            for balance in body["balances"]
        ]

    # -- requests ---------------------------------------------------------------------------

    async def _request(
        self, operation: Operation, params: Mapping[str, Any], required: tuple[str, ...]
    ) -> dict[str, Any]:
        self._requests += 1
        request = VenueRequest(
            request_id=f"{self.adapter_name}-r{self._requests}",
            operation=operation,
            params=params,
            timestamp=self._clock.wall().timestamp() + self._clock_offset,
            recv_window=self._recv_window,
            api_key=self._api_key,
        )
        try:
            async with asyncio.timeout(self.request_timeout):
                reply = await self._session.request(request)
            return self._checked(request, reply, required)
        except Exception as exc:
            error = self._classified(exc, operation.value, request.request_id)
            _describe(error, request, self.exchange)
            if error is exc:
                raise
            raise error from exc

    def _checked(
        self, request: VenueRequest, reply: VenueReply, required: tuple[str, ...]
    ) -> dict[str, Any]:
        """The reply's body, if it is a success that holds what it must."""
        body = _parsed(reply.body)
        if reply.status >= 400:
            raise self._refusal(request, reply, body)
        missing = (
            [name for name in required if name not in body]
            if isinstance(body, dict)
            else list(required)
        )
        if missing:
            # A success that cannot be read says nothing of what the venue did.
            changes_state = request.operation in _CHANGES_STATE
            raise DataValidationError(
                "reply",
                f"{request.operation.value} answered {reply.status} without {', '.join(missing)}",
                outcome=Outcome.UNKNOWN if changes_state else Outcome.NONE,
                recoverable=True,
                clock=self._clock,
            )
        assert isinstance(body, dict)
        return body

    def _refusal(self, request: VenueRequest, reply: VenueReply, body: object) -> FoxtrotError:
        operation = request.operation.value
        if isinstance(body, dict) and "code" in body:
            return self._classifier.classify_code(
                self._codes,
                body["code"],
                str(body.get("msg", "")),
                headers=reply.headers,
                adapter=self.adapter_name,
                operation=operation,
            )
        return self._classifier.classify_code(
            "http",
            reply.status,
            reply.body[:200].decode("utf-8", "replace"),
            headers=reply.headers,
            adapter=self.adapter_name,
            operation=operation,
        )

    def _classified(self, exc: Exception, operation: str, correlation_id: str) -> FoxtrotError:
        error = self._classifier.classify(exc, adapter=self.adapter_name, operation=operation)
        error.context["correlation_id"] = correlation_id
        return error

    # -- stream -----------------------------------------------------------------------------

    def _on_close(self, connection_id: str, code: int, reason: str) -> None:
        if connection_id != self.connection_id or not self.connected:
            return
        self.status = AdapterStatus.DISCONNECTED
        self._push_error(
            self._classifier.classify_code(
                "ws_close", code, reason, adapter=self.adapter_name, operation="stream"
            )
        )

    def _on_frame(self, connection_id: str, frame: bytes) -> None:
        if connection_id != self.connection_id or not self.connected:
            return
        body = _parsed(frame)
        try:
            handler = _FRAME_HANDLERS[body["type"]]  # type: ignore[index] # caught just below
            handler(self, body)  # type: ignore[arg-type] # a body that is no dict raises
        except (KeyError, TypeError, ValueError) as exc:
            error = DataValidationError(
                "frame",
                f"expected a known frame, got {frame[:80]!r}",
                recoverable=True,
                clock=self._clock,
                context={"adapter": self.adapter_name, "operation": "stream"},
            )
            error.__cause__ = exc
            self._push_error(error)

    def _on_tick_frame(self, body: dict[str, Any]) -> None:
        symbol, sequence = body["symbol"], body["sequence"]
        tick = TickData(
            symbol=symbol,
            exchange=self.exchange,
            adapter_name=self.adapter_name,
            datetime=_utc(body["time"]),
            last_price=body["price"],
            last_volume=body["volume"],
            bid_price_1=body["bid"],
            ask_price_1=body["ask"],
            sequence=sequence,
        )
        last = self._tick_sequence.get(symbol)
        if last is not None and sequence <= last:
            return  # late or repeated: what came after it is already known
        self._tick_sequence[symbol] = sequence
        self.on_tick(tick)
        if last is not None and sequence != last + 1:
            self._push_gap(tick.vt_symbol, f"ticks {last + 1} to {sequence - 1} are missing")

    def _on_order_frame(self, body: dict[str, Any]) -> None:
        sequence, last = body["sequence"], self._user_sequence
        if last is not None and sequence <= last:
            return
        order = self._order(body["order"])
        trade = self._trade(body["trade"]) if body.get("trade") else None
        self._user_sequence = sequence
        if trade is not None:
            self.on_trade(trade)
        self.on_order(order)
        if last is not None and sequence != last + 1:
            self._push_gap(
                order.vt_symbol, f"order events {last + 1} to {sequence - 1} are missing"
            )

    def _on_expired_frame(self, body: dict[str, Any]) -> None:
        self.status = AdapterStatus.DISCONNECTED
        error = AdapterConnectionError(
            self.adapter_name, "the venue ended the user stream", outcome=Outcome.NONE
        )
        error.context["operation"] = "stream"
        self._push_error(error)

    def _push_gap(self, vt_symbol: str, issue: str) -> None:
        self._push_error(
            MarketDataError(
                vt_symbol,
                issue,
                clock=self._clock,
                context={
                    "adapter": self.adapter_name,
                    "operation": "stream",
                    "vt_symbol": vt_symbol,
                    "data_age": 0.0,
                },
            )
        )

    def _push_error(self, error: FoxtrotError) -> None:
        error.context["correlation_id"] = self.connection_id
        self.on_error(error)

    # -- translation ------------------------------------------------------------------------

    def _order(self, body: Mapping[str, Any]) -> OrderData:
        return OrderData(
            symbol=body["symbol"],
            exchange=self.exchange,
            adapter_name=self.adapter_name,
            orderid=body["client_id"],
            venue_orderid=body["venue_order_id"],
            type=_TYPE_OF[body["type"]],
            direction=_DIRECTION_OF[body["side"]],
            price=body["price"],
            volume=body["quantity"],
            traded=body["executed"],
            status=_STATUS[body["status"]],
            datetime=_utc(body["updated"]),
        )

    def _trade(self, body: Mapping[str, Any]) -> TradeData:
        return TradeData(
            symbol=body["symbol"],
            exchange=self.exchange,
            adapter_name=self.adapter_name,
            orderid=body["client_id"],
            tradeid=body["trade_id"],
            direction=_DIRECTION_OF[body["side"]],
            price=body["price"],
            volume=body["quantity"],
            datetime=_utc(body["time"]),
        )


_FRAME_HANDLERS = {
    "tick": SimulatedAdapter._on_tick_frame,  # noqa: SLF001 - the class's own table
    "order": SimulatedAdapter._on_order_frame,  # noqa: SLF001
    "expired": SimulatedAdapter._on_expired_frame,  # noqa: SLF001
}


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _named(request: CancelRequest) -> dict[str, str]:
    return {"symbol": request.symbol, "client_id": request.orderid}


def _utc(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _describe(error: FoxtrotError, request: VenueRequest, exchange: Exchange) -> None:
    """Add what the request was about, for whoever has to act on the error."""
    symbol, client_id = request.params.get("symbol"), request.params.get("client_id")
    if symbol:
        error.context.setdefault("vt_symbol", f"{symbol}.{exchange.value}")
    if client_id:
        error.context.setdefault("client_id", client_id)
        error.context.setdefault("order_id", client_id)
