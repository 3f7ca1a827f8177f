from __future__ import annotations

import pytest

from harness.venue.conditions import Conditions, FillFirst, Halt, Reject, Skew


def test_lifting_one_of_two_equal_knobs_leaves_the_other() -> None:
    """Overlapping faults heal apart."""
    conditions = Conditions()
    conditions.impose("F1", Halt(symbol="BTCUSDT"), Skew(seconds=5.0))
    conditions.impose("F2", Halt(symbol="BTCUSDT"), Skew(seconds=2.0))
    assert conditions.skew() == 7.0
    conditions.lift("F1")
    assert dict(conditions.of(Halt)) == {"F2": Halt(symbol="BTCUSDT")}
    assert conditions.skew() == 2.0
    assert (conditions.is_imposed("F1"), conditions.is_imposed("F2")) == (False, True)


def test_lifting_what_is_not_there_does_nothing() -> None:
    """Healing twice is healing once."""
    Conditions().lift("F1")


def test_second_knob_of_a_kind_under_one_id_is_refused() -> None:
    conditions = Conditions()
    conditions.impose("F1", Halt())
    with pytest.raises(ValueError, match="one Halt per knob id, got another for knob_id='F1'"):
        conditions.impose("F1", Halt())


def test_counted_knob_is_spent_after_its_count_and_fresh_when_imposed_again() -> None:
    conditions = Conditions()
    knob = Reject(code=-2010, message="no", count=2)
    conditions.impose("F1", knob)
    assert [conditions.spend("F1", knob) for _ in range(3)] == [True, True, False]
    conditions.lift("F1")
    conditions.impose("F1", knob)
    assert conditions.spend("F1", knob)


def test_knob_without_count_is_never_spent() -> None:
    assert all(Conditions().spend("F1", FillFirst()) for _ in range(100))
