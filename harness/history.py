"""The history of a run: the only writer of the log, and its reader.

One event a line, as JSON, in the order in which things happened. A running blake2b digest over
the lines closes the file, so that a finished history proves itself whole, and two runs are the
same when two short strings are. While a run lasts its lines go to `<name>.partial`, which gets
its own name when the run is closed; what an interrupted run leaves behind stays readable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import zip_longest
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self

import orjson

__all__ = [
    "Difference",
    "Event",
    "History",
    "HistoryError",
    "first_difference",
    "partial_path",
    "read_history",
]

_BUFFER_BYTES = 1 << 16
_DIGEST_BYTES = 16
_CLOSING_FIELDS = {"digest", "events"}


class HistoryError(ValueError):
    """Raised when a stored history is malformed, cut short or changed; names file and line."""


class Event(NamedTuple):
    """One thing that happened.

    `seq` counts from 1 and is the line number in the file. `t` is in virtual seconds, to the
    microsecond. `source` is the part of `kind` before the dot. `details` is JSON.
    """

    seq: int
    t: float
    source: str
    kind: str
    id: str
    outcome: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """The first line in which two histories differ. An event is None where its file has none."""

    line: int
    a: Event | None
    b: Event | None


def partial_path(path: Path) -> Path:
    """Where the lines of `path` are until its run is closed."""
    return path.with_name(f"{path.name}.partial")


class History:
    """Writes the events of one run.

    Memory does not grow with the run: lines are written when there are 64 KiB of them. As a
    context manager it finishes the file when the block ends well, and leaves the partial file
    when it does not.

    Args:
        path: The file to make, in a directory that exists; None keeps the digest only.
        now: Virtual seconds. May be replaced by that of a loop that is made later.
    """

    def __init__(self, path: Path | None, now: Callable[[], float]) -> None:
        self.path = path
        self.now = now
        self._events = 0
        self._buffer = bytearray()
        self._hash = blake2b(digest_size=_DIGEST_BYTES)
        self._file: BinaryIO | None = None if path is None else partial_path(path).open("wb")
        self._closed = False

    @property
    def events(self) -> int:
        """How many events were recorded."""
        return self._events

    @property
    def digest(self) -> str:
        """The digest of all events so far, in hexadecimal."""
        self.flush()
        return self._hash.hexdigest()

    def record(self, kind: str, /, id: str = "", outcome: str = "", **details: object) -> int:  # noqa: A002
        """Append an event at the present time; return its `seq`.

        Args:
            kind: Dotted, as in "fault.begin"; the source is the part before the dot.
            id: What it is about.
            outcome: How it went.
            **details: JSON values, read at once: what the caller changes later has no effect.

        Raises:
            HistoryError: The history is closed, or the kind has no dot.
            TypeError: A detail is not JSON. A set is not, on purpose: it has no order.
        """
        if self._closed:
            raise HistoryError(f"expected an open history, it is closed; cannot record {kind!r}")
        source, dot, _ = kind.partition(".")
        if not dot:
            raise HistoryError(f'expected a dotted kind as in "fault.begin", got kind={kind!r}')
        seq = self._events + 1
        event = {
            "seq": seq,
            "t": round(self.now(), 6),
            "source": source,
            "kind": kind,
            "id": id,
            "outcome": outcome,
            "details": details,
        }
        try:
            self._buffer += orjson.dumps(event, None, orjson.OPT_APPEND_NEWLINE)
        except orjson.JSONEncodeError as error:
            raise TypeError(f"expected JSON in the details of {kind!r}: {error}") from error
        self._events = seq
        if len(self._buffer) >= _BUFFER_BYTES:
            self.flush()
        return seq

    def flush(self) -> None:
        """Hand the lines that are kept to the operating system."""
        self._hash.update(self._buffer)
        if self._file is not None and self._buffer:
            self._file.write(self._buffer)
            self._file.flush()
        self._buffer.clear()

    def close(self) -> None:
        """Write the digest and give the file its name; the second time, nothing."""
        if self._closed:
            return
        closing = {"digest": self.digest, "events": self._events}
        if self._file is not None:
            self._file.write(orjson.dumps(closing, None, orjson.OPT_APPEND_NEWLINE))
        self.abandon()
        if self.path is not None:
            partial_path(self.path).replace(self.path)

    def abandon(self) -> None:
        """Stop without a digest and leave what there is in the partial file."""
        if self._closed:
            return
        self.flush()
        self._closed = True
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()


def read_history(path: Path, *, complete: bool = True) -> Iterator[Event]:
    """Yield the events of a stored history, in order, one at a time.

    The digest is checked at the end: an error can come after the last event.

    Args:
        path: The file.
        complete: False accepts one that an interrupted run left: without a digest, and with a
            last line that may be cut short, which is left out.

    Raises:
        HistoryError: It is missing, malformed, cut short, or not as it was written.
    """
    digest = blake2b(digest_size=_DIGEST_BYTES)
    seq = 0
    closing: dict[str, Any] | None = None
    for number, line in enumerate(_lines(path), 1):
        if closing is not None:
            raise _error(path, number, "expected nothing after the digest, got another line")
        if not complete and not line.endswith(b"\n"):
            return
        fields = _parsed(path, number, line)
        if fields.keys() == _CLOSING_FIELDS:
            closing = fields
        else:
            event = _event(path, number, fields)
            digest.update(line)
            seq = number
            yield event
    if closing is not None:
        _check_closing(path, seq + 1, closing, {"digest": digest.hexdigest(), "events": seq})
    elif complete:
        raise _error(
            path, seq + 1, "expected the digest line, the file ends; read it with complete=False"
        )


def first_difference(path_a: Path, path_b: Path) -> Difference | None:
    """Find the first line in which two histories differ; None when they are the same.

    Both may be partial. Nothing but the two lines that differ is parsed.

    Raises:
        HistoryError: A file is missing, or one of these lines is malformed.
    """
    pairs = zip_longest(_lines(path_a), _lines(path_b))
    for number, (line_a, line_b) in enumerate(pairs, 1):
        if line_a != line_b:
            return Difference(
                number,
                _event_or_none(path_a, number, line_a),
                _event_or_none(path_b, number, line_b),
            )
    return None


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except FileNotFoundError as error:
        partial = partial_path(path)
        hint = f"; an interrupted run left {partial}" if partial.exists() else ""
        raise HistoryError(f"{path}: expected a history, there is no such file{hint}") from error


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        what = "JSON" if line.endswith(b"\n") else "a whole line, it is cut short"
        raise _error(path, number, f"expected {what}: {error}") from error
    if not isinstance(fields, dict):
        raise _error(path, number, f"expected a JSON object, got {fields!r}")
    return fields


def _event(path: Path, number: int, fields: dict[str, Any]) -> Event:
    if tuple(fields) != Event._fields:
        expected = ", ".join(Event._fields)
        raise _error(path, number, f"expected the fields {expected}, got {', '.join(fields)}")
    if fields["seq"] != number:
        raise _error(path, number, f"expected seq={number}, got seq={fields['seq']!r}")
    return Event._make(fields.values())


def _event_or_none(path: Path, number: int, line: bytes | None) -> Event | None:
    fields = {} if line is None else _parsed(path, number, line)
    return _event(path, number, fields) if fields.keys() - _CLOSING_FIELDS else None


def _check_closing(path: Path, number: int, written: dict[str, Any], found: dict[str, Any]) -> None:
    if written != found:
        raise _error(path, number, f"expected what the lines give, {found}, got {written}")


def _error(path: Path, number: int, message: str) -> HistoryError:
    return HistoryError(f"{path}:{number}: {message}")
