"""Faults by hand: by whom, which, and how they end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harness.scenario import FaultSpec, Scenario
from harness.units import Mistake
from harness.wire.admin import _is_loopback
from harness.wire.conductor import NOT_SERVED, SERVED, read_fault


@pytest.mark.asyncio
@pytest.mark.parametrize("token", ["", "wrong", "test-token-71c", "test-token-71c2x"])
async def test_who_has_no_token_learns_nothing(serve: Any, token: str) -> None:
    async with serve() as client:
        for verb, path in (
            ("GET", "faults"), ("POST", "faults"), ("DELETE", "faults"), ("GET", "ledger"),
        ):  # fmt: skip
            answer = await client.admin(verb, path, {"kind": "refuse"}, token=token)
            assert answer == (404, {"code": 404, "msg": "Not Found"})
        assert client.server.front.rules == {}


@pytest.mark.asyncio
async def test_without_a_token_there_is_no_admin_endpoint(serve: Any) -> None:
    async with serve(admin_token=None) as client:
        assert (await client.admin("GET", "faults", token=""))[0] == 404


def test_only_addresses_of_this_machine_are_loopback() -> None:
    assert [_is_loopback(each) for each in ("127.0.0.1", "::1", "127.8.8.8")] == [True] * 3
    assert not any(_is_loopback(each) for each in ("10.0.0.1", "::ffff:8.8.8.8", "", None, "x"))


@pytest.mark.asyncio
async def test_faults_are_imposed_listed_and_lifted(serve: Any) -> None:
    async with serve() as client:
        first = await client.impose("rate_limit", retry_after="5s")
        second = await client.impose("latency", delay="0s", jitter="0s")
        _, listed = await client.admin("GET", "faults")
        assert [(each["id"], each["kind"]) for each in listed["imposed"]] == [
            (first, "rate_limit"),
            (second, "latency"),
        ]
        assert set(listed["catalogue"]) == set(SERVED)
        assert (await client.public("time"))[0] == 429
        assert await client.admin("DELETE", f"faults/{first}") == (200, {"id": first})
        assert (await client.public("time"))[0] == 200
        assert (await client.admin("DELETE", f"faults/{first}"))[0] == 404
        assert await client.admin("DELETE", "faults") == (200, {"lifted": [second]})
        assert client.server.front.rules == {}


@pytest.mark.asyncio
async def test_ledger_tells_what_is_true(serve: Any, order: Any) -> None:
    async with serve() as client:
        await client.good("POST", "order", **order(newClientOrderId="c1"))
        status, ledger = await client.admin("GET", "ledger")
        assert status == 200
        assert [each["client_id"] for each in ledger["orders"]["main"]] == ["c1"]


@pytest.mark.asyncio
async def test_fault_that_makes_no_sense_is_refused_with_what_would(serve: Any) -> None:
    async with serve() as client:
        status, body = await client.admin("POST", "faults", {"kind": "rate_limti"})
        assert status == 400
        assert body["error"].startswith("expected kind to be one of ack_lost, ")
        status, body = await client.admin("POST", "faults", [1])
        assert (status, body["error"]) == (400, "expected a JSON object with a kind")


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"kind": ["rate_limit"]},
        {"kind": "clock_jump"},
        {"kind": "rate_limit", "variant": "weekly"},
        {"kind": "rate_limit", "variant": {"a": 1}},
        {"kind": "rate_limit", "operation": "order.eat"},
        {"kind": "rate_limit", "retry_after": 5},
        {"kind": "rate_limit", "retry": "5s"},
        {"kind": "rate_limit", "for": "soon"},
        {"kind": "rate_limit", "probability": 2},
        {"kind": "rate_limit", "venue": "OTHER"},
        {"kind": "rate_limit", "at": "5s"},
    ],
)
def test_fault_that_is_wrong_is_a_mistake_and_nothing_else(raw: dict[str, Any]) -> None:
    with pytest.raises(Mistake):
        read_fault(raw, "ALPHA")


def test_fault_lasts_a_day_or_as_told_or_an_instant() -> None:
    assert read_fault({"kind": "refuse"}, "ALPHA")[1] == 86_400.0
    assert read_fault({"kind": "refuse", "for": "2s"}, "ALPHA")[1] == 2.0
    assert read_fault({"kind": "disconnect"}, "ALPHA")[1] == 0.0


def test_every_kind_that_is_served_can_be_imposed_by_its_name_alone() -> None:
    for name in SERVED:
        assert read_fault({"kind": name}, "ALPHA")[0].kind == name
    assert not NOT_SERVED & set(SERVED)


@pytest.mark.asyncio
async def test_fault_of_the_schedule_that_was_lifted_does_not_come(serve: Any) -> None:
    """It came all the same, was in no list, and could not be lifted any more."""
    fault = FaultSpec.model_validate(
        {"kind": "rate_limit", "venue": "A", "at": "100ms", "for": "30s"}
    )
    scenario = Scenario.model_validate(
        {
            "scenario": "story",
            "proves": "that what is lifted stays away",
            "duration": "60s",
            "venues": [{"name": "A", "profile": "binance", "symbols": {"BTCUSDT": {"price": 5e4}}}],
            "faults": [fault],
        }
    )
    async with serve(scenario=scenario) as client:
        assert await client.admin("DELETE", "faults") == (200, {"lifted": ["F1"]})
        await asyncio.sleep(0.15)
        assert (await client.public("time"))[0] == 200
        assert not client.server.conductor._tasks
