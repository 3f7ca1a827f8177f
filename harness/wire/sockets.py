"""One WebSocket of the server: reads what comes, writes what is due, and never waits for a client.

A client that does not read fills its own backlog, and is cut off when that is full; nobody else
notices.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from aiohttp import WSCloseCode, WSMsgType, web

from harness.wire.errors import ApiError, Dropped, Lost
from harness.wire.front import Front

__all__ = ["WireSocket", "reset"]

_PING_SECONDS = 20.0
_PONG_SECONDS = 60.0
_CLOSE_SECONDS = 2.0
_MOST_REQUESTS = 64
_COUNTED = frozenset({WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG})
_NO_LINGER = struct.pack("ii", 1, 0)


def reset(transport: asyncio.BaseTransport | None) -> None:
    """End a TCP connection by a reset, as a crashed peer does. Unsent data is lost.

    One that is closing already may wait for ever for a client that does not read the rest.
    """
    if not isinstance(transport, asyncio.Transport):
        return
    raw = transport.get_extra_info("socket")
    if raw is not None:
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


async def _nothing() -> None:
    pass


class WireSocket:
    """A WebSocket that a venue's connection ends in.

    Args:
        connection_id: The venue's name for it.
        front: What faults act on.
        words: A frame of the venue -> the messages that the client gets for it.
        max_message: Bytes that a message of the client may have.
        max_backlog: Messages that may wait for the client to read.
        max_rate: Messages, pings and pongs that the client may send within a second; one more
            ends the connection. None: as many as it likes.
    """

    def __init__(
        self,
        connection_id: str,
        front: Front,
        words: Callable[[bytes], Iterable[str]],
        *,
        max_message: int,
        max_backlog: int,
        max_rate: int | None = None,
    ) -> None:
        self.connection_id = connection_id
        self._front = front
        self._words = words
        self._max_backlog = max_backlog
        self._max_rate = max_rate
        self._arrivals: deque[float] = deque()
        self._backlog: asyncio.Queue[str] = asyncio.Queue()
        self._last_due = 0.0
        self._transport: asyncio.Transport | None = None
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._unanswered: dict[bytes, float] = {}  # our pings, and when they went out
        self._ws = web.WebSocketResponse(
            autoping=False, compress=False, max_msg_size=max_message, timeout=1.0
        )

    # -- What the front does --------------------------------------------------------------------

    def push(self, frame: bytes, delay: float) -> None:
        """Send a venue's frame after `delay` real seconds, but not before an earlier one.

        It is put into words now: what is long on its way tells of the time when it left.
        """
        loop = asyncio.get_running_loop()
        due = max(self._last_due, loop.time() + delay)
        texts = tuple(self._words(frame))
        if delay or self._last_due > loop.time():
            self._last_due = due
            loop.call_at(due, self._write_all, texts)
        else:
            self._write_all(texts)

    def end(self, code: int, outcome: str) -> None:
        """Close cleanly with a code, or reset."""
        if outcome == "clean":
            self._spawn(self._close(code))
        else:
            reset(self._transport)

    # -- The life of the connection -------------------------------------------------------------

    async def run(
        self,
        request: web.Request,
        on_text: Callable[[str], Awaitable[str | None]],
        begin: Callable[[], Awaitable[None]] = _nothing,
    ) -> web.StreamResponse:
        """Serve the connection until it ends. `on_text` returns the reply to a message.

        `begin` is done once, in the background, when the connection is open.
        """
        source_ip = request.remote or ""
        status = await self._front.admit(self.connection_id, source_ip)
        if status:
            return web.Response(status=status)
        try:
            await self._ws.prepare(request)
            self._transport = request.transport
            self._front.attach(self)
            self._spawn(self._write())
            self._spawn(self._ping())
            self._spawn(self._begin(begin))
            await self._read(on_text)
        finally:
            self._front.detach(self.connection_id)
            for task in tuple(self._tasks):
                task.cancel()
        return self._ws

    async def _begin(self, begin: Callable[[], Awaitable[None]]) -> None:
        try:
            await begin()
        except Lost:
            pass
        except (ApiError, Dropped):
            reset(self._transport)

    def write(self, text: str) -> None:
        """Queue a message; a client that leaves too many waiting is cut off."""
        if self._backlog.qsize() >= self._max_backlog:
            reset(self._transport)
        else:
            self._backlog.put_nowait(text)

    async def _read(self, on_text: Callable[[str], Awaitable[str | None]]) -> None:
        while not self._ws.closed:
            message = await self._ws.receive()
            if len(self._tasks) >= _MOST_REQUESTS:
                await asyncio.sleep(0)  # what came in one gulp has not been looked at yet
            match message.type:
                case kind if kind in _COUNTED and self._is_too_fast():
                    await self._close(WSCloseCode.POLICY_VIOLATION)
                case WSMsgType.PONG:
                    self._hear(bytes(message.data))
                case WSMsgType.TEXT if len(self._tasks) < _MOST_REQUESTS:
                    self._spawn(self._answer(on_text, message.data))
                case WSMsgType.PING if len(self._tasks) < _MOST_REQUESTS:
                    self._spawn(self._pong(message.data))
                case kind if kind in _COUNTED:
                    await self._close(WSCloseCode.POLICY_VIOLATION)
                case _:
                    return

    def _is_too_fast(self) -> bool:
        """Count a message; whether it is one too many within a second."""
        if self._max_rate is None:
            return False
        now = asyncio.get_running_loop().time()
        self._arrivals.append(now)
        while self._arrivals[0] <= now - 1.0:
            self._arrivals.popleft()
        return len(self._arrivals) > self._max_rate

    async def _answer(self, on_text: Callable[[str], Awaitable[str | None]], text: str) -> None:
        try:
            reply = await on_text(text)
        except Lost:
            return
        except Dropped:
            reset(self._transport)
            return
        if reply is not None:
            self.write(reply)

    async def _pong(self, data: bytes) -> None:
        try:
            await self._front.ping(self.connection_id)
        except Lost:
            return
        except Dropped:
            reset(self._transport)
            return
        with suppress(ConnectionError):
            await self._ws.pong(data)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(_PING_SECONDS)
            now = asyncio.get_running_loop().time()
            if any(now - sent >= _PONG_SECONDS for sent in self._unanswered.values()):
                await self._close(WSCloseCode.POLICY_VIOLATION)
                return
            with suppress(ConnectionError, Dropped, Lost, TimeoutError):
                # A dead path loses our pings as it loses theirs.
                await self._front.ping(self.connection_id)
                payload = str(round(now * 1000)).encode()
                self._unanswered[payload] = now
                async with asyncio.timeout(_PING_SECONDS):  # who does not read holds it up
                    await self._ws.ping(payload)

    def _hear(self, payload: bytes) -> None:
        """Take a pong. One that answers no ping of ours says nothing."""
        if payload in self._unanswered:
            self._unanswered.clear()

    async def _write(self) -> None:
        with suppress(ConnectionError):
            while True:
                await self._ws.send_str(await self._backlog.get())

    async def _close(self, code: int) -> None:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):  # who does not read holds it up
                await self._ws.close(code=code)
        except TimeoutError:
            reset(self._transport)
        except ConnectionError:
            pass

    def _write_all(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.write(text)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            # The error is ours, and the client's reply will never come: say so by ending it.
            reset(self._transport)
