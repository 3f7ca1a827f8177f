"""Faults of order execution: orders are refused, executed without a word, or reported wrongly."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import orjson

from foxtrot.adapter.session import VenueReply, VenueRequest
from foxtrot.util.errors import ErrorCategory
from harness.faults.base import (
    Frame,
    FrameFault,
    LinkFault,
    VenueFault,
    connection_reset,
    is_new_order,
)
from harness.faults.schema import FaultKind, ParameterSpec
from harness.network import Delay, Effect, Fail, Hang
from harness.venue import Delivery, FillFirst, Knob, ThinBook
from harness.venue import Reject as RejectKnob
from harness.venue.profile import Reason

__all__ = [
    "AckLost",
    "CancelFilled",
    "DuplicateFill",
    "LateFill",
    "OutOfOrderFill",
    "PartialFill",
    "Reject",
    "SlowAck",
]

_REFUSALS = {
    "insufficient_funds": Reason.INSUFFICIENT_FUNDS,
    "price_filter": Reason.PRICE_FILTER,
    "lot_size": Reason.LOT_SIZE,
    "post_only": Reason.POST_ONLY_WOULD_TAKE,
    "market_closed": Reason.MARKET_CLOSED,
}
# A new order is what these are about: there is no other request to choose.
_AIMS = ("symbol", "side", "probability", "first")


class Reject(VenueFault):
    """New orders are refused for a business reason."""

    kind = FaultKind(
        name="reject",
        category=ErrorCategory.ORDER_EXECUTION,
        variants=tuple(_REFUSALS),
        aims=_AIMS,
        recoverable=False,
        doc="The venue refuses an order: no money, a price or a quantity off the grid, a post-only "
        "order that would take, a closed market.",
        remedy="It is an answer, not an outage: no retry, no breaker, no operator, and the next "
        "order goes out as if nothing had been.",
        source="Binance Spot errors.md, -1013 and -2010.",
    )

    def knobs(self) -> tuple[Knob, ...]:
        """Refuse the orders that are hit."""
        form = self.site.venue.profile.errors[_REFUSALS[self.variant]]
        return (RejectKnob(code=form.code, message=form.message, matches=self._matches),)

    def _matches(self, request: VenueRequest) -> bool:
        return is_new_order(request) and self.hits(request)


class AckLost(LinkFault):
    """The venue takes the order, and the reply is lost."""

    kind = FaultKind(
        name="ack_lost",
        # What the client sees is a timeout or a reset; that an order hangs on it is in the outcome.
        category=ErrorCategory.CONNECTION,
        variants=("timeout", "reset", "overtaken"),
        aims=_AIMS,
        parameters={
            "delay": ParameterSpec(
                type="duration", default=3.0, doc="When an order arrives that was `overtaken`."
            ),
        },
        doc="The order lives and the client does not know: the acknowledgement timed out, or the "
        "connection was reset after the send, or was reset while the order was still on its way, "
        "so that it arrives after the first questions about it (`overtaken`). Sent again it may "
        "execute twice, given up it is a position that nobody watches.",
        remedy="Look it up by its own id, over time, before anything else happens to it. Believe "
        "that it is not there only when it can no longer arrive.",
        source="catalyst #317 (ordered again, on the real Binance); hummingbot #493.",
    )

    def sending(self, request: VenueRequest) -> Effect | None:
        """Break on an order that gets there all the same.

        Where every request goes through one connection none overtakes another: there it never
        fires.
        """
        is_possible = self.variant == "overtaken" and not self.site.venue.profile.one_socket
        if not is_possible or not is_new_order(request) or not self.hits(request):
            return None
        self.touched(request, "overtaken by a reset")
        self.site.link.send_late(request, self.seconds("delay"))
        return Fail(connection_reset)

    def replying(self, request: VenueRequest, reply: VenueReply) -> Effect | None:
        """Lose the reply to an order that was taken."""
        if self.variant == "overtaken" or not _was_taken(request, reply):
            return None
        if not self.hits(request):
            return None
        self.touched(request, "acknowledgement lost")
        return Hang() if self.variant == "timeout" else Fail(connection_reset)


class SlowAck(LinkFault):
    """The venue takes the order at once and answers late."""

    kind = FaultKind(
        name="slow_ack",
        category=ErrorCategory.CONNECTION,
        aims=_AIMS,
        parameters={
            "delay": ParameterSpec(
                type="duration", default=7.0, doc="How long the acknowledgement is held back."
            ),
        },
        doc="The acknowledgement is held back while the order is live already: its fills arrive "
        "before it, and beyond the client's timeout it arrives for nobody.",
        remedy="Take what the stream shows as the acknowledgement; beyond the timeout the outcome "
        "is unknown, and is looked up.",
        source="nautilus #4215: a resend although OrderAccepted had arrived.",
    )

    def replying(self, request: VenueRequest, reply: VenueReply) -> Effect | None:
        """Hold back the reply to an order that was taken."""
        if not _was_taken(request, reply) or not self.hits(request):
            return None
        self.touched(request, "delayed")
        return Delay(self.seconds("delay"))


class PartialFill(LinkFault, VenueFault):
    """An order fills in part, and the connection breaks on the news."""

    kind = FaultKind(
        name="partial_fill",
        # As with a lost acknowledgement: what is seen is the reset.
        category=ErrorCategory.CONNECTION,
        connection=True,
        aims=_AIMS,
        parameters={
            "share": ParameterSpec(type="ratio", default=0.4, doc="How much of the order fills."),
        },
        doc="The book holds less than the order wants: part of it fills, the rest stays open, and "
        "the connection is reset before the client hears of either.",
        remedy="Reconnect, adopt the order with its fills, and count each fill once; the rest is "
        "still working and must not be sent again.",
        source="hummingbot #905, #8250: fills lost over a reconnect.",
    )

    def knobs(self) -> tuple[Knob, ...]:
        """A book that holds only a part."""
        return (ThinBook(share=self.seconds("share"), matches=self.chooses),)

    def begin(self) -> None:
        """Thin the book, and watch for who meets it."""
        LinkFault.begin(self)
        VenueFault.begin(self)

    def end(self) -> None:
        """Undo both."""
        LinkFault.end(self)
        VenueFault.end(self)

    def is_healed(self) -> bool:
        """Whether both are undone."""
        return LinkFault.is_healed(self) and VenueFault.is_healed(self)

    def replying(self, request: VenueRequest, reply: VenueReply) -> Effect | None:
        """Break the connection on the reply to an order that was cut short."""
        if not _was_taken(request, reply):
            return None
        order = orjson.loads(reply.body)
        if not 0 < order["executed"] < order["quantity"]:
            return None
        self.touched(request, "reset after a partial fill")
        connection_id = self.site.link.connection_id
        if connection_id is not None:
            self.site.fired(connection_id, "stream", "reset after a partial fill")
        self.site.link.drop(connection_reset, code=1006, outcome="reset")
        self.count()
        return Fail(connection_reset)


class _FillFault(FrameFault):
    """A fault of the frames that report fills."""

    frames = "order"

    def altered(self, frame: Frame) -> Sequence[Delivery] | None:
        """What goes out in the place of the report of a fill."""
        order = frame["order"]
        is_meant = (frame["trade"] is not None) is self.of_fills
        if not is_meant or not self.hits_order(order["symbol"], order["side"]):
            return None
        return self.deliveries(frame)

    of_fills = True

    @abstractmethod
    def deliveries(self, frame: Frame) -> Sequence[Delivery]:
        """The report, as it goes out."""


class DuplicateFill(_FillFault):
    """Fills are reported twice."""

    kind = FaultKind(
        name="duplicate_fill",
        category=ErrorCategory.ORDER_EXECUTION,
        aims=_AIMS,
        parameters={
            "delay": ParameterSpec(
                type="duration", default=1.5, doc="How long after the first the second comes."
            ),
        },
        doc="A fill is reported again, as after a replay or where delivery is at least once.",
        remedy="Count each trade id once, for subscribers too. No error is due: nothing is wrong.",
        source="nautilus PR #3493, #4991: fills counted twice on replay; OKX's empty trade ids.",
    )

    def deliveries(self, frame: Frame) -> Sequence[Delivery]:
        """Once now, and once more later."""
        return (Delivery(frame), Delivery(frame, after=self.seconds("delay")))


class LateFill(_FillFault):
    """Fills are reported late."""

    kind = FaultKind(
        name="late_fill",
        category=ErrorCategory.ORDER_EXECUTION,
        accepted=(ErrorCategory.MARKET_DATA,),
        aims=_AIMS,
        parameters={
            "delay": ParameterSpec(type="duration", default=5.0, doc="How late they are."),
        },
        doc="The report of a fill lags behind, after the order's own end or its cancel, while "
        "other reports overtake it.",
        remedy="Book a fill whenever it comes, to an order of any state; where the order says "
        "more than the fills, ask for the trades.",
        source="nautilus Betfair and Deribit release notes; freqtrade #4403.",
    )

    def deliveries(self, frame: Frame) -> Sequence[Delivery]:
        """Later."""
        return (Delivery(frame, after=self.seconds("delay")),)


class OutOfOrderFill(_FillFault):
    """The report of a fill overtakes that of its order."""

    kind = FaultKind(
        name="out_of_order_fill",
        category=ErrorCategory.ORDER_EXECUTION,
        accepted=(ErrorCategory.MARKET_DATA,),
        aims=_AIMS,
        parameters={
            "delay": ParameterSpec(
                type="duration", default=1.5, doc="How far the fill is ahead of its order."
            ),
        },
        doc="An order's reports come in the wrong order: the fill, or the cancel, before the "
        "order itself was reported.",
        remedy="Let no order go back to an older state; take an early fill as proof of its order.",
        source="ccxt #2599 and PR #1880: filled before the order was looked at.",
    )
    of_fills = False

    def deliveries(self, frame: Frame) -> Sequence[Delivery]:
        """The order's own report later; those of its fills go out at once."""
        return (Delivery(frame, after=self.seconds("delay")),)


class CancelFilled(VenueFault):
    """A cancel is refused: the order was filled a moment before."""

    kind = FaultKind(
        name="cancel_filled",
        category=ErrorCategory.ORDER_EXECUTION,
        aims=_AIMS,
        doc="The cancel and the fill race, and the fill wins: -2011, unknown order.",
        remedy="Ask for the order: it is mostly filled. Never take the refusal for a cancelled "
        "order, nor for a failure of the venue.",
        source="Binance Spot errors.md, -2011; freqtrade #3208; IB codes 161 and 10148.",
    )

    def knobs(self) -> tuple[Knob, ...]:
        """Fill the orders that are hit before their cancel is looked at."""
        return (FillFirst(matches=self.hits_order),)


def _was_taken(request: VenueRequest, reply: VenueReply) -> bool:
    return is_new_order(request) and reply.status < 400
