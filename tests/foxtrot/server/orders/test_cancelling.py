"""Cancels, and the questions that a refused one leads to."""

from __future__ import annotations

import asyncio

import pytest

from foxtrot.server.policy import BreakerPolicy, EnginePolicy, Lane
from foxtrot.util.circuit_breaker import CircuitState
from foxtrot.util.constants import Status
from foxtrot.util.errors import FoxtrotError, OrderRejectionError, RateLimitError
from harness.network import Delay

from .stories import CANCEL, PLACE, QUERY, story_of


def test_cancel_of_a_filled_order_returns_the_fill(play):
    """ "Unknown order" is answered by a look-up, which says what the order became."""

    async def body(bench):
        await bench.engine.send_order(bench.order("o1", price=0), "ALPHA")
        order = await bench.engine.cancel_order(bench.by_id("o1"), "ALPHA")
        assert order.status is Status.ALLTRADED

    play(body)


def test_question_that_a_refused_cancel_leads_to_ends_with_the_cancels_own_time(play, tools):
    """Who asks for a cancel waits for one deadline, and not for two."""

    async def body(bench):
        await bench.engine.send_order(bench.order("o1", price=0), "ALPHA")
        bench.asked_at = bench.clock.now()
        bench.link.rules["c"] = tools.Rule(
            sending=tools.on(CANCEL, tools.Fail(tools.refused), count=6)
        )
        bench.link.rules["q"] = tools.Rule(sending=tools.on(QUERY, tools.Fail(tools.refused)))
        with pytest.raises(OrderRejectionError):
            await bench.engine.cancel_order(bench.by_id("o1"), "ALPHA")

    bench = play(
        body,
        deadlines={**EnginePolicy().deadlines, Lane.CANCELS: 5.0},
        breaker=BreakerPolicy(enabled=False),
        retry_max_delay=0.5,
        max_retries=100,
        recovery=False,
    )
    questions = [t for t, _ in bench.sent("order.query")]
    assert questions[0] > bench.asked_at + 1.0
    assert bench.asked_at + 4.0 < questions[-1] < bench.asked_at + 5.0


def test_refusal_that_comes_after_the_cancels_time_is_the_answer(play, tools):
    async def body(bench):
        await bench.engine.send_order(bench.order("o1", price=0), "ALPHA")
        bench.link.rules["c"] = tools.Rule(replying=tools.on(CANCEL, Delay(3.0)))
        with pytest.raises(OrderRejectionError):
            await bench.engine.cancel_order(bench.by_id("o1"), "ALPHA")

    deadlines = {**EnginePolicy().deadlines, Lane.CANCELS: 2.0}
    assert play(body, deadlines=deadlines, recovery=False).sent("order.query") == []


def test_fate_of_what_could_not_be_cancelled_is_as_urgent_as_the_cancel(play):
    """Behind all the orders that wait for a rate limit, it would be told half a minute late."""

    async def body(bench):
        await bench.engine.send_order(bench.order("gone"), "ALPHA")
        await bench.engine.cancel_order(bench.by_id("gone"), "ALPHA")
        bench.connection.guard.gate.hold(RateLimitError("ALPHA", retry_after=3.0))
        waiting = [
            asyncio.create_task(bench.engine.query_order(bench.by_id("gone"), "ALPHA"))
            for _ in range(3)
        ]
        await asyncio.sleep(0)
        again = await bench.engine.cancel_order(bench.by_id("gone"), "ALPHA")
        assert again.status is Status.CANCELLED
        assert not all(task.done() for task in waiting)
        await asyncio.gather(*waiting)

    play(body)


def test_questions_that_fail_do_not_open_the_breaker_before_cancels(play, tools):
    """What became of an order that could not be cancelled is a question, and fails as one."""

    async def body(bench):
        await bench.engine.send_order(bench.order("gone"), "ALPHA")
        await bench.engine.cancel_order(bench.by_id("gone"), "ALPHA")
        bench.link.rules["q"] = tools.Rule(sending=tools.on(QUERY, tools.Fail(tools.refused)))
        with pytest.raises(OrderRejectionError):
            await bench.engine.cancel_order(bench.by_id("gone"), "ALPHA")
        states = {lane: b.state for lane, b in bench.connection.guard.breakers.items()}
        assert states[Lane.CANCELS] is CircuitState.CLOSED
        assert states[Lane.QUERIES] is not CircuitState.CLOSED

    play(body, recovery=False)


def test_cancel_of_what_the_venue_does_not_know_raises(play, tools):
    async def body(bench):
        with pytest.raises(FoxtrotError) as caught:
            await bench.engine.cancel_order(bench.by_id("nothing"), "ALPHA")
        assert caught.value.context["code"] == -2011
        bench.link.rules["r"] = tools.Rule(sending=tools.on(QUERY, tools.Fail(tools.refused)))
        with pytest.raises(FoxtrotError) as caught:
            await bench.engine.cancel_order(bench.by_id("nothing"), "ALPHA")
        assert caught.value.context["code"] == -2011

    play(body)


def test_cancel_outage_is_raised_after_its_retries(play, tools):
    async def body(bench):
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        bench.link.rules["r"] = tools.Rule(sending=tools.on(CANCEL, tools.Fail(tools.refused)))
        with pytest.raises(FoxtrotError):
            await bench.engine.cancel_order(bench.by_id("o1"), "ALPHA")
        bench.link.rules.clear()
        await bench.clock.sleep(15)

    bench = play(body)
    assert len(bench.sent("order.cancel")) > 3


def test_unknown_order_that_was_to_be_cancelled_is_not_sent_again(play, tools):
    """A cancel says that the intent is not wanted: should it not be there, it stays so."""

    async def body(bench):
        bench.link.rules["r"] = tools.Rule(sending=tools.on(PLACE, tools.Hang(), count=1))
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        with pytest.raises(FoxtrotError):
            await bench.engine.cancel_order(bench.by_id("o1"), "ALPHA")
        await bench.clock.sleep(30)

    bench = play(body)
    assert story_of(bench, "o1") == ["SUBMITTING", "UNKNOWN", "REJECTED"]
    assert len(bench.sent("order.place")) == 1
