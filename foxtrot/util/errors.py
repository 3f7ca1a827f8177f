"""The error tree: what went wrong, how badly, what is known of the request, and what to do.

Every class takes its defaults from its place in the tree and lets the caller override each by
keyword. Errors pickle, copy, and turn into JSON whatever their context holds.
"""

from __future__ import annotations

import datetime as dt
import io
import itertools
import math
import os
import pickle
import time
from collections.abc import Mapping
from enum import Enum, IntEnum
from functools import total_ordering
from typing import Any, Self, TypeVar

from foxtrot.util.clock import SYSTEM_CLOCK, Clock
from foxtrot.util.redaction import jsonable, redact_text

__all__ = [
    "AdapterConnectionError",
    "AuthenticationError",
    "ComponentError",
    "DataValidationError",
    "ErrorCategory",
    "ErrorSeverity",
    "FoxtrotError",
    "MarketDataError",
    "OrderRejectionError",
    "Outcome",
    "RateLimitError",
    "UnknownOrderError",
]


class _Rank(IntEnum):
    LOW = 0
    MEDIUM = 1
    HIGH = 2
    CRITICAL = 3


@total_ordering
class ErrorSeverity(Enum):
    """How much it matters. Ordered: LOW < MEDIUM < HIGH < CRITICAL."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, ErrorSeverity):
            return NotImplemented
        return _Rank[self.name] < _Rank[other.name]


class ErrorCategory(Enum):
    """What kind of thing failed. It decides who recovers it."""

    CONNECTION = "connection"
    VALIDATION = "validation"
    AUTHENTICATION = "authentication"
    RATE_LIMIT = "rate_limit"
    MARKET_DATA = "market_data"
    ORDER_EXECUTION = "order_execution"
    SYSTEM = "system"


class Outcome(Enum):
    """What is known of the request that the error answers.

    UNKNOWN is the one that costs money: the venue may have acted, so the request must be looked
    up before it may be sent again. A timeout is UNKNOWN, never a rejection.
    """

    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    NONE = "none"


_RECOVERABLE_BY_DEFAULT = {
    ErrorCategory.CONNECTION: True,
    ErrorCategory.RATE_LIMIT: True,
    ErrorCategory.MARKET_DATA: True,
    ErrorCategory.VALIDATION: False,
    ErrorCategory.AUTHENTICATION: False,
    ErrorCategory.ORDER_EXECUTION: False,
    ErrorCategory.SYSTEM: False,
}

# Unique in one process by the counter, which hands out each number once, in threads too; between
# processes by the process id and the time of import. No random source is touched: an id names an
# error, it is no secret and need not be hard to guess.
_serial = itertools.count(1)
_imported_at_ms = time.time_ns() // 1_000_000


def _next_error_id() -> str:
    return f"{_imported_at_ms:x}-{os.getpid():x}-{next(_serial):x}"


class FoxtrotError(Exception):
    """Base of all errors of this package.

    Args:
        message: What happened, for a person. Secrets and signatures in it are redacted.
        severity: How much it matters.
        category: What kind of thing failed.
        context: Details for whoever has to act. Copied, and merged over the class's own.
        recoverable: Whether an automatic action can restore the same intent with no human and no
            changed request. It does *not* mean that a blind resend is safe: see `outcome`. Left
            out, it follows the category; an unexplained SYSTEM error is not recoverable.
        retry_after: Seconds, finite and not negative, before which a new attempt is pointless.
            `0.0` means at once, None that nothing is known.
        suggested_action: What a person, or the recovery, should do.
        outcome: What is known of the request.
        clock: Where the timestamp comes from.
        error_id: An id from elsewhere, when an error is rebuilt; otherwise a new one is made.

    Raises:
        ValueError: `retry_after` is negative or not finite.
    """

    default_severity: ErrorSeverity = ErrorSeverity.MEDIUM
    default_category: ErrorCategory = ErrorCategory.SYSTEM
    default_outcome: Outcome = Outcome.NONE

    def __init__(
        self,
        message: str,
        severity: ErrorSeverity | None = None,
        category: ErrorCategory | None = None,
        context: Mapping[str, Any] | None = None,
        recoverable: bool | None = None,
        retry_after: float | None = None,
        suggested_action: str | None = None,
        *,
        outcome: Outcome | None = None,
        clock: Clock | None = None,
        error_id: str | None = None,
    ) -> None:
        super().__init__(redact_text(message))
        self.severity = self.default_severity if severity is None else severity
        self.category = self.default_category if category is None else category
        self.context: dict[str, Any] = dict(context or {})
        self.recoverable = (
            _RECOVERABLE_BY_DEFAULT[self.category] if recoverable is None else recoverable
        )
        self.retry_after = _checked_retry_after(retry_after)
        self.suggested_action = None if suggested_action is None else redact_text(suggested_action)
        self.outcome = self.default_outcome if outcome is None else outcome
        self.timestamp: dt.datetime = (clock or SYSTEM_CLOCK).wall()
        self.error_id = error_id or _next_error_id()

    @property
    def message(self) -> str:
        """The message, redacted."""
        return str(self.args[0])

    @property
    def adapter_name(self) -> str | None:
        """The adapter it happened on, if known."""
        name = self.context.get("adapter")
        return None if name is None else str(name)

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.message!r}, category={self.category.value}, "
            f"outcome={self.outcome.value}, error_id={self.error_id!r})"
        )

    def __reduce__(self) -> tuple[Any, ...]:  # Any: the shape is pickle's
        # Subclasses have constructors of their own, which `args` cannot call again: rebuild
        # without a constructor and put the state back, with the cause.
        state = {name: _portable(value) for name, value in self.__dict__.items()}
        state["context"] = {key: _portable(value) for key, value in self.context.items()}
        return _rebuild, (type(self), self.args), {**state, "__cause__": _portable(self.__cause__)}

    def __setstate__(self, state: dict[str, Any] | None) -> None:
        values = dict(state or {})
        self.__cause__ = values.pop("__cause__", None)
        self.__dict__.update(values)

    def __copy__(self) -> Self:
        clone = _rebuild(type(self), self.args)
        clone.__dict__.update(self.__dict__, context=dict(self.context))
        clone.__cause__ = self.__cause__
        return clone

    def to_dict(self) -> dict[str, Any]:
        """Everything about the error, redacted, as values that `json.dumps` takes."""
        return {
            "error_id": self.error_id,
            "type": type(self).__name__,
            "message": self.message,
            "severity": self.severity.value,
            "category": self.category.value,
            "outcome": self.outcome.value,
            "context": jsonable(self.context),
            "recoverable": self.recoverable,
            "retry_after": self.retry_after,
            "suggested_action": self.suggested_action,
            "timestamp": self.timestamp.isoformat(),
            "cause": [
                {"type": type(cause).__name__, "message": jsonable(cause)}
                for cause in _causes(self)
            ],
        }


class AdapterConnectionError(FoxtrotError):
    """Raised when an adapter cannot reach its venue, or lost it.

    The request's outcome is UNKNOWN unless the caller knows better: a connection that broke
    after the send says nothing about what the venue did.
    """

    default_severity = ErrorSeverity.HIGH
    default_category = ErrorCategory.CONNECTION
    default_outcome = Outcome.UNKNOWN

    def __init__(self, adapter_name: str, reason: str, **overrides: Any) -> None:
        super().__init__(
            f"Adapter {adapter_name} connection failed: {reason}",
            **_with_defaults(
                overrides,
                context={"adapter": adapter_name, "reason": reason},
                retry_after=5.0,
                suggested_action=f"Check that {adapter_name} is reachable, then reconnect",
            ),
        )


class OrderRejectionError(FoxtrotError):
    """Raised when a venue refused an order. A normal business answer, not a failure of a part."""

    default_category = ErrorCategory.ORDER_EXECUTION
    default_outcome = Outcome.REJECTED

    def __init__(self, order_id: str, venue_reason: str, **overrides: Any) -> None:
        super().__init__(
            f"{_order(order_id)} rejected: {venue_reason}",
            **_with_defaults(
                overrides,
                context={"order_id": order_id, "venue_reason": venue_reason},
                suggested_action="Review order parameters and account status",
            ),
        )


class UnknownOrderError(FoxtrotError):
    """Raised when nobody can say whether a venue executed an order."""

    default_severity = ErrorSeverity.HIGH
    default_category = ErrorCategory.ORDER_EXECUTION
    default_outcome = Outcome.UNKNOWN

    def __init__(self, order_id: str, reason: str, **overrides: Any) -> None:
        super().__init__(
            f"{_order(order_id)} is in an unknown state: {reason}",
            **_with_defaults(
                overrides,
                context={"order_id": order_id, "reason": reason},
                recoverable=True,
                suggested_action=f"Look {order_id or 'it'} up before anything is sent again",
            ),
        )


class RateLimitError(FoxtrotError):
    """Raised when a venue, or our own gate in front of it, asks for fewer requests."""

    default_category = ErrorCategory.RATE_LIMIT
    default_outcome = Outcome.REJECTED

    def __init__(
        self,
        adapter_name: str,
        retry_after: float | None = 60.0,
        *,
        reason: str = "",
        **overrides: Any,
    ) -> None:
        wait = "Back off before retrying"
        if retry_after is not None:
            wait = f"Wait {retry_after:g} seconds before retrying"
        super().__init__(
            f"Rate limit exceeded for {adapter_name}" + (f": {reason}" if reason else ""),
            **_with_defaults(
                overrides,
                context={"adapter": adapter_name} | ({"reason": reason} if reason else {}),
                retry_after=retry_after,
                suggested_action=wait,
            ),
        )


class MarketDataError(FoxtrotError):
    """Raised when prices are stale, missing, out of order or impossible."""

    default_severity = ErrorSeverity.HIGH
    default_category = ErrorCategory.MARKET_DATA

    def __init__(self, symbol: str, issue: str, **overrides: Any) -> None:
        super().__init__(
            f"Market data issue for {symbol}: {issue}",
            **_with_defaults(
                overrides,
                context={"symbol": symbol, "issue": issue},
                retry_after=1.0,
                suggested_action=f"Resubscribe {symbol} and take a new snapshot",
            ),
        )


class AuthenticationError(FoxtrotError):
    """Raised when a venue does not accept who we are, or when."""

    default_severity = ErrorSeverity.CRITICAL
    default_category = ErrorCategory.AUTHENTICATION
    default_outcome = Outcome.REJECTED

    def __init__(self, adapter_name: str, reason: str, **overrides: Any) -> None:
        super().__init__(
            f"Adapter {adapter_name} authentication failed: {reason}",
            **_with_defaults(
                overrides,
                context={"adapter": adapter_name, "reason": reason},
                suggested_action=f"Check the API key, permissions and clock of {adapter_name}",
            ),
        )


class DataValidationError(FoxtrotError):
    """Raised when data has the wrong form: a request of ours, or a reply of the venue's."""

    default_category = ErrorCategory.VALIDATION

    def __init__(self, field: str, issue: str, **overrides: Any) -> None:
        super().__init__(
            f"Invalid {field}: {issue}",
            **_with_defaults(
                overrides,
                context={"field": field, "issue": issue},
                suggested_action=f"Correct {field}; the same data will be refused again",
            ),
        )


