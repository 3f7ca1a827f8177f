"""What the venue told of orders and fills, kept to be found again by Binance's numeric ids.

The venue finds an order by its client id alone. These records turn an order's number into the
client id to ask for, and hold what its replies leave out: the fills.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

__all__ = ["OrderRecord", "Records", "cost"]


@dataclass(slots=True)
class OrderRecord:
    """The newest state of an order, and its fills so far. Rows are the venue's own."""

    row: dict[str, Any]  # Any: JSON
    fills: list[dict[str, Any]] = field(default_factory=list)

    @property
    def number(self) -> int:
        """The order's id."""
        return int(self.row["venue_order_id"])


class Records:
    """All orders since the start, by account and number."""

    def __init__(self) -> None:
        self._orders: dict[int, OrderRecord] = {}

    def on_event(self, kind: str, _id: str, _outcome: str, details: dict[str, Any]) -> None:
        """Take an event of the venue."""
        if kind == "venue.order":
            record = self._orders.get(int(details["venue_order_id"]))
            if record is None:
                self._orders[int(details["venue_order_id"])] = OrderRecord(details)
            else:
                record.row = details
        elif kind == "venue.trade":
            self._orders[int(details["venue_order_id"])].fills.append(details)

    def find(self, account: str, number: int) -> OrderRecord | None:
        """An account's order."""
        record = self._orders.get(number)
        return record if record is not None and record.row["account"] == account else None

    def order(self, number: int) -> OrderRecord:
        """Any account's order. Raises KeyError."""
        return self._orders[number]

    def of(self, account: str, symbol: str) -> list[OrderRecord]:
        """An account's orders in a symbol, oldest first."""
        return [
            record
            for record in self._orders.values()
            if record.row["account"] == account and record.row["symbol"] == symbol
        ]

    def fills(self, number: int | str, *, up_to: int | None = None) -> list[dict[str, Any]]:
        """The fills of an order, oldest first; only those with trade ids up to one, if given."""
        record = self._orders.get(int(number))
        fills = [] if record is None else record.fills
        return [fill for fill in fills if up_to is None or int(fill["trade_id"]) <= up_to]

    def is_maker(self, fill: dict[str, Any]) -> bool:
        """Whether the order of a fill rested in the book before."""
        record = self._orders.get(int(fill["venue_order_id"]))
        return record is not None and fill["time"] > record.row["time"]


def cost(fills: Iterable[Mapping[str, Any]]) -> Decimal:  # Any: JSON
    """What fills amount to in the quote asset."""
    return sum(
        (Decimal(str(fill["price"])) * Decimal(str(fill["quantity"])) for fill in fills),
        Decimal(0),
    )
