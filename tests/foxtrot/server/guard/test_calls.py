"""A call through the guard: tried again or not, told once, within its time, and by whose leave."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from foxtrot.server.guard import not_ready
from foxtrot.server.policy import BreakerPolicy, Lane
from foxtrot.util.circuit_breaker import CircuitState
from foxtrot.util.errors import (
    AdapterConnectionError,
    DataValidationError,
    FoxtrotError,
    OrderRejectionError,
    Outcome,
)

from .scenes import IDEMPOTENT, ONCE, down


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
