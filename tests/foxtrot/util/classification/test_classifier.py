from __future__ import annotations

import asyncio
import datetime as dt
import json
import pickle
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foxtrot.util import classification
from foxtrot.util.classification import Classifier, Entry, Rule, Strength, classify, classify_code
from foxtrot.util.errors import (
    AdapterConnectionError,
    ErrorCategory,
    ErrorSeverity,
    FoxtrotError,
    Outcome,
    RateLimitError,
    UnknownOrderError,
)

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


class FixedClock:
    def now(self) -> float:
        return 0.0

    def wall(self) -> dt.datetime:
        return NOW

    async def sleep(self, seconds: float) -> None: ...

    def sleep_sync(self, seconds: float) -> None: ...


AT_NOW = Classifier(clock=FixedClock())


def verdict(error: FoxtrotError) -> tuple[str, str, bool, str, str, float | None, str]:
    return (
        error.category.value,
        error.severity.value,
        error.recoverable,
        error.outcome.value,
        error.context["retry_policy"],
        error.retry_after,
        error.context["classified_by"],
    )


def linked(outer: Exception, cause: BaseException, *, explicit: bool = True) -> Exception:
    """`outer` as it is after a `raise ... from cause`, or after one without `from`."""
    if explicit:
        outer.__cause__ = cause
    outer.__context__ = cause
    return outer


# --- the result -----------------------------------------------------------------------------------


def test_the_result_carries_who_what_how_and_the_cause() -> None:
    cause = ConnectionResetError(104, "reset, signature=SECRET")
    error = AT_NOW.classify(cause, adapter="binance", operation="account")
    assert type(error) is AdapterConnectionError
    assert error.__cause__ is cause
    assert str(error) == (
        "Adapter binance connection failed: "
        "ConnectionResetError: [Errno 104] reset, signature=[redacted]"
    )
    assert error.context == {
        "adapter": "binance",
        "operation": "account",
        "cause_type": "builtins.ConnectionResetError",
        "classified_by": "type",
        "retry_policy": "reconnect",
        "retry_after_source": "default",
        "reason": "ConnectionResetError: [Errno 104] reset, signature=[redacted]",
    }
    assert error.timestamp == NOW


def test_a_code_carries_its_source_and_an_action_of_its_own() -> None:
    error = classify_code("binance", "-1102", "Mandatory parameter 'price' was not sent.")
    assert error.context["code"] == -1102
    assert error.context["source"] == "binance"
    assert error.context["field"] == "price"
    assert error.suggested_action == "Send the mandatory parameter, in its form [-1102]"


@pytest.mark.parametrize(
    ("exc", "name"),
    [
        (ConnectionResetError(), "AdapterConnectionError"),
        (ValueError(), "DataValidationError"),
        (Exception("invalid api key"), "AuthenticationError"),
        (Exception("too many requests"), "RateLimitError"),
        (Exception("sequence gap"), "MarketDataError"),
        (Exception("insufficient balance"), "OrderRejectionError"),
        (TypeError(), "ComponentError"),
    ],
)
def test_each_category_comes_as_its_own_class(exc: Exception, name: str) -> None:
    error = classify(exc)
    assert type(error).__name__ == name
    assert (str(exc) or type(exc).__name__) in str(error)


def test_an_order_in_doubt_comes_as_an_unknown_order() -> None:
    error = classify_code("binance", -2021, "Order cancel-replace partially failed.")
    assert type(error) is UnknownOrderError


def test_no_stand_in_for_a_name_gets_into_the_context() -> None:
    """`unknown` would count as an adapter's name, and keep the true one out later."""
    for exc in (ConnectionResetError(), Exception("insufficient balance"), Exception("x")):
        error = classify(exc)
        assert "unknown" not in error.context.values()
        assert error.adapter_name is None


def test_a_foxtrot_error_comes_back_itself_and_learns_what_it_lacks() -> None:
    error = FoxtrotError("x", context={"adapter": "ib"})
    assert classify(error, adapter="binance", operation="account") is error
    assert error.context == {"adapter": "ib", "operation": "account"}
    assert classify(error, operation="time").context["operation"] == "account"
    assert classify(FoxtrotError("x"), adapter="binance").adapter_name == "binance"


