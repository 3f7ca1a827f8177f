"""Listeners that cannot hurt their source, and the one that logs."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from foxtrot.util.errors import AdapterConnectionError
from foxtrot.util.instrumentation import Listeners, event_name, log_listener
from foxtrot.util.retry import RetryEvent, RetryEventKind


class Color(Enum):
    RED = "red"


@dataclasses.dataclass(frozen=True)
class BreakerEvent:
    name: str
    kind: str
    to_state: Color


@dataclasses.dataclass(frozen=True)
class RateGateEvent:
    event: str = "taken"
    level: int = 3
    detail: object = None


def broken(event: object) -> None:
    raise ZeroDivisionError(f"token=abc123 for {event}")


def test_listeners_are_called_in_the_order_in_which_they_were_added() -> None:
    heard: list[tuple[str, int]] = []
    listeners = Listeners[int]([lambda event: heard.append(("first", event))])
    listeners.add(lambda event: heard.append(("second", event)))
    listeners.emit(1)
    listeners.emit(2)
    assert heard == [("first", 1), ("second", 1), ("first", 2), ("second", 2)]


def test_listeners_are_true_while_somebody_listens() -> None:
    listeners = Listeners[int]()
    assert not listeners
    listeners.add(print)
    assert listeners
    assert repr(listeners) == f"Listeners([{print!r}])"


def test_removing_takes_one_and_says_whether_it_was_there() -> None:
    heard: list[int] = []
    listeners = Listeners[int]([heard.append, heard.append])
    assert listeners.remove(heard.append)
    listeners.emit(1)
    assert heard == [1]
    assert listeners.remove(heard.append)
    assert not listeners.remove(heard.append)


def test_a_listener_that_raises_is_dropped_with_one_line_and_the_others_hear_on() -> None:
    heard: list[int] = []
    listeners = Listeners[int]([broken, heard.append])
    with capture_logs() as logs:
        listeners.emit(1)
        listeners.emit(2)
    assert heard == [1, 2]
    assert logs == [
        {
            "event": "listener.dropped",
            "log_level": "error",
            "listener": repr(broken),
            "on": "int",
            "error": "ZeroDivisionError: token=[redacted] for 1",
        }
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError])
def test_what_is_meant_for_the_caller_passes_and_drops_nobody(error: type[BaseException]) -> None:
    def interrupted(event: int) -> None:
        raise error

    listeners = Listeners[int]([interrupted])
    with pytest.raises(error):
        listeners.emit(1)
    assert listeners


def test_a_log_that_is_broken_too_is_not_felt(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_logger(*args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(structlog, "get_logger", no_logger)
    listeners = Listeners[int]([broken])
    listeners.emit(1)
    assert not listeners


def test_a_listener_may_use_its_source_and_change_the_listeners() -> None:
    """No lock is held meanwhile, and the change shows from the next event on."""
    heard: list[int] = []
    listeners = Listeners[int]()

    def once(event: int) -> None:
        listeners.remove(once)
        listeners.add(heard.append)
        if event < 3:
            listeners.emit(event + 1)

    listeners.add(once)
    listeners.emit(1)
    assert heard == [2]
    listeners.emit(9)
    assert heard == [2, 9]


def test_threads_that_add_and_drop_lose_nobody() -> None:
    heard: list[int] = []
    listeners = Listeners[int]()
    added: list[Callable[[int], object]] = [heard.append] * 400

    def change(start: int) -> None:
        for listener in added[start::4]:
            listeners.add(broken)
            listeners.add(listener)
            listeners.remove(broken)

    threads = [threading.Thread(target=change, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    listeners.emit(1)
    assert heard == [1] * 400


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (BreakerEvent("x", "opened", Color.RED), "breaker.opened"),
        (RetryEvent("x", RetryEventKind.WAITING, 1, 1.0, None, 0.0), "retry.waiting"),
        (RateGateEvent(), "rate_gate"),
        (dataclasses.make_dataclass("Event", [("kind", Color)])(Color.RED), "event.red"),
        (dataclasses.make_dataclass("HTTP2Event", [])(), "http2"),
        (dataclasses.make_dataclass("_HiddenEvent", [])(), "hidden"),
        (dataclasses.make_dataclass("XRayEvent", [])(), "xray"),
    ],
)
def test_an_event_is_named_by_its_class_and_kind(event: object, name: str) -> None:
    assert event_name(event) == name


def logged(event: object, **options: Any) -> list[dict[str, Any]]:
    with capture_logs() as logs:
        log_listener(**options)(event)
    return [dict(entry) for entry in logs]


def test_what_is_logged_goes_to_the_logger_named_foxtrot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The events as well as the listeners that were dropped."""
    asked: list[object] = []

    def get_logger(*args: object) -> object:
        asked.append(args)
        return log

    log = structlog.get_logger()
    monkeypatch.setattr(structlog, "get_logger", get_logger)
    with capture_logs() as logs:
        Listeners[object]([log_listener(), broken]).emit(RateGateEvent())
    assert [entry["event"] for entry in logs] == ["rate_gate", "listener.dropped"]
    assert asked == [("foxtrot",), ("foxtrot",)]


