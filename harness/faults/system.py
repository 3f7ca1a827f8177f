"""Faults of the systems on both sides: the venue's servers, and our own process."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import orjson

from foxtrot.adapter.session import VenueReply, VenueRequest
from foxtrot.util.errors import ErrorCategory
from foxtrot.util.event import EVENT_ORDER, EVENT_TICK, EVENT_TRADE, Event
from harness._scenario_model import Occurrence
from harness.faults.base import Fault, LinkFault, ReplyFault, Site, VenueFault
from harness.faults.schema import FaultKind, ParameterSpec
from harness.network import Delay, Drop, Effect, Fail
from harness.venue import Knob
from harness.venue import Maintenance as MaintenanceKnob

__all__ = [
    "BlockedLoop",
    "ClockJump",
    "ComponentCrash",
    "HandlerException",
    "Maintenance",
    "ServerError",
]

_TIMESTAMP_REFUSED = -1021


class Maintenance(VenueFault):
    """The venue is down for maintenance: 503 to every request, and connections are closed."""

    kind = FaultKind(
        name="maintenance",
        category=ErrorCategory.CONNECTION,
        aims=(),
        connection=True,
        blocks=("*",),
        parameters={
            "retry_after": ParameterSpec(
                type="duration", default=0.0, doc="Told in the header; 0s leaves the header out."
            ),
        },
        doc="HTTP 503 to everything, the streams closed with code 1012.",
        remedy="Back off, ask again now and then, and reconcile when the venue is back: a 5xx "
        "leaves the outcome of a request unknown.",
        source="Binance Spot rest-api.md on 5XX; RFC 6455 and the IANA registry on 1012.",
    )

    def knobs(self) -> tuple[Knob, ...]:
        """Maintenance, with or without a word on how long."""
        return (MaintenanceKnob(retry_after=self.seconds("retry_after") or None),)

    def begin(self) -> None:
        """Close the door, then the connections."""
        super().begin()
        connection_id = self.site.link.connection_id
        if connection_id is not None:
            self.site.fired(connection_id, "stream", "closed for maintenance")
            self.site.link.drop(_closed, code=1012, outcome="clean")


class ServerError(ReplyFault):
    """The venue acts, and answers with a 5xx."""

    kind = FaultKind(
        name="server_error",
        category=ErrorCategory.CONNECTION,
        variants=("internal", "bad_gateway", "unknown", "timeout"),
        blocks=("*",),
        doc="HTTP 500, 502, 503 or 504 to a request that was executed: the order lives. By the "
        "venue's own words a 5xx says nothing of the outcome.",
        remedy="Never take it for a rejection: look the order up. Questions are asked again.",
        source="Binance Spot rest-api.md: 5XX, the execution status is UNKNOWN; errors.md, -1006 "
        "and -1007; nautilus #4152, #4958.",
    )
    _REPLIES = (
        (500, -1000, "An unknown error occurred while processing the request."),
        (502, None, "<html><body>502 Bad Gateway</body></html>"),
        (503, -1006, "An unexpected response was received. Execution status unknown."),
        (504, -1007, "Timeout waiting for the backend server. Send status unknown."),
    )

    def altered(self, reply: VenueReply) -> VenueReply:
        """The variant's error in the place of the reply."""
        replies = dict(zip(self.kind.variants, self._REPLIES, strict=True))
        status, code, message = replies[self.variant]
        body = message.encode() if code is None else orjson.dumps({"code": code, "msg": message})
        return replace(reply, status=status, body=body)


class ComponentCrash(LinkFault):
    """The adapter breaks from inside, and stays broken until another takes its place."""

    kind = FaultKind(
        name="component_crash",
        category=ErrorCategory.SYSTEM,
        aims=(),
        # A part that broke from inside has a bug: the restart heals, and a person must know.
        must_escalate=True,
        ends_by_client=True,
        blocks=("*",),
        doc="The component's own machinery is gone: its reader task has died, its pool is closed. "
        "Every call on it raises, nothing that is pushed gets through, and reconnecting the same "
        "object changes nothing. The fault is over when the object has been replaced.",
        remedy="See by the heartbeat that it is the component and not the venue, and build it "
        "anew, with its subscriptions; then reconcile.",
        source="asyncio tasks that die unseen; Futu's OpenD, which has to be restarted.",
    )

    def __init__(self, occurrence: Occurrence, site: Site) -> None:
        super().__init__(occurrence, site)
        self._broken = 0

    def begin(self) -> None:
        """Break the component that is in use."""
        self._broken = self.site.link.components
        super().begin()

    def opening(self, connection_id: str) -> Effect | None:
        """Fail, unless it is a new component that connects: then it is over."""
        if self.site.link.components != self._broken:
            self.site.spent()
            return None
        self.site.fired(connection_id, "connect", "component broken")
        return Fail(_broken)

    def pinging(self, connection_id: str) -> Effect | None:
        """Fail."""
        self.site.fired(connection_id, "ping", "component broken")
        return Fail(_broken)

    def sending(self, request: VenueRequest) -> Effect | None:
        """Fail."""
        self.touched(request, "component broken")
        return Fail(_broken)

    def framing(self, connection_id: str, frame: bytes) -> Effect | None:
        """Reach nobody."""
        return Drop()


