"""A shim by which the engine drives an adapter of upstream Foxtrot's shape.

Upstream's adapters are plain objects with threads of their own: `connect(setting)` and
`send_order(request)` return at once or block, and what happens is pushed to an event engine from
any thread. Here every call runs in a thread, so that none stops the event loop, and every push is
carried over to the loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import datetime as dt
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import Any, TypeVar

from foxtrot.adapter._replies import unread
from foxtrot.adapter.base_adapter import AdapterStatus, BaseAdapter
from foxtrot.util.clock import SYSTEM_CLOCK, Clock
from foxtrot.util.constants import Direction, Exchange, Offset, OrderType, Status
from foxtrot.util.errors import (
    AdapterConnectionError,
    DataValidationError,
    FoxtrotError,
    OrderRejectionError,
    Outcome,
)
from foxtrot.util.event import (
    EVENT_ACCOUNT,
    EVENT_ORDER,
    EVENT_TICK,
    EVENT_TRADE,
    Event,
    EventSink,
)
from foxtrot.util.object import (
    AccountData,
    CancelRequest,
    OrderData,
    OrderRequest,
    SubscribeRequest,
    TickData,
    TradeData,
)

__all__ = ["UpstreamAdapter"]

EnumT = TypeVar("EnumT", bound=Enum)

# Orders remembered for the translation of ids.
_REMEMBERED = 20_000

# Seconds for which a push waits for the id that says whose it is. A send that hangs may never
# bring one, and what others have traded must be known all the same.
_HELD_BACK = 30.0


class UpstreamAdapter(BaseAdapter):
    """An adapter of upstream's shape behind the interface that the engine drives.

    Upstream's interface knows no client order ids and cannot look orders up. What follows:
    a `send_order` that returns no id has an UNKNOWN outcome; a look-up answers from what was
    pushed; "nothing was heard of it" settles nothing, since `request_lifetime` is None, and an
    order that stays unheard of is handed to a person.

    Args:
        event_engine: Where pushed data goes.
        adapter_name: Its name.
        build: Makes the adapter from an event engine and a name, as upstream's classes do.
        translate: Turns our requests into what the adapter takes. Default: as they are. What it
            raises says that nothing was sent.
        reply_timeout: Seconds in which a cancel must be answered by a push.
        clock: Time of errors.
    """

    default_name = "UPSTREAM"

    def __init__(
        self,
        event_engine: EventSink,
        adapter_name: str = "",
        *,
        build: Callable[[Any, str], Any],  # Any: a foreign class
        translate: Callable[[Any], Any] = lambda request: request,
        reply_timeout: float = 5.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(event_engine, adapter_name)
        self._translate = translate
        self._reply_timeout = reply_timeout
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hanging: dict[str, threading.Thread] = {}
        self._connections = 0
        self._sends_under_way = 0
        self._early: list[Event] = []
        self._client_ids: dict[str, str] = {}
        self._orders: dict[str, OrderData] = {}
        self._heard: dict[str, asyncio.Event] = {}
        self._accounts: dict[str, AccountData] = {}
        self._inner = build(_Crossing(self), self.adapter_name)

    @property
    def connected(self) -> bool:
        """Whether it was connected here and, if it can say so, still is."""
        return self.status is AdapterStatus.CONNECTED and bool(
            getattr(self._inner, "connected", True)
        )

    async def connect(self, setting: Mapping[str, Any] | None = None) -> None:
        """Call `connect(setting)`; False, or not being `connected` after it, is a failure."""
        self._loop = asyncio.get_running_loop()
        self.setting = dict(self.setting if setting is None else setting)
        self._connections += 1
        self.connection_id = f"{self.adapter_name}-c{self._connections}"
        self.status = AdapterStatus.CONNECTING
        answer = False
        try:
            answer = await self._call(self._inner.connect, dict(self.setting))
        finally:
            did_connect = answer is not False and bool(getattr(self._inner, "connected", True))
            self.status = AdapterStatus.CONNECTED if did_connect else AdapterStatus.DISCONNECTED
        if not did_connect:
            raise self._failed("connect() did not connect")

    async def disconnect(self) -> None:
        """Call `close()`."""
        self.status = AdapterStatus.DISCONNECTED
        await self._call(self._inner.close)

    async def ping(self) -> None:
        """Ask the adapter whether it is connected. More it cannot be asked: ticks say the rest."""
        if not self.connected:
            raise self._failed("it says that it is not connected")

    async def subscribe(self, requests: Sequence[SubscribeRequest]) -> None:
        """Subscribe symbol by symbol."""
        for request in requests:
            await self._call(self._inner.subscribe, self._theirs(request))

    async def send_order(self, request: OrderRequest) -> OrderData:
        """Send an order. Its `vt_orderid` is the only acknowledgement that there is."""
        theirs = self._theirs(request)
        self._sends_under_way += 1

        def returned(vt_orderid: str | None) -> None:
            # Also when the caller has given up waiting: a late id still says which order it is.
            self._sends_under_way -= 1
            if vt_orderid:
                self._learn(self._stripped(vt_orderid), request.reference)
            self._take_early()

        vt_orderid = await self._call(self._inner.send_order, theirs, then=returned)
        heard = self._orders.get(request.reference)
        if heard is not None:
            return heard
        if not vt_orderid:
            raise self._failed("send_order() returned no id; it may have been sent all the same")
        order = request.create_order_data(request.reference, self.adapter_name)
        return self._remember(replace(order, venue_orderid=self._stripped(vt_orderid)))

    async def cancel_order(self, request: CancelRequest) -> OrderData:
        """Cancel, and wait for the push that says what became of it."""
        order = self._orders.get(request.orderid)
        venue_orderid = order.venue_orderid if order is not None else request.orderid
        heard = self._heard.setdefault(request.orderid, asyncio.Event())
        heard.clear()
        try:
            answer = await self._call(
                self._inner.cancel_order, self._theirs(replace(request, orderid=venue_orderid))
            )
            if answer is False:
                raise OrderRejectionError(
                    request.orderid,
                    "the adapter did not cancel it",
                    context={"adapter": self.adapter_name},
                    clock=self._clock,
                )
            async with asyncio.timeout(self._reply_timeout):
                await heard.wait()
        finally:
            self._heard.pop(request.orderid, None)
        return self._orders[request.orderid]

    async def query_order(self, request: CancelRequest) -> OrderData | None:
        """What was pushed about the order. None: nothing was, which proves nothing."""
        order = self._orders.get(request.orderid)
        if order is None and request.orderid in self._client_ids:
            # By the venue's number: so it was published before it was known whose it is.
            order = self._orders.get(self._client_ids[request.orderid])
        return None if order is None else replace(order, orderid=request.orderid)

    async def query_open_orders(self) -> list[OrderData]:
        """The orders that, by what was pushed, are open."""
        return [order for order in self._orders.values() if order.is_active()]

    async def query_trades(self, symbol: str, *, after: str = "") -> list[TradeData]:
        """Nothing: every fill was pushed, and there is nobody else to ask."""
        return []

    async def query_account(self) -> list[AccountData]:
        """Ask for balances, and return those that were pushed so far."""
        await self._call(self._inner.query_account)
        return list(self._accounts.values())

    async def _call(
        self,
        function: Callable[..., Any],
        *args: Any,  # Any: foreign
        then: Callable[[Any], None] = lambda _result: None,
    ) -> Any:
        """Run a function in a thread of its own. Given up, it goes on, and blocks the next one.

        Not a pool: its threads are waited for at exit, and one that hangs would keep the process.
        `then` gets the result on the loop's thread, None for an exception, even when given up.
        """
        name = getattr(function, "__name__", "call")
        hanging = self._hanging.get(name)
        if hanging is not None and hanging.is_alive() and name in {"connect", "close"}:
            raise self._failed(f"an earlier {name}() still hangs", outcome=Outcome.NOT_SENT)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()

        def work() -> None:
            try:
                result, error = function(*args), None
            except Exception as exc:
                result, error = None, exc
            _cross(loop, _finish, done, then, result, error)

        # A thread starts with an empty context: what the caller's log lines carry would be lost.
        target = partial(contextvars.copy_context().run, work)
        thread = threading.Thread(target=target, name=f"{self.adapter_name}.{name}", daemon=True)
        self._hanging[name] = thread
        thread.start()
        return await done

    def _crossed(self, event: Event) -> None:
        """A push, now on the loop's thread."""
        self._attempt(self._dispatch, event)

    def _attempt(self, take: Callable[[Event], None], event: Event) -> None:
        """One that cannot be read takes no other along."""
        try:
            take(event)
        except Exception as exc:  # reading a foreign object may raise anything
            error = unread(exc, "", Outcome.NONE, self._clock)
            error.context |= {"adapter": self.adapter_name, "operation": "stream"}
            error.__cause__ = exc
            self.on_error(error)

    def _dispatch(self, event: Event) -> None:
        if event.type == EVENT_TICK:
            self.on_tick(self._tick(event.data))
        elif event.type == EVENT_ACCOUNT:
            account = self._account(event.data)
            self._accounts[account.accountid] = account
            self.event_engine.put(Event(EVENT_ACCOUNT, account))
        elif event.type in {EVENT_ORDER, EVENT_TRADE}:
            if self._is_early(event):
                # Each has its own time: of orders in flight at once one may hang, and others not.
                asyncio.get_running_loop().call_later(_HELD_BACK, self._take_anyway, event)
                self._early.append(event)
            else:
                self._take(event)

    def _is_early(self, event: Event) -> bool:
        """Whether it may be of an order whose id is on its way back from `send_order`."""
        return self._sends_under_way > 0 and self._client_id(event.data) is None

    def _take_early(self) -> None:
        waiting, self._early = self._early, []
        for event in waiting:
            if self._is_early(event):
                self._early.append(event)
            else:
                self._attempt(self._take, event)

    def _take_anyway(self, event: Event) -> None:
        left = [each for each in self._early if each is not event]
        if len(left) < len(self._early):
            self._early = left
            self._attempt(self._take, event)

    def _take(self, event: Event) -> None:
        if event.type == EVENT_TRADE:
            self.on_trade(self._trade(event.data))
            return
        order = self._remember(self._order(event.data))
        if order.orderid != order.venue_orderid:
            self._learn(order.venue_orderid, order.orderid)  # its fills bear no reference
        self.on_order(order)
        # That more of it was filled meanwhile is no answer to a cancel.
        if order.orderid in self._heard and not order.is_active():
            self._heard[order.orderid].set()

    def _stripped(self, vt_orderid: str) -> str:
        return str(vt_orderid).removeprefix(f"{self.adapter_name}.")

    def _learn(self, venue_orderid: str, client_id: str) -> None:
        self._client_ids[venue_orderid] = client_id
        taken = self._orders.get(venue_orderid)
        if taken is not None and taken.venue_orderid == venue_orderid != client_id:
            # For a stranger's, as it seemed; how it stands nobody says again.
            del self._orders[venue_orderid]
            if client_id not in self._orders:
                self.on_order(self._remember(replace(taken, orderid=client_id)))
        while len(self._client_ids) > _REMEMBERED:
            ended = (number for number, own in self._client_ids.items() if not self._is_open(own))
            del self._client_ids[next(ended, next(iter(self._client_ids)))]

    def _remember(self, order: OrderData) -> OrderData:
        self._orders[order.orderid] = order
        while len(self._orders) > _REMEMBERED:
            # Not an order that rests for days, unless all do: nobody else can be asked about it.
            ended = (each for each in self._orders if not self._is_open(each))
            del self._orders[next(ended, next(iter(self._orders)))]
        return order

    def _is_open(self, orderid: str) -> bool:
        order = self._orders.get(orderid)
        return order is not None and order.is_active()

    def _client_id(self, data: Any) -> str | None:  # Any: a foreign order or trade
        """The client order id that a push belongs to; None when it names none that is known."""
        return getattr(data, "reference", "") or self._client_ids.get(data.orderid)

    def _theirs(self, request: Any) -> Any:  # Any: one of our requests, and what is made of it
        try:
            return self._translate(request)
        except FoxtrotError:
            raise
        except Exception as exc:  # a user's function
            raise DataValidationError(
                "request",
                f"cannot be translated: {exc!r}",
                outcome=Outcome.NOT_SENT,
                clock=self._clock,
                context={"adapter": self.adapter_name},
            ) from exc

    def _failed(self, reason: str, **overrides: Any) -> FoxtrotError:
        return AdapterConnectionError(
            self.adapter_name, reason, clock=self._clock, retry_after=None, **overrides
        )

    def _order(self, data: Any) -> OrderData:  # Any: a foreign order
        return OrderData(
            symbol=data.symbol,
            exchange=_exchange(data.exchange),
            adapter_name=self.adapter_name,
            orderid=self._client_id(data) or data.orderid,
            venue_orderid=data.orderid,
            type=_ours(OrderType, data.type),
            direction=_ours(Direction, data.direction),
            offset=_ours(Offset, data.offset),
            price=data.price,
            volume=data.volume,
            traded=data.traded,
            status=_ours(Status, data.status),
            datetime=_aware(data.datetime),
        )

    def _trade(self, data: Any) -> TradeData:  # Any: a foreign trade
        return TradeData(
            symbol=data.symbol,
            exchange=_exchange(data.exchange),
            adapter_name=self.adapter_name,
            orderid=self._client_id(data) or data.orderid,
            tradeid=data.tradeid,
            direction=_ours(Direction, data.direction),
            offset=_ours(Offset, data.offset),
            price=data.price,
            volume=data.volume,
            datetime=_aware(data.datetime),
        )

    def _tick(self, data: Any) -> TickData:  # Any: a foreign tick
        return TickData(
            symbol=data.symbol,
            exchange=_exchange(data.exchange),
            adapter_name=self.adapter_name,
            datetime=_aware(data.datetime) or self._clock.wall(),
            last_price=data.last_price,
            last_volume=data.last_volume,
            bid_price_1=data.bid_price_1,
            ask_price_1=data.ask_price_1,
        )

    def _account(self, data: Any) -> AccountData:  # Any: a foreign balance
        return AccountData(
            adapter_name=self.adapter_name,
            accountid=data.accountid,
            balance=data.balance,
            frozen=data.frozen,
        )


