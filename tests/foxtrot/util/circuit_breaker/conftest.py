"""A clock for one breaker."""

from __future__ import annotations

import pytest

from .forms import (
    ManualClock,
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
