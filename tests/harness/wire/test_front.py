"""The faults of the catalogue, as a client on a socket meets them."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import orjson
import pytest

from harness.scenario import FaultSpec, Scenario

pytestmark = pytest.mark.asyncio


class _Log:
    """A history that is kept, as (kind, id, what) for each event."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, Any]]] = []

    def record(self, kind: str, /, subject: str = "", outcome: str = "", **details: Any) -> int:
        self.events.append((kind, subject, {"outcome": outcome, **details}))
        return len(self.events)

    def kinds(self, source: str) -> list[str]:
        return [kind for kind, _, _ in self.events if kind.startswith(source)]

    def effects(self) -> list[str]:
        return [details["effect"] for kind, _, details in self.events if kind == "fault.fired"]


@pytest.fixture
def log() -> _Log:
    return _Log()


async def test_refused_request_is_reset_before_the_venue_sees_it(
    serve: Any, order: Any, log: _Log
) -> None:
    async with serve(log) as client:
        fault_id = await client.impose("refuse")
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.signed("POST", "order", **order())
        with pytest.raises(aiohttp.ClientError):
            await client.session.ws_connect("/ws")
        assert client.server.venue.ledger.orders() == {"main": []}
        await client.admin("DELETE", f"faults/{fault_id}")
        await client.good("POST", "order", **order())
        assert {*log.effects()} == {"refused"}
        kinds = list(dict.fromkeys(log.kinds("fault.")))
        assert kinds == ["fault.begin", "fault.fired", "fault.end", "fault.healed"]


@pytest.mark.parametrize(("variant", "closing"), [("reset", "CLOSED"), ("clean", "CLOSE")])
async def test_disconnect_ends_every_stream_and_what_is_under_way(
    serve: Any, order: Any, variant: str, closing: str
) -> None:
    async with serve(tick_interval=60.0) as client:
        first = await client.session.ws_connect("/ws", autoclose=False)
        second = await client.session.ws_connect("/ws-api/v3", autoclose=False)
        slow = await client.impose("latency", delay="30s")
        # A POST: aiohttp sends a GET again by itself when its connection breaks.
        hanging = asyncio.ensure_future(client.signed("POST", "order", **order()))
        await asyncio.sleep(0.05)
        await client.admin("DELETE", f"faults/{slow}")
        await client.impose("disconnect", variant=variant)
        with pytest.raises(aiohttp.ClientConnectionError):
            await asyncio.wait_for(hanging, 2)
        for ws in (first, second):
            message = await asyncio.wait_for(ws.receive(), 2)
            assert message.type.name in {closing, "ERROR"} if variant == "reset" else {closing}
            if variant == "clean":
                assert message.data == 1001
            await ws.close()


async def test_acknowledgement_is_lost_and_the_order_lives(
    serve: Any, order: Any, log: _Log
) -> None:
    async with serve(log) as client:
        await client.impose("ack_lost", variant="reset", first=1)
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.signed("POST", "order", **order(newClientOrderId="c1"))
        found = await client.good("GET", "order", symbol="BTCUSDT", origClientOrderId="c1")
        assert found["status"] == "NEW"
        assert log.effects() == ["acknowledgement lost"]
        placed = await client.good("POST", "order", **order(newClientOrderId="c2"))
        assert placed["clientOrderId"] == "c2"


async def test_blackhole_answers_nothing_until_it_is_lifted(serve: Any, log: _Log) -> None:
    async with serve(log) as client:
        ws = await client.session.ws_connect("/ws/btcusdt@trade", autoping=False)
        await ws.receive_str()
        fault_id = await client.impose("blackhole")
        await asyncio.sleep(0.05)  # what was on the wire already
        while ws._reader._buffer:
            await ws.receive()
        await ws.ping()
        for silent in (client.public("time"), ws.receive()):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(silent, 0.1)
        await client.admin("DELETE", f"faults/{fault_id}")
        assert (await client.public("time"))[0] == 200
        assert {"request lost", "lost"} <= {*log.effects()}
        await ws.close()