def test_classifying_twice_changes_nothing() -> None:
    once = classify(TimeoutError(), adapter="binance", operation="order.place")
    assert classify(once, adapter="ib", operation="time") is once
    assert once.context["adapter"] == "binance"


@pytest.mark.parametrize("exc", [KeyboardInterrupt(), SystemExit(1), asyncio.CancelledError()])
def test_what_is_no_exception_is_never_caught(exc: BaseException) -> None:
    with pytest.raises(type(exc)) as caught:
        classify(exc)
    assert caught.value is exc


def test_what_nothing_tells_is_a_system_error_by_default() -> None:
    assert verdict(classify(Exception("order 429001 at exchange 500"))) == (
        "system", "high", False, "none", "none", None, "default",
    )  # fmt: skip
    assert classify_code("binance", -5555, "?").context["classified_by"] == "default"


class Nasty(Exception):
    """Everything about it fails."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    @property
    def response(self) -> object:
        raise RuntimeError("no")

    @property
    def code(self) -> int:
        raise RuntimeError("no")


def test_an_exception_that_fails_to_describe_itself_is_classified() -> None:
    error = classify(Nasty())
    assert "__str__ raised RuntimeError" in str(error)
    assert pickle.loads(pickle.dumps(error)).to_dict()["message"] == str(error)


def failing(name: str) -> Exception:
    """An error of a library's connection, whose property `name` cannot be read yet."""

    def fail(self: object) -> object:
        raise RuntimeError("not ready")

    exc: Exception = type("OddError", (OSError,), {name: property(fail)})("x")
    return exc


@pytest.mark.parametrize(
    "name", ["args", "code", "errno", "headers", "os_error", "rcvd", "reason", "response", "status"]
)
def test_a_property_that_fails_has_nothing_to_tell(name: str) -> None:
    exc = failing(name)
    assert verdict(classify(exc)) == verdict(classify(OSError("x")))
    assert classify(linked(RuntimeError("y"), exc)).__cause__ is not None
    assert classify(ExceptionGroup("g", [exc])).category is ErrorCategory.SYSTEM


class Unreadable(dict[str, str]):
    def items(self) -> NoReturn:
        raise RuntimeError("closed")


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "Wed, 21 Oct 99999999999999999999 07:28:00 GMT"},
        {"Retry-After": "Wed, 21 Oct 2026 07:28:00 +99999999999999999999"},
        {"Retry-After": Nasty()},
        {Nasty(): "5"},
        Unreadable({"Retry-After": "5"}),
    ],
)
def test_headers_that_cannot_be_read_name_no_time(headers: dict[Any, Any]) -> None:
    assert AT_NOW.classify_code("http", 429, headers=headers).retry_after == 60.0


@pytest.mark.parametrize("number", [[1], {}])
def test_an_errno_that_is_no_number_is_none(number: object) -> None:
    assert classify(OSError(number, "x")).context["classified_by"] == "type"


def test_a_class_without_the_name_of_a_module_is_classified() -> None:
    made = type("OddError", (ConnectionResetError,), {"__module__": None})
    assert classify(made("x")).category is ErrorCategory.CONNECTION


def test_a_page_of_html_does_not_fill_the_message() -> None:
    assert len(str(classify(Exception("<html>" * 100_000)))) < 700


@given(st.text(max_size=60), st.sampled_from([None, "order.place", "account"]))
def test_any_text_gives_an_error_that_can_be_written_down(text: str, operation: str | None) -> None:
    error = classify(Exception(text), adapter="binance", operation=operation)
    assert json.loads(json.dumps(error.to_dict()))["context"]["adapter"] == "binance"


# --- outcomes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "outcome", "policy"),
    [
        (None, Outcome.UNKNOWN, "reconcile"),
        ("order.place", Outcome.UNKNOWN, "reconcile"),
        ("order.cancel", Outcome.UNKNOWN, "reconcile"),
        ("something new", Outcome.UNKNOWN, "reconcile"),
        ("order.query", Outcome.NONE, "backoff"),
        ("account", Outcome.NONE, "backoff"),
        ("stream.subscribe", Outcome.NONE, "backoff"),
    ],
)
def test_a_timeout_leaves_only_a_change_of_state_unknown(
    operation: str | None, outcome: Outcome, policy: str
) -> None:
    error = classify(TimeoutError(), operation=operation)
    assert (error.outcome, error.context["retry_policy"]) == (outcome, policy)


