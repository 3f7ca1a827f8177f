"""What live mode refuses before anything is started, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from harness.batch import Finished, Job
from harness.cli import app
from harness.faults.catalogue import CATALOGUE
from harness.run import HISTORY_NAME, Simulation, policy_of, simulate
from harness.scenario import load
from harness.world import NAMES

pytest.importorskip("aiohttp", reason="needs the extra live")
pytest.importorskip("toxiproxy", reason="needs the extra live")

STORIES = Path(__file__).parents[3] / "scenarios"
ONE = STORIES / "live" / "closed_door.yaml"


def run(tmp_path: Path, *words: object) -> Result:
    args = ["run", "--mode", "live", "--out", str(tmp_path / "out"), *map(str, words)]
    return CliRunner().invoke(app, args)


def test_what_only_virtual_time_can_do_is_refused(tmp_path: Path) -> None:
    """Real time is never twice the same."""
    result = run(tmp_path, ONE, "--check-determinism")
    assert result.exit_code == 2
    assert "--mode live" in result.output


def test_a_scenario_of_several_venues_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    """It is not driven with one of them left out."""
    two = tmp_path / "two.yaml"
    venue = "  - {name: A, profile: binance, symbols: {BTCUSDT: {price: 60000}}}\n"
    text = f"scenario: two\nproves: It.\nduration: 10s\nvenues:\n{venue}{venue.replace('A,', 'B,')}"
    two.write_text(text)
    result = run(tmp_path, two)
    assert result.exit_code == 2
    assert "two: expected one venue, which is what live mode drives, got A, B" in result.output
    assert "nothing was run" in result.output


def test_a_server_that_is_no_address_is_refused(tmp_path: Path) -> None:
    """The kinds that are simulation-only are listed before anything else."""
    result = run(tmp_path, ONE, "--toxiproxy", "nowhere")
    assert result.exit_code == 2
    assert "simulation-only: blocked_loop, clock_jump" in result.output
    assert "HOST:PORT" in result.output


def story(tmp_path: Path, *faults: str) -> Path:
    path = tmp_path / "story.yaml"
    path.write_text(
        "scenario: story\nproves: It.\nduration: 10s\nsettle: 5s\nvenues:\n"
        "  - {name: A, profile: binance, symbols: {BTCUSDT: {price: 60000}}}\n"
        + "faults:\n" * bool(faults)
        + "".join(f"  - {{venue: A, {each}}}\n" for each in faults)
    )
    return path


def test_a_setting_that_no_toxic_can_have_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    """Before, and not by a crash when the fault is due; each once, however often it is due."""
    wrong = "kind: slow_link, variant: sliced, size: 0, at: 1s, for: 1s"
    result = run(
        tmp_path,
        story(tmp_path, f"{wrong}, every: 3s", "kind: slow_link, at: 2s, rate: 9999999999999"),
    )
    assert result.exit_code == 2
    assert "story: F1 (slow_link): expected average_size of at least 1 byte" in result.output
    assert "story: F2 (slow_link): expected rate of bandwidth" in result.output
    assert "2 mistakes; nothing was run" in result.output


def driven(tmp_path: Path, *faults: str) -> Finished:
    """A job that was driven live, as far as the comparison can tell."""
    scenario = load(story(tmp_path, *faults), catalogue=CATALOGUE, names=NAMES)
    job = Job(scenario, tmp_path / f"story-{len(faults)}")
    simulate(scenario, job.folder, policy=policy_of(scenario))
    return Finished(job, ending="completed")


def test_where_a_fault_was_left_out_nothing_is_compared(tmp_path: Path) -> None:
    """With a fault and without it are two stories: each difference would be a false alarm."""
    from harness.live.command import left_out, parities

    whole, half = driven(tmp_path), driven(tmp_path, "kind: dns, at: 2s, for: 5s")
    assert [pair.differences for pair in parities([whole])] == [()]
    assert parities([half]) == []
    told = list(left_out([whole.job.scenario, half.job.scenario]))[1:]
    assert [line.partition(":")[2].split(":")[0].strip() for line in told] == [
        "F1 (dns) is left out",
        "not compared with virtual time, where nothing is left out",
    ]


def test_ctrl_c_while_it_is_being_compared_is_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a simulation is inconclusive, and the live run was not."""
    from harness.live import command

    def interrupted(*args: Any, **options: Any) -> Simulation:
        whole = simulate(*args, **options)
        return Simulation(whole.path, whole.digest, "interrupted")

    monkeypatch.setattr(command, "simulate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        command.parities([driven(tmp_path)])


class Server:
    """A toxiproxy-server on which nothing is put."""

    def version(self) -> str:
        return "2.12.0"

    def check_way(self) -> None:
        pass


@pytest.fixture
def commanded(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`drive_all` over somebody who drives and somebody who is the control."""
    from harness.live import command

    def drive_all(job: Job, *, control: bool = True, close: Any = None, bare: Any = None) -> Any:
        @contextmanager
        def opened(given: str | None) -> Iterator[Server]:
            yield Server()
            if close is not None:
                raise close

        done = Finished(job, ending="completed")
        monkeypatch.setattr(command, "open_toxiproxy", opened)
        monkeypatch.setattr(command, "run_live", lambda *_, **__: [done])
        monkeypatch.setattr(command, "run_bare", lambda *_, **__: bare or {})
        told: list[str] = []
        found = command.drive_all([job], None, at_a_time=1, control=control, tell=told.append)
        return found, told

    return drive_all


def test_the_control_of_an_earlier_run_is_not_this_ones(tmp_path: Path, commanded: Any) -> None:
    """Another seed, another story: its figures would stand beside ones they do not belong to."""
    from harness.live.bare import BARE, bare_of

    job = driven(tmp_path).job
    simulate(job.scenario, job.folder / BARE, policy=policy_of(job.scenario))
    assert bare_of(job) is not None
    commanded(job, control=False)
    assert bare_of(job) is None
    assert (job.folder / HISTORY_NAME).exists()


def test_a_control_that_broke_does_not_take_the_run_along(tmp_path: Path, commanded: Any) -> None:
    """It is the harness that failed, and it says in what; the core's result stands."""
    job = driven(tmp_path).job
    [found], _ = commanded(job, bare={job.folder: "KeyError: 'last'"})
    assert (found.ending, found.detail) == ("crashed", "control: KeyError: 'last'")


def test_what_was_driven_is_kept_where_the_server_cannot_be_cleaned(
    tmp_path: Path, commanded: Any
) -> None:
    """As when it died in the middle: "nothing was run" would be a lie."""
    from harness.toxiproxy import ToxiproxyError

    job = driven(tmp_path).job
    [found], told = commanded(job, control=False, close=ToxiproxyError("it is not there"))
    assert (found.ending, told) == ("completed", ["it is not there"])
