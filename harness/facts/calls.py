"""What the strategy asked of the engine, which attempts that caused, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.facts.judgement import Judgement, at
from harness.facts.ledger import Ledger
from harness.facts.links import CANCEL, PLACE, Links, Request
from harness.history import Event

__all__ = ["PROMPT", "Call", "Calls", "Retried"]

#: Statuses after which the same request may succeed a moment later. A ban is none of them.
RETRYABLE = frozenset({408, 429, 500, 502, 503, 504})
LOOK_UP = "order.query"
_OPEN_ORDERS = "orders.open"
_LISTS = frozenset({_OPEN_ORDERS, "trades"})
#: Seconds in which a call that nothing holds back is on its way.
PROMPT = 1.0
#: Ends of an attempt after which a state-changing request may have been executed.
_UNKNOWN_FATES = frozenset({"", "ok", "reset", "lost", "abandoned"})

#: What recovery and reconciliation ask by themselves, on behalf of no call.
_ASKED_BY_RECOVERY = frozenset({"order.query", "orders.open", "stream.subscribe", "trades"})
#: What only callers ask for: such a request is an attempt, whether or not its call is still open.
_ASKED_BY_CALLERS = frozenset({PLACE, CANCEL, "account"})


@dataclass(slots=True)
class Call:
    """One operation that the strategy asked for, and what was sent for it.

    `was_kept_back`: it came to nothing and nothing had left, whatever the core calls that; or the
    core itself says that it was blocked.
    """

    id: str
    adapter: str
    operation: str
    lane: str
    client_id: str
    invoked: Event
    canary: bool
    attempts: list[Request] = field(default_factory=list)
    is_due_anyway: bool = False
    was_hopeless: bool = False
    was_kept_back: bool = False
    returned: str = ""

    @property
    def waits_since(self) -> float:
        """When it was asked for, or its attempt before the latest one left."""
        return self.attempts[-2].sent if len(self.attempts) > 1 else self.invoked.t

    @property
    def is_held_back(self) -> bool:
        """Whether its first request left only after a while: what holds it need not block it."""
        return bool(self.attempts) and self.attempts[0].sent - self.invoked.t > PROMPT

    @property
    def failed_retryably_at_first(self) -> bool:
        """Whether its first attempt failed in a way that a later one may not."""
        if not self.attempts or self.attempts[0].outcome == "ok":
            return False
        first = self.attempts[0]
        return first.outcome != "error" or first.status in RETRYABLE

    @property
    def may_have_acted(self) -> list[Request]:
        """The attempts that did something at the venue, or of which nobody knows."""
        unknown = _UNKNOWN_FATES if self.operation in {PLACE, CANCEL} else frozenset({"ok"})
        return [request for request in self.attempts if request.outcome in unknown]

    @property
    def is_told_as_unsent(self) -> bool:
        """Whether its caller was told that it failed, or was blocked, and nothing had left."""
        return self.returned == "blocked" or (self.returned == "failed" and self.was_kept_back)

    @property
    def was_answered(self) -> bool:
        """Whether the venue answered it as a matter of business: yes, or no to this request."""
        if not self.attempts:
            return False
        return self.attempts[-1].is_answered


@dataclass(frozen=True, slots=True)
class Retried:
    """An operation whose first attempt failed retryably. Judged when the ledger is complete.

    Not `is_true`: it came back ok, and the venue had not said so.
    """

    operation: str
    client_id: str
    returned: str
    attempts: int
    why: str
    was_hopeless: bool
    is_true: bool = True


class Calls:
    """All operations of a run."""

    def __init__(self, links: Links, ledger: Ledger) -> None:
        self._links = links
        self._ledger = ledger
        self.retried: list[Retried] = []
        self.attempted = 0
        self.attempts = 0
        self.unsent = Judgement()
        self.unasked = Judgement()
        self._listed_at = -1.0
        self._list_left_at = -1.0
        self.denied = Judgement()
        self.known_ids: set[str] = set()
        self._open: dict[str, Call] = {}
        # By operation and order, so that it grows with orders and not with calls.
        self._over: dict[tuple[str, str], Call] = {}

    def invoked(self, event: Event) -> Call:
        """Take client.invoke."""
        details = event.details
        call = Call(
            id=event.id,
            adapter=str(details["adapter"]),
            operation=str(details["operation"]),
            lane=str(details.get("lane") or "queries"),
            client_id=str(details.get("client_id") or ""),
            invoked=event,
            canary=bool(details.get("canary")),
        )
        self._open[event.id] = call
        self._links.adapters.add(call.adapter)
        if call.operation == PLACE and call.client_id:
            self._ledger.asked(event, call.client_id)
        return call

    def sent(self, event: Event) -> Call | None:
        """Take link.sent: the call on whose behalf it left, if any, be it open or over."""
        request = self._links.requests[event.id]
        if self._is_list(request):
            self._list_left_at = event.t
        named = str(event.details.get("call") or "")
        call = self._owner_of(request, self._open.get(named))
        is_late = call is None and request.operation in _ASKED_BY_CALLERS
        if is_late and not self._links.is_shutting_down:
            call = self._late(event, request, named)
        if call is not None:
            call.attempts.append(request)
            request.is_canary = call.canary
        return call

    def _owner_of(self, request: Request, named: Call | None) -> Call | None:
        """The open call that a request belongs to: the one that it names, if it fits."""
        if named is not None and _fits(named, request, is_named=True):
            return named
        if request.operation in _ASKED_BY_RECOVERY:
            return None
        # Of a request that seems to be nobody's the oldest open call that fits is taken to be the
        # owner: a core that breaks the tie must not have its attempts forgotten.
        return next((c for c in self._open.values() if _fits(c, request, is_named=False)), None)

    def _late(self, event: Event, request: Request, named: str) -> Call:
        """The call that a request belongs to which no open one asked for; at worst one of its own.

        An order of unknown outcome is sent again when it has turned out not to be there. What its
        caller was told is not sent must not go out behind his back.
        """
        lane = str(event.details.get("lane") or "")
        call = self._over.get((request.operation, request.client_id)) or Call(
            "", request.adapter, request.operation, lane, request.client_id, event, canary=False
        )
        self.attempted += not call.attempts
        self.attempts += 1
        is_meant = request.operation == PLACE or call.id == named
        if is_meant and call.is_told_as_unsent:
            self.unsent.breach(
                f"{at(event)}: {request.adapter} sent {request.operation} {request.client_id} as "
                f"{request.id}, although {call.id} had come back {call.returned} with nothing sent"
            )
        return call

    def done(self, request: Request) -> None:
        """A request is over. A list answers all who looked an order up before it left.

        Only where that is how orders are looked up; but for whichever adapter was asked, since the
        order may have gone to a standby.
        """
        if request.outcome == "ok" and self._is_list(request):
            self._listed_at = max(self._listed_at, request.sent)

    def _is_list(self, request: Request) -> bool:
        is_list = request.operation == _OPEN_ORDERS
        return is_list and self._links.looks_up_in_a_list(request.adapter)

    def find(self, call_id: str) -> Call | None:
        """The open call of that id."""
        return self._open.get(call_id)

    def returned(self, event: Event) -> Call | None:
        """Take client.return."""
        call = self._open.pop(event.id, None)
        if call is None:
            return None
        self._remember(event, call)
        has_left = bool(call.attempts) or self._shares_a_list(call, self._list_left_at)
        call.returned = event.outcome
        call.was_kept_back = event.outcome == "blocked" or (event.outcome != "ok" and not has_left)
        if call.operation == PLACE:
            self._order_returned(event, call)
        flaw = self._flaw_of(call) if event.outcome == "ok" else ""
        if event.outcome == "blocked":
            self._judge_blocked(event, call)
        elif event.outcome == "ok":
            self._judge_answer(event, call, flaw)
        if call.attempts and not call.canary:
            self.attempted += 1
            self.attempts += len(call.attempts)
            self._count_retry(event, call, is_true=not flaw)
        return call

    @staticmethod
    def _shares_a_list(call: Call, left_at: float) -> bool:
        """Whether the list that left at `left_at` is one that answers `call` as well."""
        return call.operation == LOOK_UP and left_at >= call.invoked.t

    def _remember(self, event: Event, call: Call) -> None:
        client_id = str(event.details.get("client_id") or call.client_id)
        if call.operation in {PLACE, CANCEL} and client_id:
            self._over[call.operation, client_id] = call
        # Only a call that no request answers for can be what an error refers to by its own id.
        if not call.attempts:
            self.known_ids.add(call.id)

    def _order_returned(self, event: Event, call: Call) -> None:
        client_id = str(event.details.get("client_id") or call.client_id)
        if not client_id:
            return
        if not call.client_id:
            self._ledger.asked(call.invoked, client_id)
        self._ledger.intent(client_id).returned = event.outcome

    def _judge_blocked(self, event: Event, call: Call) -> None:
        # An attempt that the venue refused, and a retry that was then held back, sent nothing.
        self.unsent.judged += 1
        if call.may_have_acted:
            self.unsent.breach(
                f"{at(event)}: {call.id} ({call.operation} {call.client_id}) was returned as "
                f"blocked, but {len(call.may_have_acted)} requests had left {call.adapter} and "
                "were not refused"
            )

    def _judge_answer(self, event: Event, call: Call, flaw: str) -> None:
        self.unasked.judged += 1
        if flaw:
            self.unasked.breach(
                f"{at(event)}: {call.id} ({call.operation} {call.client_id}) came back ok, and "
                f"{flaw}"
            )

    def _flaw_of(self, call: Call) -> str:
        """What is wrong with an ok to `call`; "" when the venue is behind it."""
        if self._shares_a_list(call, self._listed_at):
            return ""
        if not call.attempts:
            return f"nothing had been sent for it on {call.adapter}"
        if call.operation == CANCEL:
            intent = self._ledger.intents.get(call.client_id)
            is_open = intent is not None and intent.is_open_at_venue
            return "the order was still open at its venue" if is_open else ""
        # A new order may show itself on the stream, whatever became of its request.
        if call.operation == PLACE:
            return ""
        asked = call.attempts[-1:]
        if call.operation == LOOK_UP:
            # A recovery that a look-up has set off asks in its name as well, at the same time.
            asked = [r for r in call.attempts if r.operation == LOOK_UP] or call.attempts
        if any(request.has_told for request in asked):
            return ""
        return f"{asked[-1].id}, the last request for it, had brought no answer"

    def _count_retry(self, event: Event, call: Call, *, is_true: bool) -> None:
        if not call.failed_retryably_at_first:
            return
        client_id = str(event.details.get("client_id") or call.client_id)
        first = call.attempts[0]
        why = first.outcome if first.outcome != "error" else str(first.status)
        self.retried.append(
            Retried(
                operation=call.operation,
                client_id=client_id,
                returned=event.outcome,
                attempts=len(call.attempts),
                why=why or "silent",
                was_hopeless=call.was_hopeless,
                is_true=is_true,
            )
        )

    def judge_cancel(self, event: Event, call: Call, *, is_excused: bool) -> None:
        """Judge a returned cancel, asked for of an open order while new orders failed."""
        if is_excused:
            return
        self.denied.judged += 1
        if (event.outcome == "ok" or call.attempts) and not call.is_held_back:
            return
        sent = f"sent at t={call.attempts[0].sent:.3f}s" if call.attempts else "never sent"
        self.denied.breach(
            f"{at(event)}: cancel of {call.client_id}, asked for as {call.id} ({at(call.invoked)}) "
            f"and {sent}, came back {event.outcome}, while only new orders had reason to fail on "
            f"{call.adapter}"
        )


def _fits(call: Call, request: Request, *, is_named: bool) -> bool:
    """Whether a request can be an attempt of a call. `is_named`: the link says that it is.

    Then it may be at a standby; and a look-up may have the form of those lists by which a venue
    that knows no other answers it.
    """
    if is_named and call.operation == LOOK_UP and request.operation in _LISTS:
        return True
    return (
        (is_named or call.adapter == request.adapter)
        and call.operation == request.operation
        and call.client_id in {"", request.client_id}
    )
