"""Gate, breakers and retries in front of one adapter, in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random

import pytest

from foxtrot.server.guard import AdapterGuard, not_ready
from foxtrot.server.policy import POLICIES, BreakerPolicy, Lane
from foxtrot.util.circuit_breaker import CircuitBreakerOpenError, CircuitState
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
        self.errors, self.retries, self.attempts = [], [], []
        self.guard = AdapterGuard(
            "A",
            policy=replace(POLICIES["default"], **policy),
            clock=self.clock,
            rng=Random(1),
            on_error=self.errors.append,
            on_retry=self.retries.append,
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


def test_questions_go_out_at_once_when_the_connection_is_back(scene):
    """Not so orders, of which the reconciliation has shown nothing; nor what a person closed."""

    async def body(s):
        for lane in (Lane.ORDERS, Lane.QUERIES):
            for _ in range(3):
                with pytest.raises(FoxtrotError):
                    await s.call(down(outcome=Outcome.UNKNOWN), lane=lane, deadline=0.0)
        s.guard.came_back()
        states = {lane: s.guard.breakers[lane].state.value for lane in (Lane.ORDERS, Lane.QUERIES)}
        assert states == {Lane.ORDERS: "open", Lane.QUERIES: "closed"}
        s.guard.breakers[Lane.QUERIES].force_open()
        s.guard.came_back()
        assert s.guard.breakers[Lane.QUERIES].state is CircuitState.OPEN

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
