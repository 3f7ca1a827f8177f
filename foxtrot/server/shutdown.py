"""Ending an engine in bounded time, and saying what it leaves open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from foxtrot.server.connection import AdapterConnection
from foxtrot.server.oms import Oms
from foxtrot.server.policy import EnginePolicy
from foxtrot.server.reconciling import by_id
from foxtrot.util.clock import Clock
from foxtrot.util.errors import FoxtrotError
from foxtrot.util.object import CancelRequest, OrderData

__all__ = ["ShutdownReport", "Tasks", "shut_down", "spaced"]

Cancel = Callable[[AdapterConnection, CancelRequest], Awaitable[object]]

# How long a task may take to obey its cancellation before it is left behind, and named.
_GRACE = 1.0

# So many cancels are under way at once, and so many leave in a second: the tightest limit on bursts
# that we know of is IB's, 50 messages a second, and who breaks it is not heard for a while, least
# of all when there is little time left.
_CANCELS_AT_ONCE = 5
_CANCELS_A_SECOND = 20.0

# The share of the time that cancels may take; the rest is for closing connections.
_SHARE_OF_CANCELS = 0.7


@dataclass(frozen=True, slots=True)
class ShutdownReport:
    """What `close` left behind. Empty means: nothing open, nothing unknown, nothing running.

    Attributes:
        open_orders: Orders that the venue may still execute, as far as is known.
        timed_out: Whether something had to be cut short.
        tasks: Names of tasks that did not end when they were cancelled.
    """

    open_orders: tuple[OrderData, ...]
    timed_out: bool
    tasks: tuple[str, ...] = ()


class Tasks:
    """The engine's background tasks, in the order in which they began."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[Any], None] = {}
        self._is_closed = False

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        """Start a task; None, and no task, once shutdown has begun."""
        if self._is_closed:
            work.close()
            return None
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running[task] = None
        task.add_done_callback(lambda done: self._running.pop(done, None))
        return task

    def close(self) -> None:
        """Start no task any more."""
        self._is_closed = True

    async def end(self, spared: Iterable[asyncio.Task[Any]] = ()) -> tuple[str, ...]:
        """Cancel all but `spared`; return the names of those that did not obey."""
        kept = dict.fromkeys(spared)
        tasks = [task for task in self._running if task not in kept]
        for task in tasks:
            task.cancel()
        return await _await_end(tasks)


async def shut_down(
    connections: Mapping[str, AdapterConnection],
    oms: Oms,
    tasks: Tasks,
    *,
    cancel: Cancel,
    policy: EnginePolicy,
    spared: Callable[[], Iterable[asyncio.Task[Any]]],
) -> ShutdownReport:
    """Stop intake, end the tasks, cancel what is open, close every connection.

    Takes at most the policy's `shutdown_timeout` and a few seconds in which tasks may obey.

    Args:
        connections: What to close, by name.
        oms: Knows what is open.
        tasks: The engine's own.
        cancel: Cancels one order.
        policy: Times, and whether open orders are cancelled at all.
        spared: The tasks that wait for this very shutdown, and end with it.
    """
    for connection in connections.values():
        connection.is_closing = True
    tasks.close()
    left = await tasks.end(spared())
    in_time = True
    if policy.cancel_on_close:
        in_time = await _within(
            policy.shutdown_timeout * _SHARE_OF_CANCELS,
            _cancel_all(tuple(_open_orders(connections, oms)), cancel),
        )
    closed = await _within(
        policy.shutdown_timeout * (1 - _SHARE_OF_CANCELS),
        asyncio.gather(*(connection.disconnect() for connection in connections.values())),
    )
    open_orders = tuple(order for _, order in _open_orders(connections, oms))
    return ShutdownReport(open_orders, not (in_time and closed), left)


def spaced(cancel: Cancel, clock: Clock) -> Cancel:
    """`cancel`, so that no more of them begin in a second than any venue takes."""
    next_at = clock.now()

    async def cancel_in_turn(connection: AdapterConnection, request: CancelRequest) -> object:
        nonlocal next_at
        begins_at = max(next_at, clock.now())
        next_at = begins_at + 1 / _CANCELS_A_SECOND
        await clock.sleep(begins_at - clock.now())
        return await cancel(connection, request)

    return cancel_in_turn


def _open_orders(
    connections: Mapping[str, AdapterConnection], oms: Oms
) -> Iterator[tuple[AdapterConnection, OrderData]]:
    for name, connection in connections.items():
        for order in oms.unsettled(name):
            if not order.status.is_final:
                yield connection, order


async def _cancel_all(
    orders: Iterable[tuple[AdapterConnection, OrderData]],
    cancel: Cancel,
) -> None:
    waiting = iter(orders)

    async def work() -> None:
        for connection, order in waiting:
            try:
                await cancel(connection, by_id(order))
            except FoxtrotError:
                continue  # it stays open, and the report says so

    await asyncio.gather(*(work() for _ in range(_CANCELS_AT_ONCE)))


async def _within(seconds: float, work: Awaitable[object]) -> bool:
    """Whether it ended in time. What does not even obey its cancellation is left behind."""
    task = asyncio.ensure_future(work)
    await asyncio.wait([task], timeout=seconds)
    if task.done():
        task.result()
        return True
    task.cancel()
    await _await_end([task])
    return False


async def _await_end(tasks: Iterable[asyncio.Future[Any]]) -> tuple[str, ...]:
    waiting = list(tasks)
    if not waiting:
        return ()
    done, _ = await asyncio.wait(waiting, timeout=_GRACE)
    for task in done:
        if not task.cancelled():
            task.exception()  # taken note of, so that the loop does not report it once more
    return tuple(
        task.get_name() for task in waiting if isinstance(task, asyncio.Task) and not task.done()
    )
