"""The engine for platforms that have threads and no event loop: plain functions that wait."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import closing
from types import TracebackType
from typing import Any, Self, TypeVar

from foxtrot.adapter.base_adapter import BaseAdapter
from foxtrot.server.engine import MainEngine, ShutdownReport
from foxtrot.util.errors import ComponentError, Outcome
from foxtrot.util.object import (
    AccountData,
    CancelRequest,
    OrderData,
    OrderRequest,
    SubscribeRequest,
)

__all__ = ["SyncEngine"]

T = TypeVar("T")


class SyncEngine:
    """A MainEngine on an event loop in a thread of its own. Safe for threads.

    Every function waits for its result, at most `timeout` seconds where one is given, and ends
    early when `close` is called from another thread. Given up, by either, an order's outcome is
    unknown, which the engine sees to. A function that waits would stop an event loop; called from
    a thread that runs one it raises RuntimeError. `report_error` waits for nothing.

    Subscribers and listeners are called in the engine's thread.

    Args:
        make: Makes the engine. Default: a MainEngine as it comes.
    """

    def __init__(self, make: Callable[[], MainEngine] = MainEngine) -> None:
        self.engine = make()
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._calls: set[concurrent.futures.Future[Any]] = set()
        self._closing: concurrent.futures.Future[ShutdownReport] | None = None
        self._thread = threading.Thread(target=self._run, name="foxtrot engine", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def add_adapter(
        self,
        adapter_class: Callable[..., BaseAdapter],
        adapter_name: str = "",
        *,
        standby_for: str | None = None,
        **options: Any,  # Any: each adapter class has options of its own
    ) -> BaseAdapter:
        """See `MainEngine.add_adapter`."""

        async def add() -> BaseAdapter:
            return self.engine.add_adapter(
                adapter_class, adapter_name, standby_for=standby_for, **options
            )

        return self._wait_for(add(), None)

    def connect(
        self,
        adapter_name: str,
        setting: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """See `MainEngine.connect`."""
        self._wait_for(self.engine.connect(adapter_name, setting), timeout)

    def subscribe(
        self,
        requests: Sequence[SubscribeRequest],
        adapter_name: str,
        *,
        timeout: float | None = None,
    ) -> None:
        """See `MainEngine.subscribe`."""
        self._wait_for(self.engine.subscribe(requests, adapter_name), timeout)

    def send_order(
        self, request: OrderRequest, adapter_name: str, *, timeout: float | None = None
    ) -> str:
        """See `MainEngine.send_order`."""
        return self._wait_for(self.engine.send_order(request, adapter_name), timeout)

    def cancel_order(
        self, request: CancelRequest, adapter_name: str, *, timeout: float | None = None
    ) -> OrderData:
        """See `MainEngine.cancel_order`."""
        return self._wait_for(self.engine.cancel_order(request, adapter_name), timeout)

    def query_order(
        self, request: CancelRequest, adapter_name: str, *, timeout: float | None = None
    ) -> OrderData | None:
        """See `MainEngine.query_order`."""
        return self._wait_for(self.engine.query_order(request, adapter_name), timeout)

    def query_account(
        self, adapter_name: str, *, timeout: float | None = None
    ) -> list[AccountData]:
        """See `MainEngine.query_account`."""
        return self._wait_for(self.engine.query_account(adapter_name), timeout)

    def handle_adapter_error(
        self, adapter_name: str, error: Exception, *, timeout: float | None = None
    ) -> bool:
        """See `MainEngine.handle_adapter_error`. Recovery takes time: mind which thread waits."""
        return self._wait_for(self.engine.handle_adapter_error(adapter_name, error), timeout)

    def report_error(self, adapter_name: str, error: Exception) -> None:
        """Have an error recovered from in the background. For threads that must not wait."""
        self._start(self.engine.handle_adapter_error(adapter_name, error))

    def close(self) -> ShutdownReport:
        """Interrupt every call, shut the engine down, end its thread. Again: the same report.

        Takes as long as `MainEngine.close` does. Interrupted, as by Ctrl-C, it goes on by itself;
        who calls it again waits for the rest.
        """
        _refuse_to_stop_a_loop()
        with self._lock:
            if self._closing is None:
                work = self._interrupt_and_close(tuple(self._calls))
                self._closing = asyncio.run_coroutine_threadsafe(work, self._loop)
                self._closing.add_done_callback(self._end)
        concurrent.futures.wait([self._closing])
        self._thread.join()
        return self._closing.result()

    async def _interrupt_and_close(
        self, calls: Sequence[concurrent.futures.Future[Any]]
    ) -> ShutdownReport:
        for call in calls:
            call.cancel()
        await asyncio.sleep(0)  # they learn of it first
        return await self.engine.close()

    def _end(self, _closed: concurrent.futures.Future[ShutdownReport]) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self) -> None:
        # Not asyncio's own Runner: that waits for the executor's threads, and in one of them the
        # look-up of a host's name may hang for minutes.
        asyncio.set_event_loop(self._loop)
        with closing(self._loop):
            try:
                self._loop.run_forever()
            finally:
                self._loop.run_until_complete(_end_tasks())
                self._loop.run_until_complete(self._loop.shutdown_asyncgens())

    def _start(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        with self._lock:
            if self._closing is not None:
                work.close()
                raise _closed(Outcome.NOT_SENT)
            call = asyncio.run_coroutine_threadsafe(work, self._loop)
            self._calls.add(call)
        call.add_done_callback(self._forget)
        return call

    def _forget(self, call: concurrent.futures.Future[Any]) -> None:
        with self._lock:
            self._calls.discard(call)

    def _wait_for(self, work: Coroutine[Any, Any, T], timeout: float | None) -> T:
        try:
            _refuse_to_stop_a_loop()
        except RuntimeError:
            work.close()
            raise
        call = self._start(work)
        try:
            return call.result(timeout)
        except concurrent.futures.CancelledError:
            raise _closed(Outcome.UNKNOWN) from None
        except BaseException:
            call.cancel()  # whoever waited is gone: by its timeout, or by Ctrl-C
            raise


async def _end_tasks() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def _refuse_to_stop_a_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "expected a thread without an event loop: waiting here would stop it; wait for it in "
        "another, as with asyncio.to_thread, or call report_error"
    )


def _closed(outcome: Outcome) -> ComponentError:
    return ComponentError(
        "engine",
        "closed",
        outcome=outcome,
        recoverable=False,
        suggested_action="Look open orders up at the venue; the shutdown report names them",
    )
