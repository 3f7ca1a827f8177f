from __future__ import annotations

import copy
import datetime as dt
import json
import multiprocessing
import pickle
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import freezegun
import pytest

from foxtrot.util.classification import classify_code
from foxtrot.util.errors import (
    AdapterConnectionError,
    AuthenticationError,
    ComponentError,
    DataValidationError,
    ErrorCategory,
    ErrorSeverity,
    FoxtrotError,
    MarketDataError,
    OrderRejectionError,
    Outcome,
    RateLimitError,
    UnknownOrderError,
)

EVERY_CLASS = [
    FoxtrotError("something"),
    AdapterConnectionError("binance", "reset"),
    OrderRejectionError("7", "funds"),
    UnknownOrderError("7", "timeout"),
    RateLimitError("binance", 3.0, reason="weight"),
    MarketDataError("BTCUSDT", "gap"),
    AuthenticationError("binance", "key"),
    DataValidationError("price", "negative"),
    ComponentError("engine", "crash"),
]
ids = [type(e).__name__ for e in EVERY_CLASS]


class FixedClock:
    def now(self) -> float:
        return 0.0

    def wall(self) -> dt.datetime:
        return dt.datetime(2026, 1, 2, tzinfo=dt.UTC)

    async def sleep(self, seconds: float) -> None: ...

    def sleep_sync(self, seconds: float) -> None: ...


class Opened(FoxtrotError):
    """A subclass with a constructor that its own arguments do not fit."""

    def __init__(self, service: str, count: int, **overrides: Any) -> None:
        super().__init__(f"{service} is open after {count}", **overrides)
        self.count = count


def same(one: FoxtrotError, other: FoxtrotError) -> bool:
    return type(one) is type(other) and one.to_dict() == other.to_dict()


def test_each_class_has_the_defaults_of_its_place_in_the_tree() -> None:
    assert [
        (e.category.value, e.severity.value, e.outcome.value, e.recoverable, e.retry_after)
        for e in EVERY_CLASS
    ] == [
        ("system", "medium", "none", False, None),
        ("connection", "high", "unknown", True, 5.0),
        ("order_execution", "medium", "rejected", False, None),
        ("order_execution", "high", "unknown", True, None),
        ("rate_limit", "medium", "rejected", True, 3.0),
        ("market_data", "high", "none", True, 1.0),
        ("authentication", "critical", "rejected", False, None),
        ("validation", "medium", "none", False, None),
        ("system", "high", "none", False, None),
    ]


def test_messages_say_what_happened_and_to_what() -> None:
    assert [str(e) for e in EVERY_CLASS] == [
        "something",
        "Adapter binance connection failed: reset",
        "Order 7 rejected: funds",
        "Order 7 is in an unknown state: timeout",
        "Rate limit exceeded for binance: weight",
        "Market data issue for BTCUSDT: gap",
        "Adapter binance authentication failed: key",
        "Invalid price: negative",
        "Component engine failed: crash",
    ]


def test_order_that_nobody_names_is_called_an_order() -> None:
    """A venue's code comes without the order's id; "Order unknown rejected" reads as its name."""
    refused = classify_code("binance", -2010, "Account has insufficient balance.", adapter="A")
    assert str(refused).startswith("Order rejected: binance -2010")
    assert "order_id" not in refused.context
    assert str(UnknownOrderError("", "timeout")) == "Order is in an unknown state: timeout"


def test_contexts_hold_what_the_messages_say() -> None:
    assert [e.context for e in EVERY_CLASS] == [
        {},
        {"adapter": "binance", "reason": "reset"},
        {"order_id": "7", "venue_reason": "funds"},
        {"order_id": "7", "reason": "timeout"},
        {"adapter": "binance", "reason": "weight"},
        {"symbol": "BTCUSDT", "issue": "gap"},
        {"adapter": "binance", "reason": "key"},
        {"field": "price", "issue": "negative"},
        {"component": "engine", "reason": "crash"},
    ]


def test_every_class_suggests_what_to_do_and_with_what() -> None:
    subjects = ["binance", "order", "7", "3", "BTCUSDT", "binance", "price", "engine"]
    for error, subject in zip(EVERY_CLASS[1:], subjects, strict=True):
        assert subject in str(error.suggested_action)
    assert FoxtrotError("something").suggested_action is None


