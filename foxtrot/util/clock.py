"""Time as it is handed to the rest of the package: one protocol, and the real clock.

Elapsed time is monotonic seconds and decides things; wall time is aware UTC and is only printed
or written down. Code that is given a `Clock` can be run in virtual time, under freezegun, or for
real without knowing which.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from typing import Protocol, runtime_checkable

__all__ = ["SYSTEM_CLOCK", "Clock", "SystemClock"]


@runtime_checkable
class Clock(Protocol):
    """What the package needs to know of time."""

    def now(self) -> float:
        """Monotonic seconds from an arbitrary origin. Never goes back."""
        ...

    def wall(self) -> dt.datetime:
        """The date and time, aware and in UTC. May jump; never used to measure."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Suspend the calling coroutine for `seconds`; zero or less only yields."""
        ...

    def sleep_sync(self, seconds: float) -> None:
        """Block the calling thread for `seconds`; zero or less returns at once."""
        ...


class SystemClock:
    """The real clock.

    Reads go through the `time` and `datetime` modules at call time, so that freezegun, which
    replaces their attributes, needs no set-up to move this clock.
    """

    def now(self) -> float:
        """Return `time.monotonic()`."""
        return time.monotonic()

    def wall(self) -> dt.datetime:
        """Return the current time in UTC."""
        return dt.datetime.now(dt.UTC)

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running event loop."""
        await asyncio.sleep(max(0.0, seconds))

    def sleep_sync(self, seconds: float) -> None:
        """Block the thread."""
        if seconds > 0:
            time.sleep(seconds)

    def __repr__(self) -> str:
        return "SystemClock()"


SYSTEM_CLOCK = SystemClock()
