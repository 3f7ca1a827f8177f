"""The loop: virtual time, order, limits, deadlocks, refusals, and asyncio's own tools on top."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import logging
import threading
import weakref
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.kernel import (
    DeadlockError,
    KernelError,
    LimitError,
    OutsideWorldError,
    UnhandledFailuresError,
    VirtualLoop,
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
            f"task 'main' waits at harness/test_virtual_loop.py:{line_of_main} in {where}.main",
            f"task 'consumer' waits at harness/test_virtual_loop.py:{line_of_consumer} "
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

    @given(st.lists(st.sampled_from([0, 0.1, 0.25, 1, 1.5, 60]), max_size=12))
    @settings(max_examples=50, deadline=None)
    def test_any_set_of_sleepers_wakes_by_deadline_then_creation(self, delays):
        expected = sorted((float(delay), number) for number, delay in enumerate(delays))
        assert stories(*((number, delay) for number, delay in enumerate(delays))) == expected


class TestFailures:
    def test_a_failed_task_that_nobody_awaits_fails_the_run(self):
        """The program ended well, but something in it had not: with its time and its name."""

        async def main(_):
            async def pump():
                await asyncio.sleep(2)
                raise LookupError("lost")

            asyncio.create_task(pump(), name="pump")  # noqa: RUF006 - on purpose
            await asyncio.sleep(5)

        with pytest.raises(UnhandledFailuresError) as caught:
            run_virtual(main)
        assert [str(failure) for failure in caught.value.failures] == [
            "t=2.000000: in task 'pump': LookupError('lost')"
        ]
        assert isinstance(caught.value.__cause__, LookupError)

    def test_failures_are_reported_by_time_and_then_the_run_counts_as_well_ended(self):
        def explode():
            raise ZeroDivisionError

        async def main(loop):
            async def pump():
                await asyncio.sleep(1)
                raise LookupError

            asyncio.create_task(pump(), name="pump")  # noqa: RUF006 - on purpose
            loop.call_later(3, explode)
            await asyncio.sleep(5)
            return "done"

        failures = []
        assert run_virtual(main, on_failure=failures.append) == "done"
        assert [(failure.at, type(failure.error)) for failure in failures] == [
            (1.0, LookupError),
            (3.0, ZeroDivisionError),
        ]

    def test_failures_are_notes_on_the_error_of_main(self):
        async def main(loop):
            loop.call_soon(lambda: 1 / 0)
            await asyncio.sleep(1)
            raise LookupError

        failures = []
        with pytest.raises(LookupError) as caught:
            run_virtual(main, on_failure=failures.append)
        assert [note.split(": ")[0] for note in caught.value.__notes__] == [
            "nobody awaited t=0.000000"
        ]
        assert len(failures) == 1

    def test_a_failure_that_was_awaited_late_is_none(self):
        async def main(_):
            async def bad():
                raise LookupError

            tasks = [asyncio.create_task(bad()) for _ in range(200)]
            await asyncio.sleep(5)
            results = await asyncio.gather(*tasks, return_exceptions=True)
            return {type(result) for result in results}

        assert run_virtual(main) == {LookupError}

    def test_retrieved_failures_are_not_kept_for_the_rest_of_the_run(self):
        """A day in which a request fails every second must not hold every traceback."""

        async def main(loop):
            async def bad():
                raise LookupError

            most = 0
            for _ in range(1_000):
                await asyncio.gather(asyncio.create_task(bad()), return_exceptions=True)
                most = max(most, len(loop._failed_tasks))
            return most

        assert run_virtual(main) < 100

    def test_every_unseen_failure_survives_the_pruning(self):
        async def main(_):
            async def bad():
                raise LookupError

            for _ in range(500):
                asyncio.create_task(bad())  # noqa: RUF006 - on purpose
                await asyncio.sleep(1)

        failures = []
        run_virtual(main, on_failure=failures.append)
        assert [failure.at for failure in failures] == [float(n) for n in range(500)]

    def test_an_exception_handler_of_ones_own_gets_the_failures(self):
        async def main(loop):
            heard = []
            loop.set_exception_handler(lambda _, context: heard.append(context["message"]))
            loop.call_exception_handler({"message": "from outside"})
            return heard, loop.get_exception_handler() is not None

        assert run_virtual(main) == (["from outside"], True)

    def test_a_failure_without_an_exception_gets_one(self):
        async def main(loop):
            loop.call_exception_handler({"message": "odd"})

        failures = []
        run_virtual(main, on_failure=failures.append)
        assert [(type(each.error), str(each.error)) for each in failures] == [(KernelError, "odd")]

    def test_failures_that_nobody_took_go_to_asyncios_logger(self, caplog):
        loop = VirtualLoop()
        loop.call_exception_handler({"message": "odd"})
        with caplog.at_level(logging.ERROR, "asyncio"):
            loop.close()
        assert [record.getMessage() for record in caplog.records] == [
            "t=0.000000: odd: KernelError('odd')"
        ]


class TestLeftovers:
    def test_leftovers_are_cancelled_in_creation_order_and_named(self):
        story, names = [], []

        async def stay(name):
            try:
                await asyncio.sleep(1_000)
            finally:
                await asyncio.sleep(1)
                story.append(name)

        async def main(_):
            for number in range(20):
                asyncio.create_task(stay(number), name=f"stay {number}")  # noqa: RUF006
            await asyncio.sleep(1)

        run_virtual(main, max_time=1, on_leftovers=names.append)
        assert story == list(range(20))
        assert names == [tuple(f"stay {number}" for number in range(20))]

    def test_after_a_deadlock_the_leftovers_are_named_too(self):
        names = []
        with pytest.raises(DeadlockError):
            run_virtual(
                lambda loop: asyncio.wait([loop.create_future()]), on_leftovers=names.append
            )
        assert names == [("main",)]

    def test_a_task_started_by_a_leftover_ends_as_well(self):
        names = []

        async def heir():
            await asyncio.sleep(1_000)

        async def stay():
            try:
                await asyncio.sleep(1_000)
            finally:
                asyncio.create_task(heir(), name="heir")  # noqa: RUF006 - on purpose

        async def main(_):
            asyncio.create_task(stay(), name="stay")  # noqa: RUF006 - on purpose
            await asyncio.sleep(1)

        run_virtual(main, on_leftovers=names.append)
        assert names == [("stay", "heir")]

    def test_a_task_that_ignores_its_cancellation_is_a_failure(self):
        async def stubborn():
            while True:
                try:
                    await asyncio.sleep(1)
                except asyncio.CancelledError:
                    continue

        async def main(_):
            asyncio.create_task(stubborn(), name="stubborn")  # noqa: RUF006 - on purpose
            await asyncio.sleep(10)

        failures = []
        run_virtual(main, on_failure=failures.append)
        gc.collect()
        assert [(each.at, type(each.error)) for each in failures] == [(70.0, LimitError)]
        assert failures[0].message.startswith("task 'stubborn' waits at ")
        assert failures[0].message.endswith(" although it was cancelled")

    def test_an_exception_during_the_cancellation_does_not_vanish(self):
        async def stay():
            try:
                await asyncio.sleep(1_000)
            finally:
                raise LookupError("while closing")

        async def main(_):
            asyncio.create_task(stay(), name="stay")  # noqa: RUF006 - on purpose
            await asyncio.sleep(1)

        with pytest.raises(UnhandledFailuresError, match="in task 'stay': LookupError"):
            run_virtual(main)


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
