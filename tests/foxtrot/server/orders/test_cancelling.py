"""Cancels, and the questions that a refused one leads to."""

from __future__ import annotations

import asyncio

import pytest

from foxtrot.server.policy import BreakerPolicy, EnginePolicy, Lane
from foxtrot.util.circuit_breaker import CircuitState
from foxtrot.util.constants import Status
from foxtrot.util.errors import FoxtrotError, OrderRejectionError, Outcome, RateLimitError
from harness.network import Delay
from harness.venue import Reject

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


async def cancel_in_vain(bench, reference):
    """The venue does not know the order."""
    with pytest.raises(OrderRejectionError):
        await bench.engine.cancel_order(bench.by_id(reference), "ALPHA")


async def is_refused_as_cancelled(sending):
    with pytest.raises(OrderRejectionError, match="cancelled") as caught:
        await sending
    return caught.value.outcome is Outcome.NOT_SENT


def test_order_that_is_cancelled_between_two_tries_is_not_tried_again(play, tools):
    """It would be in the market after all, some seconds after its owner took it back."""

    async def body(bench):
        bench.link.rules["r"] = tools.Rule(
            sending=tools.on(PLACE, tools.Fail(tools.refused), count=4)
        )
        sending = asyncio.create_task(bench.engine.send_order(bench.order("o1"), "ALPHA"))
        await bench.clock.sleep(0.3)
        bench.tries = len(bench.sent("order.place"))
        bench.link.rules.clear()
        began = bench.now
        await cancel_in_vain(bench, "o1")
        assert await is_refused_as_cancelled(sending)
        assert bench.now - began < 0.1
        await bench.clock.sleep(20)

    bench = play(body)
    assert len(bench.sent("order.place")) == bench.tries
    assert story_of(bench, "o1") == ["SUBMITTING", "REJECTED"]


@pytest.mark.parametrize("held_by", ["readiness", "gate", "breaker"])
def test_order_that_is_cancelled_before_it_left_never_leaves(play, held_by):
    async def body(bench):
        guard = bench.connection.guard
        if held_by == "readiness":
            bench.connection.ready = False
        elif held_by == "gate":
            guard.order_gate.hold(RateLimitError("ALPHA", retry_after=3.0))
        else:
            guard.breakers[Lane.ORDERS].force_open()
        sending = asyncio.create_task(bench.engine.send_order(bench.order("o1"), "ALPHA"))
        await bench.clock.sleep(0.1)
        await cancel_in_vain(bench, "o1")
        assert await is_refused_as_cancelled(sending)
        bench.connection.ready = True
        guard.breakers[Lane.ORDERS].reset()
        await bench.clock.sleep(20)
        assert bench.engine.pipeline._unwanted == {}

    bench = play(body)
    assert bench.sent("order.place") == []
    assert story_of(bench, "o1") == ["REJECTED"]


def test_order_that_is_cancelled_while_a_try_is_under_way_is_not_tried_again(play, tools):
    async def body(bench):
        bench.venue.impose(
            "limit", Reject(code=-1003, message="Too many requests.", status=429, retry_after=3.0)
        )
        bench.link.rules["slow"] = tools.Rule(sending=tools.on(PLACE, Delay(1.0)))
        sending = asyncio.create_task(bench.engine.send_order(bench.order("o1"), "ALPHA"))
        await bench.clock.sleep(0.5)
        cancelling = asyncio.create_task(bench.engine.cancel_order(bench.by_id("o1"), "ALPHA"))
        assert await is_refused_as_cancelled(sending)
        bench.venue.lift("limit")
        await asyncio.gather(cancelling, return_exceptions=True)
        await bench.clock.sleep(20)

    assert len(play(body).sent("order.place")) == 1


def test_unknown_order_that_is_cancelled_while_its_resend_waits_is_not_sent_again(play, tools):
    """The look-ups go on, and find that it never arrived."""
    places = []

    def lost_and_then_refused(request):
        if request.operation is not PLACE:
            return None
        places.append(request)
        return tools.Fail(tools.reset if len(places) == 1 else tools.refused)

    async def body(bench):
        bench.link.rules["r"] = tools.Rule(sending=lost_and_then_refused)
        await bench.engine.send_order(bench.order("o1"), "ALPHA")
        while len(places) < 2:
            await bench.clock.sleep(0.05)
        bench.link.rules.clear()
        await cancel_in_vain(bench, "o1")
        await bench.clock.sleep(30)

    bench = play(body)
    assert len(bench.sent("order.place")) == 2
    assert story_of(bench, "o1") == ["SUBMITTING", "UNKNOWN", "REJECTED"]


def test_cancelled_order_does_not_go_to_the_standby(play):
    async def body(bench):
        bench.connection.ready = False
        sending = asyncio.create_task(bench.engine.send_order(bench.order("o1"), "ALPHA"))
        await bench.clock.sleep(0.1)
        cancelling = asyncio.create_task(bench.engine.cancel_order(bench.by_id("o1"), "ALPHA"))
        await asyncio.sleep(0)
        bench.engine.switch("ALPHA", "BETA")
        assert await is_refused_as_cancelled(sending)
        await asyncio.gather(cancelling, return_exceptions=True)
        assert bench.engine.pipeline._unwanted == {}
        bench.engine.switch("ALPHA", None)

    assert play(body, standby=True).booked("BETA") == []


def test_cancel_of_an_order_that_showed_itself_leaves_no_note_behind(play, tools):
    """Its acknowledgement may still be under way when it is over already."""

    async def body(bench):
        bench.link.rules["slow"] = tools.Rule(replying=tools.on(PLACE, Delay(3.0)))
        sending = asyncio.create_task(bench.engine.send_order(bench.order("o1", price=0), "ALPHA"))
        await bench.clock.sleep(1.0)
        assert bench.status("o1") == "ALLTRADED"
        await bench.engine.cancel_order(bench.by_id("o1"), "ALPHA")
        await sending
        assert bench.engine.pipeline._unwanted == {}

    play(body)
