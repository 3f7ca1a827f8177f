"""What is known of orders, fills and positions: one record per intent, changed by evidence only.

Pure state: no I/O, no clock, no tasks. Evidence arrives in any order, late or twice: an order
never goes back to an older state, and each trade id counts once.
"""

from __future__ import annotations

from dataclasses import replace

from foxtrot.util.constants import Direction, Status
from foxtrot.util.object import OrderData, TradeData

__all__ = ["Oms"]

_VOLUME_TOLERANCE = 1e-9


class Oms:
    """Orders by client order id, trades by trade id, positions as the sum of the fills.

    Memory holds every order and trade id seen: that is what makes a replayed fill harmless.
    """

    def __init__(self) -> None:
        self._orders: dict[str, OrderData] = {}
        self._unsettled: dict[str, OrderData] = {}
        self._filled: dict[str, float] = {}
        self._trades: set[str] = set()  # asked for membership only, never iterated
        self._positions: dict[tuple[str, str], float] = {}

    def order(self, vt_orderid: str) -> OrderData | None:
        """The latest that is known of an order."""
        return self._orders.get(vt_orderid)

    def orders(self) -> tuple[OrderData, ...]:
        """Every order, in the order of their intents."""
        return tuple(self._orders.values())

    def unsettled(self, adapter_name: str) -> tuple[OrderData, ...]:
        """The orders of an adapter that may still change: active, unknown, or short of fills."""
        return tuple(o for o in self._unsettled.values() if o.adapter_name == adapter_name)

    def position(self, adapter_name: str, vt_symbol: str) -> float:
        """The signed volume that the adapter's fills add up to."""
        return self._positions.get((adapter_name, vt_symbol), 0.0)

    def positions(self) -> dict[tuple[str, str], float]:
        """All positions, by adapter name and `vt_symbol`."""
        return dict(self._positions)

    def filled(self, vt_orderid: str) -> float:
        """The volume of the fills applied to an order; may run ahead of or behind `traded`."""
        return self._filled.get(vt_orderid, 0.0)

    def begin(self, order: OrderData) -> bool:
        """Register an intent. False, and no change, when its id is taken by a live or known one."""
        if order.vt_orderid in self._orders:
            return False
        self._store(order)
        return True

    def apply_order(self, update: OrderData) -> OrderData | None:
        """Merge evidence about an order; return the new record, or None if nothing changed."""
        known = self._orders.get(update.vt_orderid)
        if known is not None:
            if not _is_news(known, update):
                return None
            update = replace(
                update,
                status=max(known.status, update.status, key=_PROGRESS.__getitem__),
                traded=max(known.traded, update.traded),
                venue_orderid=update.venue_orderid or known.venue_orderid,
                reference=known.reference,
            )
        self._store(update)
        return update

    def settle(self, vt_orderid: str, status: Status) -> OrderData | None:
        """Set the status of an order that is not final; return the new record if it changed."""
        known = self._orders.get(vt_orderid)
        if known is None or known.status.is_final or known.status is status:
            return None
        changed = replace(known, status=status)
        self._store(changed)
        return changed

    def apply_trade(self, trade: TradeData) -> bool:
        """Apply a fill. False, and no change, when its id was applied before."""
        if trade.vt_tradeid in self._trades:
            return False
        self._trades.add(trade.vt_tradeid)
        self._filled[trade.vt_orderid] = self.filled(trade.vt_orderid) + trade.volume
        position = (trade.adapter_name, trade.vt_symbol)
        signed = trade.volume if trade.direction is Direction.LONG else -trade.volume
        self._positions[position] = self._positions.get(position, 0.0) + signed
        order = self._orders.get(trade.vt_orderid)
        if order is not None:
            self._track(order)
        return True

    def lacks_fills(self, order: OrderData) -> bool:
        """Whether the venue says that more was traded than the fills that came in add up to."""
        return order.traded > self.filled(order.vt_orderid) + _VOLUME_TOLERANCE

    def _store(self, order: OrderData) -> None:
        self._orders[order.vt_orderid] = order
        self._track(order)

    def _track(self, order: OrderData) -> None:
        if order.status.is_final and not self.lacks_fills(order):
            self._unsettled.pop(order.vt_orderid, None)
        else:
            self._unsettled[order.vt_orderid] = order


# How far along its life a status is. A cancelled order can still report fills made before the
# cancel; nothing but fills moves a final order.
_PROGRESS = {
    Status.SUBMITTING: 0,
    Status.UNKNOWN: 1,
    Status.NOTTRADED: 2,
    Status.PARTTRADED: 3,
    Status.REJECTED: 4,
    Status.CANCELLED: 4,
    Status.ALLTRADED: 5,
}


def _is_news(known: OrderData, update: OrderData) -> bool:
    if update.traded > known.traded + _VOLUME_TOLERANCE:
        return True
    return _PROGRESS[update.status] > _PROGRESS[known.status]
