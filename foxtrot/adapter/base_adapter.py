"""What the engine needs of a connection to a venue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, ClassVar

from foxtrot.util.constants import Exchange
from foxtrot.util.errors import FoxtrotError
from foxtrot.util.event import (
    EVENT_ERROR,
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

__all__ = ["AdapterStatus", "BaseAdapter"]


class AdapterStatus(StrEnum):
    """Where a connection stands. "Connected" says that a socket is open, not that it is of use."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"


class BaseAdapter(ABC):
    """A connection to one venue, for one account.

    Every coroutine here either does what it says, in bounded time, or raises a FoxtrotError whose
    `outcome` says what is known of the request. None of them retries, waits for a limit or
    reconnects: that is the engine's work, and must not be done twice.

    What the venue pushes goes to `event_engine` through `on_tick`, `on_order`, `on_trade` and
    `on_error`; all are called on the event loop's thread.
    """

    default_name: ClassVar[str] = ""

    #: Seconds after its sending in which a request can still execute at the venue (Binance's
    #: recvWindow). None: without bound, so that "not found" never proves that it will not.
    request_lifetime: float | None = None

    #: Whether requests go over the stream connection. Then none is sent while that is down.
    one_connection: bool = False

    #: Whether `query_open_orders` lists those too that have ended, so that an order which it does
    #: not list is not there, and need not be asked for by itself.
    lists_ended: bool = False

    #: Suffix of the venue's `vt_symbol`s. None: an order's own is taken as it is.
    exchange: Exchange | None = None

    def __init__(self, event_engine: EventSink, adapter_name: str = "") -> None:
        self.event_engine = event_engine
        self.adapter_name = adapter_name or self.default_name
        self.status = AdapterStatus.DISCONNECTED
        self.setting: Mapping[str, Any] = {}
        #: Names the latest connection, or attempt at one, in errors and logs.
        self.connection_id = ""
        #: Whether the venue has said that the subscriptions of this connection are gone. Whoever
        #: sets it clears it when a subscription was made.
        self.lost_streams = False
        #: Raises when the venue has asked for quiet. The engine sets it, and has asked it before
        #: each call; an adapter that sends several requests for one call asks it before each.
        self.may_send: Callable[[], None] = lambda: None

    @property
    def connected(self) -> bool:
        """Whether `status` is CONNECTED."""
        return self.status is AdapterStatus.CONNECTED

    @abstractmethod
    async def connect(self, setting: Mapping[str, Any] | None = None) -> None:
        """Open the connection. Without `setting`, `self.setting` is used, as it was left."""

    @abstractmethod
    async def disconnect(self) -> None:
        """Close the connection. Never raises for one that is dead or closed already."""

    @abstractmethod
    async def ping(self) -> None:
        """Make the venue answer over the stream connection; raise when it does not."""

    async def resync(self) -> None:  # noqa: B027 - most adapters have nothing that drifts
        """Bring what drifts (the clock, a login) in line with the venue again. Default: nothing."""

    @abstractmethod
    async def subscribe(self, requests: Sequence[SubscribeRequest]) -> None:
        """Ask for market streams and the account's own, beside those that the connection has."""

    @abstractmethod
    async def send_order(self, request: OrderRequest) -> OrderData:
        """Send an order under the client order id `request.reference`; return what was acked."""

    @abstractmethod
    async def cancel_order(self, request: CancelRequest) -> OrderData:
        """Cancel an order; return it as the venue then has it."""

    @abstractmethod
    async def query_order(self, request: CancelRequest) -> OrderData | None:
        """Look an order up by client order id. None: the venue answered that it knows none."""

    @abstractmethod
    async def query_open_orders(self) -> list[OrderData]:
        """All orders of the account that the venue may still execute."""

    @abstractmethod
    async def query_trades(self, symbol: str, *, after: str = "") -> list[TradeData]:
        """The account's fills in `symbol`, oldest first, those later than trade id `after`."""

    @abstractmethod
    async def query_account(self) -> list[AccountData]:
        """The account's balances."""

    def on_tick(self, tick: TickData) -> None:
        """Push a market update."""
        self.event_engine.put(Event(EVENT_TICK, tick))

    def on_order(self, order: OrderData) -> None:
        """Push an order's new state."""
        self.event_engine.put(Event(EVENT_ORDER, order))

    def on_trade(self, trade: TradeData) -> None:
        """Push a fill."""
        self.event_engine.put(Event(EVENT_TRADE, trade))

    def on_error(self, error: FoxtrotError) -> None:
        """Push an error that no caller is waiting for, such as a stream that broke."""
        self.event_engine.put(Event(EVENT_ERROR, error))
