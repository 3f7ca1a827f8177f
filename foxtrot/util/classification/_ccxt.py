"""ccxt's exceptions, by name.

The tree moved between ccxt's versions, so that only names are relied on, most specific first. A
venue code in the message, an HTTP status in it, or the cause outranks a class that stands for
many things: ccxt raises ExchangeNotAvailable for a 403, NetworkError for a bad certificate, and
DDoSProtection for a revoked key once any signed call has succeeded.
"""

from __future__ import annotations

from foxtrot.util.classification._entry import (
    Entry,
    Rule,
    Strength,
    Table,
    broken,
    denied,
    lost,
    malformed,
    missing_order,
    noop,
    refused,
    stale,
    throttled,
    uncertain,
    unreadable,
)
from foxtrot.util.errors import ErrorCategory, ErrorSeverity, Outcome

__all__ = ["CCXT_TYPES", "SKEW"]

_NOT_SENT = Outcome.NOT_SENT
_WRAPPER = Strength.WRAPPER
#: Ours or the venue's clock is off; the request was refused for it and can be sent again.
SKEW = Entry(
    ErrorCategory.AUTHENTICATION,
    ErrorSeverity.HIGH,
    True,
    Outcome.REJECTED,
    "resync_clock",
    "Measure the offset to the venue's clock once, then send again; do not widen recvWindow",
)
_MEANINGLESS = unreadable("Look up what the venue did: its reply could not be read")

_BY_NAME: dict[str, Entry | Rule] = {
    "BaseError": Rule(broken("Look at the message and the cause"), strength=Strength.GENERIC),
    "ExchangeError": Rule(
        broken("Look the message up in the venue's documentation").but(outcome=Outcome.REJECTED),
        strength=Strength.GENERIC,
    ),
    "AuthenticationError": denied("Check the API key, its secret and its signature"),
    "PermissionDenied": denied("Give the API key the permission, or the IP its place on the list"),
    "AccountNotEnabled": denied("Have the account enabled for this product"),
    "AccountSuspended": denied("Ask the venue why the account is suspended"),
    "ArgumentsRequired": malformed("Give the argument that is missing", outcome=_NOT_SENT),
    "BadRequest": malformed("Correct the request; the venue will refuse it again"),
    "BadSymbol": malformed("Correct the symbol, or load the markets anew"),
    "OperationRejected": refused("Read the venue's reason"),
    "NoChange": noop(ErrorCategory.ORDER_EXECUTION, "Nothing; it is so already"),
    "MarginModeAlreadySet": noop(ErrorCategory.ORDER_EXECUTION, "Nothing; it is so already"),
    "MarketClosed": refused("Send the order when the market is open"),
    "ManualInteractionNeeded": denied("Do on the venue's site what it asks for"),
    "RestrictedLocation": denied("Trade from a place where the venue may serve you"),
    "InsufficientFunds": refused("Free or add funds, or send a smaller order"),
    "InvalidAddress": malformed("Correct the address"),
    "AddressPending": malformed("Ask for the address again; the venue is still making it").but(
        recoverable=True, retry="backoff"
    ),
    "InvalidOrder": refused("Correct the order's parameters"),
    "OrderNotFound": missing_order("Look the order up, with its trades, before it counts as gone"),
    "OrderNotCached": missing_order("Fetch the order from the venue; only the cache lacks it").but(
        severity=ErrorSeverity.MEDIUM, outcome=_NOT_SENT
    ),
    "OrderImmediatelyFillable": refused("Move the price away, or drop post-only"),
    "OrderNotFillable": refused("Move the price, or drop fill-or-kill"),
    "DuplicateOrderId": missing_order("Look the order up: its first copy may live"),
    "ContractUnavailable": refused("Choose a contract that still trades"),
    "NotSupported": malformed("Use an operation that the venue has", outcome=_NOT_SENT),
    "InvalidProxySettings": malformed("Correct the proxy settings", outcome=_NOT_SENT),
    "ExchangeClosedByUser": broken("Nothing; we closed the connection").but(
        severity=ErrorSeverity.LOW, outcome=_NOT_SENT, category=ErrorCategory.CONNECTION
    ),
    "OperationFailed": Rule(
        uncertain("Look up the request before it is sent again"), strength=_WRAPPER
    ),
    "NetworkError": Rule(lost("Reconnect, and look up what was in flight"), strength=_WRAPPER),
    "DDoSProtection": Rule(
        throttled("Send nothing before the venue's Retry-After, from any task on this address"),
        (
            (
                r"\bbanned\b",
                throttled("Send nothing until the ban ends", retry="ban_until").but(
                    severity=ErrorSeverity.HIGH
                ),
            ),
        ),
        _WRAPPER,
    ),
    "RateLimitExceeded": Rule(throttled("Send fewer requests"), strength=_WRAPPER),
    "ExchangeNotAvailable": Rule(
        uncertain("Wait until the venue is back, and look the request up first"),
        strength=_WRAPPER,
    ),
    "OnMaintenance": uncertain("Wait until the maintenance is over").but(
        outcome=Outcome.REJECTED, retry="backoff"
    ),
    "InvalidNonce": SKEW,
    "ChecksumError": stale("Drop the book, take a new snapshot and trade on it only then"),
    "RequestTimeout": Rule(
        uncertain("Look up the request before it is sent again"), strength=_WRAPPER
    ),
    "BadResponse": Rule(_MEANINGLESS, strength=_WRAPPER),
    "NullResponse": _MEANINGLESS,
    "CancelPending": missing_order("Look the order up until the cancel is done").but(
        severity=ErrorSeverity.MEDIUM, outcome=Outcome.UNKNOWN
    ),
    "UnsubscribeError": stale("Subscribe anew; what the stream delivers is not what was asked").but(
        severity=ErrorSeverity.MEDIUM
    ),
}

CCXT_TYPES: Table = {f"ccxt.{name}": rule for name, rule in _BY_NAME.items()}
