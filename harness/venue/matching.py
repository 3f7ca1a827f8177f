"""One market: the book as the tape shows it, the orders that rest in it, and who fills when.

Everything here decides and changes no money. Accounts trade with the tape, never with each
other, and move no price: the tape of a run with faults is the tape of the run without.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from harness.venue.instruments import Instrument
from harness.venue.ledger import Order, Side
from harness.venue.tape import MarketTrade

__all__ = ["Market"]

# Each level behind the touch is twice as deep as the one before: an order of any size meets few
# levels, and one that outruns all of them meets an empty book, as on a real venue.
_LEVELS = 16


class Market:
    """The book of one symbol. `last`, `bid` and `ask` are ticks, and 0 until the first trade."""

    __slots__ = (
        "_buys",
        "_sells",
        "ask",
        "bid",
        "depth",
        "instrument",
        "last",
        "sequence",
        "volume",
    )

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.last = 0
        self.bid = 0
        self.ask = 0
        self.depth = 0
        self.volume = 0
        self.sequence = 0
        # Best price first, then oldest: (key, order number, order).
        self._buys: list[tuple[int, int, Order]] = []
        self._sells: list[tuple[int, int, Order]] = []

    @property
    def has_price(self) -> bool:
        """Whether the tape has shown a trade."""
        return self.last > 0

    def see(self, trade: MarketTrade) -> None:
        """Move the touch to a trade: a seller hits the bid, a buyer lifts the ask."""
        self.last = trade.price
        self.depth = self.volume = trade.quantity
        if trade.is_sell:
            self.bid, self.ask = trade.price, trade.price + self.instrument.spread_ticks
        else:
            self.ask = trade.price
            self.bid = max(1, trade.price - self.instrument.spread_ticks)

    def would_take(self, side: Side, limit: int) -> bool:
        """Whether an order at `limit` would trade at once."""
        return limit >= self.ask if side is Side.BUY else limit <= self.bid

    def plan_take(
        self, side: Side, quantity: int, *, limit: int | None, at_most: int | None = None
    ) -> list[tuple[int, int]]:
        """The fills (price, lots) that an order finds at once, no worse than `limit`.

        `at_most` bounds the lots in the whole book.
        """
        wanted = quantity if at_most is None else min(quantity, at_most)
        fills: list[tuple[int, int]] = []
        for price, depth in self._levels(side):
            if not wanted or _is_worse(side, price, limit):
                break
            lots = min(wanted, depth)
            fills.append((price, lots))
            wanted -= lots
        return fills

    def plan_hits(self, price: int, quantity: int) -> list[tuple[Order, int]]:
        """Which resting orders a trade of the tape fills, in price-time order, and how far.

        An order at the price takes part as one that was traded through does; together they get
        no more than the tape traded. Each fills at its own price.
        """
        hits: list[tuple[Order, int]] = []
        for resting, key_limit in ((self._buys, -price), (self._sells, price)):
            for key, _, order in resting:
                if not quantity or key > key_limit:
                    break
                lots = min(order.remaining, quantity)
                hits.append((order, lots))
                quantity -= lots
        return hits

    def rest(self, order: Order) -> None:
        """Put an order into the book."""
        insort(self._side(order.side), (_key(order), order.number, order))

    def remove(self, order: Order) -> None:
        """Take an order out of the book, if it rests there."""
        resting = self._side(order.side)
        index = bisect_left(resting, (_key(order), order.number))
        if index < len(resting) and resting[index][2] is order:
            del resting[index]

    def _side(self, side: Side) -> list[tuple[int, int, Order]]:
        return self._buys if side is Side.BUY else self._sells

    def _levels(self, side: Side) -> Iterator[tuple[int, int]]:
        touch, step = (self.ask, 1) if side is Side.BUY else (self.bid, -1)
        for level in range(_LEVELS):
            price = touch + step * level
            if price < 1:
                return
            yield price, self.depth << level


def _key(order: Order) -> int:
    return -order.price if order.side is Side.BUY else order.price


def _is_worse(side: Side, price: int, limit: int | None) -> bool:
    if limit is None:
        return False
    return price > limit if side is Side.BUY else price < limit
