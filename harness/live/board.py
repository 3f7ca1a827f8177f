"""Which faults are on, whoever imposed them: what the probe goes by."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Board"]


class Board:
    """The faults of the moment of one venue.

    Attributes:
        cleared_at: When the last fault was over, by the venue's name.
    """

    def __init__(self, venue: str, now: Callable[[], float]) -> None:
        self.cleared_at: dict[str, float] = {}
        self._venue = venue
        self._now = now
        self._active: dict[str, None] = {}

    def is_active(self, adapter: str) -> bool:
        """Whether a fault is on the adapter's venue now."""
        return adapter == self._venue and bool(self._active)

    def saw(self, kind: str, fault_id: str) -> None:
        """Take a fault.begin or fault.end; anything else is nobody's business here."""
        if kind == "fault.begin":
            self._active[fault_id] = None
        elif kind == "fault.end":
            self._active.pop(fault_id, None)
            self.cleared_at[self._venue] = self._now()
