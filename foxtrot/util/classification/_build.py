"""From a verdict to one of our own errors: the class of its category, the message, the context."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from foxtrot.util.classification._entry import Entry
from foxtrot.util.clock import Clock
from foxtrot.util.errors import (
    AdapterConnectionError,
    AuthenticationError,
    ComponentError,
    DataValidationError,
    ErrorCategory,
    FoxtrotError,
    MarketDataError,
    OrderRejectionError,
    Outcome,
    RateLimitError,
    UnknownOrderError,
)
from foxtrot.util.redaction import redact_text

__all__ = ["build", "settled_outcome"]

_UNNAMED = "unknown"
_FIELD = re.compile(r"(?:param\w*|field|tag)\s*\W?'([\w.]+)'", re.IGNORECASE)
# What only asks. Everything else, the unknown included, may have changed something.
_READS = frozenset(
    {
        "account",
        "connect",
        "instruments",
        "order.query",
        "orders.open",
        "ping",
        "stream.subscribe",
        "time",
        "trades",
        "unlock",
    }
)
_NOT_A_REQUEST = frozenset({Outcome.NONE, Outcome.NOT_SENT})


def settled_outcome(entry: Entry, operation: str | None, *, is_answer: bool) -> Outcome:
    """What is known of `operation`, given the entry.

    UNKNOWN is about state: a read leaves none behind. And where something broke that tells
    nothing of the request (`is_answer` is false), a named request that changes state is UNKNOWN.
    """
    if entry.outcome is Outcome.UNKNOWN and operation in _READS:
        return Outcome.NONE
    is_change = operation is not None and operation not in _READS
    if entry.outcome is Outcome.NONE and is_change and not is_answer:
        return Outcome.UNKNOWN
    return entry.outcome


def build(
    entry: Entry,
    reason: str,
    *,
    adapter: str | None,
    operation: str | None,
    context: Mapping[str, Any],
    outcome: Outcome,
    wait: float | None,
    clock: Clock,
) -> FoxtrotError:
    """The error that says what `entry` says.

    `wait` is what the venue asked for, in seconds; it outranks the entry's own. An error that no
    automatic action mends has no `retry_after`.
    """
    policy = _policy(entry, outcome)
    seconds = wait if wait is not None else (entry.seconds if policy == entry.policy else None)
    seconds = seconds if entry.recoverable else None
    code = context.get("code")
    error = _construct(
        entry.category,
        adapter or _UNNAMED,
        redact_text(reason),
        severity=entry.severity,
        recoverable=entry.recoverable,
        retry_after=seconds,
        suggested_action=entry.action if code is None else f"{entry.action} [{code}]",
        outcome=outcome,
        clock=clock,
        context={
            **{k: v for k, v in context.items() if v is not None},
            **({} if operation is None else {"operation": operation}),
            "retry_policy": policy,
            "scope": entry.scope,  # dropped below where it is empty
            # Whether the venue named the time or nobody did: the second may be bettered.
            **({} if seconds is None else {"retry_after_source": _source_of(wait)}),
        },
    )
    # A stand-in for a name that nobody gave must not pass for one.
    error.context = {k: v for k, v in error.context.items() if v not in ("", _UNNAMED)}
    if adapter is not None:
        error.context["adapter"] = adapter
    return error


def _source_of(wait: float | None) -> str:
    return "default" if wait is None else "venue"


def _policy(entry: Entry, outcome: Outcome) -> str:
    # There is nothing to reconcile after a read, or after a request that never left.
    if (
        entry.policy == "reconcile"
        and outcome in _NOT_A_REQUEST
        and entry.category is not ErrorCategory.ORDER_EXECUTION
    ):
        return "backoff"
    return entry.policy


def _construct(
    category: ErrorCategory,
    adapter: str,
    reason: str,
    *,
    outcome: Outcome,
    **fields: Any,  # Any: the keywords of FoxtrotError
) -> FoxtrotError:
    fields["outcome"] = outcome
    if category is ErrorCategory.RATE_LIMIT:
        return RateLimitError(adapter, reason=reason, **fields)
    if category is ErrorCategory.VALIDATION:
        return DataValidationError(_field(reason, outcome), reason, **fields)
    if category is ErrorCategory.ORDER_EXECUTION and outcome is Outcome.UNKNOWN:
        return UnknownOrderError("", reason, **fields)
    if category is ErrorCategory.ORDER_EXECUTION:
        return OrderRejectionError("", reason, **fields)
    return _CLASSES[category](adapter if category in _OF_ADAPTER else _UNNAMED, reason, **fields)


def _field(reason: str, outcome: Outcome) -> str:
    found = _FIELD.search(reason)
    if found is not None:
        return found[1]
    return "reply" if outcome is Outcome.UNKNOWN else "request"


_CLASSES: Mapping[ErrorCategory, Callable[..., FoxtrotError]] = {
    ErrorCategory.CONNECTION: AdapterConnectionError,
    ErrorCategory.AUTHENTICATION: AuthenticationError,
    ErrorCategory.MARKET_DATA: MarketDataError,
    ErrorCategory.SYSTEM: ComponentError,
}
_OF_ADAPTER = frozenset(
    {ErrorCategory.CONNECTION, ErrorCategory.AUTHENTICATION, ErrorCategory.SYSTEM}
)
