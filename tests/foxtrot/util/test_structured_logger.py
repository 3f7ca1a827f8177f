"""The seed's logger: its record, its context, its timer, and that it never hurts anybody."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from foxtrot.util.clock import SystemClock
from foxtrot.util.structured_logger import StructuredLogger


class FixedClock(SystemClock):
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def wall(self) -> dt.datetime:
        return dt.datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=dt.UTC)


class Lines(logging.Handler):
    """Keeps what comes, as the application's handler would get it."""

    def __init__(self) -> None:
        super().__init__()
        self.raw: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.raw.append(record)

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(record.getMessage()) for record in self.raw]

    def contexts(self) -> list[dict[str, Any]]:
        return [record["context"] for record in self.records()]

    def story(self) -> list[tuple[str, str, dict[str, Any]]]:
        return [(r["level"], r["message"], r["context"]) for r in self.records()]


NAME = "foxtrot.test.adapter"


def _fail(why: str) -> None:
    raise OSError(why)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def log(clock: FixedClock) -> StructuredLogger:
    return StructuredLogger(NAME, logging.DEBUG, clock=clock)


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler, target = Lines(), logging.getLogger(NAME)
    target.addHandler(handler)
    target.propagate = False
    yield handler
    target.removeHandler(handler)
    target.propagate = True
    target.setLevel(logging.NOTSET)
    structlog.contextvars.clear_contextvars()


def test_a_record_is_one_json_line_with_five_keys(log: StructuredLogger, lines: Lines) -> None:
    log.info("order.sent", symbol="BTCUSDT", price=1.5)
    (record,) = lines.raw
    assert "\n" not in record.getMessage()
    assert (record.name, record.levelno) == (NAME, logging.INFO)
    assert lines.records() == [
        {
            "timestamp": "2026-01-02T03:04:05.000600+00:00",
            "level": "INFO",
            "logger": NAME,
            "message": "order.sent",
            "context": {"symbol": "BTCUSDT", "price": 1.5},
        }
    ]


def test_each_method_writes_at_its_level(log: StructuredLogger, lines: Lines) -> None:
    for name in ("debug", "info", "warning", "error", "critical"):
        getattr(log, name)(name)
    log.log(logging.WARNING, "by number")
    log.log("error", "by name")
    log.log("no such level", "unknown")
    assert [(level, message) for level, message, _ in lines.story()] == [
        ("DEBUG", "debug"),
        ("INFO", "info"),
        ("WARNING", "warning"),
        ("ERROR", "error"),
        ("CRITICAL", "critical"),
        ("WARNING", "by number"),
        ("ERROR", "by name"),
        ("INFO", "unknown"),
    ]


def test_keywords_named_like_parameters_go_into_the_context(
    log: StructuredLogger, lines: Lines
) -> None:
    """In the seed's sample, `message=str(e)` replaced the original exception by a TypeError."""
    words = {"message": "m", "event": "e", "level": "l", "self": "s", "logger": "g", "name": "n"}
    log.error("failed", **words)
    log.log(logging.ERROR, "failed", **words)
    with log.context_manager(**words):
        log.error("failed")
    assert lines.contexts() == [words] * 3


def test_a_message_given_by_keyword_is_the_message(log: StructuredLogger, lines: Lines) -> None:
    log.info(message="by keyword", n=1)
    assert lines.story() == [("INFO", "by keyword", {"n": 1})]


@pytest.mark.parametrize("name", ["debug", "info", "warning", "error", "critical", "exception"])
def test_a_record_may_be_all_context(log: StructuredLogger, lines: Lines, name: str) -> None:
    getattr(log, name)(n=1)
    ((_, message, context),) = lines.story()
    assert (message, context["n"]) == ("", 1)


def test_a_record_by_level_may_be_all_context(log: StructuredLogger, lines: Lines) -> None:
    log.log(logging.WARNING, n=1)
    assert lines.story() == [("WARNING", "", {"n": 1})]


def test_secrets_are_redacted_in_message_context_and_traceback(
    log: StructuredLogger, lines: Lines
) -> None:
    with log.context_manager(api_key="abc123"):
        try:
            _fail("GET /order?signature=abc123")
        except OSError:
            log.exception("token=abc123", url="https://u:abc123@host", nested={"secret": "abc123"})
    line = lines.raw[0].getMessage()
    assert "abc123" not in line
    assert "token=[redacted]" in line
    assert "signature=[redacted]" in line
    assert lines.contexts()[0]["api_key"] == "[redacted]"
    assert lines.contexts()[0]["nested"] == {"secret": "[redacted]"}