async def test_slow_request_executes_after_its_client_has_given_up(
    serve: Any, order: Any, wait_until: Any
) -> None:
    """A timeout must not be taken for a rejection: this is what happens then."""
    async with serve() as client:
        await client.impose("latency", delay="150ms", jitter="0s")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.signed("POST", "order", **order()), 0.05)
        await asyncio.sleep(0.02)
        assert client.server.venue.ledger.orders() == {"main": []}
        await wait_until(lambda: client.server.venue.ledger.orders()["main"] != [])


async def test_truncated_reply_ends_in_the_middle_of_its_body(serve: Any, order: Any) -> None:
    async with serve() as client:
        await client.impose("truncated", operation="order.place")
        url = f"{client.server.url}/api/v3/order?{client.query(**order())}"
        async with client.session.post(url, headers={"X-MBX-APIKEY": "test-key"}) as response:
            assert response.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        assert len(client.server.venue.ledger.orders()["main"]) == 1


async def test_refusal_by_the_front_itself_is_cut_off_like_any_other_reply(serve: Any) -> None:
    """It came whole, while the fault said that it had cut it off."""
    async with serve() as client:
        await client.impose("truncated")
        with pytest.raises(aiohttp.ClientPayloadError):
            await client.public("klines", symbol="NOPE", interval="1m")
        async with client.session.ws_connect("/ws-api/v3") as ws:
            await ws.send_json({"id": 1, "method": "no.such.method"})
            assert (await ws.receive()).type is not aiohttp.WSMsgType.TEXT


@pytest.mark.parametrize("variant", ["empty", "truncated", "html", "wrong_type"])
async def test_malformed_reply_reaches_the_client_as_it_is(
    serve: Any, order: Any, variant: str
) -> None:
    async with serve() as client:
        await client.impose("malformed", variant=variant, operation="order.place")
        response = await client.raw("POST", "order", client.query(**order()))
        body = response.body
        assert response.status == 200
        if variant == "wrong_type":
            assert "orderId" not in orjson.loads(body)
        else:
            with pytest.raises(orjson.JSONDecodeError):
                orjson.loads(body)
        assert len(client.server.venue.ledger.orders()["main"]) == 1


async def test_server_error_comes_after_the_order_was_taken(serve: Any, order: Any) -> None:
    async with serve() as client:
        await client.impose("server_error", variant="unknown", operation="order.place")
        status, body = await client.signed("POST", "order", **order())
        assert (status, body["code"]) == (503, -1006)
        assert len(client.server.venue.ledger.orders()["main"]) == 1


async def test_ban_is_answered_with_418_and_its_end(serve: Any) -> None:
    async with serve() as client:
        await client.impose("ban", **{"for": "30s"})
        response = await client.raw("GET", "time", "")
        assert response.status == 418
        assert 29 <= int(response.headers["Retry-After"]) <= 30
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await client.session.ws_connect("/ws")
        assert caught.value.status == 429


async def test_maintenance_closes_the_streams_and_answers_503(serve: Any) -> None:
    async with serve() as client:
        ws = await client.session.ws_connect("/ws")
        await client.impose("maintenance")
        message = await asyncio.wait_for(ws.receive(), 2)
        assert (message.type.name, message.data) == ("CLOSE", 1012)
        assert (await client.raw("GET", "time", "")).status == 503
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await client.session.ws_connect("/ws")
        assert caught.value.status == 503


async def test_mute_stream_answers_pings_and_brings_no_data(serve: Any) -> None:
    async with serve() as client:
        ws = await client.session.ws_connect("/ws/btcusdt@trade", autoping=False)
        await ws.receive_str()
        await client.impose("mute_stream")
        await ws.ping()
        kinds = []
        while not kinds or kinds[-1] != "PONG":
            kinds.append((await asyncio.wait_for(ws.receive(), 2)).type.name)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ws.receive(), 0.1)
        await ws.close()


