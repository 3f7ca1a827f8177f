"""A history folded once, event by event, into the facts that metrics and oracles judge.

What stays in memory grows with orders, failures and incidents, not with ticks or requests.
"""

from __future__ import annotations

from harness.facts.record import Facts, fold
from harness.plan import FaultPlan, Header

__all__ = ["Facts", "FaultPlan", "Header", "fold"]
