"""The real client, with a note of every request that goes over its wire, and the adapter on it.

What is written down is what the client's own HTTP layer saw, not what the adapter says of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from foxtrot.adapter.ccxt_adapter import CURRENT_REQUEST, CcxtAdapter, binance_client
from foxtrot.adapter.session import Operation
from harness.history import History
from harness.live.tracing import HEADER
from harness.network import CURRENT_CALL, LANES

__all__ = ["LiveAdapter", "LiveLink", "client_of"]

_OPERATIONS = {
    ("GET", "time"): Operation.TIME,
    ("GET", "exchangeInfo"): Operation.INSTRUMENTS,
    ("GET", "account"): Operation.ACCOUNT,
    ("POST", "order"): Operation.PLACE_ORDER,
    ("DELETE", "order"): Operation.CANCEL_ORDER,
    ("GET", "order"): Operation.QUERY_ORDER,
    ("GET", "openOrders"): Operation.OPEN_ORDERS,
    ("GET", "myTrades"): Operation.TRADES,
}


@dataclass(slots=True)
class _Progress:
    status: int | None = None


_PROGRESS: ContextVar[_Progress | None] = ContextVar("progress", default=None)


class LiveLink:
    """What is known of an adapter's way to its venue, from outside of the core.

    To the probe it is what a `Link` is in memory.

    Args:
        name: The adapter's name.
        history: Where requests and connections are recorded.
        now: Seconds since the start of the run.
        sockets: How many stream connections the venue has open.
        has_arrived: Whether the venue got the request of that name.
        touched: Told each request that is over: name, operation, when it was sent, whether an
            answer came.
    """

    #: The market's stream and the account's: with less than both a client is half blind.
    _SOCKETS = 2

    def __init__(
        self,
        name: str,
        history: History,
        *,
        now: Callable[[], float],
        sockets: Callable[[], int],
        has_arrived: Callable[[str], bool],
        touched: Callable[[str, str, float, bool], None],
    ) -> None:
        self.name = name
        self.connection_id = ""
        self._history = history
        self._now = now
        self._sockets = sockets
        self._has_arrived = has_arrived
        self._touched = touched
        self._serial = 0

    @property
    def venue(self) -> LiveLink:
        """The venue's side of it."""
        return self

    def connection_ids(self) -> list[str]:
        """The adapter's connection, if the venue has both of its streams open."""
        is_whole = self.connection_id and self._sockets() >= self._SOCKETS
        return [self.connection_id] if is_whole else []

    def opened(self, connection_id: str, outcome: str, began: float) -> None:
        """Note an attempt to connect."""
        self.connection_id = connection_id if outcome == "ok" else ""
        self._history.record(
            "link.open", connection_id, outcome, adapter=self.name, began=round(began, 6)
        )

    def closed(self, outcome: str, by: str) -> None:
        """Note the end of the connection, once."""
        connection_id, self.connection_id = self.connection_id, ""
        if connection_id:
            self._history.record("link.close", connection_id, outcome, adapter=self.name, by=by)

    def unanswered(self, connection_id: str, given_up_after: float | None = None) -> None:
        """Note that a ping came to nothing; after how long, if it was given up and did not fail."""
        waited = {} if given_up_after is None else {"waited": round(given_up_after, 6)}
        self._history.record("link.ping", connection_id, "lost", adapter=self.name, **waited)

    def now(self) -> float:
        """Seconds since the start of the run."""
        return self._now()

    def tap(self, client: Any) -> Any:  # Any: ccxt ships no types for its clients
        """Note every request of a ccxt client, and name it to the venue."""
        fetch, on_rest_response = client.fetch, client.on_rest_response

        def seen(status: int, *rest: Any) -> Any:
            progress = _PROGRESS.get()
            if progress is not None:
                progress.status = status
            return on_rest_response(status, *rest)

        async def noted(
            url: str, method: str = "GET", headers: Any = None, body: str | None = None
        ) -> Any:
            name = self._named()
            sent_at, operation = self._sent(name, url, method, body)
            progress = _Progress()
            token = _PROGRESS.set(progress)
            outcome = "ok"
            try:
                return await fetch(url, method, {**(headers or {}), HEADER: name}, body)
            except BaseException as exc:
                outcome = _outcome_of(exc)
                raise
            finally:
                _PROGRESS.reset(token)
                self._done(name, operation, sent_at, outcome, progress.status)

        client.on_rest_response, client.fetch = seen, noted
        return client

    def _named(self) -> str:
        """The adapter's name for the request; one behind it, where a call makes more than one."""
        self._serial += 1
        return CURRENT_REQUEST.get() or f"{self.name}-x{self._serial}"

    def _sent(self, name: str, url: str, method: str, body: str | None) -> tuple[float, str]:
        parts = urlsplit(url)
        operation = _OPERATIONS.get((method, parts.path.rpartition("/")[2]))
        params = {**parse_qs(parts.query), **parse_qs(body or "")}
        ids = params.get("newClientOrderId") or params.get("origClientOrderId") or [""]
        word = operation.value if operation else parts.path
        self._history.record(
            "link.sent",
            name,
            adapter=self.name,
            venue=self.name,
            operation=word,
            lane=LANES.get(operation, "queries") if operation else "queries",
            client_id=ids[0],
            call=CURRENT_CALL.get(),
        )
        return self._now(), word

    def _done(
        self, name: str, operation: str, sent_at: float, outcome: str, status: int | None
    ) -> None:
        if status is not None and outcome != "abandoned":
            outcome = "ok" if status < 400 else "error"
        self._touched(name, operation, sent_at, outcome in {"ok", "error"})
        self._history.record(
            "link.done", name, outcome, status=status, delivered=self._has_arrived(name)
        )


