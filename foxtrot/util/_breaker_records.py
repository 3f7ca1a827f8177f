"""What a breaker says of itself: its states, events, counts, and the error that refuses a call."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

from foxtrot.util.errors import ErrorCategory, ErrorSeverity, FoxtrotError, Outcome

__all__ = [
    "BreakerEvent",
    "BreakerEventKind",
    "BreakerMetrics",
    "BreakerMode",
    "CallOutcome",
    "CircuitBreakerOpenError",
    "CircuitState",
    "Generation",
    "Grant",
    "Tally",
]


class CircuitState(Enum):
    """CLOSED lets calls through, OPEN refuses them, HALF_OPEN lets a few probes through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CallOutcome(Enum):
    """How a call ended, as far as the breaker cares.

    NEUTRAL says nothing of the dependency (cancelled, a business answer): it gives its permit
    back and moves no count. UNKNOWN trips like a failure and is told apart for the order's sake.
    """

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"
    UNKNOWN = "unknown"


class BreakerMode(Enum):
    """Who decides: the results, an operator, or nobody."""

    AUTOMATIC = "automatic"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"
    SHADOW = "shadow"


class BreakerEventKind(StrEnum):
    """What an event reports.

    STATE: the state changed. MODE: an operator acted and the state stayed. FAILURE: a failure was
    counted. BLOCKED: a call was refused, or would have been but for shadow. LATE: a result came
    from before a transition, or after its lease. EXPIRED: a probe kept its permit too long.
    HOLD: the venue asked for a pause.
    """

    STATE = "state"
    MODE = "mode"
    FAILURE = "failure"
    BLOCKED = "blocked"
    LATE = "late"
    EXPIRED = "expired"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class BreakerEvent:
    """One thing that happened to a breaker; `at` in monotonic seconds of the breaker's clock."""

    name: str
    kind: BreakerEventKind
    at: float
    from_state: CircuitState
    to_state: CircuitState
    reason: str
    failure_count: int
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class BreakerMetrics:
    """Counts since the breaker was made.

    `admitted` calls end as one of the four outcomes or `late`; the difference is in flight or
    never reported. While nothing is wrong, a call is counted as admitted when it ends: to count it
    twice would be a quarter of what it may cost. `shadowed` calls were let through that an
    enforcing breaker would refuse. Calls inside of a probe are parts of it and counted with it.
    """

    admitted: int
    blocked: int
    shadowed: int
    success: int
    failure: int
    neutral: int
    unknown: int
    late: int
    expired: int
    transitions: int


class Generation:
    """The time from one transition to the next. Compared by identity alone."""

    __slots__ = ()


@dataclass(eq=False, slots=True)
class Grant:
    """One admission: the generation it belongs to and, for a probe, when its lease ends.

    Without a generation (let through by shadow) the result is counted and decides nothing. Without
    a start it took the lane, and is counted as admitted when it ends.
    """

    generation: Generation | None
    started: float | None = None
    lease_until: float | None = None
    is_settled: bool = False


class Tally:
    """A count that threads raise without a lock.

    `next` on an `itertools.count` is one step of the interpreter, where `+= 1` is three. Reading
    costs a step of the count too, which is taken off again; only readers need a lock.
    """

    __slots__ = ("_reads", "hit")

    def __init__(self) -> None:
        self.hit = itertools.count().__next__
        self._reads = 0

    def read(self) -> int:
        """How often `hit` was called."""
        hits = self.hit() - self._reads
        self._reads += 1
        return hits


class CircuitBreakerOpenError(FoxtrotError):
    """Raised when a breaker refuses a call. Nothing was sent.

    `retry_after` is the time until a probe may go; None when the breaker is forced open, or when
    all its probes are out and nobody knows when one will be back.
    """

    default_severity = ErrorSeverity.HIGH
    default_category = ErrorCategory.CONNECTION
    default_outcome = Outcome.NOT_SENT

    def __init__(
        self,
        service_name: str,
        failure_count: int,
        *,
        retry_after: float | None = None,
        adapter: str | None = None,
        **overrides: Any,  # Any: whatever FoxtrotError takes
    ) -> None:
        context = {
            "service": service_name,
            "failure_count": failure_count,
            "adapter": adapter or service_name,
            **(overrides.pop("context", None) or {}),
        }
        overrides.setdefault(
            "suggested_action", f"Service {service_name} is temporarily unavailable"
        )
        super().__init__(
            f"Circuit breaker open for {service_name} after {failure_count} failures",
            context=context,
            retry_after=retry_after,
            **overrides,
        )
