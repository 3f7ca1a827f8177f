"""Tasks on the loop: their names, their order, and the order shuffled by a seed."""

from __future__ import annotations

import asyncio
import gc
import weakref
from random import Random

import pytest

from harness.kernel import (
    VirtualLoop,
    run_virtual,
)


class TestTasks:
    def test_unnamed_tasks_are_numbered_in_each_run_and_not_in_the_process(self):
        async def main(_):
            return asyncio.create_task(asyncio.sleep(0)).get_name()

        assert [run_virtual(main), run_virtual(main)] == ["Task-2", "Task-2"]

    def test_a_task_that_nobody_keeps_runs_to_its_end(self):
        """Stock asyncio holds tasks weakly: this one would be garbage, a cycle with its future."""

        async def main(loop):
            done = []

            async def orphan():
                waiter = loop.create_future()
                loop.call_later(5, lambda ref: ref() and ref().set_result(1), weakref.ref(waiter))
                await waiter
                done.append(loop.time())

            asyncio.create_task(orphan())  # noqa: RUF006 - on purpose
            await asyncio.sleep(1)
            gc.collect()
            await asyncio.sleep(10)
            return done

        assert run_virtual(main) == [5.0]

    def test_sets_of_tasks_and_futures_iterate_in_one_order(self):
        """What `asyncio.wait` returns is a set; by address its order changes from run to run."""

        async def main(loop):
            junk = [object() for _ in range(Random().randrange(1000))]
            tasks = [asyncio.create_task(asyncio.sleep(0), name=str(n)) for n in range(50)]
            futures = [loop.create_future() for _ in range(50)]
            numbers = {id(future): n for n, future in enumerate(futures)}
            for future in futures:
                future.set_result(None)
            done_tasks, _ = await asyncio.wait(tasks)
            done_futures, _ = await asyncio.wait(futures)
            del junk
            return (
                [task.get_name() for task in done_tasks],
                [numbers[id(future)] for future in done_futures],
                [task.get_name() for task in asyncio.all_tasks()],
            )

        first = run_virtual(main)
        assert sorted(first[0], key=int) == [str(n) for n in range(50)]
        assert all(run_virtual(main) == first for _ in range(5))

    def test_a_task_group_cancels_its_children_in_order_of_creation(self):
        async def main(_):
            cancelled = []

            async def child(number):
                try:
                    await asyncio.sleep(10)
                except asyncio.CancelledError:
                    cancelled.append(number)
                    raise

            async def bad():
                await asyncio.sleep(1)
                raise LookupError

            async def family():
                async with asyncio.TaskGroup() as group:
                    for number in range(100):
                        group.create_task(child(number))
                    group.create_task(bad())

            with pytest.raises(ExceptionGroup):
                await family()
            return cancelled

        assert run_virtual(main) == list(range(100))

    def test_asyncio_runner_can_use_the_loop(self):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            assert runner.run(asyncio.sleep(3600, "an hour")) == "an hour"
            assert runner.get_loop().time() == 3600.0

    def test_debug_mode_is_honoured(self):
        with asyncio.Runner(loop_factory=VirtualLoop, debug=True) as runner:
            assert runner.get_loop().get_debug()
            assert runner.run(asyncio.sleep(1, "ok")) == "ok"


class TestShuffle:
    @staticmethod
    def order(shuffle):
        async def main(loop):
            story = []

            async def step(number):
                for _ in range(2):
                    story.append(number)
                    await asyncio.sleep(0)

            tasks = [asyncio.create_task(step(number)) for number in range(6)]
            for number in range(6):
                loop.call_soon(story.append, f"callback {number}")
            await asyncio.wait(tasks)
            return story

        return run_virtual(main, shuffle=shuffle)

    def test_one_seed_gives_one_schedule_and_seeds_differ(self):
        schedules = [self.order(Random(seed)) for seed in range(5)]
        assert schedules == [self.order(Random(seed)) for seed in range(5)]
        assert len({tuple(schedule) for schedule in schedules}) == 5

    def test_plain_callbacks_keep_their_order_and_every_task_its_turns(self):
        for seed in range(20):
            story = self.order(Random(seed))
            callbacks = [each for each in story if isinstance(each, str)]
            assert callbacks == [f"callback {number}" for number in range(6)]
            assert sorted(each for each in story[:6]) == list(range(6))

    def test_without_shuffle_the_order_is_that_of_creation(self):
        assert self.order(None)[:6] == list(range(6))
