"""Faults of the connection: it breaks, is refused, goes silent, gets slow, or cannot be made."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl

import orjson

from foxtrot.adapter.session import VenueReply, VenueRequest
from foxtrot.util.errors import ErrorCategory
from harness._scenario_model import Occurrence
from harness.faults.base import LinkFault, Site, connection_reset
from harness.faults.schema import FaultKind, ParameterSpec
from harness.network import Delay, Drop, Effect, Fail, Hang

__all__ = [
    "Blackhole",
    "Disconnect",
    "Dns",
    "Flap",
    "Latency",
    "MuteStream",
    "Refuse",
    "SlowLink",
    "Tls",
    "Truncated",
]


class Refuse(LinkFault):
    """New connections and requests are refused; the open stream goes on."""

    kind = FaultKind(
        name="refuse",
        category=ErrorCategory.CONNECTION,
        connection=True,
        blocks=("*",),
        doc="The venue's front refuses connections (ECONNREFUSED), as a load balancer does that "
        "has no healthy member left. The open stream goes on.",
        remedy="Nothing was sent, so everything may be tried again, with backoff and behind a "
        "breaker.",
        source="connect(2), ECONNREFUSED; toxiproxy's `down`.",
    )

    def opening(self, connection_id: str) -> Effect | None:
        """Refuse a stream connection."""
        self.site.fired(connection_id, "connect", self._effect)
        return Fail(self._error)

    def sending(self, request: VenueRequest) -> Effect | None:
        """Refuse a request."""
        if not self.hits(request):
            return None
        self.touched(request, self._effect)
        return Fail(self._error)

    _effect = "refused"

    def _error(self) -> Exception:
        return ConnectionRefusedError(111, "Connection refused")


class Disconnect(Refuse):
    """The connection breaks, with everything under way on it, and stays broken for a while."""

    kind = FaultKind(
        name="disconnect",
        category=ErrorCategory.CONNECTION,
        variants=("reset", "clean", "lingering"),
        connection=True,
        instant=True,
        blocks=("*",),
        parameters={
            "delay": ParameterSpec(
                type="duration", default=2.0, doc="How late the end arrives, of `lingering` alone."
            ),
        },
        doc="The venue or the network ends the connection: by a reset, which kills every request "
        "under way with its outcome unknown, or cleanly, by a close frame. With `for`, nothing "
        "gets through until it is over. Or the venue has ended the stream, and the word of it is "
        "late: the socket is open, silent, and answers no ping (`lingering`); requests go on.",
        remedy="Reconnect with backoff, subscribe again, and reconcile orders and fills before "
        "going on.",
        source="Binance Spot web-socket-streams.md: each connection is ended after 24 hours; "
        "toxiproxy's `slow_close`.",
    )

    def __init__(self, occurrence: Occurrence, site: Site) -> None:
        super().__init__(occurrence, site)
        self._lingering: str | None = None
        self._word: asyncio.TimerHandle | None = None

    @property
    def blocks(self) -> tuple[str, ...]:
        """Nothing where only the stream has ended."""
        return () if self.variant == "lingering" else super().blocks

    def begin(self) -> None:
        """Break what is open, then refuse; or leave it open and dead."""
        super().begin()
        if self.variant == "lingering":
            self._linger()
        else:
            self.break_stream(self.variant)

    def end(self) -> None:
        """Let everything through: an end that is on its way arrives now."""
        super().end()
        if self._word is not None:
            self._word.cancel()
            self._arrive()

    def opening(self, connection_id: str) -> Effect | None:
        """Refuse a stream connection; where only the old one is dead, a new one is well."""
        return None if self.variant == "lingering" else super().opening(connection_id)

    def sending(self, request: VenueRequest) -> Effect | None:
        """Refuse a request; where only the stream is dead, requests go on."""
        return None if self.variant == "lingering" else super().sending(request)

    def pinging(self, connection_id: str) -> Effect | None:
        """Lose the ping on what is dead."""
        return Hang() if connection_id == self._lingering else None

    def framing(self, connection_id: str, frame: bytes) -> Effect | None:
        """Lose the frame on what is dead."""
        return Drop() if connection_id == self._lingering else None

    def break_stream(self, how: str) -> None:
        """End the stream connection, and what is under way, by a `reset` or a `clean` close."""
        connection_id = self.site.link.connection_id
        if connection_id is not None:
            self.site.fired(connection_id, "stream", how)
        self.site.link.drop(connection_reset, code=1001 if how == "clean" else 1006, outcome=how)

    def _linger(self) -> None:
        self._lingering = self.site.link.connection_id
        if self._lingering is not None:
            self.site.fired(self._lingering, "stream", "end held back")
            loop = asyncio.get_running_loop()
            self._word = loop.call_later(self.seconds("delay"), self._arrive)

    def _arrive(self) -> None:
        self._word = None
        if self.site.link.connection_id == self._lingering:
            self.site.link.drop(connection_reset, code=1006, outcome="reset")


class Flap(Disconnect):
    """The connection comes and goes."""

    kind = FaultKind(
        name="flap",
        category=ErrorCategory.CONNECTION,
        connection=True,
        parameters={
            "down": ParameterSpec(type="duration", default=2.0, doc="How long it is away."),
            "up": ParameterSpec(type="duration", default=6.0, doc="How long it holds in between."),
        },
        doc="The path breaks, comes back and breaks again, as behind a failing switch or while "
        "routes are being exchanged (BGP route flapping).",
        remedy="Count a connection as good only after it has held for a while: a backoff that "
        "starts anew at each success becomes a reconnect storm, which venues ban.",
        source="RFC 2439; Binance Spot: 300 connection attempts per 5 minutes per address.",
    )

    def __init__(self, occurrence: Occurrence, site: Site) -> None:
        super().__init__(occurrence, site)
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Fall for the first time."""
        self._fall()

    def end(self) -> None:
        """Hold from now on."""
        if self._timer is not None:
            self._timer.cancel()
        super().end()

    def _fall(self) -> None:
        self.site.link.rules[self.id] = self
        self.break_stream("reset")
        self._timer = asyncio.get_running_loop().call_later(self.seconds("down"), self._rise)

    def _rise(self) -> None:
        del self.site.link.rules[self.id]
        self._timer = asyncio.get_running_loop().call_later(self.seconds("up"), self._fall)


