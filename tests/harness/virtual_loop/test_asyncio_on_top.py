"""Asyncio's own tools, on virtual time."""

from __future__ import annotations

import asyncio

from harness.kernel import (
    run_virtual,
)


class TestAsyncioOnTop:
    """What asyncio builds on a loop works in virtual time, to the nanosecond."""

    def test_timeout_and_wait_for(self):
        async def main(loop):
            story = []
            try:
                async with asyncio.timeout(5):
                    await asyncio.sleep(50)
            except TimeoutError:
                story.append(("timeout", loop.time()))
            try:
                await asyncio.wait_for(asyncio.sleep(50), 2.5)
            except TimeoutError:
                story.append(("wait_for", loop.time()))
            story.append((await asyncio.wait_for(asyncio.sleep(1, "in time"), 2.5), loop.time()))
            return story

        assert run_virtual(main) == [("timeout", 5.0), ("wait_for", 7.5), ("in time", 8.5)]

    def test_queue_event_and_semaphore(self):
        async def main(loop):
            story = []
            queue, gate, permits = asyncio.Queue(maxsize=1), asyncio.Event(), asyncio.Semaphore(2)

            async def produce():
                for number in range(3):
                    await queue.put(number)
                gate.set()

            async def consume():
                for _ in range(3):
                    await asyncio.sleep(1)
                    story.append((loop.time(), await queue.get()))

            async def work(number):
                await gate.wait()
                async with permits:
                    await asyncio.sleep(1)
                    story.append((loop.time(), f"worker {number}"))

            async with asyncio.TaskGroup() as group:
                for coroutine in (produce(), consume(), *map(work, range(3))):
                    group.create_task(coroutine)
            return story

        assert run_virtual(main) == [
            (1.0, 0),
            (2.0, 1),
            (3.0, 2),
            (3.0, "worker 0"),
            (3.0, "worker 1"),
            (4.0, "worker 2"),
        ]

    def test_shield_protects_and_gather_collects(self):
        async def main(loop):
            inner = asyncio.create_task(asyncio.sleep(3, "saved"))
            outer = asyncio.create_task(asyncio.wait_for(asyncio.shield(inner), 1))
            results = await asyncio.gather(outer, inner, return_exceptions=True)
            return [type(results[0]), results[1], loop.time()]

        assert run_virtual(main) == [TimeoutError, "saved", 3.0]

    def test_as_completed_yields_in_the_order_of_time(self):
        async def main(_):
            sleepers = [asyncio.sleep(seconds, seconds) for seconds in (3, 1, 2)]
            return [await each for each in asyncio.as_completed(sleepers)]

        assert run_virtual(main) == [1, 2, 3]

    def test_open_async_generators_are_closed_in_the_order_of_their_start(self):
        closed = []

        async def ticks(name):
            try:
                while True:
                    await asyncio.sleep(1)
                    yield name
            finally:
                await asyncio.sleep(1)
                closed.append(name)

        kept = [ticks(number) for number in range(20)]

        async def main(_):
            for generator in kept:
                await anext(generator)

        run_virtual(main)
        assert closed == list(range(20))

    def test_a_dropped_async_generator_is_closed_by_the_loop(self):
        async def main(loop):
            closed = []

            async def ticks():
                try:
                    yield 1
                finally:
                    await asyncio.sleep(1)
                    closed.append(loop.time())

            async for _ in ticks():
                break
            await asyncio.sleep(2)
            return closed

        assert run_virtual(main) == [1.0]
