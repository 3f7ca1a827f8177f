"""Faults of the market data: prices come late, wrong, twice, in disorder, or not at all."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from foxtrot.util.errors import ErrorCategory
from harness._scenario_model import Occurrence
from harness.faults.base import Frame, FrameFault, Site
from harness.faults.schema import FaultKind, ParameterSpec
from harness.venue import Delivery

__all__ = ["Corrupt", "CrossedBook", "OutOfOrder", "SequenceGap", "Stale"]

# A price has neither an operation nor a side.
_AIMS = ("symbol", "probability", "first")


class _TickFault(FrameFault):
    """A fault of the ticks."""

    frames = "tick"

    def altered(self, frame: Frame) -> Sequence[Delivery] | None:
        """What goes out in the place of a tick that is hit."""
        return self.deliveries(frame) if self.hits_order(frame["symbol"]) else None

    def deliveries(self, frame: Frame) -> Sequence[Delivery]:
        """The tick, as it goes out. Not abstract: who overrides `altered` needs none."""
        raise NotImplementedError


class Stale(_TickFault):
    """Prices stop, or stand still."""

    kind = FaultKind(
        name="stale",
        category=ErrorCategory.MARKET_DATA,
        variants=("silent", "frozen"),
        aims=_AIMS,
        doc="No tick comes any more though the connection is well (`silent`), or the same old one "
        "comes again and again, its own time standing still, from a cache (`frozen`).",
        remedy="Judge each subscription by the age of its data. Beyond the limit nothing trades "
        "on it; subscribe again, then connect again.",
        source="ccxt #21731; vnpy #3186: a strategy traded on a dead feed.",
    )

    def __init__(self, occurrence: Occurrence, site: Site) -> None:
        super().__init__(occurrence, site)
        self._last: dict[str, Frame] = {}

    def deliveries(self, frame: Frame) -> Sequence[Delivery]:
        """Nothing, or the first one under a new number."""
        if self.variant == "silent":
            return ()
        last = self._last.setdefault(frame["symbol"], frame)
        return (Delivery({**last, "sequence": frame["sequence"]}),)


class SequenceGap(_TickFault):
    """Some ticks in a row are lost."""

    kind = FaultKind(
        name="sequence_gap",
        category=ErrorCategory.MARKET_DATA,
        aims=_AIMS,
        surfaces=True,
        numbered=True,
        parameters={
            "lost": ParameterSpec(
                type="int", default=3, doc="How many ticks of each symbol are lost."
            ),
        },
        doc="Updates are lost on the way, and the next one's number shows it. A book kept from "
        "updates is wrong from then on, for good.",
        remedy="Check the numbers; after a gap take a new snapshot before the book is trusted.",
        source="Binance Spot, how to manage a local order book; ccxt #29210: ghost levels.",
    )

    def __init__(self, occurrence: Occurrence, site: Site) -> None:
        super().__init__(occurrence, site)
        self._lost: dict[str, int] = {}

    def altered(self, frame: Frame) -> Sequence[Delivery] | None:
        """Nothing, in the place of the first few."""
        lost = self._lost.get(frame["symbol"], 0)
        if lost >= self.seconds("lost") or not self.hits_order(frame["symbol"]):
            return None
        self._lost[frame["symbol"]] = lost + 1
        return ()


class Corrupt(_TickFault):
    """Ticks hold nonsense."""

    kind = FaultKind(
        name="corrupt",
        category=ErrorCategory.MARKET_DATA,
        accepted=(ErrorCategory.VALIDATION,),
        variants=("nonsense", "garbled"),
        aims=_AIMS,
        surfaces=True,
        doc="A tick cannot be what the market did: prices that are negative or no numbers "
        "(`nonsense`), or bytes that cannot be read (`garbled`).",
        remedy="Hand on nothing that makes no sense, say so, and keep the rest of the stream.",
        source="ccxt's ChecksumError and NullResponse.",
    )

    def deliveries(self, frame: Frame) -> Sequence[Delivery]:
        """The tick with an impossible price, or half of it."""
        if self.variant == "garbled":
            data = orjson.dumps(frame)
            return (Delivery(data[: len(data) // 2]),)
        return (Delivery({**frame, "price": -frame["price"]}),)


class OutOfOrder(_TickFault):
    """Ticks overtake each other."""

    kind = FaultKind(
        name="out_of_order",
        category=ErrorCategory.MARKET_DATA,
        aims=_AIMS,
        surfaces=True,
        numbered=True,
        parameters={
            "delay": ParameterSpec(
                type="duration", default=2.5, doc="How much later every second tick comes."
            ),
        },
        doc="Updates come in the wrong order, as from servers that share the work: an older price "
        "after a newer one.",
        remedy="Drop what is older than what is known; it looks like a gap until it comes.",
        source="Binance Spot, how to manage a local order book: update ids decide, not arrival.",
    )

    def altered(self, frame: Frame) -> Sequence[Delivery] | None:
        """Every second tick, later."""
        if frame["sequence"] % 2 or not self.hits_order(frame["symbol"]):
            return None
        return (Delivery(frame, after=self.seconds("delay")),)


class CrossedBook(_TickFault):
    """The best bid is above the best ask."""

    kind = FaultKind(
        name="crossed_book",
        category=ErrorCategory.MARKET_DATA,
        aims=_AIMS,
        surfaces=True,
        doc="Bid and ask cross: a level that is gone was not removed, or sides were mixed up. No "
        "market stands like that, and orders priced by it lose money at once.",
        remedy="Hand it on to nobody; take a new snapshot.",
        source="ccxt #29210; node-binance-api #86.",
    )

    def deliveries(self, frame: Frame) -> Sequence[Delivery]:
        """The tick with its sides apart by a tenth of a percent, the wrong way round."""
        bid, ask = frame["ask"] * 1.001, frame["bid"]
        return (Delivery({**frame, "bid": bid, "ask": ask}),)
