"""The jobs of the control arm: each scenario again, without faults and without resilience."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
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
from harness.history import Event, read_history
from harness.run import HISTORY_NAME
from harness.scenario import Scenario
from harness.verdict import judge

__all__ = ["FOLDER", "control_result", "forget", "is_arm", "joined", "unfinished", "with_control"]

FOLDER = "control"
_PLAIN = "none"  # the policy of a client without resilience
_BARE = "bare"  # the folder of live mode's control, which is made and read there
_COMPLETED = "completed"


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
    """The runs themselves, each with what its control jobs came to, where all three completed.

    One that was stopped half way has missed what came after; that is no finding about the core.
    """
    arms: dict[str, dict[str, Arm]] = {}
    runs = []
    for each in finished:
        if each.result is not None and each.blotter is not None and each.ending == _COMPLETED:
            name = each.job.scenario.name
            arms.setdefault(name, {})[each.job.arm] = arm_of(each.result, each.blotter)
        if each.job.arm in {"", WITH_CORE}:
            runs.append(each)
    return [_compared(run, arms.get(run.job.scenario.name, {})) for run in runs]


def unfinished(each: Finished) -> str:
    """What of a job was not run; nothing for one whose own result says so."""
    if each.result is None:
        return f"{each.job.name} did not run"
    if each.is_unchecked:
        return f"{each.job.name} did not run a second time"
    is_control = each.job.name != each.job.scenario.name
    return f"{each.job.name} was stopped" if is_control and each.ending == "interrupted" else ""


def is_arm(path: Path) -> bool:
    """Whether a history lies where the control arms of a run do."""
    return path.parent.parent.name == FOLDER and path.parent.name in {*ARMS, _BARE}


def forget(folders: Iterable[Path]) -> None:
    """Delete the histories that an earlier run left where jobs begin, those of its arms too.

    A run that does not come to its end, or has no control arm, would else be taken together with
    what is not its own.

    Raises:
        OSError: One of them cannot be deleted.
    """
    for folder in folders:
        for place in (folder, *(folder / FOLDER / arm for arm in (*ARMS, _BARE))):
            (place / HISTORY_NAME).unlink(missing_ok=True)


def control_result(history: Path) -> ControlResult | None:
    """The comparison of a stored run with its control arms.

    None where they are not all there, did not all complete, or are not of the same scenario and
    seed: a folder that was used twice may hold the run of one day and the arms of another.

    Raises:
        HistoryError: One of the histories is not as it was written.
    """
    folder = history.parent / FOLDER
    paths = {arm: folder / arm / HISTORY_NAME for arm in (NO_FAULTS, NO_RESILIENCE)}
    if not all(path.is_file() for path in paths.values()):
        return None
    told = {arm: _told(paths.get(arm, history)) for arm in ARMS}
    if not _belong_together(told[NO_FAULTS], told[WITH_CORE], told[NO_RESILIENCE]):
        return None
    return compare({arm: each.arm for arm, each in told.items()})


@dataclass(frozen=True, slots=True)
class _Told:
    """What the history of one arm says of itself, and what it comes to."""

    arm: Arm
    scenario: str
    seed: int
    policy: str
    digest: str
    ending: str


def _told(history: Path) -> _Told:
    fold, ends = BlotterFold(), dict[str, Event]()

    def note(event: Event) -> None:
        if event.kind in {"run.start", "run.end"}:
            ends[event.kind] = event

    result = judge(read_history(history), watchers=(fold.take, note))
    return _Told(
        arm=arm_of(result, fold.done()),
        scenario=result.name,
        seed=result.seed,
        policy=result.policy,
        digest=str(ends["run.start"].details["scenario_digest"]),
        ending=ends["run.end"].outcome,
    )


def _belong_together(free: _Told, run: _Told, plain: _Told) -> bool:
    arms = (free, run, plain)
    return (
        len({(arm.scenario, arm.seed) for arm in arms}) == 1
        and free.policy == run.policy
        and plain.digest == run.digest
        and all(arm.ending == _COMPLETED for arm in arms)
    )


def _compared(run: Finished, arms: Mapping[str, Arm]) -> Finished:
    if run.result is None or len(arms) < len(ARMS):
        return run
    return replace(run, result=replace(run.result, control=compare(arms)))


def _without_faults(scenario: Scenario) -> Scenario:
    return scenario.model_copy(update={"faults": (), "drawn": None})
