"""The WebSocket API and the user's own stream."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

pytestmark = pytest.mark.asyncio
_SUBSCRIBE = "userDataStream.subscribe.signature"


async def _ask(ws: Any, method: str, **params: Any) -> Any:
    await ws.send_json({"id": 1, "method": method, "params": params})
    return orjson.loads(await ws.receive_str())


async def test_order_is_placed_looked_up_and_cancelled(
    serve: Any, order: Any, signed_ws: Any
) -> None:
    async with serve() as client, client.session.ws_connect("/ws-api/v3") as ws:
        placed = await _ask(ws, "order.place", **signed_ws(**order(newClientOrderId="c1")))
        assert (placed["id"], placed["status"], placed["result"]["status"]) == (1, 200, "NEW")
        assert placed["rateLimits"][-1]["count"] == 1
        found = await _ask(
            ws, "order.status", **signed_ws(symbol="BTCUSDT", origClientOrderId="c1")
        )
        assert found["result"]["orderId"] == placed["result"]["orderId"]
        cancelled = await _ask(
            ws, "order.cancel", **signed_ws(symbol="BTCUSDT", orderId=found["result"]["orderId"])
        )
        assert cancelled["result"]["status"] == "CANCELED"


async def test_user_stream_tells_an_orders_whole_life(
    serve: Any, order: Any, signed_ws: Any
) -> None:
    async with serve() as client, client.session.ws_connect("/ws-api/v3") as ws:
        reply = await _ask(ws, _SUBSCRIBE, **signed_ws())
        assert reply["result"] == {"subscriptionId": 0}
        placed = await client.good("POST", "order", **order(newClientOrderId="c1"))
        await client.good("DELETE", "order", symbol="BTCUSDT", orderId=placed["orderId"])
        events = [orjson.loads(await ws.receive_str()) for _ in range(4)]
        assert {each["subscriptionId"] for each in events} == {0}
        report, locked, cancel, freed = (each["event"] for each in events)
        assert [report["e"], report["x"], report["X"], report["c"], report["C"]] == [
            "executionReport", "NEW", "NEW", "c1", "",
        ]  # fmt: skip
        assert [cancel["x"], cancel["X"], cancel["C"]] == ["CANCELED", "CANCELED", "c1"]
        assert [report["i"], report["q"], report["p"], report["z"]] == [
            placed["orderId"], "0.00100000", "30000.00000000", "0.00000000",
        ]  # fmt: skip
        assert locked["e"] == freed["e"] == "outboundAccountPosition"


async def test_fill_is_reported_with_what_it_cost(serve: Any, signed_ws: Any) -> None:
    async with serve() as client, client.session.ws_connect("/ws-api/v3") as ws:
        await _ask(ws, _SUBSCRIBE, **signed_ws())
        await client.good(
            "POST", "order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.001"
        )
        reports = []
        while not reports or reports[-1]["X"] != "FILLED":
            event = orjson.loads(await ws.receive_str())["event"]
            if event["e"] == "executionReport":
                reports.append(event)
        assert [each["x"] for each in reports] == ["NEW", "TRADE"]
        fill = reports[-1]
        assert float(fill["Z"]) == pytest.approx(float(fill["L"]) * 0.001)
        assert (fill["l"], fill["z"], fill["m"], fill["t"]) == (
            "0.00100000",
            "0.00100000",
            False,
            1,
        )
        # A fee has a currency, and only a fill has a fee.
        assert [each["N"] for each in reports] == [None, "USDT"]
        (trade,) = await client.good("GET", "myTrades", symbol="BTCUSDT")
        assert (trade["commissionAsset"], float(trade["commission"])) == ("USDT", float(fill["n"]))


async def test_nothing_is_told_to_who_did_not_sign_or_has_unsubscribed(
    serve: Any, order: Any, signed_ws: Any
) -> None:
    async with serve() as client, client.session.ws_connect("/ws-api/v3") as ws:
        wrong = signed_ws() | {"signature": "0" * 64}
        reply = await _ask(ws, _SUBSCRIBE, **wrong)
        assert (reply["status"], reply["error"]["code"]) == (400, -1022)
        await client.good("POST", "order", **order())
        assert (await _ask(ws, "ping"))["result"] == {}
        await _ask(ws, _SUBSCRIBE, **signed_ws())
        await ws.send_json({"id": 1, "method": "userDataStream.unsubscribe"})
        assert orjson.loads(await ws.receive_str())["event"]["e"] == "eventStreamTerminated"
        assert orjson.loads(await ws.receive_str())["result"] == {}
        await client.good("POST", "order", **order())
        assert (await _ask(ws, "ping"))["result"] == {}


async def test_what_cannot_be_read_is_refused_and_the_connection_lives(serve: Any) -> None:
    async with serve() as client, client.session.ws_connect("/ws-api/v3") as ws:
        await ws.send_str("{not json")
        reply = orjson.loads(await ws.receive_str())
        assert (reply["id"], reply["status"], reply["error"]["code"]) == (None, 400, -1135)
        reply = await _ask(ws, "no.such.method")
        assert (reply["id"], reply["status"], reply["error"]["code"]) == (1, 404, -1020)


async def test_wait_is_told_in_the_body_where_there_are_no_headers(serve: Any) -> None:
    async with serve() as client, client.session.ws_connect("/ws-api/v3") as ws:
        await client.impose("rate_limit", retry_after="9s")
        reply = await _ask(ws, "time")
        data = reply["error"]["data"]
        assert (reply["status"], data["retryAfter"] - data["serverTime"]) == (429, 9_000)


async def test_expired_session_is_said_and_silent_until_subscribed_anew(
    serve: Any, order: Any, signed_ws: Any
) -> None:
    async with serve() as client, client.session.ws_connect("/ws-api/v3") as ws:
        await _ask(ws, _SUBSCRIBE, **signed_ws())
        await client.impose("session_expired")
        event = orjson.loads(await ws.receive_str())["event"]
        assert event["e"] == "eventStreamTerminated"
        await client.good("POST", "order", **order())
        assert (await _ask(ws, "ping"))["status"] == 200
        await _ask(ws, _SUBSCRIBE, **signed_ws())
        await client.good("POST", "order", **order())
        assert orjson.loads(await ws.receive_str())["event"]["x"] == "NEW"


async def test_subscription_is_one_at_a_time_and_its_end_is_said(
    serve: Any, order: Any, signed_ws: Any
) -> None:
    """Errors -2035 and -2036 of Binance's errors.md; a refused one brought the old one back."""
    async with serve() as client, client.session.ws_connect("/ws-api/v3") as ws:

        async def told(method: str, **params: Any) -> tuple[int, Any]:
            reply = await _ask(ws, method, **params)
            error = reply.get("error")
            return reply["status"], error["code"] if error else reply["result"]

        end = "userDataStream.unsubscribe"
        assert await told(end) == (400, -2036)
        assert await told(_SUBSCRIBE, **signed_ws()) == (200, {"subscriptionId": 0})
        assert await told(_SUBSCRIBE, **signed_ws()) == (400, -2035)
        assert await told(end, subscriptionId=7) == (400, -2036)
        terminated = await _ask(ws, end, subscriptionId=0)
        assert terminated["subscriptionId"] == 0
        assert terminated["event"]["e"] == "eventStreamTerminated"
        reply = orjson.loads(await ws.receive_str())
        assert (reply["status"], reply["rateLimits"][0]["count"]) == (200, 1 + 2 + 1 + 1 + 2)
        assert await told(_SUBSCRIBE, **(signed_ws() | {"signature": "0" * 64})) == (400, -1022)
        await client.good("POST", "order", **order())
        assert await told(_SUBSCRIBE, **signed_ws()) == (200, {"subscriptionId": 1})
        await client.good("POST", "order", **order())
        assert orjson.loads(await ws.receive_str())["subscriptionId"] == 1


