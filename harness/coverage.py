"""Which corners of the fault space a run has been in: kind, breaker state, order phase, lane.

A cell is counted when a fault really touched a request or a connection there. The breaker's state
is the core's own word, good enough for a label; the rest is what the links and subscribers saw.
The space is data: what cannot happen is no gap.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.facts.ledger import FINAL
from harness.facts.links import CANCEL, PLACE
from harness.history import Event

__all__ = ["LANES", "PHASES", "SPACE", "STATES", "Cell", "Coverage", "CoverageFold", "Reach"]

LANES = ("orders", "cancels", "queries", "stream")
STATES = ("closed", "open", "half_open")
PHASES = ("none", "submitting", "open", "partly_filled", "unknown", "cancelling")

#: The phases that the order concerned can be in, by lane. A connection concerns every live order
#: of its adapter, and counts once for each phase that one of them is in.
_PHASES_OF = {
    "orders": ("submitting", "unknown"),  # unknown: sent again after it never arrived
    "cancels": ("cancelling",),
    "queries": PHASES,
    "stream": PHASES,
}
_PHASE_OF = {
    "SUBMITTING": "submitting",
    "NOTTRADED": "open",
    "PARTTRADED": "partly_filled",
    "UNKNOWN": "unknown",
}
_NO_EFFECT = frozenset({"", "none"})
_RECENT = 1024


#: The states that a lane's breaker can be in when something of the lane is under way. Nothing of
#: the first two leaves while theirs is open. Recovery looks orders up past the breaker of queries,
#: and opens and subscribes streams by its own ladder, so that their breaker never moves.
_STATES_OF = {
    "orders": ("closed", "half_open"),
    "cancels": ("closed", "half_open"),
    "queries": STATES,
    "stream": ("closed",),
}
_STREAM = "stream"


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a kind of fault can strike.

    `is_late`: it strikes replies, and so also one whose breaker opened while it was under way.
    """

    lanes: tuple[str, ...]
    is_late: bool = False

    def states(self, lane: str) -> tuple[str, ...]:
        """The states of the lane's breaker that it can meet."""
        return STATES if self.is_late and lane != _STREAM else _STATES_OF[lane]


_ANYTHING = Reach(LANES)
_REPLIES = Reach(LANES, is_late=True)
_FRAMES = Reach((_STREAM,))

SPACE: Mapping[str, Reach] = {
    **dict.fromkeys(("disconnect", "refuse", "flap", "dns", "tls", "blackhole"), _ANYTHING),
    **dict.fromkeys(("latency", "component_crash", "maintenance"), _ANYTHING),
    **dict.fromkeys(("connectivity_lost", "gateway_restart"), _ANYTHING),
    **dict.fromkeys(("rate_limit", "ban", "shrunken_quota"), _ANYTHING),
    **dict.fromkeys(("key_revoked", "clock_skew"), _ANYTHING),
    **dict.fromkeys(("slow_link", "truncated", "blocked_loop", "clock_jump"), _REPLIES),
    **dict.fromkeys(("malformed", "renamed_field", "server_error"), _REPLIES),
    **dict.fromkeys(("mute_stream", "session_expired", "handler_exception"), _FRAMES),
    **dict.fromkeys(("stale", "sequence_gap", "corrupt", "out_of_order", "crossed_book"), _FRAMES),
    **dict.fromkeys(("duplicate_fill", "late_fill", "out_of_order_fill"), _FRAMES),
    **dict.fromkeys(("reject", "order_rate"), Reach(("orders",))),
    **dict.fromkeys(("ack_lost", "slow_ack"), Reach(("orders",), is_late=True)),
    "partial_fill": Reach(("orders", _STREAM)),
    "cancel_filled": Reach(("cancels",)),
}


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One corner of the space. Prints as `ack_lost/half_open/submitting/orders`."""

    kind: str
    state: str
    phase: str
    lane: str

    def __str__(self) -> str:
        return "/".join((self.kind, self.state, self.phase, self.lane))


def _cells_of(kind: str, reach: Reach) -> Iterator[Cell]:
    """Every cell in which a kind can strike."""
    for lane in reach.lanes:
        for state in reach.states(lane):
            for phase in _PHASES_OF[lane]:
                yield Cell(kind, state, phase, lane)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often each cell was struck. Adds up over scenarios."""

    hits: Mapping[Cell, int] = field(default_factory=dict)

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage(Counter(self.hits) + Counter(other.hits))

    def space(self, space: Mapping[str, Reach] = SPACE) -> tuple[Cell, ...]:
        """All cells that there are, kind by kind."""
        return tuple(cell for kind, reach in space.items() for cell in _cells_of(kind, reach))

    def empty(self, space: Mapping[str, Reach] = SPACE) -> tuple[Cell, ...]:
        """The cells that could be struck and never were."""
        return tuple(cell for cell in self.space(space) if cell not in self.hits)

    def unforeseen(self, space: Mapping[str, Reach] = SPACE) -> tuple[Cell, ...]:
        """The cells that were struck and that the space has no place for: it is wrong there."""
        known = dict.fromkeys(self.space(space))
        return tuple(sorted(cell for cell in self.hits if cell not in known))

    def idle_kinds(self, space: Mapping[str, Reach] = SPACE) -> tuple[str, ...]:
        """The kinds that never struck at all."""
        struck = {cell.kind for cell in self.hits}
        return tuple(kind for kind in space if kind not in struck)

    def gaps(self, space: Mapping[str, Reach] = SPACE) -> list[str]:
        """The empty cells in few lines: a kind and lane each, its states with their phases.

        Kinds that never struck are one line together.
        """
        idle = self.idle_kinds(space)
        lines = [f"never struck: {', '.join(idle)}"] if idle else []
        by_lane: dict[tuple[str, str], dict[str, list[str]]] = {}
        for cell in self.empty(space):
            if cell.kind not in idle:
                states = by_lane.setdefault((cell.kind, cell.lane), {})
                states.setdefault(cell.state, []).append(cell.phase)
        return lines + [f"{kind}/{lane}: {_told(s)}" for (kind, lane), s in by_lane.items()]

    def to_dict(self) -> dict[str, Any]:  # Any: JSON
        """The `coverage` entry of report.json."""
        space, empty = self.space(), self.empty()
        return {
            "cells": len(space),
            "reached": len(space) - len(empty),
            "hits": [
                {"kind": c.kind, "state": c.state, "phase": c.phase, "lane": c.lane, "count": n}
                for c, n in sorted(self.hits.items())
            ],
            "empty": [str(cell) for cell in empty],
            "unforeseen": [str(cell) for cell in self.unforeseen()],
            "idle_kinds": list(self.idle_kinds()),
        }


