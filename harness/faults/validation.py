"""Faults of form: the venue answers, and the answer is not what it should be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from foxtrot.adapter.session import VenueReply
from foxtrot.util.errors import ErrorCategory
from harness.faults.base import ReplyFault
from harness.faults.schema import FaultKind, ParameterSpec

__all__ = ["Malformed", "RenamedField"]

_PATIENCE = 60.0

Json = Any  # Any: whatever JSON holds

_HTML = b"<html><head><title>Just a moment...</title></head><body></body></html>"


class Malformed(ReplyFault):
    """A good reply whose body cannot be used."""

    kind = FaultKind(
        name="malformed",
        category=ErrorCategory.VALIDATION,
        variants=("empty", "truncated", "html", "wrong_type"),
        surfaces=True,
        blocks=("*",),
        doc="HTTP 200, and the body is empty, ends in the middle, is a page of the CDN's, or holds "
        "texts where numbers belong. The venue has acted all the same.",
        remedy="Believe nothing of it: no empty list, no order without an id. A new order's "
        "outcome is unknown; a question is asked again.",
        source="ccxt: 200 with truncated JSON gives an order whose id is None; nautilus PR #4230: "
        "a failed query taken for an empty one.",
    )

    def altered(self, reply: VenueReply) -> VenueReply:
        """The same reply with another body."""
        return replace(reply, body=self._body(reply.body))

    def _body(self, body: bytes) -> bytes:
        match self.variant:
            case "empty":
                return b""
            case "truncated":
                return body[: len(body) // 2]
            case "html":
                return _HTML
            case _:
                return orjson.dumps(_retyped(orjson.loads(body)))


class RenamedField(ReplyFault):
    """A field of the replies has a new name."""

    kind = FaultKind(
        name="renamed_field",
        category=ErrorCategory.VALIDATION,
        recoverable=False,
        must_escalate=True,
        surfaces=True,
        parameters={
            "field": ParameterSpec(type="text", default="status", doc="Which field is renamed."),
        },
        doc="The venue has changed its interface: a field is called something else from now on, "
        "here by a `new_` in front.",
        remedy="Miss it and say so; never go on with a default in its place. Orders sent meanwhile "
        "are of unknown outcome. Only a person can mend the adapter.",
        source="Binance's changelog: userDataStream removed on 2026-02-20; ccxt's wrong event "
        "names, which hang with traffic flowing.",
    )

    @property
    def must_escalate(self) -> bool:
        """An interface that has changed back within a minute was a hiccup, to whoever uses it."""
        return self.occurrence.end - self.occurrence.begin >= _PATIENCE

    def altered(self, reply: VenueReply) -> VenueReply | None:
        """The same reply with the field renamed, wherever it is; None where it is not."""
        body = orjson.dumps(_renamed(orjson.loads(reply.body), str(self.parameter("field"))))
        return None if body == reply.body else replace(reply, body=body)


def _retyped(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {name: _retyped(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_retyped(each) for each in value]
    return str(value) if isinstance(value, int | float) else value


def _renamed(value: Json, field: str) -> Json:
    if isinstance(value, Mapping):
        return {
            f"new_{name}" if name == field else name: _renamed(each, field)
            for name, each in value.items()
        }
    return [_renamed(each, field) for each in value] if isinstance(value, list) else value
