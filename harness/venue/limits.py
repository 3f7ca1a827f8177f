"""Who may ask how much: request weight per source, orders per account, and the way to a ban.

Windows are fixed to the calendar, as Binance's are: the count starts anew with the minute, so a
client may send two minutes' worth around its turn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.venue.profile import OrderRateRule, Profile

__all__ = ["Denial", "OrderRateLimiter", "RequestLimiter", "WindowCounter"]


# The kernel counts whole nanoseconds: who comes back exactly when told may be early by less than
# one, and must not be taken for who did not wait.
_NOISE = 1e-6


class WindowCounter:
    """Counts up inside one calendar window and starts from nothing in the next."""

    __slots__ = ("_seconds", "_window", "used")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._window = -1
        self.used = 0

    def roll(self, wall: float) -> None:
        """Start anew if `wall` (true seconds since 1970) lies in another window."""
        window = int(wall // self._seconds)
        if window != self._window:
            self._window = window
            self.used = 0

    def remaining(self, wall: float) -> float:
        """Seconds until the window that `wall` lies in is over."""
        return (wall // self._seconds + 1) * self._seconds - wall


@dataclass(frozen=True, slots=True)
class Denial:
    """A request that must wait `until` (virtual seconds). `cause` is the knob to blame, or ""."""

    banned: bool
    until: float
    as_date: bool
    cause: str


class _Source:
    """What one IP has used, and what it was told."""

    __slots__ = (
        "as_date",
        "ban_seconds",
        "banned",
        "cause",
        "counter",
        "knocks",
        "told_at",
        "until",
    )

    def __init__(self, profile: Profile) -> None:
        self.counter = WindowCounter(profile.weight_window)
        self.until = -math.inf
        self.told_at = -math.inf
        self.banned = False
        self.as_date = False
        self.cause = ""
        self.knocks = 0
        self.ban_seconds = profile.ban_seconds


class RequestLimiter:
    """Request weight per source IP; 429 with a wait, and 418 for who does not wait."""

    def __init__(self, profile: Profile, epoch: float) -> None:
        self._profile = profile
        self._epoch = epoch
        self._sources: dict[str, _Source] = {}

    def used(self, source_ip: str) -> int:
        """Weight used in the present window."""
        return self._source(source_ip).counter.used

    def admit(
        self, source_ip: str, weight: int, now: float, *, limit: int, cause: str = ""
    ) -> Denial | None:
        """Charge `weight` and say whether the request must wait. Refused requests pay too.

        `cause` is the knob that set `limit` below the profile's own.
        """
        source = self._source(source_ip)
        wall = self._epoch + now
        source.counter.roll(wall)
        source.counter.used += weight
        if now < source.until - _NOISE:
            return self._knock(source, now)
        if source.counter.used <= limit:
            return None
        if source.counter.used > self._profile.weight_limit:
            cause = ""
        return self._tell(source, now, now + source.counter.remaining(wall), cause=cause)

    def impose(
        self,
        source_ip: str,
        now: float,
        until: float,
        *,
        banned: bool,
        cause: str,
        as_date: bool = False,
    ) -> None:
        """Make a source wait until then, unless it waits as long already for another cause."""
        source = self._source(source_ip)
        if now < source.until - _NOISE and (source.banned or not banned):
            return
        self._tell(source, now, until, banned=banned, as_date=as_date, cause=cause)
        # The request that comes upon the new wait is the one that gets told: no knock.
        source.told_at = now

    def lift(self, cause: str) -> None:
        """End every wait that `cause` began. Bans that a client earned by knocking stay."""
        for source in self._sources.values():
            if source.cause == cause:
                source.until = -math.inf
                source.cause = ""
                source.banned = False

    def ban(self, source_ip: str, now: float) -> Denial | None:
        """The source's ban, if it has one now. Asking is free."""
        source = self._source(source_ip)
        if not source.banned or now >= source.until - _NOISE:
            return None
        return Denial(True, source.until, source.as_date, source.cause)

    def _source(self, source_ip: str) -> _Source:
        source = self._sources.get(source_ip)
        if source is None:
            source = self._sources[source_ip] = _Source(self._profile)
        return source

    def _tell(
        self,
        source: _Source,
        now: float,
        until: float,
        *,
        banned: bool = False,
        as_date: bool = False,
        cause: str = "",
    ) -> Denial:
        source.until = until
        source.told_at = now
        source.banned = banned
        source.as_date = as_date
        source.cause = cause
        source.knocks = 0
        return Denial(banned, until, as_date, cause)

    def _knock(self, source: _Source, now: float) -> Denial:
        if now - source.told_at > self._profile.knock_grace:
            source.knocks += 1
        patience = self._profile.knocks_before_ban
        if patience is not None and source.knocks >= patience:
            return self._earn_ban(source, now)
        return Denial(source.banned, source.until, source.as_date, source.cause)

    def _earn_ban(self, source: _Source, now: float) -> Denial:
        until = max(source.until, now + source.ban_seconds)
        source.ban_seconds = min(
            self._profile.ban_max_seconds, source.ban_seconds * self._profile.ban_growth
        )
        return self._tell(source, now, until, banned=True)


class OrderRateLimiter:
    """Accepted orders per account and window."""

    def __init__(self, rules: tuple[OrderRateRule, ...], epoch: float) -> None:
        self._rules = rules
        self._epoch = epoch
        self._counters: dict[str, list[tuple[OrderRateRule, WindowCounter]]] = {}

    def exceeded(
        self, account: str, now: float, *, tightest: int | None = None
    ) -> tuple[OrderRateRule, int, float] | None:
        """The first rule that one more order would break, its limit, and the seconds to wait.

        `tightest` lowers the limit of the first, shortest, window.
        """
        wall = self._epoch + now
        for index, (rule, counter) in enumerate(self._pairs(account, wall)):
            limit = rule.limit if index or tightest is None else min(tightest, rule.limit)
            if counter.used >= limit:
                return rule, limit, counter.remaining(wall)
        return None

    def count(self, account: str, now: float) -> None:
        """Book one accepted order."""
        for _, counter in self._pairs(account, self._epoch + now):
            counter.used += 1

    def headers(self, account: str, now: float) -> dict[str, str]:
        """What the account has used, as the venue's reply headers."""
        pairs = self._pairs(account, self._epoch + now)
        return {rule.header: str(counter.used) for rule, counter in pairs}

    def _pairs(self, account: str, wall: float) -> list[tuple[OrderRateRule, WindowCounter]]:
        pairs = self._counters.get(account)
        if pairs is None:
            pairs = [(rule, WindowCounter(rule.seconds)) for rule in self._rules]
            self._counters[account] = pairs
        for _, counter in pairs:
            counter.roll(wall)
        return pairs
