"""The scenarios, cut down to the faults and minutes that catching a sabotage takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.faults.catalogue import CATALOGUE
from harness.scenario import METRICS, FaultSpec, Scenario, load
from harness.world import NAMES

__all__ = ["SCENARIOS", "TRIMS", "Trim", "trimmed"]

SCENARIOS = Path(__file__).parents[2] / "scenarios"


@dataclass(frozen=True, slots=True)
class Trim:
    """How much of a scenario is run.

    Attributes:
        duration: Seconds that the market is open.
        faults: When each of the kept faults begins, by its place in the file, counted from 1.
            Each happens once. None: all of them as they are, and as often.
        settle: Seconds to settle in. What must not be restored within the bound takes as many.
        lasts: How long those last that are cut short.
    """

    duration: float
    faults: Mapping[int, float] | None
    settle: float = 30.0
    lasts: Mapping[int, float] = field(default_factory=dict)


TRIMS: Mapping[str, Trim] = {
    "bad_day": Trim(150.0, {1: 30.0, 3: 60.0, 4: 30.0}),
    "bad_prices": Trim(300.0, {1: 30.0, 3: 90.0, 4: 150.0, 5: 175.0, 7: 210.0, 8: 245.0}),
    "ban": Trim(100.0, {1: 30.0}),
    "broken_links": Trim(290.0, {1: 30.0, 4: 70.0, 5: 110.0, 6: 180.0, 7: 225.0, 8: 260.0}),
    "broken_parts": Trim(160.0, {1: 30.0, 3: 100.0, 4: 130.0}),
    "changed_interface": Trim(140.0, {1: 30.0}),
    "clocks_and_sessions": Trim(220.0, {1: 30.0, 2: 90.0, 5: 150.0}),
    "disconnect_storm": Trim(130.0, {1: 30.0, 2: 60.0, 3: 90.0}, 60.0),
    "expired_certificate": Trim(150.0, {1: 30.0}),
    "failover_binance_to_futu": Trim(200.0, {4: 40.0}, 60.0, {4: 90.0}),
    "failover_futu_to_ib": Trim(200.0, {4: 40.0}, 60.0, {4: 90.0}),
    "failover_ib_to_futu": Trim(330.0, {4: 40.0, 5: 180.0}, 60.0, {4: 90.0, 5: 90.0}),
    "fills_in_disorder": Trim(
        280.0, {1: 20.0, 2: 55.0, 3: 90.0, 5: 125.0, 6: 160.0, 7: 200.0, 8: 235.0}
    ),
    "futu_gateway_restart": Trim(900.0, None, 60.0),
    "garbled_replies": Trim(
        275.0, {1: 30.0, 2: 55.0, 4: 80.0, 5: 115.0, 8: 145.0, 9: 240.0}, 30.0, {9: 20.0}
    ),
    "ib_connectivity_lost": Trim(130.0, {1: 30.0, 2: 70.0}, 60.0, {2: 10.0}),
    "ib_notices": Trim(90.0, {}),
    "ib_pacing": Trim(150.0, {1: 30.0}),
    "latency_spike": Trim(130.0, {1: 30.0, 2: 70.0}),
    "long_outage": Trim(265.0, {1: 30.0, 2: 120.0}, 60.0, {1: 50.0, 2: 60.0}),
    "lost_acknowledgement": Trim(130.0, {1: 30.0, 2: 60.0}),
    "maintenance_window": Trim(90.0, {1: 30.0}),
    "quiet_day": Trim(90.0, {}),
    "rate_limit_squeeze": Trim(120.0, {1: 30.0, 2: 60.0, 3: 90.0}),
    "refused_sides": Trim(110.0, {1: 30.0, 2: 70.0}),
    "rejection_mix": Trim(120.0, {1: 30.0, 2: 55.0, 3: 80.0}),
    "revoked_key": Trim(500.0, None),
    "shrinking_quota": Trim(205.0, {1: 80.0, 3: 170.0}),
}


def trimmed(name: str) -> Scenario:
    """The scenario of that name as it is run here. Its pooled rates are none of its concern."""
    scenario = load(SCENARIOS / f"{name}.yaml", catalogue=CATALOGUE, names=NAMES)
    trim = TRIMS[name]
    return scenario.model_copy(
        update={
            "duration": trim.duration,
            "settle": trim.settle,
            "faults": _kept(scenario.faults, trim),
            "drawn": None,
            "unexercised": METRICS,
        }
    )


def _kept(faults: tuple[FaultSpec, ...], trim: Trim) -> tuple[FaultSpec, ...]:
    if trim.faults is None:
        return faults
    return tuple(
        _once(faults[number - 1], at, trim.lasts.get(number)) for number, at in trim.faults.items()
    )


def _once(fault: FaultSpec, at: float, lasts: float | None) -> FaultSpec:
    once = {"at": at, "every": None, "repeat": None, "lasts": lasts or fault.lasts}
    return fault.model_copy(update=once)
