"""What a bare client made of a live scenario: facts of the venue's ledger, the links, its books.

Nothing here is the client's opinion but its final books, which are held against the venue's. Pure
functions of a history.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from harness.facts.ledger import TOLERANCE
from harness.history import Event

__all__ = ["STALE_AFTER", "BareFacts", "bare_facts"]

#: Seconds beyond which a price is too old to trade on.
STALE_AFTER = 3.0
_WAIT = frozenset({418, 429})
_PLACE = "order.place"


@dataclass(frozen=True, slots=True)
class BareFacts:
    """A bare client's day.

    Attributes:
        asked: Intents of the strategy.
        orders: Orders that the venue took for them.
        fills: Of these orders.
        doubled: Intents that stand at the venue more than once.
        given_up: Intents that no order at the venue stands for.
        lost: Intents whose fills the client has otherwise than the venue, doubled ones included.
        apart: By symbol, how much more the venue has than the client believes.
        too_soon: Requests sent while the venue had asked for silence.
        blind: Orders asked for at a price older than `STALE_AFTER`.
        dark: The longest time without a price, in seconds.
        errors: Exceptions that reached the bot, by ccxt's names.
    """

    asked: int = 0
    orders: int = 0
    fills: int = 0
    doubled: tuple[str, ...] = ()
    given_up: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    apart: Mapping[str, float] = field(default_factory=dict)
    too_soon: int = 0
    blind: int = 0
    dark: float = 0.0
    errors: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:  # Any: JSON
        """As report.json has it."""
        return asdict(self)


def bare_facts(events: Iterable[Event]) -> BareFacts:
    """Read the facts off the history of a bare client's run."""
    told = tuple(events)
    asked = _asked(told)
    orders = _orders(told)
    placed = {intent: {o for o, i in orders.items() if i == intent} for intent in asked}
    return BareFacts(
        asked=len(asked),
        orders=len(orders),
        fills=sum(event.kind == "venue.trade" for event in told),
        doubled=tuple(intent for intent, ids in placed.items() if len(ids) > 1),
        given_up=tuple(intent for intent, ids in placed.items() if not ids),
        lost=_lost(told, orders),
        apart=_apart(told),
        too_soon=_too_soon(told),
        blind=_blind(told),
        dark=round(_dark(told), 1),
        errors=dict(sorted(Counter(e.outcome for e in told if e.kind == "client.error").items())),
    )


def _asked(events: tuple[Event, ...]) -> dict[str, str]:
    """The intents, each with the call that placed it."""
    return {
        event.details["client_id"]: event.id
        for event in events
        if event.kind == "client.invoke" and event.details["operation"] == _PLACE
    }


def _orders(events: tuple[Event, ...]) -> dict[str, str]:
    """The venue's orders, each with its intent: by the request that it came with, and its call."""
    calls = {e.id: e.details["call"] for e in events if e.kind == "link.sent"}
    intents = {call: intent for intent, call in _asked(events).items()}
    found: dict[str, str] = {}
    for event in events:
        if event.kind == "venue.order" and event.id not in found:
            call = calls.get(event.details["request_id"], "")
            found[event.id] = intents.get(call, "")
    return found


def _lost(events: tuple[Event, ...], orders: Mapping[str, str]) -> tuple[str, ...]:
    executed: dict[str, float] = {}
    ids = {e.details["client_id"]: e.id for e in events if e.kind == "venue.order"}
    for event in events:
        if event.kind == "venue.final_order":
            intent = orders[ids[event.id]]
            executed[intent] = executed.get(intent, 0.0) + event.details["executed"]
    believed = {e.id: e.details["traded"] for e in events if e.kind == "client.final_order"}
    return tuple(
        intent
        for intent, traded in believed.items()
        if abs(executed.get(intent, 0.0) - traded) > TOLERANCE
    )


def _apart(events: tuple[Event, ...]) -> dict[str, float]:
    venue, client = (
        {e.id: e.details["volume"] for e in events if e.kind == f"{side}.final_position"}
        for side in ("venue", "client")
    )
    gaps = {s: round(venue.get(s, 0.0) - client.get(s, 0.0), 8) for s in {**venue, **client}}
    return {symbol: gap for symbol, gap in gaps.items() if gap}


def _too_soon(events: tuple[Event, ...]) -> int:
    """Requests sent after a 418 or 429 had come back, and before the time that it named."""
    named: dict[str, float] = {}
    until, count = 0.0, 0
    for event in events:
        if event.kind == "venue.refused" and event.details.get("until") is not None:
            named[event.id] = float(event.details["until"])
        elif event.kind == "link.done" and event.details.get("status") in _WAIT:
            until = max(until, named.get(event.id, 0.0))
        elif event.kind == "link.sent" and event.t < until:
            count += 1
    return count


def _blind(events: tuple[Event, ...]) -> int:
    stamped, count = 0.0, 0
    for event in events:
        if event.kind == "client.tick":
            stamped = event.t - event.details["age"]
        elif event.kind == "client.invoke" and event.details["operation"] == _PLACE:
            count += event.t - stamped > STALE_AFTER
    return count


def _dark(events: tuple[Event, ...]) -> float:
    return max((b - a for a, b in pairwise(_lights(events))), default=0.0)


def _lights(events: tuple[Event, ...]) -> Iterator[float]:
    """When trading began, when prices came, and when nobody looked any more."""
    has_begun = False
    for event in events:
        if event.kind == "client.tick" or (event.kind == "client.invoke" and not has_begun):
            has_begun = True
            yield event.t
        elif event.kind in {"client.final_order", "run.end"}:
            yield event.t
            return
