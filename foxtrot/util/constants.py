"""The words of trading, under upstream Foxtrot's names."""

from __future__ import annotations

from enum import Enum

__all__ = ["ACTIVE_STATUSES", "Direction", "Exchange", "Offset", "OrderType", "Status"]


class Direction(Enum):
    """Side of an order, a trade or a position."""

    LONG = "Long"
    SHORT = "Short"
    NET = "Net"


class Offset(Enum):
    """Whether an order opens or closes a position. Spot venues know only NONE."""

    NONE = ""
    OPEN = "Open"
    CLOSE = "Close"


class OrderType(Enum):
    """How an order asks to be executed."""

    LIMIT = "Limit"
    MARKET = "Market"
    POST_ONLY = "PostOnly"
    FAK = "FAK"
    FOK = "FOK"


class Status(Enum):
    """Where an order stands.

    UNKNOWN is ours, beside upstream's six: the request may have been executed and no evidence
    has settled it yet. It is neither active nor final, and blocks a second send of its intent.
    """

    SUBMITTING = "Submitting"
    NOTTRADED = "Not Traded"
    PARTTRADED = "Partially Traded"
    ALLTRADED = "Fully Traded"
    CANCELLED = "Cancelled"
    REJECTED = "Rejected"
    UNKNOWN = "Unknown"

    __hash__ = object.__hash__  # by identity, as they compare; Enum's own is a call in Python

    @property
    def is_final(self) -> bool:
        """True when the venue will not change the order any more (late fills excepted)."""
        return self in _FINAL_STATUSES


class Exchange(Enum):
    """Venues, LOCAL for one of your own. The value is the suffix of a `vt_symbol`."""

    BINANCE = "BINANCE"
    IB = "IB"
    FUTU = "FUTU"
    LOCAL = "LOCAL"


ACTIVE_STATUSES = frozenset({Status.SUBMITTING, Status.NOTTRADED, Status.PARTTRADED})
_FINAL_STATUSES = frozenset({Status.ALLTRADED, Status.CANCELLED, Status.REJECTED})