class LiveAdapter(CcxtAdapter):
    """The adapter under test, with a note of when it connects and closes."""

    def __init__(self, *args: Any, link: LiveLink, **options: Any) -> None:  # Any: its base's
        super().__init__(*args, **options)
        self._link = link

    async def connect(self, setting: Mapping[str, Any] | None = None) -> None:
        """Connect, and note how it went."""
        began, outcome = self._link.now(), "timeout"
        try:
            await super().connect(setting)
            outcome = "ok"
        except Exception:
            outcome = "refused"
            raise
        finally:
            self._link.opened(self.connection_id, outcome, began)

    async def ping(self) -> None:
        """Ask whether the streams are alive, and note when no answer came."""
        began = self._link.now()
        try:
            await super().ping()
        except asyncio.CancelledError:  # how one gives up; who does so at once learns nothing
            self._link.unanswered(self.connection_id, self._link.now() - began)
            raise
        except BaseException:
            self._link.unanswered(self.connection_id)
            raise

    async def disconnect(self) -> None:
        """Close, and note it."""
        self._link.closed("clean", "client")
        await super().disconnect()


def client_of(
    address: str, api_key: str, secret: str, link: LiveLink, patience: float
) -> Callable[[], Any]:
    """What makes a ccxt client that knows the venue at `address` (host:port) and no other.

    `patience`: seconds after which ccxt itself gives a request up.
    """

    def build() -> Any:  # Any: ccxt ships no types for its clients
        client = binance_client({"apiKey": api_key, "secret": secret, "timeout": patience * 1000})
        api = client.urls["api"]
        client.urls["api"] = {
            **{name: _moved(url, address) for name, url in api.items()},
            "ws": {
                **api["ws"],
                "spot": f"ws://{address}/ws",
                "ws-api": {**api["ws"]["ws-api"], "spot": f"ws://{address}/ws-api/v3"},
            },
        }
        return link.tap(client)

    return build


def _moved(url: Any, address: str) -> Any:  # Any: ccxt has texts here, and tables of texts
    if not isinstance(url, str):
        return url
    return url.replace("https://api.binance.com", f"http://{address}")


def _outcome_of(exc: BaseException) -> str:
    if isinstance(exc, asyncio.CancelledError):
        return "abandoned"
    if type(exc).__name__ == "RequestTimeout":
        return "lost"
    return "refused" if _has_cause(exc, ConnectionRefusedError) else "reset"


def _has_cause(exc: BaseException | None, kind: type[BaseException]) -> bool:
    while exc is not None:
        if isinstance(exc, kind) or isinstance(getattr(exc, "os_error", None), kind):
            return True
        exc = exc.__cause__ or exc.__context__
    return False
