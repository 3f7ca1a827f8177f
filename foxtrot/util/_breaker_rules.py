"""What a breaker is told: its limits, checked once, and how it reads the end of a call."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from foxtrot.util._breaker_records import CallOutcome, CircuitBreakerOpenError
from foxtrot.util.errors import ErrorCategory, FoxtrotError, Outcome

__all__ = [
    "Duration",
    "ErrorSpec",
    "Rules",
    "as_seconds",
    "asked_of",
    "matcher",
    "outcome_of",
    "retry_after_of",
]

Duration: TypeAlias = dt.timedelta | float
ErrorPredicate: TypeAlias = Callable[[BaseException], object]
ErrorSpec: TypeAlias = (
    type[BaseException] | ErrorPredicate | tuple[type[BaseException] | ErrorPredicate, ...]
)

_BUSINESS = frozenset(
    {ErrorCategory.ORDER_EXECUTION, ErrorCategory.VALIDATION, ErrorCategory.AUTHENTICATION}
)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The limits of one breaker; durations in seconds.

    Raises:
        TypeError: a count is not a whole number.
        ValueError: a limit is out of range, or two contradict each other.
    """

    failure_threshold: int
    success_threshold: int
    timeout: float
    half_open_max_calls: int
    failure_rate_threshold: float | None
    window_seconds: float
    minimum_calls: int
    slow_call_seconds: float | None
    slow_call_rate_threshold: float | None
    timeout_growth: float
    max_timeout: float
    permit_lease: float

    def __post_init__(self) -> None:
        for name in (
            "failure_threshold",
            "success_threshold",
            "half_open_max_calls",
            "minimum_calls",
        ):
            _check_count(name, getattr(self, name))
        _check_rate("failure_rate_threshold", self.failure_rate_threshold)
        _check_rate("slow_call_rate_threshold", self.slow_call_rate_threshold)
        for name in ("window_seconds", "permit_lease"):
            _check_positive(name, getattr(self, name))
        self._check_slow_calls()
        self._check_growth()

    @property
    def uses_window(self) -> bool:
        """Whether every result has to be kept, and not only the run of failures."""
        return self.failure_rate_threshold is not None or self.slow_call_seconds is not None

    def is_slow(self, seconds: float) -> bool:
        """Whether a call of this length is a slow one. Never without `slow_call_seconds`."""
        return self.slow_call_seconds is not None and seconds >= self.slow_call_seconds

    def grown(self, open_time: float) -> float:
        """The open time after one more failed probe. Never above `max_timeout`."""
        return min(self.max_timeout, open_time * self.timeout_growth)

    def _check_slow_calls(self) -> None:
        if (self.slow_call_seconds is None) != (self.slow_call_rate_threshold is None):
            raise ValueError(
                "expected slow_call_seconds and slow_call_rate_threshold together, "
                f"got slow_call_seconds={self.slow_call_seconds!r}, "
                f"slow_call_rate_threshold={self.slow_call_rate_threshold!r}; "
                "one says which calls are slow, the other how many of them are too many"
            )
        if self.slow_call_seconds is not None:
            _check_positive("slow_call_seconds", self.slow_call_seconds)

    def _check_growth(self) -> None:
        if not (math.isfinite(self.timeout_growth) and self.timeout_growth >= 1):
            raise ValueError(
                "expected timeout_growth as a finite factor of at least 1, "
                f"got timeout_growth={self.timeout_growth!r}; 1 keeps the open time fixed"
            )
        if self.max_timeout < self.timeout:
            raise ValueError(
                f"expected max_timeout of at least timeout={self.timeout!r}, "
                f"got max_timeout={self.max_timeout!r}; raise the cap or shorten the timeout"
            )


