"""The window of a breaker: what it counts, and when it forgets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from foxtrot.util._breaker_window import BUCKETS, Window

SECONDS = 60.0
WIDTH = SECONDS / BUCKETS
CALLS = st.lists(st.tuples(st.floats(0.0, 30.0), st.booleans(), st.booleans()), min_size=1)


@given(CALLS)
def test_what_is_counted_is_what_fell_into_the_last_ten_buckets(
    calls: list[tuple[float, bool, bool]],
) -> None:
    """Against a list of everything, counted anew after each call."""
    window, now = Window(SECONDS), 0.0
    seen: list[tuple[int, bool, bool]] = []
    for pause, failed, slow in calls:
        now += pause
        window.add(now, failed=failed, slow=slow)
        seen.append((int(now // WIDTH), failed, slow))
        kept = [call for call in seen if call[0] > seen[-1][0] - BUCKETS]
        assert window.calls == len(kept)
        assert window.failure_rate == sum(call[1] for call in kept) / len(kept)
        assert window.slow_rate == sum(call[2] for call in kept) / len(kept)


def test_an_empty_window_has_rates_of_zero() -> None:
    window = Window(SECONDS)
    assert (window.calls, window.failure_rate, window.slow_rate) == (0, 0.0, 0.0)


def test_a_call_that_comes_late_is_counted_with_the_newest() -> None:
    """The thread that brings it read its clock before another one's, and was overtaken."""
    window = Window(SECONDS)
    window.add(100.0, failed=False, slow=False)
    window.add(1.0, failed=True, slow=True)
    assert (window.calls, window.failure_rate, window.slow_rate) == (2, 0.5, 0.5)
    window.add(100.0 + SECONDS, failed=False, slow=False)
    assert (window.calls, window.failure_rate) == (1, 0.0)


def test_memory_does_not_follow_the_load() -> None:
    window = Window(SECONDS)
    for call in range(1000):
        window.add(call / 10, failed=False, slow=False)
        assert len(window._buckets) <= BUCKETS


def test_a_cleared_window_has_forgotten_everything() -> None:
    window = Window(SECONDS)
    window.add(0.0, failed=True, slow=True)
    window.clear()
    assert (window.calls, window.failure_rate, window.slow_rate) == (0, 0.0, 0.0)
    window.add(1.0, failed=False, slow=False)
    assert (window.calls, window.failure_rate, window.slow_rate) == (1, 0.0, 0.0)