class HandlerException(Fault):
    """A subscriber's handler raises at every event."""

    kind = FaultKind(
        name="handler_exception",
        category=ErrorCategory.SYSTEM,
        aims=(),
        must_escalate=True,
        surfaces=True,
        everywhere=True,
        parameters={
            "event": ParameterSpec(
                type="text",
                default="tick",
                doc="At which events.",
                choices=("tick", "order", "trade"),
            ),
        },
        doc="A strategy's own code raises while it is handed a tick, an order or a fill.",
        remedy="Keep it from the adapter and from the other subscribers, who get every event all "
        "the same; and tell a person, since a strategy that fails on every event is blind.",
        source="vnpy's EventEngine calls handlers bare on its one thread, which a raise ends.",
    )
    _EVENTS: ClassVar = {"tick": EVENT_TICK, "order": EVENT_ORDER, "trade": EVENT_TRADE}

    def begin(self) -> None:
        """Subscribe."""
        self._is_on = True
        self.site.own_client.events.register(self._event, self._raise)

    def end(self) -> None:
        """Unsubscribe."""
        self._is_on = False
        self.site.own_client.events.unregister(self._event, self._raise)

    def is_healed(self) -> bool:
        """Whether nothing more is raised."""
        return not self._is_on

    @property
    def _event(self) -> str:
        return self._EVENTS[str(self.parameter("event"))]

    def _raise(self, event: Event) -> None:
        connection_id = self.site.link.connection_id
        if event.data.adapter_name == self.site.link.name and connection_id is not None:
            self.site.fired(connection_id, "handler", "raised")
            raise ZeroDivisionError("the strategy divided by an empty position")


class BlockedLoop(LinkFault):
    """A callback holds the adapter's loop: nothing is read or written until it lets go."""

    kind = FaultKind(
        name="blocked_loop",
        category=ErrorCategory.SYSTEM,
        # From outside, and to the rest of the engine, it cannot be told from a dead connection.
        accepted=(ErrorCategory.CONNECTION,),
        aims=(),
        blocks=("*",),
        doc="Somebody's callback computes, or waits for a disk, on the loop that serves the "
        "adapter. Nothing is lost: what came meanwhile, and what was to be sent, goes through at "
        "once when it lets go. In virtual time this is a jump for one component: every message "
        "of this adapter is held until the end, as with an I/O loop for each adapter. The timers "
        "of the rest go on meanwhile; that timers of the same loop fire late is not shown, since "
        "stopping the whole loop would stop the venue too.",
        remedy="Bound every wait from outside the blocked part; after the burst judge prices by "
        "their own time; do not reconnect what works again.",
        source="Python's asyncio, Developing with asyncio: running blocking code, slow callbacks.",
    )

    def opening(self, connection_id: str) -> Effect | None:
        """Hold the handshake."""
        self.site.fired(connection_id, "connect", "delayed")
        return self._held()

    def pinging(self, connection_id: str) -> Effect | None:
        """Hold the ping."""
        self.site.fired(connection_id, "ping", "delayed")
        return self._held()

    def sending(self, request: VenueRequest) -> Effect | None:
        """Hold the request."""
        self.touched(request, "delayed")
        return self._held()

    def replying(self, request: VenueRequest, reply: VenueReply) -> Effect | None:
        """Leave the reply unread."""
        self.touched(request, "delayed")
        return self._held()

    def framing(self, connection_id: str, frame: bytes) -> Effect | None:
        """Leave the frame unread."""
        return self._held()

    def _held(self) -> Effect:
        return Delay(max(0.0, self.occurrence.end - self.site.now()))


class ClockJump(LinkFault):
    """Our own wall clock steps, and is set right again at the end."""

    kind = FaultKind(
        name="clock_jump",
        category=ErrorCategory.SYSTEM,
        # What comes of it is that the venue refuses our time stamps.
        accepted=(ErrorCategory.AUTHENTICATION,),
        variants=("forward", "back"),
        aims=(),
        everywhere=True,
        parameters={
            "by": ParameterSpec(type="duration", default=30.0, doc="How far it steps."),
        },
        doc="NTP, a person or a resumed machine sets the wall clock: elapsed time goes on evenly, "
        "the date does not. Signed requests carry the wrong time and are refused with -1021.",
        remedy="Measure every wait by the monotonic clock: no timeout, backoff, open breaker or "
        "Retry-After may feel it. For the time stamps, measure the difference to the venue anew.",
        source="clock_gettime(2), CLOCK_REALTIME is settable; ccxt #2281.",
    )

    def begin(self) -> None:
        """Step."""
        super().begin()
        self.site.own_client.step_clock(self._by)

    def end(self) -> None:
        """Step back."""
        super().end()
        self.site.own_client.step_clock(-self._by)

    def replying(self, request: VenueRequest, reply: VenueReply) -> Effect | None:
        """Note who was refused for his time stamp."""
        if reply.status == 400 and orjson.loads(reply.body)["code"] == _TIMESTAMP_REFUSED:
            self.touched(request, "refused by its time stamp")
        return None

    @property
    def _by(self) -> float:
        by = self.seconds("by")
        return by if self.variant == "forward" else -by


def _closed() -> Exception:
    return ConnectionResetError(104, "closed by the venue for maintenance")


def _broken() -> Exception:
    return RuntimeError("the adapter's reader task has died")
