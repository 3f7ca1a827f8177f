"""HTTP status codes, and what a WebSocket's close code or event means."""

from __future__ import annotations

from foxtrot.util.classification._entry import (
    Entry,
    Rule,
    Table,
    denied,
    dropped,
    malformed,
    missing_order,
    notice,
    stale,
    throttled,
    uncertain,
)
from foxtrot.util.errors import ErrorCategory, ErrorSeverity, Outcome

__all__ = ["HTTP_STATUSES", "WS_CLOSES", "WS_EVENTS"]

_HIGH, _MEDIUM = ErrorSeverity.HIGH, ErrorSeverity.MEDIUM
_CONNECTION = ErrorCategory.CONNECTION

_MOVED = malformed("Correct the base URL; the endpoint is somewhere else").but(severity=_HIGH)
_SERVER = uncertain("Look up the request before it is sent again: a 5xx says nothing of it")
_BUSY = _SERVER.but(outcome=Outcome.REJECTED, retry="backoff", action="Wait, then send it again")
_BAN = throttled(
    "Send nothing until the ban ends; every request in between prolongs it", retry="ban_until"
).but(severity=_HIGH)
# A gateway that could not even reach the venue has not passed the request on.
_NOT_PASSED_ON = _SERVER.but(
    outcome=Outcome.NOT_SENT, retry="backoff", action="Wait until the gateway reaches the venue"
)
_EXPIRED = Entry(
    ErrorCategory.AUTHENTICATION,
    _HIGH,
    True,
    Outcome.NONE,
    "resubscribe",
    "Subscribe to the user stream anew, then reconcile orders and fills",
)

HTTP_STATUSES: Table = {
    300: _MOVED,
    301: _MOVED,
    302: _MOVED,
    303: _MOVED,
    304: notice(ErrorCategory.VALIDATION, "Nothing; the resource has not changed"),
    307: _MOVED,
    308: _MOVED,
    400: malformed("Correct the request; the venue will refuse it again"),
    401: denied("Check the API key and its signature"),
    402: denied("Pay what the venue wants for this service"),
    403: Rule(
        denied("Check the permissions of the API key, its IP list and the firewall's rules"),
        ((r"\b(rate limit|too many requests|waf limit)", throttled("Slow down")),),
    ),
    404: malformed("Correct the path of the endpoint"),
    405: malformed("Correct the method of the request"),
    406: malformed("Ask for a format that the venue has"),
    407: denied("Check the credentials of the proxy", outcome=Outcome.NOT_SENT),
    408: uncertain("Look up the request before it is sent again"),
    409: missing_order("Look up both orders: part of the request was done").but(
        outcome=Outcome.UNKNOWN
    ),
    410: malformed("Use the endpoint that replaced this one"),
    413: malformed("Send a smaller request"),
    414: malformed("Send a shorter URL"),
    415: malformed("Send the content type that the venue takes"),
    418: _BAN,
    421: _BUSY.but(retry="reconnect", action="Open a new connection to the right host"),
    422: malformed("Correct the request; the venue understood it and refused it"),
    423: denied("Have the account unlocked"),
    425: _BUSY,
    429: throttled("Send nothing before the venue's Retry-After, from any task on this address"),
    451: denied("Trade from a place where the venue may serve you"),
    501: malformed("Use an operation that the venue implements"),
    503: _SERVER.but(action="Wait until the venue is back, and look the request up first"),
    505: malformed("Use an HTTP version that the venue speaks"),
    511: denied("Log in to this network first", outcome=Outcome.NOT_SENT),
    521: _NOT_PASSED_ON,
    522: _SERVER,  # also where the connection came about, and nothing after it
    523: _NOT_PASSED_ON,
    525: _NOT_PASSED_ON,
    526: _NOT_PASSED_ON.but(
        severity=ErrorSeverity.CRITICAL,
        recoverable=False,
        retry="none",
        action="Report the venue's invalid certificate to the venue",
    ),
    529: throttled("Slow down; the venue is overloaded"),
    530: _NOT_PASSED_ON,
    "3xx": _MOVED,
    "4xx": malformed("Correct the request; the venue will refuse it again"),
    "5xx": _SERVER,
}

_POLICY = throttled("Find what the venue's policy forbids: messages or connections a minute").but(
    outcome=Outcome.NONE
)
_LOGIN = denied("Check the key or token that the stream was opened with", outcome=Outcome.NONE)
_SLOW_DOWN = _POLICY.but(action="Send fewer messages, then reconnect")
_FRAME = malformed("Correct the messages that are sent over this stream", outcome=Outcome.NONE)
_PRIVATE: tuple[tuple[str, Entry], ...] = (
    (r"rate|too many|limit|throttl", _SLOW_DOWN),
    (r"auth|api.?key|token|login|forbidden|permission|signature|credential", _LOGIN),
)

WS_CLOSES: Table = {
    1000: dropped("Reconnect if the stream is still wanted", severity=_MEDIUM),
    1001: dropped("Reconnect; the venue is going away or the day is over", severity=_MEDIUM),
    1002: dropped("Reconnect; if it happens again, compare protocol versions"),
    1003: _FRAME,
    1004: dropped("Reconnect"),
    1005: dropped("Reconnect; the venue gave no reason"),
    1006: dropped("Reconnect, then reconcile what the gap hid"),
    1007: _FRAME,
    1008: Rule(_POLICY, _PRIVATE[1:]),
    1009: _FRAME.but(action="Send smaller messages, or raise the limit of the client"),
    1010: _FRAME.but(action="Offer the extension that the venue requires"),
    1011: dropped("Reconnect; the venue had an internal error"),
    1012: dropped("Reconnect with backoff; the venue restarts", severity=_MEDIUM),
    1013: dropped("Reconnect later; the venue is overloaded").but(retry="backoff"),
    1014: dropped("Reconnect; a gateway got no answer from the venue"),
    1015: dropped("Check the venue's certificate and the TLS version"),
    3000: _LOGIN,
    3003: _LOGIN,
    3008: dropped("Reconnect, and answer pings in time"),
    4400: _FRAME,
    4401: _LOGIN,
    4403: _LOGIN,
    4429: _SLOW_DOWN,
    "3xxx": Rule(dropped("Reconnect; look the code up in the library's documentation"), _PRIVATE),
    "4xxx": Rule(dropped("Reconnect; look the code up in the venue's documentation"), _PRIVATE),
    "1xxx": dropped("Reconnect"),
}

_BOOK = stale("Drop the book, take a new snapshot and trade on it only then")
_SILENT = stale("Subscribe anew; if it stays silent, open a new connection")

WS_EVENTS: Table = {
    "eventstreamterminated": _EXPIRED,
    "listenkeyexpired": _EXPIRED,
    "expired": _EXPIRED,
    "servershutdown": dropped("Open a new connection before this one ends", severity=_MEDIUM),
    "externallockupdate": notice(
        ErrorCategory.ORDER_EXECUTION, "Read the balance anew; an outside system locked a part"
    ),
    "disconnected": dropped("Reconnect, then reconcile what the gap hid"),
    "pong_timeout": dropped("Reconnect: the other side no longer answers"),
    "silent": _SILENT,
    "stale": _SILENT,
    "sequence_gap": _BOOK,
    "out_of_order": _BOOK,
    "checksum": _BOOK,
    "crossed_book": _BOOK,
    "corrupt": _BOOK.but(action="Drop the message and take a new snapshot"),
    "subscription_refused": _FRAME.but(action="Correct the name of the stream"),
    "reconnected": notice(_CONNECTION, "Reconcile what the gap hid"),
}
