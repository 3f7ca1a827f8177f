"""Incidents: one injected fault with an effect, from its onset to the restored service.

Onset, effect and restoration come from the injector, the links and the outside probe. What the
core says can only ever mark that it noticed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from harness.history import Event
from harness.plan import ANY, FaultPlan

__all__ = ["Incident", "IncidentLog"]

Silences = Mapping[str, Sequence[tuple[float, float]]]

_OF_A_CONNECTION = frozenset({"connect", "stream", "ping"})
#: Effects that only make a request slower. What the venue answered to it is then its own answer.
_ONLY_SLOWER = frozenset({"delayed"})
_NO_EFFECT = frozenset({"", "none"})
#: A fault of these is no reason to send nothing unless the links show that something failed, or the
#: venue says so itself: an order refused is an answer, and a slow reply is a reply.
_ONLY_IF_SHOWN = frozenset({"connection", "order_execution"})
_IN_THE_DATA = "market_data"
_PARTS_OF_HEALTH = ("connected", "ticking", "reconciled", "canary")


@dataclass(slots=True)
class _Health:
    """One adapter's way back: restored at `since` once a second good sample, or time, says so.

    `bad_since`: from when on it was never well.
    """

    since: float | None = None
    confirmed: bool = False
    bad_since: float | None = None

    def good(self, t: float) -> None:
        self.bad_since = None
        if self.since is None:
            self.since = t
        else:
            self.confirmed = True

    def bad(self, t: float) -> None:
        self.since, self.confirmed = None, False
        if self.bad_since is None:
            self.bad_since = t

    def settle(self) -> None:
        """No later sample can speak against the last one."""
        self.confirmed = self.since is not None


@dataclass(slots=True)
class Incident:
    """One planned fault occurrence and what became of it. Times in virtual seconds.

    `spent`: it was over before its planned end. `swallowed` counts the failed requests of the
    strategy of which no error was told.
    `impact` is when the first thing went wrong for which the fault is to blame, `restored` when
    the probe found everything well again for good, None when it never did. `must_surface`: the
    client side cannot have missed it, so that an error record is due. A bad sample does not say
    whose doing it is: beside a fault that the client knows of, samples make no other one due.
    `was_told_before`: an operator had heard of the same so shortly before that it is no news.
    """

    plan: FaultPlan
    began: float | None = None
    cleared: float | None = None
    spent: bool = False
    healed: str = ""
    fired: int = 0
    first_fired: float | None = None
    adapters: list[str] = field(default_factory=list)
    impact: float | None = None
    detected: float | None = None
    escalated: float | None = None
    errors: int = 0
    swallowed: int = 0
    is_on_connection: bool = False
    must_surface: bool = False
    was_told_before: bool = False
    health: dict[str, _Health] = field(default_factory=dict)

    @property
    def effect_seen(self) -> bool:
        """Whether it counts: it fired, and somebody outside the core could tell."""
        return self.impact is not None

    @property
    def was_kept_quiet(self) -> bool:
        """Whether an operator had to be told of it, and was not."""
        is_told = self.escalated is not None or self.was_told_before
        return self.plan.must_escalate and not is_told

    @property
    def restored(self) -> float | None:
        """When the last of its adapters was well again, None while one is not."""
        if self.impact is None or not all(h.confirmed for h in self.health.values()):
            return None
        return max((h.since for h in self.health.values() if h.since is not None), default=None)

    @property
    def repairable_since(self) -> float:
        """From when on it could be repaired: the clearing, or the impact if that came later."""
        impact = self.impact or 0.0
        return impact if self.cleared is None else max(self.cleared, impact)

    @property
    def was_left(self) -> bool:
        """Whether the client was to end it, and left that to the end of its time."""
        return self.plan.ends_by_client and self.cleared is not None and not self.spent

    @property
    def is_over(self) -> bool:
        """Whether nothing that happens from here on belongs to it."""
        if self.cleared is None:
            return False
        return self.restored is not None if self.effect_seen else not self._could_show_effect

    @property
    def _could_show_effect(self) -> bool:
        return any(health.since is None for health in self.health.values())

    def is_cause_since(self, t: float) -> bool:
        """Whether it can be why a call is held back, having been on or felt at `t` or later."""
        if self.began is None or self._is_hidden:
            return False
        ends = (self.cleared, self.restored if self.effect_seen else 0.0)
        return any(end is None or end >= t for end in ends)

    @property
    def _is_hidden(self) -> bool:
        plan = self.plan
        # Of reports that lack or overtake each other what is pushed tells by itself.
        is_in_reports = plan.category == "order_execution" and _IN_THE_DATA in plan.categories
        return plan.category in _ONLY_IF_SHOWN and not plan.surfaces and not is_in_reports

    def is_known_down(self, operation: str, t: float, budget: float) -> bool:
        """Whether `operation` cannot succeed at `t`, and `budget` seconds have shown it."""
        if self.first_fired is None or self.cleared is not None:
            return False
        return self.plan.stops(operation) and t >= self.first_fired + budget

    def hit(self, event: Event) -> None:
        """Take fault.fired."""
        adapter = str(event.details.get("adapter") or "")
        self.fired += 1
        if self.first_fired is None:
            self.first_fired = event.t
        if adapter and adapter not in self.adapters:
            self.adapters.append(adapter)
            self.health[adapter] = _Health()
        if self.plan.surfaces:
            self.must_surface = True
            self.hurt(event.t, adapter)

    def hurt(self, since: float, adapter: str) -> None:
        """Something has gone wrong for what the fault did at `since`."""
        self.impact = since if self.impact is None else min(self.impact, since)
        if adapter in self.health:
            self.health[adapter].bad(since)

    def bad_for(self, t: float, adapter: str) -> float:
        """Seconds for which the adapter has not been well, without a break, as of `t`."""
        since = self.health[adapter].bad_since
        return 0.0 if since is None else t - since

    def probed(self, t: float, adapter: str, *, is_well: bool) -> None:
        """Take a probe's sample. Nothing is restored while the cause of a total block lasts."""
        health = self.health.get(adapter)
        if health is None:
            return
        if not is_well:
            health.bad(t)
        elif self.cleared is not None or not self.plan.blocks:
            health.good(t)

    def noticed(self, t: float) -> None:
        """The client side showed for the first time that it knows."""
        if self.detected is None and self.first_fired is not None:
            self.detected = t


