"""Faults of the rate limits: the venue wants to hear less of us."""

from __future__ import annotations

from foxtrot.util.errors import ErrorCategory
from harness.faults.base import VenueFault
from harness.faults.schema import FaultKind, ParameterSpec
from harness.venue import Ban as BanKnob
from harness.venue import Knob, OrderLimit, Throttle, WeightLimit

__all__ = ["Ban", "OrderRate", "RateLimit", "ShrunkenQuota"]

_LIMITS = "Binance Spot rest-api.md, section LIMITS"


class RateLimit(VenueFault):
    """Every request is answered 429."""

    kind = FaultKind(
        name="rate_limit",
        category=ErrorCategory.RATE_LIMIT,
        variants=("seconds", "date", "bare"),
        aims=(),
        parameters={
            "retry_after": ParameterSpec(
                type="duration", default=5.0, doc="What the client is told to wait."
            ),
        },
        doc="HTTP 429 with Retry-After in seconds, as an HTTP date, or without the header. Whoever "
        "sends before the time is over is banned (418, from 2 minutes to 3 days, by address).",
        remedy="Send nothing at all until then, on any lane; without a time, wait long and "
        "longer. Then go on by itself.",
        source=f"{_LIMITS}; RFC 9110 on Retry-After.",
    )

    def knobs(self) -> tuple[Knob, ...]:
        """A throttle that tells a wait, or none."""
        if self.variant == "bare":
            return (Throttle(),)
        return (Throttle(retry_after=self.seconds("retry_after"), as_date=self.variant == "date"),)


class Ban(VenueFault):
    """The address is banned until the fault ends."""

    kind = FaultKind(
        name="ban",
        category=ErrorCategory.RATE_LIMIT,
        aims=(),
        doc="HTTP 418 and a text that names the end of the ban in epoch milliseconds.",
        remedy="Send nothing until then, not even a probe or a reconnect, and go on by itself "
        "afterwards.",
        source=f"{_LIMITS}; freqtrade #1207: every retry prolongs the ban.",
    )

    def knobs(self) -> tuple[Knob, ...]:
        """A ban until the fault's end."""
        return (BanKnob(until=self.occurrence.end),)


class ShrunkenQuota(VenueFault):
    """The venue cuts the request weight it grants."""

    kind = FaultKind(
        name="shrunken_quota",
        category=ErrorCategory.RATE_LIMIT,
        aims=(),
        parameters={
            "limit": ParameterSpec(type="int", default=60, doc="Weight per minute that is left."),
        },
        doc="The quota per minute shrinks, as venues do under load, or because somebody else "
        "behind the same address uses it up. What was fine a minute ago is answered 429 until "
        "the minute is over.",
        remedy="As for any 429: silence until the time that it names. Reading the weight used "
        "from the headers avoids it.",
        source=f"{_LIMITS}: limits are per address and may change without notice.",
    )

    def knobs(self) -> tuple[Knob, ...]:
        """Less weight a minute."""
        return (WeightLimit(limit=int(self.parameter("limit"))),)


class OrderRate(VenueFault):
    """The venue takes fewer orders than before."""

    kind = FaultKind(
        name="order_rate",
        category=ErrorCategory.RATE_LIMIT,
        aims=(),
        parameters={
            "limit": ParameterSpec(type="int", default=5, doc="Orders per ten seconds."),
        },
        doc="More orders than the account may place in ten seconds: 429 with code -1015, for new "
        "orders only. Cancels and look-ups are still served.",
        remedy="Hold new orders back until the time that it names, and let cancels go.",
        source=f"{_LIMITS}, ORDERS; errors.md, -1015 TOO_MANY_ORDERS.",
    )

    def knobs(self) -> tuple[Knob, ...]:
        """Fewer orders in the shortest window."""
        return (OrderLimit(limit=int(self.parameter("limit"))),)
