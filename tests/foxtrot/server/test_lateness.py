"""What a tick's own time says of its delay, by a clock that may be wrong, drift or be set."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foxtrot.server.lateness import Lateness


def lags(ticks: Iterable[tuple[float, float]], *, symbol: str = "A") -> list[float]:
    """How late each of (made, came) is said to have come."""
    lateness = Lateness()
    return [round(lateness.of(symbol, made=made, came=came), 6) for made, came in ticks]


@given(offset=st.floats(-1e6, 1e6), delays=st.lists(st.floats(0.0, 30.0), min_size=1))
def test_a_tick_is_as_late_as_it_took_longer_than_the_quickest(offset, delays):
    """Whatever the two clocks show, and less by what they may have drifted apart since."""
    came = list(accumulate((i + delay for i, delay in enumerate(delays)), max))
    took = [at - i for i, at in enumerate(came)]
    found = lags((i + offset, at) for i, at in enumerate(came))
    for i, lag in enumerate(found):
        excess, drift = took[i] - min(took[: i + 1]), 1e-3 * (came[i] - came[0])
        assert max(0.0, excess - drift) - 1e-5 <= lag <= excess + 1e-5


def test_prices_that_pile_up_before_a_narrow_link_get_later_and_later():
    queued = [(float(i), 4.0 * i) for i in range(6)]
    assert lags(queued) == pytest.approx([0, 3, 6, 9, 12, 15], abs=0.03)


def test_a_clock_that_runs_wrong_makes_nothing_late():
    """A second a day and more; after a week the difference is nobody's delay."""
    days = 7 * 86_400
    ticks = [(i * (1 - 1e-4), i + 0.05) for i in range(0, days, 60)]
    assert max(lags(ticks)) == 0


@pytest.mark.parametrize("seconds", [-3600.0, -5.0, 5.0, 3600.0])
def test_a_venue_that_sets_its_clock_makes_nothing_late(seconds):
    before = [(float(i), i + 0.1) for i in range(10)]
    after = [(i + seconds, i + 0.1) for i in range(10, 20)]
    back = [(float(i), i + 0.1) for i in range(20, 30)]
    assert max(lags(before + after + back)) <= 0.02


def test_symbols_have_their_own_pace():
    lateness = Lateness()
    assert lateness.of("A", made=0.0, came=0.0) == 0
    assert lateness.of("B", made=0.0, came=7.0) == 0
    assert lateness.of("A", made=1.0, came=5.0) == pytest.approx(4, abs=0.01)


def test_the_newest_tick_once_more_says_nothing():
    lateness = Lateness()
    assert lateness.of("A", made=1.0, came=1.5) == 0
    assert lateness.of("A", made=1.0, came=9.0) is None
    assert lateness.of("B", made=1.0, came=9.0) == 0
    assert lateness.of("A", made=2.0, came=2.5) == 0
