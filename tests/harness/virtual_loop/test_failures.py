"""Failures that nobody awaits, and tasks that are left over."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from harness.kernel import (
    DeadlockError,
    KernelError,
    LimitError,
    UnhandledFailuresError,
    VirtualLoop,
    run_virtual,
)


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
