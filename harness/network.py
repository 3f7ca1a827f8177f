"""The in-memory way between an adapter and its venue, which faults act on.

A `Link` is a `Session` as real ones are: requests of their own each (REST), and one stream
connection (WebSocket). Where the venue's profile has one socket for both, requests go over the
stream connection, arrive in the order in which they were sent, and die with it. A link raises what
a socket raises. Rules, imposed by faults, look at every message that passes and may fail it, lose
it, delay it or put another in its place.
"""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count

from foxtrot.adapter.session import Operation, VenueReply, VenueRequest
from harness.history import History
from harness.kernel import EPOCH
from harness.venue import Venue

__all__ = [
    "CURRENT_CALL",
    "LANES",
    "Delay",
    "Drop",
    "Effect",
    "Fail",
    "Hang",
    "Link",
    "LinkRule",
    "Replace",
]

CURRENT_CALL: ContextVar[str] = ContextVar("current_call", default="")
"""The strategy's call on whose behalf the present task runs. It ties requests to calls without
asking the core: the context travels with the awaits, whatever the core does in between."""

_EPOCH_SECONDS = EPOCH.timestamp()

LANES = {
    Operation.PLACE_ORDER: "orders",
    Operation.CANCEL_ORDER: "cancels",
    Operation.SUBSCRIBE: "stream",
}


@dataclass(frozen=True, slots=True)
class Fail:
    """The message ends in an error, made anew for each."""

    error: Callable[[], Exception]


@dataclass(frozen=True, slots=True)
class Hang:
    """The message vanishes; nobody is told."""


