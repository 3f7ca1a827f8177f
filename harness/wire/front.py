"""The venue's front: every request and frame passes it, and faults of the way act on it.

To a fault it is what a `Link` is in memory: it holds rules, and can be dropped. What a rule
decides happens as a server can make it happen: Fail resets the connection, Hang never answers.
A refused connection is one that is reset before anything was done; a port that is closed is
for toxiproxy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from foxtrot.adapter.session import VenueReply, VenueRequest
from harness.network import Delay, Drop, Effect, Fail, Hang, LinkRule, Replace
from harness.venue import Maintenance, Venue
from harness.venue.conditions import Replies
from harness.wire.clock import VenueClock
from harness.wire.errors import CutOff, Dropped, Lost

__all__ = ["Deed", "Front", "Serve", "StreamConnection"]

#: The venue, as it answers a request now.
Serve = Callable[[VenueRequest], VenueReply]
#: What is done at the venue when a request arrives there, where that is more than to ask it once.
Deed = Callable[[VenueRequest, Serve], VenueReply]


class StreamConnection(Protocol):
    """A WebSocket, as the front sees it."""

    connection_id: str

    def push(self, frame: bytes, delay: float) -> None:
        """Send a venue's frame after `delay` real seconds, in order."""
        ...

    def end(self, code: int, outcome: str) -> None:
        """End the connection: by a close frame where the outcome is `clean`, or by a reset."""
        ...


