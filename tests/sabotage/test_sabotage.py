"""The core, broken on purpose in many ways: each of them has to turn a scenario red."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from harness.history import read_history
from harness.oracles import ORACLES
from harness.results import Verdict
from harness.run import policy_of, simulate
from harness.scenario import METRICS
from harness.verdict import ScenarioResult, judge

from . import breakers, errors, failover, gateways, life, limits, memory, orders, recovery, wishes
from .sabotage import Hook, Sabotage
from .trims import SCENARIOS, TRIMS, trimmed

SABOTAGES: tuple[Sabotage, ...] = tuple(
    sabotage
    for room in (
        orders,
        wishes,
        memory,
        breakers,
        limits,
        recovery,
        errors,
        life,
        gateways,
        failover,
    )
    for sabotage in room.ROOM
)

#: Checks that judge the faults themselves, which no mistake of the core can break.
OF_THE_HARNESS = {"every_fault_fired", "every_fault_healed"}

TABLE = (SCENARIOS.parent / "CONTRIBUTING.md").read_text()

load_once = cache(trimmed)


def run(name: str, folder: Path, world: Hook | None = None) -> ScenarioResult:
    scenario = load_once(name)
    simulation = simulate(scenario, folder, policy=policy_of(scenario), patch=world)
    return judge(read_history(simulation.path))


def red_checks(result: ScenarioResult) -> set[str]:
    """The checks that failed, and had enough to judge by."""
    checks = {m.name: m.verdict for m in result.metrics if m.n and not m.details.get("too_few")}
    checks |= {i.name: i.weight for i in result.invariants}
    return {name for name, verdict in checks.items() if verdict is Verdict.FAIL}


@pytest.mark.parametrize(
    ("name", "world"),
    [
        pytest.param(name, world, id=f"{name}-{world.__name__}" if world else name)
        for name, world in dict.fromkeys((each.scenario, each.world) for each in SABOTAGES)
    ],
)
def test_the_core_as_it_is_turns_none_of_them_red(name, world, tmp_path):
    whole = run(name, tmp_path, world)
    assert whole.verdict is Verdict.PASS, whole.reasons


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda each: each.name.replace(" ", "-"))
def test_a_broken_core_turns_its_scenario_red(sabotage, tmp_path):
    with pytest.MonkeyPatch.context() as mp:
        sabotage.patch(mp)
        broken = run(sabotage.scenario, tmp_path, sabotage.world)
    red = red_checks(broken)
    assert sabotage.check in red, (sabotage.breaks, broken.reasons)
    # A run that crashed says nothing of the check: it would have ended the same without it.
    assert "run_completed" not in red - {sabotage.check}, broken.reasons
    assert broken.verdict is Verdict.FAIL


def test_every_scenario_is_there_to_catch_something():
    """A scenario that catches no sabotage could be deleted, and nobody would notice."""
    names = {path.stem for path in SCENARIOS.glob("*.yaml")} - {"manifest"}
    assert names == {each.scenario for each in SABOTAGES} == set(TRIMS)


def test_every_check_is_there_to_catch_something():
    """A check that no sabotage turns red could be deleted as well."""
    caught_by = {each.check for each in SABOTAGES}
    assert caught_by | OF_THE_HARNESS == {*METRICS, *ORACLES}
    assert not caught_by & OF_THE_HARNESS


def test_the_table_for_contributors_is_the_one_that_is_run():
    """Row for row, so that who looks up what a scenario catches finds what it does catch."""
    section = TABLE.partition("\n## What the scenarios catch\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    expected = [row(each) for each in SABOTAGES]
    assert rows[1:] == expected, "put these in their place:\n" + "\n".join(expected)


def row(sabotage: Sabotage) -> str:
    world = sabotage.world.__name__.replace("_", " ") if sabotage.world else ""
    name = f"{sabotage.name} ({world})" if world else sabotage.name
    return f"| {name} | {sabotage.scenario} | {sabotage.check} |"
