"""Whether to retry, and how long to wait first: values and pure functions, no waiting.

`foxtrot.util.retry` carries out what is decided here, and is the place to import from.
"""

from __future__ import annotations

import math
import random
import socket
import threading
from dataclasses import KW_ONLY, dataclass
from enum import Enum
from typing import Any

from foxtrot.util.clock import SYSTEM_CLOCK, Clock
from foxtrot.util.errors import FoxtrotError, Outcome

__all__ = [
    "RETRIED_BY_DEFAULT",
    "OperationKind",
    "RetryBudget",
    "RetryConfig",
    "RetryDeadlineError",
    "compute_delay",
    "is_retryable",
]

RETRIED_BY_DEFAULT: tuple[type[BaseException], ...] = (FoxtrotError, OSError, TimeoutError)
"""What is retried unless `exceptions` says otherwise: our own errors and the network's.

ConnectionError is an OSError. KeyError, TypeError and their like are bugs: they fail the same way
a second time.
"""

# Refused before a byte of the request could leave; every other foreign error may have come after.
_NEVER_SENT = (ConnectionRefusedError, socket.gaierror)

# The least part of the spread that makes it worth keeping under `max_delay`; see compute_delay.
_LEAST_SPREAD = 0.1


class OperationKind(Enum):
    """What a second execution of the operation would do.

    READ changes nothing. IDEMPOTENT may be repeated: the venue knows it again by a key.
    NOT_IDEMPOTENT would happen twice; it is retried only when the error proves that the first try
    did not happen (NOT_SENT or REJECTED). Otherwise look it up first.
    """

    READ = "read"
    IDEMPOTENT = "idempotent"
    NOT_IDEMPOTENT = "not_idempotent"


