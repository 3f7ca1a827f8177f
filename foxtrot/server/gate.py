"""What keeps quiet when a venue asks for it, and does not shout when the quiet is over.

Whoever waits at a closed gate waits in line: cancels first, then what the recovery asks, new
orders, questions. When the gate opens, they would all leave within the same moment and earn the
next refusal. So it opens as a breaker does, and then as TCP does: one goes first, and only when the
venue has answered it well do the others follow, faster and faster. A refusal further on the way
says how fast was too fast, and for a minute after it nobody goes at more than half of that.

Where the refusal says how many may go in how many seconds, and not when the next may, it is worked
out from when the latest went.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
import math
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from foxtrot.server.policy import Lane
from foxtrot.util._breaker_snapshot import deadline_of, monotonic_of
from foxtrot.util.clock import Clock
from foxtrot.util.errors import FoxtrotError, Outcome, RateLimitError

__all__ = ["Pace", "RateGate"]

# A gate opens a little after the venue said, because its clock and ours do not agree to the
# millisecond and a request that arrives early is what turns a 429 into a ban.
_GATE_MARGIN = 0.25

# Request weight is counted by the minute: longer than that, no such wait is of use.
_LONGEST_UNNAMED_WAIT = 60.0

# Calls a second: at first, and when it is as if there had been no gate. In between the pace doubles
# with each second, so that a hundred calls that waited are on their way after some six.
_FIRST_RATE = 1.0
_FULL_RATE = 100.0

# A refusal so soon after the first good answer says that the quiet was not over, and nothing of how
# fast was too fast: some seven calls have gone by then.
_TELLING_SECONDS = 3.0

# How long a pace that was refused is remembered: limits are counted by the minute, or faster.
_CEILING_SECONDS = 60.0

# How many calls are remembered by when they went; of a count of more nothing is worked out.
_COUNTED = 1_000

# A timer may fire a rounding error early, and must then not be set again for that.
_NOISE = 1e-6

# Who goes first. What recovery asks is of the stream's lane: without it no order can go at all.
_RANKS = {Lane.CANCELS: 0, Lane.STREAM: 1, Lane.ORDERS: 2, Lane.QUERIES: 3}

_VERSION = 1


@dataclass(slots=True)
class Pace:
    """How fast calls may follow each other after a gate has opened. Times are monotonic seconds.

    Attributes:
        last_at: When the latest one was let through; None before the first.
        proven_at: When the venue first answered one well; until then they go at the first pace.
        ceiling: Calls a second that must not be exceeded, up to `ceiling_until`.
    """

    last_at: float | None = None
    proven_at: float | None = None
    ceiling: float = math.inf
    ceiling_until: float = -math.inf

    def rate(self, now: float) -> float:
        """Calls a second."""
        if self.proven_at is None:
            return _FIRST_RATE
        doublings = min(max(0.0, now - self.proven_at), 64.0)
        ceiling = self.ceiling if now < self.ceiling_until else math.inf
        return min(_FIRST_RATE * math.pow(2.0, doublings), ceiling)

    def due_in(self, now: float) -> float:
        """Seconds until the next may go."""
        return 0.0 if self.last_at is None else self.last_at + 1 / self.rate(now) - now

    def is_over(self, now: float) -> bool:
        """Whether it holds nobody up any more."""
        return self.rate(now) >= _FULL_RATE

    def after_refusal(self, now: float) -> Pace:
        """The pace of the next opening: anew, and at most half as fast as what was refused.

        Who went among the first, and was refused, came too early: that says nothing of how fast
        was too fast.
        """
        if self.proven_at is None or now - self.proven_at < _TELLING_SECONDS:
            return Pace(ceiling=self.ceiling, ceiling_until=self.ceiling_until)
        ceiling = max(self.rate(now) / 2, _FIRST_RATE)
        return Pace(ceiling=ceiling, ceiling_until=now + _CEILING_SECONDS)


@dataclass(slots=True, order=True)
class _Place:
    """One call's place in the line."""

    rank: int
    number: int
    woken: asyncio.Event = field(default_factory=asyncio.Event, compare=False)


