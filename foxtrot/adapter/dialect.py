"""How venues differ for their clients, as data: whose codes, whose order numbers, what to ask.

Beside the data stands what a client has to remember of its own orders where the venue cannot be
asked about one by the client's own id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from types import MappingProxyType

from foxtrot.adapter.session import Operation
from foxtrot.util.constants import Status
from foxtrot.util.object import OrderData, TradeData, covers

__all__ = ["BINANCE", "DIALECTS", "FUTU", "IB", "Dialect", "LookUp", "OrderMemory"]

_KEPT = 10_000


class LookUp(Enum):
    """How the state of one order is found out.

    BY_CLIENT_ID: there is a request for it. BY_EXECUTIONS: among the open orders, else by what was
    executed. BY_LIST: in the list of all orders of the day.
    """

    BY_CLIENT_ID = auto()
    BY_EXECUTIONS = auto()
    BY_LIST = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What a client has to do at one kind of venue.

    Args:
        codes: Whose error codes it speaks, as `classify_code` names the source.
        look_up: How an order is looked up.
        no_such_order: The code that answers a look-up of an order that is not there.
        numbers_orders: Whether the client numbers its orders, upwards.
        number_used: The code that refuses an order whose number is no higher than another's.
        cancels_by_venue_id: Whether a cancel must name the venue's own order id.
        resync: The request that brings a login or a clock in line again.
        lost_streams: The code of the notice that every subscription of the connection is gone.
        numbers_frames: Whether what is pushed is numbered, so that a gap shows.
        is_ordered: Whether requests go one after the other through one socket and die with it. An
            answer then proves that whatever was sent before it has arrived, or never will.
    """

    codes: str
    look_up: LookUp = LookUp.BY_CLIENT_ID
    no_such_order: int | None = None
    numbers_orders: bool = False
    number_used: int | None = None
    cancels_by_venue_id: bool = False
    resync: Operation = Operation.TIME
    lost_streams: int | None = None
    numbers_frames: bool = True
    is_ordered: bool = False


BINANCE = Dialect(codes="binance", no_such_order=-2013)
FUTU = Dialect(
    codes="futu",
    look_up=LookUp.BY_LIST,
    cancels_by_venue_id=True,
    resync=Operation.UNLOCK,
    numbers_frames=False,
    is_ordered=True,
)
IB = Dialect(
    codes="ib",
    look_up=LookUp.BY_EXECUTIONS,
    numbers_orders=True,
    number_used=103,
    lost_streams=1101,
    numbers_frames=False,
    is_ordered=True,
)

#: By the name of the venue's profile.
DIALECTS: Mapping[str, Dialect] = MappingProxyType({"binance": BINANCE, "futu": FUTU, "ib": IB})


class OrderMemory:
    """What a client knows of its own orders: how it numbered them, and what the venue has shown.

    Outlives the adapter: who takes its place after a restart goes on where it ended. The oldest of
    ten thousand orders is forgotten.
    """

    def __init__(self) -> None:
        self.next_number = 1
        self._numbers: dict[str, int] = {}
        self._orders: dict[str, OrderData] = {}

    def number(self, client_id: str) -> int:
        """The number of an order: the next one, and for a resend the one that it had."""
        if client_id not in self._numbers:
            self._numbers[client_id] = self.next_number
            self.next_number += 1
        return self._numbers[client_id]

    def renumber(self, client_id: str) -> None:
        """Give the order another number when it is sent again: it was certainly not taken.

        That includes one whose number the venue calls used, if a look-up then does not find it:
        others have overtaken it, and not even its first request can be taken any more.
        """
        self._numbers.pop(client_id, None)

    def note(self, order: OrderData) -> None:
        """Keep the newest that is known of an order: that it was sent, or how the venue has it."""
        before = self._orders.pop(order.orderid, order)
        self._orders[order.orderid] = order if order.venue_orderid else before
        if len(self._orders) > _KEPT:
            oldest = next(iter(self._orders))
            del self._orders[oldest]
            self._numbers.pop(oldest, None)

    def venue_id(self, client_id: str) -> str:
        """The venue's own id of an order; empty if it has not shown one."""
        known = self._orders.get(client_id)
        return "" if known is None else known.venue_orderid

    def ended(self, client_id: str, fills: Iterable[TradeData]) -> OrderData | None:
        """How an order that is not open ended, by its fills, of which these are all.

        None when nothing shows that the venue ever had it.
        """
        known = self._orders.get(client_id)
        filled = sum(trade.volume for trade in fills if trade.orderid == client_id)
        if known is None or not (known.venue_orderid or filled):
            return None
        status = Status.ALLTRADED if covers(filled, known.volume) else Status.CANCELLED
        return replace(known, traded=filled, status=status)
