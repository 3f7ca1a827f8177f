"""One name for a request on both sides of the wire.

The client sends its own name for a request in a header. The venue numbers requests by itself and
uses those numbers in all that it tells; what it tells while it serves a request is entered in the
history under the client's name. Sockets, and what is asked on them, go by the adapter's
connection.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from aiohttp import web

from harness.books import Books
from harness.history import History
from harness.live.board import Board
from harness.wire import WireConfig, WireServer

__all__ = ["HEADER", "Clerk", "TracedServer"]

HEADER = "X-Request-Id"

_TRACE: ContextVar[str] = ContextVar("trace", default="")
_REQUEST = re.compile(r"w\d+")
_SOCKET = re.compile(r"wire-\d+")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class TracedServer(WireServer):
    """A venue on the wire that knows whose request it is serving, and which have arrived."""

    def __init__(self, config: WireConfig, *, history: History) -> None:
        self._arrived: dict[str, None] = {}
        super().__init__(config, history=history)

    def has_got(self, request_id: str) -> bool:
        """Whether the client's request of that name has arrived."""
        return request_id in self._arrived

    def _app(self) -> web.Application:
        @web.middleware
        async def follow(request: web.Request, handler: _Handler) -> web.StreamResponse:
            name = request.headers.get(HEADER, "")
            self._arrived[name] = None
            token = _TRACE.set(name)
            try:
                return await handler(request)
            finally:
                _TRACE.reset(token)

        app = super()._app()
        app.middlewares.append(follow)
        return app


class Clerk(History):
    """What the served venue writes into: its events go on to the books and the run's history.

    Args:
        history: The run's.
        books: The venue's record of orders.
        board: The faults of the moment.
        venue: The venue's name.
        connection_id: The adapter's name for its connection of the moment, "" without one.
        now: Seconds since the start of the run.
    """

    def __init__(
        self,
        history: History,
        books: Books,
        board: Board,
        *,
        venue: str,
        connection_id: Callable[[], str],
        now: Callable[[], float],
    ) -> None:
        super().__init__(None, now)
        self._run = history
        self._board = board
        self._connection_id = connection_id
        self._book = books.hook(venue)
        self._names: dict[str, str] = {}

    def record(self, kind: str, /, id: str = "", outcome: str = "", **details: Any) -> int:  # noqa: A002 - the history's word; Any: JSON
        """Enter an event under the client's names; see `History.record`."""
        for name in ("request_id", "correlation_id"):
            if name in details:
                details[name] = self._named(str(details[name]))
        if kind == "venue.refused":
            id = self._named(id)  # noqa: A001 - as above
        if kind.startswith("venue."):
            self._book(kind, id, outcome, details)
            return self._run.events
        self._board.saw(kind, id)
        return self._run.record(kind, id, outcome, **details)

    def _named(self, name: str) -> str:
        """The client's name for what the venue calls `name`; what it calls so for good."""
        if _SOCKET.fullmatch(name):
            return self._connection_id() or name
        if not _REQUEST.fullmatch(name):
            return name
        if name not in self._names:
            self._names[name] = _TRACE.get() or self._connection_id() or name
        return self._names[name]
