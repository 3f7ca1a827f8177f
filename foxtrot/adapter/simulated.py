"""An adapter for the simulated venue, over any `Session`.

It is written as an adapter for a real venue has to be: it signs requests with a time and a
window, turns every refusal and every broken reply into a FoxtrotError, checks what a reply holds
before anything is believed, and notices gaps in what the venue pushes.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from foxtrot.adapter._bodies import ORDER_TYPE, SIDE, Bodies, Json, nonsense_in, number, parsed
from foxtrot.adapter._replies import unreadable
from foxtrot.adapter._shared import Shared
from foxtrot.adapter.base_adapter import AdapterStatus, BaseAdapter
from foxtrot.adapter.dialect import BINANCE, Dialect, LookUp, OrderMemory
from foxtrot.adapter.session import Operation, Session, VenueReply, VenueRequest
from foxtrot.util.classification import Classifier
from foxtrot.util.clock import SYSTEM_CLOCK, Clock
from foxtrot.util.constants import Exchange
from foxtrot.util.errors import (
    AdapterConnectionError,
    DataValidationError,
    ErrorCategory,
    ErrorSeverity,
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

T = TypeVar("T")

# After a failure many orders are looked up at once, and a gateway lists them ten times in 30 s.
_MOMENT = 0.05


class SimulatedAdapter(BaseAdapter):
    """A connection to a simulated venue.

    Args:
        event_engine: Where pushed data goes.
        adapter_name: Its name.
        session: The way to the venue.
        exchange: Suffix of the venue's `vt_symbol`s.
        dialect: What has to be done at this kind of venue.
        memory: What is known of the client's own orders. Shared like `serials`.
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
        dialect: Dialect = BINANCE,
        memory: OrderMemory | None = None,
        api_key: str = "key",
        request_timeout: float = 5.0,
        recv_window: float = 5.0,
        clock: Clock = SYSTEM_CLOCK,
        serials: Iterator[int] | None = None,
    ) -> None:
        super().__init__(event_engine, adapter_name)
        self.exchange: Exchange = exchange
        self.request_timeout = request_timeout
        self.request_lifetime = 0.0 if dialect.is_ordered else recv_window
        self.one_connection = dialect.is_ordered
        self.lists_ended = dialect.look_up is LookUp.BY_LIST
        self._session = session
        self._dialect = dialect
        self._memory = memory or OrderMemory()
        self._api_key = api_key
        self._recv_window = recv_window
        self._clock = clock
        self._classifier = Classifier(clock=clock)
        self._bodies = Bodies(self.adapter_name, exchange)
        self._clock_offset = 0.0
        self._serials = serials or itertools.count(1)
        self._tick_sequence: dict[str, int] = {}
        self._streams: tuple[str, ...] = ()
        self._user_sequence: int | None = None
        self._unreadable_since: dict[Operation, float] = {}
        self._listing = Shared(self.query_open_orders, _MOMENT)

    async def connect(self, setting: Mapping[str, Any] | None = None) -> None:
        """Open the stream connection. Subscriptions are made by `subscribe`."""
        self.setting = dict(self.setting if setting is None else setting)
        self.connection_id = connection_id = f"{self.adapter_name}-c{next(self._serials)}"
        self.status = AdapterStatus.CONNECTING
        self._tick_sequence.clear()
        self._user_sequence = None
        self.lost_streams = False
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
        """Unlock the account where that is asked for; else measure the venue's clock.

        Requests are stamped by the venue's time from then on.
        """
        if self._dialect.resync is Operation.UNLOCK:
            await self._request(Operation.UNLOCK, {}, lambda _: None)
            return
        server_time = await self._request(
            Operation.TIME, {}, lambda body: number(body, "server_time")
        )
        self._clock_offset = server_time - self._clock.wall().timestamp()

    async def subscribe(self, requests: Sequence[SubscribeRequest]) -> None:
        """Subscribe to the symbols and to the account's stream, on the open connection."""
        self._streams = tuple(request.vt_symbol for request in requests)
        await self._request(
            Operation.SUBSCRIBE,
            {
                "symbols": [request.symbol for request in requests],
                "user": True,
                "connection": self.connection_id,
            },
            self._take_subscription,
        )

    def _take_subscription(self, body: Json) -> None:
        body["subscribed"]  # a reply without it is none
        self.lost_streams = False
        if self._dialect.numbers_orders:
            self._memory.next_number = max(self._memory.next_number, int(body["next_order_id"]))

    async def send_order(self, request: OrderRequest) -> OrderData:
        """Place an order under the client order id `request.reference`."""
        params: dict[str, Any] = {
            "symbol": request.symbol,
            "side": SIDE[request.direction],
            "type": ORDER_TYPE[request.type],
            "price": request.price,
            "quantity": request.volume,
            "client_id": request.reference,
        }
        if self._dialect.numbers_orders:
            params["order_id"] = self._memory.number(request.reference)
        self._memory.note(request.create_order_data(request.reference, self.adapter_name))
        try:
            return await self._request(Operation.PLACE_ORDER, params, self._order)
        except FoxtrotError as error:
            # Under the old number a second order is refused, which keeps one of unknown outcome
            # from being doubled; what needs no look-up is free to be sent anew.
            is_open_question = error.context.get("retry_policy") == "reconcile"
            is_number_used = error.context.get("code") == self._dialect.number_used
            if error.outcome is not Outcome.UNKNOWN and (is_number_used or not is_open_question):
                self._memory.renumber(request.reference)
            raise

    async def cancel_order(self, request: CancelRequest) -> OrderData:
        """Cancel by client order id, or by the venue's, looked up if need be."""
        params = _named(request)
        if self._dialect.cancels_by_venue_id:
            params["venue_order_id"] = await self._venue_id(request)
        return await self._request(Operation.CANCEL_ORDER, params, self._order)

    async def query_order(self, request: CancelRequest) -> OrderData | None:
        """Look up by client order id, in the way that the venue has."""
        return await _LOOK_UPS[self._dialect.look_up](self, request)

    async def _look_up_by_client_id(self, request: CancelRequest) -> OrderData | None:
        try:
            return await self._request(Operation.QUERY_ORDER, _named(request), self._order)
        except FoxtrotError as error:
            if error.context.get("code") == self._dialect.no_such_order:
                return None
            raise

    async def _look_up_by_executions(self, request: CancelRequest) -> OrderData | None:
        was_there = bool(self._memory.venue_id(request.orderid))
        while True:
            # In this order: what leaves the open orders meanwhile is among the executions by then.
            for order in await self.query_open_orders():
                if order.orderid == request.orderid:
                    return order
            fills = await self._fills_of(request)
            found = self._memory.ended(request.orderid, fills)
            if found is None or was_there:
                return found
            was_there = True  # it arrived after the open orders were listed: list them again

    async def _fills_of(self, request: CancelRequest) -> list[TradeData]:
        """All fills of one order, for which the venue has to be asked for those of all."""
        its_own = partial(self._bodies.trades, of=request.orderid)
        return await self._request(Operation.TRADES, {"symbol": request.symbol}, its_own)

    async def _look_up_in_list(self, request: CancelRequest) -> OrderData | None:
        orders = await self._listing.answer()
        return next((each for each in reversed(orders) if each.orderid == request.orderid), None)

    async def _venue_id(self, request: CancelRequest) -> str:
        """The venue's own id of an order."""
        if not self._memory.venue_id(request.orderid):
            await self.query_order(request)
        # Of an order that is not there either the venue says so itself, asked for an id like this.
        return self._memory.venue_id(request.orderid) or "0"

    async def query_open_orders(self) -> list[OrderData]:
        """The account's open orders; and those that have ended, where `lists_ended`."""
        return await self._request(
            Operation.OPEN_ORDERS,
            {"ended": True} if self.lists_ended else {},
            lambda body: [self._order(each) for each in body["orders"]],
        )

    async def query_trades(self, symbol: str, *, after: str = "") -> list[TradeData]:
        """The account's fills after a trade id."""
        return await self._request(
            Operation.TRADES, {"symbol": symbol, "after": after}, self._bodies.trades
        )

    async def query_account(self) -> list[AccountData]:
        """The account's balances."""
        return await self._request(Operation.ACCOUNT, {}, self._bodies.balances)

    async def _request(
        self, operation: Operation, params: Mapping[str, Any], read: Callable[[Json], T]
    ) -> T:
        self.may_send()
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
            error.context = {**request.about(self.exchange), **error.context}
            if error is exc:
                raise
            raise error from exc

    def _checked(self, request: VenueRequest, reply: VenueReply, read: Callable[[Json], T]) -> T:
        """What the reply says, if it is a success that holds all that it must."""
        body = parsed(reply.body)
        if reply.status >= 400:
            raise self._refusal(request, reply, body)
        try:
            said = read(body)
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            now = self._clock.now()
            since = self._unreadable_since.setdefault(request.operation, now)
            raise unreadable(request, reply, exc, self._clock, lasts=now - since) from exc
        self._unreadable_since.pop(request.operation, None)
        return said

    def _refusal(self, request: VenueRequest, reply: VenueReply, body: object) -> FoxtrotError:
        operation = request.operation.value
        if isinstance(body, dict) and "code" in body:
            return self._classifier.classify_code(
                self._dialect.codes,
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
        body = parsed(frame)
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
        if missing := self._missing(last, sequence):
            self._push_data_error(tick.vt_symbol, "gap", f"ticks {missing} are missing")

    def _on_order_frame(self, body: Json) -> None:
        sequence, last = body["sequence"], self._user_sequence
        order = self._order(body["order"])
        trade = self._bodies.trade(body["trade"]) if body.get("trade") else None
        if trade is not None:
            self.on_trade(trade)
        # Late ones too, unlike ticks: each is evidence of its own, and whoever takes it puts it
        # in its place.
        self.on_order(order)
        if last is not None and sequence <= last:
            return
        self._user_sequence = sequence
        if missing := self._missing(last, sequence):
            self._push_data_error(order.vt_symbol, "gap", f"order events {missing} are missing")

    def _missing(self, last: int | None, sequence: int) -> str:
        """Which numbers were left out before this one; empty where none were, or none are given."""
        if not self._dialect.numbers_frames or last is None or sequence == last + 1:
            return ""
        return f"{last + 1} to {sequence - 1}"

    def _on_notice_frame(self, body: Json) -> None:
        """What arrives as an error and answers nothing: mostly it is none."""
        code, words = body["code"], str(body["msg"])
        error = self._classifier.classify_code(
            self._dialect.codes, code, words, adapter=self.adapter_name, operation="stream"
        )
        if error.category is ErrorCategory.MARKET_DATA:  # of every stream that there is
            error.context |= {"vt_symbol": ", ".join(self._streams), "data_age": 0.0}
        self.lost_streams |= code == self._dialect.lost_streams
        if error.severity is not ErrorSeverity.LOW:
            self._push_error(error)

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

    def _order(self, body: Json) -> OrderData:
        order = self._bodies.order(body)
        self._memory.note(order)
        return order


_FRAME_HANDLERS = {
    "tick": SimulatedAdapter._on_tick_frame,  # noqa: SLF001 - the class's own table
    "order": SimulatedAdapter._on_order_frame,  # noqa: SLF001 - the class's own table
    "expired": SimulatedAdapter._on_expired_frame,  # noqa: SLF001 - the class's own table
    "notice": SimulatedAdapter._on_notice_frame,  # noqa: SLF001 - the class's own table
}
_LOOK_UPS = {
    LookUp.BY_CLIENT_ID: SimulatedAdapter._look_up_by_client_id,  # noqa: SLF001 - the class's own table
    LookUp.BY_EXECUTIONS: SimulatedAdapter._look_up_by_executions,  # noqa: SLF001 - the class's own table
    LookUp.BY_LIST: SimulatedAdapter._look_up_in_list,  # noqa: SLF001 - the class's own table
}


def _named(request: CancelRequest) -> dict[str, str]:
    return {"symbol": request.symbol, "client_id": request.orderid}
