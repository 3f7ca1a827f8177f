"""What `foxtrot-chaos run --mode live` does: says what it leaves out, drives, and compares."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.batch import Finished, Job
from harness.history import read_history
from harness.kernel import RandomStreams
from harness.live.bare import bare_of, forget_bare, run_bare
from harness.live.division import divide, mistakes, unsupported
from harness.live.run import run_live
from harness.parity import Parity, parity_of
from harness.run import policy_of, simulate
from harness.scenario import Occurrence, Scenario
from harness.toxiproxy import SIMULATION_ONLY, ToxiproxyError, open_toxiproxy

__all__ = ["drive_all", "left_out", "parities", "refusals"]


def refusals(scenarios: Sequence[Scenario]) -> list[str]:
    """The scenarios that cannot be driven live at all, each with the reasons."""
    return [f"{each.name}: {why}" for each in scenarios for why in _reasons(each)]


def _reasons(scenario: Scenario) -> tuple[str, ...]:
    why = unsupported(scenario)
    return (why,) if why else mistakes(_occurrences(scenario))


def left_out(scenarios: Sequence[Scenario]) -> Iterator[str]:
    """What live mode does not do: the kinds, and by name each fault of these scenarios."""
    yield f"simulation-only: {', '.join(sorted(SIMULATION_ONLY))}"
    for scenario in scenarios:
        occurrences = _occurrences(scenario)
        kinds = {each.id: each.fault.kind for each in occurrences}
        missing = divide(occurrences).left_out
        for fault_id, why in missing.items():
            yield f"{scenario.name}: {fault_id} ({kinds[fault_id]}) is left out: {why}"
        if missing:
            yield f"{scenario.name}: not compared with virtual time, where nothing is left out"


def _occurrences(scenario: Scenario) -> tuple[Occurrence, ...]:
    return scenario.occurrences(RandomStreams(scenario.seed).stream("schedule"))


def drive_all(
    jobs: Sequence[Job],
    toxiproxy: str | None,
    *,
    at_a_time: int,
    control: bool,
    tell: Callable[[str], None],
) -> list[Finished]:
    """Drive the jobs on a toxiproxy-server, with nothing of ours left on it afterwards.

    Args:
        jobs: What to drive.
        toxiproxy: HOST:PORT of a running server; None finds or starts one.
        at_a_time: How many side by side.
        control: Whether a bare client has its turn at each too, afterwards.
        tell: Told how far it is.

    What could not be cleaned at the end is told of, and what was driven is kept. A job whose
    control broke has the ending `crashed`.

    Raises:
        ToxiproxyError: There is no server, or none through which this machine is reached.
    """
    finished: list[Finished] = []

    def progress(what: str) -> Callable[[int], None]:
        return lambda done: tell(f"{done} of {len(jobs)}{what} done")

    forget_bare(jobs)
    try:
        with open_toxiproxy(toxiproxy) as client:
            client.version()
            client.check_way()
            finished = run_live(jobs, client, at_a_time=at_a_time, on_progress=progress(""))
            if control and all(each.ending == "completed" for each in finished):
                tell("the same again with a bare ccxt client")
                broken = run_bare(
                    jobs, client, at_a_time=at_a_time, on_progress=progress(" controls")
                )
                finished = [_with_control(each, broken) for each in finished]
    except ToxiproxyError as error:
        if not finished:
            raise
        tell(str(error))
    return finished


def _with_control(driven: Finished, broken: Mapping[Path, str]) -> Finished:
    why = broken.get(driven.job.folder)
    return driven if why is None else replace(driven, ending="crashed", detail=f"control: {why}")


def parities(finished: Sequence[Finished]) -> list[Parity]:
    """Each driven scenario beside the same in virtual time, which is run here for it.

    And beside its control, where there is one. Not where faults were left out: those are two
    stories. Ctrl-C ends it: half a simulation would look like a difference.
    """
    return [_parity(each) for each in finished if _is_comparable(each)]


def _is_comparable(driven: Finished) -> bool:
    left_out = divide(_occurrences(driven.job.scenario)).left_out
    return driven.ending == "completed" and not left_out


def _parity(driven: Finished) -> Parity:
    job = driven.job
    with tempfile.TemporaryDirectory(prefix="foxtrot-") as folder:
        simulation = simulate(
            job.scenario, Path(folder), policy=policy_of(job.scenario, job.policy)
        )
        if simulation.ending == "interrupted":
            raise KeyboardInterrupt
        live = job.folder / simulation.path.name
        pair = parity_of(read_history(simulation.path), read_history(live))
    return pair.beside(bare_of(job))
