"""The market streams."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.venue import Halt
from harness.wire import WireConfig, WireServer
from harness.wire.streams import MarketStreams, parse_stream

_NOT_THE_VENUES = [
    ("/ws", "LIST_SUBSCRIPTIONS"),
    ("/ws", "UNSUBSCRIBE"),
    ("/ws", "no.such.method"),
    ("/ws-api/v3", "no.such.method"),
    ("/ws-api/v3", "ping"),
]


class _Still:
    """A clock that stands still at a time; nobody may sleep by it, since he would not wake."""

    def __init__(self, wall: float) -> None:
        self._wall = wall

    def now(self) -> float:
        return 0.0

    def wall(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self._wall, dt.UTC)

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    def sleep_sync(self, seconds: float) -> None:
        raise NotImplementedError


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
        await ws.send_json({"method": "SUBSCRIB", "params": ["btcusdt@trade"], "id": 5})
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
async def test_property_of_a_connection_is_set_and_told(serve: Any) -> None:
    """Binance's web-socket-streams.md, setting and retrieving properties."""
    async with serve() as client, client.session.ws_connect("/ws") as ws:
        for message in (
            {"method": "SET_PROPERTY", "params": ["combined", True], "id": 1},
            {"method": "GET_PROPERTY", "params": ["combined"], "id": 2},
            {"method": "SET_PROPERTY", "params": ["combined", "x"], "id": 3},
            {"method": "GET_PROPERTY", "params": ["color"], "id": 4},
            {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 5},
        ):
            await ws.send_json(message)
        replies = await _next(ws, 6)
        assert replies[:2] == [{"result": None, "id": 1}, {"result": True, "id": 2}]
        assert [each["error"]["code"] for each in replies[2:4]] == [1, 0]
        assert replies[5]["stream"] == "btcusdt@trade"


@pytest.mark.asyncio
async def test_messages_of_a_socket_take_effect_in_their_order_however_slow(serve: Any) -> None:
    """An unsubscribe overtook the subscribe that a fault held up, and the stream ran on."""
    async with serve(tick_interval=60.0) as client, client.session.ws_connect("/ws") as ws:
        await client.impose("latency", delay="30ms", jitter="0s")
        for number, method in enumerate(("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS")):
            await ws.send_json({"method": method, "params": ["btcusdt@trade"], "id": number})
        assert await _next(ws, 3) == [
            {"result": None, "id": 0},
            {"result": None, "id": 1},
            {"result": [], "id": 2},
        ]


@pytest.mark.asyncio
async def test_message_that_is_refused_lets_none_overtake_what_went_before_it(serve: Any) -> None:
    """The unsubscribe behind it came before the subscribe, and the stream ran on."""
    async with serve(tick_interval=60.0) as client, client.session.ws_connect("/ws") as ws:
        fault = await client.impose("latency", delay="300ms", jitter="0s")
        await ws.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 0})
        await asyncio.sleep(0.1)
        await client.admin("DELETE", f"faults/{fault}")
        for number, (method, names) in enumerate(
            (
                ("NO_SUCH", []),
                ("SUBSCRIBE", ["a@trade"] * 1025),
                ("UNSUBSCRIBE", ["btcusdt@trade"]),
            ),
            start=1,
        ):
            await ws.send_json({"method": method, "params": names, "id": number})
        assert [each["id"] for each in await _next(ws, 4)] == [0, 1, 2, 3]
        await ws.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 4})
        assert await _next(ws, 1) == [{"result": [], "id": 4}]


@pytest.mark.asyncio
@pytest.mark.parametrize(("path", "method"), _NOT_THE_VENUES)
async def test_dead_path_answers_nothing_whatever_is_asked(
    serve: Any, path: str, method: str
) -> None:
    """What the venue itself is not asked for was answered all the same; so was a flood."""
    async with serve(tick_interval=60.0) as client, client.session.ws_connect(path) as ws:
        fault_id = await client.impose("blackhole")
        for number in range(80 if path == "/ws-api/v3" else 3):
            await ws.send_json({"method": method, "params": ["a@trade"], "id": number})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ws.receive(), 0.1)
        await client.admin("DELETE", f"faults/{fault_id}")
        async with client.session.ws_connect(path) as other:
            await other.send_json({"method": method, "params": ["a@trade"], "id": 1})
            assert (await _next(other))[0]["id"] == 1


@pytest.mark.asyncio
async def test_trade_of_the_stream_has_the_id_of_the_public_endpoint_after_a_halt(
    serve: Any, wait_until: Any
) -> None:
    """Ticks of a halted market counted as trades on the stream, and not on REST."""
    async with serve() as client, client.session.ws_connect("/ws/btcusdt@trade") as ws:
        view = client.server._exchange.market.symbols["BTCUSDT"]
        await ws.receive_str()
        client.server.venue.impose("F", Halt())
        await wait_until(lambda: view.sequence >= view.count + 3)
        client.server.venue.lift("F")
        seen = (await _next(ws, 3))[-1]
        _, trades = await client.public("trades", symbol="BTCUSDT")
        assert [each["id"] for each in trades if each["time"] == seen["T"]] == [seen["t"]]
        _, book = await client.public("depth", symbol="BTCUSDT")
        assert book["lastUpdateId"] >= view.count + 3


@pytest.mark.asyncio
async def test_candle_that_is_over_is_told_for_the_last_time_as_closed() -> None:
    """Whoever trades on closed candles waits for `x`, which was never true."""
    start = 1_700_000_040.0  # a full minute
    server = WireServer(WireConfig(tick_interval=25.0), clock=_Still(start))
    server.venue.connect("c", "", 0.0)
    streams = MarketStreams(server._exchange, "c", is_combined=False)
    await streams.subscribe(["btcusdt@kline_1m"], "here")
    candles = []
    for now in (25.0, 50.0, 75.0):
        frames = server.venue.advance(now)
        server._exchange.market.move_to(now)
        for _, frame in frames:
            candles += [orjson.loads(text)["k"] for text in streams.words(frame)]
    minute = round(start * 1000)
    assert [(each["t"] - minute, each["x"], each["n"]) for each in candles] == [
        (0, False, 2),
        (0, False, 3),
        (0, True, 3),
        (60_000, False, 1),
    ]
    assert [(each["f"], each["L"]) for each in candles[-2:]] == [(1, 3), (4, 4)]
    assert (candles[2]["c"], candles[2]["v"]) == (candles[1]["c"], candles[1]["v"])


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
