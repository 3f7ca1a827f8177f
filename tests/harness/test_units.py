"""Durations as scenario files write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.units import format_duration, parse_duration


@given(st.integers(0, 10**9).map(lambda milliseconds: milliseconds / 1000))
def test_duration_survives_writing_and_reading(seconds):
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (1.5, "1.5s"), (90, "90s"), (300, "5m"), (7200, "2h")],
)
def test_duration_is_written_in_the_largest_whole_unit(seconds, text):
    assert format_duration(seconds) == text
