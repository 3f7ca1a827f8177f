"""The OpenAPI description of what is served, made from the same table that serves it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.wire.exchange import Endpoint
from harness.wire.params import PATTERNS, Param
from harness.wire.schemas import BODIES, SCHEMAS

__all__ = ["openapi"]

_Json = dict[str, Any]  # Any: JSON
_ERROR: _Json = {
    "type": "object",
    "required": ["code", "msg"],
    "properties": {"code": {"type": "integer"}, "msg": {"type": "string"}},
}
_REFUSALS = {
    "400": "The request is wrong, or the venue refuses it.",
    "401": "The key is wrong.",
    "408": "The body took too long.",
    "413": "The body is too large.",
    "418": "Banned, for as long as Retry-After says.",
    "429": "Too many requests, or too many orders.",
    "500": "Nothing is known of what became of the request.",
    "503": "Maintenance.",
}


def openapi(endpoints: Iterable[Endpoint], url: str = "/") -> _Json:
    """The description, as OpenAPI 3.1, of a server at `url`."""
    paths: dict[str, _Json] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.verb.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Foxtrot's simulated exchange",
            "version": "1",
            "description": "Binance Spot's REST protocol, as far as it is served here.",
        },
        "servers": [{"url": url}],
        "paths": paths,
        "components": {
            "schemas": {"Error": _ERROR, **SCHEMAS},
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-MBX-APIKEY"},
            },
        },
    }


def _operation(endpoint: Endpoint) -> _Json:
    return {
        "operationId": endpoint.method,
        "summary": endpoint.summary,
        "security": [{"key": []}] if endpoint.is_signed else [],
        "parameters": [_parameter(param) for param in endpoint.all_params],
        "responses": {
            "200": {"description": "The answer.", "content": _content(BODIES[endpoint.method])},
            **{status: _refusal(why) for status, why in _REFUSALS.items()},
        },
    }


def _parameter(param: Param) -> _Json:
    schema: _Json = {"type": "string", "pattern": PATTERNS[param.kind]}
    if param.choices:
        schema = {"type": "string", "enum": list(param.choices)}
    return {"name": param.name, "in": "query", "required": param.required, "schema": schema}


def _refusal(why: str) -> _Json:
    return {"description": why, "content": _content({"$ref": "#/components/schemas/Error"})}


def _content(schema: _Json) -> _Json:
    return {"application/json": {"schema": schema}}
