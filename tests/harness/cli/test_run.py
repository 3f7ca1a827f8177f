"""`foxtrot-chaos run`: what it does, what it writes where, and what it exits with."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import orjson
import pytest

from harness import batch, cli, stored

from .samples import METRICS, REPORTS, SCENARIOS, SHORT, report_in


class TestRun:
    def test_a_scenario_that_holds_exits_0_and_leaves_all_reports(self, chaos, scenario, tmp_path):
        out = tmp_path / "out"
        result = chaos("run", scenario(), "--out", out, "--jobs", 1)
        assert result.exit_code == 0, result.output
        assert {path.name for path in out.iterdir()} == {*REPORTS, "short"}
        assert [path.name for path in (out / "short").iterdir()] == ["history.jsonl"]
        lines = result.stdout.splitlines()
        assert lines[0].startswith("✓ Pass: 1 scenario")
        assert lines[1] == f"foxtrot-chaos run {scenario()}"
        assert lines[-1] == f"report: {out / 'report.html'}"
        assert result.stderr == "running 1 scenario on 1 process\n"  # progress is not output

    def test_the_report_for_programs_has_the_promised_shape(
        self, chaos, scenario, tmp_path, inline
    ):
        inline()
        out = tmp_path / "out"
        chaos("run", scenario(), "--out", out, "--seed", 5, "--policy", "default", "--jobs", 1)
        report = report_in(out)
        assert report["schema_version"] == 1
        assert report["verdict"] in {"pass", "fail", "inconclusive"}
        assert report["command"] == f"foxtrot-chaos run {scenario()} --seed 5 --policy default"
        assert (report["seed"], report["policy"]) == (5, "default")
        (told,) = report["scenarios"]
        for metrics in (report["metrics"], told["metrics"]):
            assert tuple(metrics) == METRICS
            for metric in metrics.values():
                assert {"value", "n", "target", "interval", "verdict"} <= metric.keys()
                assert (metric["value"] is None) == (metric["n"] == 0)
                assert metric["interval"] is None or len(metric["interval"]) == 2
        assert (told["name"], told["seed"], told["verdict"]) == ("short", 5, report["verdict"])
        history = (out / "short" / "history.jsonl").read_bytes()
        assert orjson.loads(history.splitlines()[-1])["digest"] == told["digest"]
        assert len(told["invariants"]) > 8
        for invariant in told["invariants"]:
            assert {"name", "verdict", "evidence"} <= invariant.keys()
            assert isinstance(invariant["evidence"], list)
        (fault,) = told["faults"]
        named = [fault[key] for key in ("kind", "category", "armed", "fired")]
        assert named[:3] == ["disconnect", "connection", True]
        assert fault["fired"] >= 1

    def test_junit_has_a_case_for_every_invariant_and_metric(
        self, chaos, scenario, tmp_path, inline
    ):
        inline()
        out = tmp_path / "out"
        chaos("run", scenario(), "--out", out, "--jobs", 1)
        suites = ET.parse(out / "junit.xml").getroot()
        cases = {case.get("name") for case in suites.iter("testcase")}
        (told,) = report_in(out)["scenarios"]
        expected = {*METRICS, *(invariant["name"] for invariant in told["invariants"])}
        assert expected <= {name.rpartition(".")[2] for name in cases}

    def test_without_the_core_s_protection_it_exits_1_and_says_why(
        self, chaos, scenario, tmp_path, inline
    ):
        inline()
        out = tmp_path / "out"
        result = chaos("run", scenario(), "--out", out, "--policy", "none", "--jobs", 1)
        assert result.exit_code == 1
        assert result.stdout.startswith("✕ Fail: 1 of 1 scenario failed")
        report = report_in(out)
        assert (report["verdict"], report["policy"]) == ("fail", "none")
        assert any("recover" in reason for reason in report["reasons"])

    def test_a_fault_that_never_fired_exits_3(self, chaos, scenario, tmp_path, inline):
        inline()
        text = SHORT.replace("orders: 2/s", "orders: 0/s").replace(
            "{kind: disconnect, variant: reset,", "{kind: reject, variant: market_closed,"
        )
        result = chaos("run", scenario(text), "--out", tmp_path / "out", "--jobs", 1)
        assert result.exit_code == 3
        assert "every_fault_fired" in result.stdout

    def test_a_fault_whose_window_is_after_the_end_exits_3_and_says_so(
        self, chaos, scenario, tmp_path, inline
    ):
        inline()
        late = SHORT.replace("at: 20s, for: 2s", "at: 2h, for: 2s")
        assert late != SHORT
        result = chaos("run", scenario(late), "--out", tmp_path / "out", "--jobs", 1)
        assert result.exit_code == 3
        assert "never fired: to begin at t=7200s" in result.stdout

    def test_a_run_that_crashed_exits_4_and_says_where(self, chaos, scenario, tmp_path, inline):
        def patch(world):
            raise RuntimeError("cannot be built")

        inline(patch=patch)
        result = chaos("run", scenario(), "--out", tmp_path / "out")
        assert result.exit_code == 4
        assert "short: crashed: RuntimeError: cannot be built (test_run.py:" in result.stderr
        assert report_in(tmp_path / "out")["verdict"] == "fail"

    def test_a_harness_that_breaks_altogether_exits_4_with_its_traceback(
        self, monkeypatch, capsys, scenario, tmp_path, inline
    ):
        """Python's own exit code is 1, which would say that a target was missed."""

        def broken(number, job):
            raise RuntimeError("a worker died")

        inline(broken)
        words = ["foxtrot-chaos", "run", str(scenario()), "--out", str(tmp_path / "out")]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert left.value.code == 4
        assert "RuntimeError: a worker died" in capsys.readouterr().err

    def test_without_out_the_reports_go_to_a_folder_named_by_the_time(
        self, chaos, scenario, inline
    ):
        inline()
        chaos("run", scenario())
        (folder,) = Path("reports").iterdir()
        assert folder.name.startswith("run-20")
        assert {path.name for path in folder.iterdir()} == {*REPORTS, "short"}

    def test_runs_that_begin_in_the_same_second_have_a_folder_each(
        self, chaos, scenario, inline, monkeypatch
    ):
        class Noon(dt.datetime):
            @classmethod
            def now(cls, tz=None):
                return cls(2026, 1, 2, 12, 0, 0, tzinfo=tz)

        monkeypatch.setattr(stored, "dt", SimpleNamespace(datetime=Noon))
        inline()
        for _ in range(3):
            chaos("run", scenario())
        names = sorted(path.name for path in Path("reports").iterdir())
        assert names == [f"run-20260102-120000{end}" for end in ("", "-2", "-3")]

    def test_two_runs_that_differ_exit_1_and_name_the_difference(
        self, chaos, scenario, tmp_path, inline
    ):
        def differing(number, job):
            return batch.replace(batch._run_job(number, job), difference="line 12: this, not that")

        inline(differing)
        result = chaos("run", scenario(), "--out", tmp_path / "out", "--check-determinism")
        assert result.exit_code == 1
        why = "short: two runs of one seed differ at line 12: this, not that"
        report = report_in(tmp_path / "out")
        assert report["reasons"][0] == why
        assert report["command"].endswith(" --check-determinism"), "else it does not reproduce this"

    def test_a_check_of_determinism_that_was_stopped_exits_3(
        self, chaos, scenario, tmp_path, inline
    ):
        def stopped(number, job):
            return batch.replace(batch._run_job(number, job), is_unchecked=True)

        inline(stopped)
        result = chaos("run", scenario(), "--out", tmp_path / "out", "--check-determinism")
        assert result.exit_code == 3
        why = "interrupted: short did not run a second time"
        assert report_in(tmp_path / "out")["reasons"] == [why]

    def test_nothing_that_ran_exits_3(self, chaos, scenario, tmp_path, inline):
        inline(lambda _number, job: batch.Finished(job))
        result = chaos("run", scenario(), "--out", tmp_path / "out")
        assert result.exit_code == 3
        assert "interrupted: short did not run" in report_in(tmp_path / "out")["reasons"]

    def test_the_story_without_faults_holds_twice_over(self, chaos, tmp_path):
        out = tmp_path / "out"
        quiet_day = SCENARIOS / "quiet_day.yaml"
        result = chaos("run", quiet_day, "--out", out, "--check-determinism", "--jobs", 1)
        assert result.exit_code == 0, result.output
        assert report_in(out)["reasons"] == []
