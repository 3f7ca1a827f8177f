"""Venue time and the clients' time, and the way from one to the other."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.wire.clock import VenueClock

_EPOCH = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class _Real:
    def __init__(self) -> None:
        self.seconds = 100.0

    def now(self) -> float:
        return self.seconds

    def wall(self) -> dt.datetime:
        return _EPOCH + dt.timedelta(seconds=self.seconds - 100.0)

    async def sleep(self, seconds: float) -> None:
        raise AssertionError

    def sleep_sync(self, seconds: float) -> None:
        self.seconds += seconds


def test_scaled_clock_runs_fast_and_tells_clients_real_time() -> None:
    real = _Real()
    clock = VenueClock(real, 10.0)
    clock.sleep_sync(30.0)
    assert real.seconds == 103.0
    assert clock.now() == pytest.approx(30.0)
    assert clock.wall() == _EPOCH + dt.timedelta(seconds=30)
    assert clock.milliseconds(clock.epoch + 30.0) == round((clock.epoch + 3.0) * 1000)


def test_retry_after_is_in_the_clients_seconds_and_never_too_short() -> None:
    clock = VenueClock(_Real(), 10.0)
    assert clock.retry_after("95") == "10"
    assert clock.retry_after("Thu, 01 Jan 2026 00:01:35 GMT") == "Thu, 01 Jan 2026 00:00:10 GMT"
    assert VenueClock(_Real()).retry_after("95") == "95"


@settings(deadline=None)
@given(st.floats(0.01, 100), st.floats(0, 1e6))
def test_there_and_back_is_where_it_began(scale: float, seconds: float) -> None:
    clock = VenueClock(_Real(), scale)
    wall = clock.epoch + seconds
    assert clock.to_client(clock.to_venue(wall)) == pytest.approx(wall, abs=1e-3)
