"""An adapter for the simulated venue, over any `Session`.

It is written as an adapter for a real venue has to be: it signs requests with a time and a
window, turns every refusal and every broken reply into a FoxtrotError, checks what a reply holds
before anything is believed, and notices gaps in what the venue pushes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from foxtrot.adapter._bodies import ORDER_TYPE, SIDE, Bodies, Json, nonsense_in, number
from foxtrot.adapter.base_adapter import AdapterStatus, BaseAdapter
from foxtrot.adapter.session import Operation, Session, VenueReply, VenueRequest
from foxtrot.util.classification import Classifier
from foxtrot.util.clock import SYSTEM_CLOCK, Clock
from foxtrot.util.constants import Exchange
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
    TradeData,
)

__all__ = ["SimulatedAdapter"]

_CHANGES_STATE = frozenset({Operation.PLACE_ORDER, Operation.CANCEL_ORDER})
_NO_SUCH_ORDER = -2013

T = TypeVar("T")


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
        serials: Numbers for the ids of requests and connections. Shared by an adapter and who
            takes its place after a restart, so that an id never names two things. Default: from 1.
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
        serials: Iterator[int] | None = None,
    ) -> None:
        super().__init__(event_engine, adapter_name)
        self.exchange: Exchange = exchange
        self.request_timeout = request_timeout
        self.request_lifetime = recv_window
        self._session = session
        self._codes = codes
        self._api_key = api_key
        self._recv_window = recv_window
        self._clock = clock
        self._classifier = Classifier(clock=clock)
        self._bodies = Bodies(self.adapter_name, exchange)
        self._clock_offset = 0.0
        self._serials = serials or itertools.count(1)
        self._tick_sequence: dict[str, int] = {}
        self._user_sequence: int | None = None

    async def connect(self, setting: Mapping[str, Any] | None = None) -> None:
        """Open the stream connection. Subscriptions are made by `subscribe`."""
        self.setting = dict(self.setting if setting is None else setting)
        self.connection_id = connection_id = f"{self.adapter_name}-c{next(self._serials)}"
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
        server_time = await self._request(
            Operation.TIME, {}, lambda body: number(body, "server_time")
        )
        self._clock_offset = server_time - self._clock.wall().timestamp()

    async def subscribe(self, requests: Sequence[SubscribeRequest]) -> None:
        """Subscribe to the symbols and to the account's stream, on the open connection."""
        await self._request(
            Operation.SUBSCRIBE,
            {
                "symbols": [request.symbol for request in requests],
                "user": True,
                "connection": self.connection_id,
            },
            lambda body: body["subscribed"],
        )

    async def send_order(self, request: OrderRequest) -> OrderData:
        """Place an order under the client order id `request.reference`."""
        return await self._request(
            Operation.PLACE_ORDER,
            {
                "symbol": request.symbol,
                "side": SIDE[request.direction],
                "type": ORDER_TYPE[request.type],
                "price": request.price,
                "quantity": request.volume,
                "client_id": request.reference,
            },
            self._bodies.order,
        )

    async def cancel_order(self, request: CancelRequest) -> OrderData:
        """Cancel by client order id."""
        return await self._request(Operation.CANCEL_ORDER, _named(request), self._bodies.order)

    async def query_order(self, request: CancelRequest) -> OrderData | None:
        """Look up by client order id."""
        try:
            return await self._request(Operation.QUERY_ORDER, _named(request), self._bodies.order)
        except FoxtrotError as error:
            if error.context.get("code") == _NO_SUCH_ORDER:
                return None
            raise

    async def query_open_orders(self) -> list[OrderData]:
        """The account's open orders."""
        return await self._request(
            Operation.OPEN_ORDERS,
            {},
            lambda body: [self._bodies.order(each) for each in body["orders"]],
        )

    async def query_trades(self, symbol: str, *, after: str = "") -> list[TradeData]:
        """The account's fills after a trade id."""
        return await self._request(
            Operation.TRADES,
            {"symbol": symbol, "after": after},
            lambda body: [self._bodies.trade(each) for each in body["trades"]],
        )

    async def query_account(self) -> list[AccountData]:
        """The account's balances."""
        return await self._request(
            Operation.ACCOUNT,
            {},
            lambda body: [self._bodies.balance(each) for each in body["balances"]],
        )

    async def _request(
        self, operation: Operation, params: Mapping[str, Any], read: Callable[[Json], T]
    ) -> T:
        request = VenueRequest(
            request_id=f"{self.adapter_name}-r{next(self._serials)}",
            operation=operation,
            params=params,
            timestamp=self._clock.wall().timestamp() + self._clock_offset,
            recv_window=self._recv_window,
            api_key=self._api_key,
        )
        try:
            async with asyncio.timeout(self.request_timeout):
                reply = await self._session.request(request)
            return self._checked(request, reply, read)
        except Exception as exc:
            error = self._classified(exc, operation.value, request.request_id)
            _describe(error, request, self.exchange)
            if error is exc:
                raise
            raise error from exc

    def _checked(self, request: VenueRequest, reply: VenueReply, read: Callable[[Json], T]) -> T:
        """What the reply says, if it is a success that holds all that it must."""
        body = _parsed(reply.body)
        if reply.status >= 400:
            raise self._refusal(request, reply, body)
        try:
            return read(body)
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            # A success that cannot be read says nothing of what the venue did.
            changes_state = request.operation in _CHANGES_STATE
            raise DataValidationError(
                "reply",
                f"{request.operation.value} answered {reply.status} with {reply.body[:80]!r}",
                outcome=Outcome.UNKNOWN if changes_state else Outcome.NONE,
                recoverable=True,
                clock=self._clock,
                context={"cause_type": type(exc).__name__},
            ) from exc

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
            handler(self, body)
        except (KeyError, TypeError, ValueError) as exc:
            error = DataValidationError(
                "frame",
                f"expected a known frame, got {frame[:80]!r}",
                recoverable=True,
                clock=self._clock,
                context={
                    "adapter": self.adapter_name,
                    "operation": "stream",
                    "cause_type": type(exc).__name__,
                },
            )
            error.__cause__ = exc
            self._push_error(error)

    def _on_tick_frame(self, body: Json) -> None:
        symbol, sequence = body["symbol"], body["sequence"]
        tick = self._bodies.tick(body)
        last = self._tick_sequence.get(symbol)
        if last is not None and sequence <= last:
            return  # late or repeated: what came after it is already known
        self._tick_sequence[symbol] = sequence
        nonsense = nonsense_in(tick)
        if nonsense:
            self._push_data_error(tick.vt_symbol, "nonsense", nonsense)
        else:
            self.on_tick(tick)
        if last is not None and sequence != last + 1:
            self._push_data_error(
                tick.vt_symbol, "gap", f"ticks {last + 1} to {sequence - 1} are missing"
            )

    def _on_order_frame(self, body: Json) -> None:
        sequence, last = body["sequence"], self._user_sequence
        order = self._bodies.order(body["order"])
        trade = self._bodies.trade(body["trade"]) if body.get("trade") else None
        if trade is not None:
            self.on_trade(trade)
        # Late ones too, unlike ticks: each is evidence of its own, and whoever takes it puts it
        # in its place.
        self.on_order(order)
        if last is not None and sequence <= last:
            return
        self._user_sequence = sequence
        if last is not None and sequence != last + 1:
            self._push_data_error(
                order.vt_symbol, "gap", f"order events {last + 1} to {sequence - 1} are missing"
            )

    def _on_expired_frame(self, _body: Json) -> None:
        self.status = AdapterStatus.DISCONNECTED
        self._push_error(
            AdapterConnectionError(
                self.adapter_name,
                "the venue ended the user stream",
                outcome=Outcome.NONE,
                clock=self._clock,
                context={"operation": "stream", "code": "expired"},
            )
        )

    def _push_data_error(self, vt_symbol: str, code: str, issue: str) -> None:
        self._push_error(
            MarketDataError(
                vt_symbol,
                issue,
                clock=self._clock,
                context={
                    "adapter": self.adapter_name,
                    "operation": "stream",
                    "code": code,
                    "vt_symbol": vt_symbol,
                    "data_age": 0.0,
                },
            )
        )

    def _push_error(self, error: FoxtrotError) -> None:
        error.context["correlation_id"] = self.connection_id
        self.on_error(error)


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


def _describe(error: FoxtrotError, request: VenueRequest, exchange: Exchange) -> None:
    """Add what the request was about, for whoever has to act on the error."""
    symbol, client_id = request.params.get("symbol"), request.params.get("client_id")
    if symbol:
        error.context.setdefault("vt_symbol", f"{symbol}.{exchange.value}")
    if client_id:
        error.context.setdefault("client_id", client_id)
        error.context.setdefault("order_id", client_id)
