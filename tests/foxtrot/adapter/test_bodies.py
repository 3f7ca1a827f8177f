"""What may stand where a number belongs."""

from __future__ import annotations

import pytest

from foxtrot.adapter._bodies import number


@pytest.mark.parametrize("value", [2, 2.0])
def test_a_number_is_a_float_however_it_was_written(value: float) -> None:
    assert repr(number({"price": value}, "price")) == "2.0"


@pytest.mark.parametrize("value", [True, "2", None, [2], float("nan"), float("inf")], ids=repr)
def test_what_is_no_finite_number_is_refused_by_its_name(value: object) -> None:
    with pytest.raises(TypeError, match="expected a number, got price="):
        number({"price": value}, "price")