class Dns(Refuse):
    """The venue's name cannot be resolved."""

    kind = FaultKind(
        name="dns",
        category=ErrorCategory.CONNECTION,
        connection=True,
        blocks=("*",),
        doc="The resolver does not answer, or the name is gone (EAI_AGAIN, EAI_NONAME). What is "
        "connected stays connected; nothing new can be.",
        remedy="As for a refused connection: nothing was sent. An order must not be taken for "
        "rejected, nor dropped, because its name lookup failed.",
        source="getaddrinfo(3); hummingbot #8457: a DNS outage dropped six orders, and a real "
        "short position was left.",
    )
    _effect = "name not resolved"

    def _error(self) -> Exception:
        return socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


class Tls(Refuse):
    """The TLS handshake fails."""

    kind = FaultKind(
        name="tls",
        category=ErrorCategory.CONNECTION,
        variants=("expired", "handshake"),
        connection=True,
        must_escalate=True,
        blocks=("*",),
        doc="The venue's certificate has expired, or somebody is in between (`expired`); or the "
        "handshake breaks, as in front of an overloaded terminator (`handshake`). What is "
        "connected stays connected.",
        remedy="Never go on without verifying. A certificate needs a person at once; a broken "
        "handshake is a connection that failed, and is tried again.",
        source="Python's ssl.SSLCertVerificationError; ccxt hides it in NetworkError.",
    )
    _effect = "handshake failed"

    @property
    def must_escalate(self) -> bool:
        """A certificate needs a person; a handshake that broke does not."""
        return self.variant == "expired"

    def _error(self) -> Exception:
        if self.variant == "expired":
            return ssl.SSLCertVerificationError(
                1, "certificate verify failed: certificate has expired"
            )
        return ssl.SSLEOFError(8, "EOF occurred in violation of protocol")


