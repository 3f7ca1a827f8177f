"""What the venue told of orders and fills, kept to be found again by Binance's numeric ids.

The venue finds an order by its client id alone. These records turn an order's number into the
client id to ask for, and hold what its replies leave out: the fills.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

__all__ = ["OrderRecord", "Records", "cost"]


@dataclass(slots=True)
class OrderRecord:
    """The newest state of an order, and its fills so far. Rows are the venue's own."""

    row: dict[str, Any]  # Any: JSON
    fills: list[dict[str, Any]] = field(default_factory=list)
    cancel_id: str = ""

    @property
    def number(self) -> int:
        """The order's id."""
        return int(self.row["venue_order_id"])

    @property
    def is_open(self) -> bool:
        """Whether the venue may still execute it."""
        return self.row["status"] in {"NEW", "PARTIALLY_FILLED"}


class Records:
    """All orders since the start, by account and number."""

    def __init__(self) -> None:
        self._orders: dict[int, OrderRecord] = {}
        self._newest: dict[tuple[str, str, str], OrderRecord] = {}
        self._cancel_ids: dict[str, str] = {}

    def on_event(self, kind: str, _id: str, _outcome: str, details: dict[str, Any]) -> None:
        """Take an event of the venue."""
        if kind == "venue.order":
            record = self._orders.get(int(details["venue_order_id"]))
            if record is None:
                record = self._orders[int(details["venue_order_id"])] = OrderRecord(details)
                name = (details["account"], details["symbol"], details["client_id"])
                self._newest[name] = record
            else:
                record.row = details
                self._name_cancel(record)
        elif kind == "venue.trade":
            self._orders[int(details["venue_order_id"])].fills.append(details)

    @contextmanager
    def naming_cancel(self, request_id: str, cancel_id: str) -> Iterator[None]:
        """While the venue serves a cancel: what its client calls it, "" where it does not say."""
        self._cancel_ids[request_id] = cancel_id
        try:
            yield
        finally:
            del self._cancel_ids[request_id]

    def _name_cancel(self, record: OrderRecord) -> None:
        if record.row["status"] == "CANCELED":
            given = self._cancel_ids.get(record.row["request_id"])
            record.cancel_id = given or f"cancel-{record.number}"

    def find(self, account: str, number: int) -> OrderRecord | None:
        """An account's order."""
        record = self._orders.get(number)
        return record if record is not None and record.row["account"] == account else None

    def newest(self, account: str, symbol: str, client_id: str) -> OrderRecord | None:
        """The newest of an account's orders in a symbol with a client id."""
        return self._newest.get((account, symbol, client_id))

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
