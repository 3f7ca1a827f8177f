"""The way in: what a request must pass before anybody looks at what it wants.

In order: is the venue open, may this source ask, is the key good, is the request fresh, is trading
unlocked, is the quota of its kind left. A request refused here had no effect, and all but those to
a closed venue have paid their weight.
"""

from __future__ import annotations

import math
from typing import TypedDict

from foxtrot.adapter.session import Operation, VenueRequest
from harness.venue.conditions import (
    Ban,
    Conditions,
    Maintenance,
    OrderLimit,
    Reject,
    Revoke,
    Skew,
    Throttle,
    WeightLimit,
)
from harness.venue.hooks import InterventionHook
from harness.venue.ledger import Ledger
from harness.venue.limits import Denial, OrderRateLimiter, RequestLimiter, WindowCounter
from harness.venue.profile import ErrorForm, Profile, Reason, Refused

__all__ = ["Gate"]

_UNSIGNED = frozenset({Operation.TIME, Operation.INSTRUMENTS, Operation.SUBSCRIBE})
_TRADING = frozenset({Operation.PLACE_ORDER, Operation.CANCEL_ORDER})


class _Told(TypedDict, total=False):
    """What a refusal says of the time to wait, in seconds: nothing, at some venues."""

    retry_after: float
    until: float


