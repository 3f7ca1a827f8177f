"""The seam between an adapter and whatever carries its bytes: memory, or a socket.

`SimulatedAdapter` speaks through a `Session` and cannot tell which kind it got. A session raises
what real clients raise (OSError and its children, TimeoutError) and never our own errors: to turn
those into FoxtrotErrors is the adapter's work, and is what the harness puts to the test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from foxtrot.util.constants import Exchange

__all__ = ["Operation", "Session", "VenueReply", "VenueRequest"]


class Operation(Enum):
    """What can be asked of a venue."""

    TIME = "time"
    INSTRUMENTS = "instruments"
    ACCOUNT = "account"
    PLACE_ORDER = "order.place"
    CANCEL_ORDER = "order.cancel"
    QUERY_ORDER = "order.query"
    OPEN_ORDERS = "orders.open"
    TRADES = "trades"
    SUBSCRIBE = "stream.subscribe"
    UNLOCK = "unlock"

    __hash__ = object.__hash__  # by identity, as they compare; Enum's own is a call in Python


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueRequest:
    """One attempt to ask one thing. A resend is a new request with the same `params`.

    `timestamp` is the sender's idea of the time in seconds since 1970, and `recv_window` how many
    seconds after it the venue must have received the request, or refuse it. This bound is what
    makes "not found" final: a request still on the wire when it ends can never execute.
    """

    request_id: str
    operation: Operation
    params: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON
    timestamp: float
    recv_window: float = 5.0
    api_key: str = ""

    def about(self, exchange: Exchange) -> dict[str, Any]:  # Any: an error's context
        """What it was about, for whoever has to act on an error: the symbol, and the order."""
        symbol, client_id = self.params.get("symbol"), self.params.get("client_id")
        of_order = {"client_id": client_id, "order_id": client_id} if client_id else {}
        return {**({"vt_symbol": f"{symbol}.{exchange.value}"} if symbol else {}), **of_order}


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueReply:
    """What came back: HTTP's status and headers, and a body of bytes, which may be garbage."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"


class Session(Protocol):
    """A way to a venue: request and reply, and one stream connection that pushes frames."""

    async def open(
        self,
        connection_id: str,
        on_frame: Callable[[bytes], None],
        on_close: Callable[[int, str], None],
    ) -> None:
        """Open the stream connection under an id of the caller's.

        `on_frame` gets each pushed frame, `on_close` a WebSocket close code and reason, once,
        when the connection ends other than by `close()`. Raises OSError or TimeoutError.
        """
        ...

    async def close(self) -> None:
        """Close the stream connection. Does nothing when there is none."""
        ...

    async def ping(self) -> None:
        """Send a ping over the stream connection and return when the pong is there."""
        ...

    async def request(self, request: VenueRequest) -> VenueReply:
        """Send one request and return its reply. Has no timeout of its own."""
        ...