class RetryBudget:
    """Caps the retries of everybody who shares it, so that an outage is not answered by a storm.

    A token bucket: full at first, each retry takes one token, first tries take none. In any span
    of `t` seconds there are at most `capacity + per_second * t` retries, whoever asks. Safe for
    threads.

    Raises:
        ValueError: `capacity` is under 1 or `per_second` negative, or either is not finite.
    """

    def __init__(
        self, capacity: float = 10.0, per_second: float = 1.0, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        _check_number("capacity", capacity, at_least=1.0)
        _check_number("per_second", per_second)
        self._capacity = float(capacity)
        self._per_second = per_second
        self._clock = clock
        self._tokens = self._capacity
        self._at = clock.now()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"RetryBudget(capacity={self._capacity:g}, per_second={self._per_second:g})"

    def available(self) -> float:
        """Return the tokens there are now."""
        with self._lock:
            return self._refill()

    def try_spend(self) -> bool:
        """Take one token; False, and nothing taken, if there is none."""
        with self._lock:
            if self._refill() < 1.0:
                return False
            self._tokens -= 1.0
            return True

    def _refill(self) -> float:
        now = self._clock.now()
        gained = max(0.0, now - self._at) * self._per_second
        self._tokens = min(self._capacity, self._tokens + gained)
        self._at = now
        return self._tokens


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """How to retry. All times are seconds.

    Args:
        max_retries: Tries after the first; 0 switches retrying off.
        base_delay: The wait after the first failure, before jitter.
        max_delay: No wait is longer, unless the venue asked for a longer one.
        exponential_base: The factor from one wait to the next, at least 1.
        jitter: Whether waits are spread, so that clients do not come back in lockstep.
        jitter_range: The least and the greatest factor of that spread.
        exceptions: What is retried. `recoverable=False` and what is no `Exception`
            (cancellation, Ctrl-C) never are, whatever stands here.
        deadline: For all tries and waits together. A wait that does not fit is not begun; a try
            that is running is not cut short.
        kind: What a second execution would do.
        budget: Shared with other callers.

    Raises:
        ValueError: A value is out of range, or two contradict each other.
        TypeError: A value is of the wrong type.
    """

    max_retries: int = 3
    base_delay: float = 1.0
    max_delay: float = 60.0
    exponential_base: float = 2.0
    jitter: bool = True
    jitter_range: tuple[float, float] = (0.5, 1.5)
    exceptions: tuple[type[BaseException], ...] = RETRIED_BY_DEFAULT
    _: KW_ONLY
    deadline: float | None = None
    kind: OperationKind = OperationKind.READ
    budget: RetryBudget | None = None

    def __post_init__(self) -> None:
        _check_max_retries(self.max_retries)
        _check_number("base_delay", self.base_delay)
        _check_number("max_delay", self.max_delay)
        _check_number("exponential_base", self.exponential_base, at_least=1.0)
        _check_delays_agree(self.base_delay, self.max_delay)
        _check_jitter_range(self.jitter_range)
        _check_exceptions(self.exceptions)
        _check_deadline(self.deadline)
        _check_kind(self.kind)
        _check_budget(self.budget)


class RetryDeadlineError(FoxtrotError):
    """Raised when the wait before the next try would not fit into the time that is left.

    `retry_after` is the wait that was needed. What happened to the request itself is said by the
    failure before it.
    """

    def __init__(self, needed: float, remaining: float, **overrides: Any) -> None:
        details = {"needed": needed, "remaining": remaining}
        defaults: dict[str, Any] = {
            "recoverable": True,
            "retry_after": needed,
            "suggested_action": f"Try again in {needed:g} seconds, or allow a longer deadline",
        }
        context = {**details, **(overrides.pop("context", None) or {})}
        super().__init__(
            f"No retry: a wait of {needed:g} s does not fit into the remaining {remaining:g} s",
            context=context,
            **{**defaults, **overrides},
        )


def is_retryable(config: RetryConfig, error: Exception) -> bool:
    """Whether `error` may be followed by another try, tries and time permitting."""
    if not isinstance(error, config.exceptions):
        return False
    if isinstance(error, FoxtrotError) and not error.recoverable:
        return False
    return config.kind is not OperationKind.NOT_IDEMPOTENT or _is_surely_undone(error)


def _is_surely_undone(error: Exception) -> bool:
    if isinstance(error, FoxtrotError):
        return error.outcome in {Outcome.NOT_SENT, Outcome.REJECTED}
    return isinstance(error, _NEVER_SENT)


def compute_delay(
    config: RetryConfig,
    attempt: int,
    rng: random.Random,
    *,
    retry_after: float | None = None,
    remaining: float | None = None,
) -> float:
    """Return the seconds to wait after a failure.

    The laws: never before `retry_after`, and spread above it; a `retry_after` of 0.0 means now;
    without it never above `max_delay`, and still spread there; never past `remaining`. With a
    `retry_after` under `max_delay` the spread stays under `max_delay` too, unless less than a
    tenth of it would fit. Any `attempt`, however large, is fine.

    Args:
        config: The schedule.
        attempt: The retries made so far: 0 after the first failure.
        rng: Where the jitter comes from.
        retry_after: Seconds before which the venue asked not to come back.
        remaining: Seconds until the deadline.

    Raises:
        RetryDeadlineError: Even the shortest wait is longer than `remaining`, or nothing remains.
    """
    floor, top = _window(config, attempt, retry_after)
    if remaining is not None:
        if remaining <= 0 or floor > remaining:
            raise RetryDeadlineError(floor, max(0.0, remaining))
        top = min(top, remaining)
    return min(top, floor + (top - floor) * rng.random()) if top > floor else floor


def _window(config: RetryConfig, attempt: int, retry_after: float | None) -> tuple[float, float]:
    """The shortest and the longest wait."""
    if retry_after == 0.0:
        return 0.0, 0.0
    least, greatest = config.jitter_range if config.jitter else (1.0, 1.0)
    # Cutting the drawn wait at the cap would pile everybody up on it, in the very outage that the
    # jitter is for. So the base is lowered until the widest draw fits.
    base = _grown(config, attempt, cap=config.max_delay / max(1.0, greatest))
    top = min(base * greatest, config.max_delay)
    floor = min(base * least, top)
    if retry_after is None or retry_after <= floor:
        return floor, top
    # The window moves up as a whole: max(retry_after, wait) would put every short draw on the
    # same instant, and all clients were told the same instant.
    moved = retry_after + (top - floor)
    has_room = config.max_delay - retry_after >= (top - floor) * _LEAST_SPREAD
    return retry_after, min(moved, config.max_delay) if has_room else moved


def _grown(config: RetryConfig, attempt: int, cap: float) -> float:
    if attempt < 0:
        raise ValueError(f"expected attempt counted from 0, got attempt={attempt!r}")
    if config.base_delay == 0.0:
        return 0.0
    try:
        return min(cap, config.base_delay * float(config.exponential_base) ** attempt)
    except OverflowError:
        return cap


def _check_max_retries(value: object) -> None:
    if not isinstance(value, int) or value < 0:
        raise ValueError(
            f"expected max_retries as a whole number, at least 0, got max_retries={value!r}; "
            "0 means one try and no retry"
        )


def _check_number(name: str, value: object, *, at_least: float = 0.0) -> None:
    if not isinstance(value, int | float) or not math.isfinite(value) or value < at_least:
        raise ValueError(
            f"expected {name} as a finite number, at least {at_least:g}, got {name}={value!r}"
        )


def _check_delays_agree(base_delay: float, max_delay: float) -> None:
    if base_delay > max_delay:
        raise ValueError(
            f"expected base_delay to be at most max_delay, got base_delay={base_delay!r} and "
            f"max_delay={max_delay!r}; lower the one or raise the other"
        )


def _check_jitter_range(value: object) -> None:
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError(f"expected jitter_range as (least, greatest), got jitter_range={value!r}")
    least, greatest = value
    _check_number("jitter_range[0]", least)
    _check_number("jitter_range[1]", greatest)
    if least > greatest:
        raise ValueError(
            f"expected jitter_range as (least, greatest), got jitter_range={value!r}; swap them"
        )


def _check_exceptions(value: object) -> None:
    if not isinstance(value, tuple) or not all(_is_exception_type(item) for item in value):
        raise TypeError(
            f"expected exceptions as a tuple of exception types, got exceptions={value!r}; "
            "write one type as (ConnectionError,)"
        )
    if not value:
        raise ValueError(
            "expected at least one type in exceptions, got exceptions=(); "
            "pass max_retries=0 to switch retrying off"
        )


def _is_exception_type(item: object) -> bool:
    return isinstance(item, type) and issubclass(item, BaseException)


def _check_deadline(value: float | None) -> None:
    if value is None:
        return
    _check_number("deadline", value)
    if value == 0:
        raise ValueError(
            "expected deadline in seconds, over 0, got deadline=0; pass None for no deadline"
        )


def _check_kind(value: object) -> None:
    if not isinstance(value, OperationKind):
        raise TypeError(f"expected kind as an OperationKind, got kind={value!r}")


def _check_budget(value: object) -> None:
    if value is not None and not isinstance(value, RetryBudget):
        raise TypeError(f"expected budget as a RetryBudget or None, got budget={value!r}")
