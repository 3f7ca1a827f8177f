"""What callers wished for, and what they got: the order that they meant, in time, and an answer.

Their own words stand beside what the venue booked, and beside when something left and came back.
What counts as in time is what the policy promises.
"""

from __future__ import annotations

from harness.facts.calls import PROMPT, Call
from harness.facts.judgement import Judgement, at
from harness.facts.ledger import TOLERANCE
from harness.facts.links import PLACE
from harness.history import Event
from harness.plan import Promises

__all__ = ["Wishes"]

_WORDS = ("symbol", "side", "type", "quantity", "price")
#: What a venue has no word for, or the caller had none.
_UNSAID = (None, 0.0, "")
#: Statuses that say that we may not ask: no answer to what was asked.
_DENIED = frozenset({401, 403})


class Wishes:
    """Every new order as it was asked for, and every call until it came back."""

    def __init__(self, promises: Promises) -> None:
        self.as_asked = Judgement()
        self.in_time = Judgement()
        self.answered = Judgement()
        self.served = Judgement()
        self._promises = promises
        self._asked: dict[str, Event] = {}
        self._first_sent: dict[str, float] = {}
        self._seen: set[tuple[str, str]] = set()
        self._waiting: dict[str, Call] = {}

    def invoked(self, event: Event, call: Call) -> None:
        """Take client.invoke."""
        if call.operation == PLACE and call.client_id:
            self._asked[call.client_id] = event
        if not call.canary:  # whose patience is the probe's
            self._waiting[call.id] = call

    def sent(self, event: Event) -> None:
        """Take link.sent: a new order leaves within its deadline, or soon after it did once.

        A minute later its price is another order's.
        """
        client_id = str(event.details.get("client_id") or "")
        asked = self._asked.get(client_id)
        if event.details["operation"] != PLACE or asked is None:
            return
        due = asked.t + self._promises.deadline(str(asked.details.get("lane")))
        first = self._first_sent.setdefault(client_id, event.t)
        if first < event.t:
            due = max(due, first + self._promises.resend)
        self.in_time.judged += 1
        if event.t > due + PROMPT:
            self.in_time.breach(
                f"{at(event)}: order {client_id}, asked for at t={asked.t:.3f}s (seq {asked.seq}) "
                f"and first sent at t={first:.3f}s, was sent as {event.id}; it was due by "
                f"t={due:.3f}s"
            )

    def booked(self, event: Event) -> None:
        """Take venue.order: what the venue has is what was asked for."""
        client_id = str(event.details.get("client_id") or "")
        asked = self._asked.get(client_id)
        key = (str(event.details.get("venue") or ""), event.id)
        if asked is None or key in self._seen:
            return
        self._seen.add(key)
        self.as_asked.judged += 1
        for word in _WORDS:
            wish, booked = asked.details.get(word), event.details.get(word)
            if not _is_same(wish, booked):
                self.as_asked.breach(
                    f"{at(event)}: order {client_id} is at {key[0]} with {word}={booked!r}, asked "
                    f"for was {wish!r} (seq {asked.seq})"
                )

    def returned(self, event: Event, call: Call, *, must_work: bool, is_disturbed: bool) -> None:
        """Take client.return. `must_work`: all has been well for so long that it has no excuse.

        `is_disturbed`: a fault touched its last request nevertheless.
        """
        if self._waiting.pop(call.id, None) is None:
            return
        self._judge_wait(call, event.t, f"{at(event)}: {call.id} came back {event.outcome}")
        if must_work:
            self._judge_service(event, call, is_disturbed=is_disturbed)

    def over(self, t: float) -> None:
        """The history ends: who waits still has waited until now."""
        for call in self._waiting.values():
            self._judge_wait(call, t, f"t={t:.3f}s: {call.id} never came back, and waited")

    def _judge_wait(self, call: Call, t: float, how: str) -> None:
        self.answered.judged += 1
        limit = self._promises.answer_within(call.lane)
        if t - call.invoked.t > limit + PROMPT:
            self.answered.breach(
                f"{how} after {t - call.invoked.t:.1f}s ({call.operation} {call.client_id} on "
                f"{call.adapter}, {at(call.invoked)}); {limit:g}s are promised"
            )

    def _judge_service(self, event: Event, call: Call, *, is_disturbed: bool) -> None:
        self.served.judged += 1
        is_denied = bool(call.attempts) and call.attempts[-1].status in _DENIED
        # A venue that is well takes new orders: a no to one is a no to what was made of it.
        may_be_refused = call.operation != PLACE or is_disturbed
        if event.outcome == "ok" or (call.was_answered and not is_denied and may_be_refused):
            return
        self.served.breach(
            f"{at(event)}: {call.id} ({call.operation} {call.client_id}) came back "
            f"{event.outcome} on {call.adapter}, whose venue had long been well"
        )


def _is_same(wish: object, booked: object) -> bool:
    if wish in _UNSAID or booked in _UNSAID:
        return True
    if isinstance(wish, int | float) and isinstance(booked, int | float):
        return abs(wish - booked) <= TOLERANCE
    return str(wish) == str(booked)
