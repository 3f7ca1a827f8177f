"""How primitives report: frozen events to listeners, and the listener that logs them.

A primitive (breaker, retry, recovery) makes one frozen dataclass per thing that happened and
hands it to its `Listeners`. Logs, metrics and the harness's history are all just listeners.
"""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum
from typing import Any, Generic, TypeVar

import structlog

from foxtrot.util.errors import FoxtrotError
from foxtrot.util.redaction import described, jsonable

__all__ = ["Listeners", "event_name", "log_listener"]

EventT = TypeVar("EventT")


class Listeners(Generic[EventT]):
    """The listeners of one source of events, called in the order in which they were added.

    A listener that raises is dropped for good, with one log line, and the source never feels it.
    What is not an `Exception` (cancellation, Ctrl-C) passes through: it was meant for the caller.

    Safe for threads. No lock is held while a listener runs, so that a listener may use the
    source, add and remove listeners; such a change shows from the next event on.
    """

    __slots__ = ("_listeners", "_lock")

    def __init__(self, listeners: Iterable[Callable[[EventT], object]] = ()) -> None:
        self._listeners = tuple(listeners)
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        """Whether anybody listens: ask before making an event on a hot path."""
        return bool(self._listeners)

    def __repr__(self) -> str:
        return f"Listeners({list(self._listeners)!r})"

    def add(self, listener: Callable[[EventT], object]) -> None:
        """Append `listener`. Added twice, it is called twice."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def remove(self, listener: Callable[[EventT], object]) -> bool:
        """Take `listener` out, once; return whether it was there."""
        with self._lock:
            listeners = list(self._listeners)
            if listener not in listeners:
                return False
            listeners.remove(listener)
            self._listeners = tuple(listeners)
            return True

    def emit(self, event: EventT) -> None:
        """Call every listener with `event`. Raises no `Exception`."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception as exc:  # whatever it is, it is the listener's own trouble
                if self.remove(listener):  # else another thread was first, and told
                    _report_dropped(listener, event, exc)


def _report_dropped(listener: object, event: object, exc: Exception) -> None:
    # The log itself may be what is broken; then there is nobody left to tell.
    with suppress(Exception):
        structlog.get_logger("foxtrot").error(
            "listener.dropped",
            listener=repr(listener),
            on=event_name(event),
            error=_text_of(exc),
        )


def event_name(event: object) -> str:
    """The dotted name of an event: its class without `Event`, then its `kind` if it has one.

    A `BreakerEvent` of kind `opened` is `breaker.opened`; a `RateGateEvent` is `rate_gate`.
    """
    name = type(event).__name__
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.removesuffix("Event") or name)
    subject = words.strip("_").lower()
    kind = _plain(getattr(event, "kind", None))
    return subject if kind is None else f"{subject}.{kind}"


def log_listener(logger: Any = None) -> Callable[[Any], None]:
    """Return a listener that logs any frozen dataclass under its `event_name`, redacted.

    Args:
        logger: Anything with structlog's `info` and `warning`; the default is
            `structlog.get_logger("foxtrot")`, as configured when the first event comes.

    An event that carries an `error` is a warning, any other is information. Fields become
    key-values; an `error` becomes text, with its `error_id` beside it.
    """
    target = structlog.get_logger("foxtrot") if logger is None else logger

    def log(event: Any) -> None:
        fields = _fields(event)
        method = target.info if fields.get("error") is None else target.warning
        method(event_name(event), **fields)

    return log


def _fields(event: Any) -> dict[str, Any]:
    values = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    values.pop("kind", None)  # it is in the name
    error_id = getattr(values.get("error"), "error_id", None)
    fields = {_key(name): _plain(value) for name, value in values.items()}
    return fields if error_id is None else {**fields, "error_id": error_id}


def _key(name: str) -> str:
    # structlog's own word for the message: as a keyword it would be a TypeError.
    return "event_" if name == "event" else name


def _plain(value: object) -> Any:  # Any: whatever jsonable returns
    if isinstance(value, Enum):
        return value.value
    return _text_of(value) if isinstance(value, BaseException) else jsonable(value)


def _text_of(error: BaseException) -> str:
    if isinstance(error, FoxtrotError):
        return f"{type(error).__name__}: {error.message}"
    return described(error)
