"""What can be traded: the symbols, their filters, and the grid that makes money exact.

Inside the venue a price is a whole number of ticks, a quantity a whole number of lots, and a
balance a whole number of hundred-millionths. Floats exist only where JSON begins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

__all__ = ["DEFAULT_INSTRUMENTS", "UNITS_PER_ASSET", "Instrument", "amount_of", "units_of"]

UNITS_PER_ASSET = 10**8

# A client's float carries noise of one part in 2**53 per operation. What is further off than this
# was not meant to be on the grid.
_FLOAT_NOISE = 1e-9

# Beyond this a float does not hold single steps any more, and no filter allows it.
_LARGEST = 1e15


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One symbol and its filters, in Binance's words. `start_price` is where a random tape begins.

    Raises ValueError when a lot, or a tick times a lot, is finer than a hundred-millionth: the
    ledger could not book it exactly.
    """

    symbol: str
    base: str
    quote: str
    tick_size: Decimal
    lot_size: Decimal
    min_notional: Decimal
    min_price: Decimal
    max_price: Decimal
    max_quantity: Decimal
    start_price: Decimal
    spread_ticks: int = 1

    lot_units: int = field(init=False, repr=False)
    notional_units: int = field(init=False, repr=False)
    min_notional_units: int = field(init=False, repr=False)
    min_ticks: int = field(init=False, repr=False)
    max_ticks: int = field(init=False, repr=False)
    max_lots: int = field(init=False, repr=False)
    start_ticks: int = field(init=False, repr=False)
    _tick: tuple[int, int] = field(init=False, repr=False)
    _lot: tuple[int, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        derived = {
            "lot_units": self._whole_units("lot_size", self.lot_size),
            "notional_units": self._whole_units(
                "tick_size * lot_size", self.tick_size * self.lot_size
            ),
            "min_notional_units": units_of(self.min_notional),
            "min_ticks": int(self.min_price / self.tick_size),
            "max_ticks": int(self.max_price / self.tick_size),
            "max_lots": int(self.max_quantity / self.lot_size),
            "start_ticks": int(self.start_price / self.tick_size),
            "_tick": self.tick_size.as_integer_ratio(),
            "_lot": self.lot_size.as_integer_ratio(),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def _whole_units(self, name: str, value: Decimal) -> int:
        units = value * UNITS_PER_ASSET
        if units < 1 or units != int(units):
            raise ValueError(
                f"expected {name} of {self.symbol} to be a multiple of 1e-8, got {value!r}; "
                "use a coarser tick_size or lot_size"
            )
        return int(units)

    def ticks(self, price: float) -> int | None:
        """The price in ticks, or None when it lies between two."""
        return _steps(price, self._tick)

    def lots(self, quantity: float) -> int | None:
        """The quantity in lots, or None when it lies between two."""
        return _steps(quantity, self._lot)

    def price(self, ticks: int) -> float:
        """The float nearest to a price, so that it prints with the symbol's decimals."""
        return ticks * self._tick[0] / self._tick[1]

    def quantity(self, lots: int) -> float:
        """The float nearest to a quantity, so that it prints with the symbol's decimals."""
        return lots * self._lot[0] / self._lot[1]

    def notional(self, ticks: int, lots: int) -> int:
        """What so many lots cost at that price, in units of the quote asset."""
        return ticks * lots * self.notional_units


def amount_of(units: int) -> float:
    """Ledger units as the nearest float amount."""
    return units / UNITS_PER_ASSET


def units_of(amount: Decimal | float) -> int:
    """An amount in ledger units, rounded to the nearest."""
    return round(Decimal(str(amount)) * UNITS_PER_ASSET)


def _steps(value: float, step: tuple[int, int]) -> int | None:
    if not -_LARGEST < value < _LARGEST:
        return None
    numerator, denominator = step
    count = round(value * denominator / numerator)
    off_by = abs(count * numerator / denominator - value)
    return count if off_by <= _FLOAT_NOISE * abs(value) else None


def _usdt(base: str, lot_size: str, start_price: str, max_quantity: str) -> Instrument:
    return Instrument(
        symbol=f"{base}USDT",
        base=base,
        quote="USDT",
        tick_size=Decimal("0.01"),
        lot_size=Decimal(lot_size),
        min_notional=Decimal(5),
        min_price=Decimal("0.01"),
        max_price=Decimal(1_000_000),
        max_quantity=Decimal(max_quantity),
        start_price=Decimal(start_price),
    )


DEFAULT_INSTRUMENTS = (
    _usdt("BTC", "0.00001", "60000", "9000"),
    _usdt("ETH", "0.0001", "3000", "9000"),
    _usdt("SOL", "0.001", "150", "90000"),
)
