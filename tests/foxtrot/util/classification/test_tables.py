"""Every row of the tables is well-formed, and those that the conventions name say what they say."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import io
import json
import queue
import re
import ssl
import urllib.error
from http.client import CannotSendRequest, RemoteDisconnected, ResponseNotReady
from socket import gaierror

import pytest

from foxtrot.util.classification import Classifier, Entry, Rule, classify, classify_code
from foxtrot.util.errors import ErrorCategory, ErrorSeverity, FoxtrotError, Outcome

TABLES = Classifier().tables
ENTRIES = [
    (f"{source} {key}", entry)
    for source, table in TABLES.items()
    for key, row in table.items()
    for entry in (
        [row] if isinstance(row, Entry) else [row.entry, *(entry for _, entry in row.variants)]
    )
]


def say(error: FoxtrotError) -> str:
    """One line for one verdict, in the words of the conventions."""
    return " ".join(
        (
            error.category.value,
            error.severity.value,
            "recoverable" if error.recoverable else "final",
            error.outcome.value,
            error.context["retry_policy"],
        )
    )


def test_no_entry_contradicts_itself() -> None:
    """What no action mends has no wait; what needs a human is no automatic recovery's."""
    wrong = [
        name
        for name, e in ENTRIES
        if (not e.recoverable and e.retry != "none")
        or (e.severity is ErrorSeverity.CRITICAL and e.recoverable)
        or (e.category is ErrorCategory.RATE_LIMIT and e.outcome is Outcome.UNKNOWN)
        or (e.recoverable and e.retry == "none" and e.severity is not ErrorSeverity.LOW)
        or not e.action
    ]
    assert wrong == []


def test_every_entry_says_all_and_leaves_nothing_to_a_default() -> None:
    """A class of errors fills what it is not told, which would hide what an entry forgot."""
    kinds = (ErrorCategory, ErrorSeverity, bool, Outcome, str, str, str)
    for name, entry in ENTRIES:
        values = (getattr(entry, field.name) for field in dataclasses.fields(entry))
        assert tuple(type(value) for value in values) == kinds, name


def test_every_pattern_compiles_and_every_variant_can_be_reached() -> None:
    for table in TABLES.values():
        for row in table.values():
            if isinstance(row, Rule):
                patterns = [pattern for pattern, _ in row.variants]
                assert len(set(patterns)) == len(patterns)
                assert all(re.compile(pattern) for pattern in patterns)


