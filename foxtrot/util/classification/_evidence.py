"""What can be read off a foreign exception or reply: codes, statuses, headers, causes, times.

Reading never raises, whatever a foreign object does.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import errno
import inspect
import math
import re
import ssl
import traceback
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

__all__ = [
    "causes",
    "close_code",
    "errno_of",
    "headers_of",
    "http_status",
    "qualified_names",
    "quota_named",
    "text_of",
    "venue_code",
    "venue_text",
    "wait_named",
]

_LONGEST_TEXT = 500
_VENUE_CODE = re.compile(r"""\\?["']code\\?["']\s*:\s*["']?(-\d{4,5})\b""")
_VENUE_TEXT = re.compile(r"""\\?["']msg\\?["']\s*:\s*\\?["']((?:[^"'\\]|\\.|'(?=\w))*)""")
# ccxt writes the status into its message: `binance 418 I'm a teapot {...}` and
# `binance GET https://... 403 Forbidden ...`.
_CCXT_STATUS = re.compile(r"^\w+ (?:[A-Z]+ \S+ )?([1-5]\d\d) ")
_CCXT_VENUE = re.compile(r"^(\w+)\s")
_BAN = re.compile(r"\bban(?:ned)?\b\D{0,20}\buntil\b\D{0,5}(\d{10}(?:\d{3})?)\b", re.IGNORECASE)
# `1m30s` and `1 hour and 5 minutes`, or a number alone: seconds.
_NUMBER = r"(\d{1,6}(?:\.\d+)?)"
_UNIT = r"(ms|msecs?|milli\w*|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)(?![a-z])"
_WAIT_PART = re.compile(rf"{_NUMBER}\s*{_UNIT}", re.IGNORECASE)
_WAIT_TEXT = re.compile(
    r"(?:retry|try again)[\s_-]*(?:after|in)\"?[:=]?\s*"
    rf"(?:(?P<parts>(?:{_NUMBER}\s*{_UNIT}\s*(?:and\s+)?)+)|(?P<alone>{_NUMBER})(?!\d|\.\d))",
    re.IGNORECASE,
)
_SECONDS_IN = (("ms", 0.001), ("milli", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86_400))
# Counts of requests only. Request weight, which venues limit too, is not a count of anything.
_QUOTA_TEXT = re.compile(
    r"\b(\d{1,6}) (?:times|orders|requests) (?:every|in|per|within) (?:any )?"
    r"(\d{1,5}) ?s(?:ec\w*)?\b",
    re.IGNORECASE,
)
_IB_PACKAGES = frozenset({"ib_async", "ib_insync", "ibapi"})


def text_of(exc: BaseException) -> str:
    """The message of `exc`, cut to a length that a log can bear."""
    try:
        return str(exc)[:_LONGEST_TEXT]
    except Exception as broken:  # a broken __str__ must not hide the error that it describes
        return f"<message lost: __str__ raised {type(broken).__name__}>"


def qualified_names(exc: BaseException) -> Iterator[str]:
    """The names of the types of `exc`, most specific first, in full and as `package.Class`.

    The short form survives a library that moves a class between its modules.
    """
    for cls in type(exc).__mro__:
        module = str(cls.__module__)
        yield f"{module}.{cls.__qualname__}"
        yield f"{module.partition('.')[0].lstrip('_')}.{cls.__qualname__}"


def causes(exc: BaseException) -> Iterator[BaseException]:
    """What led to `exc`, nearest first: causes, wrapped exceptions, contexts. Cycles end it.

    Who asks for an order while handling a refusal gets errors with that refusal as their context.
    It led to the question, not to what became of it, and is passed over.
    """
    seen, within = {id(exc)}, _frames(exc)
    queue = list(_linked(exc, within))
    while queue:
        cause = queue.pop(0)
        if id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            within |= _frames(cause)
            queue.extend(_linked(cause, within))


def _frames(exc: BaseException) -> set[FrameType]:
    """The calls that `exc` has come through, from where it was raised to where it was caught."""
    return {frame for frame, _ in traceback.walk_tb(exc.__traceback__)}


def _linked(exc: BaseException, within: set[FrameType]) -> Iterator[BaseException]:
    # requests and urllib3 hand the cause over as an argument, aiohttp as `os_error`.
    args = _get(exc, "args")
    handed = args if isinstance(args, tuple) else ()
    candidates = [exc.__cause__, *handed, _get(exc, "reason"), _get(exc, "os_error")]
    if not exc.__suppress_context__ and _was_caught(exc.__context__, within):
        candidates.append(exc.__context__)
    yield from (link for link in candidates if isinstance(link, Exception))


def _was_caught(context: BaseException | None, within: set[FrameType]) -> bool:
    """Whether it was caught in one of these calls, not by a caller further out."""
    caught = None if context is None else context.__traceback__
    return caught is None or not within or caught.tb_frame in within  # without a trace, believed


def venue_code(exc: BaseException, text: str) -> tuple[str, int] | None:
    """The source and code of a venue's error: Binance's, or Interactive Brokers'."""
    package = _package(exc)
    for name in ("error_code", "code"):
        code = _integer(_get(exc, name))
        if code is not None and package in _IB_PACKAGES:
            return "ib", code
        if code is not None and code <= -1000:
            return "binance", code
    if package == "ccxt" and not _is_binance(text):
        return None
    found = _VENUE_CODE.search(text)
    return None if found is None else ("binance", int(found[1]))


def venue_text(text: str) -> str:
    """The `msg` inside a JSON error, else all of `text`."""
    found = _VENUE_TEXT.search(text)
    return text if found is None else found[1]


def http_status(exc: BaseException, text: str) -> int | None:
    """The HTTP status of an error reply (300 and above)."""
    response = _get(exc, "response")
    for owner in (exc, response):
        for name in ("status", "status_code", "code"):
            status = _integer(_get(owner, name))
            if status is not None and 300 <= status < 600:
                return status
    found = _CCXT_STATUS.match(text) if _package(exc) == "ccxt" else None
    return None if found is None else int(found[1])


def close_code(exc: BaseException) -> int | None:
    """The WebSocket close code: what was received, or 1006 when a stream ended without one."""
    if _has(exc, "rcvd"):
        return _integer(_get(_get(exc, "rcvd"), "code")) or 1006
    code = _integer(_get(exc, "code"))
    return code if code is not None and 1000 <= code < 5000 else None


def errno_of(exc: BaseException) -> int | None:
    """The errno of an OSError; the numbers of a resolver and of OpenSSL are not among them."""
    is_of_tls = isinstance(exc, ssl.SSLError) or isinstance(exc.__cause__, ssl.SSLError)
    number = _integer(_get(exc, "errno")) if isinstance(exc, OSError) and not is_of_tls else None
    return number if number in errno.errorcode else None


def headers_of(exc: BaseException) -> Mapping[str, Any] | None:
    """The headers of the reply that `exc` tells of."""
    for owner in (exc, _get(exc, "response")):
        for name in ("headers", "header"):
            headers = _get(owner, name)
            if _has(headers, "items"):
                return headers  # type: ignore[no-any-return] # a mapping of a foreign library
    return None


def wait_named(headers: Mapping[str, Any] | None, text: str, now: dt.datetime) -> float | None:
    """Seconds that the venue asked to wait: the latest of header and text, never below zero."""
    named = [_header_wait(headers, now), _ban_wait(text, now), _text_wait(text)]
    return max((seconds for seconds in named if seconds is not None), default=None)


def _header_wait(headers: Mapping[str, Any] | None, now: dt.datetime) -> float | None:
    value = _retry_after(headers)
    if value is None:
        return None
    return _as_seconds(value.strip()) if _is_number(value) else _until_date(value, now)


def _retry_after(headers: Mapping[str, Any] | None) -> str | None:
    try:
        values = [v for k, v in (headers or {}).items() if _lower(k) == "retry-after"]
        return _as_text(values[0]) if values else None
    except Exception:  # headers that cannot be read name no time
        return None


def _until_date(value: str, now: dt.datetime) -> float | None:
    try:
        until = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    until = until if until.tzinfo is not None else until.replace(tzinfo=dt.UTC)
    return max(0.0, (until - now).total_seconds())


def _ban_wait(text: str, now: dt.datetime) -> float | None:
    found = _BAN.search(text)
    if found is None:
        return None
    until = int(found[1]) / (1000 if len(found[1]) == 13 else 1)
    return max(0.0, until - now.timestamp())


def _text_wait(text: str) -> float | None:
    found = _WAIT_TEXT.search(text)
    if found is None:
        return None
    if found["parts"] is None:
        return float(found["alone"])
    return sum(float(n) * _seconds_in(unit) for n, unit in _WAIT_PART.findall(found["parts"]))


def _seconds_in(unit: str) -> float:
    return next(seconds for start, seconds in _SECONDS_IN if unit.lower().startswith(start))


def quota_named(text: str) -> Mapping[str, int] | None:
    """`limit` requests in any `seconds`, where the text says so."""
    found = _QUOTA_TEXT.search(text)
    if found is None or not (int(found[1]) and int(found[2])):
        return None
    return {"limit": int(found[1]), "seconds": int(found[2])}


def _is_number(value: str) -> bool:
    return re.fullmatch(r"\s*[+-]?\d+(\.\d*)?\s*", value) is not None


def _as_seconds(value: str) -> float | None:
    seconds = float(value)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _package(exc: BaseException) -> str:
    return str(type(exc).__module__).partition(".")[0]


def _is_binance(text: str) -> bool:
    found = _CCXT_VENUE.match(text)
    return found is None or found[1].startswith("binance")


def _lower(key: object) -> str:
    return _as_text(key).lower()


def _as_text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _integer(value: object) -> int | None:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _has(owner: object, name: str) -> bool:
    try:
        return hasattr(owner, name)
    except Exception:  # as below
        return False


def _get(owner: object, name: str) -> Any:  # Any: foreign attributes are of any type
    try:
        if name == "code" and isinstance(inspect.getattr_static(owner, name, None), property):
            return None  # aiohttp and websockets keep it only to warn; they say it elsewhere
        return getattr(owner, name, None)
    except Exception:  # a property that fails has nothing to tell
        return None
