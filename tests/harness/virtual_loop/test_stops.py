"""What stops the loop: deadlocks, limits, and everything outside the simulation."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import weakref
from pathlib import Path

import pytest

from harness.kernel import (
    DeadlockError,
    LimitError,
    OutsideWorldError,
    VirtualLoop,
    run_virtual,
)


class TestStops:
    def test_a_deadlock_names_who_waits_and_at_which_line(self):
        """Instead of hanging, the loop says which tasks wait, in creation order, and where."""

        async def consumer(queue):
            await queue.get()

        async def main(loop):
            waiter = asyncio.create_task(consumer(asyncio.Queue()), name="consumer")
            await asyncio.sleep(2)
            await asyncio.gather(waiter)

        with pytest.raises(DeadlockError) as caught:
            run_virtual(main)
        line_of_main = inspect.getsourcelines(main)[1] + 3
        line_of_consumer = inspect.getsourcelines(consumer)[1] + 1
        where = "TestStops.test_a_deadlock_names_who_waits_and_at_which_line.<locals>"
        assert caught.value.at == 2.0
        assert caught.value.waiting == (
            f"task 'main' waits at virtual_loop/test_stops.py:{line_of_main} in {where}.main",
            f"task 'consumer' waits at virtual_loop/test_stops.py:{line_of_consumer} "
            f"in {where}.consumer (Queue.get)",
        )
        assert all(sentence in str(caught.value) for sentence in caught.value.waiting)

    def test_a_task_that_waits_only_on_asyncio_is_named_by_asyncios_line(self):
        async def main(_):
            lock = asyncio.Event()
            await asyncio.gather(asyncio.create_task(lock.wait(), name="bare"))

        with pytest.raises(DeadlockError, match=r"'bare' waits at asyncio/locks\.py:\d+ in Event"):
            run_virtual(main)

    def test_time_beyond_max_time_is_an_error_that_names_who_is_left(self):
        async def main(_):
            for _ in range(1_000):
                await asyncio.sleep(7)

        with pytest.raises(LimitError, match=r"end by t=60\.000000.*at t=56\.000000(.|\n)*'main'"):
            run_virtual(main, max_time=60)

    def test_max_time_itself_is_still_allowed(self):
        assert run_virtual(lambda _: asyncio.sleep(60, "ok"), max_time=60) == "ok"

    def test_a_task_that_spins_at_one_instant_is_stopped(self):
        async def main(_):
            await asyncio.sleep(3)
            for _ in range(1_000):
                await asyncio.sleep(0)

        with pytest.raises(LimitError, match=r"max_iterations=500 rounds; at t=3\.000000"):
            run_virtual(main, max_iterations=500)

    def test_the_iterations_count_per_instant_and_not_per_run(self):
        async def main(loop):
            for _ in range(2_000):
                await asyncio.sleep(0.01)
            return loop.time()

        assert run_virtual(main, max_iterations=10) == 20.0

    def test_stop_ends_run_forever_after_the_round(self):
        loop = VirtualLoop()
        loop.call_later(3, loop.stop)
        loop.run_forever()
        assert loop.time() == 3.0
        loop.stop()
        loop.run_forever()
        assert not loop.is_running()
        loop.close()

    def test_a_loop_stopped_before_its_future_is_done_says_so(self):
        loop = VirtualLoop()
        loop.call_later(1, loop.stop)
        with pytest.raises(RuntimeError, match="stopped before"):
            loop.run_until_complete(loop.create_future())
        loop.close()

    def test_a_closed_loop_takes_nothing_more(self):
        loop = VirtualLoop()
        loop.close()
        loop.close()
        for attempt in (
            lambda: loop.call_soon(list),
            lambda: loop.call_later(1, list),
            lambda: loop.call_at(1, list),
            loop.run_forever,
        ):
            with pytest.raises(RuntimeError, match="this one is closed"):
                attempt()

    def test_a_running_loop_cannot_be_closed_or_run_again(self):
        async def main(loop):
            with pytest.raises(RuntimeError, match="cannot close a running one"):
                loop.close()
            with pytest.raises(RuntimeError, match="no running event loop"):
                VirtualLoop().run_forever()
            return loop.is_running(), loop.is_closed(), asyncio.get_running_loop() is loop

        assert run_virtual(main) == (True, False, True)

    def test_keyboard_interrupt_leaves_the_loop_and_is_not_reported_twice(self):
        async def main(_):
            await asyncio.sleep(1)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt) as caught:
            run_virtual(main)
        assert not hasattr(caught.value, "__notes__")


OUTSIDE = {
    name
    for name in vars(asyncio.AbstractEventLoop)
    if name.startswith(("sock_", "create_", "connect_", "subprocess_", "add_", "remove_", "getn"))
    or name in {"getaddrinfo", "run_in_executor", "set_default_executor", "start_tls", "sendfile"}
} - {"create_task", "create_future"}


class TestOutsideWorld:
    @pytest.mark.parametrize("name", sorted(OUTSIDE))
    def test_what_leaves_the_simulation_is_refused_with_advice(self, name):
        """Everything the abstract loop has for sockets, files, DNS, processes, threads, signals."""
        with pytest.raises(OutsideWorldError, match=r"inside the simulation: .+[;,] "):
            getattr(VirtualLoop(), name)("anything", of="any kind")

    def test_to_thread_is_refused(self):
        with pytest.raises(OutsideWorldError, match="threads run in real time"):
            run_virtual(lambda _: asyncio.to_thread(list))

    def test_open_connection_is_refused(self):
        with pytest.raises(OutsideWorldError, match="no sockets"):
            run_virtual(lambda _: asyncio.open_connection("127.0.0.1", 80))

    def test_a_task_factory_is_refused(self):
        loop = VirtualLoop()
        assert loop.get_task_factory() is None
        with pytest.raises(OutsideWorldError, match="wrap the coroutine"):
            loop.set_task_factory(asyncio.Task)

    def test_call_soon_threadsafe_is_refused_from_another_thread_only(self):
        refused = []

        def intrude(loop):
            try:
                loop.call_soon_threadsafe(list)
            except OutsideWorldError as error:
                refused.append(str(error))

        async def main(loop):
            done = loop.create_future()
            loop.call_soon_threadsafe(done.set_result, "own thread")
            thread = threading.Thread(target=intrude, args=(loop,))
            thread.start()
            thread.join()
            return await done

        assert run_virtual(main) == "own thread"
        assert refused == [
            "refused inside the simulation: threads run in real time; await the work, "
            "or call it inline"
        ]

    def test_ten_thousand_runs_leave_no_descriptor_and_no_loop_behind(self):
        async def main(_):
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(1))
            asyncio.create_task(asyncio.sleep(9), name="left over")  # noqa: RUF006 - on purpose

        def descriptors():
            return sorted(path.name for path in Path("/proc/self/fd").iterdir())

        run_virtual(main)
        gc.collect()
        before, objects = descriptors(), len(gc.get_objects())
        for _ in range(10_000):
            run_virtual(main)
        gc.collect()
        # The listing itself holds one descriptor, the same number each time.
        assert descriptors() == before
        assert len(gc.get_objects()) - objects < 100

    def test_a_loop_is_freed_after_its_run(self):
        loops = []

        async def main(loop):
            loops.append(weakref.ref(loop))
            await asyncio.sleep(1)

        run_virtual(main)
        gc.collect()
        assert loops[0]() is None
