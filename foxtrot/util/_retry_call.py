"""One retried call: the state it keeps, the events it makes, and the waiting it does.

`foxtrot.util._retry_policy` decides; `foxtrot.util.retry` wraps this around functions and blocks,
and is the place to import from.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from foxtrot.util._retry_policy import (
    RetryConfig,
    RetryDeadlineError,
    compute_delay,
    is_retryable,
)
from foxtrot.util.clock import Clock
from foxtrot.util.errors import FoxtrotError
from foxtrot.util.instrumentation import Listeners

__all__ = ["Call", "Policy", "RetryEvent", "RetryEventKind", "Stop", "without_waiting"]


class RetryEventKind(StrEnum):
    """What happened: see `RetryEvent`."""

    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    EXHAUSTED = "exhausted"
    REFUSED = "refused"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True)
class RetryEvent:
    """One thing that happened to one call. A call that succeeds at once makes no event.

    Attributes:
        name: The decorated function's qualified name, or the loop's.
        kind: `waiting` before a retry, `succeeded` after at least one; or the call failed for
            good: `exhausted` (no tries or no time left), `refused` (this failure is not retried,
            or a stop was asked for), `budget` (the shared budget is empty).
        attempt: Tries made so far, from 1.
        delay: Seconds until the next try; 0.0 when there is none.
        error: The failure. When time ran out, a `RetryDeadlineError` chained to it.
        at: Monotonic seconds of the clock.
    """

    name: str
    kind: RetryEventKind
    attempt: int
    delay: float
    error: Exception | None
    at: float


class Stop(Protocol):
    """What ends the waits of threads early; a `threading.Event` is one."""

    def is_set(self) -> bool:
        """Whether to stop."""
        ...

    def wait(self, timeout: float) -> bool:
        """Block for `timeout` seconds or until set; return whether it is set."""
        ...


_waiting: ContextVar[bool] = ContextVar("foxtrot_retry_waiting", default=True)


@contextmanager
def without_waiting() -> Iterator[None]:
    """Retry without waiting inside the `with` block, for tests; events still name the delays.

    Holds for the current context: tasks started inside inherit it, other tasks and new threads do
    not see it. What was set before comes back at the end.
    """
    token = _waiting.set(False)
    try:
        yield
    finally:
        _waiting.reset(token)


@dataclass(frozen=True, slots=True)
class Policy:
    """What all calls of one decorated function, or all runs of one loop, share."""

    config: RetryConfig
    clock: Clock
    rng: random.Random
    listeners: Listeners[RetryEvent]
    stop: Stop | None

    def start(self) -> float:
        """When a call that starts now started; 0.0 if nothing will ask."""
        return 0.0 if self.config.deadline is None else self.clock.now()


class Call:
    """One call: counts its tries and decides after each failure. Never shared."""

    __slots__ = ("_name", "_policy", "_started", "blocks", "failures")

    def __init__(self, policy: Policy, name: str, started: float, *, blocks: bool) -> None:
        self._policy = policy
        self._name = name
        self._started = started
        self.failures = 0
        self.blocks = blocks

    def delay_after(self, error: Exception) -> float | None:
        """Seconds until the next try, or None if `error` is final: then raise it again."""
        self.failures += 1
        try:
            delay = self._decide(error)
        except RetryDeadlineError as refusal:
            refusal.__cause__ = error
            refusal.timestamp = self._policy.clock.wall()
            _add_note(error, str(refusal))
            self._give_up(RetryEventKind.EXHAUSTED, error, shown=refusal)
            return None
        if isinstance(delay, RetryEventKind):
            self._give_up(delay, error)
            return None
        self._emit(RetryEventKind.WAITING, self.failures, error, delay)
        return delay

    def _decide(self, error: Exception) -> float | RetryEventKind:
        """The delay, or why there is none."""
        config, stop = self._policy.config, self._policy.stop
        if not is_retryable(config, error) or (stop is not None and stop.is_set()):
            return RetryEventKind.REFUSED
        if self.failures > config.max_retries:
            return RetryEventKind.EXHAUSTED
        delay = self._next_delay(error)
        if self.blocks and delay > 0:
            _refuse_to_block_a_loop(self._name)
        # Last, so that a retry that is not made is not charged.
        if config.budget is not None and not config.budget.try_spend():
            return RetryEventKind.BUDGET
        return delay

    def wait(self, error: Exception) -> bool:
        """Block until the next try is due; False if `error` is final."""
        delay = self.delay_after(error)
        if delay is None:
            return False
        if not _waiting.get():
            return True
        stop = self._policy.stop
        if stop is None:
            self._policy.clock.sleep_sync(delay)
        elif stop.wait(delay):
            self._give_up(RetryEventKind.REFUSED, error)
            return False
        return True

    async def wait_async(self, error: Exception) -> bool:
        """Suspend until the next try is due; False if `error` is final."""
        delay = self.delay_after(error)
        if delay is None:
            return False
        await self.pause(delay)
        return True

    async def pause(self, delay: float) -> None:
        """Suspend for `delay` seconds."""
        await self._policy.clock.sleep(delay if _waiting.get() else 0.0)

    def succeed(self) -> None:
        """Take note that this try succeeded."""
        if self.failures:
            self._emit(RetryEventKind.SUCCEEDED, self.failures + 1, None)

    def _next_delay(self, error: Exception) -> float:
        policy, deadline = self._policy, self._policy.config.deadline
        return compute_delay(
            policy.config,
            self.failures - 1,
            policy.rng,
            retry_after=error.retry_after if isinstance(error, FoxtrotError) else None,
            remaining=None if deadline is None else self._started + deadline - policy.clock.now(),
        )

    def _give_up(
        self, kind: RetryEventKind, error: Exception, *, shown: Exception | None = None
    ) -> None:
        _note_attempts(error, self.failures)
        self._emit(kind, self.failures, shown or error)

    def _emit(
        self, kind: RetryEventKind, attempt: int, error: Exception | None, delay: float = 0.0
    ) -> None:
        listeners = self._policy.listeners
        if listeners:
            at = self._policy.clock.now()
            listeners.emit(RetryEvent(self._name, kind, attempt, delay, error, at))


def _note_attempts(error: Exception, attempts: int) -> None:
    if isinstance(error, FoxtrotError):
        error.context["attempts"] = attempts
    else:
        _add_note(error, f"attempts: {attempts}")


def _add_note(error: Exception, note: str) -> None:
    # An exception may be frozen, or be one instance that is raised for ever: the note must neither
    # put another error in its place nor pile up.
    with suppress(Exception):
        kind = note.split(":", maxsplit=1)[0]
        notes = getattr(error, "__notes__", [])
        error.__notes__ = [*(old for old in notes if old.split(":", maxsplit=1)[0] != kind), note]


def _refuse_to_block_a_loop(name: str) -> None:
    if not _waiting.get():
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        f"expected {name} to be retried off the event loop: the wait would block this thread, and "
        "with it every task of its running loop; make it async, or call it in a thread "
        "(asyncio.to_thread)"
    )