def test_an_exception_comes_with_its_traceback(log: StructuredLogger, lines: Lines) -> None:
    try:
        _fail("why")
    except OSError as error:
        kept = error
        log.exception("failed", n=1)
    log.warning("later", exc_info=kept)
    (first, second) = lines.story()
    assert first[:2] == ("ERROR", "failed")
    assert second[:2] == ("WARNING", "later")
    for _, _, context in (first, second):
        assert context["exception"].splitlines()[0] == "Traceback (most recent call last):"
        assert context["exception"].splitlines()[-1] == "OSError: why"
        assert "exc_info" not in context


def test_what_json_does_not_know_becomes_text(log: StructuredLogger, lines: Lines) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    log.info("odd", when=dt.date(2026, 1, 2), nan=float("nan"), broken=Broken(), keys={1: "a"})
    assert lines.contexts() == [
        {
            "when": "2026-01-02",
            "nan": "nan",
            "broken": "<Broken whose __str__ raised RuntimeError>",
            "keys": {"1": "a"},
        }
    ]


def test_a_message_that_is_no_text_becomes_text(
    log: StructuredLogger, lines: Lines, odd: type[Exception]
) -> None:
    """An error that cannot describe itself leaves its record all the same."""
    for message in (odd(), OSError("signature=abc"), 7):
        log.error(message)
    assert [record["message"] for record in lines.records()] == [
        "<Odd whose __str__ raised AttributeError>",
        "signature=[redacted]",
        "7",
    ]


# --- context ------------------------------------------------------------------------------------


def test_context_nests_and_what_was_there_before_comes_back(
    log: StructuredLogger, lines: Lines
) -> None:
    with log.context_manager(adapter="binance", step=1):
        with log.context_manager(step=2):
            log.info("inner", step=3)
            log.info("inner")
        log.info("outer")
    log.info("outside")
    assert lines.contexts() == [
        {"adapter": "binance", "step": 3},
        {"adapter": "binance", "step": 2},
        {"adapter": "binance", "step": 1},
        {},
    ]


def test_context_comes_back_after_an_exception(log: StructuredLogger, lines: Lines) -> None:
    with pytest.raises(KeyError), log.context_manager(adapter="binance"):
        raise KeyError
    log.info("outside")
    assert lines.contexts() == [{}]


def test_tasks_do_not_see_each_others_context(log: StructuredLogger, lines: Lines) -> None:
    """The sibling plan kept it in threading.local, where all tasks of a thread mix."""

    async def work(name: str) -> None:
        with log.context_manager(adapter=name):
            await asyncio.sleep(0)
            log.info("tick")
            await asyncio.sleep(0)

    async def main() -> None:
        with log.context_manager(run=1):
            await asyncio.gather(work("binance"), work("ib"))

    asyncio.run(main())
    assert lines.contexts() == [{"run": 1, "adapter": "binance"}, {"run": 1, "adapter": "ib"}]


def test_threads_do_not_see_each_others_context(log: StructuredLogger, lines: Lines) -> None:
    with log.context_manager(adapter="binance"):
        thread = threading.Thread(target=log.info, args=("elsewhere",))
        thread.start()
        thread.join()
    assert lines.contexts() == [{}]