@pytest.mark.parametrize(
    ("source", "code", "message", "said"),
    [
        ("http", 304, "", "validation low recoverable none none"),
        ("http", 307, "", "validation high final rejected none"),
        ("http", 400, "", "validation medium final rejected none"),
        ("http", 401, "", "authentication critical final rejected none"),
        ("http", 403, "", "authentication critical final rejected none"),
        ("http", 403, "WAF Limit violated", "rate_limit medium recoverable rejected header"),
        ("http", 404, "", "validation medium final rejected none"),
        ("http", 408, "", "connection high recoverable unknown reconcile"),
        ("http", 409, "", "order_execution high recoverable unknown reconcile"),
        ("http", 418, "", "rate_limit high recoverable rejected ban_until"),
        ("http", 429, "", "rate_limit medium recoverable rejected header"),
        ("http", 451, "", "authentication critical final rejected none"),
        ("http", 477, "", "validation medium final rejected none"),
        ("http", 500, "", "connection high recoverable unknown reconcile"),
        ("http", 503, "", "connection high recoverable unknown reconcile"),
        ("http", 521, "", "connection high recoverable not_sent backoff"),
        ("http", 522, "", "connection high recoverable unknown reconcile"),
        ("http", 599, "", "connection high recoverable unknown reconcile"),
        (
            "http",
            400,
            '{"code":-1021,"msg":"Timestamp for this request"}',
            "authentication high recoverable rejected resync_clock",
        ),
        ("ws_close", 1000, "", "connection medium recoverable none reconnect"),
        ("ws_close", 1006, "", "connection high recoverable none reconnect"),
        ("ws_close", 1008, "", "rate_limit medium recoverable none header"),
        ("ws_close", 1008, "invalid token", "authentication critical final none none"),
        ("ws_close", 1009, "", "validation medium final none none"),
        ("ws_close", 1012, "", "connection medium recoverable none reconnect"),
        ("ws_close", 1013, "", "connection high recoverable none backoff"),
        ("ws_close", 3000, "", "authentication critical final none none"),
        ("ws_close", 4429, "", "rate_limit medium recoverable none header"),
        ("ws_close", 4888, "bad api key", "authentication critical final none none"),
        ("ws_event", "listenKeyExpired", "", "authentication high recoverable none resubscribe"),
        ("ws_event", "sequence_gap", "", "market_data high recoverable none resubscribe"),
        ("binance", -1000, "", "connection high recoverable unknown reconcile"),
        ("binance", -1003, "", "rate_limit medium recoverable rejected header"),
        ("binance", -1003, "IP banned until 1", "rate_limit high recoverable rejected ban_until"),
        ("binance", -1006, "", "connection high recoverable unknown reconcile"),
        ("binance", -1007, "", "connection high recoverable unknown reconcile"),
        ("binance", -1008, "", "connection high recoverable rejected backoff"),
        (
            "binance",
            -1013,
            "Filter failure: LOT_SIZE",
            "order_execution medium final rejected none",
        ),
        ("binance", -1015, "", "rate_limit medium recoverable rejected header"),
        ("binance", -1021, "", "authentication high recoverable rejected resync_clock"),
        ("binance", -1022, "", "authentication critical final rejected none"),
        ("binance", -1121, "", "validation medium final rejected none"),
        ("binance", -1125, "", "authentication high recoverable rejected resubscribe"),
        (
            "binance",
            -2010,
            "Duplicate order sent.",
            "order_execution high recoverable rejected reconcile",
        ),
        (
            "binance",
            -2010,
            "This action is disabled on this account.",
            "authentication critical final rejected none",
        ),
        (
            "binance",
            -2011,
            "Unknown order sent.",
            "order_execution high recoverable rejected reconcile",
        ),
        ("binance", -2013, "", "order_execution high recoverable rejected reconcile"),
        ("binance", -2015, "", "authentication critical final rejected none"),
        ("binance", -2021, "", "order_execution high recoverable unknown reconcile"),
        ("binance", -2022, "", "order_execution medium final rejected none"),
        (
            "binance",
            -2038,
            "The requested action would change no state; rejecting",
            "order_execution low final rejected none",
        ),
        ("binance", -1299, "", "validation medium final rejected none"),
        ("ib", 100, "", "rate_limit medium recoverable rejected seconds"),
        ("ib", 161, "", "order_execution high recoverable rejected reconcile"),
        ("ib", 162, "HMDS query returned no data", "market_data medium final rejected none"),
        ("ib", 162, "API historical data query cancelled", "market_data low recoverable none none"),
        ("ib", 162, "pacing violation", "rate_limit medium recoverable rejected seconds"),
        ("ib", 200, "", "validation medium final rejected none"),
        ("ib", 201, "", "order_execution medium final rejected none"),
        ("ib", 202, "", "order_execution low recoverable none none"),
        (
            "ib",
            203,
            "The security ES is not available or allowed for this account.",
            "validation medium final rejected none",
        ),
        ("ib", 317, "", "market_data high recoverable none resubscribe"),
        (
            "ib",
            321,
            "API interface is in Read-Only mode",
            "authentication critical final rejected none",
        ),
        ("ib", 322, "Duplicate ticker id", "validation medium final rejected none"),
        ("ib", 399, "", "order_execution low recoverable none none"),
        ("ib", 502, "", "connection high recoverable not_sent seconds"),
        ("ib", 504, "", "connection high recoverable not_sent reconnect"),
        ("ib", 512, "", "connection high recoverable unknown reconcile"),
        ("ib", 527, "", "connection high recoverable not_sent reconnect"),
        ("ib", 1100, "", "connection high recoverable none reconnect"),
        ("ib", 1101, "", "market_data high recoverable none resubscribe"),
        ("ib", 1102, "", "connection low recoverable none none"),
        ("ib", 2103, "", "market_data high recoverable none backoff"),
        ("ib", 2104, "", "market_data low recoverable none none"),
        ("ib", 2158, "", "market_data low recoverable none none"),
        ("ib", 10147, "", "order_execution high recoverable rejected reconcile"),
        ("ib", 10999, "", "order_execution medium final rejected none"),
        ("fix_session_reject", 10, "", "authentication high recoverable rejected resync_clock"),
        ("fix_session_reject", "99", "", "validation medium final rejected none"),
        ("fix_business_reject", 4, "", "connection high recoverable rejected backoff"),
        ("fix_business_reject", 6, "", "authentication critical final rejected none"),
        ("fix_order_reject", 1, "", "validation medium final rejected none"),
        ("fix_order_reject", 6, "", "order_execution high recoverable rejected reconcile"),
        ("fix_order_reject", 99, "", "order_execution medium final rejected none"),
        ("fix_cancel_reject", 0, "", "order_execution high recoverable rejected reconcile"),
        ("fix_cancel_reject", 99, "", "order_execution medium final rejected none"),
    ],
)
def test_a_code_means_what_the_conventions_say(
    source: str, code: int | str, message: str, said: str
) -> None:
    assert say(classify_code(source, code, message)) == said


def test_a_cap_is_no_rate_limit() -> None:
    error = classify_code("binance", -1013, "Filter failure: MAX_NUM_ORDERS")
    assert say(error) == "order_execution medium final rejected none"
    assert "no waiting lifts" in str(error.suggested_action)


