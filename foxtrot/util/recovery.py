"""Automated recovery: climbing a ladder of actions until the outside confirms that it worked.

A strategy plans (see `foxtrot.util._recovery_ladder`, which is imported from here). The manager
climbs: one climb per adapter at a time, each step with a backoff before it and a deadline over
it. A step has succeeded when the verification says so, which asks the outside (the venue, the
streams), and never because the action returned. Waiting is not recovery.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from foxtrot.util._recovery_adapters import AdapterExecutor
from foxtrot.util._recovery_ladder import (
    DEFAULT_LADDERS,
    REPAIRS,
    ConnectionRecoveryStrategy,
    LadderStrategy,
    RateLimitRecoveryStrategy,
    RecoveryAction,
    RecoveryExecutor,
    RecoveryStrategy,
    Rung,
    default_strategies,
    take_rung,
)
from foxtrot.util.clock import SYSTEM_CLOCK, Clock
from foxtrot.util.errors import ErrorCategory, FoxtrotError
from foxtrot.util.instrumentation import Listeners
from foxtrot.util.redaction import described
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

# What opens a connection anew. None stands for a strategy of the user's own, which may.
_REOPENS = frozenset({RecoveryAction.RECONNECT, RecoveryAction.RESTART_COMPONENT, None})
_KEEPS_COMPONENT = frozenset({RecoveryAction.RETRY, RecoveryAction.RECONNECT})


@dataclass(frozen=True, slots=True)
class RecoveryEvent:
    """What the recovery did: started, step, step_failed, succeeded, failed, skipped or joined.

    `at` is in monotonic seconds of the recovery's clock.
    """

    kind: str
    error: FoxtrotError
    adapter_name: str
    strategy: str
    action: RecoveryAction | None
    attempt: int
    reason: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class _Step:
    action: RecoveryAction | None
    repetition: int
    deadline: float
    run: Callable[[], Awaitable[bool]]


@dataclass(slots=True)
class _Climb:
    """One recovery under way. `done` is None for one that was cancelled."""

    error: FoxtrotError
    strategy: RecoveryStrategy
    executor: RecoveryExecutor
    done: asyncio.Future[bool | None]
    verifications: int = 0
    taken: int = 0
    spent: float = 0.0
    relapses: Mapping[bool, int] = field(default_factory=dict)
    is_locked_out: bool = False
    is_broken: bool = False

    def note_verification(self) -> None:
        self.verifications += 1

    def note_failure(self, exc: Exception) -> None:
        """Learn from a step that failed: what is wrong may be worse than what was climbed for."""
        self.is_locked_out = self.is_locked_out or _is_lockout(exc)
        self.is_broken = self.is_broken or _is_breakage(exc)

    def is_pointless(self, action: RecoveryAction | None) -> bool:
        if self.is_locked_out:
            return action in REPAIRS
        return self.is_broken and action in _KEEPS_COMPONENT

    def answers_for(
        self, error: FoxtrotError, strategy: RecoveryStrategy, arrived_at: int, success: bool
    ) -> bool:
        """Whether this climb's end says what becomes of an error that arrived during it.

        A failure answers for errors that would climb the same ladder. A success answers for what
        its verification saw: not for what broke after it had begun, and not for what it does not
        look at.
        """
        if not success:
            return strategy is self.strategy
        is_later = self.verifications > arrived_at
        return is_later and (strategy is self.strategy or self.executor.covers(error))


class ErrorRecoveryManager:
    """Recovers from errors, one climb per adapter at a time.

    Twenty errors of one broken connection make one reconnect: the first climbs, the others join
    it and share its result. An error that the climb's verification did not cover climbs on its
    own afterwards; one whose climber was cancelled takes the climb over.

    Args:
        strategies: Asked in order; the first that can handle an error gets it. Default: a ladder
            for every category.
        clock: Time.
        rng: Jitter of the waits between attempts.
        base_delay: Seconds before the second attempt of a rung; doubles with each.
        max_delay: The longest wait between two attempts, unless the venue asks for more. What
            worked again for less than that has relapsed: the waits go on growing, for opening
            anew and for looking again apart.
        listeners: Called with each RecoveryEvent.

    Attributes:
        recovery_history: The last 1000 records, oldest first, with what was not attempted and why.

    All coroutines belong to one event loop; `recovery_history` may be read from any thread.
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
        self._climbs: dict[str, _Climb] = {}
        # When it last worked again, opened anew or not, and after how many relapses.
        self._mended: dict[tuple[str, bool], tuple[float, int]] = {}

    @property
    def recovery_history(self) -> list[dict[str, Any]]:
        """A copy of the records."""
        return list(self._history.copy())  # in C, and therefore at one instant

    def add_listener(self, listener: Callable[[RecoveryEvent], None]) -> None:
        """Call `listener` with each event from now on."""
        self._listeners.add(listener)

    def is_recovering(self, adapter_name: str) -> bool:
        """Whether a climb for the adapter is under way."""
        return adapter_name in self._climbs

    def verifications(self, adapter_name: str) -> int:
        """How many verifications the climb under way has begun; 0 when there is none.

        Errors of one category between two of them share their fate: one of them is enough.
        """
        climb = self._climbs.get(adapter_name)
        return 0 if climb is None else climb.verifications

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
                mapping of names to adapters of the seed's or upstream's shape.
            max_recovery_attempts: How often each rung of the ladder is tried.
        """
        if not error.recoverable:
            return self._skipped(error, "not recoverable")
        strategy = await self._strategy_for(error)
        if strategy is None:
            return self._skipped(error, "no strategy for it")
        key = error.adapter_name or ""
        while (running := self._climbs.get(key)) is not None:
            answer = await self._join(error, strategy, running)
            if answer is not None:
                return answer
        executor = self._executor_of(context, error)
        done: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()
        climb = self._climbs[key] = _Climb(error, strategy, executor, done)
        return await self._climb_alone(key, climb, context, max_recovery_attempts)

    def _executor_of(self, context: Mapping[str, Any], error: FoxtrotError) -> RecoveryExecutor:
        executor = context.get("executor")
        if isinstance(executor, RecoveryExecutor):
            return executor
        return AdapterExecutor(context.get("adapters") or {}, error, self._clock)

    async def _strategy_for(self, error: FoxtrotError) -> RecoveryStrategy | None:
        for strategy in self.strategies:
            if await strategy.can_handle(error):
                return strategy
        return None

    async def _join(
        self, error: FoxtrotError, strategy: RecoveryStrategy, climb: _Climb
    ) -> bool | None:
        """Wait for a climb under way; its result, or None if that says nothing of this error."""
        arrived_at = climb.verifications
        self._emit("joined", error, strategy)
        # Shielded: a caller that gives up must not take the climb of all the others with it.
        success = await asyncio.shield(climb.done)
        if success is None or not climb.answers_for(error, strategy, arrived_at, success):
            return None
        self._record(error, strategy, success, 0, "joined a recovery under way")
        return success

    async def _climb_alone(
        self, key: str, climb: _Climb, context: Mapping[str, Any], attempts: int
    ) -> bool:
        success = None
        climb.relapses = {reopened: self._relapses(key, reopened) for reopened in (True, False)}
        try:
            success = await self._climb(climb, context, attempts)
        finally:
            del self._climbs[key]
            climb.done.set_result(success)
            self._ended(climb, success)
        return success

    def _relapses(self, key: str, reopened: bool) -> int:
        """How many times in a row it worked again, by opening anew or without, and not for long.

        Each of them was a success, of which no ladder tires: a venue that accepts and drops would
        be knocked at several times a second, and one whose every report leaves a gap be asked
        for everything, until it answers no more questions.
        """
        mended_at, relapses = self._mended.get((key, reopened), (-math.inf, 0))
        lasted = self._clock.now() - mended_at
        return relapses + 1 if lasted < self._backoff.max_delay else 0

    async def _climb(self, climb: _Climb, context: Mapping[str, Any], attempts: int) -> bool:
        self._emit("started", climb.error, climb.strategy)
        for step in self._steps(climb, context, attempts):
            if climb.is_pointless(step.action):
                continue
            await self._wait_before(step, climb)
            climb.taken += 1
            self._emit("step", climb.error, climb.strategy, step.action, climb.taken)
            if await self._take(step, climb):
                self._note_mended(step, climb)
                return True
        return False

    def _note_mended(self, step: _Step, climb: _Climb) -> None:
        reopened = step.action in _REOPENS
        key = (climb.error.adapter_name or "", reopened)
        self._mended[key] = (self._clock.now(), climb.relapses[reopened])

    def _steps(self, climb: _Climb, context: Mapping[str, Any], attempts: int) -> Iterator[_Step]:
        error, strategy, executor = climb.error, climb.strategy, climb.executor
        if not isinstance(strategy, LadderStrategy):
            own = partial(_execute, strategy, climb, context)
            yield from (_Step(None, n, strategy.deadline, own) for n in range(attempts))
            return
        plan = strategy.plan(error, executor, attempts=attempts, spent=lambda: climb.spent)
        for rung, repetition in plan:
            take = partial(take_rung, rung, error, executor, on_verify=climb.note_verification)
            yield _Step(rung.action, repetition, rung.deadline, take)

    async def _wait_before(self, step: _Step, climb: _Climb) -> None:
        """Back off, and leave the venue alone as long as it asks. No part of the step's deadline.

        Calling a person, and turning to another venue, need no leave of this one.
        """
        delay = 0.0
        tries = step.repetition
        is_repair = step.action is None or step.action in REPAIRS
        if is_repair:
            relapses = climb.relapses[step.action in _REOPENS]
            tries = max(tries, relapses - 1)  # one relapse may be chance, two are a pattern
        if tries:
            delay = compute_delay(self._backoff, tries - 1, self._rng)
        climb.spent += delay
        if is_repair:
            delay = max(delay, climb.executor.wait(climb.error))
        if delay > 0:
            await self._clock.sleep(delay)

    async def _take(self, step: _Step, climb: _Climb) -> bool:
        began_at = self._clock.now()
        try:
            async with asyncio.timeout(step.deadline):
                return await step.run()
        except Exception as exc:  # a step that breaks has failed; the next one may not
            climb.note_failure(exc)
            reason = described(exc)
            self._emit("step_failed", climb.error, climb.strategy, step.action, climb.taken, reason)
            return False
        finally:
            # A venue that asks for quiet is no venue that is away.
            if climb.executor.wait(climb.error) <= 0:
                climb.spent += self._clock.now() - began_at

    def _skipped(self, error: FoxtrotError, reason: str) -> bool:
        self._emit("skipped", error, None, None, 0, reason)
        self._record(error, None, False, 0, reason)
        return False

    def _ended(self, climb: _Climb, success: bool | None) -> None:
        reason = "cancelled" if success is None else ""
        self._record(climb.error, climb.strategy, bool(success), climb.taken, reason)
        kind = "succeeded" if success else "failed"
        self._emit(kind, climb.error, climb.strategy, None, climb.taken, reason)

    def _emit(
        self,
        kind: str,
        error: FoxtrotError,
        strategy: RecoveryStrategy | None,
        action: RecoveryAction | None = None,
        attempt: int = 0,
        reason: str = "",
    ) -> None:
        name, at = error.adapter_name or "", self._clock.now()
        self._listeners.emit(
            RecoveryEvent(kind, error, name, _name(strategy), action, attempt, reason, at)
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


async def _execute(strategy: RecoveryStrategy, climb: _Climb, context: Mapping[str, Any]) -> bool:
    climb.note_verification()
    return await strategy.execute_recovery(climb.error, context)


def _is_lockout(exc: Exception) -> bool:
    """Whether the venue does not accept who we are: asking it again and again gets a key banned."""
    return (
        isinstance(exc, FoxtrotError)
        and exc.category is ErrorCategory.AUTHENTICATION
        and not exc.recoverable
    )


def _is_breakage(exc: Exception) -> bool:
    """Whether the adapter itself raised: it neither answers nor connects until it is built anew."""
    return isinstance(exc, FoxtrotError) and exc.category is ErrorCategory.SYSTEM


def _name(strategy: RecoveryStrategy | None) -> str:
    return "" if strategy is None else type(strategy).__name__
