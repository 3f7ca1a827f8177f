"""Keeps secrets out of whatever is written down: messages, contexts, logs, reports, histories."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["REDACTED", "described", "jsonable", "redact_text"]

REDACTED = "[redacted]"

# What names a secret, each beside what stands in it however it is written, in lower case.
_BY_TELLTALE = {
    "secret": "secret",
    "passw": "passw(?:or)?d",
    "passphrase": "passphrase",
    "passcode": "passcode",
    "key": "(?:api|private|listen)[-_]?key",
    "access": "access[-_]?(?:key|sign)",
    "token": "token",
    "signature": "signature",
    "credential": "credential",
    "authorization": "authorization",
    "cookie": "cookie",
}
_NAMES = "|".join(_BY_TELLTALE.values())
# These do where they end a name: `X-BAPI-SIGN` and `&sign=`, not `sign_type`, and not `design`.
_LAST_WORD = "(?<![a-z])(?:sign|sig|authent)"
# One of these stands in every text that names a secret.
_TELLTALES = (*_BY_TELLTALE, "sig", "authent", "bearer", "basic", "://")
_SECRET_NAME = re.compile(rf"{_NAMES}|(?:{_LAST_WORD}|(?<![a-z])auth)\W*$", re.IGNORECASE)
# What stands around a secret in running text: `signature=abc`, `"apiKey": "a b"`, the same with
# escaped quotes (JSON in JSON), bytes, and percent-encoded. A quoted value ends with its quote, or
# with a text that was cut. Nothing here may scan ahead without bound: a reply can be megabytes.
_QUOTE = r"""(?:\\*["']|%22)"""
_SECRET_PAIR = re.compile(
    rf"(?P<name>(?:(?:{_NAMES})[\w-]{{0,40}}|{_LAST_WORD}){_QUOTE}?\s*(?:[=:]|%3[Ad])\s*)"
    rf"(?:b?(?P<open>{_QUOTE})(?P<quoted>.*?)(?P<close>(?P=open)|\Z)"
    r"|(?P<bare>(?:(?:bearer|basic|digest)\s+)?[^\s\"'&,;}\])\\%]+))",
    re.IGNORECASE | re.DOTALL,
)
# These two hold several words up to the end of the line.
_HEADER_LINE = re.compile(
    r"(?P<name>(?<![\w-])(?:proxy-)?(?:authorization|(?:set-)?cookie):[ \t]*)[^\r\n\"']+",
    re.IGNORECASE,
)
_AUTH_SCHEME = re.compile(r"(?P<name>\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}", re.IGNORECASE)
_URL_USERINFO = re.compile(r"(?P<name>://)[^/\s@\[]+@")
_PEM = re.compile(
    r"(?P<name>-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END|\Z)", re.IGNORECASE | re.DOTALL
)

_MAX_DEPTH = 8


def redact_text(text: str) -> str:
    """Return `text` with the values of secrets and signatures replaced by `[redacted]`.

    Redacting twice changes nothing. A secret that stands alone, with nothing that names it, is
    not found: there is nothing to find it by.
    """
    if not _may_name_a_secret(text):
        return text
    text = _PEM.sub(rf"\g<name>{REDACTED}", text)
    text = _HEADER_LINE.sub(rf"\g<name>{REDACTED}", text)
    text = _SECRET_PAIR.sub(_redact_pair, text)
    text = _AUTH_SCHEME.sub(rf"\g<name>{REDACTED}", text)
    return _URL_USERINFO.sub(rf"\g<name>{REDACTED}@", text)


def _may_name_a_secret(text: str) -> bool:
    if not text.isascii():
        return True  # where what ignores case holds more letters alike than `lower` does
    lowered = text.lower()
    return any(telltale in lowered for telltale in _TELLTALES)


def _redact_pair(pair: re.Match[str]) -> str:
    if pair["bare"] is None:
        return f"{pair['name']}{pair['open']}{REDACTED}{pair['close']}"
    if pair["bare"].startswith(REDACTED[:-1]):  # its bracket ends a bare value
        return pair[0]
    return f"{pair['name']}{REDACTED}"


def described(error: BaseException) -> str:
    """Return an error's type and message, redacted, even of one that cannot describe itself."""
    return f"{type(error).__name__}: {jsonable(error)}"


def jsonable(value: Any, *, _depth: int = 0) -> Any:  # Any: a context holds what callers put in
    """Return `value` as something that `json.dumps` takes, redacted, whatever it is.

    Mappings keep their keys as strings; tuples become lists, sets sorted lists; non-finite floats,
    other sequences and everything else become text. Nesting beyond eight levels, cycles included,
    is cut.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _writable(redact_text(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if _depth >= _MAX_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        return {_text(k): _jsonable_item(k, v, _depth) for k, v in _items(value)}
    if isinstance(value, list | tuple):
        return [jsonable(item, _depth=_depth + 1) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((jsonable(item, _depth=_depth + 1) for item in value), key=str)
    return _text(value)


def _jsonable_item(key: object, value: object, depth: int) -> Any:  # Any: JSON
    if _SECRET_NAME.search(_text(key)) and value is not None:
        return REDACTED
    return jsonable(value, _depth=depth + 1)


def _items(mapping: Mapping[Any, Any]) -> list[tuple[Any, Any]]:  # Any: as above
    try:
        return list(mapping.items())
    except Exception as exc:  # changed meanwhile by another thread, or broken
        return [("<unreadable mapping>", type(exc).__name__)]


def _text(value: object) -> str:
    try:
        text = str(value)
    except Exception as exc:  # a broken __str__ must not break the report of an error
        text = f"<{type(value).__name__} whose __str__ raised {type(exc).__name__}>"
    return _writable(redact_text(text))


def _writable(text: str) -> str:
    """Lone surrogates, as undecodable file names have them, are valid in no file."""
    return text.encode("utf-8", "backslashreplace").decode()