async def test_subscription_ends_once_by_whatever_name_and_however_often_it_is_asked_to(
    serve: Any, order: Any, signed_ws: Any
) -> None:
    """With `v3/` before it the end was acknowledged and none; asked for twice it ended twice."""
    end = "userDataStream.unsubscribe"
    async with serve() as client, client.session.ws_connect("/ws-api/v3") as ws:
        for methods in ((f"v3/{end}",), (end, end)):
            number = (await _ask(ws, _SUBSCRIBE, **signed_ws()))["result"]["subscriptionId"]
            fault = await client.impose("latency", delay="30ms", jitter="0s")
            for method in methods:
                await ws.send_json({"id": 1, "method": method})
            await ws.send_json({"id": 2, "method": "ping"})
            told: list[Any] = []
            while not told or told[-1].get("id") != 2:
                told.append(orjson.loads(await ws.receive_str()))
            await client.admin("DELETE", f"faults/{fault}")
            await client.good("POST", "order", **order())
            assert (await _ask(ws, "ping"))["result"] == {}
            events = [each for each in told if "event" in each]
            assert [each["subscriptionId"] for each in events] == [number]


async def test_limits_that_a_request_touched_are_told_unless_it_asks_for_none(
    serve: Any, order: Any, signed_ws: Any
) -> None:
    """Binance's web-socket-api.md: an order counts against ORDERS; `returnRateLimits` hides."""
    async with (
        serve() as client,
        client.session.ws_connect("/ws-api/v3") as ws,
        client.session.ws_connect("/ws-api/v3?returnRateLimits=false") as quiet,
    ):
        placed = await _ask(ws, "v3/order.place", **signed_ws(**order(newClientOrderId="a/b:c")))
        told = [(each["rateLimitType"], each["count"]) for each in placed["rateLimits"]]
        assert told == [("ORDERS", 1), ("ORDERS", 1), ("REQUEST_WEIGHT", 1)]
        assert {"interval": "SECOND", "intervalNum": 10, "limit": 50}.items() <= placed[
            "rateLimits"
        ][0].items()
        assert "rateLimits" not in await _ask(ws, "ping", returnRateLimits=False)
        assert "rateLimits" not in await _ask(quiet, "ping")
        assert "rateLimits" in await _ask(quiet, "ping", returnRateLimits=True)


