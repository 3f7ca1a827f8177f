"""The command as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.history import partial_path, read_history

from .samples import COMMAND, ROOT, SCENARIOS, SHORT, report_in

LINUX = Path("/proc/self/stat").exists()


def started(out: Path, *others: str) -> subprocess.Popen[str]:
    """A run of bad_day and `others`, in a process group of its own, once bad_day has begun."""
    process = subprocess.Popen(
        [
            *COMMAND,
            "run",
            *others,
            str(SCENARIOS / "bad_day.yaml"),
            "--jobs",
            "2",
            "--out",
            str(out),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(partial_path(out / "bad_day" / "history.jsonl").exists, process)
    return process


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, process.communicate(timeout=5)
        assert process.poll() is None, process.communicate(timeout=5)
        time.sleep(0.02)


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [
        int(each)
        for each in children
        if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()
    ]


def kill_twice(pid: int, blow: signal.Signals) -> None:
    """As `timeout` does: the command that it watches, and then everything in its group."""
    os.kill(pid, blow)
    time.sleep(0.05)
    os.killpg(pid, blow)


class TestInASubprocess:
    def test_an_interrupt_leaves_what_was_finished_and_a_report_of_the_rest(self, tmp_path):
        """Sent to the whole group, as a terminal does: the workers must not die of it."""
        out, second = tmp_path / "out", tmp_path / "quick.yaml"
        second.write_text(SHORT.replace("scenario: short", "scenario: quick"))
        process = started(out, str(second))
        quick, bad_day = (out / name / "history.jsonl" for name in ("quick", "bad_day"))
        wait_for(quick.exists, process)
        os.killpg(process.pid, signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
        assert process.returncode == 3, stdout + stderr
        assert stdout.splitlines()[-1] == f"report: {out / 'report.html'}"
        assert "Traceback" not in stderr
        report = report_in(out)
        assert report["verdict"] == "inconclusive"
        assert any("bad_day: run_completed undecided: the run was interrupted" in reason
                   for reason in report["reasons"])  # fmt: skip
        assert [(each["name"], each["verdict"]) for each in report["scenarios"]] == [
            ("quick", "pass"),
            ("bad_day", "inconclusive"),
        ]
        assert list(read_history(quick))[-1].outcome == "completed"
        assert list(read_history(bad_day))[-1].outcome == "interrupted"

    @pytest.mark.parametrize(
        "kill", [os.kill, os.killpg, kill_twice], ids=["alone", "with its workers", "twice"]
    )
    def test_sigterm_ends_it_as_ctrl_c_does_and_leaves_no_worker(self, tmp_path, kill):
        """As `kill`, `timeout` and a supervisor send it. Workers would hold its output open."""
        out = tmp_path / "out"
        process = started(out)
        kill(process.pid, signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=30)
        assert process.returncode == 3, stdout + stderr
        assert "Traceback" not in stderr
        assert report_in(out)["verdict"] == "inconclusive"
        assert list(read_history(out / "bad_day" / "history.jsonl"))[-1].outcome == "interrupted"

    def test_workers_end_with_the_command_they_work_for(self, tmp_path):
        """Killed, it can tell them nothing; as long as one lives, its output stays open."""
        process = started(tmp_path / "out")
        process.kill()
        process.communicate(timeout=30)

    @pytest.mark.skipif(not LINUX, reason="finds the workers in /proc, which only Linux has")
    def test_a_worker_that_is_killed_is_told_of_in_a_message_and_in_the_report(self, tmp_path):
        """As the system does when memory runs out."""
        out = tmp_path / "out"
        process = started(out)
        for worker in workers_of(process):
            os.kill(worker, signal.SIGKILL)
        stdout, stderr = process.communicate(timeout=30)
        assert process.returncode == 4, stdout + stderr
        assert "Traceback" not in stderr
        assert "bad_day: killed: its worker process is gone" in " ".join(stderr.split())
        assert "interrupted: bad_day did not run" in report_in(out)["reasons"]

    def test_a_package_whose_fault_cannot_be_used_is_one_message(self, tmp_path):
        """It is found before there is a command that could tell of it."""
        installed = tmp_path / "meteors-1.0.dist-info"
        installed.mkdir()
        (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: meteors\nVersion: 1.0\n")
        (installed / "entry_points.txt").write_text(
            "[foxtrot_chaos.faults]\nmeteor = nowhere:Meteor"
        )
        done = subprocess.run(
            [*COMMAND, "validate", str(SCENARIOS)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("entry point 'meteor' of meteors (foxtrot_chaos.faults, ")
        assert done.stderr.endswith("mend or uninstall that package\n")
        assert len(done.stderr.splitlines()) == 1

    @pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
    def test_an_output_that_lacks_the_signs_gets_them_written_out(self, tmp_path, encoding):
        """A pass is no crash of the harness because of its tick. `?` would say inconclusive."""
        (tmp_path / "quick.yaml").write_text(SHORT.replace("scenario: short", "scenario: quick"))
        done = subprocess.run(
            [*COMMAND, "run", str(tmp_path / "quick.yaml"), "--out", str(tmp_path / "out")],
            cwd=ROOT,
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode(encoding)
        assert done.stdout.startswith(rb"\u2713 Pass: 1 scenario")

    @pytest.mark.parametrize("words", [["faults"], ["schema"], ["validate", str(SCENARIOS)]])
    def test_a_reader_who_goes_away_is_no_failure(self, words):
        """As with `| head -1`: exit code 1 would say that a check failed."""
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=ROOT,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        os.close(writing)
        assert (done.returncode, done.stderr) == (0, "")

    def test_an_output_that_is_closed_is_done_without(self):
        done = subprocess.run(
            ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, "validate", str(SCENARIOS)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_the_console_script_answers(self):
        done = subprocess.run(
            [*COMMAND, "-h"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        commands = [name for name in ("run", "validate", "schema", "report") if name in done.stdout]
        assert commands == ["run", "validate", "schema", "report"]
        assert done.stderr == ""
