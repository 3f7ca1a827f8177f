"""Limits as the whole engine keeps them: over a restart, and behind one address."""

from __future__ import annotations

import asyncio
import json

import pytest

from foxtrot.adapter.simulated import SimulatedAdapter
from foxtrot.server.engine import MainEngine
from foxtrot.util.circuit_breaker import CircuitState
from foxtrot.util.constants import Exchange
from foxtrot.util.errors import FoxtrotError, Outcome, RateLimitError
from foxtrot.util.object import SubscribeRequest
from harness.venue import Ban

REQUEST = SubscribeRequest(symbol="BTCUSDT", exchange=Exchange.BINANCE)


def engine_on(bench, **scopes):
    """A second engine on the bench's venue: an adapter by each name, with its scope."""
    engine = MainEngine(clock=bench.clock, order_prefix="second")
    for name, scope in scopes.items():
        engine.add_adapter(
            SimulatedAdapter,
            name,
            rate_limit_scope=scope,
            session=bench.link,
            exchange=Exchange.BINANCE,
            clock=bench.clock,
        )
    return engine


async def banned(bench, seconds=60.0):
    """ALPHA learns that it is banned. Returns until when."""
    until = bench.now + seconds
    bench.venue.impose("ban", Ban(until=until))
    with pytest.raises(RateLimitError):
        await bench.engine.query_account("ALPHA")
    return until


def test_restart_during_a_ban_sends_nothing_before_it_ends(play):
    """The new process has nothing but what the old one wrote down."""

    async def body(bench):
        until = await banned(bench)
        kept = json.dumps(bench.engine.snapshot())
        await bench.engine.close()
        left_at = bench.now
        again = engine_on(bench, ALPHA=None)
        again.restore(json.loads(kept))
        await again.subscribe([REQUEST], "ALPHA")
        connecting = asyncio.create_task(again.connect("ALPHA"))
        with pytest.raises(RateLimitError) as caught:
            await again.query_account("ALPHA")
        assert caught.value.outcome is Outcome.NOT_SENT
        await connecting
        assert [t for t, _ in bench.sent() if left_at < t < until] == []
        assert [t for t, outcome in bench.opened() if left_at < t < until] == []
        assert again.is_ready("ALPHA")
        await again.close()

    play(body)


def test_restart_keeps_new_orders_waiting_that_were_too_many(play):
    async def body(bench):
        refusal = RateLimitError("ALPHA", 60.0)
        bench.connection.guard.order_gate.hold(refusal)
        again = engine_on(bench, ALPHA=None)
        again.restore(json.loads(json.dumps(bench.engine.snapshot())))
        guard = again.connections["ALPHA"].guard
        assert (guard.order_gate.wait, guard.gate.wait) == (60.25, 0.0)

    play(body)


def test_restart_keeps_an_open_breaker_open(play, tools):
    async def body(bench):
        bench.link.rules["down"] = tools.Rule(sending=lambda _r: tools.Fail(tools.refused))
        with pytest.raises(FoxtrotError):
            await bench.engine.query_account("ALPHA")
        again = engine_on(bench, ALPHA=None)
        again.restore(json.loads(json.dumps(bench.engine.snapshot())))
        states = {
            lane.value: breaker.state
            for lane, breaker in again.connections["ALPHA"].guard.breakers.items()
        }
        assert states.pop("queries") is CircuitState.OPEN
        assert set(states.values()) == {CircuitState.CLOSED}
        bench.link.rules.clear()

    play(body)


def test_snapshot_of_what_was_not_added_is_refused(play):
    """Restored too early it would be lost without a word, and the ban with it."""

    async def body(bench):
        data = bench.engine.snapshot()
        with pytest.raises(LookupError, match="add its adapter before"):
            MainEngine(clock=bench.clock).restore(data)

    play(body)


def test_nothing_is_taken_over_of_a_snapshot_of_more_than_was_added(play):
    async def body(bench):
        (scope,) = bench.engine.gates
        until = bench.clock.wall().timestamp() + 60.0
        closed = {"until": until, "remaining": 60.0}
        banned = {**bench.engine.snapshot()["gates"][scope], "closed": closed}
        data = {"version": 1, "gates": {scope: banned}, "adapters": {"OTHER": {}}}
        with pytest.raises(LookupError, match="OTHER"):
            bench.engine.restore(data)
        assert bench.engine.gates[scope].wait == 0.0
        bench.engine.restore({**data, "adapters": {}})
        assert bench.engine.gates[scope].wait == pytest.approx(60.0)

    play(body)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"version": 2},
        {"version": 1},
        {"version": 1, "gates": [], "adapters": {}},
        {"version": 1, "gates": {"ALPHA": None}, "adapters": {}},
        {"version": 1, "gates": {}, "adapters": {"ALPHA": {"orders": "open"}}},
        None,
        [],
    ],
)
def test_what_is_no_snapshot_of_an_engine_is_refused(data):
    with pytest.raises(ValueError, match="expected a snapshot"):
        MainEngine().restore(data)


def test_adapters_of_one_scope_are_quiet_together_and_no_other_is(play):
    async def body(bench):
        engine = engine_on(bench, SPOT="exchange", FUTURES="exchange", OTHER=None)
        until = bench.now + 30.0
        bench.venue.impose("ban", Ban(until=until))
        with pytest.raises(RateLimitError):
            await engine.query_account("SPOT")
        bench.venue.lift("ban")
        sent = len(bench.sent("account"))
        with pytest.raises(RateLimitError) as caught:
            await engine.query_account("FUTURES")
        assert caught.value.adapter_name == "FUTURES"
        assert len(bench.sent("account")) == sent
        assert await engine.query_account("OTHER")
        assert engine.snapshot()["gates"].keys() == {"exchange", "OTHER"}
        await engine.close()

    play(body)


@pytest.mark.parametrize("is_restarted", [False, True])
def test_adapter_asks_the_gate_before_each_request_of_one_call(play, is_restarted):
    """A look-up may take two, and what closes the gate comes from anywhere."""

    async def body(bench):
        if is_restarted:
            await bench.connection.restart()
        sent = len(bench.sent())
        bench.connection.guard.gate.hold(RateLimitError("ALPHA", 60.0))
        with pytest.raises(RateLimitError) as caught:
            await bench.connection.adapter.query_account()
        assert caught.value.outcome is Outcome.NOT_SENT
        assert caught.value.context["gate"] == "closed"
        assert len(bench.sent()) == sent

    play(body)
