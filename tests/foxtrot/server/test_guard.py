"""Gate, breakers and retries in front of one adapter, in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from random import Random

import pytest

from foxtrot.server.guard import AdapterGuard, not_ready
from foxtrot.server.policy import POLICIES, BreakerPolicy, Lane
from foxtrot.util.circuit_breaker import CircuitBreakerOpenError, CircuitState
from foxtrot.util.classification import classify_code
from foxtrot.util.errors import (
    AdapterConnectionError,
    DataValidationError,
    FoxtrotError,
    OrderRejectionError,
    Outcome,
    RateLimitError,
)
from foxtrot.util.retry import OperationKind
from harness.kernel import VirtualClock, run_virtual

READ, IDEMPOTENT, ONCE = OperationKind.READ, OperationKind.IDEMPOTENT, OperationKind.NOT_IDEMPOTENT


class Scene:
    def __init__(self, loop, **policy):
        self.loop = loop
        self.clock = VirtualClock(loop)
        self.errors, self.retries, self.ends, self.attempts = [], [], [], []
        self.guard = AdapterGuard(
            "A",
            policy=replace(POLICIES["default"], **policy),
            clock=self.clock,
            rng=Random(1),
            on_error=self.errors.append,
            on_retry=self.retries.append,
            on_end=self.ends.append,
        )

    def script(self, *results):
        """An attempt that has these results, one after the other; the last one stays."""
        left = list(results)

        async def attempt():
            self.attempts.append(round(self.loop.time(), 3))
            result = left.pop(0) if len(left) > 1 else left[0]
            if result is Ellipsis:
                await asyncio.Event().wait()
            if isinstance(result, BaseException):
                raise result
            return result

        return attempt

    def call(self, *results, lane=Lane.QUERIES, operation="account", kind=READ, **options):
        return self.guard.call(lane, operation, self.script(*results), kind=kind, **options)


@pytest.fixture
def scene():
    def run(body, **policy):
        async def main(loop):
            made = Scene(loop, **policy)
            await body(made)
            return made

        return run_virtual(main, max_time=1e7)

    return run


def down(**overrides):
    return AdapterConnectionError("A", "reset", **overrides)


def test_read_is_tried_again_until_it_succeeds(scene):
    async def body(s):
        assert await s.call(down(), down(), 42) == 42

    s = scene(body)
    assert len(s.attempts) == 3
    assert [(r.operation, r.attempt) for r in s.retries] == [("account", 1), ("account", 2)]
    assert len(s.errors) == 2


@pytest.mark.parametrize(
    ("results", "end"),
    [
        ([down(), "ok"], ("succeeded", 2, "")),
        ([down(), down(), "ok"], ("succeeded", 3, "")),
        ([down()], ("exhausted", 4, "reset")),
        ([down(), OrderRejectionError("o1", "no money")], ("refused", 2, "no money")),
        ([down(), down(recoverable=False)], ("refused", 2, "reset")),
    ],
)
def test_end_of_a_call_that_was_tried_again_is_told_once(scene, results, end):
    async def body(s):
        with suppress(FoxtrotError):
            await s.call(*results)

    (told,) = scene(body, max_retries=3, breaker=BreakerPolicy(enabled=False)).ends
    result, attempts, why = end
    assert (told.adapter_name, told.operation) == ("A", "account")
    assert (told.result, told.attempts) == (result, attempts)
    assert why in str(told.error)


@pytest.mark.parametrize("result", ["ok", OrderRejectionError("o1", "no money")])
def test_call_that_was_tried_once_has_no_retries_to_tell_of(scene, result):
    async def body(s):
        with suppress(FoxtrotError):
            await s.call(result)

    assert scene(body).ends == []


def test_unknown_outcome_of_what_may_not_be_repeated_is_not_repeated(scene):
    """The one retry that costs money."""

    async def body(s):
        with pytest.raises(FoxtrotError) as caught:
            await s.call(TimeoutError(), lane=Lane.ORDERS, operation="order.place", kind=ONCE)
        assert caught.value.outcome is Outcome.UNKNOWN
        assert caught.value.context["attempts"] == 1

    assert len(scene(body).attempts) == 1


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (IDEMPOTENT, TimeoutError()),
        (ONCE, ConnectionRefusedError(111, "refused")),
        (ONCE, down(outcome=Outcome.NOT_SENT)),
    ],
)
def test_what_is_safe_to_repeat_is_repeated(scene, kind, error):
    async def body(s):
        assert (
            await s.call(error, "ok", lane=Lane.ORDERS, operation="order.place", kind=kind) == "ok"
        )

    assert len(scene(body).attempts) == 2


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


@pytest.mark.parametrize(
    "error",
    [
        OrderRejectionError("o1", "no money"),
        OrderRejectionError("o1", "unknown order", recoverable=True),
        DataValidationError("price", "off the grid"),
    ],
)
def test_answers_are_not_argued_with(scene, error):
    async def body(s):
        with pytest.raises(type(error)):
            await s.call(error)

    s = scene(body)
    assert len(s.attempts) == 1
    assert all(b.state is CircuitState.CLOSED for b in s.guard.breakers.values())


def test_attempt_that_hangs_ends_at_the_call_timeout(scene):
    async def body(s):
        with pytest.raises(FoxtrotError) as caught:
            await s.call(..., lane=Lane.ORDERS, operation="order.place", kind=ONCE)
        assert caught.value.outcome is Outcome.UNKNOWN
        assert s.loop.time() == 2.0

    scene(body, call_timeout=2.0)


def test_call_ends_within_its_deadline(scene):
    async def body(s):
        with pytest.raises(FoxtrotError):
            await s.call(down(), deadline=5.0)
        assert s.loop.time() <= 5.0

    scene(body, max_retries=1000, breaker=BreakerPolicy(enabled=False))


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


def test_refusal_of_admission_sends_nothing_and_is_tried_again(scene):
    async def body(s):
        ready_at = 2.0

        def admit():
            if s.loop.time() < ready_at:
                raise not_ready("A", "coming up", s.clock)

        assert await s.call("ok", admit=admit) == "ok"

    s = scene(body)
    assert len(s.attempts) == 1
    assert s.attempts[0] >= 2.0
    assert s.errors == []


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


def test_cancellation_passes_and_counts_as_nothing(scene):
    async def body(s):
        task = asyncio.create_task(s.call(...))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    s = scene(body)
    assert (s.errors, s.retries, s.guard.breakers[Lane.QUERIES].failure_count) == ([], [], 0)


def test_foreign_exception_is_classified_with_its_cause(scene):
    async def body(s):
        with pytest.raises(AdapterConnectionError) as caught:
            await s.call(ConnectionResetError(104, "reset"), deadline=0.0)
        assert isinstance(caught.value.__cause__, ConnectionResetError)
        assert caught.value.context["adapter"] == "A"
        assert caught.value.context["operation"] == "account"

    scene(body)


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