def test_the_log_listener_writes_fields_as_key_values() -> None:
    assert logged(BreakerEvent("binance", "opened", Color.RED)) == [
        {"event": "breaker.opened", "log_level": "info", "name": "binance", "to_state": "red"}
    ]


def test_an_event_with_an_error_is_a_warning_and_names_the_error() -> None:
    error = AdapterConnectionError("binance", "reset, signature=abcdef")
    event = RetryEvent("connect", RetryEventKind.WAITING, 1, 0.5, error, 10.0)
    assert logged(event) == [
        {
            "event": "retry.waiting",
            "log_level": "warning",
            "name": "connect",
            "attempt": 1,
            "delay": 0.5,
            "at": 10.0,
            "error": "AdapterConnectionError: Adapter binance connection failed: reset, "
            "signature=[redacted]",
            "error_id": error.error_id,
        }
    ]


def test_a_foreign_error_is_redacted_and_has_no_id() -> None:
    event = RetryEvent("x", RetryEventKind.EXHAUSTED, 4, 0.0, OSError("api_key=abc"), 0.0)
    (entry,) = logged(event)
    assert entry["error"] == "OSError: api_key=[redacted]"
    assert "error_id" not in entry


def test_an_error_that_cannot_describe_itself_is_logged_and_the_next_one_too(
    odd: type[Exception],
) -> None:
    """The log listener would be dropped for good, and an open breaker or a ban not be told of."""
    listeners = Listeners[RetryEvent]([log_listener()])
    with capture_logs() as logs:
        for error in (odd(), OSError("x")):
            listeners.emit(RetryEvent("x", RetryEventKind.EXHAUSTED, 4, 0.0, error, 0.0))
    assert [entry.get("error") for entry in logs] == [
        "Odd: <Odd whose __str__ raised AttributeError>",
        "OSError: x",
    ]


def test_fields_named_as_structlogs_own_words_collide_with_nothing() -> None:
    assert logged(RateGateEvent(detail={"password": "x", "n": float("nan")})) == [
        {
            "event": "rate_gate",
            "log_level": "info",
            "event_": "taken",
            "level": 3,
            "detail": {"password": "[redacted]", "n": "nan"},
        }
    ]


def test_another_logger_may_be_given() -> None:
    lines: list[tuple[str, str, dict[str, Any]]] = []

    class Logger:
        def info(self, event: str, **fields: Any) -> None:
            lines.append(("info", event, fields))

    log_listener(Logger())(BreakerEvent("binance", "closed", Color.RED))
    assert lines == [("info", "breaker.closed", {"name": "binance", "to_state": "red"})]