def test_a_rate_limit_without_a_reason_asks_for_a_minute() -> None:
    error = RateLimitError("binance")
    assert str(error) == "Rate limit exceeded for binance"
    assert error.context == {"adapter": "binance"}
    assert error.retry_after == 60.0


def test_every_category_has_a_concrete_class() -> None:
    assert {e.category for e in EVERY_CLASS} == set(ErrorCategory)


def test_each_default_gives_way_to_a_keyword() -> None:
    error = AdapterConnectionError(
        "binance",
        "reset",
        severity=ErrorSeverity.LOW,
        category=ErrorCategory.SYSTEM,
        context={"adapter": "other", "extra": 1},
        recoverable=False,
        retry_after=None,
        suggested_action="none",
        outcome=Outcome.NOT_SENT,
        clock=FixedClock(),
        error_id="e1",
    )
    assert error.to_dict() == {
        "error_id": "e1",
        "type": "AdapterConnectionError",
        "message": "Adapter binance connection failed: reset",
        "severity": "low",
        "category": "system",
        "outcome": "not_sent",
        "context": {"adapter": "other", "reason": "reset", "extra": 1},
        "recoverable": False,
        "retry_after": None,
        "suggested_action": "none",
        "timestamp": "2026-01-02T00:00:00+00:00",
        "cause": [],
    }


def test_recoverability_left_out_follows_the_category() -> None:
    recoverable = {c for c in ErrorCategory if FoxtrotError("x", category=c).recoverable}
    assert recoverable == {
        ErrorCategory.CONNECTION,
        ErrorCategory.RATE_LIMIT,
        ErrorCategory.MARKET_DATA,
    }


def test_the_context_is_copied() -> None:
    context = {"a": 1}
    error = FoxtrotError("x", context=context)
    context["a"] = 2
    error.context["b"] = 3
    assert (error.context, context) == ({"a": 1, "b": 3}, {"a": 2})


@pytest.mark.parametrize(("context", "name"), [({"adapter": "ib"}, "ib"), ({}, None)])
def test_the_adapter_name_comes_from_the_context(context: dict[str, Any], name: str | None) -> None:
    assert FoxtrotError("x", context=context).adapter_name == name


@pytest.mark.parametrize("seconds", [-0.1, float("nan"), float("inf")])
def test_a_wait_that_cannot_be_waited_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"retry_after=.*pass None when nothing is known"):
        FoxtrotError("x", retry_after=seconds)


def test_a_wait_of_nothing_is_not_an_unknown_wait() -> None:
    assert FoxtrotError("x", retry_after=0).retry_after == 0.0
    assert RateLimitError("binance", 0.0).suggested_action == "Wait 0 seconds before retrying"
    assert RateLimitError("binance", None).suggested_action == "Back off before retrying"


def test_severities_are_ordered_and_compare_with_nothing_else() -> None:
    low, medium, high, critical = ErrorSeverity
    assert low < medium < high < critical
    assert critical >= high > low
    assert not low < ErrorSeverity.LOW
    assert max(ErrorSeverity) is critical
    with pytest.raises(TypeError):
        _ = low < "high"


def test_ten_thousand_errors_of_one_frozen_instant_have_as_many_ids() -> None:
    with freezegun.freeze_time("2026-01-02"):
        errors = [FoxtrotError("x") for _ in range(10_000)]
    assert len({e.error_id for e in errors}) == 10_000
    assert {e.timestamp for e in errors} == {dt.datetime(2026, 1, 2, tzinfo=dt.UTC)}


def test_threads_share_no_id() -> None:
    start = threading.Barrier(8)

    def make() -> list[str]:
        start.wait()
        return [FoxtrotError("x").error_id for _ in range(500)]

    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(make) for _ in range(8)]
    assert len({i for future in made for i in future.result()}) == 4_000


@pytest.mark.parametrize("error", EVERY_CLASS, ids=ids)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_class_survives_pickle(error: FoxtrotError, protocol: int) -> None:
    assert same(pickle.loads(pickle.dumps(error, protocol)), error)


@pytest.mark.parametrize("error", EVERY_CLASS, ids=ids)
def test_every_class_survives_copy_and_deepcopy(error: FoxtrotError) -> None:
    assert same(copy.copy(error), error)
    assert same(copy.deepcopy(error), error)


