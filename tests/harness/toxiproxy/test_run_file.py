"""What is noted of a run, and when it may be swept."""

from __future__ import annotations

import os
import stat

import pytest

from harness.toxiproxy import Address, RunFile, default_directory
from harness.toxiproxy.run_file import settle_abandoned

HERE = Address("127.0.0.1", 8474)
THERE = Address("10.0.0.7", 8474)


@pytest.fixture
def settled(tmp_path):
    """What a sweep of HERE is handed, one entry a run."""

    def settle() -> list[tuple[str, ...]]:
        runs: list[tuple[str, ...]] = []
        settle_abandoned(HERE, tmp_path, runs.append)
        return runs

    return settle


def begun(tmp_path, server=HERE, proxies=("a", "b")) -> RunFile:
    run = RunFile.open(server, tmp_path)
    for proxy in proxies:
        run.add(proxy)
    return run


def die(run: RunFile) -> None:
    """As the kernel does it for a process that is killed."""
    os.close(run._descriptor)


def test_a_dead_run_is_settled_once_and_forgotten(tmp_path, settled):
    die(begun(tmp_path))
    assert settled() == [("a", "b")]
    assert settled() == []
    assert list(tmp_path.iterdir()) == []


def test_a_living_run_is_left_alone(tmp_path, settled):
    run = begun(tmp_path)
    assert settled() == []
    die(run)
    assert settled() == [("a", "b")]


def test_a_run_on_another_server_is_left_for_who_attaches_there(tmp_path, settled):
    run = begun(tmp_path, server=THERE)
    die(run)
    assert settled() == []
    assert run.path.exists()


def test_a_run_that_could_not_be_settled_is_kept(tmp_path, settled):
    die(begun(tmp_path))

    def fail(proxies):
        raise OSError("the server went away")

    with pytest.raises(OSError, match="went away"):
        settle_abandoned(HERE, tmp_path, fail)
    assert settled() == [("a", "b")]


def test_a_run_that_cleaned_up_leaves_no_file(tmp_path, settled):
    begun(tmp_path).discard()
    assert list(tmp_path.iterdir()) == []
    assert settled() == []


def test_a_torn_last_line_is_passed_over(tmp_path, settled):
    run = begun(tmp_path)
    die(run)
    run.path.write_text(run.path.read_text() + '{"proxy": "c')
    assert settled() == [("a", "b")]


def test_runs_of_one_process_have_files_of_their_own_that_others_cannot_read(tmp_path):
    runs = [begun(tmp_path / "state") for _ in range(2)]
    assert runs[0].path != runs[1].path
    assert {stat.S_IMODE(run.path.stat().st_mode) for run in runs} == {0o600}
    for run in runs:
        run.discard()


def test_a_directory_that_is_not_there_has_nothing_to_settle(tmp_path):
    runs: list[tuple[str, ...]] = []
    settle_abandoned(HERE, tmp_path / "none", runs.append)
    assert runs == []


def test_the_files_are_in_the_users_state_directory(tmp_path):
    assert default_directory({"XDG_STATE_HOME": str(tmp_path)}) == tmp_path / "foxtrot/toxiproxy"
    assert default_directory({}).parts[-4:] == (".local", "state", "foxtrot", "toxiproxy")