def _told(states: Mapping[str, Iterable[str]]) -> str:
    return "; ".join(f"{state} with {', '.join(phases)}" for state, phases in states.items())


@dataclass(frozen=True, slots=True)
class _Sent:
    adapter: str
    lane: str
    client_id: str


class CoverageFold:
    """Counts the cells while a history is read."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}
        self._hits: Counter[Cell] = Counter()
        self._breakers: dict[tuple[str, str], str] = {}
        self._orders: dict[str, tuple[str, str]] = {}
        self._cancels: Counter[str] = Counter()
        self._requests: dict[str, _Sent] = {}
        self._finished: deque[str] = deque()
        self._takers: Mapping[str, Callable[[Event], None]] = {
            "run.start": self._start,
            "fault.fired": self._fired,
            "link.sent": self._sent,
            "link.done": self._done,
            "client.invoke": self._invoke,
            "client.return": self._return,
            "client.order": self._order,
            "engine.breaker": self._breaker,
        }
        self._placing: dict[str, str] = {}

    def take(self, event: Event) -> None:
        """Take one event."""
        taker = self._takers.get(event.kind)
        if taker is not None:
            taker(event)

    def done(self) -> Coverage:
        """What was struck."""
        return Coverage(dict(sorted(self._hits.items())))

    def _start(self, event: Event) -> None:
        for fault in event.details.get("faults") or ():
            self._kinds[str(fault["id"])] = str(fault["kind"])

    def _breaker(self, event: Event) -> None:
        key = (str(event.details.get("adapter") or ""), str(event.details.get("lane") or ""))
        self._breakers[key] = event.outcome

    def _invoke(self, event: Event) -> None:
        client_id = str(event.details.get("client_id") or "")
        if event.details.get("operation") == PLACE and client_id:
            self._placing[event.id] = client_id
            self._orders[client_id] = (str(event.details["adapter"]), "submitting")

    def _return(self, event: Event) -> None:
        client_id = self._placing.pop(event.id, "")
        if event.outcome not in {"failed", "blocked"}:
            return
        if self._orders.get(client_id, ("", ""))[1] == "submitting":
            del self._orders[client_id]

    def _order(self, event: Event) -> None:
        if event.outcome in FINAL:
            self._orders.pop(event.id, None)
        elif event.outcome in _PHASE_OF:
            adapter = str(event.details.get("adapter") or "")
            self._orders[event.id] = (adapter, _PHASE_OF[event.outcome])

    def _sent(self, event: Event) -> None:
        details = event.details
        client_id = str(details.get("client_id") or "")
        request = _Sent(str(details["adapter"]), str(details["lane"]), client_id)
        self._requests[event.id] = request
        self._cancels.update([client_id] if details["operation"] == CANCEL else [])

    def _done(self, event: Event) -> None:
        request = self._requests.get(event.id)
        if request is None:
            return
        if request.lane == "cancels":
            self._cancels[request.client_id] -= 1
        # What nobody waits for any more may still be struck on its way.
        self._finished.append(event.id)
        if len(self._finished) > _RECENT:
            self._requests.pop(self._finished.popleft(), None)

    def _fired(self, event: Event) -> None:
        kind = self._kinds.get(event.id)
        if kind is None or str(event.details.get("effect") or "").lower() in _NO_EFFECT:
            return
        request = self._requests.get(str(event.details.get("correlation_id") or ""))
        adapter = str(event.details.get("adapter") or "") if request is None else request.adapter
        lane = _STREAM if request is None else request.lane
        state = self._breakers.get((adapter, lane), "closed")
        for phase in self._phases(adapter, lane, "" if request is None else request.client_id):
            self._hits[Cell(kind, state, phase, lane)] += 1

    def _phases(self, adapter: str, lane: str, client_id: str) -> Iterable[str]:
        if lane == _STREAM:
            live = (self._phase(key) for key, (on, _) in self._orders.items() if on == adapter)
            return dict.fromkeys(live) or ("none",)
        if lane == "cancels":
            return ("cancelling",)
        phase = self._phase(client_id)
        if lane == "orders":  # a new order is at least being sent
            return (phase if phase == "unknown" else "submitting",)
        return (phase,)

    def _phase(self, client_id: str) -> str:
        if self._cancels[client_id] > 0:
            return "cancelling"
        return self._orders.get(client_id, ("", "none"))[1]
