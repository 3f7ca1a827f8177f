"""What must hold of prices, by the venue's clock and what subscribers saw."""

from __future__ import annotations

from harness.facts import Facts
from harness.oracles.finding import result_of
from harness.results import InvariantResult

__all__ = ["no_stale_price_served"]


def no_stale_price_served(facts: Facts) -> InvariantResult:
    """No price is served as fresh beyond the detection budget's double, nor after a newer one."""
    return result_of("no_stale_price_served", facts.prices.served)
