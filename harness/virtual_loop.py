"""An asyncio event loop in virtual time, which gives one seed one run, in any process.

Time is a whole number of nanoseconds, starts at 0, and moves only when nothing is left to do at
the present instant. Whatever decides an order is a counter. The loop stands on
`asyncio.AbstractEventLoop` and not on a stock loop: it opens no file descriptor, depends on no
private part of theirs, and has every method that asyncio's own tasks, locks, queues, timeouts and
groups call.

Refused with advice: sockets, DNS, pipes, threads, subprocesses, signals. Not caught: a future
made by `asyncio.Future()` instead of `loop.create_future()` still hashes by its address.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import threading
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterable
from contextvars import Context, copy_context
from heapq import heapify, heappop, heappush
from itertools import count
from random import Random
from typing import Any, NoReturn, TypeVar, TypeVarTuple

from harness._loop_parts import (
    SECOND,
    CountedFuture,
    CountedTask,
    DeadlockError,
    Failure,
    Handle,
    KernelError,
    LimitError,
    NoOutsideWorld,
    refuse_threads,
    shuffle_tasks,
    where_it_waits,
)

__all__ = ["AdvanceHook", "VirtualLoop"]

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
AdvanceHook = Callable[[float], None]
_ExceptionHandler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]

_SPARE_TIMERS = 100
_SPARE_FAILURES = 64


class VirtualLoop(NoOutsideWorld):
    """An asyncio event loop whose time is simulated. Use it through `run_virtual`.

    Attributes:
        seconds: What `time` returns, without a call.

    Args:
        max_time: Virtual seconds beyond which the time may not move.
        max_iterations: Rounds of the loop allowed at one instant; it stops a task that spins.
        shuffle: Permutes the tasks that are ready in one round, to explore schedules. Plain
            callbacks keep their places, whose order asyncio promises.
        on_advance: Called with the new time in seconds when it has moved, before any callback of
            that time. May be appended to during the run. What a hook raises ends the run.
    """

    def __init__(
        self,
        *,
        max_time: float | None = None,
        max_iterations: int = 100_000,
        shuffle: Random | None = None,
        on_advance: Iterable[AdvanceHook] = (),
    ) -> None:
        self.on_advance = list(on_advance)
        self._limit_ns = math.inf if max_time is None else max_time * SECOND
        self._max_iterations = max_iterations
        self._iterations = 0
        self._shuffle = shuffle
        self.seconds = 0.0
        self._now_ns: float = 0  # whole numbers, typed with the infinite deadlines they meet
        self._ready: deque[Handle] = deque()
        self._timers: list[tuple[float, int, Handle]] = []
        self._cancelled_timers = 0
        self._timer_serials = count()
        self._task_serials = count(1)
        self.next_future_serial = count().__next__
        # Strong references, unlike asyncio's: no task disappears because nobody kept it.
        self._tasks: dict[int, CountedTask] = {}
        self._asyncgens: dict[int, weakref.ref[AsyncGenerator[Any, Any]]] = {}
        self._asyncgen_serials = count()
        self._failures: list[Failure] = []
        self._failed_tasks: list[tuple[float, CountedTask]] = []
        self._prune_failed_at = _SPARE_FAILURES
        self._exception_handler: _ExceptionHandler | None = None
        self._debug = False
        self._running = False
        self._closed = False
        self._stopping = False
        self._thread = threading.get_ident()

    def __repr__(self) -> str:
        return f"<VirtualLoop t={self.time():.6f} tasks={len(self._tasks)} closed={self._closed}>"

    # -- time and callbacks

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self.seconds

    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Call back in the next round, in the order of these calls."""
        if self._closed:
            self._check_open()
        handle = Handle(callback, args, copy_context() if context is None else context)
        self._ready.append(handle)
        return handle  # type: ignore[return-value]  # the same face, without asyncio's debug state

    def call_soon_threadsafe(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Like `call_soon`, from the loop's own thread; refused from any other."""
        if threading.get_ident() != self._thread:
            refuse_threads()
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call back `delay` seconds from now, equal deadlines in the order of these calls.

        To the nearest nanosecond, but a positive delay always moves the time. An infinite one
        never ends.
        """
        if delay == math.inf:
            return self._set_timer(math.inf, callback, args, context)
        delay_ns = round(delay * SECOND)
        # Without this, `while now() < deadline: sleep(deadline - now())` spins on a remainder
        # that is smaller than a nanosecond.
        if delay_ns == 0 and delay > 0:
            delay_ns = 1
        return self._set_timer(self._now_ns + delay_ns, callback, args, context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call back at `when` seconds of `time()`; see `call_later`."""
        if when == math.inf:
            return self._set_timer(math.inf, callback, args, context)
        when_ns = round(when * SECOND)
        if when_ns == self._now_ns and when > self.seconds:
            when_ns += 1
        return self._set_timer(when_ns, callback, args, context)

    def _set_timer(
        self,
        when_ns: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context | None,
    ) -> asyncio.TimerHandle:
        if self._closed:
            self._check_open()
        context = copy_context() if context is None else context
        is_queued = when_ns < math.inf
        handle = Handle(callback, args, context, when_ns, self if is_queued else None)
        if is_queued:
            heappush(self._timers, (when_ns, next(self._timer_serials), handle))
        return handle  # type: ignore[return-value]  # as in call_soon

    def timer_cancelled(self) -> None:
        """Count a cancelled timer, for `Handle`; sweep when too many are kept."""
        # A request that ends before its timeout leaves a cancelled timer behind. Without the
        # sweep a day of them would be in memory.
        self._cancelled_timers += 1
        if self._cancelled_timers > _SPARE_TIMERS + len(self._timers) // 2:
            self._timers[:] = [entry for entry in self._timers if not entry[2].is_cancelled]
            heapify(self._timers)
            self._cancelled_timers = 0

    # -- one round of the loop

    def _run_once(self) -> None:
        ready = self._ready
        if not ready and not self._stopping:
            self._advance()
        self._iterations += 1
        if self._iterations > self._max_iterations:
            self._stop_spinning()
        timers, now_ns = self._timers, self._now_ns
        while timers and timers[0][0] <= now_ns:
            handle = heappop(timers)[2]
            handle.queued_on = None
            if handle.is_cancelled:
                self._cancelled_timers -= 1
            else:
                ready.append(handle)
        if self._shuffle is not None:
            shuffle_tasks(ready, self._shuffle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.is_cancelled:
                try:
                    handle.context.run(handle.callback, *handle.args)
                except (KeyboardInterrupt, SystemExit):
                    raise
                except BaseException as error:
                    self._fail(f"in callback {handle.callback!r}", error)

    def _advance(self) -> None:
        """Move the time to the next live timer."""
        timers = self._timers
        while timers and timers[0][2].is_cancelled:
            heappop(timers)
            self._cancelled_timers -= 1
        if not timers:
            raise DeadlockError(self.time(), self.waiting())
        when_ns = timers[0][0]
        if when_ns > self._limit_ns:
            expected = f"the run to end by t={self._limit_ns / SECOND:.6f}, its max_time"
            raise LimitError(self.time(), expected, self.waiting())
        if when_ns > self._now_ns:
            self._now_ns = when_ns
            self.seconds = when_ns / SECOND
            self._iterations = 0
            for hook in self.on_advance:
                hook(self.seconds)

    def _stop_spinning(self) -> NoReturn:
        self._iterations = 0
        expected = f"time to move on within max_iterations={self._max_iterations!r} rounds"
        raise LimitError(self.time(), expected, self.waiting())

    # -- running

    def run_forever(self) -> None:
        """Run until `stop()`; a loop with nothing left to do raises `DeadlockError`."""
        self._check_open()
        if asyncio._get_running_loop() is not None:  # noqa: SLF001 - for loops
            raise RuntimeError("expected no running event loop in this thread, there is one")
        previous = sys.get_asyncgen_hooks()
        self._thread = threading.get_ident()
        sys.set_asyncgen_hooks(self._asyncgen_born, self._asyncgen_dropped)
        asyncio._set_running_loop(self)  # noqa: SLF001 - exported for loops
        self._running = True
        try:
            while True:
                self._run_once()
                if self._stopping:
                    break
        finally:
            self._running = self._stopping = False
            asyncio._set_running_loop(None)  # noqa: SLF001 - the same
            sys.set_asyncgen_hooks(*previous)

    def run_until_complete(self, future: Awaitable[_T]) -> _T:  # type: ignore[override]  # no bare generators
        """Run until `future` is done; return its result or raise its exception."""
        self._check_open()
        task = asyncio.ensure_future(future, loop=self)
        task.add_done_callback(self._stop_after)
        try:
            self.run_forever()
        except BaseException:
            if task.done() and not task.cancelled():
                task.exception()  # raised already, so it counts as seen
            raise
        finally:
            task.remove_done_callback(self._stop_after)
        if not task.done():
            raise RuntimeError("expected the future to be done, the loop was stopped before")
        return task.result()

    def _stop_after(self, _future: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End `run_forever` after this round."""
        self._stopping = True

    def is_running(self) -> bool:
        """Whether it runs now."""
        return self._running

    def is_closed(self) -> bool:
        """Whether it can never run again."""
        return self._closed

    def close(self) -> None:
        """Drop all that is scheduled. Failures that nobody took go to asyncio's logger."""
        if self._running:
            raise RuntimeError("expected a loop that does not run, cannot close a running one")
        for failure in self.take_failures():
            logging.getLogger("asyncio").error("%s", failure, exc_info=failure.error)
        self._closed = True
        self._ready.clear()
        self._timers.clear()
        self._tasks.clear()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("expected an open loop, this one is closed; a run has its own loop")

    # -- tasks and futures

    def create_future(self) -> asyncio.Future[Any]:
        """Make a future that hashes by a counter."""
        return CountedFuture(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, _T] | Coroutine[Any, Any, _T],
        *,
        name: object = None,
        context: Context | None = None,
    ) -> asyncio.Task[_T]:
        """Start a task. Names not given count from Task-1 in each loop, not in the process."""
        self._check_open()
        serial = next(self._task_serials)
        task = CountedTask(coro, serial, self, str(name or f"Task-{serial}"), context=context)
        self._tasks[serial] = task
        task.add_done_callback(self._task_done)
        return task

    def get_task_factory(self) -> None:
        """None: there is none, and none can be set."""
        return

    def pending_tasks(self) -> list[asyncio.Task[Any]]:
        """The tasks that have not ended, in creation order."""
        return [task for task in self._tasks.values() if not task.done()]

    def waiting(self) -> tuple[str, ...]:
        """One sentence for each pending task: its name, and the source line it waits at."""
        return tuple(map(where_it_waits, self.pending_tasks()))

    def end_tasks(self, grace: float) -> tuple[str, ...]:
        """Cancel what is pending, in creation order, until nothing is; return the names.

        The tasks have `grace` virtual seconds, whatever the loop's own limit. One that does not
        end in that time is a failure. Open asynchronous generators are closed last.
        """
        self._limit_ns = self._now_ns + grace * SECOND
        names: list[str] = []
        while pending := self.pending_tasks():
            names += [task.get_name() for task in pending]
            if not self._end(pending):
                return tuple(names)
        self.run_until_complete(self.shutdown_asyncgens())
        return tuple(names)

    def _end(self, pending: list[asyncio.Task[Any]]) -> bool:
        for task in pending:
            task.cancel()
        try:
            self.run_until_complete(asyncio.wait(pending))
        except KernelError as error:
            for task in pending:
                if not task.done():
                    self._fail(f"{where_it_waits(task)} although it was cancelled", error)
            return False
        return True

    def _task_done(self, task: CountedTask) -> None:
        del self._tasks[task.serial]
        if _is_unseen(task):
            self._failed_tasks.append((self.time(), task))
        if len(self._failed_tasks) >= self._prune_failed_at:
            self._failed_tasks = [entry for entry in self._failed_tasks if _is_unseen(entry[1])]
            self._prune_failed_at = _SPARE_FAILURES + 2 * len(self._failed_tasks)

    # -- failures

    def take_failures(self) -> tuple[Failure, ...]:
        """What nobody awaited so far, by time. Each is handed out once, and is then retrieved."""
        unseen = [entry for entry in self._failed_tasks if _is_unseen(entry[1])]
        self._failed_tasks = []
        for at, task in unseen:
            error = task.exception()
            assert error is not None
            self._failures.append(Failure(at, f"in task {task.get_name()!r}", error))
        taken = tuple(sorted(self._failures, key=lambda failure: failure.at))
        self._failures = []
        return taken

    def _fail(self, message: str, error: BaseException) -> None:
        self.call_exception_handler({"message": message, "exception": error})

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Hand a failure to the handler that was set, or keep it for `take_failures`."""
        handler = self._exception_handler or VirtualLoop.default_exception_handler
        handler(self, context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep the failure for `take_failures`."""
        message = context["message"]
        error = context.get("exception") or KernelError(message)
        self._failures.append(Failure(self.time(), message, error))

    def get_exception_handler(self) -> _ExceptionHandler | None:
        """The handler that was set, if any."""
        return self._exception_handler

    def set_exception_handler(self, handler: _ExceptionHandler | None) -> None:
        """Set who gets the failures; None for the default."""
        self._exception_handler = handler

    def get_debug(self) -> bool:
        """Whether asyncio's objects keep the traceback of their creation."""
        return self._debug

    def set_debug(self, enabled: bool) -> None:
        """Turn asyncio's debug mode on or off."""
        self._debug = enabled

    # -- asynchronous generators

    def _asyncgen_born(self, generator: AsyncGenerator[Any, Any]) -> None:
        serial = next(self._asyncgen_serials)
        living = self._asyncgens
        living[serial] = weakref.ref(generator, lambda _: living.pop(serial, None))

    def _asyncgen_dropped(self, generator: AsyncGenerator[Any, Any]) -> None:
        if not self._closed:
            self.call_soon(self.create_task, generator.aclose())

    async def shutdown_asyncgens(self) -> None:
        """Close the generators that are still open, in creation order."""
        living = [reference() for reference in self._asyncgens.values()]
        for generator in living:
            if generator is not None:
                try:
                    await generator.aclose()
                except Exception as error:
                    self._fail(f"closing {generator!r}", error)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Do nothing: there is no executor."""


def _is_unseen(task: asyncio.Task[Any]) -> bool:
    # The only place where asyncio says that nobody has retrieved the exception so far.
    return task._log_traceback  # noqa: SLF001
