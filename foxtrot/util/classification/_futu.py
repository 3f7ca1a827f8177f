"""Futu's answers through OpenD: a return type, and a text that is the only reason given.

The return types are those of OpenD's Common.proto. Nearly every refusal is -1, and its text says
what it is about; texts are matched by their subject, since their wording changes with versions.
"""

from __future__ import annotations

from foxtrot.util.classification._entry import (
    Entry,
    Rule,
    Table,
    broken,
    denied,
    lost,
    malformed,
    missing_order,
    refused,
    stale,
    throttled,
    uncertain,
    unreachable,
)
from foxtrot.util.errors import ErrorCategory, ErrorSeverity, Outcome

__all__ = ["FUTU_CODES"]

_DATA = ErrorCategory.MARKET_DATA
# Locked trading opens by a request of ours, once for each run of OpenD: nobody is needed for it.
_LOCKED = denied("Unlock trading, then send again").but(
    severity=ErrorSeverity.HIGH, recoverable=True, retry="backoff"
)
_QUOTA = Entry(
    _DATA,
    ErrorSeverity.MEDIUM,
    False,
    Outcome.REJECTED,
    "none",
    "End some subscriptions first: the quota is used up, no waiting lifts it",
)
_OFFLINE = unreachable("Wait until OpenD has reached Futu's servers", retry="backoff")

_FAILURES: tuple[tuple[str, Entry], ...] = (
    (r"password", denied("Correct the trading password; a few wrong ones lock the account")),
    (r"unlock", _LOCKED),
    (r"frequen|too many requests|\d+ (times|requests) (every|per|in) \d+", throttled(
        "Wait half a minute, then ask less often", retry="30", scope="operation")),
    (r"subscri\w* quota|quota .*subscri", _QUOTA),
    (r"not (been )?subscribed|subscribe .*first", stale("Subscribe, then ask again")),
    (r"insufficient|not enough|buying power|purchasing power", refused(
        "Add funds, or send a smaller order")),
    (r"order\b.*(not exist|not found)|no such order", missing_order(
        "Look the order up in the list, with its fills, before it counts as gone")),
    (r"(can ?not|can't|unable to) be (cancel|modif)|already (filled|cancel)", missing_order(
        "Look the order up: it is probably filled or cancelled")),
    (r"market .*closed|trading (hours|session)|suspended", refused("Send when the market is open")),
    (r"not (logged in|login)|permission|no right|not authori", denied(
        "Check the login of OpenD, the account's rights and its quote rights")),
    (r"unknown stock|(stock|code|security) .*(unknown|invalid|not exist)", malformed(
        "Name a security that exists")),
    (r"param|required|protocol|format", malformed("Correct the request")),
    (r"lot size|quantity|price|spread|filled at once|order .*refused", refused(
        "Correct the order as its message says")),
    (r"not connected|disconnect|network|server .*(busy|unavailable)", _OFFLINE),
    (r"time(d)? ?out", uncertain("Look the request up before it is sent again")),
)  # fmt: skip

FUTU_CODES: Table = {
    -1: Rule(
        broken("Read OpenD's message: its code says only that it failed").but(
            outcome=Outcome.REJECTED
        ),
        _FAILURES,
    ),
    -100: uncertain("Look the request up: OpenD had no answer in time"),
    -200: lost("Reconnect to OpenD, and look up what was in flight"),
    -400: uncertain("Look the request up: OpenD does not know what became of it"),
    -500: malformed("Correct the request: OpenD does not understand it"),
}