async def test_wait_that_is_a_date_is_told_in_the_body_too(serve: Any) -> None:
    async with serve() as client, client.session.ws_connect("/ws-api/v3") as ws:
        await client.impose("rate_limit", retry_after="9s", variant="date")
        data = (await _ask(ws, "time"))["error"]["data"]
        assert 9_000 <= data["retryAfter"] - data["serverTime"] <= 10_000


async def test_id_that_cannot_be_said_back_is_refused_and_the_connection_lives(serve: Any) -> None:
    async with serve() as client, client.session.ws_connect("/ws-api/v3") as ws:
        await ws.send_str('{"id": "\\ud800", "method": "ping"}')
        assert orjson.loads(await ws.receive_str())["error"]["code"] == -1135
        assert (await _ask(ws, "ping"))["status"] == 200


async def test_cancel_bears_the_name_that_its_client_gave_it_and_each_report_its_own_number(
    serve: Any, order: Any, signed_ws: Any
) -> None:
    """`c` and `I` of Binance's user-data-stream.md: client order id, and execution id."""
    async with serve() as client, client.session.ws_connect("/ws-api/v3") as ws:
        await _ask(ws, _SUBSCRIBE, **signed_ws())
        await client.good("POST", "order", **order(newClientOrderId="c1"))
        cancelled = await client.good(
            "DELETE", "order", symbol="BTCUSDT", orderId=1, newClientOrderId="never.mind"
        )
        assert cancelled["clientOrderId"] == "never.mind"
        events = [orjson.loads(await ws.receive_str())["event"] for _ in range(4)]
        placed, cancel = (each for each in events if each["e"] == "executionReport")
        assert (cancel["c"], cancel["C"]) == ("never.mind", "c1")
        assert placed["I"] < cancel["I"]