@dataclass(frozen=True, slots=True)
class Delay:
    """The message takes `seconds` longer."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Replace:
    """Another reply comes in the place of the one sent."""

    reply: VenueReply


@dataclass(frozen=True, slots=True)
class Drop:
    """A pushed frame is lost."""


Effect = Fail | Hang | Delay | Replace | Drop


class LinkRule:
    """What a fault may decide about each message. By default: nothing."""

    def opening(self, connection_id: str) -> Effect | None:
        """A stream connection is being opened."""
        return None

    def pinging(self, connection_id: str) -> Effect | None:
        """A ping goes out on the stream connection."""
        return None

    def sending(self, request: VenueRequest) -> Effect | None:
        """A request leaves the adapter."""
        return None

    def replying(self, request: VenueRequest, reply: VenueReply) -> Effect | None:
        """The venue has acted, and its reply is on the way."""
        return None

    def framing(self, connection_id: str, frame: bytes) -> Effect | None:
        """A frame is being pushed."""
        return None


@dataclass(slots=True)
class _Stream:
    connection_id: str
    on_frame: Callable[[bytes], None]
    on_close: Callable[[int, str], None]
    last_arrival: float = 0.0
    last_request: float = 0.0


class Link:
    """A session to one venue.

    Args:
        name: The adapter's name.
        venue: What answers.
        now: Virtual seconds.
        rng: Latency's own random stream.
        latency: Mean seconds one way.
        jitter: Largest deviation from the mean, uniform.
        api_key: The account that the stream connection belongs to.
        history: Where every request and connection is recorded.
        after_request: Called when the venue has handled a request, to push what it caused.

    Attributes:
        rules: What the faults of the moment do to the messages, by the faults' ids.
        components: How many components have been built on it. The latest is the one in use; a
            fault that broke a component knows by this that another has taken its place.
    """

    def __init__(
        self,
        name: str,
        venue: Venue,
        *,
        now: Callable[[], float],
        rng: random.Random,
        latency: float,
        jitter: float,
        api_key: str,
        history: History,
        after_request: Callable[[], None],
    ) -> None:
        self.name = name
        self.venue = venue
        self.rules: dict[str, LinkRule] = {}
        self.components = 0
        self._now = now
        self._rng = rng
        self._latency = latency
        self._jitter = jitter
        self._api_key = api_key
        self._history = history
        self._after_request = after_request
        self._stream: _Stream | None = None
        self._in_flight: dict[int, asyncio.Future[None]] = {}
        self._numbers = count()

    @property
    def connection_id(self) -> str | None:
        """The open stream connection's id; None when there is none."""
        return None if self._stream is None else self._stream.connection_id

    def venue_time(self) -> float:
        """What the venue's own clock shows, in seconds since 1970, whatever it has set it to."""
        return _EPOCH_SECONDS + self._now() + self.venue.conditions.skew()

    async def open(
        self,
        connection_id: str,
        on_frame: Callable[[bytes], None],
        on_close: Callable[[int, str], None],
    ) -> None:
        """Open the stream connection, replacing one that is open."""
        await self.close()
        began, outcome = self._now(), "timeout"
        try:
            delay, _ = await self._suffer(r.opening(connection_id) for r in self._imposed())
            await self._transit(delay + 2 * self._one_way())
            if not self.venue.connect(connection_id, self._api_key, self._now()):
                raise ConnectionRefusedError("the venue takes no connection")
            outcome = "ok"
        except OSError:
            outcome = "refused"
            raise
        finally:
            self._history.record(
                "link.open", connection_id, outcome, adapter=self.name, began=round(began, 6)
            )
        await self.close()  # one that was opened meanwhile, which nobody would ever close
        self._stream = _Stream(connection_id, on_frame, on_close)

    async def close(self) -> None:
        """Close the stream connection, if there is one."""
        self._end_stream("clean", "client")

    async def ping(self) -> None:
        """A round trip on the stream connection; one that comes to nothing is recorded."""
        stream = self._stream
        if stream is None:
            raise ConnectionResetError("the connection is closed")
        began = self._now()
        try:
            delay, _ = await self._suffer(r.pinging(stream.connection_id) for r in self._imposed())
            await self._transit(delay + 2 * self._one_way())
        except BaseException:
            waited = round(self._now() - began, 6)
            self._history.record(
                "link.ping", stream.connection_id, "lost", adapter=self.name, waited=waited
            )
            raise

    async def request(self, request: VenueRequest) -> VenueReply:
        """Carry a request to the venue and its reply back."""
        self._record_sent(request)
        progress = _Progress()
        try:
            reply = await self._exchange(request, progress)
        except BaseException as exc:
            progress.outcome = _outcome_of(exc)
            raise
        else:
            progress.outcome = "ok" if reply.status < 400 else "error"
            progress.status = reply.status
            return reply
        finally:
            self._history.record(
                "link.done",
                request.request_id,
                progress.outcome,
                status=progress.status,
                delivered=progress.delivered,
            )

    def drop(self, error: Callable[[], Exception], *, code: int, outcome: str) -> None:
        """Break the stream connection and every request under way."""
        self._break_requests(error)
        stream = self._end_stream(outcome, "fault")
        if stream is not None:
            # Not called from here: what the adapter makes of it must not end the fault's own work.
            asyncio.get_running_loop().call_soon(stream.on_close, code, outcome)

    def send_late(self, request: VenueRequest, seconds: float) -> None:
        """Let a request arrive after `seconds` although its sender was told that it broke."""
        asyncio.get_running_loop().call_later(seconds, self._arrive_late, request, None)

    def _break_requests(self, error: Callable[[], Exception]) -> None:
        for waiting in tuple(self._in_flight.values()):
            if not waiting.done():
                waiting.set_exception(error())

    def deliver(self, connection_id: str, frame: bytes) -> None:
        """Push a frame; it arrives after the latency, in order, if the connection still stands."""
        stream = self._stream
        if stream is None or stream.connection_id != connection_id:
            return
        delay = self._one_way()
        for rule in self._imposed():
            effect = rule.framing(connection_id, frame)
            if isinstance(effect, Drop | Hang):
                return
            if isinstance(effect, Delay):
                delay += effect.seconds
        stream.last_arrival = max(stream.last_arrival, self._now() + delay)
        asyncio.get_running_loop().call_at(stream.last_arrival, self._arrive, stream, frame)

    def _arrive(self, stream: _Stream, frame: bytes) -> None:
        if stream is self._stream:
            stream.on_frame(frame)

    async def _exchange(self, request: VenueRequest, progress: _Progress) -> VenueReply:
        await self._carry(request)
        progress.delivered = True
        reply = self.venue.handle(request, self._now())
        self._after_request()
        delay, other = await self._suffer(r.replying(request, reply) for r in self._imposed())
        await self._transit(delay + self._one_way())
        return other or reply

    async def _carry(self, request: VenueRequest) -> None:
        """Take a request to the venue's door; it gets there even when nobody waits for it."""
        delay, _ = await self._suffer(rule.sending(request) for rule in self._imposed())
        arrives_at = self._now() + delay + self._one_way()
        socket = self._stream if self._is_one_socket else None
        if self._is_one_socket:
            arrives_at = _queue(socket, arrives_at)
        try:
            await self._transit(arrives_at - self._now())
        except asyncio.CancelledError:
            asyncio.get_running_loop().call_at(arrives_at, self._arrive_late, request, socket)
            raise

    def _arrive_late(self, request: VenueRequest, socket: _Stream | None) -> None:
        if socket is not None and socket is not self._stream:
            return  # it went down with its connection
        # Who stops waiting does not take the bytes off the wire: the venue may yet act on them.
        self._history.record("link.late", request.request_id, adapter=self.name)
        self.venue.handle(request, self._now())
        self._after_request()

    async def _suffer(self, effects: Iterable[Effect | None]) -> tuple[float, VenueReply | None]:
        """Meet the effects: how much longer it takes, and a reply put in place of another."""
        delay, reply = 0.0, None
        for effect in effects:
            match effect:
                case Fail(error):
                    raise error()
                case Hang():
                    await self._transit(None)
                case Delay(seconds):
                    delay += seconds
                case Replace(other):
                    reply = other
        return delay, reply

    async def _transit(self, seconds: float | None) -> None:
        """Be under way for `seconds`, or for ever; ends early when the link is dropped."""
        loop = asyncio.get_running_loop()
        arrived: asyncio.Future[None] = loop.create_future()
        timer = None if seconds is None else loop.call_later(seconds, _set, arrived)
        number = next(self._numbers)
        self._in_flight[number] = arrived
        try:
            await arrived
        finally:
            del self._in_flight[number]
            if timer is not None:
                timer.cancel()

    def _imposed(self) -> tuple[LinkRule, ...]:
        """The rules as they are now; a message that is held up meets no later ones."""
        return tuple(self.rules.values())

    @property
    def _is_one_socket(self) -> bool:
        return self.venue.profile.one_socket

    def _one_way(self) -> float:
        return max(0.0, self._latency + self._jitter * (2 * self._rng.random() - 1))

    def _end_stream(self, outcome: str, by: str) -> _Stream | None:
        stream, self._stream = self._stream, None
        if stream is not None:
            if self._is_one_socket:
                self._break_requests(lambda: ConnectionAbortedError(errno.ECONNABORTED, "closed"))
            self.venue.disconnect(stream.connection_id, self._now())
            self._history.record(
                "link.close", stream.connection_id, outcome, adapter=self.name, by=by
            )
        return stream

    def _record_sent(self, request: VenueRequest) -> None:
        self._history.record(
            "link.sent",
            request.request_id,
            adapter=self.name,
            venue=self.venue.name,
            operation=request.operation.value,
            lane=LANES.get(request.operation, "queries"),
            client_id=request.params.get("client_id", ""),
            call=CURRENT_CALL.get(),
        )


@dataclass(slots=True)
class _Progress:
    outcome: str = "lost"
    status: int | None = None
    delivered: bool = False


def _outcome_of(exc: BaseException) -> str:
    if isinstance(exc, asyncio.CancelledError):
        return "abandoned"
    never_left = isinstance(exc, OSError) and exc.errno == errno.ENOTCONN
    return "refused" if never_left or isinstance(exc, ConnectionRefusedError) else "reset"


def _queue(socket: _Stream | None, arrives_at: float) -> float:
    """When a request arrives that goes through a socket behind those before it."""
    if socket is None:
        raise OSError(errno.ENOTCONN, "not connected, and every request goes over the connection")
    socket.last_request = max(socket.last_request, arrives_at)
    return socket.last_request


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
