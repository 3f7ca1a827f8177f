"""A standby takes over, doubles no order, and hands back."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from foxtrot.adapter.session import Operation
from foxtrot.server.engine import AdapterSwitched, OrderMoved
from foxtrot.server.executor import EngineExecutor
from foxtrot.server.policy import Lane
from foxtrot.util.constants import Status
from foxtrot.util.errors import (
    AdapterConnectionError,
    FoxtrotError,
    MarketDataError,
    OrderRejectionError,
)
from foxtrot.util.event import EVENT_ORDER
from foxtrot.util.recovery import RecoveryAction
from harness.network import Delay
from harness.venue import Reject


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


def test_order_of_the_standby_is_found_there_though_higher_numbers_were_forgotten_here(play):
    """Of forgotten orders only the highest number is remembered, and all lower ones count as used.

    One that is forgotten is asked for where its number is used.
    """

    async def body(bench):
        bench.engine.switch("ALPHA", "BETA")
        assert await bench.engine.send_order(bench.order(), "ALPHA") == "BETA.e-1"
        bench.engine.switch("ALPHA", None)
        for _ in range(5):
            await bench.engine.send_order(bench.order(price=0), "ALPHA")
        found = await bench.engine.query_order(bench.by_id("e-1"), "ALPHA")
        assert found.vt_orderid == "BETA.e-1"
        cancelled = await bench.engine.cancel_order(bench.by_id("e-1"), "ALPHA")
        assert cancelled.status is Status.CANCELLED
        bench.engine.switch("ALPHA", "BETA")
        assert bench.engine.oms.order("ALPHA.e-2") is None
        found = await bench.engine.query_order(bench.by_id("e-2"), "ALPHA")
        assert found.vt_orderid == "ALPHA.e-2"

    bench = play(body, standby=True, finished_orders_kept=2)
    assert [order[:2] for order in bench.booked("BETA")] == [("e-1", "CANCELED")]


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
        with pytest.raises(AdapterConnectionError, match="TimeoutError"):
            await executor.verify(RecoveryAction.SWITCH_ADAPTER, error)
        bench.links["BETA"].rules.clear()

    assert switches(play(body, standby=True)) == ["BETA", None]


def test_standby_is_not_verified_by_ticks_from_before_the_switch(play, tools):
    async def body(bench):
        bench.links["BETA"].rules["mute"] = tools.Rule(framing=lambda *_: tools.Hang())
        executor = EngineExecutor(bench.engine, bench.clock)
        error = AdapterConnectionError("ALPHA", "reset")
        await executor.perform(RecoveryAction.SWITCH_ADAPTER, error)
        with pytest.raises(MarketDataError):
            await executor.verify(RecoveryAction.SWITCH_ADAPTER, error)
        assert not bench.engine.routes.is_switched("ALPHA")
        bench.links["BETA"].rules.clear()

    play(body, standby=True, heartbeat_interval=1000.0)


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


def moves(bench):
    return [
        (e.orderid, e.adapter_name, e.target) for e in bench.events if isinstance(e, OrderMoved)
    ]


def test_order_that_waits_when_the_switch_comes_goes_along(play, tools):
    """It never left: the standby may have it, at once, and under the same id."""

    async def body(bench):
        down(bench, tools)
        await bench.clock.sleep(0.1)
        sent = await bench.engine.send_order(bench.order("o1"), "ALPHA")
        assert sent == "BETA.o1"
        assert bench.engine.routes.is_switched("ALPHA")
        assert bench.status("o1") == "none"
        cancelled = await bench.engine.cancel_order(bench.by_id("o1"), "ALPHA")
        assert (cancelled.adapter_name, cancelled.status) == ("BETA", Status.CANCELLED)
        bench.link.rules.clear()
        await until(bench, lambda: bench.engine.is_ready("ALPHA"))

    bench = play(body, standby=True)
    assert moves(bench) == [("o1", "ALPHA", "BETA")]
    assert bench.sent("order.place") == []
    assert [each[0] for each in bench.booked("BETA")] == ["o1"]
    assert {vt_orderid for _, vt_orderid, _ in bench.published} == {"BETA.o1"}


def test_order_that_waits_at_a_closed_gate_goes_along(play):
    """A refusal for its rate proves that the venue has not got it."""

    async def body(bench):
        bench.venue.impose(
            "limit", Reject(code=-1003, message="Too many requests.", status=429, retry_after=15.0)
        )
        sending = asyncio.create_task(bench.engine.send_order(bench.order("o1"), "ALPHA"))
        await bench.clock.sleep(1.0)
        bench.engine.switch("ALPHA", "BETA")
        began = bench.now
        assert await sending == "BETA.o1"
        assert bench.now - began < 0.1
        assert bench.engine.oms.unsettled("ALPHA") == ()
        assert bench.engine.pipeline._sent == {}
        bench.venue.lift("limit")
        bench.engine.switch("ALPHA", None)

    bench = play(body, standby=True)
    assert len(bench.sent("order.place")) == 1
    assert bench.booked("ALPHA") == []


def test_order_that_was_shown_where_it_waited_is_shown_to_end_there(play, tools):
    """Whoever keeps a list of what is open would have it open for ever."""

    async def body(bench):
        bench.link.rules["r"] = tools.Rule(
            sending=tools.on(Operation.PLACE_ORDER, tools.Fail(tools.refused))
        )
        sending = asyncio.create_task(bench.engine.send_order(bench.order("o1"), "ALPHA"))
        await bench.clock.sleep(0.6)
        bench.engine.switch("ALPHA", "BETA")
        assert await sending == "BETA.o1"
        assert bench.status("o1") == "none"
        bench.engine.switch("ALPHA", None)

    bench = play(body, standby=True, cancel_on_close=False)
    assert [(vt_orderid, what) for _, vt_orderid, what in bench.published] == [
        ("ALPHA.o1", "SUBMITTING"),
        ("ALPHA.o1", "REJECTED"),
        ("BETA.o1", "SUBMITTING"),
        ("BETA.o1", "NOTTRADED"),
    ]


def test_order_that_was_shown_to_end_where_it_waited_does_not_come_back(play, tools):
    """It would come to life again there; it waits at the standby, as long as any other."""

    async def body(bench):
        bench.link.rules["r"] = tools.Rule(
            sending=tools.on(Operation.PLACE_ORDER, tools.Fail(tools.refused))
        )
        sending = asyncio.create_task(bench.engine.send_order(bench.order("o1"), "ALPHA"))
        await bench.clock.sleep(0.6)
        bench.link.rules.clear()
        bench.engine.connections["BETA"].ready = False
        bench.engine.switch("ALPHA", "BETA")
        await bench.clock.sleep(0.6)
        bench.engine.switch("ALPHA", None)
        await bench.clock.sleep(0.6)
        bench.engine.connections["BETA"].ready = True
        assert await sending == "BETA.o1"

    bench = play(body, standby=True)
    assert bench.booked("ALPHA") == []
    assert moves(bench) == [("o1", "ALPHA", "BETA")]


def test_order_that_is_refused_after_the_switch_goes_along(play, tools):
    """It was under way when the switch came, and waits only now."""

    async def body(bench):
        bench.link.rules["slow"] = tools.Rule(sending=tools.on(Operation.PLACE_ORDER, Delay(1.0)))
        bench.venue.impose(
            "limit", Reject(code=-1003, message="Too many requests.", status=429, retry_after=15.0)
        )
        sending = asyncio.create_task(bench.engine.send_order(bench.order("o1"), "ALPHA"))
        await bench.clock.sleep(0.5)
        bench.engine.switch("ALPHA", "BETA")
        began = bench.now
        assert await sending == "BETA.o1"
        assert bench.now - began < 1.0
        bench.venue.lift("limit")
        bench.engine.switch("ALPHA", None)

    bench = play(body, standby=True)
    assert moves(bench) == [("o1", "ALPHA", "BETA")]


def test_order_of_unknown_outcome_goes_nowhere(play, tools):
    """Neither while it is looked up nor when it is sent again: where it may be, there it stays."""

    async def body(bench):
        bench.link.rules["lost"] = tools.Rule(
            sending=tools.on(Operation.PLACE_ORDER, tools.Hang(), count=1)
        )
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        assert bench.status("o1") == "UNKNOWN"
        bench.connection.ready = False
        bench.engine.switch("ALPHA", "BETA")
        await until(bench, lambda: bench.engine.is_ready("ALPHA"))
        bench.engine.switch("ALPHA", "BETA")
        resent = len(bench.sent("order.place"))
        while len(bench.sent("order.place")) == resent:
            bench.engine.connections["ALPHA"].guard.stir()
            await bench.clock.sleep(0.1)
        await bench.clock.sleep(1.0)
        bench.engine.switch("ALPHA", None)
        assert bench.status("o1") == "NOTTRADED"

    bench = play(body, standby=True)
    assert bench.booked("BETA") == []
    assert moves(bench) == []


def test_order_that_showed_itself_while_it_waited_stays(play):
    """Whatever the refusal said: the venue has it."""

    async def body(bench):
        bench.venue.impose(
            "limit", Reject(code=-1003, message="Too many requests.", status=429, retry_after=5.0)
        )
        sending = asyncio.create_task(bench.engine.send_order(bench.order("o1"), "ALPHA"))
        await bench.clock.sleep(1.0)
        order = bench.engine.oms.order("ALPHA.o1")
        shown = replace(order, venue_orderid="7", status=Status.NOTTRADED)
        bench.engine.pipeline.apply_order(bench.connection, shown)
        bench.engine.switch("ALPHA", "BETA")
        assert await sending == "ALPHA.o1"
        bench.venue.lift("limit")
        bench.engine.switch("ALPHA", None)

    bench = play(body, standby=True)
    assert bench.booked("BETA") == []
    assert moves(bench) == []


def test_order_that_waits_at_the_standby_comes_back_with_the_hand_back(play):
    async def body(bench):
        bench.engine.switch("ALPHA", "BETA")
        bench.engine.connections["BETA"].ready = False
        sending = asyncio.create_task(bench.engine.send_order(bench.order("o1"), "ALPHA"))
        await bench.clock.sleep(0.3)
        bench.engine.switch("ALPHA", None)
        assert await sending == "ALPHA.o1"
        bench.engine.connections["BETA"].ready = True

    assert moves(play(body, standby=True)) == [("o1", "BETA", "ALPHA")]


def test_order_that_moved_has_no_more_time_than_any_other(play):
    async def body(bench):
        bench.connection.ready = bench.engine.connections["BETA"].ready = False
        began = bench.now
        sending = asyncio.create_task(bench.engine.send_order(bench.order("o1"), "ALPHA"))
        await bench.clock.sleep(4.0)
        bench.engine.switch("ALPHA", "BETA")
        with pytest.raises(FoxtrotError):
            await sending
        assert bench.now - began <= 6.0
        bench.engine.switch("ALPHA", None)

    deadlines = dict.fromkeys(Lane, 6.0)
    play(body, standby=True, deadlines=deadlines, heartbeat_interval=1000.0)


def test_adapter_that_was_given_up_gets_its_orders_back_once_it_shows_itself_well(play):
    """Even if it only was slow, and never broke."""

    async def body(bench):
        executor = EngineExecutor(bench.engine, bench.clock)
        error = AdapterConnectionError("ALPHA", "slow")
        await executor.perform(RecoveryAction.SWITCH_ADAPTER, error)
        assert bench.engine.routes.is_switched("ALPHA")
        await bench.clock.sleep(10.0)
        assert not bench.engine.routes.is_switched("ALPHA")

    play(body, standby=True)


def test_silent_venue_is_given_up_in_bounded_time(play, tools):
    """Its gateway answers pings; every question and every order waits out its whole timeout."""

    async def body(bench):
        bench.link.rules["silent"] = tools.Rule(
            sending=lambda _r: tools.Hang(), framing=lambda *_: tools.Hang()
        )
        with pytest.raises(FoxtrotError):
            await bench.engine.query_account("ALPHA")
        noticed_at = bench.now
        await until(bench, lambda: bench.engine.routes.is_switched("ALPHA"))
        assert 5.0 < bench.now - noticed_at < 13.0
        bench.link.rules.clear()
        await until(bench, lambda: bench.engine.is_ready("ALPHA"))

    play(body, standby=True, max_retries=0)
