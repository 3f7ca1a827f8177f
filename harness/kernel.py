"""The kernel: runs a program in virtual time, with its clock and its random streams.

`run_virtual` is the door. The event loop behind it is in `harness.virtual_loop`; what others need
of it is exported here.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Coroutine, Iterable
from hashlib import blake2b
from random import Random
from typing import Any, TypeVar

from harness._loop_parts import (
    DeadlockError,
    Failure,
    KernelError,
    LimitError,
    OutsideWorldError,
    refused,
)
from harness.virtual_loop import AdvanceHook, VirtualLoop

__all__ = [
    "EPOCH",
    "AdvanceHook",
    "DeadlockError",
    "Failure",
    "KernelError",
    "LimitError",
    "OutsideWorldError",
    "RandomStreams",
    "UnhandledFailuresError",
    "VirtualClock",
    "VirtualLoop",
    "run_virtual",
]

EPOCH = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

_T = TypeVar("_T")
_ENDING_GRACE = 60.0


class UnhandledFailuresError(KernelError):
    """Raised by `run_virtual` when the program ended well but something inside it had failed."""

    def __init__(self, failures: tuple[Failure, ...]) -> None:
        listed = "".join(f"\n  - {failure}" for failure in failures)
        super().__init__("exceptions that nobody awaited:" + listed)
        self.failures = failures


class VirtualClock:
    """The time of a loop as a `foxtrot.util.clock.Clock`.

    Args:
        loop: Whose time it is.
        epoch: The date and time at its 0; aware.
    """

    def __init__(self, loop: VirtualLoop, epoch: dt.datetime = EPOCH) -> None:
        if epoch.tzinfo is None:
            raise ValueError(f"expected an aware epoch, got epoch={epoch!r}; give it tzinfo=dt.UTC")
        self._loop = loop
        self._epoch = epoch.astimezone(dt.UTC)
        self._stepped = 0.0

    def now(self) -> float:
        """Virtual seconds since the run began."""
        return self._loop.seconds

    def wall(self) -> dt.datetime:
        """The epoch plus `now()` and all steps, to the nearest microsecond, in UTC."""
        return self._epoch + dt.timedelta(seconds=self._loop.seconds + self._stepped)

    def step(self, seconds: float) -> None:
        """Set the wall clock forward, or back, as NTP or a person does; `now()` never notices."""
        self._stepped += seconds

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        """Sleep in virtual time; zero or less only yields."""
        return asyncio.sleep(seconds)

    def sleep_sync(self, seconds: float) -> None:
        """Refused: it would stop the whole world, and with it the time that it waits for."""
        refused(f"sleep_sync({seconds!r}) blocks the only thread; await clock.sleep() instead")()


class RandomStreams:
    """Independent random streams by name, all from one seed.

    The stream of a name depends on the seed and the name alone: not on the other streams, not on
    who drew how often, not on `PYTHONHASHSEED`.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._streams: dict[str, Random] = {}

    def stream(self, name: str) -> Random:
        """The stream of `name`; the same object for the same name."""
        if name not in self._streams:
            digest = blake2b(f"{self.seed}/{name}".encode()).digest()
            self._streams[name] = Random(int.from_bytes(digest))  # noqa: S311 - no secret
        return self._streams[name]


def run_virtual(
    main: Callable[[VirtualLoop], Coroutine[Any, Any, _T]],
    *,
    max_time: float | None = None,
    max_iterations: int = 100_000,
    shuffle: Random | None = None,
    on_advance: Iterable[AdvanceHook] = (),
    on_failure: Callable[[Failure], None] | None = None,
    on_leftovers: Callable[[tuple[str, ...]], None] | None = None,
) -> _T:
    """Run `main(loop)` on a fresh loop in virtual time, return its result, close the loop.

    Tasks still pending at the end, however it ended, are cancelled in creation order and have 60
    virtual seconds to obey. One that does not is a failure.

    Args:
        main: Makes the coroutine to run.
        max_time: See `VirtualLoop`, as for the next three.
        max_iterations: Rounds at one instant.
        shuffle: Explores schedules.
        on_advance: Hooks.
        on_failure: Called after the run with each exception that nobody awaited.
        on_leftovers: Called after the run with the names of the tasks that had to be cancelled.

    Raises:
        DeadlockError: Everything waits for ever.
        LimitError: The run went over `max_time` or `max_iterations`.
        UnhandledFailuresError: `main` ended well, something else failed, and there is no
            `on_failure`. When `main` itself raises, the failures are notes on its exception.
    """
    loop = VirtualLoop(
        max_time=max_time, max_iterations=max_iterations, shuffle=shuffle, on_advance=on_advance
    )
    try:
        result = _run_and_end(loop, main, on_leftovers or _ignore)
    except BaseException as error:
        for failure in loop.take_failures():
            error.add_note(f"nobody awaited {failure}")
            (on_failure or _ignore)(failure)
        raise
    else:
        _report(loop.take_failures(), on_failure)
        return result
    finally:
        loop.close()


def _ignore(_what: object) -> None:
    pass


def _report(failures: tuple[Failure, ...], on_failure: Callable[[Failure], None] | None) -> None:
    if failures and on_failure is None:
        raise UnhandledFailuresError(failures) from failures[0].error
    for failure in failures:
        (on_failure or _ignore)(failure)


def _run_and_end(
    loop: VirtualLoop,
    main: Callable[[VirtualLoop], Coroutine[Any, Any, _T]],
    on_leftovers: Callable[[tuple[str, ...]], None],
) -> _T:
    try:
        return loop.run_until_complete(loop.create_task(main(loop), name="main"))
    finally:
        on_leftovers(loop.end_tasks(_ENDING_GRACE))
