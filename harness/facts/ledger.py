"""Orders and fills: what the venue has, what subscribers were told, and where the two part.

One small record per intent and one key per fill stay in memory, whatever the run's length.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.facts.judgement import Judgement, at
from harness.facts.links import PLACE, Links, Request
from harness.history import Event

__all__ = ["AGREEING", "FINAL", "TOLERANCE", "Fill", "Intent", "Ledger", "VenueOrder", "side_of"]

TOLERANCE = 1e-9
#: Which of the venue's states each state of ours may stand for at the end. "" : no such order.
AGREEING = {
    "NOTTRADED": frozenset({"NEW"}),
    "PARTTRADED": frozenset({"PARTIALLY_FILLED"}),
    "ALLTRADED": frozenset({"FILLED"}),
    "CANCELLED": frozenset({"CANCELED", "EXPIRED"}),
    "REJECTED": frozenset({"", "REJECTED", "EXPIRED"}),
}
FINAL = frozenset({"ALLTRADED", "CANCELLED", "REJECTED"})
_LIVE_AT_VENUE = frozenset({"NEW", "PARTIALLY_FILLED"})
_LIST = "orders.open"
_LOOKUPS = frozenset({"order.query", _LIST, "trades"})


def side_of(text: object) -> int:
    """+1 for a buy, -1 for a sell, in the venue's words or ours."""
    return 1 if str(text).upper() in {"BUY", "LONG"} else -1


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution, as the venue made it or as a subscriber was told of it."""

    side: int
    quantity: float
    price: float | None
    about: str

    @classmethod
    def of(cls, event: Event) -> Fill:
        """The fill that venue.trade or client.trade tells of."""
        details = event.details
        price = details.get("price")
        return cls(
            side_of(details["side"]),
            float(details["quantity"]),
            None if price is None else float(price),
            f"{event.id} of {details.get('client_id')} ({at(event)})",
        )

    @property
    def words(self) -> str:
        """What evidence says of it."""
        price = "" if self.price is None else f" at {self.price:g}"
        return f"{self.side * self.quantity:g}{price}"

    def agrees_with(self, other: Fill) -> bool:
        """Whether both tell of the same execution."""
        return (
            self.side == other.side
            and abs(self.quantity - other.quantity) <= TOLERANCE
            and self.price == other.price
        )


@dataclass(slots=True)
class VenueOrder:
    """One order as the venue has it."""

    status: str
    executed: float
    seq: int


@dataclass(slots=True)
class Intent:
    """One order that was asked for, under its client order id."""

    client_id: str
    adapter: str = ""
    symbol: str = ""
    quantity: float | None = None
    asked: int | None = None  # seq of the client.invoke, None: nobody asked
    sends: int = 0
    returned: str = ""
    at_venue: dict[tuple[str, str], VenueOrder] = field(default_factory=dict)
    status: str = ""
    told_by: str = ""  # the adapter that its status is of
    #: Its requests of which nothing says whether they made an order.
    doubts: tuple[Request, ...] = ()
    is_in_doubt: bool = False
    refused: str = ""
    #: State and traded quantity, as subscribers were last told before the final read, and by it.
    told: tuple[str, float] | None = None
    final: tuple[str, float] | None = None
    final_at_venue: list[tuple[str, float]] = field(default_factory=list)

    @property
    def executed(self) -> float:
        """Quantity that the venue has executed for it, over all its orders."""
        return sum(order.executed for order in self.at_venue.values())

    @property
    def accepted_once(self) -> bool:
        """Whether the venue has exactly one order for it, executed no further than asked."""
        return len(self.at_venue) == 1 and not self.is_overdone

    @property
    def is_open_at_venue(self) -> bool:
        """Whether the venue may still execute it."""
        return any(order.status in _LIVE_AT_VENUE for order in self.at_venue.values())

    def goes_on_at(self, adapter: str) -> bool:
        """Whether it goes to another adapter where one has refused it, and its call is not over."""
        return self.status == "REJECTED" and adapter != self.told_by and not self.returned

    @property
    def is_overdone(self) -> bool:
        """Whether more was executed than asked for."""
        return self.quantity is not None and self.executed > self.quantity + TOLERANCE


class Ledger:
    """All intents and fills of a run."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self.intents: dict[str, Intent] = {}
        self.unfilled: dict[tuple[str, str, str], Fill] = {}
        self.fills = Judgement()
        self.settled = Judgement()
        self.invented = Judgement()
        self.revived = Judgement()
        self.repeated = Judgement()
        self.unnamed = Judgement()
        self.client_positions: dict[tuple[str, str], float] = {}
        self.venue_positions: dict[tuple[str, str], float] = {}
        self.final_read = False
        self.is_closed = False
        self._unowed: dict[tuple[str, str, str], Fill] = {}
        self._applied: set[tuple[str, str, str]] = set()
        # By adapter, those with doubts.
        self._doubted: dict[str, dict[str, Intent]] = {}

    def intent(self, client_id: str) -> Intent:
        """The intent of that id, a new one if it was never heard of."""
        found = self.intents.get(client_id)
        if found is None:
            found = self.intents[client_id] = Intent(client_id)
        return found

    def asked(self, event: Event, client_id: str) -> None:
        """Take client.invoke of a new order, once its id is known."""
        intent = self.intent(client_id)
        details = event.details
        intent.adapter = str(details.get("adapter") or intent.adapter)
        intent.symbol = str(details.get("symbol") or intent.symbol)
        if details.get("quantity") is not None:
            intent.quantity = float(details["quantity"])
        intent.asked = event.seq if intent.asked is None else intent.asked

    def sent(self, event: Event) -> None:
        """Take link.sent."""
        if event.details["operation"] != PLACE or not event.details.get("client_id"):
            return
        intent = self.intent(str(event.details["client_id"]))
        intent.sends += 1
        intent.doubts = (*intent.doubts, self._links.requests[event.id])
        if intent.refused and not intent.is_in_doubt:
            self.repeated.breach(
                f"{at(event)}: order {intent.client_id} was sent again as {event.id}, unchanged, "
                f"although the venue had refused it ({intent.refused})"
            )

    def done(self, event: Event) -> None:
        """Take link.done: replies are evidence, failed look-ups are none."""
        request = self._links.requests.get(event.id)
        if request is None:
            return
        if request.operation == PLACE and request.client_id:
            self._placed(event, request)
        elif request.operation in _LOOKUPS:
            self._looked_up(request)

    def _placed(self, event: Event, request: Request) -> None:
        intent = self.intent(request.client_id)
        if request.is_refused_for_good:
            self.repeated.judged += 1
            intent.refused = at(event)
        elif not request.is_answered:
            intent.is_in_doubt = True
        if request.is_settled:
            intent.doubts = tuple(other for other in intent.doubts if other is not request)
        else:
            self._doubted.setdefault(request.adapter, {})[intent.client_id] = intent

    def _looked_up(self, look_up: Request) -> None:
        """What a reply shows, or does not, is evidence of what had left before it was asked for.

        Fills are not: an order without any may be open. Nor is any other refusal than "no such
        order".
        """
        if look_up.outcome != "ok":
            self.invented.judged += 1
        doubted = self._doubted.get(look_up.adapter, {})
        if look_up.client_id in doubted:
            if look_up.has_told:
                self._dispel(doubted, [doubted[look_up.client_id]], look_up)
        elif look_up.operation == _LIST and look_up.outcome == "ok":
            self._dispel(doubted, list(doubted.values()), look_up)

    def _dispel(self, doubted: dict[str, Intent], intents: list[Intent], look_up: Request) -> None:
        for intent in intents:
            intent.doubts = tuple(
                request
                for request in intent.doubts
                if request.adapter != look_up.adapter or request.sent > look_up.sent
            )
            if not intent.doubts:
                del doubted[intent.client_id]

    def venue_order(self, event: Event) -> None:
        """Take venue.order."""
        details = event.details
        client_id = str(details.get("client_id") or "")
        key = (str(details.get("venue") or ""), event.id)
        intent = self.intent(client_id)
        order = VenueOrder(event.outcome, float(details.get("executed") or 0.0), event.seq)
        is_new = key not in intent.at_venue
        intent.at_venue[key] = order
        intent.symbol = intent.symbol or str(details.get("symbol") or "")
        if is_new and intent.status == "REJECTED" and event.outcome not in AGREEING["REJECTED"]:
            self.settled.breach(
                f"{at(event)}: order {client_id} came to the venue as {event.outcome} after it was "
                "called REJECTED"
            )

    def venue_trade(self, event: Event) -> None:
        """Take venue.trade. Of one after shutdown began a subscriber may hear, and need not."""
        details = event.details
        key = (str(details.get("venue") or ""), str(details["symbol"]), event.id)
        if self.is_closed:
            self._unowed[key] = Fill.of(event)
            return
        self.unfilled[key] = Fill.of(event)
        self.fills.judged += 1

    def client_trade(self, event: Event) -> None:
        """Take client.trade: each fill of the venue's once, as it was."""
        details = event.details
        adapter = str(details["adapter"])
        trade_id = event.id.removeprefix(f"{adapter}.")
        key = (self._links.venue_of(adapter), str(details["symbol"]), trade_id)
        if key in self._applied:
            self.fills.breach(f"{at(event)}: fill {event.id} reached subscribers a second time")
        elif key not in self.unfilled and key not in self._unowed:
            self.fills.breach(f"{at(event)}: fill {event.id} was never made by the venue")
        else:
            made = (self.unfilled if key in self.unfilled else self._unowed).pop(key)
            told = Fill.of(event)
            self._applied.add(key)
            if not told.agrees_with(made):
                self.fills.breach(
                    f"{at(event)}: fill {event.id} reached subscribers as {told.words}, the venue "
                    f"made {made.words} in {made.about}"
                )

    def client_order(self, event: Event) -> None:
        """Take client.order: an order's state as a subscriber saw it."""
        intent = self.intent(event.id)
        adapter = str(event.details.get("adapter") or "")
        intent.adapter = intent.adapter or adapter
        if event.outcome in FINAL:
            self._judge_evidence(event, intent)
            self._judge_final(event, intent)
        elif intent.status in FINAL and not intent.goes_on_at(adapter):
            self.revived.breach(
                f"{at(event)}: order {intent.client_id} went from {intent.status} back to "
                f"{event.outcome}"
            )
        intent.status, intent.told_by = event.outcome, adapter
        if not self.final_read:
            intent.told = (event.outcome, float(event.details.get("traded") or 0.0))

    def closed(self, event: Event) -> None:
        """Take run.closed: the orders that the engine says it leaves open."""
        named = set(event.details.get("open_orders") or ())
        for intent in self.intents.values():
            if not intent.is_open_at_venue:
                continue
            self.unnamed.judged += 1
            if intent.client_id not in named:
                self.unnamed.breach(
                    f"{at(event)}: order {intent.client_id} is open at the venue, and the engine "
                    "closed without a word of it"
                )
        self.unnamed.judged += 1

    def _judge_evidence(self, event: Event, intent: Intent) -> None:
        """The end of an order that was unknown, or is said never to have been, takes evidence.

        What the venue has done is evidence, though its frame may still be on the way. What came to
        nothing at the other end is none for who called it unknown.
        """
        if intent.status != "UNKNOWN" and event.outcome != "REJECTED":
            return
        self.settled.judged += 1
        doubts = [
            request.id
            for request in intent.doubts
            if intent.status == "UNKNOWN" or not request.came_to_nothing
        ]
        if doubts and not intent.at_venue:
            self.settled.breach(
                f"{at(event)}: order {intent.client_id} went from {intent.status or 'nothing'} to "
                f"{event.outcome} with no answer to {', '.join(doubts)}, no look-up that shows "
                "what became of it, and no event of the venue's"
            )

    def _judge_final(self, event: Event, intent: Intent) -> None:
        """A state final here and open at the venue was made up: the venue is always first.

        So was a rejection of what it has executed or cancelled, whatever is told later.
        """
        self.revived.judged += 1
        there = {order.status for order in intent.at_venue.values()} or {""}
        if event.outcome == "REJECTED" and not there & AGREEING["REJECTED"]:
            self.settled.breach(
                f"{at(event)}: order {intent.client_id} was called REJECTED while the venue had it "
                f"{', '.join(sorted(there))}"
            )
        live = [
            f"{order.status} since seq {order.seq}"
            for order in intent.at_venue.values()
            if order.status in _LIVE_AT_VENUE
        ]
        if live:
            self.invented.breach(
                f"{at(event)}: order {intent.client_id} was called {event.outcome} while the "
                f"venue had it {', '.join(live)}"
            )

    def final_order(self, event: Event, *, at_venue: bool) -> None:
        """Take venue.final_order or client.final_order."""
        self.final_read = True
        intent = self.intent(event.id)
        if at_venue:
            executed = float(event.details.get("executed") or 0.0)
            intent.final_at_venue.append((event.outcome, executed))
        else:
            intent.final = (event.outcome, float(event.details.get("traded") or 0.0))

    def final_position(self, event: Event, *, at_venue: bool) -> None:
        """Take venue.final_position or client.final_position."""
        adapter = str(event.details["adapter"])
        key = (self._links.venue_of(adapter), event.id)
        positions = self.venue_positions if at_venue else self.client_positions
        positions[key] = positions.get(key, 0.0) + float(event.details.get("volume") or 0.0)
