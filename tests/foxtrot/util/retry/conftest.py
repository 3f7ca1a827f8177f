"""A clock, and what a run under it told its listeners."""

from __future__ import annotations

import pytest

from .shells import FakeClock, Story


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def story(clock: FakeClock) -> Story:
    return Story(clock)
