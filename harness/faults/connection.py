"""Faults of the connection: it breaks, is refused, goes silent, or gets slow."""

from __future__ import annotations

from foxtrot.adapter.session import VenueRequest
from foxtrot.util.errors import ErrorCategory
from harness.faults.base import LinkFault
from harness.faults.schema import FaultKind, ParameterSpec
from harness.network import Delay, Effect, Fail, Hang

__all__ = ["Blackhole", "Disconnect", "Latency", "Refuse"]


class Refuse(LinkFault):
    """New connections and requests are refused; the open stream goes on."""

    kind = FaultKind(
        name="refuse",
        category=ErrorCategory.CONNECTION,
        connection=True,
        blocks=("*",),
        doc="The venue's front refuses connections (ECONNREFUSED), as behind a load balancer "
        "without healthy members. Nothing was sent, so everything may be tried again.",
    )

    def opening(self, connection_id: str) -> Effect | None:
        """Refuse a stream connection."""
        self.site.fired(connection_id, "connect", "refused")
        return Fail(_refused)

    def sending(self, request: VenueRequest) -> Effect | None:
        """Refuse a request."""
        if not self.hits(request):
            return None
        self.touched(request, "refused")
        return Fail(_refused)


class Disconnect(Refuse):
    """The connection breaks, with everything under way on it, and stays broken for a while."""

    kind = FaultKind(
        name="disconnect",
        category=ErrorCategory.CONNECTION,
        variants=("reset", "clean"),
        connection=True,
        instant=True,
        blocks=("*",),
        doc="The venue or the network ends the connection: by a reset, which kills every request "
        "under way with its outcome unknown, or cleanly, by a close frame. Binance ends each "
        "connection after 24 hours. With `for`, nothing gets through until it is over. A right "
        "client reconnects with backoff, subscribes again, and reconciles before it goes on.",
    )

    def begin(self) -> None:
        """Break what is open, then refuse."""
        super().begin()
        connection_id = self.site.link.connection_id
        if connection_id is not None:
            self.site.fired(connection_id, "stream", self.variant)
        if self.variant == "clean":
            self.site.link.drop(_reset, code=1001, outcome="clean")
        else:
            self.site.link.drop(_reset, code=1006, outcome="reset")


class Blackhole(LinkFault):
    """Everything vanishes without a word: a half-open connection."""

    kind = FaultKind(
        name="blackhole",
        category=ErrorCategory.CONNECTION,
        connection=True,
        blocks=("*",),
        doc="A dead path with live sockets: no reset, no close, no data, as after a NAT entry or "
        "a cable is gone. Sockets stay ESTABLISHED for hours. A right client bounds every wait "
        "and judges liveness by data and pongs, never by the socket.",
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
        "above it every state-changing request ends with an unknown outcome and may execute "
        "after the client has given up on it.",
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


def _refused() -> Exception:
    return ConnectionRefusedError(111, "Connection refused")


def _reset() -> Exception:
    return ConnectionResetError(104, "Connection reset by peer")
