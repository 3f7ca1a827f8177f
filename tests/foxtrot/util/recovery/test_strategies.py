"""Strategies: one's own, and those of the seed."""

from __future__ import annotations

import asyncio

from foxtrot.util.errors import (
    ErrorCategory,
)
from foxtrot.util.recovery import (
    ConnectionRecoveryStrategy,
    LadderStrategy,
    RateLimitRecoveryStrategy,
    RecoveryAction,
    RecoveryStrategy,
    Rung,
    default_strategies,
)

from .scenes import down


class Own(RecoveryStrategy):
    """A strategy of a user's."""

    deadline = 2.0

    def __init__(self, results):
        self.results = list(results)
        self.told = []

    async def can_handle(self, error):
        return True

    async def execute_recovery(self, error, context):
        self.told.append((asyncio.get_running_loop().time(), error, context))
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        if result is None:
            await asyncio.sleep(60)
        return result


def test_strategy_of_ones_own_is_tried_with_backoff_and_deadline(scene):
    async def body(s):
        assert await s.handle()

    s = scene(body, strategies=[Own([None, ValueError("x"), True])])
    assert s.kinds == ["started", "step", "step_failed", "step", "step_failed", "step", "succeeded"]
    assert s.manager.recovery_history[0]["strategy"] == "Own"


def test_strategy_of_ones_own_is_told_the_error_and_the_context(scene):
    own, error = Own([False, False, True]), down()

    async def body(s):
        assert await s.handle(error)
        assert [told for _, *told in own.told] == [[error, {"executor": s.executor}]] * 3

    scene(body, strategies=[own])
    first, second, third = (at for at, *_ in own.told)
    assert first == 0.0
    assert 0.5 <= second - first <= 1.5  # the base delay, spread
    assert 1.0 <= third - second <= 3.0  # twice that


def test_ladder_can_be_executed_rung_by_rung(scene):
    async def body(s):
        strategy = LadderStrategy(ErrorCategory.CONNECTION, [Rung(RecoveryAction.RETRY)] * 2)
        assert await strategy.can_handle(down())
        assert await strategy.execute_recovery(down(), {"executor": s.executor})
        assert not await strategy.execute_recovery(down(), {"executor": s.executor})

    assert scene(body, verdicts=[False, True]).executor.actions == ["retry"] * 4


def test_strategies_of_the_seed_are_there_for_every_category():
    strategies = default_strategies()
    assert isinstance(strategies[0], ConnectionRecoveryStrategy)
    assert isinstance(strategies[1], RateLimitRecoveryStrategy)
    assert {s.category for s in strategies} == set(ErrorCategory)
