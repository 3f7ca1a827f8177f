"""What must hold of what is sent, by the links' own record."""

from __future__ import annotations

from harness.facts import Facts
from harness.oracles.finding import result_of
from harness.results import InvariantResult

__all__ = [
    "blocked_calls_send_nothing",
    "bystanders_unharmed",
    "cancels_get_through",
    "nothing_sent_after_shutdown",
    "nothing_sent_before_retry_after",
    "nothing_sent_while_banned",
    "one_reconnect_at_a_time",
]


def nothing_sent_before_retry_after(facts: Facts) -> InvariantResult:
    """After a 429 arrived nothing is sent until the time it named; what was under way may end."""
    return result_of("nothing_sent_before_retry_after", facts.links.retry_after)


def nothing_sent_while_banned(facts: Facts) -> InvariantResult:
    """After a 418 arrived nothing is sent until the ban ends."""
    return result_of("nothing_sent_while_banned", facts.links.banned)


def blocked_calls_send_nothing(facts: Facts) -> InvariantResult:
    """A call that comes back as blocked, by a breaker or a gate, has sent nothing."""
    return result_of("blocked_calls_send_nothing", facts.calls.unsent)


def cancels_get_through(facts: Facts) -> InvariantResult:
    """While new orders fail, a cancel is sent, unless the fault or a hold is on cancels too."""
    return result_of("cancels_get_through", facts.calls.denied)


def one_reconnect_at_a_time(facts: Facts) -> InvariantResult:
    """Per adapter: no two connections at once, no overlapping attempts, and a bounded number."""
    return result_of("one_reconnect_at_a_time", facts.links.reconnects)


def bystanders_unharmed(facts: Facts) -> InvariantResult:
    """A fault on one venue makes no call on another fail."""
    return result_of("bystanders_unharmed", facts.bystanders)


def nothing_sent_after_shutdown(facts: Facts) -> InvariantResult:
    """No new order is sent once shutdown has begun; cancels and look-ups may be."""
    return result_of("nothing_sent_after_shutdown", facts.links.shutdown)
