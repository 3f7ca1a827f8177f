"""The fold: each event to whoever keeps a record of its kind, in the order that they depend on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from harness.facts.alerts import Alerts
from harness.facts.calls import Call, Calls
from harness.facts.errors import Errors
from harness.facts.judgement import Judgement, at
from harness.facts.ledger import Ledger
from harness.facts.links import CANCEL, PLACE, Links, Request
from harness.facts.outages import Outages
from harness.facts.peace import Peace
from harness.facts.prices import Prices
from harness.facts.standbys import Standbys
from harness.facts.wishes import Wishes
from harness.history import Event
from harness.incidents import IncidentLog
from harness.plan import Header, Promises
from harness.timeline import Timeline, TimelineFold

__all__ = ["Facts", "fold"]

#: Seconds for which a call is worth trying again: what the most impatient lane allows.
RETRY_BUDGET = 15.0


def fold(events: Iterable[Event]) -> Facts:
    """Read a history once, in order, and return what it says."""
    facts = Facts()
    for event in events:
        facts.take(event)
    facts.finish()
    return facts


class Facts:
    """What happened in a run. Implements the `Witness` of error records."""

    def __init__(self) -> None:
        self.header = Header()
        self.links = Links()
        self.ledger = Ledger(self.links)
        self.calls = Calls(self.links, self.ledger)
        self.outages = Outages()
        self.standbys = Standbys({})
        self.wishes = Wishes(Promises())
        self.prices = Prices(0.0)
        self.incidents = IncidentLog(self.links.silences)
        self.errors = Errors(self.incidents, self)
        self.bystanders = Judgement()
        self.events = 0
        self.last_t = 0.0
        self.settled_at: float | None = None
        self.end: str = ""
        self.leftover_tasks: tuple[str, ...] | None = None
        self.failures: tuple[str, ...] = ()
        self.causeless = Judgement()
        self.alerts = Alerts()
        self.samples_before: dict[str, tuple[bool, str]] = {}
        self.last_sample: dict[str, tuple[bool, str]] = {}
        self._timeline = TimelineFold()
        self._well_once: set[str] = set()
        self._failing_orders: set[str] = set()
        self._peace = Peace()
        self._is_undisturbed = True
        self._takers: Mapping[str, Callable[[Event], None]] = {
            "run.start": self._start,
            "run.settle": self._settle,
            "run.shutdown": self._shutdown,
            "run.closed": self.ledger.closed,
            "run.end": self._end,
            "fault.begin": self._fault_begin,
            "fault.fired": self.incidents.fired,
            "fault.end": self._fault_end,
            "fault.healed": self._fault_healed,
            "link.open": self._link_open,
            "link.close": self._link_close,
            "link.ping": self.links.unanswered,
            "link.sent": self._link_sent,
            "link.done": self._link_done,
            "venue.order": self._venue_order,
            "venue.trade": self.ledger.venue_trade,
            "venue.refused": self.links.refused,
            "venue.final_order": lambda e: self.ledger.final_order(e, at_venue=True),
            "venue.final_position": lambda e: self.ledger.final_position(e, at_venue=True),
            "client.invoke": self._invoke,
            "client.return": self._return,
            "client.order": self.ledger.client_order,
            "client.trade": self.ledger.client_trade,
            "client.price": self._price,
            "client.final_order": lambda e: self.ledger.final_order(e, at_venue=False),
            "client.final_position": lambda e: self.ledger.final_position(e, at_venue=False),
            "engine.error": self.errors.take,
            "operator.alert": self._alert,
            "probe.sample": self._probe,
        }

    @property
    def horizon(self) -> float:
        """When the market closed: what had not cleared by then was healed by the harness."""
        return self.header.horizon if self.settled_at is None else self.settled_at

    @property
    def observed_until(self) -> float:
        """Up to when an incident that was never restored is counted."""
        return self.last_t if self.is_cut_short else max(self.last_t, self.header.horizon)

    @property
    def is_cut_short(self) -> bool:
        """Whether the run was interrupted: what it has not seen may have been on its way."""
        return self.end == "interrupted"

    def may_yet_come(self, due: float) -> bool:
        """Whether the run was interrupted before `due`."""
        return self.is_cut_short and self.last_t < due

    @property
    def timeline(self) -> Timeline:
        """What the chart draws."""
        return self._timeline.done(self.incidents.all.values(), self.observed_until)

    def take(self, event: Event) -> None:
        """Take one event; kinds that prove nothing are only counted."""
        self.events += 1
        self.last_t = event.t
        taker = self._takers.get(event.kind)
        if taker is not None:
            taker(event)
        self._timeline.take(event)

    def finish(self) -> None:
        """The history is over."""
        self.prices.over(self.last_t)
        self.wishes.over(self.last_t)
        self.incidents.finish(self.header.promises.cooldown)

    # -- the witness of error records ---------------------------------------------------------

    def has_adapter(self, name: str) -> bool:
        """Whether an adapter of that name was seen at work."""
        return name in self.links.adapters

    def operation_of(self, correlation_id: str) -> str | None:
        """See `Witness`."""
        request = self.links.requests.get(correlation_id)
        if request is not None:
            return request.operation
        call = self.calls.find(correlation_id)
        if call is not None:
            return call.operation
        known = correlation_id in self.links.connections or correlation_id in self.calls.known_ids
        return "" if known else None

    def symbol_of(self, client_id: str) -> str | None:
        """See `Witness`."""
        intent = self.ledger.intents.get(client_id)
        return None if intent is None else intent.symbol

    def request_of(self, correlation_id: str) -> Request | None:
        """See `Witness`."""
        return self.links.requests.get(correlation_id)

    # -- takers ---------------------------------------------------------------------------------

    def _start(self, event: Event) -> None:
        self.header = Header.of(event)
        self.standbys = Standbys(self.header.venues)
        self.wishes = Wishes(self.header.promises)
        self.links.quiet_seconds = self.header.promises.quiet
        self.links.plans = self.header.venues
        self.prices = Prices(2 * self.header.detection_budget)
        self.incidents.plan(self.header.faults.values(), self.header.detection_budget)

    def _settle(self, event: Event) -> None:
        self.settled_at = event.t

    def _shutdown(self, event: Event) -> None:
        self.links.shutting_down(event)
        self.ledger.is_closed = True
        self.prices.over(event.t)

    def _end(self, event: Event) -> None:
        self.end = event.outcome
        left: Iterable[Any] | None = event.details.get("leftover_tasks")  # Any: JSON
        self.leftover_tasks = None if left is None else tuple(str(task) for task in left)
        self.failures = tuple(str(failure) for failure in event.details.get("failures") or ())

    def _fault_begin(self, event: Event) -> None:
        self._is_undisturbed = False
        self.incidents.begin(event)
        plan = self.header.faults.get(event.id)
        if plan is not None:
            self._peace.broken(event.id, plan.venue)

    def _fault_end(self, event: Event) -> None:
        self.incidents.end(event)
        self._peace.restored(event.id, event.t)

    def _fault_healed(self, event: Event) -> None:
        self.incidents.healed(event)
        if event.outcome == "ok":
            self._peace.restored(event.id, event.t)

    def _link_open(self, event: Event) -> None:
        self.links.opened(event)
        adapter = str(event.details["adapter"])
        self.incidents.link_ended(event, adapter, is_bad=event.outcome != "ok")

    def _link_close(self, event: Event) -> None:
        self.links.closed(event, peace_since=self._peace_since(str(event.details["adapter"])))
        # A clean close is one the client asked for; by anybody else it is a loss.
        is_bad = event.outcome != "clean" or event.details.get("by") != "client"
        self.incidents.link_ended(event, str(event.details["adapter"]), is_bad=is_bad)

    def _venue_order(self, event: Event) -> None:
        self.ledger.venue_order(event)
        self.wishes.booked(event)

    def _link_sent(self, event: Event) -> None:
        self.links.sent(event)
        self.wishes.sent(event)
        self.ledger.sent(event)
        call = self.calls.sent(event)
        adapter = self.links.requests[event.id].adapter
        if call is not None:
            self._sent_for(call, event, adapter)
        self.outages.left(adapter, str(event.details.get("lane") or ""))

    def _sent_for(self, call: Call, event: Event, adapter: str) -> None:
        if call.operation == PLACE and not call.returned:
            peace_since = self._peace_since(call.adapter)
            self.standbys.sent(event, call, adapter, peace_since=peace_since)
        if adapter == call.adapter:
            self.outages.sent(call, event.t, is_down=self._is_known_down(call, event.t))

    def _link_done(self, event: Event) -> None:
        request = self.links.requests.get(event.id)
        self.links.done(event)
        self.ledger.done(event)
        if request is not None:
            self.calls.done(request)
            self.outages.ended(request, event.t)
            self.incidents.link_ended(
                event,
                request.adapter,
                is_bad=event.outcome != "ok",
                is_canary=request.is_canary,
            )

    def _invoke(self, event: Event) -> None:
        call = self.calls.invoked(event)
        self.wishes.invoked(event, call)
        self.outages.invoked(call, is_down=self._is_known_down(call, event.t))
        if call.operation == PLACE:
            peace_since = self._peace_since(call.adapter)
            self.standbys.invoked(call, event.t, peace_since=peace_since)
        call.is_due_anyway = call.operation == CANCEL and self._is_cancel_due_anyway(call)

    def _is_cancel_due_anyway(self, call: Call) -> bool:
        """Whether a cancel is asked for of an open order while new orders fail.

        What becomes of the order before the cancel is sent is no excuse for not sending it.
        """
        intent = self.ledger.intents.get(call.client_id)
        is_open = intent is not None and intent.is_open_at_venue
        return is_open and (call.adapter in self._failing_orders or self._are_orders_held(call))

    def _are_orders_held(self, call: Call) -> bool:
        """Whether the venue has told the adapter to send no new orders, but nothing of cancels."""
        held = [self.links.is_held(call.adapter, each, call.invoked.t) for each in (PLACE, CANCEL)]
        return held == [True, False]

    def _return(self, event: Event) -> None:
        call = self.calls.find(event.id)
        if call is None or event.outcome == "abandoned":
            return  # the second: its caller was ended, and waits for it still, as far as we know
        call.was_hopeless = self._is_beyond_budget(call, event.t)
        self.calls.returned(event)
        if not call.canary and not self.links.is_shutting_down:
            self._judge_cause(event, call)
            for request in call.attempts:
                self.errors.owe(request)
        is_healthy = self._is_healthy(call.adapter, event.t)
        self.outages.returned(call, is_healthy=is_healthy)
        if event.outcome == "blocked":
            self.incidents.noticed(call.adapter, event.t)
        if call.operation == PLACE:
            self.standbys.returned(event, call)
            self._note_order(event, call)
        if call.is_due_anyway:
            self.calls.judge_cancel(event, call, is_excused=self._is_excused(event, call))
        self._judge_bystander(event, call)
        is_disturbed = any(self.incidents.touched_by(each.id) for each in call.attempts[-1:])
        must_work = self._must_work(call)
        self.wishes.returned(event, call, must_work=must_work, is_disturbed=is_disturbed)

    def _judge_cause(self, event: Event, call: Call) -> None:
        """A call that was blocked, or made to wait: something must have gone wrong before."""
        if call.adapter not in self._well_once:
            return
        self.causeless.judged += 1
        if not call.is_held_back and not call.was_kept_back:
            return
        if not self._has_cause(call, event.t):
            self.causeless.breach(
                f"{at(event)}: {call.id} ({call.operation} {call.client_id}) was held back on "
                f"{call.adapter}, where nothing had gone wrong in the last "
                f"{self.header.recovery_bound:g}s but, at most, orders refused and replies slow"
            )

    def _has_cause(self, call: Call, t: float) -> bool:
        since = t - self.header.recovery_bound
        if self.links.troubled_at.get(call.adapter, float("-inf")) >= since:
            return True
        if self.links.is_held(call.adapter, call.operation, t):
            return True
        venue = self.links.venue_of(call.adapter)
        return any(
            incident.plan.hits(venue) and incident.is_cause_since(since)
            for incident in self.incidents.all.values()
        )

    def _note_order(self, event: Event, call: Call) -> None:
        if event.outcome == "ok" or call.was_answered:
            self._failing_orders.discard(call.adapter)
        elif self.incidents.active_on(call.adapter):
            self._failing_orders.add(call.adapter)

    def _is_excused(self, event: Event, call: Call) -> bool:
        """Whether a cancel had a reason of its own to fail: a fault on cancels, a hold, no line."""
        blocked = any(i.plan.stops(CANCEL) for i in self.incidents.active_on(call.adapter))
        failed_at = self.links.cancel_failed_at.get(call.adapter, float("-inf"))
        return (
            blocked
            or failed_at >= event.t - self.header.recovery_bound
            or self.links.held_until(call.adapter, CANCEL, call.invoked.t) > call.invoked.t
            or self.links.is_held(call.adapter, CANCEL, event.t)
            or self.links.was_cut_off(call.adapter, call.invoked.t)
        )

    def _judge_bystander(self, event: Event, call: Call) -> None:
        """A call on a venue that no fault is on, while one is on another."""
        if not self._peace.faults_on or not self._is_healthy(call.adapter, event.t):
            return
        self.bystanders.judged += 1
        if event.outcome != "ok" and not call.was_answered:
            on = ", ".join(self._peace.faults_on)
            self.bystanders.breach(
                f"{at(event)}: {call.id} ({call.operation}) came back {event.outcome} on "
                f"{call.adapter}, whose venue was well, while {on} was on"
            )

    def _judge_sample(self, event: Event) -> None:
        """An adapter that is down: of itself, where its venue is well, and then no excuse."""
        # The canary is left out: what keeps it from singing may be the very block in question.
        parts = {"connected": "a connection", "ticking": "prices"}
        missing = [parts[part] for part in parts if event.details.get(part, True) is False]
        if not self._must_be_up(event.id, event.t):
            if missing:
                self.links.troubled_at[event.id] = event.t
            return
        self.bystanders.judged += 1
        if missing:
            self.bystanders.breach(
                f"{at(event)}: {event.id} was without {' and '.join(missing)}, although its venue "
                "had been well for longer than recovery may take"
            )

    def _must_be_up(self, adapter: str, t: float) -> bool:
        """Whether all has been well for longer than the bound, and silence was not asked for."""
        since = t - self.header.recovery_bound
        is_free = not self.links.is_held(adapter, CANCEL, since)
        return is_free and not self.links.is_shutting_down and self._is_healthy(adapter, t)

    def _must_work(self, call: Call) -> bool:
        """Whether all was well at its venue, when it was asked for, for longer than the bound.

        No order has to get through before the quota that the venue named is all free again: until
        then whoever goes by it has room for one order now and then, and others wait before this.
        """
        if call.adapter not in self._well_once or self.links.is_shutting_down:
            return False
        due = call.invoked.t + self.header.promises.deadline(call.lane)
        if call.operation == PLACE and self.links.free_at(call.adapter) > due:
            return False
        return call.invoked.t - self._peace_since(call.adapter) > self.header.recovery_bound

    def _is_known_down(self, call: Call, t: float) -> bool:
        budget = self.header.detection_budget
        active = self.incidents.active_on(call.adapter)
        return any(incident.is_known_down(call.operation, t, budget) for incident in active)

    def _is_beyond_budget(self, call: Call, t: float) -> bool:
        """Whether no permitted retry could have saved `call` by `t`.

        A fault that blocks the operation and is still on, or a wait that the venue asked for and
        that is not over, and either lasts for longer than a call is worth trying for. A client
        that gives up sooner could have saved it.
        """
        due = call.invoked.t + RETRY_BUDGET
        return self.links.held_until(call.adapter, call.operation, t) > due or any(
            incident.is_known_down(call.operation, t, 0.0) and incident.plan.lasts_beyond(due)
            for incident in self.incidents.active_on(call.adapter)
        )

    def _is_healthy(self, adapter: str, t: float) -> bool:
        """Whether nothing is wrong with the venue of `adapter`, nor was within the bound before."""
        if adapter not in self._well_once:
            return False  # still on its way up for the first time
        since = self._peace.since(self.links.venue_of(adapter))
        return t - since > self.header.recovery_bound

    def _peace_since(self, adapter: str) -> float:
        """When the last fault at the venue of `adapter` was over; infinite while one is on."""
        return max(self._peace.since(self.links.venue_of(adapter)), 0.0)

    def _alert(self, event: Event) -> None:
        traced = self.incidents.touched_by(str(event.details.get("correlation_id") or ""))
        known = self.errors.incident_of(str(event.details.get("error_id") or ""))
        incident = self.incidents.escalate(event, traced or known)
        if incident is not None:
            self.alerts.take(event, incident)

    def _price(self, event: Event) -> None:
        self.prices.take(event)

    def _probe(self, event: Event) -> None:
        is_well = self.incidents.probed(event)
        self.links.adapters.add(event.id)
        self.standbys.probed(event.id, event.t, is_well=is_well)
        self._judge_sample(event)
        self.last_sample[event.id] = (is_well, at(event))
        if is_well:
            self._well_once.add(event.id)
        if self._is_undisturbed:
            self.samples_before[event.id] = (is_well, at(event))
