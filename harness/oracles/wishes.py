"""What must hold between what was asked for, what the venue was asked, and when."""

from __future__ import annotations

from harness.facts import Facts
from harness.oracles.finding import result_of
from harness.results import InvariantResult

__all__ = [
    "calls_end_in_time",
    "no_order_sent_too_late",
    "orders_are_as_asked",
    "quiet_after_a_refusal",
    "trading_resumes",
]


def orders_are_as_asked(facts: Facts) -> InvariantResult:
    """Symbol, side, type, quantity and price at the venue are those that were asked for."""
    return result_of("orders_are_as_asked", facts.wishes.as_asked)


def no_order_sent_too_late(facts: Facts) -> InvariantResult:
    """An order leaves within its deadline, and again only while that is promised; or never."""
    return result_of("no_order_sent_too_late", facts.wishes.in_time)


def calls_end_in_time(facts: Facts) -> InvariantResult:
    """Each call ends within its lane's deadline, or with the attempt that was under way then."""
    return result_of("calls_end_in_time", facts.wishes.answered)


def quiet_after_a_refusal(facts: Facts) -> InvariantResult:
    """After a refusal for asking too often that names no time nothing is sent for a while.

    Nor does anybody connect, unless only new orders were refused.
    """
    return result_of("quiet_after_a_refusal", facts.links.quiet)


def trading_resumes(facts: Facts) -> InvariantResult:
    """On a venue that has been well for longer than recovery may take each call gets through.

    That it refuses an order is the core's doing, then: callers ask for what it takes.
    """
    return result_of("trading_resumes", facts.wishes.served)
