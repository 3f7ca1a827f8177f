"""Where new orders went while their adapter was down and had a standby, and after it was back.

How an adapter is, the outside probe says; where an order went, the link. The core's own word of
having switched counts for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.facts.calls import Call
from harness.facts.judgement import Judgement, at
from harness.history import Event

__all__ = ["HAND_BACK", "TAKE_OVER", "Standbys"]

#: Seconds that an adapter may be down before its new orders have to go to a standby that is well.
#: Nothing but timeouts shows that a silent venue is gone, and some must pass before it is given up.
TAKE_OVER = 40.0
#: Seconds that it may be well again before they have to come back to it.
HAND_BACK = 15.0


class Standbys:
    """Judges each new order that was asked of an adapter with a standby."""

    def __init__(self, venues: Mapping[str, Any]) -> None:  # Any: JSON
        self.taken_over = Judgement()
        self.handed_back = Judgement()
        self._standbys: dict[str, list[str]] = {}
        for name, venue in venues.items():
            if venue.get("standby_for"):
                self._standbys.setdefault(str(venue["standby_for"]), []).append(name)
        self._since: dict[str, tuple[bool, float]] = {}
        self._has_moved: set[str] = set()
        self._due: dict[str, float] = {}

    def probed(self, adapter: str, t: float, *, is_well: bool) -> None:
        """Take a probe's sample."""
        before = self._since.get(adapter)
        if before is None or before[0] is not is_well:
            self._since[adapter] = (is_well, t)

    def invoked(self, call: Call, t: float, *, peace_since: float) -> None:
        """Note where a new order has to go, by how its adapter is now.

        `peace_since`: when the last fault at its venue was over, infinite while one is on.
        """
        is_well, since = self._since.get(call.adapter, (True, t))
        is_well_for = t - max(since, peace_since) if is_well else 0.0
        if is_well_for >= HAND_BACK and call.adapter in self._has_moved:
            self.handed_back.judged += 1
        elif not is_well and t - since >= TAKE_OVER and self._has_well_standby(call.adapter):
            self.taken_over.judged += 1
            self._due[call.id] = since

    def sent(self, event: Event, call: Call, adapter: str, *, peace_since: float) -> None:
        """Take link.sent of a new order that was asked of `call.adapter`.

        Who switches sooner than the probe looks is quick, and not to blame.
        """
        if adapter == call.adapter:
            return
        self._has_moved.add(call.adapter)
        self._due.pop(call.id, None)
        is_well, since = self._since.get(call.adapter, (False, event.t))
        since = max(since, peace_since)
        if is_well and call.invoked.t - since >= HAND_BACK:
            self.handed_back.breach(
                f"{at(event)}: order {call.client_id} was sent to {adapter}, although "
                f"{call.adapter} was well again since t={since:.3f}s"
            )

    def returned(self, event: Event, call: Call) -> None:
        """Take client.return of a new order. One that its own adapter served after all is well."""
        since = self._due.pop(call.id, None)
        if since is not None and event.outcome != "ok" and not call.was_answered:
            self.taken_over.breach(
                f"{at(event)}: order {call.client_id} came back {event.outcome} without having "
                f"been sent to a standby, although {call.adapter} was down since t={since:.3f}s"
            )

    def _has_well_standby(self, adapter: str) -> bool:
        names = self._standbys.get(adapter, ())
        return any(self._since.get(name, (False, 0.0))[0] for name in names)
