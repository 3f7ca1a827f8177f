"""The time of the loop: who wakes when, and in what order."""

from __future__ import annotations

import asyncio
import contextvars
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.kernel import (
    run_virtual,
)


def stories(*sleepers):
    """Run (name, seconds) sleepers side by side; return [(t, name), ...] as they woke."""

    async def main(loop):
        woke = []

        async def sleeper(name, seconds):
            await asyncio.sleep(seconds)
            woke.append((loop.time(), name))

        await asyncio.gather(*(sleeper(*each) for each in sleepers))
        return woke

    return run_virtual(main)


class TestTime:
    def test_sleepers_wake_in_the_order_of_their_deadlines(self):
        """Three hours pass in no time, and each task wakes at exactly its deadline."""
        assert stories(("slow", 10_800), ("fast", 0.1), ("mid", 2.5)) == [
            (0.1, "fast"),
            (2.5, "mid"),
            (10_800.0, "slow"),
        ]

    def test_equal_deadlines_fire_in_the_order_of_creation(self):
        """Stock asyncio breaks ties by the shape of its heap: 0 2 6 5 11 ..."""

        async def main(loop):
            fired = []
            for number in range(40):
                loop.call_at(1.0, fired.append, number)
            await asyncio.sleep(1.0)
            return fired

        assert run_virtual(main) == list(range(40))

    def test_repeated_sleeps_do_not_drift(self):
        """Ten times 0.1 s is one second exactly, and ties with a timer set for it."""

        async def main(loop):
            fired = []
            loop.call_at(1.0, fired.append, "timer")
            for _ in range(10):
                await asyncio.sleep(0.1)
            return fired, loop.time()

        assert run_virtual(main) == (["timer"], 1.0)

    def test_waiting_for_a_remainder_below_a_nanosecond_ends(self):
        """A deadline of 0.1 + 0.2 lies a hair past 0.3; the loop must get over it."""

        async def main(loop):
            deadline = 0.1 + 0.2
            for _ in range(3):
                await asyncio.sleep(max(0.0, deadline - loop.time()))
            return loop.time() >= deadline

        assert run_virtual(main)

    def test_a_timer_at_a_hair_past_now_does_not_fire_now(self):
        async def main(loop):
            await asyncio.sleep(0.3)
            fired = loop.create_future()
            loop.call_at(0.1 + 0.2, lambda: fired.set_result(loop.time()))
            return await fired

        assert run_virtual(main) == 0.300000001

    def test_a_deadline_in_the_past_fires_now(self):
        async def main(loop):
            await asyncio.sleep(5)
            fired = loop.create_future()
            loop.call_at(1.0, fired.set_result, "late")
            return await fired, loop.time()

        assert run_virtual(main) == ("late", 5.0)

    def test_an_infinite_sleep_never_ends_and_can_be_cancelled(self):
        async def main(loop):
            sleepers = [asyncio.create_task(asyncio.sleep(float("inf"))) for _ in range(300)]
            never = loop.call_at(float("inf"), list)
            await asyncio.sleep(3600)
            for task in sleepers:
                task.cancel()
            never.cancel()
            await asyncio.wait(sleepers)
            return loop.time(), loop._cancelled_timers

        assert run_virtual(main) == (3600.0, 0)

    def test_cancelled_timers_are_swept(self):
        """A day of requests that end before their timeout keeps no more than a few of them."""

        async def main(loop):
            for _ in range(5_000):
                async with asyncio.timeout(86_400):
                    await asyncio.sleep(0.001)
            return len(loop._timers)

        assert run_virtual(main) < 300

    @pytest.mark.parametrize("seed", range(5))
    def test_the_sweep_of_cancelled_timers_keeps_order_and_count(self, seed):
        """Cancelled in bulk, before and after the sweep; the rest fires by deadline, then age."""

        async def main(loop):
            chance, fired = Random(seed), []
            deadlines = [chance.randrange(1, 50) for _ in range(600)]
            handles = [
                loop.call_at(when, fired.append, (when, number))
                for number, when in enumerate(deadlines)
            ]
            kept = set(chance.sample(range(600), 120))
            for number in chance.sample(range(600), 600):
                if number not in kept:
                    handles[number].cancel()
            assert len(loop._timers) < 600
            for second in range(1, 51):
                await asyncio.sleep(second - loop.time())
                in_heap = sum(entry[2].is_cancelled for entry in loop._timers)
                assert loop._cancelled_timers == in_heap
            return fired, sorted((deadlines[number], number) for number in kept)

        fired, expected = run_virtual(main)
        assert fired == expected

    def test_a_cancelled_timer_does_not_move_the_time(self):
        async def main(loop):
            loop.call_later(50, list).cancel()
            await asyncio.sleep(1)

        seen = []
        run_virtual(main, on_advance=[seen.append])
        assert seen == [1.0]

    def test_handles_tell_their_deadline_and_whether_they_were_cancelled(self):
        async def main(loop):
            handle = loop.call_later(2.5, list)
            before = (handle.when(), handle.cancelled())
            handle.cancel()
            handle.cancel()
            return before, handle.cancelled(), loop._cancelled_timers

        assert run_virtual(main) == ((2.5, False), True, 1)

    def test_callbacks_see_the_context_they_were_given_even_an_empty_one(self):
        variable = contextvars.ContextVar("variable", default="none")

        async def main(loop):
            variable.set("caller's")
            seen = []
            empty = contextvars.Context()
            loop.call_soon(lambda: seen.append(variable.get()), context=empty)
            loop.call_later(1, lambda: seen.append(variable.get()), context=empty)
            loop.call_soon(lambda: seen.append(variable.get()))
            await asyncio.sleep(2)
            return seen

        assert run_virtual(main) == ["none", "caller's", "none"]

    @given(st.lists(st.sampled_from([0, 0.1, 0.25, 1, 1.5, 60]), max_size=12))
    @settings(max_examples=50, deadline=None)
    def test_any_set_of_sleepers_wakes_by_deadline_then_creation(self, delays):
        expected = sorted((float(delay), number) for number, delay in enumerate(delays))
        assert stories(*((number, delay) for number, delay in enumerate(delays))) == expected


class TestAdvanceHooks:
    def test_hooks_hear_the_new_time_before_any_callback_of_it(self):
        story = []

        async def main(loop):
            for seconds in (1, 0, 0.5):
                await asyncio.sleep(seconds)
                story.append(("woke", loop.time()))

        run_virtual(main, on_advance=[lambda now: story.append(("advance", now))])
        assert story == [
            ("advance", 1.0),
            ("woke", 1.0),
            ("woke", 1.0),
            ("advance", 1.5),
            ("woke", 1.5),
        ]

    def test_a_hook_can_be_added_during_the_run(self):
        async def main(loop):
            await asyncio.sleep(1)
            heard = []
            loop.on_advance.append(heard.append)
            await asyncio.sleep(1)
            return heard

        assert run_virtual(main) == [2.0]

    def test_a_hook_that_raises_ends_the_run(self):
        def hook(now):
            raise LookupError(now)

        with pytest.raises(LookupError, match=r"1\.0"):
            run_virtual(lambda _: asyncio.sleep(1), on_advance=[hook])
