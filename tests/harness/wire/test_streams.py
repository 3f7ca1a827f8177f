"""The market streams."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.wire.streams import parse_stream


async def _next(ws: Any, count: int = 1) -> list[Any]:
    return [orjson.loads(await ws.receive_str()) for _ in range(count)]


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_a_stream_or_none(text: str) -> None:
    stream = parse_stream(text)
    assert stream is None or stream.name == text


@pytest.mark.asyncio
async def test_raw_stream_brings_the_trades_of_its_symbol_alone(serve: Any) -> None:
    async with serve() as client, client.session.ws_connect("/ws/btcusdt@trade") as ws:
        first, second = await _next(ws, 2)
        assert (first["e"], first["s"], second["t"]) == ("trade", "BTCUSDT", first["t"] + 1)
        assert set(first) == {"e", "E", "s", "t", "p", "q", "T", "m", "M"}


@pytest.mark.asyncio
async def test_combined_stream_names_the_stream_of_each_event(serve: Any) -> None:
    names = {"ethusdt@miniTicker", "btcusdt@bookTicker", "solusdt@kline_5m", "btcusdt@aggTrade"}
    async with (
        serve() as client,
        client.session.ws_connect(f"/stream?streams={'/'.join(sorted(names))}") as ws,
    ):
        events = {each["stream"]: each["data"] for each in await _next(ws, 4)}
        assert set(events) == names
        assert events["ethusdt@miniTicker"]["e"] == "24hrMiniTicker"
        assert events["solusdt@kline_5m"]["k"]["i"] == "5m"
        assert "e" not in events["btcusdt@bookTicker"]


@pytest.mark.asyncio
async def test_subscriptions_are_made_listed_and_ended(serve: Any) -> None:
    async with serve(tick_interval=60.0) as client, client.session.ws_connect("/ws") as ws:
        for message in (
            {"method": "SUBSCRIBE", "params": ["btcusdt@trade", "nothing@at_all"], "id": 1},
            {"method": "LIST_SUBSCRIPTIONS", "id": 2},
            {"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": "three"},
            {"method": "LIST_SUBSCRIPTIONS", "id": 4},
        ):
            await ws.send_json(message)
        assert await _next(ws, 4) == [
            {"result": None, "id": 1},
            {"result": ["btcusdt@trade", "nothing@at_all"], "id": 2},
            {"result": None, "id": "three"},
            {"result": ["nothing@at_all"], "id": 4},
        ]


@pytest.mark.asyncio
async def test_what_a_stream_does_not_know_is_refused_by_number(serve: Any) -> None:
    async with serve(tick_interval=60.0) as client, client.session.ws_connect("/ws") as ws:
        await ws.send_json({"method": "SET_PROPERTY", "params": ["combined", "x"], "id": 5})
        await ws.send_json({"method": "SUBSCRIBE", "params": {}, "id": 6})
        assert await _next(ws, 2) == [
            {
                "error": {"code": 2, "msg": "Invalid request: unknown variant of method"},
                "id": 5,
            },
            {
                "error": {
                    "code": 2,
                    "msg": "Invalid request: params must be a list of stream names",
                },
                "id": 6,
            },
        ]


@pytest.mark.asyncio
async def test_sixth_message_within_a_second_ends_the_connection_and_no_other(serve: Any) -> None:
    """Binance's rule for market streams: five a second, pings and pongs included."""
    async with (
        serve(tick_interval=60.0) as client,
        client.session.ws_connect("/ws", autoping=False) as hasty,
        client.session.ws_connect("/ws") as other,
        asyncio.timeout(30),
    ):
        for number in range(4):
            await hasty.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
        await hasty.ping()
        replies = [await hasty.receive() for _ in range(5)]
        assert {each.type.name for each in replies} == {"TEXT", "PONG"}
        for _ in range(6):
            await hasty.pong()
        ending = await hasty.receive()
        assert (ending.type.name, ending.data) == ("CLOSE", 1008)
        await other.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
        assert await _next(other) == [{"result": [], "id": 1}]


@pytest.mark.asyncio
async def test_requests_of_the_websocket_api_have_no_such_limit(serve: Any) -> None:
    """What is asked there is weighed instead."""
    async with serve() as client, client.session.ws_connect("/ws-api/v3") as ws:
        for number in range(12):
            await ws.send_json({"id": number, "method": "ping"})
        assert {each["status"] for each in await _next(ws, 12)} == {200}


@pytest.mark.asyncio
async def test_candle_of_the_stream_holds_the_trade_that_moved_it(serve: Any) -> None:
    async with serve() as client, client.session.ws_connect("/ws/btcusdt@kline_1m") as ws:
        for event in await _next(ws, 3):
            candle = event["k"]
            assert float(candle["l"]) <= float(candle["c"]) <= float(candle["h"])


@pytest.mark.asyncio
async def test_ping_is_answered(serve: Any) -> None:
    async with serve(tick_interval=60.0) as client:
        ws = await client.session.ws_connect("/ws", autoping=False)
        await ws.ping(b"x")
        pong = await asyncio.wait_for(ws.receive(), 2)
        assert (pong.type.name, bytes(pong.data)) == ("PONG", b"x")
        await ws.close()


@pytest.mark.asyncio
async def test_corrupted_tick_goes_out_as_it_is(serve: Any) -> None:
    """The front must not mend, nor stumble over, what a fault has broken."""
    from harness.venue import Delivery, Frames

    async with serve() as client, client.session.ws_connect("/ws/btcusdt@trade") as ws:
        client.server.venue.impose("F", Frames(alter=lambda _c, _f: [Delivery(b"\xff{not json")]))
        while (text := await ws.receive_str()).startswith('{"e"'):
            pass
        assert text == "\ufffd{not json"