def as_seconds(name: str, value: Duration) -> float:
    """Return a timedelta or a number as seconds.

    Raises:
        TypeError: it is neither.
        ValueError: it is negative or not finite.
    """
    if isinstance(value, dt.timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(
            f"expected {name} as a timedelta or a number of seconds, got {name}={value!r}"
        )
    if not math.isfinite(value) or value < 0:
        raise ValueError(
            f"expected {name} in seconds, finite and not negative, got {name}={value!r}"
        )
    return float(value)


def matcher(name: str, spec: ErrorSpec, *, if_broken: bool) -> Callable[[BaseException], bool]:
    """Turn a type, a predicate, or a tuple of these into one question about an exception.

    A class is known by being an instance of `type`, so one with a metaclass is still a class and
    not taken for a predicate that says yes to everything. A predicate that raises counts as
    `if_broken`: its error must not take the place of the call's own.

    Raises:
        TypeError: it is none of these, or a class that is no exception.
    """
    if isinstance(spec, tuple):
        return _any_of([matcher(name, part, if_broken=if_broken) for part in spec])
    if isinstance(spec, type) and issubclass(spec, BaseException):
        return lambda exc: isinstance(exc, spec)
    if isinstance(spec, type) or not callable(spec):
        raise TypeError(
            f"expected {name} as an exception type, a predicate, or a tuple of these, "
            f"got {name}={spec!r}"
        )
    return _tolerant(spec, if_broken)


def outcome_of(
    exc: BaseException,
    is_expected: Callable[[BaseException], bool],
    is_excluded: Callable[[BaseException], bool],
) -> CallOutcome:
    """Read an exception as one of the outcomes; `expected_exception` decides what can fail.

    Cancellation and the other BaseExceptions are somebody's decision on our side. A venue that
    refuses an order, its data or its key is alive, and a breaker further in that refused the call
    has counted what led to it: these never count here, whatever is expected.
    """
    if not isinstance(exc, Exception) or isinstance(exc, CircuitBreakerOpenError):
        return CallOutcome.NEUTRAL
    if _is_business_answer(exc):
        return CallOutcome.NEUTRAL
    if is_excluded(exc) or not is_expected(exc):
        return CallOutcome.NEUTRAL
    if isinstance(exc, TimeoutError):
        return CallOutcome.UNKNOWN
    if isinstance(exc, FoxtrotError) and exc.outcome is Outcome.UNKNOWN:
        return CallOutcome.UNKNOWN
    return CallOutcome.FAILURE


def retry_after_of(exc: BaseException | None) -> float | None:
    """The seconds before which a new attempt is pointless, where the error says so."""
    return exc.retry_after if isinstance(exc, FoxtrotError) else None


def asked_of(exc: BaseException | None) -> float | None:
    """The seconds of quiet that the venue itself has asked for, where the error says so."""
    if isinstance(exc, FoxtrotError) and exc.category is ErrorCategory.RATE_LIMIT:
        return exc.retry_after
    return None


def _is_business_answer(exc: Exception) -> bool:
    return (
        isinstance(exc, FoxtrotError)
        and exc.outcome is Outcome.REJECTED
        and exc.category in _BUSINESS
    )


def _any_of(
    questions: list[Callable[[BaseException], bool]],
) -> Callable[[BaseException], bool]:
    return lambda exc: any(question(exc) for question in questions)


def _tolerant(predicate: ErrorPredicate, if_broken: bool) -> Callable[[BaseException], bool]:
    def ask(exc: BaseException) -> bool:
        try:
            return bool(predicate(exc))
        except Exception:  # a user's function; the exception that it judges is what matters
            return if_broken

    return ask


def _check_count(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected {name} as a whole number, got {name}={value!r}")
    if value < 1:
        raise ValueError(f"expected {name} of at least 1, got {name}={value!r}")


def _check_rate(name: str, value: float | None) -> None:
    if value is not None and not 0 < value <= 1:
        raise ValueError(
            f"expected {name} as a share above 0 and up to 1, got {name}={value!r}; "
            "pass None to leave it out"
        )


def _check_positive(name: str, value: float) -> None:
    if value <= 0:
        raise ValueError(f"expected {name} above 0 seconds, got {name}={value!r}")
