"""The door to virtual time: `run_virtual`, the clock, and the random streams."""

from __future__ import annotations

import asyncio
import datetime as dt
import time

import freezegun
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import harness.kernel
from foxtrot.util.clock import Clock
from harness.kernel import EPOCH, OutsideWorldError, RandomStreams, VirtualClock, run_virtual


def test_the_result_of_main_is_returned_and_its_error_raised():
    async def fail(_):
        raise LookupError("mine")

    assert run_virtual(lambda _: asyncio.sleep(5, "result")) == "result"
    with pytest.raises(LookupError, match="mine"):
        run_virtual(fail)


def test_the_loop_is_closed_however_the_run_ended():
    loops = []

    async def main(loop):
        loops.append(loop)
        raise LookupError

    with pytest.raises(LookupError):
        run_virtual(main)
    assert loops[0].is_closed()


def test_without_leftovers_the_callback_gets_none():
    names = []
    run_virtual(lambda _: asyncio.sleep(1), on_leftovers=names.append)
    assert names == [()]


def test_the_exports_are_sorted_and_there():
    names = harness.kernel.__all__
    assert all(hasattr(harness.kernel, name) for name in names)
    assert sorted(names, key=lambda name: (not name.isupper(), name)) == names


class TestVirtualClock:
    def test_it_is_a_clock_of_the_core(self):
        async def main(loop):
            clock = VirtualClock(loop)
            await clock.sleep(90.5)
            await clock.sleep(-1)
            return isinstance(clock, Clock), clock.now(), clock.wall()

        expected = dt.datetime(2026, 1, 1, 0, 1, 30, 500_000, tzinfo=dt.UTC)
        assert run_virtual(main) == (True, 90.5, expected)

    def test_a_sleep_of_zero_or_less_yields_to_others(self):
        async def main(loop):
            story = []
            loop.call_soon(story.append, "other")
            await VirtualClock(loop).sleep(-5)
            return story, loop.time()

        assert run_virtual(main) == (["other"], 0.0)

    def test_wall_time_is_utc_whatever_the_zone_of_the_epoch(self):
        async def main(loop):
            zone = dt.timezone(dt.timedelta(hours=2))
            return VirtualClock(loop, EPOCH.astimezone(zone)).wall()

        wall = run_virtual(main)
        assert (wall, wall.tzinfo) == (EPOCH, dt.UTC)

    def test_an_epoch_without_a_zone_is_refused(self):
        async def main(loop):
            VirtualClock(loop, dt.datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused

        with pytest.raises(ValueError, match="expected an aware epoch, got epoch="):
            run_virtual(main)

    def test_blocking_sleep_is_refused_with_advice(self):
        async def main(loop):
            VirtualClock(loop).sleep_sync(3)

        with pytest.raises(OutsideWorldError, match=r"sleep_sync\(3\).*await clock\.sleep"):
            run_virtual(main)

    def test_freezegun_on_the_advance_hook_agrees_to_the_microsecond(self):
        """One frozen clock, moved by the loop: datetime, time, monotonic and loop are in step."""

        async def main(loop):
            clock = VirtualClock(loop)
            monotonic_start = time.monotonic()
            for seconds in (0.1, 1 / 3, 3600.000001, 0.7, 86_399.123457, 1e-6) * 5:
                await asyncio.sleep(seconds)
                wall = clock.wall()
                elapsed = (wall - EPOCH) / dt.timedelta(microseconds=1)
                assert dt.datetime.now(dt.UTC) == wall
                assert round((time.time() - EPOCH.timestamp()) * 1e6) == elapsed
                assert round((time.monotonic() - monotonic_start) * 1e6) == elapsed
                assert round(loop.time() * 1e6) == elapsed
            return "compared"

        with freezegun.freeze_time(EPOCH) as frozen:
            hook = lambda now: frozen.move_to(EPOCH + dt.timedelta(seconds=now))  # noqa: E731
            assert run_virtual(main, on_advance=[hook]) == "compared"


class TestRandomStreams:
    def test_the_draws_of_a_seed_and_name_are_fixed_for_ever(self):
        """A stored seed must replay the same run on any machine and in any later version."""
        draws = [RandomStreams(7).stream("fault/F1").randrange(1000) for _ in range(2)]
        assert draws == [826, 826]

    def test_one_name_gives_the_same_object(self):
        streams = RandomStreams(1)
        assert streams.stream("a") is streams.stream("a")
        assert streams.stream("a") is not streams.stream("b")

    @given(st.integers(), st.text(), st.text(), st.integers(0, 5))
    @settings(max_examples=50, deadline=None)
    def test_a_draw_in_one_stream_shifts_no_other(self, seed, one, other, extra):
        if one == other:
            return
        plain, disturbed = RandomStreams(seed), RandomStreams(seed)
        for _ in range(extra):
            disturbed.stream(other).random()
        assert plain.stream(one).random() == disturbed.stream(one).random()

    def test_seeds_and_names_give_different_streams(self):
        firsts = {
            RandomStreams(seed).stream(name).random()
            for seed in (0, 1, -1, 10, 11)
            for name in ("", "a", "b", "0/a", "1")
        }
        assert len(firsts) == 25
