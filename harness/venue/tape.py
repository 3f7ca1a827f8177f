"""The market's own trades, which every price and every fill follows: drawn, or read from a file.

A tape is any iterator of `MarketTrade` in order of time; a venue takes one and reads it as time
goes by, so nothing of it is kept.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple

from harness.venue.instruments import Instrument

__all__ = ["MarketTrade", "TapeError", "csv_tape", "random_tape"]


class MarketTrade(NamedTuple):
    """A trade between others, `at` virtual seconds. Price in ticks, quantity in lots.

    `is_sell`: the seller was the taker, and hit the bid.
    """

    at: float
    symbol: str
    price: int
    quantity: int
    is_sell: bool


class TapeError(ValueError):
    """Raised when a file of trades cannot be used; says where, why, and what to do."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(path, line, problem)
        self.path = path
        self.line = line
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.problem}"


def random_tape(
    instruments: Sequence[Instrument],
    stream: Callable[[str], random.Random],
    *,
    interval: float = 1.0,
    volatility: float = 0.0004,
    mean_notional: float = 3_000.0,
) -> Iterator[MarketTrade]:
    """One trade per symbol every `interval` seconds from 0, without end.

    Prices walk at random with `volatility` per root second and are pulled back to where they
    began, so that a day's walk stays in range. Sizes are exponential with `mean_notional` in
    quote. `stream(name)` gives each symbol its own draws: another symbol shifts none of them.
    """
    walks = [
        _walk(instrument, stream(f"tape.{instrument.symbol}"), interval, volatility, mean_notional)
        for instrument in instruments
    ]
    return itertools.chain.from_iterable(zip(*walks, strict=True))


_PULL_PER_SECOND = 1 / 3600


def _walk(
    instrument: Instrument,
    rng: random.Random,
    interval: float,
    volatility: float,
    mean_notional: float,
) -> Iterator[MarketTrade]:
    start = instrument.start_ticks
    lots_per_trade = mean_notional / instrument.price(start) / instrument.quantity(1)
    spread = volatility * math.sqrt(interval)
    keep = math.exp(-_PULL_PER_SECOND * interval)
    logarithm = 0.0
    for step in itertools.count():
        price = max(instrument.min_ticks, round(start * math.exp(logarithm)))
        quantity = 1 + int(rng.expovariate(1.0) * lots_per_trade)
        is_sell = rng.random() < 0.5
        yield MarketTrade(step * interval, instrument.symbol, price, quantity, is_sell)
        logarithm = logarithm * keep + rng.gauss(0.0, spread)


def csv_tape(
    files: Mapping[str, str | Path],
    instruments: Sequence[Instrument],
    *,
    horizon: float | None = None,
) -> Iterator[MarketTrade]:
    """Trades from one file per symbol, as Binance's public data has them; the earliest is at 0.

    Both spot formats are read, `trades` and `aggTrades`. Every row up to `horizon` seconds is
    checked before the first is used. Raises TapeError for a file that is unreadable, malformed,
    out of order or shorter than `horizon`.
    """
    known = {instrument.symbol: instrument for instrument in instruments}
    sources = [(Path(path), _known(known, symbol, Path(path))) for symbol, path in files.items()]
    zero = min((_first_time(path, instrument) for path, instrument in sources), default=0)
    for path, instrument in sources:
        _check(path, instrument, zero, horizon)
    return heapq.merge(*(_trades(path, instrument, zero) for path, instrument in sources))


def _known(known: Mapping[str, Instrument], symbol: str, path: Path) -> Instrument:
    if symbol not in known:
        raise TapeError(
            path, 0, f"expected a symbol of the venue {sorted(known)}, got {symbol=}; add it there"
        )
    return known[symbol]


def _first_time(path: Path, instrument: Instrument) -> int:
    for _, row in _rows(path, instrument):
        return row.micros
    raise TapeError(path, 1, "expected at least one trade, got none; download the file again")


