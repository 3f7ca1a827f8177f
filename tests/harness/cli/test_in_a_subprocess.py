"""The command as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from harness.history import partial_path, read_history

from .samples import COMMAND, ROOT, SCENARIOS, SHORT, report_in


class TestInASubprocess:
    def test_an_interrupt_leaves_what_was_finished_and_a_report_of_the_rest(self, tmp_path):
        """Sent to the whole group, as a terminal does: the workers must not die of it."""
        out, second = tmp_path / "out", tmp_path / "quick.yaml"
        second.write_text(SHORT.replace("scenario: short", "scenario: quick"))
        process = subprocess.Popen(
            [*COMMAND, "run", str(second),
             str(SCENARIOS / "bad_day.yaml"), "--jobs", "2", "--out", str(out)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )  # fmt: skip
        quick, bad_day = (out / name / "history.jsonl" for name in ("quick", "bad_day"))
        deadline = time.monotonic() + 30
        while not (quick.exists() and partial_path(bad_day).exists()):
            assert time.monotonic() < deadline, process.communicate(timeout=5)
            assert process.poll() is None
            time.sleep(0.02)
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

    def test_sigterm_to_the_command_alone_ends_it_as_ctrl_c_does_and_leaves_no_worker(
        self, tmp_path
    ):
        """As `kill` and a supervisor send it. The workers would hold its output open for ever."""
        out = tmp_path / "out"
        process = subprocess.Popen(
            [*COMMAND, "run", str(SCENARIOS / "bad_day.yaml"), "--out", str(out)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        deadline = time.monotonic() + 30
        while not partial_path(out / "bad_day" / "history.jsonl").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.terminate()
        stdout, stderr = process.communicate(timeout=30)
        assert process.returncode == 3, stdout + stderr
        assert report_in(out)["verdict"] == "inconclusive"

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