class Gate:
    """Checks that raise `Refused`, and the limits that they keep. `now` is virtual seconds."""

    def __init__(
        self,
        profile: Profile,
        conditions: Conditions,
        ledger: Ledger,
        epoch: float,
        on_intervention: InterventionHook,
    ) -> None:
        self._profile = profile
        self._conditions = conditions
        self._ledger = ledger
        self._epoch = epoch
        self._on_intervention = on_intervention
        self._requests = RequestLimiter(profile, epoch)
        self._order_rates = OrderRateLimiter(profile.order_rates, epoch)
        self._connects: dict[str, WindowCounter] = {}
        self._quotas: dict[tuple[str, Operation], WindowCounter] = {}
        self._last_let_in: dict[tuple[str, Operation], float] = {}
        self._is_locked = False

    def check(self, request: VenueRequest, source_ip: str, now: float) -> None:
        """Let a request in, or raise."""
        self._check_maintenance(now)
        self._check_weight(request, source_ip, now)
        if request.operation not in _UNSIGNED:
            self.check_signature(request, now)
        if self._is_locked and request.operation in _TRADING:
            raise Refused(Reason.LOCKED)
        self._check_quota(request.operation, source_ip, now)
        self._check_rejects(request, now)

    def restart(self) -> None:
        """Lock trading, where the venue does so, until somebody unlocks it."""
        self._is_locked = self._profile.locks

    def unlock(self) -> None:
        """Allow trading again."""
        self._is_locked = False

    def check_signature(self, request: VenueRequest, now: float) -> None:
        """Check that the key is known and not revoked, and that the request is fresh."""
        self._check_key(request)
        self._check_timestamp(request, now)

    def check_order_rate(self, account: str, now: float) -> None:
        """Check that the account may place one more order."""
        tightest: int | None = None
        knob_ids: tuple[str, ...] = ()
        for knob_id, knob in self._conditions.of(OrderLimit).items():
            if tightest is None or knob.limit < tightest:
                tightest, knob_ids = knob.limit, (knob_id,)
        exceeded = self._order_rates.exceeded(account, now, tightest=tightest)
        if exceeded is not None:
            rule, limit, wait = exceeded
            raise Refused(
                Reason.ORDER_RATE,
                **self._told(wait, now),
                knob_ids=knob_ids if limit < rule.limit else (),
                limit=limit,
                interval=rule.interval,
            )

    def count_order(self, account: str, now: float) -> None:
        """Book an accepted order against the account's limits."""
        self._order_rates.count(account, now)

    def order_headers(self, account: str, now: float) -> dict[str, str]:
        """What the account has used of its order limits."""
        return self._order_rates.headers(account, now)

    def used(self, source_ip: str) -> int:
        """Weight that a source has used in the present window."""
        return self._requests.used(source_ip)

    def lift(self, knob_id: str) -> None:
        """End the waits that a knob began."""
        self._requests.lift(knob_id)

    def admits_connection(self, connection_id: str, source_ip: str, now: float) -> bool:
        """Count an attempt to connect, and say whether it may."""
        closed = self._conditions.of(Maintenance)
        for knob_id in closed:
            self._on_intervention(knob_id, connection_id, "connection refused")
        counter = self._connects.setdefault(
            source_ip, WindowCounter(self._profile.connection_window)
        )
        counter.roll(self._epoch + now)
        counter.used += 1
        ban = self._ban(source_ip, now)
        if ban is not None and ban.cause:
            self._on_intervention(ban.cause, connection_id, "connection refused")
        return not closed and ban is None and counter.used <= self._profile.connection_limit

    def _check_maintenance(self, now: float) -> None:
        closed = self._conditions.of(Maintenance)
        if closed:
            waits = [knob.retry_after for knob in closed.values() if knob.retry_after is not None]
            raise self._refused_for(
                Reason.MAINTENANCE, max(waits, default=None), tuple(closed), now
            )

    def _check_weight(self, request: VenueRequest, source_ip: str, now: float) -> None:
        self._impose_bans(source_ip, now)
        silent = self._impose_throttles(source_ip, now)
        limit, cause = self._profile.weight_limit, ""
        for knob_id, knob in self._conditions.of(WeightLimit).items():
            if knob.limit < limit:
                limit, cause = knob.limit, knob_id
        weight = self._profile.weight_of(request)
        if weight is None:
            raise Refused(Reason.UNKNOWN_OPERATION)
        denial = self._requests.admit(source_ip, weight, now, limit=limit, cause=cause)
        if denial is not None:
            raise self._denied(denial, limit, now)
        if silent:
            raise Refused(Reason.WEIGHT, limit=limit, knob_ids=silent)

    def _ban(self, source_ip: str, now: float) -> Denial | None:
        self._impose_bans(source_ip, now)
        return self._requests.ban(source_ip, now)

    def _impose_bans(self, source_ip: str, now: float) -> None:
        for knob_id, ban in self._conditions.of(Ban).items():
            if ban.source_ip in {None, source_ip} and now < ban.until:
                self._requests.impose(source_ip, now, ban.until, banned=True, cause=knob_id)

    def _impose_throttles(self, source_ip: str, now: float) -> tuple[str, ...]:
        """Begin the waits that throttles ask for; return the throttles that tell no wait."""
        silent: list[str] = []
        for knob_id, throttle in self._conditions.of(Throttle).items():
            if throttle.retry_after is None:
                silent.append(knob_id)
                continue
            self._requests.impose(
                source_ip,
                now,
                now + throttle.retry_after,
                banned=False,
                as_date=throttle.as_date,
                cause=knob_id,
            )
        return tuple(silent)

    def _denied(self, denial: Denial, limit: int, now: float) -> Refused:
        until_wall = self._epoch + denial.until + self._conditions.skew()
        return Refused(
            Reason.BANNED if denial.banned else Reason.WEIGHT,
            **self._told(denial.until - now, now),
            as_date=denial.as_date,
            knob_ids=(denial.cause,) if denial.cause else (),
            limit=limit,
            until_ms=math.ceil(until_wall * 1000),
        )

    def _check_quota(self, operation: Operation, source_ip: str, now: float) -> None:
        quota = self._profile.quotas.get(operation)
        if quota is None:
            return
        key = (source_ip, operation)
        counter = self._quotas.setdefault(key, WindowCounter(quota.seconds))
        wall = self._epoch + now
        counter.roll(wall)
        if counter.used >= quota.limit:
            raise Refused(
                Reason.QUOTA,
                **self._told(counter.remaining(wall), now),
                free_at=self._last_let_in[key] + quota.seconds,
                limit=quota.limit,
                seconds=quota.seconds,
            )
        counter.used += 1
        self._last_let_in[key] = now

    def _told(self, wait: float, now: float) -> _Told:
        return {"retry_after": wait, "until": now + wait} if self._profile.tells_wait else {}

    def _check_key(self, request: VenueRequest) -> None:
        revoked = tuple(
            knob_id
            for knob_id, knob in self._conditions.of(Revoke).items()
            if knob.api_key in {None, request.api_key}
        )
        if revoked or self._ledger.account_of(request.api_key) is None:
            raise Refused(Reason.KEY_REFUSED, knob_ids=revoked)

    def _check_timestamp(self, request: VenueRequest, now: float) -> None:
        true_wall = self._epoch + now
        if not self._profile.checks_time:
            return
        problem = self._timestamp_problem(request, true_wall + self._conditions.skew())
        if problem is not None:
            blameless = self._timestamp_problem(request, true_wall) is None
            raise Refused(problem, knob_ids=tuple(self._conditions.of(Skew)) if blameless else ())

    def _timestamp_problem(self, request: VenueRequest, wall: float) -> Reason | None:
        if request.timestamp >= wall + self._profile.timestamp_lead:
            return Reason.TIMESTAMP_AHEAD
        if wall - request.timestamp > request.recv_window:
            return Reason.TIMESTAMP_LATE
        return None

    def _check_rejects(self, request: VenueRequest, now: float) -> None:
        for knob_id, knob in self._conditions.of(Reject).items():
            if knob.matches(request) and self._conditions.spend(knob_id, knob):
                form = ErrorForm(knob.status, knob.code, knob.message)
                raise self._refused_for(form, knob.retry_after, (knob_id,), now)

    def _refused_for(
        self,
        reason: Reason | ErrorForm,
        wait: float | None,
        knob_ids: tuple[str, ...],
        now: float,
    ) -> Refused:
        told = _Told() if wait is None else self._told(wait, now)
        return Refused(reason, knob_ids=knob_ids, **told)
