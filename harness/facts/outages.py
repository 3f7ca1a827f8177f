"""Calls on a dependency that is down: which were held back, and which reached it for nothing.

Only what left the adapter counts, be its call still open or over; what a breaker says of its state
does not. A request that reached the dead dependency is forgiven as a probe when it opens a new
period, of which there are three signs:

- Since the lane's previous request a call came back with nothing sent, and `PROBE_SPACING` seconds
  went by.
- The request's own call had to wait, and `WAIT_SPACING` seconds went by without any request of the
  lane.
- The look-up of an order whose fate is unknown has been due for `WAIT_SPACING` seconds, and nothing
  of the lane of look-ups has left since.

Each way it is at most one request in each period in which something was kept from the venue. A call
that is sent as it comes is no probe by the second sign, and none by the third where look-ups go as
they come: a client without a breaker is forgiven nothing, however seldom it calls. (One that looks
no order up is forgiven some queries; other checks see to that.)
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.facts.calls import Call
from harness.facts.links import CANCEL, PLACE, Request

__all__ = ["PROBE_SPACING", "WAIT_SPACING", "Outages"]

#: Seconds between two requests of a lane for the second to count as a half-open probe.
PROBE_SPACING = 1.0
#: The same for a request whose own call was kept waiting; a retry's backoff alone is shorter.
WAIT_SPACING = 3.0
_LANE_OF_LOOK_UPS = "queries"


@dataclass(slots=True)
class _Lane:
    last_sent: float | None = None
    held_back: int = 0
    look_up_due: float | None = None


class Outages:
    """Counts over all outages of a run. A canary call is the harness's own: it counts nowhere."""

    def __init__(self) -> None:
        self.attempted = 0
        self.reached = 0
        self.probes = 0
        self.healthy = 0
        self.falsely_open = 0
        self._lanes: dict[tuple[str, str], _Lane] = {}

    @property
    def leaked(self) -> int:
        """Requests that reached the dead dependency beyond the permitted probes."""
        return self.reached - self.probes

    def invoked(self, call: Call, *, is_down: bool) -> None:
        """Count a call; `is_down`: it cannot succeed and the client has had time to know."""
        self.attempted += is_down and not call.canary

    def sent(self, call: Call, t: float, *, is_down: bool) -> None:
        """Count a request that left for `call`."""
        lane = self._lane(call.adapter, call.lane)
        if is_down and not call.canary:
            self.reached += 1
            self.probes += _is_probe(lane, call, t)
        lane.last_sent, lane.held_back = t, 0

    def left(self, adapter: str, lane: str) -> None:
        """Take note of any request, be it for a call or not: the lane's look-ups may go."""
        self._lane(adapter, lane).look_up_due = None

    def ended(self, request: Request, t: float) -> None:
        """Take note of how a request ended: an order of unknown fate has to be looked up."""
        may_have_acted = not request.is_settled and not request.came_to_nothing
        if request.operation in {PLACE, CANCEL} and may_have_acted:
            lane = self._lane(request.adapter, _LANE_OF_LOOK_UPS)
            lane.look_up_due = t if lane.look_up_due is None else lane.look_up_due

    def returned(self, call: Call, *, is_healthy: bool) -> None:
        """Count what came back; `is_healthy`: no fault was on, nor any within the bound before."""
        if call.was_kept_back and not call.attempts:
            self._lane(call.adapter, call.lane).held_back += 1
        if is_healthy and not call.canary:
            self.healthy += 1
            self.falsely_open += call.was_kept_back

    def _lane(self, adapter: str, lane: str) -> _Lane:
        return self._lanes.setdefault((adapter, lane), _Lane())


def _is_probe(lane: _Lane, call: Call, t: float) -> bool:
    quiet = float("inf") if lane.last_sent is None else t - lane.last_sent
    if lane.held_back and quiet >= PROBE_SPACING:
        return True
    if lane.look_up_due is not None and t - lane.look_up_due >= WAIT_SPACING:
        return True
    return quiet >= WAIT_SPACING and t - call.waits_since >= WAIT_SPACING
