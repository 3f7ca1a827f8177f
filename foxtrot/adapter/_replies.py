"""What it means when a reply says yes, or a price comes, and it does not hold what it must."""

from __future__ import annotations

import json
import math

from foxtrot.adapter.session import Operation, VenueReply, VenueRequest
from foxtrot.util.clock import Clock
from foxtrot.util.errors import DataValidationError, ErrorSeverity, MarketDataError, Outcome
from foxtrot.util.object import TickData

__all__ = ["check_price", "unread", "unreadable"]

_CHANGES_STATE = frozenset({Operation.PLACE_ORDER, Operation.CANCEL_ORDER})


# What a proxy garbles for some seconds may look like a new interface, and needs nobody.
_HICCUP = 30.0


def unreadable(
    request: VenueRequest, reply: VenueReply, why: Exception, clock: Clock, *, lasts: float
) -> DataValidationError:
    """The error of a success that could not be read: it leaves open what the venue did.

    One that is garbled may be whole the next time. Where all is well but for a name that is missing
    or new, the interface has changed: no waiting mends that. Once no such reply could be read for
    longer than a hiccup (`lasts`, in seconds), a person has to hear of it.
    """
    has_changed = isinstance(why, KeyError)
    return DataValidationError(
        "reply",
        f"{request.operation.value} answered {reply.status} with {reply.body[:80]!r}",
        outcome=Outcome.UNKNOWN if request.operation in _CHANGES_STATE else Outcome.NONE,
        recoverable=not has_changed,
        severity=ErrorSeverity.HIGH if has_changed and lasts >= _HICCUP else ErrorSeverity.MEDIUM,
        clock=clock,
        context={"cause_type": type(why).__name__},
    )


def unread(why: Exception, text: str, outcome: Outcome, clock: Clock) -> DataValidationError:
    """The same where somebody else's library has read the reply: `text`, "" if that is gone."""
    return DataValidationError(
        "reply",
        f"cannot be read: {why!r}",
        outcome=outcome,
        recoverable=not (isinstance(why, KeyError) or _is_whole(text)),
        clock=clock,
        context={"code": "malformed"},
    )


def check_price(tick: TickData, adapter_name: str, clock: Clock) -> None:
    """Raise MarketDataError for a price that is none. A side of the book may be empty: zero."""
    if not 0 < tick.last_price < math.inf:
        issue = f"a price of {tick.last_price:g}"
    elif not 0 <= tick.bid_price_1 < math.inf:
        issue = f"a bid of {tick.bid_price_1:g}"
    elif not 0 <= tick.ask_price_1 < math.inf:
        issue = f"an ask of {tick.ask_price_1:g}"
    else:
        return
    name = tick.vt_symbol
    context: dict[str, str | float] = {"adapter": adapter_name, "operation": "stream"}
    context |= {"code": "corrupt", "vt_symbol": name, "data_age": 0.0}
    raise MarketDataError(name, issue, clock=clock, context=context)


def _is_whole(text: str) -> bool:
    """Whether it is JSON with names in it, an object or objects: one is missing then, or new."""
    try:
        body = json.loads(text)
    except ValueError:
        return False
    items = body if isinstance(body, list) else [body]
    return bool(items) and all(isinstance(item, dict) and item for item in items)