class IncidentLog:
    """All planned faults of a run, and the errors and alerts that belong to them.

    Args:
        silences: When each adapter had to keep silent because its venue had refused it, by name.
            Read whenever something is judged.
    """

    def __init__(self, silences: Silences = MappingProxyType({})) -> None:
        self._silences = silences
        self.all: dict[str, Incident] = {}
        self.spurious_alerts: set[str] = set()
        self._touched: dict[str, tuple[Incident, float, bool]] = {}
        self._patience = 0.0
        self._active: list[Incident] = []

    def plan(self, plans: Iterable[FaultPlan], patience: float) -> None:
        """Expect these faults. `patience`: seconds after which the client must have noticed."""
        self._patience = patience
        self.all = {plan.id: Incident(plan) for plan in plans}

    def effective(self) -> Iterator[Incident]:
        """The incidents: faults that fired with an effect."""
        return (incident for incident in self.all.values() if incident.effect_seen)

    def active_on(self, adapter: str) -> list[Incident]:
        """Incidents that have fired on `adapter` and are not over, oldest first."""
        return [incident for incident in self._active if adapter in incident.adapters]

    def due(self, incident: Incident, bound: float) -> float:
        """When it is to be restored: `bound` seconds in which it could be repaired are over.

        Those in which another fault lets nothing at all through on one of its adapters are none,
        nor are those in which one of them has to keep silent.
        """
        since = incident.repairable_since
        due = since + bound
        for began, ended in sorted(self._lost(incident)):
            if began < due:
                due += max(ended - max(began, since), 0.0)
                since = max(since, ended)
        return due

    def _lost(self, incident: Incident) -> Iterator[tuple[float, float]]:
        """The times, from and to, in which nothing could be repaired."""
        for adapter in incident.adapters:
            yield from self._silences.get(adapter, ())
        for other in self.all.values():
            if other.began is None or other.cleared is None or ANY not in other.plan.blocks:
                continue
            if not set(other.adapters).isdisjoint(incident.adapters):
                yield other.began, other.cleared

    def touched_by(self, correlation_id: str) -> Incident | None:
        """The fault that touched this request or connection."""
        found = self._touched.get(correlation_id)
        return None if found is None else found[0]

    def begin(self, event: Event) -> None:
        """Take fault.begin."""
        if event.id in self.all:
            self.all[event.id].began = event.t

    def end(self, event: Event) -> None:
        """Take fault.end."""
        if event.id in self.all:
            incident = self.all[event.id]
            incident.cleared = event.t
            incident.spent = bool(event.details.get("spent"))
            if self._must_have_been_seen(incident, event.t):
                incident.must_surface = True
                incident.impact = incident.first_fired
            self._drop_finished()

    def _must_have_been_seen(self, incident: Incident, t: float) -> bool:
        """Whether the data was bad for longer than the client may take to see it.

        A probe is no witness here: to who looks only at whether prices come, a frozen one is
        as good as any.
        """
        if incident.plan.category != _IN_THE_DATA or incident.effect_seen:
            return False
        return incident.first_fired is not None and t - incident.first_fired > 2 * self._patience

    def healed(self, event: Event) -> None:
        """Take fault.healed."""
        incident = self.all.get(event.id)
        if incident is None:
            return
        why = event.details.get("why") or event.outcome
        incident.healed = "ok" if event.outcome == "ok" else str(why)
        if event.outcome == "ok" and incident.cleared is None:
            incident.cleared = event.t
            self._drop_finished()

    def fired(self, event: Event) -> None:
        """Take fault.fired."""
        incident = self.all.get(event.id)
        effect = str(event.details.get("effect") or "").lower()
        if incident is None or effect in _NO_EFFECT:
            return
        self._settle_others(event, incident)
        incident.hit(event)
        touched = str(event.details.get("correlation_id") or "")
        if touched:
            # The last fault to touch it is the one that ended it.
            self._touched[touched] = (incident, event.t, effect in _ONLY_SLOWER)
        incident.is_on_connection |= event.details.get("operation") in _OF_A_CONNECTION
        self._activate(incident)

    def _activate(self, incident: Incident) -> None:
        if not any(active is incident for active in self._active):
            self._active.append(incident)

    def _settle_others(self, event: Event, newcomer: Incident) -> None:
        """A new fault on an adapter ends the wait for proof that the last one's end was lasting."""
        if newcomer.fired:
            return
        adapter = str(event.details.get("adapter") or "")
        for incident in self.active_on(adapter):
            incident.health[adapter].settle()
        self._drop_finished()

    def link_ended(
        self, event: Event, adapter: str, *, is_bad: bool, is_canary: bool = False
    ) -> None:
        """Take link.done, link.open or link.close; `is_bad`: it ended other than as asked.

        A canary that was given up ended by the harness's patience: no record of it is due.
        """
        found = self._touched.get(event.id)
        if found is not None and is_bad:
            incident, since, is_only_slower = found
            if is_only_slower and event.outcome == "error":
                del self._touched[event.id]
                return
            incident.must_surface |= not (is_canary and event.outcome == "abandoned")
            incident.hurt(since, adapter)
            self._activate(incident)  # a request may outlast its fault, and the repair

    def probed(self, event: Event) -> bool:
        """Take probe.sample; return whether it found everything well."""
        parts = [event.details.get(part, True) for part in _PARTS_OF_HEALTH]
        is_well = event.outcome == "ok" and False not in parts
        active = self.active_on(event.id)
        for incident in [] if is_well else self._to_blame(active):
            incident.hurt(event.t, event.id)
            is_anothers = any(o.detected is not None for o in active if o is not incident)
            is_long = incident.bad_for(event.t, event.id) >= self._patience
            incident.must_surface |= is_long and not is_anothers
        for incident in active:
            incident.probed(event.t, event.id, is_well=is_well)
        if is_well and active:
            self._drop_finished()
        return is_well

    @staticmethod
    def _to_blame(active: list[Incident]) -> list[Incident]:
        """Whose doing a bad sample may be.

        A request touched without harm does not take an adapter down; beside others, at least.
        """
        alone = len(active) == 1
        return [each for each in active if alone or each.effect_seen or each.is_on_connection]

    def noticed(self, adapter: str, t: float) -> None:
        """The client side showed that it knows of trouble on `adapter`."""
        for incident in self.active_on(adapter):
            incident.noticed(t)

    def escalate(self, event: Event, incident: Incident | None) -> Incident | None:
        """Take operator.alert, of the incident it was traced to; return whose it is."""
        incident = incident or self._alerted(event)
        if incident is None:
            self.spurious_alerts.add(event.id)
            return None
        incident.noticed(event.t)
        if incident.escalated is None:
            incident.escalated = event.t
        return incident

    def _alerted(self, event: Event) -> Incident | None:
        """The active incident that an alert without a trace is about: the likeliest, the oldest."""
        active = self.active_on(str(event.details.get("adapter") or ""))
        category = str(event.details.get("category") or "").lower()
        fitting = [incident for incident in active if category in incident.plan.categories]
        return next(iter([*fitting, *active]), None)

    def finish(self, cooldown: float = 0.0) -> None:
        """The history is over: the last sample stands.

        `cooldown`: how long after it was last felt the same trouble is no news to an operator.
        """
        self._note_repetitions(cooldown)
        for incident in self._active:
            for health in incident.health.values():
                health.settle()

    def _note_repetitions(self, cooldown: float) -> None:
        """Only of trouble that adapters need not recover from: recovered, its return is news."""
        latest: dict[tuple[str, ...], Incident] = {}
        for incident in sorted(self.effective(), key=lambda each: each.impact or 0.0):
            if incident.plan.blocks or incident.plan.connection:
                continue
            same = (incident.plan.kind, *incident.adapters)
            before = latest.get(same)
            if before is not None and not before.was_kept_quiet and before.cleared is not None:
                gap = (incident.impact or 0.0) - before.cleared
                incident.was_told_before = gap < cooldown
            latest[same] = incident

    def _drop_finished(self) -> None:
        self._active = [incident for incident in self._active if not incident.is_over]
