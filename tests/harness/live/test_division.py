"""Every kind of the catalogue has somebody who does it live, or a reason why nobody can."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.faults.catalogue import CATALOGUE
from harness.scenario import FaultSpec, Occurrence, load
from harness.world import NAMES

division = pytest.importorskip("harness.live.division", reason="needs the extra live")


def occurrence(kind: str, **targeting: object) -> Occurrence:
    fault = FaultSpec.model_validate({"kind": kind, "venue": "A", "at": "1s", **targeting})
    return Occurrence("F1", fault, 1.0, 2.0)


def test_every_kind_is_done_by_one_or_left_out_with_a_reason() -> None:
    """Nothing is skipped silently."""
    for kind in CATALOGUE:
        divided = division.divide([occurrence(kind)])
        ways = [bool(divided.proxied), bool(divided.served), bool(divided.left_out)]
        assert ways.count(True) == 1, kind
        assert all(divided.left_out.values()), kind


def test_a_fault_of_the_way_is_the_proxys_unless_it_is_aimed() -> None:
    """A proxy sees no operations, symbols or shares; the venue at its door does."""
    aims = [{"operation": "order.place"}, {"symbol": "X"}, {"first": 1}, {"probability": 0.5}]
    assert division.divide([occurrence("truncated")]).proxied
    for aim in aims:
        divided = division.divide([occurrence("truncated", **aim)])
        assert (bool(divided.proxied), bool(divided.served)) == (False, True), aim


def test_a_scenario_of_two_venues_is_refused_by_name(tmp_path: Path) -> None:
    """Live mode drives one venue, and says so rather than leaving one out."""
    one = "  - {name: A, profile: binance, symbols: {BTCUSDT: {price: 1}}}\n"
    two = one + one.replace("A,", "B,")
    told = {}
    for name, venues in (("one", one), ("two", two)):
        path = tmp_path / f"{name}.yaml"
        path.write_text(f"scenario: {name}\nproves: It.\nduration: 10s\nvenues:\n{venues}")
        told[name] = division.unsupported(load(path, catalogue=CATALOGUE, names=NAMES))
    assert told["one"] == ""
    assert "A, B" in told["two"]
