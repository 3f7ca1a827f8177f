"""When each venue is left in peace: which faults are on, and since when none is."""

from __future__ import annotations

from harness.plan import ANY

__all__ = ["Peace"]


class Peace:
    """The faults of a run, by the venue that they are at. `faults_on`: those that are on now."""

    def __init__(self) -> None:
        self.faults_on: dict[str, str] = {}
        self._last_end: dict[str, float] = {}

    def broken(self, fault: str, venue: str) -> None:
        """A fault begins at `venue`."""
        self.faults_on[fault] = venue

    def restored(self, fault: str, t: float) -> None:
        """It is over; of one that was over before nothing new is told."""
        venue = self.faults_on.pop(fault, None)
        if venue is not None:
            self._last_end[venue] = t

    def since(self, venue: str) -> float:
        """When the last fault at `venue` was over: inf while one is on, -inf before the first."""
        if any(target in {venue, ANY} for target in self.faults_on.values()):
            return float("inf")
        return max(self._last_end.get(name, float("-inf")) for name in (venue, ANY))
