"""The breakers of the lanes: what opens each, what it lets through, what closes it again."""

from __future__ import annotations

import asyncio

import pytest

from foxtrot.server.policy import Lane
from foxtrot.util.circuit_breaker import CircuitBreakerOpenError, CircuitState
from foxtrot.util.errors import (
    AdapterConnectionError,
    FoxtrotError,
    Outcome,
    RateLimitError,
)

from .scenes import ONCE, down


def test_open_breaker_keeps_requests_from_leaving(scene):
    """And the caller is told what its own attempts met with, not only that the breaker is open."""

    async def body(s):
        with pytest.raises(AdapterConnectionError, match="reset") as caught:
            await s.call(down(), deadline=3.0)
        assert caught.value.context["attempted"]
        assert s.guard.breakers[Lane.QUERIES].state is CircuitState.OPEN
        with pytest.raises(CircuitBreakerOpenError) as blocked:
            await s.call("never", deadline=0.5)
        assert blocked.value.outcome is Outcome.NOT_SENT

    assert len(scene(body).attempts) == 3


def test_cancel_lane_is_open_while_the_order_lane_is_not(scene):
    async def body(s):
        for _ in range(3):
            with pytest.raises(FoxtrotError):
                await s.call(TimeoutError(), lane=Lane.ORDERS, operation="order.place", kind=ONCE)
        assert s.guard.breakers[Lane.ORDERS].state is CircuitState.OPEN
        assert await s.call("ok", lane=Lane.CANCELS, operation="order.cancel", deadline=0.0) == "ok"

    scene(body)


def test_call_waits_for_the_breakers_probe_time(scene):
    async def body(s):
        assert await s.call(down(), down(), down(), "ok") == "ok"
        assert s.attempts[-1] - s.attempts[-2] >= 4.0

    scene(body)


async def _fail(s, *lanes):
    for lane in lanes:
        for _ in range(3):
            with pytest.raises(FoxtrotError):
                await s.call(down(outcome=Outcome.UNKNOWN), lane=lane, deadline=0.0)


def test_questions_go_out_at_once_when_the_connection_is_back(scene):
    """Not so orders, of which the reconciliation has shown nothing; nor what a person closed."""

    async def body(s):
        await _fail(s, Lane.ORDERS, Lane.QUERIES)
        s.guard.came_back()
        states = {lane: s.guard.breakers[lane].state.value for lane in (Lane.ORDERS, Lane.QUERIES)}
        assert states == {Lane.ORDERS: "open", Lane.QUERIES: "closed"}
        s.guard.breakers[Lane.QUERIES].force_open()
        s.guard.came_back()
        assert s.guard.breakers[Lane.QUERIES].state is CircuitState.OPEN

    scene(body)


async def _order(s):
    await asyncio.sleep(s.guard.breakers[Lane.ORDERS].retry_after() or 0.0)
    assert await s.call("sent", lane=Lane.ORDERS, kind=ONCE) == "sent"


def _state(s, lane):
    return s.guard.breakers[lane].state


def test_cancels_go_out_at_once_when_orders_are_answered_again(scene):
    """Seldom asked for, they would find it out by probes, long after, and others wait for those."""

    async def body(s):
        await _fail(s, Lane.ORDERS, Lane.CANCELS)
        before = _state(s, Lane.CANCELS)
        while _state(s, Lane.ORDERS) is not CircuitState.CLOSED:
            assert _state(s, Lane.CANCELS) is not CircuitState.CLOSED
            await _order(s)
        assert (before, _state(s, Lane.CANCELS)) == (CircuitState.OPEN, CircuitState.CLOSED)

    scene(body)


def test_cancels_that_a_person_stopped_stay_stopped(scene):
    async def body(s):
        await _fail(s, Lane.ORDERS, Lane.CANCELS)
        s.guard.breakers[Lane.CANCELS].force_open()
        while _state(s, Lane.ORDERS) is not CircuitState.CLOSED:
            await _order(s)
        assert _state(s, Lane.CANCELS) is CircuitState.OPEN

    scene(body)


