"""A catalogue in small, and the beginning of every scenario file in these tests."""

from __future__ import annotations

from foxtrot.util.errors import ErrorCategory
from harness.faults.schema import FaultKind, ParameterSpec


def kind(name, category, *variants, **rest):
    return FaultKind(
        name=name, category=category, doc=f"What {name} does.", variants=variants, **rest
    )


def duration(seconds):
    return ParameterSpec(type="duration", default=seconds, doc="How long.")


CATALOGUE = {
    each.name: each
    for each in (
        kind(
            "disconnect", ErrorCategory.CONNECTION, "clean", "reset", connection=True, instant=True
        ),
        kind("refuse", ErrorCategory.CONNECTION, connection=True),
        kind("blackhole", ErrorCategory.CONNECTION, connection=True),
        kind(
            "latency",
            ErrorCategory.CONNECTION,
            parameters={"delay": duration(0.5), "jitter": duration(0.1)},
        ),
        kind(
            "rate_limit",
            ErrorCategory.RATE_LIMIT,
            "seconds",
            "date",
            "bare",
            parameters={"retry_after": duration(10.0)},
        ),
        kind("ban", ErrorCategory.RATE_LIMIT, parameters={"retry_after": duration(120.0)}),
        kind(
            "reject",
            ErrorCategory.ORDER_EXECUTION,
            "insufficient_funds",
            "price_filter",
            "market_closed",
        ),
        kind("ack_lost", ErrorCategory.ORDER_EXECUTION),
        kind("maintenance", ErrorCategory.SYSTEM),
    )
}

HEAD = """\
scenario: story
proves: It holds.
duration: 10m
venues:
  - name: BINANCE
    profile: binance
    symbols:
      BTCUSDT: {price: 60000}
"""


def fault(*lines):
    return "\n".join(["faults:", *(f"  - {{{line}}}" for line in lines), ""])