class Blackhole(LinkFault):
    """Everything vanishes without a word: a half-open connection."""

    kind = FaultKind(
        name="blackhole",
        category=ErrorCategory.CONNECTION,
        # Where the path is back before anybody has given up, missing ticks are all that shows.
        accepted=(ErrorCategory.MARKET_DATA,),
        connection=True,
        blocks=("*",),
        doc="A dead path with live sockets: no reset, no close, no data, as after a NAT entry or "
        "a cable is gone. The sockets stay ESTABLISHED for hours.",
        remedy="Bound every wait, and judge liveness by data and pongs, never by the socket.",
        source="openab #1101: a dead socket, ESTABLISHED for 23 hours; toxiproxy's `timeout`.",
    )

    def opening(self, connection_id: str) -> Effect | None:
        """Lose the handshake."""
        self.site.fired(connection_id, "connect", "lost")
        return Hang()

    def pinging(self, connection_id: str) -> Effect | None:
        """Lose the ping."""
        self.site.fired(connection_id, "ping", "lost")
        return Hang()

    def sending(self, request: VenueRequest) -> Effect | None:
        """Lose the request."""
        if not self.hits(request):
            return None
        self.touched(request, "request lost")
        return Hang()

    def framing(self, connection_id: str, frame: bytes) -> Effect | None:
        """Lose the frame."""
        return Hang()


class Latency(LinkFault):
    """Every message takes longer."""

    kind = FaultKind(
        name="latency",
        category=ErrorCategory.CONNECTION,
        connection=True,
        parameters={
            "delay": ParameterSpec(type="duration", default=2.0, doc="Added to each way."),
            "jitter": ParameterSpec(
                type="duration", default=0.5, doc="Largest deviation from the delay, uniform."
            ),
        },
        doc="A congested path or an overloaded venue. Below the client's timeout it is only slow; "
        "above it every state-changing request ends with an unknown outcome, and may execute "
        "after the client has given up on it.",
        remedy="Tell slow from dead; take a timeout for an unknown outcome and look it up; let a "
        "late acknowledgement stop a pending resend.",
        source="toxiproxy's `latency`; nautilus #4215: a retry although the order had arrived.",
    )

    def pinging(self, connection_id: str) -> Effect | None:
        """Delay the pong."""
        self.site.fired(connection_id, "ping", "delayed")
        return Delay(self._delay())

    def sending(self, request: VenueRequest) -> Effect | None:
        """Delay the request, and with it its reply."""
        if not self.hits(request):
            return None
        self.touched(request, "delayed")
        return Delay(self._delay())

    def framing(self, connection_id: str, frame: bytes) -> Effect | None:
        """Delay the frame."""
        return Delay(self._delay())

    def _delay(self) -> float:
        spread = self.seconds("jitter") * (2 * self.site.rng.random() - 1)
        return max(0.0, self.seconds("delay") + spread)