class _Crossing:
    """The event engine that the foreign adapter is given: `put` may be called from any thread."""

    def __init__(self, adapter: UpstreamAdapter) -> None:
        self._adapter = adapter

    def put(self, event: Any) -> None:  # Any: upstream's own Event, of the same shape
        loop = self._adapter._loop  # noqa: SLF001 - a part of the adapter, of a narrower face
        if loop is not None:  # before the first connect nothing can concern the engine
            taken = Event(event.type, event.data)
            _cross(loop, self._adapter._crossed, taken)  # noqa: SLF001 - as above


def _cross(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *args: Any) -> None:
    with suppress(RuntimeError):  # the loop has ended, and with it everybody who wants to know
        loop.call_soon_threadsafe(callback, *args)


def _finish(
    done: asyncio.Future[Any],
    then: Callable[[Any], None],
    result: Any,
    error: Exception | None,
) -> None:
    if not done.done():  # else given up
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)
    then(result)  # before whoever waits goes on; if it trips, nobody is kept waiting


def _ours(kind: type[EnumT], value: Enum) -> EnumT:
    """The member of the same name: upstream's enums are other classes with the same words."""
    return value if isinstance(value, kind) else kind[value.name]


def _exchange(value: Enum) -> Exchange:
    return Exchange.__members__.get(value.name, Exchange.LOCAL)


def _aware(moment: dt.datetime | None) -> dt.datetime | None:
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=dt.UTC)
