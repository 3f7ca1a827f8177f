"""Events between adapters, the engine and its users, under upstream Foxtrot's names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = [
    "EVENT_ACCOUNT",
    "EVENT_ERROR",
    "EVENT_LOG",
    "EVENT_ORDER",
    "EVENT_TICK",
    "EVENT_TRADE",
    "Event",
    "EventEngine",
    "EventSink",
    "Handler",
]

EVENT_TICK = "eTick."
EVENT_TRADE = "eTrade."
EVENT_ORDER = "eOrder."
EVENT_ACCOUNT = "eAccount."
EVENT_LOG = "eLog"
EVENT_ERROR = "eError."


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: its type, and the object that says what."""

    type: str
    data: Any  # Any: each type has its own kind of data


Handler = Callable[[Event], None]


class EventSink(Protocol):
    """Where an adapter puts what it hears from its venue."""

    def put(self, event: Event) -> None:
        """Take the event. Must not block and must not raise."""
        ...


class EventEngine:
    """Hands each event at once, in the caller's thread, to the handlers registered for its type.

    A handler that raises hurts neither the sender nor the other handlers: its error goes to
    `on_handler_error`, which by default drops it.
    """

    def __init__(
        self, *, on_handler_error: Callable[[Event, Exception], None] | None = None
    ) -> None:
        self._handlers: dict[str, tuple[Handler, ...]] = {}
        self._on_handler_error = on_handler_error
        self._is_chosen = on_handler_error is not None

    def tell_errors_to(self, on_handler_error: Callable[[Event, Exception], None]) -> None:
        """Tell what handlers raise to this one from now on, unless it was made with another.

        The latest is told: an engine that took it over from one that was closed.
        """
        if not self._is_chosen:
            self._on_handler_error = on_handler_error

    def register(self, type: str, handler: Handler) -> None:  # noqa: A002 - upstream's name
        """Call `handler` for every event of `type`; a second registration changes nothing."""
        handlers = self._handlers.get(type, ())
        if handler not in handlers:
            self._handlers[type] = (*handlers, handler)

    def unregister(self, type: str, handler: Handler) -> None:  # noqa: A002 - upstream's name
        """Stop calling `handler` for events of `type`; not registered is fine."""
        self._handlers[type] = tuple(h for h in self._handlers.get(type, ()) if h != handler)

    def put(self, event: Event) -> None:
        """Dispatch `event`."""
        for handler in self._handlers.get(event.type, ()):
            try:
                handler(event)
            except Exception as exc:  # a subscriber's fault must not reach the adapter
                if self._on_handler_error is not None:
                    self._on_handler_error(event, exc)
