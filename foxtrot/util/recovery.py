"""Automated recovery: which actions to take for an error, in which order, and when to give up.

A strategy *plans*: it returns a finite ladder of rungs. The manager *climbs*: one climb per
adapter at a time, each step with a backoff before it and a deadline over it. A step has succeeded
when the verification says so, which asks the outside (the venue, the streams), and never because
the action returned. Waiting is not recovery.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Protocol, runtime_checkable

from foxtrot.util.clock import SYSTEM_CLOCK, Clock
from foxtrot.util.errors import ErrorCategory, ErrorSeverity, FoxtrotError
from foxtrot.util.instrumentation import Listeners
from foxtrot.util.retry import RetryConfig, compute_delay

__all__ = [
    "DEFAULT_LADDERS",
    "ConnectionRecoveryStrategy",
    "ErrorRecoveryManager",
    "LadderStrategy",
    "RateLimitRecoveryStrategy",
    "RecoveryAction",
    "RecoveryEvent",
    "RecoveryExecutor",
    "RecoveryStrategy",
    "Rung",
    "default_strategies",
]


class RecoveryAction(Enum):
    """What can be done about an error."""

    RETRY = "retry"
    RECONNECT = "reconnect"
    RESTART_COMPONENT = "restart_component"
    SWITCH_ADAPTER = "switch_adapter"
    ALERT_OPERATOR = "alert_operator"
    GRACEFUL_SHUTDOWN = "graceful_shutdown"


_HANDS_OVER = frozenset({RecoveryAction.ALERT_OPERATOR, RecoveryAction.GRACEFUL_SHUTDOWN})


@runtime_checkable
class RecoveryExecutor(Protocol):
    """Who carries the actions out. The engine is one; `context["executor"]` names it."""

    def supports(self, action: RecoveryAction, error: FoxtrotError) -> bool:
        """Whether the action can be done here at all. Rungs that cannot are skipped."""
        ...

    async def perform(self, action: RecoveryAction, error: FoxtrotError) -> None:
        """Do it. Raises when it failed; returning proves nothing."""
        ...

    async def verify(self, action: RecoveryAction, error: FoxtrotError) -> bool:
        """Ask the outside whether what the error broke works again, thanks to the action."""
        ...


class RecoveryStrategy(ABC):
    """How to recover from some kind of error. Subclass it for recoveries of your own."""

    #: Seconds that one execution may take.
    deadline: float = 30.0

    @abstractmethod
    async def can_handle(self, error: FoxtrotError) -> bool:
        """Whether this strategy is for `error`."""

    @abstractmethod
    async def execute_recovery(self, error: FoxtrotError, context: Mapping[str, Any]) -> bool:
        """Try once; True only when the outside confirms that it works again."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One action of a ladder, how often it is tried (at most), and how long a try may take.

    `attempts` None leaves the number to the manager's `max_recovery_attempts`.
    """

    action: RecoveryAction
    attempts: int | None = None
    deadline: float = 15.0


_RETRY = Rung(RecoveryAction.RETRY, attempts=2, deadline=12.0)
_RECONNECT = Rung(RecoveryAction.RECONNECT)
_RESTART = Rung(RecoveryAction.RESTART_COMPONENT, attempts=2)
_SWITCH = Rung(RecoveryAction.SWITCH_ADAPTER, attempts=1)
_ALERT = Rung(RecoveryAction.ALERT_OPERATOR, attempts=1)
_SHUTDOWN = Rung(RecoveryAction.GRACEFUL_SHUTDOWN, attempts=1, deadline=60.0)

DEFAULT_LADDERS: Mapping[ErrorCategory, tuple[Rung, ...]] = {
    ErrorCategory.CONNECTION: (_RETRY, _RECONNECT, _RESTART, _SWITCH, _ALERT),
    ErrorCategory.RATE_LIMIT: (_RETRY, _RECONNECT, _ALERT),
    ErrorCategory.MARKET_DATA: (_RETRY, _RECONNECT, _RESTART, _SWITCH, _ALERT),
    ErrorCategory.AUTHENTICATION: (_RETRY, Rung(RecoveryAction.RECONNECT, attempts=2), _ALERT),
    ErrorCategory.ORDER_EXECUTION: (Rung(RecoveryAction.RETRY), _ALERT),
    ErrorCategory.VALIDATION: (_RETRY, Rung(RecoveryAction.RECONNECT, attempts=2), _ALERT),
    ErrorCategory.SYSTEM: (_RESTART, _SWITCH, _ALERT),
}


class LadderStrategy(RecoveryStrategy):
    """The ladder of one category: the cheapest action first, a person last."""

    def __init__(self, category: ErrorCategory, rungs: Sequence[Rung] | None = None) -> None:
        self.category = category
        self.rungs = tuple(DEFAULT_LADDERS[category] if rungs is None else rungs)

    async def can_handle(self, error: FoxtrotError) -> bool:
        """True for errors of the category."""
        return error.category is self.category

    async def execute_recovery(self, error: FoxtrotError, context: Mapping[str, Any]) -> bool:
        """Take each rung once, until one is verified."""
        executor = executor_of(context)
        for rung, _ in self.plan(error, executor, attempts=1):
            if await take_rung(rung, error, executor):
                return True
        return False

    def plan(
        self, error: FoxtrotError, executor: RecoveryExecutor, *, attempts: int
    ) -> Iterator[tuple[Rung, int]]:
        """The rungs to take, each with how often it was taken before. Finite."""
        for rung in (*self.rungs, *_last_resort(error)):
            if executor.supports(rung.action, error):
                yield from ((rung, n) for n in range(min(attempts, rung.attempts or attempts)))


class ConnectionRecoveryStrategy(LadderStrategy):
    """Connections: see whether it was nothing, reconnect, restart, switch, call somebody."""

    def __init__(self) -> None:
        super().__init__(ErrorCategory.CONNECTION)


class RateLimitRecoveryStrategy(LadderStrategy):
    """Rate limits: stay quiet as long as the venue asks, then prove that it listens again."""

    def __init__(self) -> None:
        super().__init__(ErrorCategory.RATE_LIMIT)


def default_strategies() -> list[RecoveryStrategy]:
    """A ladder for each category."""
    named: list[RecoveryStrategy] = [ConnectionRecoveryStrategy(), RateLimitRecoveryStrategy()]
    covered = {ErrorCategory.CONNECTION, ErrorCategory.RATE_LIMIT}
    return named + [
        LadderStrategy(category) for category in ErrorCategory if category not in covered
    ]


@dataclass(frozen=True, slots=True)
class RecoveryEvent:
    """Something that the recovery did: started, step, succeeded, failed, skipped or joined."""

    kind: str
    error: FoxtrotError
    adapter_name: str
    strategy: str
    action: RecoveryAction | None
    attempt: int
    reason: str = ""


class ErrorRecoveryManager:
    """Recovers from errors, one climb per adapter at a time.

    Twenty errors of one broken connection make one reconnect: the first climbs, the others join
    it and share its result.

    Args:
        strategies: Asked in order; the first that can handle an error gets it. Default: a ladder
            for every category.
        clock: Time.
        rng: Jitter of the waits between attempts.
        base_delay: Seconds before the second attempt of a rung; doubles with each.
        max_delay: The longest wait between two attempts.
        listeners: Called with each RecoveryEvent.

    Attributes:
        recovery_history: The last 1000 records, oldest first, with what was not attempted and why.
    """

    HISTORY_LIMIT = 1000

    def __init__(
        self,
        strategies: Iterable[RecoveryStrategy] | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        rng: random.Random | None = None,
        base_delay: float = 0.5,
        max_delay: float = 6.0,
        listeners: Iterable[Callable[[RecoveryEvent], None]] = (),
    ) -> None:
        self.strategies = default_strategies() if strategies is None else list(strategies)
        self._history: deque[dict[str, Any]] = deque(maxlen=self.HISTORY_LIMIT)
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._backoff = RetryConfig(base_delay=base_delay, max_delay=max_delay)
        self._listeners = Listeners(listeners)
        self._climbs: dict[str, asyncio.Future[bool]] = {}

    @property
    def recovery_history(self) -> list[dict[str, Any]]:
        """A copy of the records."""
        return list(self._history)

    def add_listener(self, listener: Callable[[RecoveryEvent], None]) -> None:
        """Call `listener` with each event from now on."""
        self._listeners.add(listener)

    def is_recovering(self, adapter_name: str) -> bool:
        """Whether a climb for the adapter is under way."""
        return adapter_name in self._climbs

    async def handle_error(
        self,
        error: FoxtrotError,
        context: Mapping[str, Any],
        max_recovery_attempts: int = 3,
    ) -> bool:
        """Recover from `error`; True when the outside confirms that it worked.

        Args:
            error: What to recover from. One that is not recoverable is only recorded.
            context: `executor`, a RecoveryExecutor; or, as a plain platform has it, `adapters`, a
                mapping of names to adapters with connect, disconnect and status.
            max_recovery_attempts: How often each rung of the ladder is tried.
        """
        if not error.recoverable:
            return self._skipped(error, None, "not recoverable")
        strategy = await self._strategy_for(error)
        if strategy is None:
            return self._skipped(error, None, "no strategy for it")
        key = error.adapter_name or ""
        running = self._climbs.get(key)
        if running is not None:
            return await self._joined(error, strategy, running)
        return await self._climb_alone(key, error, strategy, context, max_recovery_attempts)

    async def _strategy_for(self, error: FoxtrotError) -> RecoveryStrategy | None:
        for strategy in self.strategies:
            if await strategy.can_handle(error):
                return strategy
        return None

    async def _joined(
        self, error: FoxtrotError, strategy: RecoveryStrategy, running: asyncio.Future[bool]
    ) -> bool:
        self._emit("joined", error, strategy, None, 0)
        # Shielded: a caller that gives up must not take the climb of all the others with it.
        success = await asyncio.shield(running)
        self._record(error, strategy, success, 0, "joined a recovery under way")
        return success

    async def _climb_alone(
        self,
        key: str,
        error: FoxtrotError,
        strategy: RecoveryStrategy,
        context: Mapping[str, Any],
        attempts: int,
    ) -> bool:
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._climbs[key] = done
        success = False
        try:
            success = await self._climb(error, strategy, context, attempts)
        finally:
            del self._climbs[key]
            done.set_result(success)
        return success

    async def _climb(
        self,
        error: FoxtrotError,
        strategy: RecoveryStrategy,
        context: Mapping[str, Any],
        attempts: int,
    ) -> bool:
        self._emit("started", error, strategy, None, 0)
        taken = 0
        for step in self._steps(error, strategy, context, attempts):
            if step.repetition:
                delay = compute_delay(self._backoff, step.repetition - 1, self._rng)
                await self._clock.sleep(delay)
            taken += 1
            self._emit("step", error, strategy, step.action, taken)
            if await self._take(step, error, strategy, taken):
                return self._ended(error, strategy, success=True, attempts=taken)
        return self._ended(error, strategy, success=False, attempts=taken)

    def _steps(
        self,
        error: FoxtrotError,
        strategy: RecoveryStrategy,
        context: Mapping[str, Any],
        attempts: int,
    ) -> Iterator[_Step]:
        if not isinstance(strategy, LadderStrategy):
            execute = partial(strategy.execute_recovery, error, context)
            yield from (_Step(None, n, strategy.deadline, execute) for n in range(attempts))
            return
        executor = executor_of(context)
        for rung, repetition in strategy.plan(error, executor, attempts=attempts):
            # The venue's own wait is part of the step: it must not run into the deadline.
            deadline = rung.deadline + (error.retry_after or 0.0)
            yield _Step(
                rung.action, repetition, deadline, partial(take_rung, rung, error, executor)
            )

    async def _take(
        self, step: _Step, error: FoxtrotError, strategy: RecoveryStrategy, attempt: int
    ) -> bool:
        try:
            async with asyncio.timeout(step.deadline):
                return await step.run()
        except Exception as exc:  # a step that breaks has failed; the next one may not
            reason = f"{type(exc).__name__}: {exc}"
            self._emit("step_failed", error, strategy, step.action, attempt, reason)
            return False

    def _skipped(self, error: FoxtrotError, strategy: RecoveryStrategy | None, reason: str) -> bool:
        self._emit("skipped", error, strategy, None, 0, reason)
        self._record(error, strategy, False, 0, reason)
        return False

    def _ended(
        self, error: FoxtrotError, strategy: RecoveryStrategy, *, success: bool, attempts: int
    ) -> bool:
        self._record(error, strategy, success, attempts, "")
        self._emit("succeeded" if success else "failed", error, strategy, None, attempts)
        return success

    def _emit(
        self,
        kind: str,
        error: FoxtrotError,
        strategy: RecoveryStrategy | None,
        action: RecoveryAction | None,
        attempt: int,
        reason: str = "",
    ) -> None:
        self._listeners.emit(
            RecoveryEvent(
                kind, error, error.adapter_name or "", _name(strategy), action, attempt, reason
            )
        )

    def _record(
        self,
        error: FoxtrotError,
        strategy: RecoveryStrategy | None,
        success: bool,
        attempts: int,
        reason: str,
    ) -> None:
        self._history.append(
            {
                "error_id": error.error_id,
                "category": error.category.value,
                "severity": error.severity.value,
                "adapter": error.adapter_name,
                "strategy": _name(strategy),
                "success": success,
                "attempts": attempts,
                "attempted": attempts > 0,
                "reason": reason,
                "timestamp": self._clock.wall().isoformat(),
            }
        )


@dataclass(frozen=True, slots=True)
class _Step:
    action: RecoveryAction | None
    repetition: int
    deadline: float
    run: Callable[[], Awaitable[bool]]


async def take_rung(rung: Rung, error: FoxtrotError, executor: RecoveryExecutor) -> bool:
    """Perform the rung's action and verify it. Handing over to a person recovers nothing."""
    await executor.perform(rung.action, error)
    return rung.action not in _HANDS_OVER and await executor.verify(rung.action, error)


