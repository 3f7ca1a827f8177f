"""Faults of order execution: orders are refused, or executed without a word."""

from __future__ import annotations

from foxtrot.adapter.session import Operation, VenueReply, VenueRequest
from foxtrot.util.errors import ErrorCategory
from harness.faults.base import LinkFault, VenueFault
from harness.faults.schema import FaultKind
from harness.network import Effect, Fail, Hang
from harness.venue import Knob
from harness.venue import Reject as RejectKnob

__all__ = ["AckLost", "Reject"]

_REFUSALS = {
    "insufficient_funds": (-2010, "Account has insufficient balance for requested action."),
    "price_filter": (-1013, "Filter failure: PRICE_FILTER"),
    "market_closed": (-2010, "Market is closed."),
}


class Reject(VenueFault):
    """New orders are refused for a business reason."""

    kind = FaultKind(
        name="reject",
        category=ErrorCategory.ORDER_EXECUTION,
        variants=tuple(_REFUSALS),
        recoverable=False,
        doc="The venue refuses an order: no money, a price off the grid, a closed market. It is "
        "an answer, not an outage: no retry, no breaker, no operator, and the next order goes "
        "out as if nothing had been.",
    )

    def knobs(self) -> tuple[Knob, ...]:
        """Refuse the orders that are hit."""
        code, message = _REFUSALS[self.variant]
        return (RejectKnob(code=code, message=message, matches=self._matches),)

    def _matches(self, request: VenueRequest) -> bool:
        return request.operation is Operation.PLACE_ORDER and self.hits(request)


class AckLost(LinkFault):
    """The venue takes the order, and the reply is lost."""

    kind = FaultKind(
        name="ack_lost",
        # What the client sees is a timeout or a reset; that an order hangs on it is in the outcome.
        category=ErrorCategory.CONNECTION,
        variants=("timeout", "reset"),
        doc="The order lives and the client does not know: the acknowledgement timed out, or the "
        "connection was reset after the send. Sent again it may execute twice, given up it is a "
        "position that nobody watches. A right client looks it up by its own id first.",
    )

    def replying(self, request: VenueRequest, reply: VenueReply) -> Effect | None:
        """Lose the reply to an order that was taken."""
        if request.operation is not Operation.PLACE_ORDER or reply.status >= 400:
            return None
        if not self.hits(request):
            return None
        self.touched(request, "acknowledgement lost")
        return Hang() if self.variant == "timeout" else Fail(_reset)


def _reset() -> Exception:
    return ConnectionResetError(104, "Connection reset by peer")