RESET = "connection high recoverable unknown reconnect"
UNCERTAIN = "connection high recoverable unknown reconcile"
UNREACHABLE = "connection high recoverable not_sent seconds"
GARBAGE = "validation high recoverable unknown reconcile"
BUG = "system high final none none"
CERTIFICATE = "connection critical final not_sent none"
NO_ROUTE = "connection high recoverable unknown seconds"
WAITED = "system medium recoverable none backoff"


@pytest.mark.parametrize(
    ("exc", "said"),
    [
        (TimeoutError(), UNCERTAIN),
        (asyncio.TimeoutError(), UNCERTAIN),  # noqa: UP041 - the name is what is tested
        (ConnectionResetError(), RESET),
        (ConnectionRefusedError(), UNREACHABLE),
        (BrokenPipeError(), RESET),
        (OSError(errno.ENETUNREACH, "x"), NO_ROUTE),
        (OSError(errno.EHOSTUNREACH, "No route to host"), NO_ROUTE),
        (
            urllib.error.URLError(OSError(errno.EHOSTUNREACH, "x")),
            "connection high recoverable not_sent seconds",
        ),
        (OSError(errno.EMFILE, "x"), "system high final not_sent none"),
        (OSError(errno.ENOSPC, "x"), "system critical final none none"),
        (OSError("x"), BUG),
        (OSError("connect timed out"), UNREACHABLE),
        (PermissionError(errno.EACCES, "x"), "system critical final none none"),
        (gaierror(-3, "Temporary failure"), UNREACHABLE),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), CERTIFICATE),
        (ssl.SSLError(1, "certificate verify failed"), CERTIFICATE),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), RESET),
        (ssl.SSLWantReadError(), WAITED),
        (ssl.SSLWantWriteError(), WAITED),
        (BlockingIOError(errno.EAGAIN, "x"), WAITED),
        (InterruptedError(), WAITED),
        (queue.Empty(), WAITED),
        (asyncio.QueueEmpty(), WAITED),
        (asyncio.IncompleteReadError(b"", 3), RESET),
        (asyncio.QueueFull(), "system medium recoverable not_sent backoff"),
        (json.JSONDecodeError("x", "{", 0), GARBAGE),
        (UnicodeDecodeError("utf8", b"x", 0, 1, "bad"), GARBAGE),
        (UnicodeEncodeError("ascii", "x", 0, 1, "bad"), "validation medium final none none"),
        (RemoteDisconnected("x"), RESET),
        (ResponseNotReady("Request-sent"), RESET),
        (CannotSendRequest("Request-sent"), "connection high recoverable not_sent reconnect"),
        (urllib.error.URLError(ConnectionRefusedError()), UNREACHABLE),
        (
            urllib.error.HTTPError("u", 503, "x", {}, io.BytesIO()),  # type: ignore[arg-type]
            UNCERTAIN,
        ),
        (KeyError("x"), "validation medium final none none"),
        (TypeError("x"), BUG),
        (MemoryError(), "system critical final none none"),
        (RuntimeError("Session is closed"), UNREACHABLE),
    ],
)
def test_an_exception_of_the_standard_library_means_what_the_conventions_say(
    exc: Exception, said: str
) -> None:
    assert say(classify(exc)) == said
    if isinstance(exc, urllib.error.HTTPError):
        exc.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Insufficient permissions", "authentication critical final rejected none"),
        ("Insufficient balance", "order_execution medium final rejected none"),
        ("insufficient margin", "order_execution medium final rejected none"),
        ("Insufficient disk space", "system critical final none none"),
        ("insufficient market data", "market_data high recoverable none resubscribe"),
        ("insufficient information", BUG),
        ("connection pool settings: nothing", BUG),
        ("author unknown", BUG),
        ("order 429001", BUG),
        ("HTTP status 429", "rate_limit medium recoverable rejected header"),
        ("Too many requests", "rate_limit medium recoverable rejected header"),
        ("Invalid API key", "authentication critical final rejected none"),
        ("request timed out", UNCERTAIN),
        ("connection reset by peer", RESET),
        ("connect: connection refused", UNREACHABLE),
        ("cannot connect to host: No route to host", UNREACHABLE),
        ("[Errno 113] No route to host", RESET),
        ("[Errno 110] Connection timed out", UNCERTAIN),
        ("the connection is closed", RESET),
        ("Order 7 does not exist", "order_execution high recoverable rejected reconcile"),
        (
            "timestamp is outside of the recvWindow",
            "authentication high recoverable rejected resync_clock",
        ),
        ("under maintenance", "connection high recoverable rejected backoff"),
    ],
)
def test_words_are_read_as_phrases(text: str, said: str) -> None:
    assert say(classify(Exception(text))) == said