@pytest.mark.parametrize(
    "exc", [KeyError("orderId"), Exception("?"), linked(RuntimeError(), KeyError("x"))]
)
def test_what_breaks_around_a_change_of_state_leaves_it_unknown(exc: Exception) -> None:
    """The reply may have been an acknowledgement that we failed to read."""
    assert classify(exc, operation="order.place").outcome is Outcome.UNKNOWN
    assert classify(exc, operation="account").outcome is Outcome.NONE
    assert classify(exc).outcome is Outcome.NONE


def test_a_stream_that_ends_leaves_the_order_sent_over_it_unknown() -> None:
    assert classify_code("ws_close", 1006).outcome is Outcome.NONE
    assert classify_code("ws_close", 1006, operation="order.place").outcome is Outcome.UNKNOWN


def test_a_notice_about_an_order_leaves_nothing_unknown() -> None:
    assert classify_code("ib", 399, operation="order.place").outcome is Outcome.NONE


@pytest.mark.parametrize("operation", [None, "order.place", "account"])
def test_a_refusal_is_one_whatever_was_asked(operation: str | None) -> None:
    assert classify_code("binance", -2010, operation=operation).outcome is Outcome.REJECTED


# --- waits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "text", "seconds"),
    [
        ({}, "", 60.0),
        (None, "", 60.0),
        ({"Retry-After": "7"}, "", 7.0),
        ({"retry-after": " 7.5 "}, "", 7.5),
        ({b"Retry-After": b"7"}, "", 7.0),
        ({"Retry-After": 7}, "", 7.0),
        ({"Retry-After": "0"}, "", 0.0),
        ({"Retry-After": "-3"}, "", 0.0),
        ({"Retry-After": "soon"}, "", 60.0),
        ({"Retry-After": "9" * 400}, "", 60.0),
        ({"Retry-After": "Fri, 02 Jan 2026 00:01:30 GMT"}, "", 90.0),
        ({"Retry-After": "Fri, 02 Jan 2026 00:01:30 -0000"}, "", 90.0),
        ({"Retry-After": "Fri, 02 Jan 2026 02:01:30 +0200"}, "", 90.0),
        ({"Retry-After": "Thu, 01 Jan 2026 00:00:00 GMT"}, "", 0.0),
        ({}, "IP banned until 1767312045500", 45.5),
        ({}, "IP banned until 1767312045", 45.0),
        ({}, "IP banned until 1000000000000", 0.0),
        ({"Retry-After": "7"}, "IP banned until 1767312045000", 45.0),
        ({"Retry-After": "90"}, "IP banned until 1767312045000", 90.0),
        ({}, "please try again in 12 seconds", 12.0),
        ({}, "retry after 1500ms", 1.5),
        ({}, "retry after 1500 milliseconds", 1.5),
        ({}, "retry after 1500 msec", 1.5),
        ({}, "Too many requests, retry-after: 90s", 90.0),
        ({}, "please try again in 15 minutes.", 900.0),
        ({}, "retry after 1 min", 60.0),
        ({}, "retry after 2.5m", 150.0),
        ({}, "try again in 3 mins", 180.0),
        ({}, "try again in 2 hours", 7200.0),
        ({}, "retry_after=1h, or never", 3600.0),
        ({}, "try again in 1 hr", 3600.0),
        ({}, "try again in 2 hrs", 7200.0),
        ({}, "Please try again in 1m30.5s. Visit", 90.5),
        ({}, "try again in 1 hour and 5 minutes, or in 2 hours", 3900.0),
        ({}, "try again in 1 day", 86400.0),
        ({}, "retry after 30.", 30.0),
        ({}, "retry after 4 more requests", 4.0),
        ({}, "retry after 4 half-lives", 4.0),
        ({}, "retry after 4mx", 4.0),
        ({}, "retry after 12 MINUTES", 720.0),
        ({"Retry-After": "90"}, "try again in 1 minute", 90.0),
    ],
)
def test_the_wait_is_the_latest_that_the_venue_named(
    headers: dict[str, str] | None, text: str, seconds: float
) -> None:
    error = AT_NOW.classify_code("http", 429, text, headers=headers)
    assert error.retry_after == seconds