def _last_resort(error: FoxtrotError) -> tuple[Rung, ...]:
    fatal = error.severity is ErrorSeverity.CRITICAL and error.category is ErrorCategory.SYSTEM
    return (_SHUTDOWN,) if fatal else ()


def _name(strategy: RecoveryStrategy | None) -> str:
    return "" if strategy is None else type(strategy).__name__


def executor_of(context: Mapping[str, Any]) -> RecoveryExecutor:
    """The executor that the context names, or one over its bare adapters."""
    executor = context.get("executor")
    if isinstance(executor, RecoveryExecutor):
        return executor
    return _AdapterExecutor(context.get("adapters") or {})


class _AdapterExecutor:
    """Actions on bare adapters, for platforms without our engine: look again, and reconnect."""

    def __init__(self, adapters: Mapping[str, Any]) -> None:  # Any: foreign adapters
        self._adapters = adapters

    def supports(self, action: RecoveryAction, error: FoxtrotError) -> bool:
        return (
            action in {RecoveryAction.RETRY, RecoveryAction.RECONNECT}
            and error.adapter_name in self._adapters
        )

    async def perform(self, action: RecoveryAction, error: FoxtrotError) -> None:
        if action is RecoveryAction.RECONNECT:
            adapter = self._adapters[error.adapter_name or ""]
            with suppress(Exception):  # the socket is dead already: the usual case
                await adapter.disconnect()
            await adapter.connect()

    async def verify(self, action: RecoveryAction, error: FoxtrotError) -> bool:
        adapter = self._adapters[error.adapter_name or ""]
        if str(adapter.status) != "connected":
            return False
        if hasattr(adapter, "ping"):
            await adapter.ping()
        return True
