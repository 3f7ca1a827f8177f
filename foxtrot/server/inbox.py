"""Where an adapter pushes what it hears: the engine looks at everything before subscribers do."""

from __future__ import annotations

from collections.abc import Callable

from foxtrot.server.connection import AdapterConnection
from foxtrot.server.orders import OrderPipeline
from foxtrot.util.clock import Clock
from foxtrot.util.errors import ComponentError, FoxtrotError
from foxtrot.util.event import (
    EVENT_ERROR,
    EVENT_ORDER,
    EVENT_TICK,
    EVENT_TRADE,
    Event,
    EventSink,
)
from foxtrot.util.redaction import described, jsonable

__all__ = ["Inbox", "of_subscriber"]


class Inbox:
    """Takes the pushes of one adapter, and of those that replace it.

    Args:
        subscribers: Where ticks, and what the engine itself has no use for, go on to.
        pipeline: Takes orders and trades.
        connection: The adapter's connection; not asked before the first push.
        surfaced: Told each error.
        clock: Time.
    """

    def __init__(
        self,
        subscribers: EventSink,
        pipeline: OrderPipeline,
        *,
        connection: Callable[[], AdapterConnection],
        surfaced: Callable[[FoxtrotError], None],
        clock: Clock,
    ) -> None:
        self._subscribers = subscribers
        self._pipeline = pipeline
        self._connection = connection
        self._surfaced = surfaced
        self._clock = clock
        self._slot: EventSink | None = None

    def for_new_adapter(self) -> EventSink:
        """The sink of the adapter that is being built. The one before is no longer listened to."""
        self._slot = _Slot(self)
        return self._slot

    def take(self, slot: EventSink, event: Event) -> None:
        """Take a push. Never raises: the adapter could only mistake it for its own fault."""
        try:
            self._dispatch(event, is_current=slot is self._slot)
        except Exception as exc:
            error = ComponentError(
                "engine",
                f"could not take {event.type} from its adapter: {jsonable(exc)}",
                clock=self._clock,
                context={"adapter": self._connection().name, "operation": event.type},
            )
            error.__cause__ = exc
            self._surfaced(error)

    def _dispatch(self, event: Event, *, is_current: bool) -> None:
        # Orders and fills are facts, whoever brings them. How a replaced adapter fares, and what
        # its streams still bring, is of no interest.
        if event.type == EVENT_ORDER:
            if is_current:
                self._connection().saw_report()
            self._pipeline.apply_order(self._connection(), event.data)
        elif event.type == EVENT_TRADE:
            self._pipeline.apply_trade(event.data)
        elif is_current and event.type == EVENT_ERROR:
            self._connection().saw_error(event.data)
            self._surfaced(event.data)
        elif is_current:
            if event.type == EVENT_TICK:
                self._connection().saw_tick(event.data)
            self._subscribers.put(event)


class _Slot:
    """What one adapter is given."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def put(self, event: Event) -> None:
        self._inbox.take(self, event)


def of_subscriber(
    event: Event, exc: Exception, name: str, connection: AdapterConnection | None, clock: Clock
) -> ComponentError:
    """The error that a subscriber raised over an event of the adapter of that name."""
    error = ComponentError(
        f"subscriber of {event.type}",
        f"it raised {described(exc)}",
        clock=clock,
        context={
            "adapter": name,
            "operation": event.type,
            "cause_type": type(exc).__name__,
            "correlation_id": connection.adapter.connection_id if connection else "",
        },
        suggested_action="Mend the handler: it misses what it is handed",
    )
    error.__cause__ = exc
    return error
