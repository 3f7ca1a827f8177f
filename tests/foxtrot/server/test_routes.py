"""A standby takes over, doubles no order, and hands back."""

from __future__ import annotations

import asyncio

import pytest

from foxtrot.adapter.session import Operation
from foxtrot.server.engine import AdapterSwitched
from foxtrot.server.executor import EngineExecutor
from foxtrot.util.constants import Status
from foxtrot.util.errors import AdapterConnectionError, FoxtrotError, OrderRejectionError
from foxtrot.util.event import EVENT_ORDER
from foxtrot.util.recovery import RecoveryAction


def down(bench, tools):
    bench.link.rules["down"] = tools.Rule(
        sending=lambda _r: tools.Fail(tools.refused), opening=lambda _c: tools.Fail(tools.refused)
    )
    bench.link.drop(tools.reset, code=1006, outcome="reset")


async def until(bench, condition):
    while not condition():
        await bench.clock.sleep(0.1)


def switches(bench):
    return [e.standby for e in bench.events if isinstance(e, AdapterSwitched)]


def test_standby_takes_new_orders_and_hands_back(play, tools):
    """Under its own exchange; the failed adapter goes on being repaired meanwhile."""

    async def body(bench):
        await bench.engine.send_order(bench.order("before"), "ALPHA")
        shown = []
        down(bench, tools)
        await until(bench, lambda: bench.engine.routes.is_switched("ALPHA"))
        assert bench.now < 30.0
        bench.engine.event_engine.register(EVENT_ORDER, lambda e: shown.append(e.data.vt_symbol))
        assert await bench.engine.send_order(bench.order("during"), "ALPHA") == "BETA.during"
        assert shown == ["BTCUSDT.LOCAL"] * len(shown)
        cancelled = await bench.engine.cancel_order(bench.by_id("during"), "ALPHA")
        assert cancelled.status is Status.CANCELLED
        found = await bench.engine.query_order(bench.by_id("during"), "ALPHA")
        assert found.adapter_name == "BETA"
        bench.link.rules.clear()
        await until(bench, lambda: bench.engine.is_ready("ALPHA"))
        assert not bench.engine.routes.is_switched("ALPHA")
        assert await bench.engine.send_order(bench.order("after"), "ALPHA") == "ALPHA.after"

    bench = play(body, standby=True)
    assert switches(bench) == ["BETA", None]
    assert [each[0] for each in bench.booked("ALPHA")] == ["before", "after"]
    assert [each[0] for each in bench.booked("BETA")] == ["during"]
    assert bench.alerts == []


def test_intent_stays_where_it_was_sent_first(play, tools):
    """UNKNOWN at the failed adapter: the same intent does not come into being at the standby."""

    async def body(bench):
        bench.link.rules["ack"] = tools.Rule(
            replying=tools.on(Operation.PLACE_ORDER, tools.Fail(tools.reset)),
            framing=lambda *_: tools.Hang(),
        )
        await bench.engine.send_order(bench.order("o1", price=0), "ALPHA")
        assert bench.status("o1") == "UNKNOWN"
        down(bench, tools)
        await until(bench, lambda: bench.engine.routes.is_switched("ALPHA"))
        with pytest.raises(OrderRejectionError, match="used before"):
            await bench.engine.send_order(bench.order("o1", price=0), "ALPHA")
        assert bench.status("o1") == "UNKNOWN"
        bench.link.rules.clear()
        await until(bench, lambda: bench.engine.is_ready("ALPHA"))
        assert bench.status("o1") == "ALLTRADED"

    bench = play(body, standby=True)
    assert bench.booked("BETA") == []
    assert bench.position("ALPHA") == (0.01, 0.01)


def test_intent_of_the_standby_is_not_sent_again_after_the_hand_back(play, tools):
    async def body(bench):
        down(bench, tools)
        await until(bench, lambda: bench.engine.routes.is_switched("ALPHA"))
        await bench.engine.send_order(bench.order("o1", price=0), "ALPHA")
        bench.link.rules.clear()
        await until(bench, lambda: bench.engine.is_ready("ALPHA"))
        with pytest.raises(OrderRejectionError, match="used before"):
            await bench.engine.send_order(bench.order("o1", price=0), "ALPHA")

    bench = play(body, standby=True)
    assert bench.booked("ALPHA") == []


def test_standby_that_is_not_ready_is_not_switched_to(play, tools):
    async def body(bench):
        for link in bench.links.values():
            link.rules["down"] = tools.Rule(
                sending=lambda _r: tools.Fail(tools.refused),
                opening=lambda _c: tools.Fail(tools.refused),
            )
            link.drop(tools.reset, code=1006, outcome="reset")
        await bench.clock.sleep(60)
        assert not bench.engine.routes.is_switched("ALPHA")
        for link in bench.links.values():
            link.rules.clear()
        await until(bench, lambda: bench.engine.is_ready("ALPHA"))

    assert switches(play(body, standby=True)) == []


def test_standby_that_does_not_verify_hands_back_at_once(play, tools):
    """It looked ready, and is not: no orders for it."""

    async def body(bench):
        bench.links["BETA"].rules["hole"] = tools.Rule(pinging=lambda _c: tools.Hang())
        executor = EngineExecutor(bench.engine, bench.clock)
        error = AdapterConnectionError("ALPHA", "reset")
        assert executor.supports(RecoveryAction.SWITCH_ADAPTER, error)
        await executor.perform(RecoveryAction.SWITCH_ADAPTER, error)
        assert not executor.supports(RecoveryAction.SWITCH_ADAPTER, error)
        with pytest.raises(TimeoutError):
            await executor.verify(RecoveryAction.SWITCH_ADAPTER, error)
        bench.links["BETA"].rules.clear()

    assert switches(play(body, standby=True)) == ["BETA", None]


def test_standby_that_went_away_cannot_be_switched_to(play):
    async def body(bench):
        bench.engine.connections["BETA"].ready = False
        executor = EngineExecutor(bench.engine, bench.clock)
        error = AdapterConnectionError("ALPHA", "reset")
        assert not executor.supports(RecoveryAction.SWITCH_ADAPTER, error)
        with pytest.raises(FoxtrotError, match="no standby is ready"):
            await executor.perform(RecoveryAction.SWITCH_ADAPTER, error)

    play(body, standby=True)


def test_outage_of_one_adapter_touches_no_other(play, tools):
    async def body(bench):
        down(bench, tools)
        sends = [bench.engine.send_order(bench.order(f"b{n}"), "BETA") for n in range(5)]
        before = bench.now
        assert await asyncio.gather(*sends) == [f"BETA.b{n}" for n in range(5)]
        assert bench.now - before < 0.1
        bench.link.rules.clear()
        await until(bench, lambda: bench.engine.is_ready("ALPHA"))

    bench = play(body, standby=True)
    opened = [d for _, kind, _, _, d in bench.notes.lines if kind == "link.open"]
    assert [d["adapter"] for d in opened].count("BETA") == 1
