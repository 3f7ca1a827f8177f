"""Faults of the rate limits: the venue wants to hear less of us."""

from __future__ import annotations

from foxtrot.util.errors import ErrorCategory
from harness.faults.base import VenueFault
from harness.faults.schema import FaultKind, ParameterSpec
from harness.venue import Ban as BanKnob
from harness.venue import Knob, Throttle

__all__ = ["Ban", "RateLimit"]


class RateLimit(VenueFault):
    """Every request is answered 429."""

    kind = FaultKind(
        name="rate_limit",
        category=ErrorCategory.RATE_LIMIT,
        variants=("seconds", "date", "bare"),
        parameters={
            "retry_after": ParameterSpec(
                type="duration", default=5.0, doc="What the client is told to wait."
            ),
        },
        doc="HTTP 429 with Retry-After in seconds, as an HTTP date, or without the header. Whoever "
        "sends before the time is over is banned (Binance: 418, from 2 minutes to 3 days, by IP). "
        "A right client sends nothing at all until then, on any lane.",
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
        doc="HTTP 418 and a text that names the end of the ban in epoch milliseconds. A right "
        "client sends nothing until then and goes on by itself afterwards.",
    )

    def knobs(self) -> tuple[Knob, ...]:
        """A ban until the fault's end."""
        return (BanKnob(until=self.occurrence.end),)
