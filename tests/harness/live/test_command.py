"""The command itself, ended before its time: nothing of it may be left on a server that stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.history import Event, partial_path, read_history

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[3]
STORY = ROOT / "scenarios" / "live" / "swallowed.yaml"
PATIENCE = 60.0  # never reached, but on a machine that does a lot beside


class Running:
    """`foxtrot-chaos run --mode live` in a process of its own, on a server that is not its own."""

    def __init__(self, server: Any, folder: Path) -> None:
        from harness.toxiproxy import Transport

        self.server = server
        self.report = folder / "out" / "report.json"
        self.history = folder / "out" / "swallowed" / "history.jsonl"
        self.state = folder / "state"
        self._transport = Transport()
        words = ["run", "--mode", "live", "--toxiproxy", str(server.address)]
        words += ["--out", str(folder / "out"), str(STORY)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from harness.cli import main; main()", *words],
            cwd=ROOT,
            env={**os.environ, "XDG_STATE_HOME": str(self.state)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def proxies(self) -> dict[str, Any]:
        return self._transport.get(f"http://{self.server.address}/proxies").json()

    def has_toxic(self) -> bool:
        return any(each["toxics"] for each in self.proxies().values())

    def wait_until(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not what():
            assert time.monotonic() < deadline, self.process.poll()
            time.sleep(0.05)

    def events(self, path: Path, *, complete: bool = True) -> list[Event]:
        return list(read_history(path, complete=complete))


@pytest.fixture
def running(server: Any, tmp_path: Path) -> Any:
    command = Running(server, tmp_path)
    yield command
    command.process.kill()
    command.process.communicate()


def test_after_ctrl_c_the_fault_is_healed_and_the_proxy_gone(running: Running) -> None:
    """An interrupted run heals what is on, says so, and is inconclusive: exit code 3."""
    running.wait_until(running.has_toxic)
    running.process.send_signal(signal.SIGINT)
    output, _ = running.process.communicate(timeout=PATIENCE)
    events = running.events(running.history)
    ending = [(e.kind, e.outcome) for e in events if e.kind in {"fault.healed", "run.end"}]
    assert running.process.returncode == 3, output
    assert running.proxies() == {}
    assert ending == [("fault.healed", "ok"), ("run.end", "interrupted")]
    assert events[-1].details["leftover_tasks"] == []
    report = json.loads(running.report.read_bytes())
    assert report["verdict"] == "inconclusive"
    assert "swallowed: interrupted: what was not over yet is not judged" in report["reasons"]
    assert report["scenarios"][0]["faults"][0]["healed"]


def test_after_a_kill_the_next_one_that_attaches_sweeps_up(running: Running) -> None:
    """A run that dies without a word leaves its fault to the next, and no longer."""
    from harness.toxiproxy import Toxiproxy, default_directory

    running.wait_until(running.has_toxic)
    running.process.send_signal(signal.SIGKILL)
    running.process.wait(PATIENCE)
    assert len(running.proxies()) == 1, "nobody was left to take it off"
    directory = default_directory({"XDG_STATE_HOME": str(running.state)})
    with Toxiproxy.attach(running.server.address, directory=directory):
        assert running.proxies() == {}
    assert not running.history.exists()
    assert partial_path(running.history).exists()


def test_a_server_that_dies_in_the_middle_is_no_fault_of_the_cores(
    binary: Path, tmp_path: Path
) -> None:
    """The harness has failed: exit code 4, the reason, and a report of what there is."""
    from harness.toxiproxy import ToxiproxyServer

    with ToxiproxyServer.start(binary) as dying:
        command = Running(dying, tmp_path)
        try:
            command.wait_until(command.has_toxic)
            dying.stop()
            output, _ = command.process.communicate(timeout=PATIENCE)
        finally:
            command.process.kill()
    assert command.process.returncode == 4, output
    assert "swallowed: crashed: Toxiproxy" in output
    assert "nothing was run" not in output
    assert "Traceback" not in output
    assert command.report.exists()
    assert command.events(command.history)[-1].outcome == "crashed"
