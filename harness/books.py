"""The venues' own record of orders and positions, as it is written into the history.

The oracle of truth: fed by the venues' events alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from foxtrot.util.constants import Status
from harness.history import History

__all__ = ["Booked", "Books"]

_MEANS = {
    "NEW": Status.NOTTRADED,
    "PARTIALLY_FILLED": Status.PARTTRADED,
    "FILLED": Status.ALLTRADED,
    "CANCELED": Status.CANCELLED,
    "EXPIRED": Status.CANCELLED,
}
_TOLERANCE = 1e-9


@dataclass(slots=True)
class Booked:
    """What one venue has under one client order id: all its orders under it together."""

    venue_order_id: str
    symbol: str
    side: str
    status: str
    quantity: float
    executed: float
    executed_before: float = 0.0

    @property
    def executed_in_all(self) -> float:
        """Executed by every order under the id; more than one is a doubled intent."""
        return self.executed + self.executed_before

    def agrees_with(self, status: Status, filled: float) -> bool:
        """Whether an engine that believes this has it right."""
        if status is not _MEANS[self.status]:
            return False
        return abs(filled - self.executed_in_all) <= _TOLERANCE * max(1.0, filled)


class Books:
    """Takes the venues' events, keeps the newest of each order, and writes them down."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._orders: dict[tuple[str, str], Booked] = {}
        self._positions: dict[tuple[str, str], float] = {}
        self.on_change: Callable[[str, str], None] = _nobody

    def order(self, venue: str, client_id: str) -> Booked | None:
        """What a venue has under a client order id."""
        return self._orders.get((venue, client_id))

    def hook(self, venue: str) -> Callable[[str, str, str, dict[str, Any]], None]:
        """What a venue calls with each of its events."""

        def on_event(kind: str, id: str, outcome: str, details: dict[str, Any]) -> None:  # noqa: A002 - the history's word
            self._history.record(kind, id, outcome, **{**details, "venue": venue})
            if kind == "venue.order":
                self._book_order(venue, outcome, details)
            elif kind == "venue.trade":
                self._book_trade(venue, details)

        return on_event

    def write_final(self) -> None:
        """Write down how every order and position stands."""
        for (venue, client_id), booked in self._orders.items():
            self._history.record(
                "venue.final_order",
                client_id,
                booked.status,
                venue=venue,
                executed=booked.executed_in_all,
                quantity=booked.quantity,
                symbol=booked.symbol,
                side=booked.side,
            )
        for (venue, symbol), volume in self._positions.items():
            self._history.record(
                "venue.final_position", symbol, adapter=venue, volume=round(volume, 8)
            )

    def _book_order(self, venue: str, status: str, order: dict[str, Any]) -> None:  # Any: JSON
        key = (venue, order["client_id"])
        known = self._orders.get(key)
        if known is None or known.venue_order_id != order["venue_order_id"]:
            self._orders[key] = Booked(
                order["venue_order_id"],
                order["symbol"],
                order["side"],
                status,
                order["quantity"],
                order["executed"],
                known.executed_in_all if known else 0.0,
            )
        else:
            known.status, known.executed = status, order["executed"]
        self.on_change(*key)

    def _book_trade(self, venue: str, trade: dict[str, Any]) -> None:  # Any: JSON
        key = (venue, trade["symbol"])
        signed = trade["quantity"] if trade["side"] == "BUY" else -trade["quantity"]
        self._positions[key] = self._positions.get(key, 0.0) + signed


def _nobody(_venue: str, _client_id: str) -> None:
    pass