def _check(path: Path, instrument: Instrument, zero: int, horizon: float | None) -> None:
    line, micros = 1, zero
    for line, row in _rows(path, instrument):
        if row.micros < micros:
            raise TapeError(path, line, "expected rows in order of time; sort the file by it")
        micros = row.micros
        if horizon is not None and _seconds(micros, zero) > horizon:
            return
    covered = _seconds(micros, zero)
    if horizon is not None and covered < horizon:
        raise TapeError(
            path,
            line,
            f"expected trades up to {horizon:g} s, got {covered:g} s; "
            "shorten the scenario or use a longer file",
        )


def _trades(path: Path, instrument: Instrument, zero: int) -> Iterator[MarketTrade]:
    for _, row in _rows(path, instrument):
        yield MarketTrade(
            _seconds(row.micros, zero), instrument.symbol, row.price, row.quantity, row.is_sell
        )


def _seconds(micros: int, zero: int) -> float:
    return (micros - zero) / 1e6


class _Row(NamedTuple):
    micros: int
    price: int
    quantity: int
    is_sell: bool


def _rows(path: Path, instrument: Instrument) -> Iterator[tuple[int, _Row]]:
    try:
        with path.open(encoding="ascii") as file:
            for line, text in enumerate(file, start=1):
                fields = text.strip().split(",")
                if line == 1 and not fields[0].strip().isdigit() and _is_header(fields):
                    continue
                yield line, _parse(path, line, fields, instrument)
    except OSError as error:
        raise TapeError(path, 0, f"cannot be read: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        raise TapeError(path, 0, "expected CSV text, got binary; unzip the file first") from error


def _is_header(fields: Sequence[str]) -> bool:
    return any("price" in field.lower() for field in fields)


# Where trades and aggTrades have the time; the price and quantity are second and third in both.
_TIME_COLUMN = {7: 4, 8: 5}
_COLUMNS = (
    "7 columns (trade_id,price,qty,quoteQty,time,isBuyerMaker,isBestMatch) or 8 for aggTrades "
    "(id,price,qty,first_id,last_id,time,isBuyerMaker,isBestMatch)"
)


def _parse(path: Path, line: int, fields: Sequence[str], instrument: Instrument) -> _Row:
    time_column = _TIME_COLUMN.get(len(fields))
    if time_column is None:
        raise TapeError(
            path, line, f"expected {_COLUMNS}, got {len(fields)}; use a spot file of data.binance"
        )
    try:
        return _Row(
            _micros(fields[time_column]),
            _ticks(fields[1], instrument),
            max(1, int(_positive(fields[2], "qty") / instrument.lot_size)),
            _boolean(fields[time_column + 1]),
        )
    except ValueError as error:
        raise TapeError(path, line, str(error)) from error


def _micros(text: str) -> int:
    """Epoch time in microseconds; files before 2025 have milliseconds."""
    if not text.isdigit() or len(text) not in {13, 16}:
        raise ValueError(
            f"expected time as epoch milliseconds (13 digits) or microseconds (16), got "
            f"time={text!r}; use the file as downloaded"
        )
    return int(text) if len(text) == 16 else int(text) * 1000


def _ticks(text: str, instrument: Instrument) -> int:
    ticks = _positive(text, "price") / instrument.tick_size
    if ticks != int(ticks):
        raise ValueError(
            f"expected price to be a multiple of tick_size={instrument.tick_size} of "
            f"{instrument.symbol}, got price={text!r}; set the instrument's tick_size"
        )
    return int(ticks)


def _positive(text: str, name: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or value <= 0:
        raise ValueError(
            f"expected {name} to be a number above 0, got {name}={text!r}; repair or drop the row"
        )
    return value


_BOOLEANS = {"true": True, "false": False}


def _boolean(text: str) -> bool:
    value = _BOOLEANS.get(text.strip().lower())
    if value is None:
        raise ValueError(
            f"expected isBuyerMaker to be True or False, got isBuyerMaker={text!r}; "
            "use a spot file of trades or aggTrades"
        )
    return value
