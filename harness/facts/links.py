"""What left the adapters and what came back, by the link's own record.

Kept are the requests on the wire, those that failed, and the last few thousand that did not: an
error can name any of these. Nothing else of a request outlives its reply.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.facts.judgement import Judgement, at
from harness.history import Event

__all__ = ["CANCEL", "NO_SUCH_ORDER_CODE", "PLACE", "Hold", "Links", "Request"]

RECENT = 4096
#: Connection attempts that an adapter may make in any window of `ATTEMPT_WINDOW` seconds. Binance
#: allows 300 in 5 minutes to everybody behind one address; one adapter needs far fewer.
ATTEMPT_LIMIT = 30
ATTEMPT_WINDOW = 60.0
#: Seconds that a connection needs to show what it is worth: who closes one sooner, of his own
#: accord and with nothing wrong, has mistaken another's new connection for his old one.
YOUNG = 1.0
#: Seconds after which a ping without an answer says something.
PATIENCE = 1.0
RATE_LIMITED = 429
BANNED = 418
#: Statuses below 500 that say nothing about what was asked.
NO_ANSWERS = frozenset({BANNED, RATE_LIMITED})
#: Binance's "too many new orders": of all requests, only new orders have to wait for it.
ORDER_RATE_CODE = -1015
#: OpenD's only code. It counts every call by itself: what it says of a new order holds no other.
OPEND_CODE = -1
#: Binance's "no such order": an answer to a look-up, and no error.
NO_SUCH_ORDER_CODE = -2013
#: Binance's refusals of an order as such: the same numbers will be refused again.
REFUSAL_CODES = frozenset({-1013, -2010})
CANCEL = "order.cancel"
PLACE = "order.place"
_CONNECT = "connect"


@dataclass(slots=True)
class Request:
    """One attempt of an adapter to ask its venue one thing."""

    id: str
    adapter: str
    operation: str
    client_id: str
    sent: float
    outcome: str = ""
    status: int = 0
    delivered: bool = True
    code: int | None = None
    retry_after: float | None = None
    until: float | None = None
    free_at: float | None = None
    is_canary: bool = False

    @property
    def is_answered(self) -> bool:
        """Whether the venue answered it as a matter of business: yes, or no to this request."""
        if self.outcome == "ok":
            return True
        return self.outcome == "error" and self.status < 500 and self.status not in NO_ANSWERS

    @property
    def is_settled(self) -> bool:
        """Whether it says itself that it did not act, or how: refused on the way, or answered."""
        if self.outcome == "error":
            return self.status < 500
        return self.outcome in {"ok", "refused"}

    @property
    def came_to_nothing(self) -> bool:
        """Whether it broke before it arrived, or was refused by the venue itself with a 5xx."""
        if self.outcome == "error":
            return self.code is not None
        return self.outcome == "reset" and not self.delivered

    @property
    def has_told(self) -> bool:
        """Whether it brought what was asked for, or that there is no such order."""
        is_none = self.outcome == "error" and self.code == NO_SUCH_ORDER_CODE
        return self.outcome == "ok" or is_none

    @property
    def is_of_orders_only(self) -> bool:
        """Whether a limit that refused it is one on new orders, and on nothing else."""
        is_opends = self.code == OPEND_CODE and self.operation == PLACE
        return is_opends or self.code == ORDER_RATE_CODE

    @property
    def is_refused_for_good(self) -> bool:
        """Whether the venue refused the order that it asked for."""
        return self.operation == PLACE and self.outcome == "error" and self.code in REFUSAL_CODES


@dataclass(frozen=True, slots=True)
class Hold:
    """The venue said: nothing before `until`. `orders_only`: but cancels and queries may go.

    Not `is_named`: it named no time, and how long that makes us quiet the policy says.
    """

    status: int
    until: float
    request_id: str
    told: str
    told_at: float
    orders_only: bool
    is_named: bool = True

    def covers(self, operation: str, t: float) -> bool:
        """Whether sending `operation` at `t` breaks it. A rounding error does not."""
        return t < self.until - 1e-6 and (not self.orders_only or operation == PLACE)


class Links:
    """The record of all links of a run, folded."""

    def __init__(self) -> None:
        self.adapters: set[str] = set()
        self.requests: dict[str, Request] = {}
        self.connections: set[str] = set()
        self.retry_after = Judgement()
        self.banned = Judgement()
        self.reconnects = Judgement()
        self.shutdown = Judgement()
        self.quiet = Judgement()
        self.quiet_seconds = 0.0
        self.plans: Mapping[str, Any] = {}  # Any: JSON
        self.silences: dict[str, list[tuple[float, float]]] = {}
        self.troubled_at: dict[str, float] = {}
        self.cancel_failed_at: dict[str, float] = {}
        self._venues: dict[str, str] = {}
        self._recent: deque[str] = deque()
        self._holds: dict[str, list[Hold]] = {}
        # Whether of new orders only, and the latest end. It outlives the holds: a call may wait
        # through one that was over before it came back.
        self._quiet_until: dict[tuple[str, bool], float] = {}
        self._free_at: dict[str, float] = {}
        self._open: dict[str, str] = {}
        self._opened_at: dict[str, float] = {}
        self._attempts: dict[str, deque[float]] = {}
        self._down_since: float | None = None

    def venue_of(self, adapter: str) -> str:
        """The venue that `adapter` talks to; its own name until a request has shown it."""
        return self._venues.get(adapter, adapter)

    def looks_up_in_a_list(self, adapter: str) -> bool:
        """Whether `adapter` finds an order in a list of them all, as its venue has nothing else."""
        plan = self.plans.get(self.venue_of(adapter), {})
        return bool(plan.get("looks_up") == "in a list")

    def was_cut_off(self, adapter: str, since: float) -> bool:
        """Whether what carries every request of `adapter` was down at some time after `since`."""
        if not self.plans.get(self.venue_of(adapter), {}).get("one_socket"):
            return False
        return adapter not in self._open or self._opened_at[adapter] > since

    @property
    def is_shutting_down(self) -> bool:
        """Whether shutdown has begun."""
        return self._down_since is not None

    def held_until(self, adapter: str, operation: str, t: float) -> float:
        """Until when the venue has told `adapter` not to send `operation`; `t` when it has not."""
        kinds = (False, True) if operation == PLACE else (False,)
        until = max(self._quiet_until.get((adapter, kind), t) for kind in kinds)
        return until if t < until - 1e-6 else t

    def free_at(self, adapter: str) -> float:
        """When all of the quota of new orders that the venue named to `adapter` is free again."""
        return self._free_at.get(adapter, 0.0)

    def is_held(self, adapter: str, operation: str, t: float) -> bool:
        """Whether the venue has told `adapter` not to send `operation` at `t`."""
        return self.held_until(adapter, operation, t) > t

    def sent(self, event: Event) -> None:
        """Take link.sent."""
        details = event.details
        adapter, operation = str(details["adapter"]), str(details["operation"])
        self.adapters.add(adapter)
        if details.get("venue"):
            self._venues[adapter] = str(details["venue"])
        client_id = str(details.get("client_id") or "")
        self.requests[event.id] = Request(event.id, adapter, operation, client_id, event.t)
        for hold in self._broken(adapter, operation, event.t):
            self._breach(hold, f"{at(event)}: {adapter} sent {operation} as {event.id}")
        if self._down_since is not None and operation == PLACE:
            since = self._down_since
            self.shutdown.breach(
                f"{at(event)}: {adapter} sent {client_id} although shutdown began at t={since:.3f}s"
            )

    def done(self, event: Event) -> None:
        """Take link.done."""
        request = self.requests.get(event.id)
        if request is None:
            return
        request.outcome = event.outcome
        request.status = int(event.details.get("status") or 0)
        request.delivered = bool(event.details.get("delivered", True))
        if event.details.get("retry_after") is not None:
            request.retry_after = float(event.details["retry_after"])
        if event.outcome == "error" and request.status in {RATE_LIMITED, BANNED}:
            self._hold(event, request)
            if request.is_of_orders_only and request.free_at is not None:
                self._free_at[request.adapter] = request.free_at
        if request.outcome == "ok":
            self._forget_later(event.id)
        elif not request.is_answered:
            self.troubled_at[request.adapter] = event.t
            if request.operation == CANCEL:
                self.cancel_failed_at[request.adapter] = event.t

    def refused(self, event: Event) -> None:
        """Take venue.refused: the moment until which the venue wants silence."""
        request = self.requests.get(event.id)
        if request is None:
            return
        request.code = event.details.get("code")
        if event.details.get("retry_after") is not None:
            request.retry_after = float(event.details["retry_after"])
        if event.details.get("until") is not None:
            request.until = float(event.details["until"])
        if event.details.get("free_at") is not None:
            request.free_at = float(event.details["free_at"])

    def opened(self, event: Event) -> None:
        """Take link.open."""
        adapter = str(event.details["adapter"])
        self.adapters.add(adapter)
        self.connections.add(event.id)
        began = float(event.details.get("began", event.t))
        self._judge_attempt(event, adapter, began)
        for hold in self._broken(adapter, _CONNECT, began):
            self._breach(hold, f"{at(event)}: {adapter} began to open {event.id} at t={began:.3f}s")
        if event.outcome == "ok":
            self._open[adapter] = event.id
            self._opened_at[adapter] = event.t
        else:
            self.troubled_at[adapter] = event.t

    def closed(self, event: Event, *, peace_since: float) -> None:
        """Take link.close; `peace_since`: when its venue's last fault was over."""
        adapter = str(event.details["adapter"])
        if not self.is_shutting_down:
            self._judge_close(event, adapter, peace_since)
        if self._open.get(adapter) == event.id:
            del self._open[adapter]
        if event.outcome != "clean" or event.details.get("by") != "client":
            self.troubled_at[adapter] = event.t

    def unanswered(self, event: Event) -> None:
        """Take link.ping: the streams gave no sign of life when they were asked for one.

        Who does not wait for one has learned nothing.
        """
        if event.details.get("waited", PATIENCE) >= PATIENCE:
            self.troubled_at[str(event.details["adapter"])] = event.t

    def _judge_close(self, event: Event, adapter: str, peace_since: float) -> None:
        opened_at = self._opened_at.get(adapter)
        if self._open.get(adapter) != event.id or opened_at is None:
            return
        is_by_choice = event.outcome == "clean" and event.details.get("by") == "client"
        is_well = max(peace_since, self.troubled_at.get(adapter, -1.0)) < opened_at
        if is_by_choice and is_well and event.t - opened_at < YOUNG:
            self.reconnects.breach(
                f"{at(event)}: {adapter} closed {event.id}, opened at t={opened_at:.3f}s, before "
                "it can have shown whether it works, and with nothing wrong"
            )

    def shutting_down(self, event: Event) -> None:
        """Take run.shutdown."""
        self._down_since = event.t
        self.shutdown.judged += 1

    def _forget_later(self, request_id: str) -> None:
        self._recent.append(request_id)
        if len(self._recent) > RECENT:
            self.requests.pop(self._recent.popleft(), None)

    def _hold(self, event: Event, request: Request) -> None:
        until = request.until
        if until is None and request.retry_after is not None:
            until = event.t + request.retry_after
        is_named = until is not None
        if until is None:
            if not self.quiet_seconds or self._is_quiet_since(request):
                return
            until = event.t + self.quiet_seconds
        hold = Hold(
            status=request.status,
            until=until,
            request_id=event.id,
            told=at(event),
            told_at=event.t,
            orders_only=request.is_of_orders_only,
            is_named=is_named,
        )
        live = [old for old in self._holds.get(request.adapter, ()) if old.until > event.t]
        self._holds[request.adapter] = [*live, hold]
        kind = (request.adapter, hold.orders_only)
        self._quiet_until[kind] = max(until, self._quiet_until.get(kind, 0.0))
        self._judgement(hold).judged += 1
        if not hold.orders_only:
            self.silences.setdefault(request.adapter, []).append((event.t, until))

    def _broken(self, adapter: str, operation: str, t: float) -> Iterator[Hold]:
        """The holds that whoever begins `operation` at `t` breaks: told by then, and not over."""
        for hold in self._holds.get(adapter, ()):
            if hold.told_at <= t and hold.covers(operation, t):
                yield hold

    def _breach(self, hold: Hold, what: str) -> None:
        asked = "as asked" if hold.is_named else "as is promised after a refusal"
        self._judgement(hold).breach(
            f"{what} before t={hold.until:.3f}s, {asked} by {hold.status} to {hold.request_id} "
            f"({hold.told})"
        )

    def _is_quiet_since(self, request: Request) -> bool:
        """Whether we were told so while it was on the wire: then its refusal tells nothing new."""
        holds = self._holds.get(request.adapter, ())
        return any(hold.told_at >= request.sent for hold in holds)

    def _judgement(self, hold: Hold) -> Judgement:
        if not hold.is_named:
            return self.quiet
        return self.banned if hold.status == BANNED else self.retry_after

    def _judge_attempt(self, event: Event, adapter: str, began: float) -> None:
        self.reconnects.judged += 1
        other = self._open.get(adapter)
        if other is not None and event.outcome == "ok":
            self.reconnects.breach(
                f"{at(event)}: {adapter} opened {event.id} while {other} was still open"
            )
        attempts = self._attempts.setdefault(adapter, deque())
        if attempts and began < attempts[-1] - 1e-6:
            self.reconnects.breach(
                f"{at(event)}: {adapter} began to open {event.id} at t={began:.3f}s, before the "
                f"attempt that ended at t={attempts[-1]:.3f}s was over"
            )
        attempts.append(event.t)
        while attempts[0] < event.t - ATTEMPT_WINDOW:
            attempts.popleft()
        if len(attempts) > ATTEMPT_LIMIT:
            self.reconnects.breach(
                f"{at(event)}: {adapter} made {len(attempts)} connection attempts within "
                f"{ATTEMPT_WINDOW:g}s, more than {ATTEMPT_LIMIT}"
            )
