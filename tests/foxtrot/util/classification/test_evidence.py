"""What is read off foreign exceptions, and which piece of evidence outranks which."""

from __future__ import annotations

import errno
import http.client
import json
import socket
import urllib.error

import pytest

from foxtrot.util.classification import Classifier, Entry, Rule, Strength, classify, classify_code
from foxtrot.util.classification import _evidence as evidence
from foxtrot.util.errors import (
    ErrorCategory,
    ErrorSeverity,
    FoxtrotError,
    Outcome,
    UnknownOrderError,
)

OURS = Entry(
    ErrorCategory.MARKET_DATA, ErrorSeverity.LOW, True, Outcome.NONE, "header|3", "do this"
)


class VenueError(Exception):
    pass


VENUE = f"{__name__}.VenueError"


class Numbered(Exception):
    """A foreign error with a number under some name."""

    def __init__(self, **numbers: object) -> None:
        self.__dict__.update(numbers)


def caused(outer: Exception, cause: Exception) -> Exception:
    outer.__cause__ = cause
    return outer


def reply(code: int, text: str) -> str:
    return json.dumps({"code": code, "msg": text})


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["status", "status_code", "code"])
@pytest.mark.parametrize(
    ("number", "status"), [(299, None), (300, 300), (503, 503), (599, 599), (600, None)]
)
def test_a_status_is_found_under_each_of_its_names(
    name: str, number: int, status: int | None
) -> None:
    assert evidence.http_status(Numbered(**{name: number}), "") == status
    assert evidence.http_status(Numbered(response=Numbered(**{name: number})), "") == status


def test_only_ccxt_has_the_status_in_its_words() -> None:
    text = "binance 418 I'm a teapot {}"
    ccxt_error = type("NetworkError", (Exception,), {"__module__": "ccxt.base.errors"})
    assert evidence.http_status(ccxt_error(text), text) == 418
    assert evidence.http_status(Exception(text), text) is None


@pytest.mark.parametrize(
    ("number", "code"), [(503, None), (999, None), (1000, 1000), (4999, 4999), (5000, None)]
)
def test_a_close_code_lies_between_1000_and_4999(number: int, code: int | None) -> None:
    assert evidence.close_code(Numbered(code=number)) == code


@pytest.mark.parametrize(
    ("exc", "number"),
    [
        (OSError(errno.ENETDOWN, "x"), errno.ENETDOWN),
        (OSError(99_999, "x"), None),
        (socket.gaierror(socket.EAI_NONAME, "x"), None),
        (Numbered(errno=errno.ENETDOWN), None),
    ],
)
def test_an_errno_is_the_operating_system_s(exc: Exception, number: int | None) -> None:
    assert evidence.errno_of(exc) == number


def test_an_errno_comes_by_its_name() -> None:
    error = classify(OSError(errno.ENETDOWN, "x"))
    assert (error.context["classified_by"], error.context["code"]) == ("errno", "ENETDOWN")


def test_an_errno_without_a_row_leaves_it_to_the_type() -> None:
    error = classify(OSError(errno.ENOTTY, "x"))
    assert error.context["classified_by"] == "type"
    assert "code" not in error.context


def test_the_venue_s_words_are_the_message_alone() -> None:
    assert evidence.venue_text('{"code":-1013,"msg":"Filter failure","hint":"ban"}') == (
        "Filter failure"
    )
    assert evidence.venue_text("no json") == "no json"


@pytest.mark.parametrize("code", ["--5", "5-", "-", "X5"])
def test_a_code_that_only_looks_like_a_number_is_a_name(code: str) -> None:
    mine = Classifier().with_table("kraken", {code: OURS})
    error = mine.classify_code("kraken", code)
    assert (error.category, error.context["code"]) == (ErrorCategory.MARKET_DATA, code)


@pytest.mark.parametrize(
    ("number", "code"), [(-999, None), (404, None), (-1000, ("binance", -1000))]
)
def test_a_code_of_binance_is_minus_a_thousand_or_less(
    number: int, code: tuple[str, int] | None
) -> None:
    assert evidence.venue_code(Numbered(code=number), "") == code


@pytest.mark.parametrize("name", ["headers", "header"])
def test_headers_are_found_under_each_of_their_names(name: str) -> None:
    headers = {"Retry-After": "1"}
    assert evidence.headers_of(Numbered(**{name: headers})) is headers
    assert evidence.headers_of(Numbered(response=Numbered(**{name: headers}))) is headers
    assert evidence.headers_of(Numbered(**{name: "no mapping"})) is None


# --- names and causes -----------------------------------------------------------------------------


def test_a_module_that_is_private_gives_its_classes_public_names() -> None:
    hidden = type("Odd", (Exception,), {"__module__": "_Xlib.core"})
    assert list(evidence.qualified_names(hidden()))[:2] == ["_Xlib.core.Odd", "Xlib.Odd"]


@pytest.mark.parametrize("name", ["reason", "os_error"])
def test_a_library_may_hand_its_cause_over_under_a_name_of_its_own(name: str) -> None:
    cause = ConnectionRefusedError()
    assert list(evidence.causes(Numbered(**{name: cause}))) == [cause]


