"""The core behind its lock: where a breaker's clock is read, its errors judged, its events sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

from foxtrot.util._breaker_core import BreakerCore
from foxtrot.util._breaker_listeners import Listener, Listeners
from foxtrot.util._breaker_records import (
    BreakerMetrics,
    BreakerMode,
    CallOutcome,
    CircuitBreakerOpenError,
    CircuitState,
    Grant,
)
from foxtrot.util._breaker_rules import asked_of, outcome_of, retry_after_of
from foxtrot.util._breaker_snapshot import restore, snapshot
from foxtrot.util.clock import Clock

__all__ = ["Call", "Gate", "Permit"]

# The probes that what runs here is a part of, whichever breaker's. One variable for all breakers,
# since a context variable is never freed; a tuple, so that a task cannot change its parent's.
_probing: ContextVar[tuple[Grant, ...]] = ContextVar("foxtrot_breaker_probes", default=())


class Gate:
    """One breaker as threads may use it. No user code runs while the lock is held."""

    def __init__(
        self,
        core: BreakerCore,
        clock: Clock,
        *,
        adapter: str | None,
        is_expected: Callable[[BaseException], bool],
        is_excluded: Callable[[BaseException], bool],
        listeners: Iterable[Listener],
    ) -> None:
        self.core = core
        self.listeners = Listeners(listeners)
        # The type of the last result that was found to be no awaitable or generator. Calls of one
        # breaker return few types, so most results need no look but this one.
        self.plain: type = type(None)
        self._clock = clock
        self._adapter = adapter
        self._is_expected = is_expected
        self._is_excluded = is_excluded
        # Re-entrant, since the garbage collector or a signal handler may run inside it, and close
        # a coroutine that holds a permit of this breaker: that has to come back, not to wait.
        self._lock = threading.RLock()

    def admit(self) -> Grant:
        """Let one call through, or raise a rejection of its own."""
        now = self._clock.now()
        with self._lock:
            grant = self.core.admit(now, _probing.get())
            if grant is None:
                failures, wait = self.core.failure_count, self.core.retry_after(now)
        self._deliver()
        if grant is None:
            raise CircuitBreakerOpenError(
                self.core.name, failures, retry_after=wait, adapter=self._adapter, clock=self._clock
            )
        return grant

    def settle(self, grant: Grant, outcome: CallOutcome, exc: BaseException | None = None) -> None:
        """Report how an admitted call ended."""
        reason = "" if exc is None else type(exc).__name__
        now, wait, asked = self._clock.now(), retry_after_of(exc), asked_of(exc)
        with self._lock:
            self.core.settle(grant, outcome, now, reason=reason, retry_after=wait, asked=asked)
        self._deliver()

    def judge(self, grant: Grant, exc: BaseException | None) -> None:
        """Report the end of a call by what it raised, None being a success."""
        outcome = CallOutcome.SUCCESS
        if exc is not None:
            outcome = outcome_of(exc, self._is_expected, self._is_excluded)
        self.settle(grant, outcome, exc)

    def switch(self, mode: BreakerMode, reason: str) -> None:
        """Start afresh under `mode`."""
        now = self._clock.now()
        with self._lock:
            self.core.switch(mode, now, reason)
        self._deliver()

    def hold(self, seconds: float) -> None:
        """Let no open window end sooner than in `seconds`."""
        now = self._clock.now()
        with self._lock:
            self.core.hold(seconds, now)
        self._deliver()

    def state(self) -> CircuitState:
        """The effective state."""
        now = self._clock.now()
        with self._lock:
            return self.core.effective_state(now)

    def retry_after(self) -> float | None:
        """Seconds until a probe may go, if that is known."""
        now = self._clock.now()
        with self._lock:
            return self.core.retry_after(now)

    def metrics(self) -> BreakerMetrics:
        """The counts so far."""
        with self._lock:
            return self.core.metrics()

    def snapshot(self) -> dict[str, Any]:
        """State and deadlines, for another process."""
        now, wall = self._clock.now(), self._clock.wall().timestamp()
        with self._lock:
            return snapshot(self.core, now, wall)

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take over a snapshot."""
        now, wall = self._clock.now(), self._clock.wall().timestamp()
        with self._lock:
            restore(self.core, data, now, wall)
        self._deliver()

    def _deliver(self) -> None:
        if self.core.events:
            self.listeners.deliver(self.core.events)


class Permit:
    """Leave for one call. Report its end once; what is reported after that is ignored.

    Also a context manager, sync and async, that reports what its block did. Unlike
    `with breaker:`, it may be entered in one context and left in another.
    """

    __slots__ = ("_gate", "_grant")

    def __init__(self, gate: Gate, grant: Grant) -> None:
        self._gate = gate
        self._grant = grant

    def success(self) -> None:
        """The dependency answered."""
        self._gate.settle(self._grant, CallOutcome.SUCCESS)

    def failure(self, exc: BaseException | None = None) -> None:
        """The dependency failed. A `retry_after` on `exc` is kept as a floor of the open time.

        Reported late, after a transition, only that of a rate limit or ban is.
        """
        self._gate.settle(self._grant, CallOutcome.FAILURE, exc)

    def neutral(self) -> None:
        """The call says nothing of the dependency, or was never made."""
        self._gate.settle(self._grant, CallOutcome.NEUTRAL)

    def unknown(self, exc: BaseException | None = None) -> None:
        """Nobody knows whether the dependency acted. Counts as a failure."""
        self._gate.settle(self._grant, CallOutcome.UNKNOWN, exc)

    def settle(self, exc: BaseException | None) -> None:
        """Report what `exc` means to the breaker, None being a success."""
        self._gate.judge(self._grant, exc)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.settle(exc)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.settle(exc)


class Call(Permit):
    """A permit for one call that is made in one context, and for all that is called inside of it.

    Calls of the same breaker inside of a probe would have to be refused, as no probe is left for
    them, and the probe would fail of that. They go through and decide nothing; so do those of tasks
    that it starts, until the probe ends. What is inside ends where the call is left, be it in
    another context, as a coroutine is that the garbage collector closes.
    """

    __slots__ = ()

    def enter(self) -> None:
        """From here on it is inside."""
        if self._grant.lease_until is not None:
            _probing.set((*_probing.get(), self._grant))

    def leave(self) -> None:
        """From here on it is not."""
        if self._grant.lease_until is not None:
            _probing.set(tuple(each for each in _probing.get() if each is not self._grant))

    async def __aenter__(self) -> Self:
        self.enter()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()
        self.settle(exc)
