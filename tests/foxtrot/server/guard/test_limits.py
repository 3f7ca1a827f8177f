"""What a venue asks of the calls to it: which wait for it, how long, and which leaves first."""

from __future__ import annotations

import asyncio

import pytest

from foxtrot.server.guard import not_ready
from foxtrot.server.policy import Lane
from foxtrot.util.classification import classify_code
from foxtrot.util.errors import (
    AdapterConnectionError,
    FoxtrotError,
    Outcome,
    RateLimitError,
)

from .scenes import IDEMPOTENT, ONCE, READ


def too_many(seconds=10.0, scope="operation"):
    return RateLimitError("A", seconds, context={"scope": scope} if scope else {})


async def refused_order(s, error, **options):
    order = {"lane": Lane.ORDERS, "operation": "order.place", "kind": ONCE}
    with pytest.raises(FoxtrotError):
        await s.call(error, **order, deadline=1.0, **options)


@pytest.mark.parametrize("lane", [Lane.CANCELS, Lane.QUERIES, Lane.STREAM])
@pytest.mark.parametrize(("scope", "waits"), [("operation", 0.0), ("", 10.25)])
def test_what_a_venue_asks_of_new_orders_alone_holds_nothing_else(scene, lane, scope, waits):
    """A cancel that waits is an order that stays in the market."""

    async def body(s):
        await refused_order(s, too_many(scope=scope))
        assert await s.call("ok", lane=lane, kind=READ) == "ok"

    assert scene(body).attempts == [0.0, waits]


@pytest.mark.parametrize(
    ("answer", "is_held"),
    [
        (
            ("binance", -1015, "Too many new orders; current limit is 50 orders per 10 SECOND."),
            False,
        ),
        (("binance", -1003, "Too many requests."), True),
        (("futu", -1, "This request is too frequent: at most 15 requests every 30 seconds"), False),
        (("ib", 100, "Max rate of messages per second has been exceeded"), True),
        (("http", 429, ""), True),
    ],
)
def test_venue_that_counts_new_orders_by_themselves_still_takes_cancels(scene, answer, is_held):
    async def body(s):
        await refused_order(s, classify_code(*answer))
        await s.call("ok", lane=Lane.CANCELS, operation="order.cancel", kind=IDEMPOTENT)

    _, cancelled_at = scene(body).attempts
    assert (cancelled_at > 0) is is_held


def test_new_orders_wait_for_what_was_asked_of_them_and_leave_one_by_one(scene):
    async def body(s):
        await refused_order(s, too_many())
        order = {"lane": Lane.ORDERS, "operation": "order.place", "kind": ONCE}
        await asyncio.gather(*(s.call("ok", **order) for _ in range(3)))

    first, *others = scene(body).attempts[1:]
    assert first == 10.25
    assert 10.7 < others[0] < others[1] < 12.3


def test_order_refused_for_being_one_too_many_is_sent_again_when_it_may(scene):
    async def body(s):
        order = {"lane": Lane.ORDERS, "operation": "order.place", "kind": ONCE}
        assert await s.call(too_many(), "ok", **order) == "ok"

    assert scene(body).attempts == [0.0, 10.25]


def one_too_many():
    return classify_code(
        "futu", -1, "This request is too frequent: at most 3 requests every 30 seconds"
    )


def test_order_waits_until_the_count_that_the_venue_names_allows_one_more(scene):
    async def body(s):
        order = {"lane": Lane.ORDERS, "operation": "order.place", "kind": ONCE}
        for _ in range(3):
            await s.call("ok", **order)
            await asyncio.sleep(5.0)
        assert await s.call(one_too_many(), "ok", **order) == "ok"

    assert scene(body).attempts == [0.0, 5.0, 10.0, 15.0, 30.25]


def test_count_of_one_kind_of_question_holds_no_other_call_longer(scene):
    async def body(s):
        for _ in range(3):
            await s.call("ok")
        with pytest.raises(FoxtrotError):
            await s.call(one_too_many(), deadline=1.0)
        await s.call("ok")

    assert scene(body).attempts == [0.0, 0.0, 0.0, 0.0, 10.25]


def test_limit_met_by_a_cancel_holds_everything(scene):
    """Cancels have no gate of their own: to be too quiet is better than to be banned."""

    async def body(s):
        with pytest.raises(FoxtrotError):
            await s.call(too_many(), lane=Lane.CANCELS, operation="order.cancel", deadline=1.0)
        await s.call("ok")

    assert scene(body).attempts == [0.0, 10.25]


@pytest.mark.parametrize(("of_all", "of_orders"), [(5.0, 10.0), (10.0, 5.0)])
def test_new_order_waits_for_both_gates(scene, of_all, of_orders):
    async def body(s):
        s.guard.gate.hold(too_many(of_all))
        s.guard.order_gate.hold(too_many(of_orders))
        await s.call("ok", lane=Lane.ORDERS, operation="order.place", kind=ONCE)

    assert scene(body).attempts == [10.25]


def test_gate_that_closes_while_the_order_waits_at_the_other_is_waited_for_too(scene):
    async def body(s):
        s.guard.gate.hold(too_many(5.0))
        order = {"lane": Lane.ORDERS, "operation": "order.place", "kind": ONCE}
        waiting = asyncio.create_task(s.call("ok", **order))
        await s.clock.sleep(1.0)
        s.guard.order_gate.hold(too_many(10.0))
        await waiting

    assert scene(body).attempts == [11.25]


