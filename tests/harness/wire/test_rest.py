"""The REST endpoints: what they answer, what they refuse, and what they cost."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from harness.venue import FillFirst

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


async def test_answer_to_an_order_that_only_rests_is_short_unless_it_asks_for_more(
    serve: Any, order: Any
) -> None:
    """Binance's rest-api.md: MARKET and LIMIT default to FULL, all others to ACK."""
    async with serve() as client:
        maker = order(type="LIMIT_MAKER", timeInForce="")
        short = await client.good("POST", "order", **maker)
        assert set(short) == {
            "symbol", "orderId", "orderListId", "clientOrderId", "transactTime",
        }  # fmt: skip
        assert "fills" in await client.good("POST", "order", **maker, newOrderRespType="FULL")


async def test_order_that_is_named_twice_must_be_the_same(serve: Any, order: Any) -> None:
    """Binance's rest-api.md: or the request is rejected; by -2039 where it asks (errors.md)."""
    async with serve() as client:
        for name in ("a", "b"):
            await client.good("POST", "order", **order(newClientOrderId=name))
        wrong = {"symbol": "BTCUSDT", "orderId": 1, "origClientOrderId": "b"}
        status, body = await client.signed("GET", "order", **wrong)
        assert (status, body["code"]) == (400, -2039)
        status, body = await client.signed("DELETE", "order", **wrong)
        assert (status, body["code"]) == (400, -2011)
        assert len(await client.good("GET", "openOrders")) == 2
        status, body = await client.signed("GET", "order", **wrong | {"orderId": 3})
        assert (status, body["code"]) == (400, -2013)  # there is none whose id could be another
        right = {**wrong, "origClientOrderId": "a"}
        assert (await client.good("GET", "order", **right))["orderId"] == 1
        assert (await client.good("DELETE", "order", **right))["orderId"] == 1


async def test_cancel_that_is_restricted_to_a_state_leaves_orders_in_another(
    serve: Any, order: Any
) -> None:
    async with serve() as client:
        await client.good("POST", "order", **order(newClientOrderId="a"))
        which = {"symbol": "BTCUSDT", "origClientOrderId": "a"}
        status, body = await client.signed(
            "DELETE", "order", **which, cancelRestrictions="ONLY_PARTIALLY_FILLED"
        )
        message = "Order was not canceled due to cancel restrictions."
        assert (status, body) == (400, {"code": -2011, "msg": message})
        status, body = await client.signed("DELETE", "order", **which, cancelRestrictions="NEW")
        assert (status, body["code"]) == (400, -1145)
        await client.good("DELETE", "order", **which, cancelRestrictions="ONLY_NEW")
        status, body = await client.signed(
            "DELETE", "order", **which, cancelRestrictions="ONLY_NEW"
        )
        assert (status, body["msg"]) == (400, "Unknown order sent.")


async def test_all_open_orders_are_cancelled_but_the_one_that_was_just_filled(
    serve: Any, order: Any
) -> None:
    """The first that was filled ended it, and the rest stayed in the book."""
    async with serve() as client:
        for _ in range(3):
            await client.good("POST", "order", **order())
        client.server.venue.impose("F", FillFirst(count=1))
        cancelled = await client.good("DELETE", "openOrders", symbol="BTCUSDT")
        assert [each["orderId"] for each in cancelled] == [2, 3]
        rows = client.server.venue.ledger.orders()["main"]
        assert [row["status"] for row in rows] == ["FILLED", "CANCELED", "CANCELED"]


async def test_cancel_of_all_happens_at_once_also_when_nobody_waits_for_it_any_more(
    serve: Any, order: Any, wait_until: Any
) -> None:
    """It was one request after the other: who gave up on the first had cancelled nothing."""
    async with serve() as client:
        for _ in range(3):
            await client.good("POST", "order", **order())
        await client.impose("latency", delay="100ms", jitter="0s")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.signed("DELETE", "openOrders", symbol="BTCUSDT"), 0.05)
        account = client.server.venue.ledger.account_of("test-key")
        assert len(account.open_orders) == 3
        await wait_until(lambda: len(account.open_orders) < 3)
        assert account.open_orders == {}


