"""The description says what is served, and is served itself."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any
from urllib.parse import urlencode

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.wire.exchange import Endpoint
from harness.wire.openapi import openapi
from harness.wire.params import PATTERNS, Param
from harness.wire.schemas import BODIES
from harness.wire.server import ENDPOINTS

DESCRIPTION = openapi(ENDPOINTS)


def schema_of(endpoint: Endpoint, status: int) -> Any:
    """The schema of a body; a status that the description has not is an error."""
    operation = DESCRIPTION["paths"][endpoint.path][endpoint.verb.lower()]
    schema = operation["responses"][str(status)]["content"]["application/json"]["schema"]
    return {**schema, "components": DESCRIPTION["components"]}


def check(endpoint: Endpoint, status: int, body: Any) -> None:
    validator = jsonschema.Draft202012Validator(schema_of(endpoint, status))
    errors = [f"{each.json_path}: {each.message[:200]}" for each in validator.iter_errors(body)]
    assert errors == [], (endpoint.method, status, body)


def test_description_has_every_endpoint_with_its_parameters() -> None:
    paths = openapi(ENDPOINTS)["paths"]
    described = {(verb.upper(), path) for path, verbs in paths.items() for verb in verbs}
    assert described == {(each.verb, each.path) for each in ENDPOINTS}
    order = paths["/api/v3/order"]["post"]
    names = {each["name"]: each["required"] for each in order["parameters"]}
    assert names["symbol"]
    assert names["signature"]
    assert not names["price"]
    assert order["security"] == [{"key": []}]
    assert paths["/api/v3/time"]["get"]["security"] == []


def test_no_method_or_operation_is_there_twice() -> None:
    assert len({each.method for each in ENDPOINTS}) == len(ENDPOINTS)
    assert len({(each.verb, each.path) for each in ENDPOINTS}) == len(ENDPOINTS)


@pytest.mark.asyncio
async def test_description_is_served(serve: Any) -> None:
    async with serve() as client, client.session.get("/openapi.json") as response:
        assert (await response.json())["servers"] == [{"url": client.server.url}]


def test_every_endpoint_says_what_it_answers_in_schemas_that_are_some() -> None:
    assert set(BODIES) == {each.method for each in ENDPOINTS}
    for endpoint in ENDPOINTS:
        for status in (200, 400):
            jsonschema.Draft202012Validator.check_schema(schema_of(endpoint, status))


@pytest.mark.asyncio
async def test_every_answer_is_what_the_description_says(
    serve: Any, order: Any, wait_until: Any
) -> None:
    """Each endpoint on its good path, with something in what it answers."""
    market = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"}
    asked = [
        ("order.place", order(newClientOrderId="full")),
        ("order.place", order(newOrderRespType="RESULT")),
        ("order.place", order(newOrderRespType="ACK")),
        ("order.place", market),
        ("order.test", market),
        ("order.status", {"symbol": "BTCUSDT", "origClientOrderId": "full"}),
        ("openOrders.status", {}),
        ("allOrders", {"symbol": "BTCUSDT"}),
        ("myTrades", {"symbol": "BTCUSDT"}),
        ("account.status", {}),
        ("order.cancel", {"symbol": "BTCUSDT", "origClientOrderId": "full"}),
        ("openOrders.cancelAll", {"symbol": "BTCUSDT"}),
        *((each, {}) for each in ("ping", "time", "exchangeInfo")),
        *((f"ticker.{each}", {}) for each in ("24hr", "book", "price")),
        *((f"ticker.{each}", {"symbol": "BTCUSDT"}) for each in ("24hr", "book", "price")),
        *((each, {"symbol": "BTCUSDT"}) for each in ("depth", "trades.recent", "trades.aggregate")),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m"}),
    ]
    endpoints = {each.method: each for each in ENDPOINTS}
    assert {method for method, _ in asked} == set(endpoints)
    async with serve() as client:
        view = client.server._exchange.market.symbols["BTCUSDT"]
        await wait_until(lambda: view.count > 3)
        for method, params in asked:
            endpoint = endpoints[method]
            ask = client.signed if endpoint.is_signed else _unsigned(client)
            status, body = await ask(
                endpoint.verb, endpoint.path.removeprefix("/api/v3/"), **params
            )
            assert status == 200, (method, body)
            assert body or method in {"ping", "order.test"}, method
            check(endpoint, status, body)


def _unsigned(client: Any) -> Any:
    async def ask(_verb: str, path: str, **params: Any) -> tuple[int, Any]:
        return await client.public(path, **params)

    return ask


_LIKELY = {
    "symbol": ("BTCUSDT", "ETHUSDT", "NOPE"),
    "symbols": ('["BTCUSDT"]', "[]"),
    "quantity": ("0.001", "0.5", "0"),
    "price": ("30000.00", "60000.00", "90000"),
    "orderId": ("1", "2", "99"),
    "origClientOrderId": ("c1", "c2"),
    "newClientOrderId": ("c1", "c2"),
    "limit": ("1", "5", "0"),
    "recvWindow": ("5000", "60001"),
    "fromId": ("1", "0"),
}


def _values(param: Param) -> st.SearchStrategy[str]:
    if param.choices:
        return st.sampled_from(param.choices)
    by_rule = st.from_regex(PATTERNS[param.kind], fullmatch=True)
    likely = _LIKELY.get(param.name)
    return st.sampled_from(likely) | by_rule if likely else by_rule


_LIMIT_ORDER = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.001",
    "price": "30000.00",
}
_BY_ID = {"symbol": "BTCUSDT", "origClientOrderId": "c1"}
#: What leads to a good answer where chance seldom would.
_GOOD = {
    "order.place": _LIMIT_ORDER,
    "order.test": _LIMIT_ORDER,
    "order.status": _BY_ID,
    "order.cancel": _BY_ID,
    "openOrders.cancelAll": {"symbol": "BTCUSDT"},
    "ticker.price": {},
}


def _requests(endpoint: Endpoint) -> st.SearchStrategy[tuple[Endpoint, dict[str, str]]]:
    """A request as the description has it; time and signature are put to it when it is sent."""
    params = [each for each in endpoint.all_params if each.name not in {"timestamp", "signature"}]
    drawn = st.fixed_dictionaries(
        {each.name: _values(each) for each in params if each.required},
        optional={each.name: _values(each) for each in params if not each.required},
    )
    good = _GOOD.get(endpoint.method)
    if good is not None:
        some = st.fixed_dictionaries({}, optional={each.name: _values(each) for each in params})
        drawn = st.just(good) | some.map(lambda changes: {**good, **changes}) | drawn
    return drawn.map(lambda params: (endpoint, params))


def test_any_request_of_the_description_rightly_signed_gets_an_answer_of_the_description(
    serve: Any,
) -> None:
    """Good and bad paths: what comes back has a status and a body that were announced."""
    seen: Counter[tuple[str, bool]] = Counter()

    async def ask_all(requests: list[tuple[Endpoint, dict[str, str]]]) -> None:
        async with serve() as client:
            await client.good("POST", "order", **_LIMIT_ORDER, newClientOrderId="c1")
            for endpoint, params in requests:
                stamp = {"timestamp": round(time.time() * 1000)} if endpoint.is_signed else {}
                query = client.query(**params, **stamp) if stamp else urlencode(params)
                path = endpoint.path.removeprefix("/api/v3/")
                reply = await client.raw(endpoint.verb, path, query)
                check(endpoint, reply.status, reply.json())
                seen[endpoint.method, reply.status == 200] += 1

    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.lists(st.sampled_from(ENDPOINTS).flatmap(_requests), min_size=10, max_size=25))
    def run(requests: list[tuple[Endpoint, dict[str, str]]]) -> None:
        asyncio.run(ask_all(requests))

    run()
    reached = {method for method, is_good in seen if is_good}
    assert reached == set(BODIES), "not one good answer"
