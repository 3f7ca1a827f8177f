"""Nothing that a client does ends the server, holds it up, or makes it tell a secret."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from harness.wire import WireConfig, WireServer, sockets
from harness.wire.server import _serve

pytestmark = pytest.mark.asyncio


async def _send(client: Any, data: bytes, *, wait: float = 0.1) -> bytes:
    """Send bytes, and return what comes back before the wait is over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(65_536), wait)
    except (TimeoutError, ConnectionError):
        return b""
    finally:
        await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


_GARBAGE = {
    "random bytes": random.Random(1).randbytes(2_000),
    "invalid utf-8": b"GET /\xff\xfe?\xc3\x28 HTTP/1.1\r\nHost: x\r\n\r\n",
    "truncated": b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsymbol=",
    "bad length": b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    "bad chunk": b"POST /api/v3/order HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "huge header": b"GET / HTTP/1.1\r\nX-Big: " + b"a" * 50_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 5_000 + b"\r\n",
    "huge path": b"GET /" + b"a" * 50_000 + b" HTTP/1.1\r\n\r\n",
    "null bytes": b"GET /api/v3/time\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls hello": b"\x16\x03\x01\x02\x00\x01",
    "bad gzip": b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
    b"Content-Length: 4\r\n\r\nabcd",
}


@pytest.mark.parametrize("name", list(_GARBAGE))
async def test_garbage_is_refused_and_the_next_client_is_served(
    serve: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(body_timeout=0.2) as client:
        with caplog.at_level(logging.DEBUG):
            reply = await _send(client, _GARBAGE[name])
        assert reply == b"" or reply.split(b" ")[1][:1] == b"4", reply
        assert b"Traceback" not in reply
        assert "Traceback" not in caplog.text
        assert (await client.public("time"))[0] == 200


_WS = (
    b"GET /ws-api/v3 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_FRAMES = {
    "random bytes": random.Random(2).randbytes(2_000),
    "unmasked": b"\x81\x02{}",
    "invalid utf-8": b"\x81\x82\x00\x00\x00\x00\xff\xfe",
    "binary": b"\x82\x82\x00\x00\x00\x00ab",
    "too large": b"\x81\xff\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00",
    "reserved opcode": b"\x83\x80\x00\x00\x00\x00",
    "continuation of nothing": b"\x80\x80\x00\x00\x00\x00",
}


@pytest.mark.parametrize("name", list(_FRAMES))
async def test_garbage_on_a_websocket_ends_that_connection_alone(
    serve: Any, name: str, wait_until: Callable[[Callable[[], bool]], Any]
) -> None:
    async with serve() as client, client.session.ws_connect("/ws/btcusdt@trade") as other:
        reply = await _send(client, _WS + _FRAMES[name])
        assert reply.startswith(b"HTTP/1.1 101")
        assert b"Traceback" not in reply
        await wait_until(lambda: client.server.front.connection_ids() == ["wire-1"])
        assert await other.receive_str()


async def test_body_and_message_that_are_too_large_are_refused(serve: Any) -> None:
    async with serve(max_body=1_000) as client:
        async with client.session.post("/api/v3/order", data=b"a" * 1_001) as response:
            assert (response.status, (await response.json())["code"]) == (413, 413)
        async with client.session.ws_connect("/ws") as ws:
            await ws.send_str("a" * 1_001)
            message = await ws.receive()
            assert (message.type.name, message.data) == ("CLOSE", 1009)


async def test_body_that_never_ends_is_waited_for_only_so_long(serve: Any) -> None:
    async with serve(body_timeout=0.05) as client:
        reply = await _send(client, _GARBAGE["truncated"], wait=2.0)
        assert reply.startswith(b"HTTP/1.1 408")


async def test_connection_that_never_asks_is_cut(serve: Any) -> None:
    """A header that trickles in would else hold a connection for ever."""
    async with serve(idle_timeout=0.1) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
        writer.write(b"GET /api/v3/time HTTP/1.1\r\nX-Slow: ")
        async with client.session.ws_connect("/ws/btcusdt@trade") as ws:
            assert await asyncio.wait_for(reader.read(), 2) == b""
            assert await ws.receive_str()  # who is served is not cut
        await _close(writer)


async def test_client_that_does_not_read_is_cut_and_nobody_waits_for_it(
    serve: Any, wait_until: Any
) -> None:
    async with (
        serve(max_backlog=500) as client,
        client.session.ws_connect("/ws/btcusdt@trade") as quick,
    ):
        front = client.server.front
        _, writer = await asyncio.open_connection("127.0.0.1", client.server.port, limit=1)
        writer.write(_WS)
        await wait_until(lambda: "wire-2" in front.connection_ids())
        # More than the kernel takes in for a reader that stopped after its first bytes.
        front._connections["wire-2"].write("x" * 8_000_000)
        await asyncio.sleep(0.05)
        for _ in range(501):
            front._connections["wire-2"].write("x")
        await wait_until(lambda: "wire-2" not in front.connection_ids())
        assert await quick.receive_str()
        await _close(writer)


async def test_no_secret_is_logged_recorded_or_told(
    serve: Any, order: Any, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    from harness.history import History

    path = tmp_path / "history.jsonl"
    told = b""
    with caplog.at_level(logging.DEBUG), History(path, lambda: 0.0) as history:
        async with serve(history) as client:
            query = client.query(**order())
            signature = query.rpartition("=")[2]
            for target in (query, query + "0", "symbol=%ff&" + query, query.replace("BUY", "BYE")):
                response = await client.raw("POST", "order", target)
                told += response.body + str(response.headers).encode()
            told += await _send(client, b"GET / HTTP/1.1\r\nX-MBX-APIKEY: test-key\x01\r\n\r\n")
            broken = client.server._exchange
            broken.records = None  # whatever goes wrong inside
            status, body = await client.signed("GET", "allOrders", symbol="BTCUSDT")
            assert (status, body["code"]) == (500, -1000)
            told += repr(client.server.config).encode()
    for text in (caplog.text, path.read_text(), told.decode()):
        for secret in ("test-secret-9f3a", signature, "test-token-71c2"):
            assert secret not in text
    assert "wire.request_failed" in caplog.text


async def test_port_that_is_taken_is_an_error_at_the_start(serve: Any) -> None:
    async with serve() as client:
        with pytest.raises(OSError, match="address already in use"):
            await WireServer(WireConfig(port=client.server.port)).start()


async def test_serving_goes_on_until_it_is_ended() -> None:
    ready: list[str] = []
    task = asyncio.ensure_future(_serve(WireConfig(), lambda server: ready.append(server.url)))
    async with asyncio.timeout(5):
        while not ready:  # noqa: ASYNC110 - a callback tells, no event
            await asyncio.sleep(0.005)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(ready[0].rpartition(":")[2]))
    writer.write(b"GET /api/v3/ping HTTP/1.0\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.0 200")
    await _close(writer)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_nothing_is_left_running_after_the_end(serve: Any) -> None:
    before = asyncio.all_tasks()
    async with serve() as client:
        await client.session.ws_connect("/ws/btcusdt@trade")
        await client.impose("latency", delay="30s")
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("options", [{"time_scale": 0.0}, {"admin_token": ""}])
async def test_configuration_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        WireConfig(**options)


async def test_connection_that_keeps_asking_is_not_taken_for_one_that_never_asks(
    serve: Any,
) -> None:
    """It was: whoever asked quickly was between two requests whenever the reaper looked."""
    async with serve(idle_timeout=0.2) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
        for _ in range(20):
            writer.write(b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await asyncio.wait_for(reader.readuntil(b"{}"), 2)).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.03)
        assert await asyncio.wait_for(reader.read(), 2) == b""  # and now it is
        await _close(writer)