class RateGate:
    """Closed while a venue wants to hear nothing from us; opens slowly.

    One for all lanes, and for all adapters whose requests the venue counts together.

    Args:
        scope: Whose requests it counts: an adapter's name, or what several adapters share.
        clock: Time.
        default_wait: Seconds to stay closed after a refusal that names no time.
        counted_wait: Up to how many seconds to stay closed for a count of calls that a refusal
            names in place of a time. Zero, unless all calls of that count pass here and no others.
    """

    def __init__(
        self, scope: str, clock: Clock, default_wait: float, *, counted_wait: float = 0.0
    ) -> None:
        self.scope = scope
        self._clock = clock
        self._default_wait = default_wait
        self._opens_at = 0.0
        self._unnamed = 0
        self._pace: Pace | None = None
        self._counted_wait = counted_wait
        self._gone: deque[float] = deque(maxlen=_COUNTED)
        self._line: list[_Place] = []
        self._numbers = itertools.count()

    @property
    def wait(self) -> float:
        """Seconds until the gate opens; zero when it is open, be it by a crack."""
        return max(0.0, self._opens_at - self._clock.now())

    def hold(self, error: FoxtrotError) -> None:
        """Stay closed as long as the refusal asks; never shortens what an earlier one asked.

        A refusal that names no time is answered by a wait of our own, which doubles while such
        refusals follow each other and no count explains them.
        """
        if self._gone:
            self._gone.pop()  # what was refused is not counted
        seconds = error.retry_after
        if seconds is None or error.context.get("retry_after_source") == "default":
            if self.wait > 0:
                return  # the answer to a request that was on the wire already
            seconds = self._unnamed_wait(error.context.get("quota"))
        self._close(seconds + _GATE_MARGIN)

    def sent(self) -> None:
        """A call that passed here has gone to the venue."""
        self._gone.append(self._clock.now())

    def served(self) -> None:
        """A request was answered well: the next refusal is the first again, and others may go."""
        self._unnamed = 0
        pace = self._pace
        if pace is not None and pace.last_at is not None and pace.proven_at is None:
            pace.proven_at = self._clock.now()

    def check(self, adapter_name: str = "") -> None:
        """Raise RateLimitError with outcome NOT_SENT while closed."""
        if self.wait > 0:
            raise self._refusal(adapter_name)

    async def enter(
        self,
        lane: Lane,
        adapter_name: str = "",
        *,
        deadline: float = math.inf,
        still_wanted: Callable[[], None] = lambda: None,
    ) -> None:
        """Return when it is this call's turn.

        Args:
            lane: Says who goes before whom.
            adapter_name: Whose call it is, for the error.
            deadline: Until when, in the clock's seconds, there is a point in waiting.
            still_wanted: Asked when something has changed; what it raises ends the waiting.

        Raises:
            RateLimitError: With outcome NOT_SENT: its turn does not come in time.
        """
        if not self._line and self._due_in() <= _NOISE:
            self._let_go()
            return
        place = _Place(_RANKS[lane], next(self._numbers))
        bisect.insort(self._line, place)
        try:
            while (delay := self._turn_in(place)) > _NOISE:
                left = deadline - self._clock.now()
                # A place further back has no time of its own; it can be told at once only that
                # the gate itself opens too late.
                if self.wait > left or left <= _NOISE:
                    raise self._refusal(adapter_name)
                await _woken(place, min(delay, left))
                still_wanted()
            self._let_go()
        finally:
            self._line.remove(place)
            if self._line:
                self._line[0].woken.set()

    async def pass_through(self) -> None:
        """Wait for a turn as long as it takes, ahead of all but the cancels."""
        await self.enter(Lane.STREAM)

    def stir(self) -> None:
        """Have everybody who waits look whether there still is a point in it."""
        for place in self._line:
            place.woken.set()

    def snapshot(self) -> dict[str, Any]:  # Any: JSON
        """What of it must survive a restart, as values that `json.dumps` takes.

        Its deadline is kept as a breaker's is: as wall time, and as what remained, which bounds
        what a wall clock that was set back could make of it.
        """
        now, wall = self._clock.now(), self._clock.wall().timestamp()
        return {
            "version": _VERSION,
            "scope": self.scope,
            "closed": deadline_of(self._opens_at, now, wall),
            "unnamed": self._unnamed,
        }

    def restore(self, data: Mapping[str, Any]) -> None:  # Any: JSON
        """Take over a snapshot. The time since it was taken has passed for it.

        A gate that is closed for longer already stays so.

        Raises:
            ValueError: The snapshot is of another gate or version, or broken.
        """
        if (data.get("version"), data.get("scope")) != (_VERSION, self.scope):
            raise ValueError(
                f"expected a snapshot of gate {self.scope!r}, version {_VERSION}, "
                f"got scope={data.get('scope')!r}, version={data.get('version')!r}"
            )
        now, wall = self._clock.now(), self._clock.wall().timestamp()
        try:
            left = monotonic_of(data["closed"], now, wall) - now
            unnamed = int(data["unnamed"])
        except (KeyError, TypeError, ValueError) as exc:
            raise ValueError(
                f"expected a snapshot as RateGate.snapshot() makes it, got {dict(data)!r}"
            ) from exc
        self._unnamed = max(self._unnamed, unnamed)
        if left > 0:
            self._close(left)

    def _close(self, seconds: float) -> None:
        now = self._clock.now()
        if self.wait <= 0:  # else the pace of the next opening is settled
            self._pace = Pace() if self._pace is None else self._pace.after_refusal(now)
        self._opens_at = max(self._opens_at, now + seconds)
        self.stir()

    def _due_in(self) -> float:
        """Seconds until the gate lets anybody through."""
        if self._pace is None:
            return self.wait
        now = self._clock.now()
        if self.wait <= 0 and self._pace.is_over(now):
            self._pace = None
            return 0.0
        return max(self.wait, self._pace.due_in(now))

    def _unnamed_wait(self, quota: Mapping[str, Any] | None) -> float:  # Any: context is not typed
        """Seconds to wait after a refusal that named no time, but perhaps a count of calls."""
        if quota is not None and len(self._gone) >= quota["limit"]:
            counted = float(self._gone[-quota["limit"]] + quota["seconds"] - self._clock.now())
            if counted > 0:
                # Venues count in their own ways: where it takes too long, trying costs no more
                # than another refusal.
                is_soon = counted <= self._counted_wait
                return max(self._default_wait, counted) if is_soon else self._default_wait
        seconds = min(self._default_wait * 2.0**self._unnamed, _LONGEST_UNNAMED_WAIT)
        self._unnamed += 1
        return seconds

    def _turn_in(self, place: _Place) -> float:
        return self._due_in() if self._line[0] is place else math.inf

    def _let_go(self) -> None:
        if self._pace is not None:
            self._pace.last_at = self._clock.now()

    def _refusal(self, adapter_name: str) -> RateLimitError:
        return RateLimitError(
            adapter_name or self.scope,
            max(self._due_in(), 1 / _FULL_RATE),
            outcome=Outcome.NOT_SENT,
            clock=self._clock,
            context={"gate": "closed"},
        )


async def _woken(place: _Place, seconds: float) -> None:
    """Return when the place is woken, or after `seconds`."""
    place.woken.clear()
    with suppress(TimeoutError):
        async with asyncio.timeout(None if math.isinf(seconds) else seconds):
            await place.woken.wait()
