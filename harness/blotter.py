"""The blotter of one run: what was asked, what the venue did with it, and what the engine booked.

Folded from a history by itself, so that runs can be compared intent by intent. The venue's side
comes from its ledger; the engine's from what subscribers saw and from the final read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.facts.ledger import AGREEING, TOLERANCE, side_of
from harness.facts.links import PLACE
from harness.history import Event

__all__ = ["Blotter", "BlotterFold", "Line", "Position"]

#: As the engine had them at the end: states in which nobody knows what became of the order.
_UNSETTLED = frozenset({"UNKNOWN", "SUBMITTING"})


@dataclass(frozen=True, slots=True)
class Line:
    """One intent. `orders` is how many the venue has under its id, `notional` what they traded.

    `status` and `traded` are the engine's word at the end, `there` the venue's; "" for none.
    `sent` is how often it left, by the link's record.
    """

    symbol: str = ""
    side: int = 1
    quantity: float | None = None
    orders: int = 0
    executed: float = 0.0
    notional: float = 0.0
    status: str = ""
    traded: float = 0.0
    there: str = ""
    sent: int = 0

    @property
    def price(self) -> float | None:
        """The average price of its fills."""
        return self.notional / self.executed if self.executed else None

    @property
    def is_doubled(self) -> bool:
        """Whether the venue has it twice, or executed more than was asked."""
        asked = self.executed if self.quantity is None else self.quantity
        return self.orders > 1 or self.executed > asked + TOLERANCE

    @property
    def is_withheld(self) -> bool:
        """Whether it never left: its caller was told so, and could decide anew."""
        return not self.sent and not self.orders

    @property
    def is_unsettled(self) -> bool:
        """Whether the engine ended without knowing its state."""
        return self.status in _UNSETTLED

    @property
    def is_lost(self) -> bool:
        """Whether the engine is sure of something else than the venue has."""
        if self.is_unsettled or not (self.status or self.there):
            return False
        agrees = self.there in AGREEING.get(self.status, frozenset())
        return not agrees or abs(self.traded - self.executed) > TOLERANCE


@dataclass(frozen=True, slots=True)
class Position:
    """What is held of one symbol at one venue, by the venue and by the engine."""

    venue: str
    symbol: str
    real: float = 0.0
    believed: float = 0.0

    @property
    def gap(self) -> float:
        """How much the engine does not know of, or only believes in. Never negative."""
        gap = abs(self.real - self.believed)
        return gap if gap > TOLERANCE else 0.0


@dataclass(frozen=True, slots=True)
class Blotter:
    """All of it. Money is in quote currency; `cash` falls by what is bought.

    `marks` are the last prices that the venue traded at, by venue and symbol; `unbooked` is what
    fills came to that no subscriber ever heard of.
    """

    lines: Mapping[str, Line] = field(default_factory=dict)
    positions: tuple[Position, ...] = ()
    marks: Mapping[tuple[str, str], float] = field(default_factory=dict)
    cash: float = 0.0
    believed_cash: float = 0.0
    unbooked: float = 0.0
    blocked: int = 0
    errors: int = 0
    alerts: int = 0


@dataclass(slots=True)
class _Entry:
    symbol: str = ""
    side: int = 1
    quantity: float | None = None
    is_asked: bool = False
    order_ids: dict[tuple[str, str], None] = field(default_factory=dict)
    executed: float = 0.0
    notional: float = 0.0
    status: str = ""
    traded: float = 0.0
    there: str = ""
    sent: int = 0


class BlotterFold:
    """Collects the blotter while a history is read. What happens after closing time is left out."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._real: dict[tuple[str, str], float] = {}
        self._believed: dict[tuple[str, str], float] = {}
        self._marks: dict[tuple[str, str], float] = {}
        self._unheard: dict[tuple[str, str, str], float] = {}
        self._cash = self._believed_cash = 0.0
        self._errors: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._is_closed = False
        self._takers: Mapping[str, Callable[[Event], None]] = {
            "run.shutdown": self._shutdown,
            "client.invoke": self._invoke,
            "client.return": self._return,
            "client.order": self._client_order,
            "client.trade": self._client_trade,
            "client.final_order": self._client_final_order,
            "client.final_position": lambda e: self._position(e, self._believed),
            "link.sent": self._link_sent,
            "venue.order": self._venue_order,
            "venue.trade": self._venue_trade,
            "venue.final_order": self._venue_final_order,
            "venue.final_position": lambda e: self._position(e, self._real),
            "engine.error": lambda e: self._errors.add(e.id),
            "operator.alert": lambda _: self._counts.update(["alerts"]),
        }

    def take(self, event: Event) -> None:
        """Take one event."""
        taker = self._takers.get(event.kind)
        if taker is not None and not self._is_closed:
            taker(event)

    def done(self) -> Blotter:
        """The blotter of what was taken."""
        keys = dict.fromkeys([*self._real, *self._believed])
        return Blotter(
            lines={client_id: _line(e) for client_id, e in self._entries.items() if e.is_asked},
            positions=tuple(
                Position(*key, self._real.get(key, 0.0), self._believed.get(key, 0.0))
                for key in keys
            ),
            marks=dict(self._marks),
            cash=self._cash,
            believed_cash=self._believed_cash,
            unbooked=sum(self._unheard.values(), 0.0),
            blocked=self._counts["blocked"],
            errors=len(self._errors),
            alerts=self._counts["alerts"],
        )

    def _entry(self, client_id: str) -> _Entry:
        return self._entries.setdefault(client_id, _Entry())

    def _shutdown(self, _: Event) -> None:
        self._is_closed = True

    def _invoke(self, event: Event) -> None:
        details = event.details
        if details.get("operation") != PLACE or not details.get("client_id"):
            return
        entry = self._entry(str(details["client_id"]))
        entry.is_asked = True
        entry.symbol = str(details.get("symbol") or "")
        entry.side = side_of(details.get("side"))
        if details.get("quantity") is not None:
            entry.quantity = float(details["quantity"])

    def _link_sent(self, event: Event) -> None:
        if event.details["operation"] == PLACE:
            self._entry(str(event.details.get("client_id") or "")).sent += 1

    def _return(self, event: Event) -> None:
        self._counts.update(["blocked"] if event.outcome == "blocked" else [])

    def _client_order(self, event: Event) -> None:
        entry = self._entry(event.id)
        entry.status = event.outcome
        entry.traded = float(event.details.get("traded") or 0.0)

    def _client_trade(self, event: Event) -> None:
        details = event.details
        adapter, symbol = str(details["adapter"]), str(details["symbol"])
        self._unheard.pop((adapter, symbol, event.id.removeprefix(f"{adapter}.")), None)
        self._believed_cash -= _signed(event) * float(details.get("price") or 0.0)

    def _client_final_order(self, event: Event) -> None:
        self._client_order(event)

    def _venue_order(self, event: Event) -> None:
        entry = self._entry(str(event.details.get("client_id") or ""))
        entry.order_ids[str(event.details.get("venue") or ""), event.id] = None
        entry.there = event.outcome

    def _venue_trade(self, event: Event) -> None:
        details = event.details
        entry = self._entry(str(details.get("client_id") or ""))
        quantity, price = float(details["quantity"]), float(details.get("price") or 0.0)
        entry.executed += quantity
        entry.notional += quantity * price
        venue, symbol = str(details.get("venue") or ""), str(details["symbol"])
        self._marks[venue, symbol] = price
        self._unheard[venue, symbol, event.id] = quantity * price
        self._cash -= _signed(event) * price

    def _venue_final_order(self, event: Event) -> None:
        self._entry(event.id).there = event.outcome

    def _position(self, event: Event, held: dict[tuple[str, str], float]) -> None:
        key = (str(event.details["adapter"]), event.id)
        held[key] = held.get(key, 0.0) + float(event.details.get("volume") or 0.0)


def _signed(event: Event) -> float:
    return side_of(event.details["side"]) * float(event.details["quantity"])


def _line(entry: _Entry) -> Line:
    return Line(
        symbol=entry.symbol,
        side=entry.side,
        quantity=entry.quantity,
        orders=len(entry.order_ids),
        executed=entry.executed,
        notional=entry.notional,
        status=entry.status,
        traded=entry.traded,
        there=entry.there,
        sent=entry.sent,
    )