class SlowLink(LinkFault):
    """The way is narrow: messages queue up behind each other."""

    kind = FaultKind(
        name="slow_link",
        category=ErrorCategory.CONNECTION,
        # What is late has gone stale before anything is given up.
        accepted=(ErrorCategory.MARKET_DATA,),
        connection=True,
        variants=("narrow", "sliced"),
        aims=(),
        parameters={
            "rate": ParameterSpec(
                type="int", default=600, doc="Bytes per second that get through, where `narrow`."
            ),
            "size": ParameterSpec(type="int", default=16, doc="Bytes of a piece, where `sliced`."),
            "delay": ParameterSpec(
                type="duration", default=0.01, doc="Between two pieces, where `sliced`."
            ),
        },
        doc="Too little bandwidth (`narrow`): what the venue pushes queues up, every message waits "
        "for those before it, and the delay grows for as long as more comes than fits. Or data "
        "that trickles in many small pieces (`sliced`), of which a message is whole only with the "
        "last.",
        remedy="Judge data by its age and not by its flow; pings that come back late are the "
        "sign. A new connection leaves the queue behind.",
        source="toxiproxy's `bandwidth` and `slicer`; Binance ends the streams of slow consumers.",
    )
    # What HTTP and TLS put around a message, roughly; and a ping with its pong.
    _OVERHEAD = 300
    _PING = 16

    def __init__(self, occurrence: Occurrence, site: Site) -> None:
        super().__init__(occurrence, site)
        self._free_at = {"up": 0.0, "down": 0.0}
        self._stream = ""

    def pinging(self, connection_id: str) -> Effect | None:
        """Queue the ping."""
        self.site.fired(connection_id, "ping", "delayed")
        self._follow(connection_id)
        return self._queued("down", self._PING)

    def sending(self, request: VenueRequest) -> Effect | None:
        """Queue the request."""
        self.touched(request, "delayed")
        return self._queued("up", self._OVERHEAD + len(orjson.dumps(dict(request.params))))

    def replying(self, request: VenueRequest, reply: VenueReply) -> Effect | None:
        """Queue the reply; it shares the way with the frames."""
        return self._queued("down", self._OVERHEAD + len(reply.body))

    def framing(self, connection_id: str, frame: bytes) -> Effect | None:
        """Queue the frame."""
        self._follow(connection_id)
        return self._queued("down", len(frame))

    def _follow(self, connection_id: str) -> None:
        if connection_id != self._stream:
            self._stream, self._free_at["down"] = connection_id, 0.0

    def _queued(self, way: str, size: int) -> Effect:
        now = self.site.now()
        free_at = max(now, self._free_at[way]) + self._takes(size)
        self._free_at[way] = free_at
        return Delay(free_at - now)

    def _takes(self, size: int) -> float:
        """How long so many bytes are on the way."""
        if self.variant == "sliced":
            return math.ceil(size / max(1.0, self.seconds("size"))) * self.seconds("delay")
        return size / max(1.0, self.seconds("rate"))


class Truncated(LinkFault):
    """Replies are cut off: the connection ends in the middle of a body."""

    kind = FaultKind(
        name="truncated",
        category=ErrorCategory.CONNECTION,
        connection=True,
        blocks=("*",),
        doc="The venue has acted and is answering when the connection ends: fewer bytes come than "
        "the header promised.",
        remedy="Take it for a lost reply: of a new order nothing is known. Never parse the part "
        "that came.",
        source="http.client.IncompleteRead, aiohttp.ClientPayloadError; toxiproxy's `limit_data`.",
    )

    def replying(self, request: VenueRequest, reply: VenueReply) -> Effect | None:
        """Cut the reply."""
        if not self.hits(request):
            return None
        self.touched(request, "reply cut off")
        half = reply.body[: len(reply.body) // 2]
        return Fail(lambda: asyncio.IncompleteReadError(half, len(reply.body)))


class MuteStream(LinkFault):
    """The stream stays open and answers pings, and brings no data."""

    kind = FaultKind(
        name="mute_stream",
        category=ErrorCategory.CONNECTION,
        accepted=(ErrorCategory.MARKET_DATA,),
        variants=("connection", "venue"),
        aims=(),
        connection=True,
        doc="The venue has lost the subscription, or the process behind the socket hangs: pongs "
        "come, data does not. Usually one connection has it (`connection`) and a new one is "
        "well; at times all have it (`venue`).",
        remedy="Watch the age of the data for each subscription, not the pongs; connect anew, "
        "subscribe, and fetch what was missed.",
        source="ccxt #23214, #17081: endless await on a stream that is alive and silent.",
    )

    def __init__(self, occurrence: Occurrence, site: Site) -> None:
        super().__init__(occurrence, site)
        self._mute: str | None = None

    def begin(self) -> None:
        """Fall silent on what is open."""
        self._mute = self.site.link.connection_id
        super().begin()

    def framing(self, connection_id: str, frame: bytes) -> Effect | None:
        """Lose the frame."""
        if self.variant == "connection" and connection_id != self._mute:
            return None
        self.site.fired(connection_id, "stream", "frames lost")
        return Drop()
