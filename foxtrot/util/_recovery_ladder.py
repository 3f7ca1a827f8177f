"""Which actions are taken for an error, in which order, and how often: the ladders.

A strategy *plans*: it returns a finite ladder of rungs. Nothing here waits or keeps state.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Protocol, runtime_checkable

from foxtrot.util.errors import ErrorCategory, ErrorSeverity, FoxtrotError

__all__ = [
    "DEFAULT_LADDERS",
    "REPAIRS",
    "ConnectionRecoveryStrategy",
    "LadderStrategy",
    "RateLimitRecoveryStrategy",
    "RecoveryAction",
    "RecoveryExecutor",
    "RecoveryStrategy",
    "Rung",
    "default_strategies",
    "take_rung",
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

#: What is done to the failed adapter itself, and is pointless where it cannot log in.
REPAIRS = frozenset(
    {RecoveryAction.RETRY, RecoveryAction.RECONNECT, RecoveryAction.RESTART_COMPONENT}
)

# With a standby at hand there is no point in trying for minutes what has failed this often, or for
# this many seconds in all: a venue that is silent makes each try last as long as it may. Some room
# is left for what passes by itself, since to go over and back costs more than a short wait.
_ATTEMPTS_BEFORE_SWITCH = 3
_PATIENCE_BEFORE_SWITCH = 12.0
_SHORTEST_TRY = 1.0

# A person hears of a wait longer than this when it begins, not when it is over.
_LONG_WAIT = 600.0


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

    def covers(self, error: FoxtrotError) -> bool:
        """Whether a verification that passed shows that this error, too, is over."""
        ...

    def wait(self, error: FoxtrotError) -> float:
        """Seconds for which the venue wants to be left alone before it may be asked again."""
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
    # To the end: errors of what breaks during the wait join this climb.
    ErrorCategory.RATE_LIMIT: (_RETRY, _RECONNECT, _RESTART, _SWITCH, _ALERT),
    # To subscribe again helps at once or not at all, and prices are missing meanwhile.
    ErrorCategory.MARKET_DATA: (
        Rung(RecoveryAction.RETRY, attempts=1, deadline=6.0),
        *(_RECONNECT, _RESTART, _SWITCH, _ALERT),
    ),
    ErrorCategory.AUTHENTICATION: (_RETRY, Rung(RecoveryAction.RECONNECT, attempts=2), _ALERT),
    ErrorCategory.ORDER_EXECUTION: (Rung(RecoveryAction.RETRY), _ALERT),
    # Some half a minute: what a CDN garbles passes by itself, a changed interface does not.
    ErrorCategory.VALIDATION: (_RETRY, Rung(RecoveryAction.RECONNECT, attempts=8), _ALERT),
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
        """Take each rung once, until one is verified. Needs `context["executor"]`.

        The manager does not use this: it climbs rung by rung, with waits and deadlines.
        """
        executor: RecoveryExecutor = context["executor"]
        for rung, _ in self.plan(error, executor, attempts=1):
            if await take_rung(rung, error, executor):
                return True
        return False

    def plan(
        self,
        error: FoxtrotError,
        executor: RecoveryExecutor,
        *,
        attempts: int,
        spent: Callable[[], float] = lambda: 0.0,
    ) -> Iterator[tuple[Rung, int]]:
        """The rungs to take, each with how often it was taken before. Finite.

        Whether a rung can be taken is asked each time that it comes to it: a shutdown, or a
        connection that is known to be down by now, ends a rung before its attempts are used up.
        `spent` says how many seconds of trying it has been; while a standby could take over, they
        are bounded.
        """
        if executor.wait(error) > _LONG_WAIT and executor.supports(_ALERT.action, error):
            yield _ALERT, 0
        rungs = (*self.rungs, *_last_resort(error))
        for number, rung in enumerate(rungs):
            limit = min(attempts, rung.attempts or attempts)
            for repetition in range(limit):
                may_switch = _SWITCH in rungs[number + 1 :] and executor.supports(
                    RecoveryAction.SWITCH_ADAPTER, error
                )
                left = _PATIENCE_BEFORE_SWITCH - spent() if may_switch else math.inf
                has_enough = may_switch and repetition >= _ATTEMPTS_BEFORE_SWITCH
                if has_enough or left <= 0 or not executor.supports(rung.action, error):
                    break
                deadline = min(rung.deadline, max(left, _SHORTEST_TRY))
                yield replace(rung, deadline=deadline), repetition


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


async def take_rung(
    rung: Rung,
    error: FoxtrotError,
    executor: RecoveryExecutor,
    *,
    on_verify: Callable[[], None] = lambda: None,
) -> bool:
    """Perform the rung's action and verify it. Handing over to a person recovers nothing.

    `on_verify` is called between the two: what breaks later, the verification may have missed.
    """
    await executor.perform(rung.action, error)
    if rung.action in _HANDS_OVER:
        return False
    on_verify()
    return await executor.verify(rung.action, error)


def _last_resort(error: FoxtrotError) -> tuple[Rung, ...]:
    fatal = error.severity is ErrorSeverity.CRITICAL and error.category is ErrorCategory.SYSTEM
    return (_SHUTDOWN,) if fatal else ()