def test_structlogs_own_loggers_share_the_context(log: StructuredLogger, lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(correlation_id="r-1"):
        log.info("tick")
    with log.context_manager(adapter="binance"):
        assert structlog.contextvars.get_contextvars() == {"adapter": "binance"}
    assert lines.contexts() == [{"correlation_id": "r-1"}]


def test_an_abandoned_generator_does_not_hurt_when_it_is_closed_elsewhere(
    log: StructuredLogger,
) -> None:
    def held() -> Iterator[None]:
        with log.context_manager(adapter="binance"):
            yield

    async def start() -> Iterator[None]:
        generator = held()
        next(generator)
        return generator

    generator = asyncio.run(start())
    assert list(generator) == []


# --- timer --------------------------------------------------------------------------------------


def test_a_timer_tells_start_and_completion(
    log: StructuredLogger, lines: Lines, clock: FixedClock
) -> None:
    clock.seconds = 100.0
    with log.timer("connect", adapter="binance"):
        clock.seconds = 100.25
    fields = {"adapter": "binance", "operation": "connect"}
    assert lines.story() == [
        ("DEBUG", "operation.started", fields),
        ("INFO", "operation.completed", {**fields, "duration_ms": 250.0}),
    ]


@pytest.mark.parametrize(
    ("error", "level", "message"),
    [
        (OSError("signature=abc"), "ERROR", "operation.failed"),
        (KeyboardInterrupt("signature=abc"), "ERROR", "operation.failed"),
        (asyncio.CancelledError("signature=abc"), "WARNING", "operation.cancelled"),
    ],
)
def test_a_timer_tells_how_it_failed_and_lets_the_exception_pass(
    log: StructuredLogger, lines: Lines, error: BaseException, level: str, message: str
) -> None:
    with pytest.raises(type(error)) as caught, log.timer("connect"):
        raise error
    assert caught.value is error
    assert lines.story()[1] == (
        level,
        message,
        {
            "operation": "connect",
            "duration_ms": 0.0,
            "error": "signature=[redacted]",
            "error_type": type(error).__name__,
        },
    )


def test_a_timer_takes_any_keyword(log: StructuredLogger, lines: Lines) -> None:
    with log.timer("connect", operation="x", error="y", message="z", self="s", duration_ms=1):
        pass
    assert lines.contexts()[1] == {
        "operation": "connect",
        "error": "y",
        "message": "z",
        "self": "s",
        "duration_ms": 0.0,
    }


# --- levels, sinks and side effects --------------------------------------------------------------


def test_the_level_is_the_loggers_own_and_not_the_roots(lines: Lines) -> None:
    quiet, default = StructuredLogger(NAME, logging.ERROR), StructuredLogger(NAME)
    quiet.warning("not written")
    quiet.error("written")
    default.debug("not written")
    default.info("written")
    assert [(level, message) for level, message, _ in lines.story()] == [
        ("ERROR", "written"),
        ("INFO", "written"),
    ]
    assert repr(StructuredLogger(NAME, "warning")) == f"StructuredLogger('{NAME}', level=WARNING)"


@pytest.mark.parametrize("above", [NAME, "foxtrot.test"])
def test_a_level_that_the_application_set_wins(
    log: StructuredLogger, lines: Lines, above: str
) -> None:
    logging.getLogger(above).setLevel(logging.ERROR)
    try:
        log.warning("not written")
        log.error("written")
    finally:
        logging.getLogger(above).setLevel(logging.NOTSET)
    assert [message for _, message, _ in lines.story()] == ["written"]


def test_logging_disable_holds_here_too(log: StructuredLogger, lines: Lines) -> None:
    logging.disable(logging.WARNING)
    try:
        log.warning("not written")
        log.error("written")
    finally:
        logging.disable(logging.NOTSET)
    assert [message for _, message, _ in lines.story()] == ["written"]


def test_caplog_sees_the_records(caplog: pytest.LogCaptureFixture, log: StructuredLogger) -> None:
    log.info("seen")
    assert [json.loads(message)["message"] for message in caplog.messages] == ["seen"]


def test_without_any_handler_a_line_goes_to_stderr(
    clock: FixedClock, capsys: pytest.CaptureFixture[str]
) -> None:
    target = logging.getLogger("foxtrot.test.nobody")
    target.propagate = False  # pytest has handlers of its own on the root
    try:
        StructuredLogger(target.name, clock=clock).info("first")
        StructuredLogger(target.name, clock=clock).info("second")
    finally:
        target.propagate = True
    written = capsys.readouterr().err
    assert written.endswith("\n")
    assert [json.loads(line)["message"] for line in written.splitlines()] == ["first", "second"]


def test_import_and_construction_configure_nothing() -> None:
    """Checked in a fresh interpreter, where nobody else has touched the logging either."""
    program = (
        "import logging, structlog\n"
        "from foxtrot.util.structured_logger import StructuredLogger\n"
        "log = StructuredLogger('foxtrot.fresh', logging.DEBUG)\n"
        "assert not logging.root.handlers and logging.root.level == logging.WARNING\n"
        "assert 'foxtrot.fresh' not in logging.root.manager.loggerDict\n"
        "assert not structlog.is_configured()\n"
        "log.debug('to stderr')\n"
        "assert not logging.getLogger('foxtrot.fresh').handlers\n"
        "assert logging.getLogger('foxtrot.fresh').level == logging.NOTSET\n"
    )
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "")
    assert json.loads(run.stderr)["message"] == "to stderr"


def test_a_handler_that_raises_is_not_felt(
    log: StructuredLogger, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(record: logging.LogRecord) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(lines, "emit", full)
    log.error("failed")
    with pytest.raises(KeyError), log.timer("connect"):
        raise KeyError


def test_a_message_without_a_truth_is_a_message(log: StructuredLogger, lines: Lines) -> None:
    """An array has none: asked for it, it raises, and the record was lost."""

    class Array:
        def __bool__(self) -> bool:
            raise ValueError("the truth value of an array is ambiguous")

        def __str__(self) -> str:
            return "[1 2]"

    log.info(Array(), a=1)
    log.info(0)
    assert lines.story() == [("INFO", "[1 2]", {"a": 1}), ("INFO", "0", {})]


def test_a_context_that_cannot_be_written_takes_no_message_along(
    log: StructuredLogger, lines: Lines
) -> None:
    """Such as a number with more digits than Python writes."""
    log.error("order.lost", size=10**5000)
    context = {"<unwritable context>": "ValueError"}
    assert lines.story() == [("ERROR", "order.lost", context)]


def test_a_record_that_cannot_be_made_is_not_felt(
    log: StructuredLogger, lines: Lines, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_time() -> dt.datetime:
        raise OverflowError

    monkeypatch.setattr(clock, "wall", no_time)
    log.error("failed")
    assert lines.raw == []