def test_stirred_order_leaves_the_line_of_its_own_gate(scene):
    async def body(s):
        s.guard.order_gate.hold(too_many())
        order = {"lane": Lane.ORDERS, "operation": "order.place", "kind": ONCE}
        wanted = [True]

        def leave():
            if not wanted[0]:
                raise LookupError

        waiting = asyncio.create_task(s.call("ok", **order, leave=leave))
        await s.clock.sleep(1.0)
        wanted[0] = False
        s.guard.stir()
        with pytest.raises(LookupError):
            await waiting
        assert s.loop.time() == 1.0

    assert scene(body).attempts == []


@pytest.mark.parametrize(
    "refusal",
    [AdapterConnectionError("A", "refused", outcome=Outcome.NOT_SENT), too_many(10.0)],
    ids=["connection", "rate"],
)
def test_order_that_was_stirred_while_its_attempt_was_under_way_does_not_wait_for_another(
    scene, refusal
):
    """By the time that it is refused nobody stirs it any more."""

    async def body(s):
        async def attempt():
            s.attempts.append(s.loop.time())
            await s.clock.sleep(1.0)
            raise refusal

        wanted = [True]

        def leave():
            if not wanted[0]:
                raise LookupError

        sending = asyncio.create_task(
            s.guard.call(Lane.ORDERS, "order.place", attempt, kind=ONCE, leave=leave)
        )
        await s.clock.sleep(0.5)
        wanted[0] = False
        s.guard.stir()
        with pytest.raises(LookupError):
            await sending
        assert s.loop.time() == 1.0

    assert scene(body).attempts == [0.0]


def test_order_asks_once_more_at_the_end_of_its_rest(scene):
    """Who stirs it at the very moment at which it wakes by itself is heard as well."""

    async def body(s):
        def leave():
            if s.loop.time() > 0.0:
                raise LookupError

        refused = AdapterConnectionError("A", "refused", outcome=Outcome.NOT_SENT)
        order = {"lane": Lane.ORDERS, "operation": "order.place", "kind": ONCE}
        with pytest.raises(LookupError):
            await s.call(refused, **order, leave=leave)

    assert scene(body).attempts == [0.0]


@pytest.mark.parametrize(
    ("lane", "outcome"), [(Lane.QUERIES, Outcome.NONE), (Lane.CANCELS, Outcome.NOT_SENT)]
)
def test_attempt_of_several_requests_goes_no_further_once_the_gate_has_closed(scene, lane, outcome):
    """And then waits for it as all the others do; to the venue it was no refusal."""

    async def body(s):
        async def attempt():
            s.attempts.append(s.loop.time())
            if len(s.attempts) == 1:
                s.guard.gate.hold(too_many(10.0, scope=""))
            s.guard.gate.check()
            return "ok"

        assert await s.guard.call(lane, "x", attempt, kind=READ) == "ok"
        s.guard.gate.hold(too_many(10.0, scope=""))
        with pytest.raises(RateLimitError) as caught:
            await s.guard._timed(lane, "x", attempt)
        assert caught.value.outcome is outcome
        assert s.guard.gate.wait == 10.25

    s = scene(body)
    assert s.attempts == [0.0, 10.25, 10.25]
    assert s.errors == []


def test_served_order_ends_the_doubling_of_its_own_gate(scene):
    async def body(s):
        order = {"lane": Lane.ORDERS, "operation": "order.place", "kind": ONCE}
        await refused_order(s, too_many(None))
        await s.call("ok", **order)
        await refused_order(s, too_many(None))
        assert s.guard.order_gate.wait == pytest.approx(9.25, abs=1.1)

    scene(body)


def test_rate_limit_silences_every_lane_until_it_is_over(scene):
    """Cancels and recovery's own questions included: a ban is what comes of asking."""

    async def body(s):
        with pytest.raises(RateLimitError):
            await s.call(RateLimitError("A", 30.0), deadline=5.0)
        assert s.guard.gate.wait == 30.25
        with pytest.raises(RateLimitError) as caught:
            await s.call("x", lane=Lane.CANCELS, operation="order.cancel", deadline=1.0)
        assert caught.value.outcome is Outcome.NOT_SENT
        await s.guard.probe("connect", s.script("up"))

    s = scene(body)
    assert s.attempts == [0.0, 30.25]


def test_call_waits_for_the_gate_when_there_is_time(scene):
    async def body(s):
        assert await s.call(RateLimitError("A", 10.0), "ok") == "ok"

    first, second = scene(body).attempts
    assert second - first >= 10.25


def test_first_to_be_refused_is_first_in_line(scene):
    """And not behind those who came while he was sleeping."""

    async def body(s):
        order = []

        async def come(name, *results):
            assert await s.call(*results) == name
            order.append(name)

        first = asyncio.create_task(come("first", RateLimitError("A", 10.0), "first"))
        await asyncio.sleep(1.0)
        others = [asyncio.create_task(come(name, name)) for name in ("second", "third")]
        await asyncio.gather(first, *others)
        assert order == ["first", "second", "third"]
        assert s.attempts[1] == 10.25

    scene(body)


def test_call_that_waited_for_the_gate_is_admitted_anew(scene):
    """The connection went away while it waited: its turn is no leave to use a dead one."""

    async def body(s):
        def admit():
            if s.loop.time() >= 5.0:
                raise not_ready("A", "gone", s.clock)

        s.guard.gate.hold(RateLimitError("A", 10.0))
        with pytest.raises(AdapterConnectionError, match="gone"):
            await s.call("ok", admit=admit)

    assert scene(body).attempts == []