def test_each_cause_is_told_once_however_they_are_linked() -> None:
    top, one, two = RuntimeError("0"), RuntimeError("1"), RuntimeError("2")
    top.__cause__, one.__cause__, two.__cause__ = one, two, one
    assert list(evidence.causes(top)) == [one, two]
    two.__cause__ = top
    assert list(evidence.causes(top)) == [one, two]


def test_an_error_names_what_caused_it_and_nothing_that_nobody_said() -> None:
    error = classify(VenueError())
    assert error.context["cause_type"] == VENUE
    assert str(error).endswith("VenueError")
    assert "operation" not in error.context


def test_a_generic_type_is_read_by_its_words_when_nothing_else_tells() -> None:
    rule = Rule(OURS, (("odd", OURS.but(action="odd")),), Strength.GENERIC)
    mine = Classifier().with_table("type", {VENUE: rule})
    assert mine.classify(VenueError("ODD")).suggested_action == "odd"


# --- bare codes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [classify_code, Classifier().classify_code])
def test_a_bare_code_names_the_adapter_and_says_what_came(by: object) -> None:
    assert callable(by)
    error = by("http", 503, adapter="binance", operation="account")
    assert str(error) == "Adapter binance connection failed: http 503"
    assert (error.context["adapter"], error.context["operation"]) == ("binance", "account")
    assert str(by("http", 503, "busy", adapter="binance")).endswith(": http 503: busy")


def test_a_venue_s_code_inside_a_reply_says_more_than_the_status() -> None:
    outside = classify_code("http", 400, reply(-1003, "IP banned until 1"))
    direct = classify_code("binance", -1003, "IP banned until 1")
    assert outside.context["classified_by"] == "code"
    for name in ("category", "severity", "outcome", "recoverable"):
        assert getattr(outside, name) == getattr(direct, name)
    assert outside.context["retry_policy"] == "ban_until"


def test_the_message_says_who_was_limited_and_what_is_in_doubt() -> None:
    limited = classify_code("http", 429, "slow down", adapter="binance")
    assert str(limited) == "Rate limit exceeded for binance: http 429: slow down"
    unknown = classify_code("binance", -2021, "Order cancel-replace partially failed.")
    assert str(unknown) == (
        "Order is in an unknown state: binance -2021: Order cancel-replace partially failed."
    )
    assert "order_id" not in unknown.context


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("This request is too frequent: at most 15 requests every 30 seconds", (15, 30)),
        ("too many requests, 20 times in any 30s", (20, 30)),
        ("Too many new orders; current limit is 50 orders per 10 SECOND.", (50, 10)),
        ("This request is too frequent", None),
        ("Too many requests; limit is 2400 request weight per 60 SECOND", None),
        ("too many requests: 0 requests per 30 seconds", None),
        ("too many requests: 15 requests per 0 seconds", None),
        ("too many requests: 1234567 requests per 30 seconds", None),
        ("too many requests: 15 requests per 1 shop", None),
    ],
)
def test_a_limit_that_counts_requests_is_told_with_its_seconds(
    text: str, quota: tuple[int, int] | None
) -> None:
    told = classify_code("binance", -1015, text).context.get("quota")
    assert told == (quota and {"limit": quota[0], "seconds": quota[1]})


def test_only_a_limit_has_a_quota() -> None:
    error = classify_code("binance", -1121, "Invalid symbol, 15 requests every 30 seconds")
    assert error.category is ErrorCategory.VALIDATION
    assert "quota" not in error.context


def test_an_adapter_is_no_symbol() -> None:
    """Nobody said of which instrument the prices are."""
    error = classify(Exception("sequence gap"), adapter="binance")
    assert error.category is ErrorCategory.MARKET_DATA
    assert "symbol" not in error.context


def test_only_a_reply_has_a_code_inside() -> None:
    error = classify_code("ws_close", 1006, reply(-1121, "Invalid symbol."))
    assert error.category is ErrorCategory.CONNECTION


def test_a_venue_s_code_is_an_answer() -> None:
    """A row that leaves nothing open stays so, even for a request that changes state."""
    mine = Classifier().with_table("binance", {-9999: OURS})
    body = reply(-9999, "noted")
    error = mine.classify_code("http", 400, body, operation="order.place")
    assert (error.category, error.outcome) == (ErrorCategory.MARKET_DATA, Outcome.NONE)
    assert mine.classify(Exception(body), operation="order.place").outcome is Outcome.NONE


@pytest.mark.parametrize(
    ("exc", "outcome"),
    [
        (Numbered(status=304), Outcome.NONE),  # the venue answered
        (Numbered(code=1006), Outcome.UNKNOWN),  # a stream ended
        (OSError(errno.ENOSPC, "full"), Outcome.UNKNOWN),  # something here broke
    ],
)
def test_only_an_answer_settles_what_became_of_an_order(exc: Exception, outcome: Outcome) -> None:
    assert classify(exc, operation="order.place").outcome is outcome


