"""The description says what is served, and is served itself."""

from __future__ import annotations

from typing import Any

import pytest

from harness.wire.openapi import openapi
from harness.wire.server import ENDPOINTS


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
