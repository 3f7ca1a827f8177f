"""Which errors start a recovery, which one joins, and when the next may be tried."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from random import Random

import pytest

from foxtrot.server.policy import POLICIES
from foxtrot.server.recoveries import Recoveries
from foxtrot.util.errors import (
    AdapterConnectionError,
    AuthenticationError,
    MarketDataError,
    OrderRejectionError,
    RateLimitError,
    UnknownOrderError,
)
from foxtrot.util.recovery import ErrorRecoveryManager, RecoveryAction
from harness.kernel import VirtualClock, run_virtual


class Executor:
    """Reconnects for a second each; works once `works` is set."""

    works = False

    def __init__(self):
        self.reconnects = 0

    def supports(self, action, error):
        return action is RecoveryAction.RECONNECT

    async def perform(self, action, error):
        self.reconnects += 1
        await asyncio.sleep(1)

    async def verify(self, action, error):
        await asyncio.sleep(1)
        return self.works

    def covers(self, error):
        return True

    def wait(self, error):
        return 0.0


class Scene:
    def __init__(self, loop):
        self.loop = loop
        self.executor = Executor()
        self.escalated, self.tasks = [], []
        clock = VirtualClock(loop)
        self.recoveries = Recoveries(
            ErrorRecoveryManager(clock=clock, rng=Random(1)),
            context=lambda: {"executor": self.executor},
            policy=replace(POLICIES["default"], reconnect_attempts=1),
            clock=clock,
            spawn=self.spawn,
            escalate=self.escalated.append,
        )

    def spawn(self, name, work):
        self.tasks.append(asyncio.get_running_loop().create_task(work, name=name))

    async def see_to(self, *errors, wait=5.0):
        for error in errors:
            self.recoveries.see_to(error)
        await asyncio.sleep(wait)


@pytest.fixture
def scene():
    def run(body):
        async def main(loop):
            made = Scene(loop)
            await body(made)
            return made

        return run_virtual(main, max_time=1e6)

    return run


def down(**overrides):
    return AdapterConnectionError("A", "reset", **overrides)


def test_answers_about_orders_start_nothing(scene):
    async def body(s):
        await s.see_to(
            OrderRejectionError("o1", "no", context={"adapter": "A"}),
            UnknownOrderError("o1", "x", context={"adapter": "A"}),
        )

    s = scene(body)
    assert (s.tasks, s.escalated) == ([], [])


def test_small_errors_that_cannot_be_recovered_start_nothing(scene):
    async def body(s):
        await s.see_to(RateLimitError("A", recoverable=False))

    assert scene(body).tasks == []


def test_grave_errors_that_cannot_be_recovered_are_escalated(scene):
    async def body(s):
        error = AuthenticationError("A", "revoked")
        await s.see_to(error)
        assert s.escalated == [error]

    assert scene(body).executor.reconnects == 0


def test_what_nothing_mends_is_escalated_while_its_kind_is_being_mended(scene):
    """The line was cut, and what answers when it is back shows a certificate that has expired."""

    async def body(s):
        expired = down()
        expired.recoverable = False
        await s.see_to(down(), expired)
        assert expired in s.escalated

    scene(body)


def test_flood_of_one_kind_takes_one_task(scene):
    async def body(s):
        s.executor.works = True
        await s.see_to(*(down() for _ in range(1000)))

    s = scene(body)
    assert (len(s.tasks), s.executor.reconnects) == (1, 1)


def test_error_during_the_verification_is_seen_to_again(scene):
    async def body(s):
        s.executor.works = True
        await s.see_to(down(), wait=1.5)
        await s.see_to(*(down() for _ in range(10)))

    s = scene(body)
    assert (len(s.tasks), s.executor.reconnects) == (2, 2)


def test_other_kind_joins_the_recovery_under_way(scene):
    async def body(s):
        s.executor.works = True
        stale = MarketDataError("BTC", "stale", context={"adapter": "A"})
        await s.see_to(down(), stale)

    s = scene(body)
    assert (len(s.tasks), s.executor.reconnects) == (2, 1)


def test_rest_after_a_ladder_in_vain_grows_and_ends_with_success(scene):
    """10 s, 20 s, 40 s ... at most half of the alerts' cooldown, so that it stays one incident."""

    async def body(s):
        starts = []
        while len(starts) < 8:
            before = s.executor.reconnects
            s.recoveries.see_to(down())
            await asyncio.sleep(0.5)
            if s.executor.reconnects > before:
                starts.append(s.loop.time())
                await asyncio.sleep(2)
        gaps = [b - a for a, b in itertools.pairwise(starts)]
        assert gaps == [
            pytest.approx(rest + 2, abs=0.6) for rest in (10, 20, 40, 80, 150, 150, 150)
        ]
        s.recoveries.works_again("A")
        before = s.executor.reconnects
        await s.see_to(down())
        assert s.executor.reconnects == before + 1

    scene(body)


def test_those_that_joined_a_ladder_in_vain_count_as_one_failure(scene):
    async def body(s):
        stale = [down(), *(down() for _ in range(20))]
        await asyncio.gather(*(s.recoveries.recover(error) for error in stale))
        await asyncio.sleep(10)
        s.executor.works = True
        await s.see_to(down())

    assert scene(body).executor.reconnects == 2


def test_rest_is_for_its_own_category_and_adapter(scene):
    async def body(s):
        await s.see_to(down())
        stale = MarketDataError("BTC", "stale", context={"adapter": "A"})
        await s.see_to(down(), stale, AdapterConnectionError("B", "reset"))
        s.recoveries.works_again("B")
        await s.see_to(down())

    assert scene(body).executor.reconnects == 3


def test_explicit_recovery_needs_no_leave(scene):
    async def body(s):
        await s.see_to(down())
        s.executor.works = True
        assert await s.recoveries.recover(down())

    s = scene(body)
    assert s.executor.reconnects == 2
    assert len(s.escalated) == 1
