"""The jobs of the control arm: each scenario again, without faults and without resilience."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from harness.batch import Finished, Job
from harness.blotter import BlotterFold
from harness.control import (
    ARMS,
    NO_FAULTS,
    NO_RESILIENCE,
    WITH_CORE,
    Arm,
    ControlResult,
    arm_of,
    compare,
)
from harness.history import read_history
from harness.run import HISTORY_NAME
from harness.scenario import Scenario
from harness.verdict import judge

__all__ = ["FOLDER", "control_result", "joined", "run_histories", "with_control"]

FOLDER = "control"
_PLAIN = "none"  # the policy of a client without resilience


def with_control(job: Job) -> tuple[Job, Job, Job]:
    """The job and its two control jobs, whose histories go to `control/` in its folder."""
    folder = job.folder / FOLDER
    undisturbed = replace(job, scenario=_without_faults(job.scenario), folder=folder / NO_FAULTS)
    plain = replace(job, policy=_PLAIN, folder=folder / NO_RESILIENCE)
    return (
        replace(job, arm=WITH_CORE),
        replace(undisturbed, arm=NO_FAULTS),
        replace(plain, arm=NO_RESILIENCE),
    )


def joined(finished: Iterable[Finished]) -> list[Finished]:
    """The runs themselves, each with what its control jobs came to, where all three came to one."""
    arms: dict[str, dict[str, Arm]] = {}
    runs = []
    for each in finished:
        if each.result is not None and each.blotter is not None:
            name = each.job.scenario.name
            arms.setdefault(name, {})[each.job.arm] = arm_of(each.result, each.blotter)
        if each.job.arm in {"", WITH_CORE}:
            runs.append(each)
    return [_compared(run, arms.get(run.job.scenario.name, {})) for run in runs]


def run_histories(paths: Iterable[Path]) -> list[Path]:
    """Those of `paths` that are no control arm's of another run."""
    return [path for path in paths if path.parent.parent.name != FOLDER]


def control_result(history: Path) -> ControlResult | None:
    """The comparison of a stored run with its control arms; None where they are not all there.

    Raises:
        HistoryError: One of the histories is not as it was written.
    """
    paths = {
        arm: history.parent / FOLDER / arm / HISTORY_NAME for arm in (NO_FAULTS, NO_RESILIENCE)
    }
    if not all(path.is_file() for path in paths.values()):
        return None
    return compare({arm: _arm(paths.get(arm, history)) for arm in ARMS})


def _arm(history: Path) -> Arm:
    fold = BlotterFold()
    result = judge(read_history(history), watchers=(fold.take,))
    return arm_of(result, fold.done())


def _compared(run: Finished, arms: Mapping[str, Arm]) -> Finished:
    if run.result is None or len(arms) < len(ARMS):
        return run
    return replace(run, result=replace(run.result, control=compare(arms)))


def _without_faults(scenario: Scenario) -> Scenario:
    return scenario.model_copy(update={"faults": (), "drawn": None})
