"""How late prices come, though the venue's clock and ours need not agree."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Lateness"]

# By how much two clocks may drift apart: far more than quartz does, far less than a queue grows.
_DRIFT = 1e-3


@dataclass(frozen=True, slots=True)
class _Known:
    """The newest tick of a symbol, and what the quickest so far had taken by then."""

    made: float
    came: float
    quickest: float


class Lateness:
    """Tells how much longer a tick was on its way than the quickest of its symbol.

    What a tick took by two clocks says nothing, since they differ by an unknown amount; against
    the quickest it does. A venue that sets its clock back makes a new beginning.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def of(self, vt_symbol: str, *, made: float, came: float) -> float | None:
        """Seconds by which a tick came later than it could have; None for the newest once more.

        Args:
            vt_symbol: Whose tick it is.
            made: When by the venue's clock, in seconds from any origin.
            came: When by ours, in seconds from any other, which never go back.
        """
        took, known = came - made, self._known.get(vt_symbol)
        if known is not None and made == known.made:
            return None
        if known is None or made < known.made:
            quickest = took
        else:
            quickest = min(took, known.quickest + _DRIFT * (came - known.came))
        self._known[vt_symbol] = _Known(made, came, quickest)
        return took - quickest
