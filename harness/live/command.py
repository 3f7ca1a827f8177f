"""What `foxtrot-chaos run --mode live` does: says what it leaves out, drives, and compares."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness.batch import Finished, Job
from harness.history import read_history
from harness.kernel import RandomStreams
from harness.live.bare import bare_of, run_bare
from harness.live.division import divide, unsupported
from harness.live.run import run_live
from harness.parity import Parity, parity_of
from harness.run import policy_of, simulate
from harness.scenario import Scenario
from harness.toxiproxy import SIMULATION_ONLY, open_toxiproxy

__all__ = ["drive_all", "left_out", "parities", "refusals"]


def refusals(scenarios: Sequence[Scenario]) -> list[str]:
    """The scenarios that cannot be driven live at all, each with the reason."""
    return [f"{each.name}: {why}" for each in scenarios if (why := unsupported(each))]


def left_out(scenarios: Sequence[Scenario]) -> Iterator[str]:
    """What live mode does not do: the kinds, and by name each fault of these scenarios."""
    yield f"simulation-only: {', '.join(sorted(SIMULATION_ONLY))}"
    for scenario in scenarios:
        occurrences = scenario.occurrences(RandomStreams(scenario.seed).stream("schedule"))
        kinds = {each.id: each.fault.kind for each in occurrences}
        for fault_id, why in divide(occurrences).left_out.items():
            yield f"{scenario.name}: {fault_id} ({kinds[fault_id]}) is left out: {why}"


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

    Raises:
        ToxiproxyError: There is no server, or it could not be cleaned.
    """

    def progress(what: str) -> Callable[[int], None]:
        return lambda done: tell(f"{done} of {len(jobs)}{what} done")

    with open_toxiproxy(toxiproxy) as client:
        finished = run_live(jobs, client, at_a_time=at_a_time, on_progress=progress(""))
        if control and all(each.ending == "completed" for each in finished):
            tell("the same again with a bare ccxt client")
            run_bare(jobs, client, at_a_time=at_a_time, on_progress=progress(" controls"))
        return finished


def parities(finished: Sequence[Finished]) -> list[Parity]:
    """Each driven scenario beside the same in virtual time, which is run here for it.

    And beside its control, where there is one.
    """
    return [_parity(each) for each in finished if each.ending == "completed"]


def _parity(driven: Finished) -> Parity:
    job = driven.job
    with tempfile.TemporaryDirectory(prefix="foxtrot-") as folder:
        simulation = simulate(
            job.scenario, Path(folder), policy=policy_of(job.scenario, job.policy)
        )
        live = job.folder / simulation.path.name
        pair = parity_of(read_history(simulation.path), read_history(live))
    return pair.beside(bare_of(job))
