"""What is known of orders, fills and positions: one record per intent, changed by evidence only.

Pure state: no I/O, no clock, no tasks. Evidence arrives in any order, late or twice, and always
leads to the same record: an order never goes back to an older state, and each fill counts once.
Memory is bounded by the number of orders kept, not by how long it runs.
"""

from __future__ import annotations

import re
from dataclasses import replace

from foxtrot.util.constants import Direction, Status
from foxtrot.util.object import OrderData, TradeData, covers

__all__ = ["Oms"]

_TradeKey = tuple[str, str, Direction, str]


class Oms:
    """Orders by client order id, trades by trade id and side, positions as the sum of the fills.

    Args:
        keep: How many finished orders to keep, with their fills. Older ones are forgotten; what
            is remembered of them is which order and trade ids were used, so that a replayed fill
            stays harmless and an id stays one intent. Of ids that end in a number only the
            highest is remembered, and lower ones count as used; other ids are kept one by one.
    """

    def __init__(self, *, keep: int = 10_000) -> None:
        self._keep = keep
        self._orders: dict[str, OrderData] = {}
        self._unsettled: dict[str, OrderData] = {}
        self._finished: dict[str, None] = {}
        self._trades: dict[_TradeKey, None] = {}
        self._trades_of: dict[str, list[_TradeKey]] = {}
        self._filled: dict[str, float] = {}
        self._positions: dict[tuple[str, str], float] = {}
        self._used_orders = _UsedIds()
        self._used_trades = _UsedIds()

    def order(self, vt_orderid: str) -> OrderData | None:
        """The latest that is known of an order; None for one that is unknown or forgotten."""
        return self._orders.get(vt_orderid)

    def orders(self) -> tuple[OrderData, ...]:
        """Every order that is kept, in the order of their intents."""
        return tuple(self._orders.values())

    def unsettled(self, adapter_name: str) -> tuple[OrderData, ...]:
        """The orders of an adapter that may still change: active, unknown, or short of fills."""
        return tuple(o for o in self._unsettled.values() if o.adapter_name == adapter_name)

    def symbols(self, adapter_name: str) -> tuple[str, ...]:
        """The symbols that the adapter holds something in, or an order that may still change."""
        held = (
            vt_symbol.rpartition(".")[0]
            for (name, vt_symbol), volume in self._positions.items()
            if name == adapter_name and not covers(0.0, abs(volume))
        )
        changing = (order.symbol for order in self.unsettled(adapter_name))
        return tuple(dict.fromkeys((*changing, *held)))

    def position(self, adapter_name: str, vt_symbol: str) -> float:
        """The signed volume that the adapter's fills add up to."""
        return self._positions.get((adapter_name, vt_symbol), 0.0)

    def positions(self) -> dict[tuple[str, str], float]:
        """All positions, by adapter name and `vt_symbol`."""
        return dict(self._positions)

    def filled(self, vt_orderid: str) -> float:
        """The volume of the fills applied to an order; may run ahead of or behind `traded`."""
        return self._filled.get(vt_orderid, 0.0)

    def is_at_venue(self, vt_orderid: str) -> bool:
        """Whether the venue has shown the order: by its own number, or by a fill."""
        order = self._orders.get(vt_orderid)
        return self.filled(vt_orderid) > 0 or (order is not None and bool(order.venue_orderid))

    def is_used(self, adapter_name: str, orderid: str) -> bool:
        """Whether the id names an intent already, be it a forgotten one."""
        kept = f"{adapter_name}.{orderid}" in self._orders
        return kept or self._used_orders.holds(adapter_name, orderid)

    def begin(self, order: OrderData) -> bool:
        """Register an intent. False, and no change, when its id is used."""
        if self.is_used(order.adapter_name, order.orderid):
            return False
        self._store(order)
        return True

    def withdraw(self, vt_orderid: str) -> None:
        """Forget an intent that never left, so that its id is free for it elsewhere."""
        del self._orders[vt_orderid]
        self._unsettled.pop(vt_orderid, None)

    def apply_order(self, update: OrderData) -> OrderData | None:
        """Merge evidence about an order; return the new record, or None if nothing changed."""
        vt_orderid = update.vt_orderid
        known = self._orders.get(vt_orderid)
        if known is None and self._used_orders.holds(update.adapter_name, update.orderid):
            return None  # finished and forgotten: a late repetition
        merged = update if known is None else _merged(known, update)
        merged = _with_fills(merged, self.filled(vt_orderid))
        if merged is known or (known is not None and _state(known) == _state(merged)):
            return None
        self._store(merged)
        return merged

    def settle(self, vt_orderid: str, status: Status) -> OrderData | None:
        """Conclude something about an order; return the new record if it changed.

        A conclusion weighs less than evidence: it changes no order that is final, and rejects
        none that the venue has shown.
        """
        known = self._orders.get(vt_orderid)
        if known is None or known.status.is_final or known.status is status:
            return None
        if status is Status.REJECTED and self.is_at_venue(vt_orderid):
            return None
        changed = replace(known, status=status)
        self._store(changed)
        return changed

    def apply_trade(self, trade: TradeData) -> bool:
        """Apply a fill, and what it proves of its order.

        False, and no change, when its id was applied before, or when it has none: a fill that
        cannot be told from its own repetition has to come again with its id.
        """
        key, vt_orderid = _key(trade), trade.vt_orderid
        if not trade.tradeid or self._is_applied(key, vt_orderid):
            return False
        order = self._orders.get(vt_orderid)
        self._trades[key] = None
        self._trades_of.setdefault(vt_orderid, []).append(key)
        filled = self._filled[vt_orderid] = self.filled(vt_orderid) + trade.volume
        position = key[:2]
        signed = trade.volume if trade.direction is Direction.LONG else -trade.volume
        self._positions[position] = self._positions.get(position, 0.0) + signed
        if order is not None:
            self._orders[vt_orderid] = _with_fills(order, filled)
        self._track(vt_orderid)
        return True

    def lacks_fills(self, order: OrderData) -> bool:
        """Whether the venue says that more was traded than the fills that came in add up to."""
        return order.traded > 0 and not covers(self.filled(order.vt_orderid), order.traded)

    def _is_applied(self, key: _TradeKey, vt_orderid: str) -> bool:
        if key in self._trades:
            return True
        # A late fill of an order that is kept is news, however low its number.
        is_kept = vt_orderid in self._orders
        return not is_kept and self._used_trades.holds(*_scoped(key))

    def _store(self, order: OrderData) -> None:
        vt_orderid = order.vt_orderid
        self._orders[vt_orderid] = order
        self._track(vt_orderid)

    def _track(self, vt_orderid: str) -> None:
        """File an order under unsettled or finished. Fills of no known order count as finished."""
        order = self._orders.get(vt_orderid)
        if order is not None and (not order.status.is_final or self.lacks_fills(order)):
            self._unsettled[vt_orderid] = order
            self._finished.pop(vt_orderid, None)
            return
        self._unsettled.pop(vt_orderid, None)
        self._finished[vt_orderid] = None
        while len(self._finished) > self._keep:
            self._forget(next(iter(self._finished)))

    def _forget(self, vt_orderid: str) -> None:
        del self._finished[vt_orderid]
        order = self._orders.pop(vt_orderid, None)
        if order is not None:
            self._used_orders.add(order.adapter_name, order.orderid)
        self._filled.pop(vt_orderid, None)
        for key in self._trades_of.pop(vt_orderid, ()):
            del self._trades[key]
            self._used_trades.add(*_scoped(key))