def test_orders_that_never_failed_say_nothing_of_cancels(scene):
    """A venue may fail at cancels alone."""

    async def body(s):
        await _fail(s, Lane.CANCELS)
        await _order(s)
        assert _state(s, Lane.CANCELS) is CircuitState.OPEN

    scene(body)


def test_rate_limits_leave_breakers_closed(scene):
    async def body(s):
        for _ in range(5):
            with pytest.raises(RateLimitError):
                await s.call(RateLimitError("A", 0.0), deadline=0.1)

    assert scene(body).guard.breakers[Lane.QUERIES].failure_count == 0


def test_probe_asks_no_breaker(scene):
    """The recovery is not kept out by the state that it is there to end."""

    async def body(s):
        s.guard.breakers[Lane.QUERIES].force_open()
        assert await s.guard.probe("orders.open", s.script([])) == []
        with pytest.raises(FoxtrotError):
            await s.guard.probe("orders.open", s.script(ValueError("x")))

    assert len(scene(body).errors) == 1


def open_orders(s):
    for _ in range(s.guard.breakers[Lane.ORDERS].failure_threshold):
        s.guard.breakers[Lane.ORDERS].acquire().failure()


WITNESSES = {
    "none": lambda _s: None,
    "new orders": open_orders,
    "ping": lambda s: s.guard.pinged(TimeoutError()),
    "broken ping": lambda s: s.guard.pinged(KeyError("reader")),
}


@pytest.mark.parametrize(
    ("witness", "lane", "opens"),
    [
        ("none", Lane.QUERIES, False),
        ("new orders", Lane.QUERIES, True),
        ("new orders", Lane.CANCELS, False),
        ("ping", Lane.QUERIES, True),
        ("ping", Lane.CANCELS, False),
        ("ping", Lane.ORDERS, False),
        ("broken ping", Lane.QUERIES, False),
    ],
)
@pytest.mark.parametrize("later", [0.0, 60.0])
def test_questions_stop_at_their_first_failure_where_something_else_fails_already(
    scene, witness, lane, opens, later
):
    """Who asks seldom would be minutes in finding out; a cancel is worth the try."""

    async def body(s):
        WITNESSES[witness](s)
        await asyncio.sleep(later)  # what failed has not been answered since
        with pytest.raises(FoxtrotError):
            await s.call(AdapterConnectionError("A", "reset"), lane=lane, deadline=0.0)
        assert (s.guard.breakers[lane].state is CircuitState.OPEN) is opens

    scene(body)


def test_questions_are_held_back_where_neither_orders_nor_pings_are_answered(scene):
    """In whichever order the two were found out."""

    async def pinged_last(s):
        open_orders(s)
        s.guard.pinged(TimeoutError())
        assert s.guard.breakers[Lane.QUERIES].state is CircuitState.OPEN
        assert s.guard.breakers[Lane.CANCELS].state is CircuitState.CLOSED

    async def pinged_first(s):
        s.guard.pinged(TimeoutError())
        for _ in range(s.guard.breakers[Lane.ORDERS].failure_threshold):
            assert s.guard.breakers[Lane.QUERIES].state is CircuitState.CLOSED
            with pytest.raises(FoxtrotError):
                await s.call(down(), lane=Lane.ORDERS, deadline=0.0)
        assert s.guard.breakers[Lane.QUERIES].state is CircuitState.OPEN

    scene(pinged_last)
    scene(pinged_first)


def test_ping_that_is_answered_is_no_witness_any_more(scene):
    async def body(s):
        s.guard.pinged(TimeoutError())
        s.guard.pinged(None)
        with pytest.raises(FoxtrotError):
            await s.call(down(), deadline=0.0)
        assert s.guard.breakers[Lane.QUERIES].state is CircuitState.CLOSED

    scene(body)
