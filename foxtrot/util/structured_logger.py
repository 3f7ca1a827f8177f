"""`StructuredLogger`: one JSON line per record, with context that follows threads and tasks.

The context and the rendering are structlog's; the line goes to the standard library's logger of
the same name, so that the application's handlers decide where it ends up.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from structlog.contextvars import bind_contextvars, get_contextvars, reset_contextvars
from structlog.processors import JSONRenderer, format_exc_info

from foxtrot.util.clock import SYSTEM_CLOCK, Clock
from foxtrot.util.redaction import jsonable

__all__ = ["StructuredLogger"]

_render = JSONRenderer()


class StructuredLogger:
    """Writes records with the keys timestamp, level, logger, message and context.

    Any keyword goes into the context, `message`, `event`, `level` and `self` too. Secrets and
    signatures are redacted. Making a logger changes nothing outside it, and no record that fails
    to be made or written is felt by the caller.

    A level that the application set on the standard library's logger of this name, or on one
    above it but the root, wins over `level`. Where no handler is installed at all, lines go to
    stderr.

    Args:
        name: Dotted, as `foxtrot.adapter.binance`.
        level: The least level that is written; a number or a name of `logging`.
        clock: Where timestamps and durations come from.
    """

    def __init__(
        self, name: str, level: int | str = logging.INFO, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.name = name
        self.level = _level_number(level)
        self._clock = clock

    def __repr__(self) -> str:
        return f"StructuredLogger({self.name!r}, level={logging.getLevelName(self.level)})"

    def log(self, level: int | str, message: object = "", /, **context: Any) -> None:
        """Write a record. An unknown level counts as INFO.

        With `exc_info` (an exception, or True for the one being handled) its traceback becomes
        the context's `exception`. A message given by keyword is the message too.
        """
        with suppress(Exception):  # a broken log must not break an order
            if message is None or (isinstance(message, str) and not message):
                message = context.pop("message", "")  # not by its truth, which an array has not
            self._write(_level_number(level), message, context)

    def debug(self, message: object = "", /, **context: Any) -> None:
        """Write a record at DEBUG."""
        self.log(logging.DEBUG, message, **context)

    def info(self, message: object = "", /, **context: Any) -> None:
        """Write a record at INFO."""
        self.log(logging.INFO, message, **context)

    def warning(self, message: object = "", /, **context: Any) -> None:
        """Write a record at WARNING."""
        self.log(logging.WARNING, message, **context)

    def error(self, message: object = "", /, **context: Any) -> None:
        """Write a record at ERROR."""
        self.log(logging.ERROR, message, **context)

    def critical(self, message: object = "", /, **context: Any) -> None:
        """Write a record at CRITICAL."""
        self.log(logging.CRITICAL, message, **context)

    def exception(self, message: object = "", /, **context: Any) -> None:
        """Write a record at ERROR with the traceback of the exception being handled."""
        self.log(logging.ERROR, message, **{"exc_info": True, **context})

    @contextmanager
    def context_manager(self, /, **context: Any) -> Iterator[None]:
        """Add `context` to every record made inside, by whichever logger, structlog's included.

        It belongs to the current thread or task, and tasks started inside inherit it. What was
        there before comes back at the end.
        """
        tokens = bind_contextvars(**context)
        try:
            yield
        finally:
            # An abandoned generator is closed in another context, which never had the values.
            with suppress(ValueError):
                reset_contextvars(**tokens)

    @contextmanager
    def timer(self, operation: str, /, **context: Any) -> Iterator[None]:
        """Write `operation.started` at DEBUG, then how it ended, with `duration_ms`.

        The end is `operation.completed` at INFO, `operation.failed` at ERROR with the `error`, or
        `operation.cancelled` at WARNING. Exceptions pass through.
        """
        started = self._clock.now()
        fields = {**context, "operation": operation}
        self.log(logging.DEBUG, "operation.started", **fields)
        try:
            yield
        except BaseException as error:
            failure = {"error": error, "error_type": type(error).__name__}
            self.log(*_ending(error), **{**fields, **failure, **self._duration(started)})
            raise
        self.log(logging.INFO, "operation.completed", **{**fields, **self._duration(started)})

    def _duration(self, started: float) -> dict[str, float]:
        return {"duration_ms": (self._clock.now() - started) * 1000}

    def _write(self, level: int, message: object, context: Mapping[str, Any]) -> None:
        target = logging.getLogger(self.name)
        if level < _threshold(target, self.level) or target.manager.disable >= level:
            return
        line = self._line(level, message, context)
        if target.hasHandlers():
            target.handle(logging.LogRecord(self.name, level, "", 0, line, (), None))
        else:
            sys.stderr.write(line + "\n")

    def _line(self, level: int, message: object, context: Mapping[str, Any]) -> str:
        level_name = logging.getLevelName(level)
        merged = format_exc_info(None, level_name, {**get_contextvars(), **context})
        record = {
            "timestamp": self._clock.wall().isoformat(),
            "level": level_name,
            "logger": self.name,
            "message": str(jsonable(message)),
        }
        try:
            return str(_render(None, level_name, {**record, "context": jsonable(merged)}))
        except Exception as exc:  # such as a number of 5,000 digits; what happened is told still
            context = {"<unwritable context>": type(exc).__name__}
            return str(_render(None, level_name, {**record, "context": context}))


def _level_number(level: int | str) -> int:
    if isinstance(level, int):
        return level
    return logging.getLevelNamesMapping().get(str(level).upper(), logging.INFO)


def _threshold(target: logging.Logger, default: int) -> int:
    """The level set on `target` or nearest above it. The root's default is nobody's decision."""
    node: logging.Logger | None = target
    while node is not None and node.parent is not None:
        if node.level != logging.NOTSET:
            return node.level
        node = node.parent
    return default


def _ending(error: BaseException) -> tuple[int, str]:
    if isinstance(error, asyncio.CancelledError):
        return logging.WARNING, "operation.cancelled"
    return logging.ERROR, "operation.failed"
