"""What must hold of orders and positions, by the venue's ledger and what subscribers saw."""

from __future__ import annotations

from collections.abc import Iterator

from harness.facts import Facts
from harness.facts.judgement import Judgement
from harness.facts.ledger import AGREEING, TOLERANCE, Intent
from harness.oracles.finding import result_of
from harness.results import InvariantResult

__all__ = [
    "failed_reply_changes_no_state",
    "no_intent_executes_twice",
    "no_order_comes_back_to_life",
    "no_order_lost",
    "positions_equal_fills",
    "unknown_never_settled_without_evidence",
]


def no_intent_executes_twice(facts: Facts) -> InvariantResult:
    """Each intent has at most one order at the venue, executed no further than was asked.

    An order that nobody asked for is a breach too: it is an intent sent under a second id.
    """
    judgement = Judgement()
    for intent in facts.ledger.intents.values():
        if not intent.at_venue:
            continue
        judgement.judged += 1
        for line in _excesses(intent):
            judgement.breach(line)
    return result_of("no_intent_executes_twice", judgement)


def _excesses(intent: Intent) -> Iterator[str]:
    orders = ", ".join(
        f"{venue} {order_id} ({order.status}, executed {order.executed:g}, seq {order.seq})"
        for (venue, order_id), order in intent.at_venue.items()
    )
    if len(intent.at_venue) > 1:
        yield f"order {intent.client_id} is at the venue {len(intent.at_venue)} times: {orders}"
    if intent.is_overdone:
        yield (
            f"order {intent.client_id} asked for {intent.quantity:g} (seq {intent.asked}) and "
            f"{intent.executed:g} were executed: {orders}"
        )
    if intent.asked is None:
        yield f"order {intent.client_id!r} is at the venue and nobody asked for it: {orders}"


def no_order_lost(facts: Facts) -> InvariantResult:
    """Every intent ends in a state that venue and engine agree on, traded quantity included.

    So do subscribers, as they were last told before that was read. Of an order that the engine has
    forgotten their word stands for its own.
    """
    judgement = Judgement()
    if not facts.ledger.final_read:
        why = "the final state of orders was never read" if facts.ledger.intents else ""
        return result_of("no_order_lost", judgement, undecided=why)
    for intent in facts.ledger.intents.values():
        judgement.judged += 1
        line = _disagreement(intent)
        if line:
            judgement.breach(line)
    return result_of("no_order_lost", judgement)


def _disagreement(intent: Intent) -> str:
    told = intent.told or ("", 0.0)
    status, traded = intent.final or told
    there, executed = intent.final_at_venue[-1] if intent.final_at_venue else ("", 0.0)
    if not status and not there:
        # Blocked, or never seen by either side: fine, unless the caller was told that it stands.
        return (
            f"order {intent.client_id} came back ok and is nowhere"
            if (intent.returned == "ok")
            else ""
        )
    is_true = there in AGREEING.get(status, frozenset()) and _is_same(traded, executed)
    is_told = told[0] == status and _is_same(told[1], traded)
    if is_true and is_told:
        return ""
    return (
        f"order {intent.client_id} (asked at seq {intent.asked}, sent {intent.sends} times) ended "
        f"as {status or 'not known'} with {traded:g} traded, told as {told[0] or 'not known'} with "
        f"{told[1]:g}, at the venue as {there or 'not known'} with {executed:g} executed"
    )


def _is_same(one: float, other: float) -> bool:
    return abs(one - other) <= TOLERANCE


def no_order_comes_back_to_life(facts: Facts) -> InvariantResult:
    """An order that subscribers saw end is never active again; another end may still be told."""
    return result_of("no_order_comes_back_to_life", facts.ledger.revived)


def positions_equal_fills(facts: Facts) -> InvariantResult:
    """Each fill of the venue's reached subscribers once, as it was, and positions are their sum."""
    ledger = facts.ledger
    judgement = Judgement(ledger.fills.judged, ledger.fills.breaches, list(ledger.fills.evidence))
    if ledger.unfilled and not ledger.final_read:
        # Cut short, as by Ctrl-C: what is under way then is neither lost nor arrived.
        why = f"{len(ledger.unfilled)} fills were on their way to subscribers when the run ended"
        return result_of("positions_equal_fills", judgement, undecided=why)
    for (venue, _, _), fill in ledger.unfilled.items():
        judgement.breach(f"{fill.words}, made by {venue}, never reached subscribers: {fill.about}")
    for key in dict.fromkeys([*ledger.venue_positions, *ledger.client_positions]):
        judgement.judged += 1
        held = ledger.client_positions.get(key, 0.0)
        real = ledger.venue_positions.get(key, 0.0)
        if abs(held - real) > TOLERANCE:
            judgement.breach(f"position in {key[1]} at {key[0]}: {held:g} here, {real:g} there")
    return result_of("positions_equal_fills", judgement)


def unknown_never_settled_without_evidence(facts: Facts) -> InvariantResult:
    """UNKNOWN becomes final, and an order REJECTED, only by the venue's word.

    Nor does an order that the venue took come back as "failed".
    """
    settled = facts.ledger.settled
    judgement = Judgement(settled.judged, settled.breaches, list(settled.evidence))
    for intent in facts.ledger.intents.values():
        if intent.returned not in {"failed", "blocked"}:
            continue
        judgement.judged += 1
        if any(order.status != "EXPIRED" or order.executed for order in intent.at_venue.values()):
            seqs = ", ".join(f"seq {order.seq}" for order in intent.at_venue.values())
            judgement.breach(
                f"order {intent.client_id} came back {intent.returned}, yet the venue has it "
                f"({seqs}), {intent.executed:g} executed"
            )
    return result_of("unknown_never_settled_without_evidence", judgement)


def failed_reply_changes_no_state(facts: Facts) -> InvariantResult:
    """After failed look-ups no order is called final while the venue has it open."""
    return result_of("failed_reply_changes_no_state", facts.ledger.invented)
