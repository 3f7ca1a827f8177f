"""Passes a breaker's events on: in order, outside its lock, and without harm from who listens."""

from __future__ import annotations

import inspect
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeAlias

from foxtrot.util._breaker_records import BreakerEvent
from foxtrot.util.instrumentation import Listeners as Audience

__all__ = ["Listener", "Listeners"]

Listener: TypeAlias = Callable[[BreakerEvent], object]


class Listeners:
    """Those who hear of every event.

    Raises:
        TypeError: a listener cannot be called, or is a coroutine function nobody would await.
    """

    def __init__(self, listeners: Iterable[Listener]) -> None:
        self._audience: Audience[BreakerEvent] = Audience()
        self._turn = threading.Lock()
        for listener in listeners:
            self.add(listener)

    def add(self, listener: Listener) -> None:
        """Pass every event from now on to `listener` too."""
        if not _is_callable(listener) or inspect.iscoroutinefunction(listener):
            raise TypeError(
                f"expected a plain function as listener, got listener={listener!r}; "
                "let it put the event on a queue if it has to wait for something"
            )
        self._audience.add(listener)

    def deliver(self, events: deque[BreakerEvent]) -> None:
        """Empty `events`, unless another thread, or a caller further up, is about it already.

        Nobody waits for the turn: who does not get it leaves its events to who has it. So order
        holds over all threads, a listener may use the breaker, and a slow one delays one caller.
        """
        while events and self._turn.acquire(blocking=False):
            try:
                while events:
                    self._audience.emit(events.popleft())
            finally:
                self._turn.release()


def _is_callable(listener: object) -> bool:
    return callable(listener)