async def test_market_of_a_stopped_server_stands_still(serve: Any) -> None:
    """A connection that ended while it was stopped set the market's timer again, for good."""
    async with aiohttp.ClientSession() as session:
        async with serve() as client:
            ws = await session.ws_connect(f"{client.server.url}/ws/btcusdt@trade")
            await ws.receive_str()
        await asyncio.sleep(0.05)
        timer = client.server.front._timer
        assert timer is not None
        assert timer.cancelled()
        await ws.close()


async def test_client_that_answers_no_ping_is_disconnected(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Binance: a ping every 20 seconds, and no pong within a minute ends the connection.

    A pong that answers none of the pings does not count.
    """
    monkeypatch.setattr(sockets, "_PING_SECONDS", 0.05)
    monkeypatch.setattr(sockets, "_PONG_SECONDS", 0.15)
    async with (
        serve(tick_interval=60.0) as client,
        client.session.ws_connect("/ws-api/v3", autoping=False) as deaf,
        client.session.ws_connect("/ws-api/v3") as good,
        asyncio.timeout(10),
    ):
        answered = asyncio.ensure_future(good.receive())  # its client answers pings by itself
        while (message := await deaf.receive()).type is aiohttp.WSMsgType.PING:
            await deaf.pong(b"unsolicited")
        assert (message.type.name, message.data) == ("CLOSE", 1008)
        await asyncio.sleep(0.3)
        assert not answered.done()
        answered.cancel()


async def test_flood_of_pings_to_which_nobody_reads_the_pongs_ends_the_connection(
    serve: Any, wait_until: Any
) -> None:
    """Each was a task and a pong that waited to be written, without bound."""
    async with serve(tick_interval=60.0) as client:
        front = client.server.front
        _, writer = await asyncio.open_connection("127.0.0.1", client.server.port, limit=1)
        writer.write(_WS)
        await wait_until(lambda: front.connection_ids() == ["wire-1"])
        socket = front._connections["wire-1"]
        socket.write("x" * 8_000_000)  # more than the kernel takes in: what follows waits
        await asyncio.sleep(0.05)
        writer.write((b"\x89\xfd\0\0\0\0" + b"x" * 125) * 50_000)
        await wait_until(lambda: front.connection_ids() == [])
        assert len(socket._tasks) <= 70
        await _close(writer)