async def test_lists_begin_where_they_are_asked_to(serve: Any, wait_until: Any) -> None:
    """From the oldest where a beginning is named, be it 0 or in microseconds (rest-api.md)."""
    async with serve() as client:
        before = time.time_ns() // 1000
        for _ in range(3):
            await client.good(
                "POST", "order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.001"
            )
        after = round(time.time() * 1000) + 60_000  # the server's clock is the real one
        view = client.server._exchange.market.symbols["BTCUSDT"]
        await wait_until(lambda: view.count > 3)

        async def first(path: str, key: str, **params: Any) -> list[int]:
            rows = await client.good("GET", path, symbol="BTCUSDT", limit=1, **params)
            return [row[key] for row in rows]

        for start in ({"startTime": 0}, {"startTime": before}, {"startTime": before // 1000 - 1}):
            assert await first("allOrders", "orderId", **start) == [1]
            assert await first("myTrades", "orderId", **start) == [1]
        for start in ({"startTime": 0}, {"fromId": 0}):
            assert await first("aggTrades", "a", **start) == [1]
        assert await first("allOrders", "orderId", orderId=0) == [1]
        assert await first("myTrades", "orderId", fromId=0) == [1]
        assert await first("myTrades", "orderId", fromId=10**19 - 1) == []
        assert await first("allOrders", "orderId") == [3]
        assert await first("allOrders", "orderId", startTime=after) == []
        assert await first("allOrders", "orderId", endTime=before // 1000 - 60_000) == []


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("myTrades", {"fromId": 1, "startTime": 1}, -1128),
        ("myTrades", {"orderId": 1, "endTime": 1}, -1128),
        ("myTrades", {"startTime": 1, "endTime": 86_400_002}, -1127),
        ("allOrders", {"startTime": 1, "endTime": 86_400_002}, -1127),
    ],
)
async def test_parameters_that_do_not_go_together_are_refused(
    serve: Any, path: str, params: dict[str, int], code: int
) -> None:
    async with serve() as client:
        status, body = await client.signed("GET", path, symbol="BTCUSDT", **params)
        assert (status, body["code"]) == (400, code)


async def test_body_of_a_get_is_not_read(serve: Any) -> None:
    """Binance's rest-api.md: its parameters must be sent as a query string."""
    async with (
        serve() as client,
        client.session.get(
            "/api/v3/account", data=client.query(), headers={"X-MBX-APIKEY": "test-key"}
        ) as response,
    ):
        assert (response.status, (await response.json())["code"]) == (400, -1102)


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
        ({"price": "30000.0000000001"}, -1111, "Parameter 'price' has too much precision."),
        ({"stopPrice": "29000"}, -1106, "Parameter 'stopPrice' sent when not required."),
        ({"trailingDelta": "100"}, -1106, "Parameter 'trailingDelta' sent when not required."),
        ({"quoteOrderQty": "60"}, -1106, "Parameter 'quoteOrderQty' sent when not required."),
        ({"type": "MARKET", "timeInForce": ""}, -1106, "Parameter 'price' sent when not"),
        ({"icebergQty": "0.0005"}, -2010, "Iceberg orders are not supported for this symbol."),
        ({"pegPriceType": "PRIMARY_PEG"}, -2010, "Pegged orders are not supported for this symbol"),
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


async def test_lists_of_one_symbol_or_order_cost_less(serve: Any) -> None:
    async with serve() as client:
        used = 0
        for path, params, weight in (
            ("openOrders", {}, 80),
            ("openOrders", {"symbol": "BTCUSDT"}, 6),
            ("myTrades", {"symbol": "BTCUSDT"}, 20),
            ("myTrades", {"symbol": "BTCUSDT", "orderId": "1"}, 5),
        ):
            response = await client.raw("GET", path, client.query(**params))
            used += weight
            assert response.headers["X-MBX-USED-WEIGHT-1M"] == str(used)


async def test_requests_that_the_front_refuses_cost_too(serve: Any) -> None:
    """Or a client could knock for ever with what cannot be read."""
    async with serve() as client:
        for _ in range(3):
            await client.raw("GET", "ticker/price", "symbol=NONE")
        response = await client.raw("GET", "ping", "")
        assert response.headers["X-MBX-USED-WEIGHT-1M"] == "4"


async def test_who_asks_too_much_is_told_to_wait(serve: Any) -> None:
    async with serve() as client:
        for _ in range(76):
            response = await client.raw("GET", "openOrders", client.query())
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
            "ticker/24hr": {"symbols": '["BTCUSDT","BTCUSDT"]'},
            "trades": {},
        }
        answers = {path: await client.public(path, **params) for path, params in codes.items()}
        assert {path: (status, body["code"]) for path, (status, body) in answers.items()} == {
            "klines": (400, -1120),
            "depth": (400, -1130),
            "ticker/price": (400, -1100),
            "ticker/24hr": (400, -1151),
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