def test_a_ban_without_an_end_lasts_the_shortest_that_the_venue_bans() -> None:
    assert verdict(AT_NOW.classify_code("http", 418)) == (
        "rate_limit", "high", True, "rejected", "ban_until", 120.0, "status",
    )  # fmt: skip


def test_a_venue_s_wait_outranks_the_entry_s_own() -> None:
    error = classify_code("http", 429, headers={"Retry-After": "4"})
    assert (error.retry_after, error.context["retry_after_source"]) == (4.0, "venue")
    error = classify_code("http", 429)
    assert (error.retry_after, error.context["retry_after_source"]) == (60.0, "default")


def test_no_wait_mends_what_is_not_recoverable() -> None:
    error = classify_code("http", 401, headers={"Retry-After": "4"})
    assert error.retry_after is None
    assert "retry_after_source" not in error.context


def test_headers_are_found_on_the_response_of_a_cause() -> None:
    class Response:
        status_code = 429
        headers = {"Retry-After": "9"}  # noqa: RUF012 - as the libraries have it

    cause = Exception("x")
    cause.response = Response()  # type: ignore[attr-defined]
    error = classify(linked(RuntimeError("y"), cause))
    assert (error.category, error.retry_after) == (ErrorCategory.RATE_LIMIT, 9.0)
    assert (error.context["classified_by"], error.context["code"]) == ("cause", 429)


def replied(status: int, **headers: str) -> Exception:
    """What a client library raises for a reply."""
    exc = Exception("x")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    exc.__dict__.update(status=status, headers=named)
    return exc


LIMITED = replied(429, Retry_After="3600")
BANNED = Exception("IP banned until 1767312045000")


@pytest.mark.parametrize(
    ("members", "seconds"),
    [
        ([LIMITED], 3600.0),
        ([BANNED], 45.0),
        ([BANNED, LIMITED], 3600.0),
        ([LIMITED, BANNED], 3600.0),
        ([ConnectionResetError(), LIMITED], 3600.0),
        ([ExceptionGroup("inner", [TimeoutError(), linked(RuntimeError(), LIMITED)])], 3600.0),
        ([RateLimitError("binance", 90.0), ConnectionResetError()], 90.0),
        ([AT_NOW.classify(LIMITED), ConnectionResetError()], 3600.0),
        ([AT_NOW.classify_code("http", 429, "retry after 90"), TimeoutError()], 90.0),
    ],
)
def test_a_group_waits_for_the_latest_that_a_member_was_told(
    members: list[Exception], seconds: float
) -> None:
    """Out of an asyncio.TaskGroup a ban comes as a group."""
    error = AT_NOW.classify(ExceptionGroup("g", members))
    assert (error.retry_after, error.context["retry_after_source"]) == (seconds, "venue")


def test_in_a_group_nobody_is_told_less_than_alone() -> None:
    ban, limit = replied(418), replied(429, Retry_After="1")
    assert AT_NOW.classify(ExceptionGroup("g", [ban, limit])).retry_after == 120.0
    alone = AT_NOW.classify(ExceptionGroup("g", [ban]))
    assert (alone.retry_after, alone.context["retry_after_source"]) == (120.0, "default")
    own = AdapterConnectionError("binance", "down", retry_after=300.0)
    assert AT_NOW.classify(ExceptionGroup("g", [own, limit])).retry_after == 300.0


def test_what_the_venue_said_to_a_cause_counts() -> None:
    assert AT_NOW.classify(linked(RuntimeError("it failed"), BANNED)).retry_after == 45.0


# --- causes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("explicit", [True, False])
def test_a_cause_tells_what_a_generic_error_does_not(explicit: bool) -> None:
    error = classify(linked(RuntimeError("it failed"), ConnectionRefusedError(), explicit=explicit))
    assert verdict(error) == (
        "connection", "high", True, "not_sent", "seconds", 5.0, "cause",
    )  # fmt: skip


def test_a_context_that_was_suppressed_is_none() -> None:
    exc = linked(RuntimeError("it failed"), ConnectionRefusedError(), explicit=False)
    exc.__suppress_context__ = True
    assert classify(exc).category is ErrorCategory.SYSTEM


