"""The small parts of the virtual loop: its errors, and handles, futures and tasks that count."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from harness.virtual_loop import VirtualLoop

__all__ = [
    "SECOND",
    "CountedFuture",
    "CountedTask",
    "DeadlockError",
    "Failure",
    "Handle",
    "KernelError",
    "LimitError",
    "NoOutsideWorld",
    "OutsideWorldError",
    "refuse_threads",
    "refused",
    "shuffle_tasks",
    "where_it_waits",
]

SECOND = 1_000_000_000
_ASYNCIO = str(Path(asyncio.__file__).parent)


class KernelError(RuntimeError):
    """Base of the kernel's own errors."""


class DeadlockError(KernelError):
    """Raised when every task waits and no timer is left that could wake one.

    `waiting` has one sentence for each pending task, in creation order: its name and the source
    line it waits at.
    """

    def __init__(self, at: float, waiting: tuple[str, ...]) -> None:
        super().__init__(
            f"deadlock at t={at:.6f}: nothing is ready, no timer is set, and these wait for ever:"
            + _listed(waiting)
        )
        self.at = at
        self.waiting = waiting


class LimitError(KernelError):
    """Raised when a run outlives its virtual time, or spins at one instant of it."""

    def __init__(self, at: float, expected: str, waiting: tuple[str, ...]) -> None:
        super().__init__(f"expected {expected}; at t={at:.6f} still pending:" + _listed(waiting))
        self.at = at
        self.waiting = waiting


class OutsideWorldError(KernelError, NotImplementedError):
    """Raised when simulated code asks for a thread, a socket, a signal or the like.

    A `NotImplementedError` as well, since that is what asyncio says of a loop that cannot.
    """


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception that nobody awaited: when (virtual seconds), where, and what it was."""

    at: float
    message: str
    error: BaseException

    def __str__(self) -> str:
        return f"t={self.at:.6f}: {self.message}: {self.error!r}"


class Handle:
    """What `call_soon` and `call_at` return: asyncio's public face without its debug state."""

    __slots__ = ("args", "callback", "context", "is_cancelled", "queued_on", "when_ns")

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context,
        when_ns: float = 0,
        queued_on: VirtualLoop | None = None,
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.when_ns = when_ns
        self.queued_on = queued_on
        self.is_cancelled = False

    def cancel(self) -> None:
        """Never call back; no effect once it has."""
        if not self.is_cancelled:
            self.is_cancelled = True
            if self.queued_on is not None:
                self.queued_on.timer_cancelled()

    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self.is_cancelled

    def when(self) -> float:
        """The deadline, in seconds of the loop's time."""
        return self.when_ns / SECOND


class CountedFuture(asyncio.Future[Any]):
    """A future that hashes by a counter, from the first time that somebody asks for its hash.

    Sets are iterated in the order of their hashes, and asyncio iterates sets. The default hash is
    the address of the object, which differs from run to run.
    """

    __slots__ = ("serial",)
    serial: int

    def __hash__(self) -> int:
        try:
            return self.serial
        except AttributeError:
            self.serial = self.get_loop().next_future_serial()  # type: ignore[attr-defined]  # ours
            return self.serial


class CountedTask(asyncio.Task[Any]):
    """A task that hashes by the order of creation; see `CountedFuture`."""

    def __init__(self, coro: Any, serial: int, loop: VirtualLoop, name: str, **options: Any):
        self.serial = serial  # first: the constructor puts the task into a set
        super().__init__(coro, loop=loop, name=name, **options)

    def __hash__(self) -> int:
        return self.serial


def refused(advice: str) -> Any:  # Any: it stands for methods of every signature
    """Make a method that raises `OutsideWorldError` with the advice."""

    def refuse(*_args: object, **_options: object) -> NoReturn:
        raise OutsideWorldError(f"refused inside the simulation: {advice}")

    return refuse


refuse_threads = refused("threads run in real time; await the work, or call it inline")


class NoOutsideWorld(asyncio.AbstractEventLoop):
    """Every method of an event loop that would leave the simulation, refused."""

    run_in_executor = set_default_executor = refuse_threads
    getaddrinfo = getnameinfo = refused("no DNS; name the venue to a session of harness.network")
    create_connection = create_datagram_endpoint = create_server = create_unix_connection = (
        create_unix_server
    ) = connect_accepted_socket = start_tls = sendfile = sock_accept = sock_connect = sock_recv = (
        sock_recv_into
    ) = sock_recvfrom = sock_recvfrom_into = sock_sendall = sock_sendfile = sock_sendto = refused(
        "no sockets; hand the code a session of harness.network, or run it in live mode"
    )
    add_reader = remove_reader = add_writer = remove_writer = connect_read_pipe = (
        connect_write_pipe
    ) = refused("no file descriptors or pipes; feed an asyncio.Queue from a task")
    subprocess_exec = subprocess_shell = refused("no subprocesses; run it before or after")
    add_signal_handler = remove_signal_handler = refused(
        "no signals, they come in real time; cancel the task at a virtual time"
    )
    set_task_factory = refused("the order rests on the loop's own tasks; wrap the coroutine")


def shuffle_tasks(ready: deque[Handle], chance: Random) -> None:
    """Permute the tasks among the places that tasks hold; leave the other callbacks in theirs."""
    handles = list(ready)
    places = [place for place, handle in enumerate(handles) if _is_of_task(handle)]
    for place, source in zip(places, chance.sample(places, len(places)), strict=True):
        ready[place] = handles[source]


def _is_of_task(handle: Handle) -> bool:
    return isinstance(getattr(handle.callback, "__self__", None), asyncio.Task)


def where_it_waits(task: asyncio.Task[Any]) -> str:
    """One sentence: the task's name and the line it waits at, outside of asyncio's own files."""
    frames = _frames(task.get_coro())
    if not frames:
        return f"task {task.get_name()!r} has not started"
    theirs = [frame for frame in frames if not frame.f_code.co_filename.startswith(_ASYNCIO)]
    frame = theirs[-1] if theirs else frames[-1]
    file = "/".join(Path(frame.f_code.co_filename).parts[-2:])
    place = f"{file}:{frame.f_lineno} in {frame.f_code.co_qualname}"
    inner = "" if frame is frames[-1] else f" ({frames[-1].f_code.co_qualname})"
    return f"task {task.get_name()!r} waits at {place}{inner}"


def _frames(awaitable: Any) -> list[FrameType]:  # Any: coroutines and generators differ in names
    """The frames of a suspended coroutine, outermost first, as far as they can be followed."""
    frames = []
    while awaitable is not None:
        frame = getattr(awaitable, "cr_frame", None) or getattr(awaitable, "gi_frame", None)
        if frame is not None:
            frames.append(frame)
        awaitable = getattr(awaitable, "cr_await", None) or getattr(awaitable, "gi_yieldfrom", None)
    return frames


def _listed(sentences: Iterable[str]) -> str:
    return "".join(f"\n  - {sentence}" for sentence in sentences)
