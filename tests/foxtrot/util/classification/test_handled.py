"""An error that comes while another is handled: what led to it, and what only came before it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from foxtrot.util.classification import classify, classify_code
from foxtrot.util.errors import ErrorCategory, FoxtrotError


class LimitedError(Exception):
    def __init__(self) -> None:
        super().__init__("slow down")
        self.status_code = 429
        self.headers = {"Retry-After": "9"}


def refuses() -> None:
    raise classify_code("binance", -2011, "Unknown order sent.", adapter="binance")


def limits() -> None:
    raise LimitedError


def dies() -> None:
    raise RuntimeError("the reader task has died")


def dies_of(call: Callable[[], None]) -> Callable[[], None]:
    def wrapped() -> None:
        try:
            call()
        except Exception:
            dies()

    return wrapped


def gives_up_after(call: Callable[[], None]) -> Callable[[], None]:
    """Its second try fails inside, where what ended the first is not seen."""

    def wrapped() -> None:
        try:
            call()
        except Exception:
            dies_of(dies)()

    return wrapped


def classified(call: Callable[[], None]) -> FoxtrotError:
    try:
        call()
    except Exception as exc:
        return classify(exc, operation="order.query")
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("dying", [dies_of, gives_up_after])
def test_what_a_library_caught_led_to_what_it_raised_then(
    dying: Callable[[Callable[[], None]], Callable[[], None]],
) -> None:
    error = classified(dying(refuses))
    assert (error.category, error.context["code"]) == (ErrorCategory.ORDER_EXECUTION, -2011)
    assert classified(dying(limits)).retry_after == 9.0


@pytest.mark.parametrize("call", [dies, dies_of(dies), gives_up_after(dies)])
@pytest.mark.parametrize("before", [refuses, limits])
def test_what_the_caller_was_handling_did_not(
    before: Callable[[], None], call: Callable[[], None]
) -> None:
    try:
        before()
    except Exception:
        error = classified(call)
    assert (error.category, error.context["classified_by"]) == (ErrorCategory.SYSTEM, "type")
    assert error.retry_after is None
    assert error.context.get("code") is None


def test_what_a_cause_from_elsewhere_came_of_led_to_it_too() -> None:
    """It was raised and caught in another task, whose calls the error itself has not seen."""
    kept: list[Exception] = []
    try:
        dies_of(refuses)()
    except RuntimeError as exc:
        kept.append(exc)

    def reports() -> None:
        raise RuntimeError("the task has ended") from kept[0]

    assert classified(reports).context["code"] == -2011


def test_a_code_stands_once_behind_what_is_suggested() -> None:
    assert (classified(dies_of(refuses)).suggested_action or "").count("[-2011]") == 1