async def test_duplicate_fill_is_reported_twice(serve: Any, signed_ws: Any) -> None:
    async with serve() as client, client.session.ws_connect("/ws-api/v3") as ws:
        method = "userDataStream.subscribe.signature"
        await ws.send_json({"id": 1, "method": method, "params": signed_ws()})
        await ws.receive_str()
        await client.impose("duplicate_fill", delay="20ms")
        await client.good(
            "POST", "order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.001"
        )
        fills = []
        while len(fills) < 2:
            event = orjson.loads(await ws.receive_str())["event"]
            if event.get("x") == "TRADE":
                fills.append(event)
        assert fills[0] == fills[1]


async def test_clock_skew_refuses_what_was_signed_by_the_right_time(serve: Any) -> None:
    async with serve() as client:
        await client.impose("clock_skew", variant="ahead", by="8s")
        status, body = await client.signed("GET", "account")
        assert (status, body["code"]) == (400, -1021)
        _, told = await client.public("time")
        status, _ = await client.signed("GET", "account", timestamp=told["serverTime"])
        assert status == 200


def _scenario(*faults: dict[str, Any]) -> Scenario:
    specs = [FaultSpec.model_validate({"venue": "ALPHA", **fault}) for fault in faults]
    return Scenario.model_validate(
        {
            "scenario": "story",
            "proves": "that the schedule is kept",
            "duration": "60s",
            "venues": [
                {"name": "ALPHA", "profile": "binance", "symbols": {"BTCUSDT": {"price": 50000.0}}}
            ],
            "faults": specs,
        }
    )


async def test_scenario_misbehaves_on_schedule_and_names_what_it_cannot(
    serve: Any, log: _Log, wait_until: Any
) -> None:
    scenario = _scenario(
        {"kind": "rate_limit", "at": "600ms", "for": "600ms"},
        {"kind": "clock_jump", "at": "1s"},
    )
    async with serve(log, scenario=scenario) as client:
        assert [each.fault.kind for each in client.server.conductor.skipped] == ["clock_jump"]
        status, body = await client.public("ticker/price")
        assert (status, [each["symbol"] for each in body]) == (200, ["BTCUSDT"])
        await wait_until(lambda: "fault.begin" in log.kinds("fault."))
        assert (await client.public("time"))[0] == 429
        await wait_until(lambda: "fault.healed" in log.kinds("fault."))
        assert (await client.public("time"))[0] == 200
        assert log.kinds("fault.") == ["fault.begin", "fault.fired", "fault.end", "fault.healed"]
        assert "venue.refused" in log.kinds("venue.")


async def test_stopped_server_leaves_no_fault_and_lets_go_of_what_hangs(
    serve: Any, log: _Log
) -> None:
    async with serve(log) as client:
        await client.impose("blackhole")
        hanging = asyncio.ensure_future(client.public("time"))
        await asyncio.sleep(0.05)
    with pytest.raises(aiohttp.ClientError):
        await asyncio.wait_for(hanging, 2)
    assert log.kinds("fault.")[-2:] == ["fault.end", "fault.healed"]
    assert log.events[-1][2]["outcome"] == "ok"
    assert client.server.front.rules == {}


async def test_history_has_the_venues_own_events(serve: Any, order: Any, log: _Log) -> None:
    async with serve(log) as client:
        await client.good("POST", "order", **order(newClientOrderId="c1"))
        await client.good(
            "POST", "order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.001"
        )
        assert log.kinds("venue.") == [
            "venue.order", "venue.order", "venue.trade", "venue.order",
        ]  # fmt: skip
        details = log.events[0][2]
        assert (details["outcome"], details["client_id"], details["account"]) == (
            "NEW", "c1", "main",
        )  # fmt: skip
