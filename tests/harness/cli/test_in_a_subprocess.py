"""The command as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import time

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