@pytest.mark.parametrize(
    ("exc", "field"),
    [
        (json.JSONDecodeError("x", "y", 0), "reply"),
        (Numbered(status=400), "request"),
        (Exception(reply(-1102, "Mandatory parameter 'price' was not sent")), "price"),
    ],
)
def test_what_is_invalid_is_named_or_is_the_request_or_the_reply(
    exc: Exception, field: str
) -> None:
    assert classify(exc, operation="order.place").context["field"] == field


# --- causes ---------------------------------------------------------------------------------------


def test_a_venue_s_code_in_the_words_of_a_cause_counts() -> None:
    cause = Exception(reply(-1121, "Invalid symbol."))
    error = classify(caused(RuntimeError("it failed"), cause))
    assert error.category is ErrorCategory.VALIDATION
    assert (error.context["classified_by"], error.context["code"]) == ("cause", -1121)


def test_a_type_that_knows_that_nothing_was_sent_outranks_what_its_cause_leaves_open() -> None:
    exc = caused(urllib.error.URLError("x"), OSError(errno.ETIMEDOUT, "x"))
    assert classify(exc, operation="order.place").outcome is Outcome.NOT_SENT


def test_a_type_that_tells_of_a_refusal_does_not_settle_what_its_cause_leaves_open() -> None:
    rule = Rule(OURS.but(outcome=Outcome.REJECTED), strength=Strength.WRAPPER)
    mine = Classifier().with_table("type", {VENUE: rule})
    exc = caused(VenueError("x"), OSError(errno.ETIMEDOUT, "x"))
    assert mine.classify(exc, operation="order.place").outcome is Outcome.UNKNOWN


def test_a_wrapper_as_cause_is_read_by_its_words_when_nothing_else_tells() -> None:
    rule = Rule(OURS, (("odd", OURS.but(action="odd")),), Strength.WRAPPER)
    mine = Classifier().with_table("type", {VENUE: rule})
    error = mine.classify(caused(RuntimeError("it failed"), VenueError("ODD")))
    assert (error.suggested_action, error.context["classified_by"]) == ("odd", "cause")
    error = classify(caused(RuntimeError("it failed"), http.client.HTTPException("x")))
    assert (error.category, error.context["classified_by"]) == (ErrorCategory.VALIDATION, "cause")


def test_one_of_our_own_as_cause_keeps_its_policy_outcome_and_action() -> None:
    inner = FoxtrotError(
        "x",
        category=ErrorCategory.CONNECTION,
        recoverable=True,
        context={"retry_policy": "resync_clock"},
        suggested_action="measure the clock",
    )
    error = classify(caused(RuntimeError("y"), inner))
    assert error.context["retry_policy"] == "resync_clock"
    assert error.suggested_action == "measure the clock"
    unknown = classify(caused(RuntimeError("y"), UnknownOrderError("7", "timeout")))
    assert unknown.outcome is Outcome.UNKNOWN


def test_one_of_our_own_that_suggests_nothing_still_gets_an_action() -> None:
    inner = FoxtrotError("x", category=ErrorCategory.CONNECTION)
    inner.suggested_action = None
    assert classify(caused(RuntimeError("y"), inner)).suggested_action


@pytest.mark.parametrize("retry", ["5", "header|5"])
def test_a_policy_of_seconds_that_has_none_left_is_no_policy(retry: str) -> None:
    """Such an error came out of here: not recoverable, and so without its seconds."""
    entry = OURS.but(recoverable=False, retry=retry)
    inner = Classifier().with_table("type", {VENUE: entry}).classify(VenueError())
    assert (inner.recoverable, inner.retry_after) == (False, None)
    error = classify(caused(RuntimeError("y"), inner))
    assert (error.context["retry_policy"], error.retry_after) == ("none", None)


# --- groups ---------------------------------------------------------------------------------------


def test_one_of_our_own_in_a_group_is_believed() -> None:
    ours = FoxtrotError("x", ErrorSeverity.CRITICAL, ErrorCategory.MARKET_DATA)
    error = classify(ExceptionGroup("g", [ConnectionRefusedError(), ours]))
    assert (error.category, error.context["classified_by"]) == (ErrorCategory.MARKET_DATA, "cause")


def test_a_member_of_a_group_is_read_by_its_words() -> None:
    error = classify(ExceptionGroup("g", [Exception("rate limit exceeded")]))
    assert (error.category, error.context["classified_by"]) == (ErrorCategory.RATE_LIMIT, "text")


@pytest.mark.parametrize("step", [1, -1])
def test_of_two_equally_grave_members_the_one_that_needs_a_person_decides(step: int) -> None:
    members = [ConnectionRefusedError(), TypeError()][::step]
    error = classify(ExceptionGroup("g", members))
    assert (error.category, error.recoverable) == (ErrorCategory.SYSTEM, False)


def test_a_group_of_certain_members_is_certain() -> None:
    group = ExceptionGroup("g", [OSError(errno.ENOSPC, "full"), ConnectionRefusedError()])
    assert classify(group).outcome is Outcome.NONE
