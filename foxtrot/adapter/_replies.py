"""What a reply means that says yes, and does not hold what it must."""

from __future__ import annotations

from foxtrot.adapter.session import Operation, VenueReply, VenueRequest
from foxtrot.util.clock import Clock
from foxtrot.util.errors import DataValidationError, ErrorSeverity, Outcome

__all__ = ["unreadable"]

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
