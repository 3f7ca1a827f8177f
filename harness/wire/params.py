"""Reads what clients send: query strings, form bodies and JSON, whatever is in them.

Every parameter is text once it is here. Nothing that a client can send raises anything but
`ApiError`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl

from harness.wire.errors import ApiError, illegal, missing

__all__ = ["PATTERNS", "Message", "Param", "check", "parse_form", "parse_message"]

_MOST_FIELDS = 64
#: What each kind of parameter may look like.
PATTERNS = {
    "integer": r"^[0-9]{1,19}$",
    "decimal": r"^([0-9]{1,20})(\.[0-9]{1,20})?$",
    "client id": r"^[\.A-Z\:/a-z0-9_-]{1,36}$",
    "text": r"^[\x20-\x7e]{1,2000}$",
}
_SURROGATE = re.compile("[\ud800-\udfff]")
_COMPILED = {kind: re.compile(pattern) for kind, pattern in PATTERNS.items()}


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of an endpoint. `choices` are its only values; `error` what others are told."""

    name: str
    kind: Literal["integer", "decimal", "client id", "text"] = "text"
    required: bool = False
    choices: tuple[str, ...] = ()
    error: tuple[int, str] | None = None


def check(params: Mapping[str, str], specs: Iterable[Param]) -> None:
    """Check the parameters that an endpoint knows; it ignores others. Raises ApiError."""
    for spec in specs:
        value = params.get(spec.name, "")
        if not value:
            if spec.required:
                raise missing(spec.name)
            continue
        if not _COMPILED[spec.kind].fullmatch(value):
            raise illegal(spec.name, PATTERNS[spec.kind])
        if spec.choices and value not in spec.choices:
            code, message = spec.error or (
                -1130,
                f"Data sent for parameter '{spec.name}' is not valid.",
            )
            raise ApiError(code, message)


def parse_form(query: bytes, body: bytes) -> dict[str, str]:
    """The parameters of a REST request; of one in both places, the query's value counts."""
    return {**_pairs(body), **_pairs(query)}


def _pairs(raw: bytes) -> dict[str, str]:
    if not raw:
        return {}
    try:
        pairs = parse_qsl(
            raw.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except UnicodeDecodeError:
        raise ApiError(-1100, "Illegal characters found in a parameter.") from None
    except ValueError:
        raise ApiError(-1101, "Too many parameters sent for this endpoint.") from None
    params = dict(pairs)
    if len(params) != len(pairs):
        raise ApiError(-1101, "Duplicate values for a parameter detected.")
    return params


class _Number(str):
    """A JSON number as it was written: what is signed is the text, not a value."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Message:
    """A request on a WebSocket. `params` is a list for streams, and a mapping for the API."""

    id: str | int | None
    method: str
    params: list[str] | dict[str, str]


def parse_message(text: str) -> Message:
    """Read a request on a WebSocket. Raises ApiError, which carries no id: none was understood."""
    try:
        # Numbers stay text: no precision is lost and none is too long to convert.
        raw = json.loads(text, parse_float=_Number, parse_int=_Number, parse_constant=_Number)
    except (ValueError, RecursionError):
        raise ApiError(-1135, "Invalid JSON Request") from None
    if not isinstance(raw, dict) or not isinstance(raw.get("method"), str):
        raise ApiError(-1135, "Invalid JSON Request")
    return Message(_id(raw.get("id")), raw["method"][:100], _params(raw.get("params")))


def _id(raw: Any) -> str | int | None:  # Any: JSON
    if isinstance(raw, _Number) and re.fullmatch(r"-?[0-9]{1,18}", raw):
        return int(raw)
    if raw is None or (_is_text(raw) and not isinstance(raw, _Number) and len(raw) <= 100):
        return raw
    raise ApiError(-1135, "Invalid JSON Request")


def _is_text(raw: Any) -> bool:  # Any: JSON
    """Whether it can be said back: JSON can write half a character, which UTF-8 cannot."""
    return isinstance(raw, str) and not _SURROGATE.search(raw)


def _params(raw: Any) -> list[str] | dict[str, str]:  # Any: JSON
    if isinstance(raw, list):
        if not all(isinstance(item, bool) or _is_text(item) for item in raw):
            raise ApiError(-1135, "Invalid JSON Request")
        return [_text(item) for item in raw]
    if raw is None:
        return {}
    if not isinstance(raw, dict) or len(raw) > _MOST_FIELDS:
        raise ApiError(-1135, "Invalid JSON Request")
    return {name: _text(value) for name, value in raw.items() if value is not None}


def _text(value: Any) -> str:  # Any: JSON
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str(value)
    return json.dumps(value, separators=(",", ":"))
