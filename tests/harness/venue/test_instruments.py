from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.venue.instruments import DEFAULT_INSTRUMENTS, amount_of, units_of

BTC = DEFAULT_INSTRUMENTS[0]


@given(ticks=st.integers(1, 10**8), lots=st.integers(1, 10**9))
def test_prices_and_quantities_survive_the_way_through_floats(ticks: int, lots: int) -> None:
    """JSON's floats lose nothing that lies on the grid."""
    assert BTC.ticks(BTC.price(ticks)) == ticks
    assert BTC.lots(BTC.quantity(lots)) == lots


def test_price_prints_with_the_decimals_of_its_tick() -> None:
    assert repr(BTC.price(5_000_001)) == "50000.01"
    assert repr(BTC.quantity(3)) == "3e-05"


def test_float_noise_is_forgiven_and_a_price_between_ticks_is_not() -> None:
    """0.1 + 0.2 is a float's way to say 0.3; half a tick is a mistake of the client."""
    assert BTC.ticks(0.1 + 0.2) == 30
    assert BTC.ticks(50_000.005) is None
    assert BTC.lots(0.000015) is None


@pytest.mark.parametrize("value", [1e308, -1e308, 1e15])
def test_number_too_large_for_any_filter_is_off_the_grid(value: float) -> None:
    assert BTC.ticks(value) is None


def test_instrument_finer_than_the_ledger_is_refused() -> None:
    """A fill of one lot at one tick must be bookable exactly."""
    with pytest.raises(ValueError, match=r"tick_size \* lot_size of BTCUSDT to be a multiple"):
        replace(BTC, tick_size=Decimal("0.00001"))


def test_amounts_round_trip_through_units() -> None:
    assert units_of(0.00000001) == 1
    assert amount_of(units_of(12345.678)) == 12345.678


def test_defaults_are_the_three_pairs() -> None:
    assert [i.symbol for i in DEFAULT_INSTRUMENTS] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert BTC.notional(BTC.start_ticks, 100_000) == units_of(60_000)
