"""The REST endpoints: what they answer, what they refuse, and what they cost."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytestmark = pytest.mark.asyncio


async def test_order_that_rests_is_shown_as_binance_shows_it(serve: Any, order: Any) -> None:
    async with serve() as client:
        placed = await client.good("POST", "order", **order(newClientOrderId="c1"))
        moment = placed.pop("transactTime")
        assert abs(moment - time.time() * 1000) < 5_000
        assert placed.pop("workingTime") == moment
        assert placed == {
            "symbol": "BTCUSDT",
            "orderId": 1,
            "orderListId": -1,
            "clientOrderId": "c1",
            "price": "30000.00000000",
            "origQty": "0.00100000",
            "executedQty": "0.00000000",
            "origQuoteOrderQty": "0.00000000",
            "cummulativeQuoteQty": "0.00000000",
            "status": "NEW",
            "timeInForce": "GTC",
            "type": "LIMIT",
            "side": "BUY",
            "selfTradePreventionMode": "NONE",
            "fills": [],
        }
        found = await client.good("GET", "order", symbol="BTCUSDT", orderId=1)
        assert (found["status"], found["time"], found["isWorking"]) == ("NEW", moment, True)
        assert await client.good("GET", "openOrders") == [found]
        assert await client.good("GET", "openOrders", symbol="ETHUSDT") == []
        cancelled = await client.good("DELETE", "order", symbol="BTCUSDT", origClientOrderId="c1")
        assert (cancelled["status"], cancelled["origClientOrderId"]) == ("CANCELED", "c1")
        assert cancelled["clientOrderId"] != "c1"


async def test_market_order_fills_and_its_fills_add_up(serve: Any, order: Any) -> None:
    async with serve() as client:
        placed = await client.good(
            "POST", "order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.5"
        )
        fills = placed["fills"]
        assert placed["status"] == "FILLED"
        assert sum(float(fill["qty"]) for fill in fills) == pytest.approx(0.5)
        cost = sum(float(fill["qty"]) * float(fill["price"]) for fill in fills)
        assert float(placed["cummulativeQuoteQty"]) == pytest.approx(cost)
        trades = await client.good("GET", "myTrades", symbol="BTCUSDT")
        assert [t["id"] for t in trades] == [fill["tradeId"] for fill in fills]
        assert all(t["isBuyer"] and not t["isMaker"] for t in trades)
        later = await client.good("GET", "myTrades", symbol="BTCUSDT", fromId=trades[1]["id"])
        assert later == trades[1:]
        newest = await client.good("GET", "myTrades", symbol="BTCUSDT", limit=1)
        assert newest == trades[-1:]
        account = await client.good("GET", "account")
        held = {each["asset"]: each for each in account["balances"]}
        assert held["BTC"] == {"asset": "BTC", "free": "10000000.50000000", "locked": "0.00000000"}


@pytest.mark.parametrize(
    ("answer_type", "has_status", "has_fills"),
    [("ACK", False, False), ("RESULT", True, False), ("FULL", True, True)],
)
async def test_answer_is_as_long_as_asked(
    serve: Any, order: Any, answer_type: str, has_status: bool, has_fills: bool
) -> None:
    async with serve() as client:
        placed = await client.good("POST", "order", **order(newOrderRespType=answer_type))
        assert ("status" in placed, "fills" in placed) == (has_status, has_fills)


async def test_id_of_an_order_is_its_own_even_when_its_client_id_is_used_again(
    serve: Any, order: Any
) -> None:
    """Asking for, or cancelling, the first by number must never touch the second."""
    async with serve() as client:
        named = order(newClientOrderId="again")
        first = await client.good("POST", "order", **named)
        await client.good("DELETE", "order", symbol="BTCUSDT", orderId=first["orderId"])
        second = await client.good("POST", "order", **named)
        found = await client.good("GET", "order", symbol="BTCUSDT", orderId=first["orderId"])
        assert (found["orderId"], found["status"]) == (first["orderId"], "CANCELED")
        status, body = await client.signed(
            "DELETE", "order", symbol="BTCUSDT", orderId=first["orderId"]
        )
        assert (status, body["code"]) == (400, -2011)
        found = await client.good("GET", "order", symbol="BTCUSDT", orderId=second["orderId"])
        assert found["status"] == "NEW"
        listed = await client.good("GET", "allOrders", symbol="BTCUSDT")
        assert [each["status"] for each in listed] == ["CANCELED", "NEW"]


async def test_all_open_orders_are_cancelled_at_once(serve: Any, order: Any) -> None:
    async with serve() as client:
        for _ in range(3):
            await client.good("POST", "order", **order())
        cancelled = await client.good("DELETE", "openOrders", symbol="BTCUSDT")
        assert [each["status"] for each in cancelled] == ["CANCELED"] * 3
        status, body = await client.signed("DELETE", "openOrders", symbol="BTCUSDT")
        assert (status, body["code"]) == (400, -2011)


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"price": "30000.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"quantity": "0.000001"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0.00001"}, -1013, "Filter failure: NOTIONAL"),
        ({"quantity": "9000"}, -2010, "Account has insufficient balance for requested action."),
        ({"symbol": "XXX"}, -1121, "Invalid symbol."),
        ({"side": "HOLD"}, -1117, "Invalid side."),
        ({"type": "STOP_LOSS"}, -1116, "Invalid orderType."),
        ({"timeInForce": "GTX"}, -1115, "Invalid timeInForce."),
        ({"timeInForce": ""}, -1102, "Mandatory parameter 'timeInForce' was not sent"),
        ({"price": ""}, -1102, "Mandatory parameter 'price' was not sent"),
        ({"quantity": ""}, -1102, "Mandatory parameter 'quantity' was not sent"),
        ({"quantity": "1e3"}, -1100, "Illegal characters found in parameter 'quantity'"),
        ({"newClientOrderId": "ä"}, -1100, "Illegal characters found in parameter"),
        ({"recvWindow": "60001"}, -1131, "'recvWindow' must be less than 60000."),
        ({"timestamp": "1"}, -1021, "Timestamp for this request is outside of the recvWindow."),
        ({"type": "LIMIT_MAKER", "timeInForce": "", "price": "99999"}, -2010, "Order would imme"),
    ],
)
async def test_order_that_is_wrong_is_refused_and_leaves_no_trace(
    serve: Any, order: Any, changes: dict[str, str], code: int, message: str
) -> None:
    async with serve() as client:
        status, body = await client.signed("POST", "order", **order(**changes))
        assert (status, body["code"]) == (400, code)
        assert body["msg"].startswith(message)
        assert client.server.venue.ledger.orders() == {"main": []}


async def test_order_test_refuses_what_an_order_would_and_places_nothing(
    serve: Any, order: Any
) -> None:
    async with serve() as client:
        assert await client.good("POST", "order/test", **order(quantity="9000")) == {}
        status, body = await client.signed("POST", "order/test", **order(price="30000.001"))
        assert (status, body) == (400, {"code": -1013, "msg": "Filter failure: PRICE_FILTER"})
        assert client.server.venue.ledger.orders() == {"main": []}


@pytest.mark.parametrize(
    ("key", "tail", "status", "code"),
    [
        ("", "", 401, -2014),
        ("nobodys-key", "", 401, -2015),
        ("test-key", "0", 400, -1022),
    ],
)
async def test_request_with_a_wrong_key_or_signature_is_refused(
    serve: Any, key: str, tail: str, status: int, code: int
) -> None:
    async with serve() as client:
        response = await client.raw(
            "GET", "account", client.query() + tail, **{"X-MBX-APIKEY": key}
        )
        assert (response.status, response.json()["code"]) == (status, code)


async def test_signature_covers_the_bytes_as_they_were_sent(serve: Any) -> None:
    """A server that re-encodes the query before it checks would refuse this one."""
    from yarl import URL

    async with serve() as client:
        query = client.query(note="%2f~ é")  # urlencode writes it another way than URL would
        target = URL(f"{client.server.url}/api/v3/account?{query}", encoded=True)
        async with client.session.get(target, headers={"X-MBX-APIKEY": "test-key"}) as response:
            assert response.status == 200


async def test_used_weight_and_order_counts_are_told(serve: Any, order: Any) -> None:
    async with serve() as client:
        response = await client.raw("GET", "time", "")
        assert response.headers["X-MBX-USED-WEIGHT-1M"] == "1"
        response = await client.raw("POST", "order", client.query(**order()))
        assert response.headers["X-MBX-USED-WEIGHT-1M"] == "2"
        assert response.headers["X-MBX-ORDER-COUNT-10S"] == "1"
        assert response.headers["X-MBX-ORDER-COUNT-1D"] == "1"


async def test_requests_that_the_front_refuses_cost_too(serve: Any) -> None:
    """Or a client could knock for ever with what cannot be read."""
    async with serve() as client:
        for _ in range(3):
            await client.raw("GET", "ticker/price", "symbol=NONE")
        response = await client.raw("GET", "ping", "")
        assert response.headers["X-MBX-USED-WEIGHT-1M"] == "4"


async def test_who_asks_too_much_is_told_to_wait(serve: Any) -> None:
    async with serve() as client:
        for _ in range(61):
            response = await client.raw("GET", "exchangeInfo", "")
            if response.status != 200:
                break
        assert response.status == 429
        assert 0 < int(response.headers["Retry-After"]) <= 60
        assert response.json()["code"] == -1003


async def test_public_endpoints_refuse_what_they_do_not_know(serve: Any) -> None:
    async with serve() as client:
        codes = {
            "klines": {"symbol": "BTCUSDT", "interval": "2m"},
            "depth": {"symbol": "BTCUSDT", "limit": "0"},
            "ticker/price": {"symbols": "[1]"},
            "trades": {},
        }
        answers = {path: await client.public(path, **params) for path, params in codes.items()}
        assert {path: (status, body["code"]) for path, (status, body) in answers.items()} == {
            "klines": (400, -1120),
            "depth": (400, -1130),
            "ticker/price": (400, -1100),
            "trades": (400, -1102),
        }
        _, body = await client.public("ticker/price", symbols='["BTCUSDT","ETHUSDT"]')
        assert [each["symbol"] for each in body] == ["BTCUSDT", "ETHUSDT"]


async def test_clients_of_a_scaled_venue_stay_in_real_time(serve: Any, order: Any) -> None:
    async with serve(time_scale=50.0) as client:
        _, body = await client.public("time")
        assert abs(body["serverTime"] - time.time() * 1000) < 2_000
        placed = await client.good("POST", "order", **order())
        assert abs(placed["transactTime"] - time.time() * 1000) < 2_000
        await client.impose("rate_limit", retry_after="100s")
        response = await client.raw("GET", "time", "")
        assert (response.status, response.headers["Retry-After"]) == (429, "2")
