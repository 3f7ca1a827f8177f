"""The two times of a venue on the wire: the market's, which may be scaled, and the clients'.

The market, the faults and every limit live in venue time. Clients sign with their own clocks and
read ours, so everything is converted where it crosses: a client never notices the scale but in
how fast prices move and waits end.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import math
from email.utils import formatdate, parsedate_to_datetime

from foxtrot.util.clock import Clock

__all__ = ["VenueClock"]


class VenueClock:
    """Venue time as a `Clock`: seconds since the start, `scale` of them in each real second.

    Args:
        real: Where real time comes from.
        scale: Venue seconds per real second.
    """

    def __init__(self, real: Clock, scale: float = 1.0) -> None:
        self.scale = scale
        self.epoch = real.wall().timestamp()
        self._real = real
        self._start = real.now()

    def now(self) -> float:
        """Venue seconds since the start."""
        return (self._real.now() - self._start) * self.scale

    def wall(self) -> dt.datetime:
        """The date and time by venue time."""
        return dt.datetime.fromtimestamp(self.epoch + self.now(), dt.UTC)

    async def sleep(self, seconds: float) -> None:
        """Sleep for venue seconds; zero or less only yields."""
        await asyncio.sleep(max(0.0, self.real_seconds(seconds)))

    def sleep_sync(self, seconds: float) -> None:
        """Block the thread for venue seconds."""
        self._real.sleep_sync(self.real_seconds(seconds))

    def real_seconds(self, seconds: float) -> float:
        """How long venue seconds take."""
        return seconds / self.scale

    def to_client(self, wall: float) -> float:
        """A venue's wall time, in seconds since 1970, as a client's clock shows it."""
        return self.epoch + (wall - self.epoch) / self.scale

    def to_venue(self, wall: float) -> float:
        """A client's wall time as venue time."""
        return self.epoch + (wall - self.epoch) * self.scale

    def milliseconds(self, wall: float) -> int:
        """A venue's wall time as clients are told it: whole milliseconds of their time."""
        return round(self.to_client(wall) * 1000)

    def retry_after(self, header: str) -> str:
        """A Retry-After header of the venue in clients' time; never shorter than it is."""
        if self.scale == 1.0:
            return header
        if header.isdigit():
            return str(math.ceil(self.real_seconds(int(header))))
        until = self.to_client(parsedate_to_datetime(header).timestamp())
        return formatdate(math.ceil(until), usegmt=True)