def test_a_copy_has_its_own_context_and_the_same_cause() -> None:
    error = FoxtrotError("x", context={"inner": []})
    error.__cause__ = cause = ValueError("y")
    shallow, deep = copy.copy(error), copy.deepcopy(error)
    shallow.context["a"] = 1
    deep.context["inner"].append(1)
    assert error.context == {"inner": []}
    assert shallow.__cause__ is cause


def test_a_subclass_with_a_constructor_of_its_own_survives() -> None:
    error = pickle.loads(pickle.dumps(Opened("orders", 3, retry_after=2.0)))
    assert (type(error), error.count, error.retry_after) == (Opened, 3, 2.0)
    assert str(error) == "orders is open after 3"


class Unpicklable(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"signature=abc {one + two}")


def test_what_cannot_travel_travels_as_text() -> None:
    """A lock, a lambda, and a foreign exception that pickles but does not load."""
    error = FoxtrotError("x", context={"lock": threading.Lock(), "ok": {"a": (1,)}})
    error.__cause__ = Unpicklable(1, 2)
    clone = pickle.loads(pickle.dumps(error))
    assert clone.context["ok"] == {"a": (1,)}
    assert clone.context["lock"].startswith("<unlocked _thread.lock")
    assert repr(clone.__cause__) == "RuntimeError('Unpicklable: signature=[redacted] 3')"


def test_a_long_chain_of_causes_is_pickled_once() -> None:
    """Trying each cause out before sending it would double the work with every link."""
    error = FoxtrotError("0")
    for n in range(1, 40):
        outer = FoxtrotError(str(n), context={"inner": [error]})
        outer.__cause__ = error
        error = outer
    began = time.process_time()
    clone = pickle.loads(pickle.dumps(error))
    assert time.process_time() - began < 5
    assert [c["message"] for c in clone.to_dict()["cause"]] == [str(n) for n in range(38, -1, -1)]


def test_an_error_that_holds_itself_travels() -> None:
    error = FoxtrotError("x")
    error.context.update(me=error, mine=[error])
    clone = pickle.loads(pickle.dumps(error))
    assert clone.context["me"] is clone
    assert json.dumps(clone.to_dict())


def test_causes_that_lead_back_to_themselves_end() -> None:
    error, cause = FoxtrotError("x"), ValueError("y")
    error.__cause__, cause.__cause__ = cause, cause
    assert error.to_dict()["cause"] == [{"type": "ValueError", "message": "y"}]


def test_an_error_crosses_a_process_pool_as_result_and_as_exception() -> None:
    raise_it = "from foxtrot.util.errors import *; raise UnknownOrderError('7', 'timeout')"
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        result = pool.submit(AdapterConnectionError, "binance", "reset").result()
        assert str(result) == "Adapter binance connection failed: reset"
        with pytest.raises(UnknownOrderError, match="Order 7") as caught:
            pool.submit(exec, raise_it).result()
    assert caught.value.outcome is Outcome.UNKNOWN
    assert caught.value.error_id != result.error_id


def test_no_secret_is_shown_anywhere() -> None:
    error = AdapterConnectionError(
        "binance",
        "GET /order?signature=SECRET",
        context={"headers": {"X-MBX-APIKEY": "SECRET"}, "url": "u?signature=SECRET"},
        suggested_action="try apiKey=SECRET",
    )
    error.__cause__ = ValueError("token=SECRET")
    shown = [str(error), repr(error), json.dumps(error.to_dict()), str(error.suggested_action)]
    assert [text for text in shown if "SECRET" in text] == []


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_a_cause_whose_text_fails_does_not_hide_the_error() -> None:
    error = FoxtrotError("x")
    error.__cause__ = Mute()
    assert error.to_dict()["cause"] == [
        {"type": "Mute", "message": "<Mute whose __str__ raised RuntimeError>"}
    ]


def test_the_repr_names_class_category_outcome_and_id() -> None:
    assert repr(MarketDataError("BTC", "gap", error_id="e1")) == (
        "MarketDataError('Market data issue for BTC: gap', category=market_data, "
        "outcome=none, error_id='e1')"
    )
