from __future__ import annotations

import asyncio
import datetime as dt
import time

import freezegun
import pytest

from foxtrot.util.clock import SYSTEM_CLOCK, Clock, SystemClock
from harness.kernel import run_virtual


def test_the_system_clock_is_a_clock() -> None:
    assert isinstance(SYSTEM_CLOCK, Clock)
    assert repr(SystemClock()) == "SystemClock()"


def test_wall_time_is_aware_and_in_utc() -> None:
    assert SYSTEM_CLOCK.wall().utcoffset() == dt.timedelta(0)


def test_the_default_clock_moves_with_a_frozen_one() -> None:
    """freezegun needs no set-up: reads go through the modules at call time."""
    with freezegun.freeze_time("2026-01-02 03:04:05") as frozen:
        before = SYSTEM_CLOCK.now()
        frozen.tick(61.5)
        assert SYSTEM_CLOCK.now() - before == pytest.approx(61.5)
        assert SYSTEM_CLOCK.wall() == dt.datetime(2026, 1, 2, 3, 5, 6, 500_000, tzinfo=dt.UTC)


@pytest.mark.parametrize("seconds", [-1.0, 0.0])
def test_sleeping_for_nothing_returns(seconds: float) -> None:
    SYSTEM_CLOCK.sleep_sync(seconds)
    asyncio.run(SYSTEM_CLOCK.sleep(seconds))


@pytest.mark.parametrize(("seconds", "lasts"), [(-1.0, 0.0), (0.0, 0.0), (0.25, 0.25)])
def test_a_coroutine_sleeps_on_its_own_loop_and_no_longer(seconds: float, lasts: float) -> None:
    async def main(loop: asyncio.AbstractEventLoop) -> float:
        await SYSTEM_CLOCK.sleep(seconds)
        return loop.time()

    assert run_virtual(main) == lasts


def test_sleeps_last_at_least_what_was_asked() -> None:
    began = time.monotonic()
    SYSTEM_CLOCK.sleep_sync(0.01)
    asyncio.run(SYSTEM_CLOCK.sleep(0.01))
    assert time.monotonic() - began >= 0.019


def test_a_sleep_of_zero_lets_others_run() -> None:
    async def main() -> list[str]:
        told: list[str] = []

        async def other() -> None:
            told.append("other")

        task = asyncio.ensure_future(other())
        await SYSTEM_CLOCK.sleep(0)
        told.append("main")
        await task
        return told

    assert asyncio.run(main()) == ["other", "main"]
