"""What must hold of what is sent, by the links' own record."""

from __future__ import annotations

from harness.facts import Facts
from harness.oracles.finding import result_of
from harness.results import InvariantResult

__all__ = [
    "blocked_calls_send_nothing",
    "bystanders_unharmed",
    "cancels_get_through",
    "every_answer_was_asked_for",
    "no_refusal_is_sent_again",
    "nothing_blocked_without_cause",
    "nothing_sent_after_shutdown",
    "nothing_sent_before_retry_after",
    "nothing_sent_while_banned",
    "one_reconnect_at_a_time",
    "shutdown_names_what_stays_open",
]


def nothing_sent_before_retry_after(facts: Facts) -> InvariantResult:
    """After a 429 arrived nothing is sent until the time it named; what was under way may end.

    Nor does anybody connect, unless only new orders were refused.
    """
    return result_of("nothing_sent_before_retry_after", facts.links.retry_after)


def nothing_sent_while_banned(facts: Facts) -> InvariantResult:
    """After a 418 arrived nothing is sent until the ban ends, and nobody connects."""
    return result_of("nothing_sent_while_banned", facts.links.banned)


def blocked_calls_send_nothing(facts: Facts) -> InvariantResult:
    """A call that comes back as blocked, by a breaker or a gate, has sent nothing, and does not."""
    return result_of("blocked_calls_send_nothing", facts.calls.unsent)


def nothing_blocked_without_cause(facts: Facts) -> InvariantResult:
    """A call is held back only where something failed, or was on, within the recovery bound.

    Refused orders and slow replies are no such thing. Whatever a call is told as that came to
    nothing, it was held back if nothing left for it.
    """
    return result_of("nothing_blocked_without_cause", facts.causeless)


def every_answer_was_asked_for(facts: Facts) -> InvariantResult:
    """A call that came back ok has sent something, and the venue is behind what it was told.

    A question was answered, and an order that was cancelled is open no more.
    """
    return result_of("every_answer_was_asked_for", facts.calls.unasked)


def no_refusal_is_sent_again(facts: Facts) -> InvariantResult:
    """An order that the venue refused as such is not sent again, unless its fate was in doubt."""
    return result_of("no_refusal_is_sent_again", facts.ledger.repeated)


def cancels_get_through(facts: Facts) -> InvariantResult:
    """While new orders fail, a cancel is sent, unless the fault or a hold is on cancels too."""
    return result_of("cancels_get_through", facts.calls.denied)


def one_reconnect_at_a_time(facts: Facts) -> InvariantResult:
    """Per adapter: no two connections at once, no overlapping attempts, and a bounded number."""
    return result_of("one_reconnect_at_a_time", facts.links.reconnects)


def bystanders_unharmed(facts: Facts) -> InvariantResult:
    """A fault on one venue makes no call on another fail.

    Nor is an adapter without a connection or prices while its venue is well.
    """
    return result_of("bystanders_unharmed", facts.bystanders)


def nothing_sent_after_shutdown(facts: Facts) -> InvariantResult:
    """No new order is sent once shutdown has begun; cancels and look-ups may be."""
    return result_of("nothing_sent_after_shutdown", facts.links.shutdown)


def shutdown_names_what_stays_open(facts: Facts) -> InvariantResult:
    """What the venue may still execute when the engine has closed is named in its report."""
    return result_of("shutdown_names_what_stays_open", facts.ledger.unnamed)
