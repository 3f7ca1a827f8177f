"""What must hold of standbys: they serve in need, and only then."""

from __future__ import annotations

from harness.facts import Facts
from harness.oracles.finding import result_of
from harness.results import InvariantResult

__all__ = ["primary_gets_its_orders_back", "standby_takes_over"]


def standby_takes_over(facts: Facts) -> InvariantResult:
    """New orders for an adapter that stays down go to its standby, if that one is well."""
    return result_of("standby_takes_over", facts.standbys.taken_over)


def primary_gets_its_orders_back(facts: Facts) -> InvariantResult:
    """New orders for an adapter that is well again no longer go to its standby."""
    return result_of("primary_gets_its_orders_back", facts.standbys.handed_back)
