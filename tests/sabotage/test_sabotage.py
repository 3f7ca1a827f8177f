"""The core, broken on purpose in many ways: each of them has to turn a scenario red."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from harness.history import read_history
from harness.results import Verdict
from harness.run import policy_of, simulate
from harness.verdict import ScenarioResult, judge

from . import breakers, errors, life, limits, orders, recovery
from .sabotage import Hook, Sabotage
from .trims import SCENARIOS, TRIMS, trimmed

SABOTAGES: tuple[Sabotage, ...] = tuple(
    sabotage
    for room in (orders, breakers, limits, recovery, errors, life)
    for sabotage in room.ROOM
)

#: The manifest is no scenario; those of other profiles and of failover catch no sabotage yet.
NOT_YET = {
    "manifest",
    "failover_binance_to_futu",
    "failover_futu_to_ib",
    "failover_ib_to_futu",
    "futu_gateway_restart",
    "ib_connectivity_lost",
    "ib_notices",
    "ib_pacing",
}

load_once = cache(trimmed)


def run(name: str, folder: Path, world: Hook | None = None) -> ScenarioResult:
    scenario = load_once(name)
    simulation = simulate(scenario, folder, policy=policy_of(scenario), patch=world)
    return judge(read_history(simulation.path))


def red_checks(result: ScenarioResult) -> dict[str, Verdict]:
    """The checks that bear on a verdict other than pass."""
    checks = {m.name: m.verdict for m in result.metrics if m.n and not m.details.get("too_few")}
    checks |= {i.name: i.weight for i in result.invariants}
    return {name: verdict for name, verdict in checks.items() if verdict is not Verdict.PASS}


@pytest.fixture(scope="session")
def intact(tmp_path_factory):
    """What a scenario comes to with the core as it is; each is run once."""

    @cache
    def result_of(name: str, world: Hook | None) -> ScenarioResult:
        return run(name, tmp_path_factory.mktemp(name), world)

    return result_of


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda each: each.name.replace(" ", "-"))
def test_a_broken_core_turns_its_scenario_red(sabotage, intact, tmp_path):
    whole = intact(sabotage.scenario, sabotage.world)
    assert whole.verdict is Verdict.PASS, whole.reasons
    with pytest.MonkeyPatch.context() as mp:
        sabotage.patch(mp)
        broken = run(sabotage.scenario, tmp_path, sabotage.world)
    assert sabotage.check in red_checks(broken), (sabotage.breaks, broken.reasons)
    assert broken.verdict is Verdict.FAIL


def test_every_scenario_is_there_to_catch_something():
    """A scenario that catches no sabotage could be deleted, and nobody would notice."""
    names = {path.stem for path in SCENARIOS.glob("*.yaml")} - NOT_YET
    assert names <= {each.scenario for each in SABOTAGES}
    assert names == set(TRIMS)