class Front:
    """Carries requests to the venue and frames from it.

    Args:
        venue: What answers.
        clock: Venue time.
        moved: Called with the time whenever the venue moves on.
    """

    def __init__(self, venue: Venue, clock: VenueClock, moved: Callable[[float], None]) -> None:
        self.name = venue.name
        self.venue = venue
        self.rules: dict[str, LinkRule] = {}
        self._clock = clock
        self._moved = moved
        self._connections: dict[str, StreamConnection] = {}
        self._in_flight: dict[asyncio.Future[None], None] = {}
        # No component of ours is on this side; faults of that kind are not served.
        self.components = 0
        self._late: dict[str, asyncio.TimerHandle] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_moving = False

    # -- What faults see ------------------------------------------------------------------------

    @property
    def connection_id(self) -> str | None:
        """The oldest open stream connection; None when there is none."""
        return next(iter(self._connections), None)

    def connection_ids(self) -> list[str]:
        """The open stream connections, oldest first."""
        return list(self._connections)

    def drop(self, error: Callable[[], Exception], *, code: int, outcome: str) -> None:
        """Break every stream connection and every request under way."""
        self._release_all(str(error()))
        for connection in tuple(self._connections.values()):
            connection.end(code, outcome)

    def _release_all(self, why: str) -> None:
        for waiting in tuple(self._in_flight):
            if not waiting.done():
                waiting.set_exception(Dropped(why))

    def end_all(self) -> None:
        """End every stream connection, as a venue that goes down does."""
        for connection in tuple(self._connections.values()):
            connection.end(1001, "reset")

    def is_tampering(self) -> bool:
        """Whether a fault may put words of its own into the venue's mouth now."""
        return bool(self.rules) or bool(self.venue.conditions.of(Replies))

    # -- The market's time ----------------------------------------------------------------------

    def start(self) -> None:
        """Move the market from now on."""
        self._is_moving = True
        self._tick()

    def stop(self) -> None:
        """Move the market no more, and let go of what hangs.

        Connections that end after this set no timer again, and no request arrives any more.
        """
        self._is_moving = False
        if self._timer is not None:
            self._timer.cancel()
        for late in self._late.values():
            late.cancel()
        self._release_all("the venue is stopped")

    def flush(self) -> None:
        """Send the frames that are due, and wait for the next."""
        self._moved(self._clock.now())
        for connection_id, frame in self.venue.take_frames():
            self.deliver(connection_id, frame)
        self._arm()

    def _tick(self) -> None:
        now = self._clock.now()
        frames = self.venue.advance(now)
        self._moved(now)
        for connection_id, frame in frames:
            self.deliver(connection_id, frame)
        self.flush()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        at = self.venue.next_event_at()
        if at is not None and self._is_moving:
            wait = max(0.0, self._clock.real_seconds(at - self._clock.now()))
            self._timer = asyncio.get_running_loop().call_later(wait, self._tick)

    # -- Requests -------------------------------------------------------------------------------

    async def ask(
        self,
        request: VenueRequest,
        source_ip: str,
        *,
        is_message: bool = False,
        deed: Deed | None = None,
    ) -> VenueReply:
        """Bring a request to the venue, and its reply back. Raises Dropped, or CutOff.

        What came as a message on a WebSocket leaves nobody waiting where a fault swallows it, and
        raises Lost; a request of HTTP hangs.
        """
        await self._carry(request, source_ip, is_message, deed)
        reply = self._arrive(request, source_ip, deed)
        effects = (rule.replying(request, reply) for rule in self._imposed())
        try:
            delay, other = await self._suffer(effects, is_message)
        except asyncio.IncompleteReadError:
            raise CutOff(reply) from None
        await self._hold(delay)
        return other or reply

    async def _carry(
        self, request: VenueRequest, source_ip: str, is_message: bool, deed: Deed | None
    ) -> None:
        """Hold a request up; it arrives even when the client does not wait for it any more."""
        delay, _ = await self._suffer((r.sending(request) for r in self._imposed()), is_message)
        loop = asyncio.get_running_loop()
        arrives_at = loop.time() + delay
        try:
            await self._hold(delay)
        except asyncio.CancelledError:
            self._late[request.request_id] = loop.call_at(
                arrives_at, self._arrive_late, request, source_ip, deed
            )
            raise

    def _arrive(self, request: VenueRequest, source_ip: str, deed: Deed | None) -> VenueReply:
        def serve(each: VenueRequest) -> VenueReply:
            return self.venue.handle(each, self._clock.now(), source_ip=source_ip)

        reply = serve(request) if deed is None else deed(request, serve)
        self.flush()
        return reply

    def _arrive_late(self, request: VenueRequest, source_ip: str, deed: Deed | None) -> None:
        del self._late[request.request_id]
        self._arrive(request, source_ip, deed)

    async def _suffer(
        self, effects: Iterable[Effect | None], is_message: bool
    ) -> tuple[float, VenueReply | None]:
        """Meet the effects: real seconds that they take, and a reply in place of another."""
        delay, reply = 0.0, None
        for effect in effects:
            match effect:
                case Fail(error):
                    raise _dropped(error())
                case Hang() | Drop() if is_message:
                    raise Lost
                case Hang() | Drop():
                    await self._hold(None)
                case Delay(seconds):
                    delay += self._clock.real_seconds(seconds)
                case Replace(other):
                    reply = other
        return delay, reply

    async def _hold(self, seconds: float | None) -> None:
        """Wait real seconds, or for ever; ends with Dropped when the front is dropped."""
        if seconds is not None and seconds <= 0:
            return
        loop = asyncio.get_running_loop()
        released: asyncio.Future[None] = loop.create_future()
        timer = None if seconds is None else loop.call_later(seconds, _release, released)
        self._in_flight[released] = None
        try:
            await released
        finally:
            del self._in_flight[released]
            if timer is not None:
                timer.cancel()

    def _imposed(self) -> tuple[LinkRule, ...]:
        return tuple(self.rules.values())

    # -- Stream connections ---------------------------------------------------------------------

    async def admit(self, connection_id: str, source_ip: str) -> int:
        """Let a stream connection in; 0, or the HTTP status that it is turned away with."""
        effects = (rule.opening(connection_id) for rule in self._imposed())
        delay, _ = await self._suffer(effects, is_message=False)
        await self._hold(delay)
        if self.venue.connect(connection_id, "", self._clock.now(), source_ip=source_ip):
            return 0
        return 503 if self.venue.conditions.of(Maintenance) else 429

    def attach(self, connection: StreamConnection) -> None:
        """Deliver frames to an admitted connection from now on."""
        self._connections[connection.connection_id] = connection

    def detach(self, connection_id: str) -> None:
        """Forget a connection, whoever ended it."""
        self._connections.pop(connection_id, None)
        self.venue.disconnect(connection_id, self._clock.now())
        self.flush()

    async def ping(self, connection_id: str) -> None:
        """Take a ping of the client; return when the pong is to go out. Raises Dropped, or Lost.

        Any other message that asks nothing of the venue goes the same way.
        """
        effects = (rule.pinging(connection_id) for rule in self._imposed())
        delay, _ = await self._suffer(effects, is_message=True)
        await self._hold(delay)

    def deliver(self, connection_id: str, frame: bytes) -> None:
        """Push a frame to its connection, past the rules; one that is closed gets nothing."""
        connection = self._connections.get(connection_id)
        if connection is None:
            return
        delay = 0.0
        for rule in self._imposed():
            effect = rule.framing(connection_id, frame)
            if isinstance(effect, Drop | Hang):
                return
            if isinstance(effect, Fail):
                connection.end(1006, "reset")
                return
            if isinstance(effect, Delay):
                delay += self._clock.real_seconds(effect.seconds)
        connection.push(frame, delay)


def _dropped(error: Exception) -> Exception:
    # A reply that is cut off needs more than an end: its first half must go out.
    return error if isinstance(error, asyncio.IncompleteReadError) else Dropped(str(error))


def _release(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
