"""The market as the public endpoints show it: last trades, candles, a day's statistics, depth.

It sees the same trades as the venue does, because it sits on the tape that the venue reads.
Times are seconds since 1970 by the clients' clocks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.venue import Instrument, MarketTrade

__all__ = ["Candle", "MarketView", "PublicTrade", "SymbolView"]

_MINUTES_KEPT = 1500  # a day and a bit
_TRADES_KEPT = 1000
_DAY = 86_400
_LEVELS = 16


@dataclass(slots=True)
class Candle:
    """Trades from `start` on, for as long as the interval lasts. Ticks, lots, and their product."""

    start: int
    open: int
    high: int
    low: int
    close: int
    volume: int = 0
    cost: int = 0
    trades: int = 0
    taker_volume: int = 0
    taker_cost: int = 0

    def take(self, later: Candle) -> None:
        """Add what came after."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.volume += later.volume
        self.cost += later.cost
        self.trades += later.trades
        self.taker_volume += later.taker_volume
        self.taker_cost += later.taker_cost


@dataclass(frozen=True, slots=True)
class PublicTrade:
    """A trade of the market."""

    id: int
    price: int
    quantity: int
    time: float
    is_sell: bool


class SymbolView:
    """One symbol. Prices are ticks, quantities lots; all 0 until the first trade.

    `sequence` counts the venue's ticks: trades, and what a halted market shows in their place.
    """

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.trades: deque[PublicTrade] = deque(maxlen=_TRADES_KEPT)
        self.last = self.bid = self.ask = self.depth = 0
        self.count = self.sequence = 0
        self._untraded: list[int] = []
        self._minutes: deque[Candle] = deque(maxlen=_MINUTES_KEPT)

    def see(self, trade: MarketTrade, time: float) -> None:
        """Add a trade."""
        self.count += 1
        self.sequence += 1
        self.last, self.depth = trade.price, trade.quantity
        spread = self.instrument.spread_ticks
        self.bid = trade.price if trade.is_sell else max(1, trade.price - spread)
        self.ask = trade.price + spread if trade.is_sell else trade.price
        self.trades.append(
            PublicTrade(self.count, trade.price, trade.quantity, time, trade.is_sell)
        )
        self._add(trade, int(time // 60) * 60)

    def stand_still(self) -> None:
        """Count a tick at which nothing traded. Before the first trade there are none."""
        if self.count:
            self.sequence += 1
            self._untraded.append(self.sequence)

    def trade_id(self, sequence: int) -> int:
        """The id of the trade that the tick of that number was."""
        return sequence - bisect_left(self._untraded, sequence)

    def day(self, time: float) -> Candle:
        """The 24 hours before `time` as one candle."""
        return self._merge(each for each in self._minutes if each.start > time - _DAY)

    def candles(self, minutes: int) -> list[Candle]:
        """Candles of so many minutes, oldest first; intervals without a trade have none."""
        seconds = minutes * 60
        merged: list[Candle] = []
        for minute in self._minutes:
            start = minute.start // seconds * seconds
            if merged and merged[-1].start == start:
                merged[-1].take(minute)
            else:
                merged.append(replace(minute, start=start))
        return merged

    def levels(self, side: int) -> list[tuple[int, int]]:
        """The book's bids (side -1) or asks (side 1), best first, as (ticks, lots)."""
        touch = self.bid if side < 0 else self.ask
        ladder = [(touch + side * level, self.depth << level) for level in range(_LEVELS)]
        return [(price, lots) for price, lots in ladder if price > 0 and lots]

    def _add(self, trade: MarketTrade, start: int) -> None:
        price, lots = trade.price, trade.quantity
        bought = 0 if trade.is_sell else lots
        added = Candle(
            start, price, price, price, price, lots, price * lots, 1, bought, price * bought
        )
        if self._minutes and self._minutes[-1].start == start:
            self._minutes[-1].take(added)
        else:
            self._minutes.append(added)

    def _merge(self, minutes: Iterable[Candle]) -> Candle:
        merged: Candle | None = None
        for minute in minutes:
            if merged is None:
                merged = replace(minute)
            else:
                merged.take(minute)
        last = self.last
        return merged or Candle(0, last, last, last, last)


class MarketView:
    """All symbols of a venue.

    Args:
        instruments: What is traded.
        wall: Venue seconds since the start -> time by the clients' clocks.
        is_halted: Whether a symbol's market is closed: its trades did not happen.
        is_down: Whether the whole venue is: there are no ticks in their place either.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        *,
        wall: Callable[[float], float],
        is_halted: Callable[[str], bool],
        is_down: Callable[[], bool] = lambda: False,
    ) -> None:
        self.symbols = {each.symbol: SymbolView(each) for each in instruments}
        self._wall = wall
        self._is_halted = is_halted
        self._is_down = is_down
        self._ahead: deque[MarketTrade] = deque()

    def tap(self, tape: Iterable[MarketTrade]) -> Iterator[MarketTrade]:
        """The tape for the venue to read. It reads ahead; `move_to` waits for the time."""
        for trade in tape:
            self._ahead.append(trade)
            yield trade

    def move_to(self, now: float) -> None:
        """See the trades up to `now`, in venue seconds."""
        while self._ahead and self._ahead[0].at <= now:
            trade = self._ahead.popleft()
            view = self.symbols[trade.symbol]
            if not self._is_halted(trade.symbol):
                view.see(trade, self._wall(trade.at))
            elif not self._is_down():
                view.stand_still()