class ComponentError(FoxtrotError):
    """Raised when a part of our own system failed."""

    default_severity = ErrorSeverity.HIGH
    default_category = ErrorCategory.SYSTEM

    def __init__(self, component: str, reason: str, **overrides: Any) -> None:
        super().__init__(
            f"Component {component} failed: {reason}",
            **_with_defaults(
                overrides,
                context={"component": component, "reason": reason},
                suggested_action=f"Restart {component}; if it fails again, look at its cause",
            ),
        )


def _order(order_id: str) -> str:
    return f"Order {order_id}" if order_id else "Order"


def _with_defaults(overrides: Mapping[str, Any], **defaults: Any) -> dict[str, Any]:
    """The class's defaults under the caller's keywords; contexts merge, the caller's on top."""
    context = {**defaults["context"], **(overrides.get("context") or {})}
    return {**defaults, **overrides, "context": context}


def _checked_retry_after(seconds: float | None) -> float | None:
    if seconds is None:
        return None
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(
            "expected retry_after in seconds, finite and not negative, "
            f"got retry_after={seconds!r}; pass None when nothing is known"
        )
    return float(seconds)


_ErrorT = TypeVar("_ErrorT", bound=FoxtrotError)


def _rebuild(cls: type[_ErrorT], args: tuple[Any, ...]) -> _ErrorT:
    error = cls.__new__(cls, *args)
    error.args = args
    return error


class _Probe(pickle.Pickler):
    """Pickles what stands around a FoxtrotError and not the error, which is portable by itself.

    Otherwise a chain of n errors would be pickled 2**n times, and one that holds itself without
    end.
    """

    def persistent_id(self, obj: Any) -> str | None:  # Any: the signature is pickle's
        return "portable" if isinstance(obj, FoxtrotError) else None


class _Unprobe(pickle.Unpickler):
    def persistent_load(self, pid: Any) -> None:  # Any: the signature is pickle's
        return None


def _portable(value: Any) -> Any:  # Any: a context holds what callers put in
    """`value` if it survives a round trip through pickle, else a stand-in that does.

    The round trip is made for real: many exceptions pickle and then cannot be loaded.
    """
    if value is None or isinstance(value, bool | int | float | str | FoxtrotError):
        return value
    try:
        probe = io.BytesIO()
        _Probe(probe).dump(value)
        _Unprobe(io.BytesIO(probe.getvalue())).load()
    except Exception:  # whatever it is, it must not keep the error from travelling
        if isinstance(value, BaseException):
            return RuntimeError(f"{type(value).__name__}: {jsonable(value)}")
        return jsonable(value)
    return value


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    cause = error.__cause__
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__
    return chain