def test_an_exact_type_is_not_overruled_by_its_cause() -> None:
    assert classify(linked(KeyError("x"), ConnectionResetError())).category is (
        ErrorCategory.VALIDATION
    )


def test_the_words_of_a_cause_count_when_nothing_else_does() -> None:
    error = classify(linked(RuntimeError("it failed"), Exception("rate limit exceeded")))
    assert (error.category.value, error.context["classified_by"]) == ("rate_limit", "cause")


def test_one_of_our_own_errors_as_cause_is_believed() -> None:
    inner = FoxtrotError(
        "x", ErrorSeverity.HIGH, ErrorCategory.MARKET_DATA, {"code": 3}, True, 2.0, "act"
    )
    error = classify(linked(RuntimeError("y"), inner))
    assert verdict(error) == (
        "market_data", "high", True, "none", "seconds", 2.0, "cause",
    )  # fmt: skip
    assert error.context["code"] == 3


def test_causes_in_a_circle_end() -> None:
    one, two = RuntimeError("a"), RuntimeError("b")
    one.__cause__, two.__cause__ = two, one
    assert classify(one).category is ErrorCategory.SYSTEM


def test_a_group_is_as_grave_as_its_gravest_member() -> None:
    group = ExceptionGroup("g", [ValueError(), ConnectionRefusedError(), OSError(28, "full")])
    assert classify(group).severity is ErrorSeverity.CRITICAL


def test_a_group_is_unknown_when_one_member_is() -> None:
    group = ExceptionGroup("g", [OSError(28, "full"), TimeoutError(), FoxtrotError("x")])
    error = classify(group)
    assert (error.severity, error.outcome) == (ErrorSeverity.CRITICAL, Outcome.UNKNOWN)


# --- tables of one's own --------------------------------------------------------------------------

OURS = Entry(
    ErrorCategory.MARKET_DATA, ErrorSeverity.LOW, True, Outcome.NONE, "header|3", "do this"
)


class VenueError(Exception):
    pass


def test_a_table_of_one_s_own_is_known_to_that_classifier_alone() -> None:
    mine = Classifier().with_table("kraken", {"EOrder:Odd": OURS, "7": OURS})
    assert verdict(mine.classify_code("kraken", "EOrder:Odd")) == (
        "market_data", "low", True, "none", "header", 3.0, "code",
    )  # fmt: skip
    assert mine.classify_code("kraken", 7).suggested_action == "do this [7]"
    with pytest.raises(ValueError, match=r"got source='kraken'; register a table"):
        classify_code("kraken", 7)


def test_a_row_of_one_s_own_outranks_the_package_s() -> None:
    mine = Classifier().with_table("binance", {-1121: OURS})
    assert mine.classify_code("binance", -1121).suggested_action == "do this [-1121]"
    assert mine.classify_code("binance", -1120).category is ErrorCategory.VALIDATION
    assert classify_code("binance", -1121).category is ErrorCategory.VALIDATION


def test_a_type_of_one_s_own_is_found_by_either_name() -> None:
    for name in (f"{__name__}.VenueError", f"{__name__.partition('.')[0]}.VenueError"):
        mine = Classifier().with_table("type", {name: OURS})
        assert mine.classify(VenueError()).severity is ErrorSeverity.LOW
    assert classify(VenueError()).context["classified_by"] == "default"


def test_a_rule_lets_the_text_decide_and_yields_to_evidence() -> None:
    rule = Rule(OURS, (("odd", OURS.but(action="odd")),), Strength.WRAPPER)
    mine = Classifier().with_table("type", {f"{__name__}.VenueError": rule})
    assert mine.classify(VenueError("ODD")).suggested_action == "odd"
    assert mine.classify(linked(VenueError(), ConnectionRefusedError())).category is (
        ErrorCategory.CONNECTION
    )


@pytest.mark.parametrize("retry", ["", "later", "header", "header|", "-1", "reconnect|5"])
def test_a_retry_policy_that_does_not_exist_is_refused(retry: str) -> None:
    with pytest.raises(ValueError, match="expected retry to be seconds"):
        OURS.but(retry=retry)


def test_the_face_of_the_package_is_its_all() -> None:
    public = {n for n in vars(classification) if not n.startswith("_") and n != "annotations"}
    assert sorted(public) == classification.__all__
