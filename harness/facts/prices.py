"""How old the prices were that subscribers held while nothing told them so.

A price is served as fresh as long as the engine calls its adapter ready, or has not said that the
price is old. Both are claims, and are held against the time at which the venue made it.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.facts.judgement import Judgement, at
from harness.history import Event

__all__ = ["Prices"]

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Served:
    """A price that is old, and what was claimed of it when the history last said."""

    made_at: float
    noted: str
    ready: bool
    told: bool

    @property
    def claim(self) -> str:
        """Why a subscriber may take it for fresh; empty when he may not."""
        if self.ready:
            return "its adapter was called ready"
        return "" if self.told else "nobody had said that it was old"


class Prices:
    """Judges each spell in which a price was old.

    Args:
        limit: Seconds after which a price must not be served as fresh.
    """

    def __init__(self, limit: float) -> None:
        self.served = Judgement()
        self._limit = limit
        self._old: dict[Key, _Served] = {}
        self._told_on: dict[Key, float] = {}

    def take(self, event: Event) -> None:
        """Take client.price."""
        key = (str(event.details["adapter"]), event.id)
        if event.outcome == "back":
            self._went_back(event, key)
            return
        self._judge(key, event.t)
        if event.outcome != "old":
            self._old.pop(key, None)
            return
        self.served.judged += key not in self._old
        self._old[key] = _Served(
            made_at=float(event.details["made_at"]),
            noted=at(event),
            ready=bool(event.details["ready"]),
            told=bool(event.details["told"]),
        )

    def over(self, t: float) -> None:
        """From `t` on nothing is served any more."""
        for key in tuple(self._old):
            self._judge(key, t)
        self._old.clear()

    def _judge(self, key: Key, until: float) -> None:
        served = self._old.get(key)
        if served is None or not served.claim or until - served.made_at <= self._limit:
            return
        if self._told_on.get(key) == served.made_at:
            return  # of this price it has been said already
        self._told_on[key] = served.made_at
        self.served.breach(
            f"{served.noted}: the price of {key[1]} that {key[0]} made at t={served.made_at:.3f}s "
            f"was served as fresh until t={until:.3f}s, although {self._limit:g}s is all that a "
            f"price is good for: {served.claim}"
        )

    def _went_back(self, event: Event, key: Key) -> None:
        self.served.judged += 1
        self.served.breach(
            f"{at(event)}: a price of {key[1]} that {key[0]} made at "
            f"t={event.details['made_at']:.3f}s was handed on as new, after that of "
            f"t={event.details['newest']:.3f}s"
        )
