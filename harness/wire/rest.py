"""The REST front: HTTP requests into calls, and answers into HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web

from foxtrot.util.structured_logger import StructuredLogger
from harness.wire.errors import ApiError, Dropped
from harness.wire.exchange import Answer, Endpoint, Exchange, Incoming
from harness.wire.params import parse_form
from harness.wire.signing import signed_bytes
from harness.wire.sockets import reset

__all__ = ["guard", "read_body", "rest_handler"]

_JSON = {"Content-Type": "application/json;charset=UTF-8"}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = StructuredLogger("harness.wire")


def rest_handler(exchange: Exchange, endpoint: Endpoint, body_timeout: float) -> _Handler:
    """What answers an endpoint's requests."""

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await read_body(request, body_timeout)
        source_ip = request.remote or ""
        try:
            incoming = _incoming(request, body, source_ip)
            answer = await exchange.answer(endpoint, incoming)
        except ApiError as error:
            answer = await exchange.refuse(error, source_ip)
        if answer.is_cut:
            return await _cut_off(request, answer)
        return web.Response(
            status=answer.status, headers={**answer.headers, **_JSON}, body=answer.body
        )

    return handle


async def _cut_off(request: web.Request, answer: Answer) -> web.StreamResponse:
    """Promise the whole body, send half, and close."""
    response = web.StreamResponse(status=answer.status, headers={**answer.headers, **_JSON})
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.close()  # no reset: that could overtake the half
    return response


async def read_body(request: web.Request, timeout: float) -> bytes:
    """The whole body. Raises one of aiohttp's HTTP errors when it is late, large or broken."""
    try:
        async with asyncio.timeout(timeout):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except web.RequestPayloadError:
        raise web.HTTPBadRequest from None


@web.middleware
async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Turn whatever goes wrong into a JSON error, or into a reset where a fault wants one."""
    try:
        return await handler(request)
    except Dropped:
        reset(request.transport)
        return web.Response()  # goes nowhere: the connection is gone
    except web.HTTPException as error:
        return _failure(error.status, error.status, error.reason)
    except ConnectionError:
        raise
    except Exception as error:  # a bug here must neither end the server nor show its insides
        _log.error("wire.request_failed", error=type(error).__name__, path=request.path)
        message = "An unknown error occurred while processing the request."
        return _failure(500, -1000, message)


def _incoming(request: web.Request, body: bytes, source_ip: str) -> Incoming:
    # The signature covers the bytes as they were sent, which the parsed URL no longer has.
    target = request.raw_path.encode("utf-8", "surrogateescape")
    query = target.partition(b"?")[2].partition(b"#")[0]
    # Of a GET, Binance reads the query alone.
    return Incoming(
        params=parse_form(query, b"" if request.method == "GET" else body),
        payload=signed_bytes(query, body),
        api_key=request.headers.get("X-MBX-APIKEY", ""),
        source_ip=source_ip,
    )


def _failure(status: int, code: int, message: str) -> web.Response:
    return web.Response(
        status=status, headers=_JSON, body=orjson.dumps({"code": code, "msg": message})
    )