_NUMBER_AT_END = re.compile(r"\d*$")


class _UsedIds:
    """Ids that were used once, by scope: the highest of those with a number, all of the others."""

    def __init__(self) -> None:
        self._highest: dict[tuple[str, str], int] = {}
        self._others: dict[tuple[str, str], None] = {}

    def add(self, scope: str, id_: str) -> None:
        stem, number = _split(id_)
        if number is None:
            self._others[scope, id_] = None
        else:
            key = (scope, stem)
            self._highest[key] = max(number, self._highest.get(key, number))

    def holds(self, scope: str, id_: str) -> bool:
        stem, number = _split(id_)
        if number is None:
            return (scope, id_) in self._others
        return number <= self._highest.get((scope, stem), -1)


def _split(id_: str) -> tuple[str, int | None]:
    digits = _NUMBER_AT_END.search(id_)
    assert digits is not None  # the pattern matches the empty end
    start = digits.start()
    return id_[:start], int(id_[start:]) if start < len(id_) else None


def _key(trade: TradeData) -> _TradeKey:
    # By symbol as well: venues number the fills of each symbol from one. And by side: where an
    # account trades with itself, both fills bear the number of their match.
    return (trade.adapter_name, trade.vt_symbol, trade.direction, trade.tradeid)


def _scoped(key: _TradeKey) -> tuple[str, str]:
    """The id with what it is unique in."""
    adapter_name, vt_symbol, direction, tradeid = key
    return f"{adapter_name} {vt_symbol} {direction.name}", tradeid


# How far along its life a status is. A final order moves only by what proves that it went further.
_PROGRESS = {
    Status.SUBMITTING: 0,
    Status.UNKNOWN: 1,
    Status.NOTTRADED: 3,
    Status.PARTTRADED: 4,
    Status.REJECTED: 5,
    Status.CANCELLED: 6,
    Status.ALLTRADED: 7,
}
_CONCLUDED = 2


def _progress(order: OrderData) -> int:
    """A rejection without the venue's number is a conclusion of ours, which evidence refutes."""
    if order.status is Status.REJECTED and not order.venue_orderid:
        return _CONCLUDED
    return _PROGRESS[order.status]


def _merged(known: OrderData, update: OrderData) -> OrderData:
    """`update` with all that is known already; `known` itself when there is nothing new in it."""
    status = max(known, update, key=_progress).status
    traded = max(known.traded, update.traded)
    venue_orderid = update.venue_orderid or known.venue_orderid
    if _state(known) == (status, round(traded, 9), venue_orderid):
        return known
    return replace(
        update,
        status=status,
        traded=traded,
        venue_orderid=venue_orderid,
        reference=known.reference,
    )


def _with_fills(order: OrderData, filled: float) -> OrderData:
    """The order with what its fills prove: that it is at the venue, and how far it got."""
    if filled <= 0:
        return order
    reached = Status.ALLTRADED if covers(filled, order.volume) else Status.PARTTRADED
    status = reached if _PROGRESS[reached] > _progress(order) else order.status
    if status is order.status and filled <= order.traded:
        return order
    return replace(order, status=status, traded=max(order.traded, filled))


def _state(order: OrderData) -> tuple[Status, float, str]:
    return (order.status, round(order.traded, 9), order.venue_orderid)
