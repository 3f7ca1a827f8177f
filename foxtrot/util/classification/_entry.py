"""What a table says of one exception type or venue code, and the words to say it in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Self

from foxtrot.util.errors import ErrorCategory, ErrorSeverity, Outcome

__all__ = [
    "Entry",
    "Rule",
    "Strength",
    "Table",
    "broken",
    "denied",
    "dropped",
    "lost",
    "malformed",
    "missing_order",
    "noop",
    "notice",
    "refused",
    "stale",
    "throttled",
    "uncertain",
    "unreachable",
    "unreadable",
]

_POLICY = re.compile(
    r"(?P<name>none|backoff|ban_until|resync_clock|reconnect|resubscribe|reconcile)"
    r"|(?P<header>header\|)?(?P<seconds>\d+(?:\.\d+)?)"
)
# The seed's own defaults for a lost connection and for market data. A policy that leaves the time
# to the caller (backoff, reconcile, resync_clock) has none.
_SECONDS_BY_POLICY = {"reconnect": 5.0, "resubscribe": 1.0, "ban_until": 120.0}


@dataclass(frozen=True, slots=True)
class Entry:
    """The verdict on one kind of failure.

    Attributes:
        category: What kind of thing failed.
        severity: How much it matters.
        recoverable: Whether an automatic action restores the same intent, with no human and no
            changed request. It does not mean that a blind resend is safe.
        outcome: What is known of a state-changing request. UNKNOWN becomes NONE on a read.
        retry: `none`, seconds (`"5"`), `backoff`, `header|N` (the venue's Retry-After, else N
            seconds), `ban_until`, `resync_clock`, `reconnect`, `resubscribe` or `reconcile`.
        action: What a person, or the recovery, should do.
        scope: Of a limit: `operation` where only more of what was asked for has to wait, empty
            where every request has to.

    Raises:
        ValueError: `retry` is none of these.
    """

    category: ErrorCategory
    severity: ErrorSeverity
    recoverable: bool
    outcome: Outcome
    retry: str
    action: str
    scope: str = ""

    def __post_init__(self) -> None:
        if _POLICY.fullmatch(self.retry) is None:
            raise ValueError(
                "expected retry to be seconds, 'header|N' or the name of a policy, "
                f"got retry={self.retry!r}; see the attributes of Entry"
            )

    @property
    def policy(self) -> str:
        """The name of the retry policy: `seconds` and `header` for those with a number."""
        name, bar, _ = self.retry.partition("|")
        return name if bar or not name[0].isdigit() else "seconds"

    @property
    def seconds(self) -> float | None:
        """What to wait when the venue named no time; None when that is left to the caller."""
        number = self.retry.rpartition("|")[2]
        return float(number) if number[0].isdigit() else _SECONDS_BY_POLICY.get(self.retry)

    def but(self, **changes: Any) -> Self:  # Any: the types are those of the fields
        """The same entry with some fields changed."""
        return replace(self, **changes)


class Strength(Enum):
    """How much a type says of what happened.

    EXACT settles it. WRAPPER is a library's word for many things: a status, an errno or a cause
    says more. GENERIC says nothing, and even the text of the message says more.
    """

    EXACT = auto()
    WRAPPER = auto()
    GENERIC = auto()


@dataclass(frozen=True, slots=True)
class Rule:
    """An entry whose message may change it: the first pattern found decides."""

    entry: Entry
    variants: tuple[tuple[str, Entry], ...] = ()
    strength: Strength = Strength.EXACT

    def pick(self, text: str) -> Entry:
        """The entry for `text`."""
        for pattern, entry in self.variants:
            if re.search(pattern, text, re.IGNORECASE):
                return entry
        return self.entry


#: Keys are codes, names of types, or a class of codes such as `5xx`; `*` stands for all others.
Table = Mapping[int | str, Entry | Rule]

_LOW, _MEDIUM = ErrorSeverity.LOW, ErrorSeverity.MEDIUM
_HIGH, _CRITICAL = ErrorSeverity.HIGH, ErrorSeverity.CRITICAL


def unreachable(action: str, *, retry: str = "5") -> Entry:
    """No connection came about, so nothing was sent."""
    return Entry(ErrorCategory.CONNECTION, _HIGH, True, Outcome.NOT_SENT, retry, action)


def lost(action: str, *, retry: str = "reconnect") -> Entry:
    """The connection broke with the request on its way."""
    return Entry(ErrorCategory.CONNECTION, _HIGH, True, Outcome.UNKNOWN, retry, action)


def uncertain(action: str) -> Entry:
    """No answer, or one that leaves open what the venue did."""
    return lost(action, retry="reconcile")


def dropped(action: str, *, severity: ErrorSeverity = _HIGH) -> Entry:
    """A stream ended. It answers no request."""
    return Entry(ErrorCategory.CONNECTION, severity, True, Outcome.NONE, "reconnect", action)


def refused(action: str, *, recoverable: bool = False, retry: str = "none") -> Entry:
    """The venue refused an order: a business answer."""
    return Entry(
        ErrorCategory.ORDER_EXECUTION, _MEDIUM, recoverable, Outcome.REJECTED, retry, action
    )


def missing_order(action: str) -> Entry:
    """The order is not in the state that the request took it to be in: look it up."""
    return refused(action, recoverable=True, retry="reconcile").but(severity=_HIGH)


def malformed(action: str, *, outcome: Outcome = Outcome.REJECTED) -> Entry:
    """The request has the wrong form, and will have it again."""
    return Entry(ErrorCategory.VALIDATION, _MEDIUM, False, outcome, "none", action)


def unreadable(action: str) -> Entry:
    """The reply has the wrong form: what the venue did, it does not say."""
    return Entry(ErrorCategory.VALIDATION, _HIGH, True, Outcome.UNKNOWN, "reconcile", action)


def denied(action: str, *, outcome: Outcome = Outcome.REJECTED) -> Entry:
    """The venue does not accept who we are or what we may; a person has to act."""
    return Entry(ErrorCategory.AUTHENTICATION, _CRITICAL, False, outcome, "none", action)


def throttled(action: str, *, retry: str = "header|60", scope: str = "") -> Entry:
    """The venue asks for fewer requests."""
    return Entry(ErrorCategory.RATE_LIMIT, _MEDIUM, True, Outcome.REJECTED, retry, action, scope)


def stale(action: str) -> Entry:
    """Prices that must not be used until they have been taken anew."""
    return Entry(ErrorCategory.MARKET_DATA, _HIGH, True, Outcome.NONE, "resubscribe", action)


def broken(action: str, *, severity: ErrorSeverity = _HIGH) -> Entry:
    """A part of our own system failed."""
    return Entry(ErrorCategory.SYSTEM, severity, False, Outcome.NONE, "none", action)


def notice(category: ErrorCategory, action: str) -> Entry:
    """Arrives as an error and is none."""
    return Entry(category, _LOW, True, Outcome.NONE, "none", action)


def noop(category: ErrorCategory, action: str) -> Entry:
    """Refused because it is so already."""
    return Entry(category, _LOW, False, Outcome.REJECTED, "none", action)
