"""`foxtrot-chaos run` with --control and --coverage, and with the whole mix."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness import batch

from .samples import refused, report_in

MANIFEST = """\
mix: [short]
kinds:
  disconnect:
    per_month: 30
    basis: documented
    why: Every 24 hours.
    sources: [https://example.com]
"""


class TestControlCoverageAndMix:
    def test_control_runs_the_other_arms_beside_it(self, chaos, scenario, tmp_path, inline):
        inline()
        out = tmp_path / "out"
        result = chaos("run", scenario(), "--out", out, "--control")
        assert result.exit_code == 0, result.output
        found = sorted(path.relative_to(out).as_posix() for path in out.rglob("history.jsonl"))
        assert found == [
            "short/control/no_faults/history.jsonl",
            "short/control/no_resilience/history.jsonl",
            "short/history.jsonl",
        ]
        report = report_in(out)
        assert [each["name"] for each in report["scenarios"]] == ["short"]
        assert list(report["scenarios"][0]["control"]["arms"]) == [
            "no_faults",
            "with_core",
            "no_resilience",
        ]
        assert report["command"].endswith(" --control")
        assert "Without resilience the same faults" in result.stdout.replace("\n", " ")
        again = tmp_path / "again"
        assert chaos("report", out, "--out", again).exit_code == 0
        assert report_in(again)["control"] == report["control"]

    def test_what_a_run_of_before_left_is_not_taken_for_its_own(
        self, chaos, scenario, tmp_path, inline
    ):
        """The arms of another seed would be compared with it, and it would miss all their fills."""
        inline()
        out, again = tmp_path / "out", tmp_path / "again"
        chaos("run", scenario(), "--out", out, "--control")
        chaos("run", scenario(), "--out", out, "--seed", "77")
        assert chaos("report", out, "--out", again).exit_code == 0
        assert report_in(again)["control"] is None
        inline(lambda _, job: batch.Finished(job))
        chaos("run", scenario(), "--out", out)
        assert list(out.rglob("history.jsonl")) == [], "stopped before it began"

    def test_an_arm_that_was_stopped_makes_the_run_inconclusive(
        self, chaos, scenario, tmp_path, inline
    ):
        def work(number, job):
            done = run(number, job)
            return replace(done, ending="interrupted") if job.arm == "no_faults" else done

        run = batch._run_job
        inline(work)
        result = chaos("run", scenario(), "--out", tmp_path / "out", "--control")
        assert result.exit_code == 3
        report = report_in(tmp_path / "out")
        assert "interrupted: short (no_faults) was stopped" in report["reasons"]
        assert report["control"] is None

    def test_an_arm_that_breaks_is_named_and_breaks_the_run(
        self, chaos, scenario, tmp_path, inline
    ):
        def work(number, job):
            is_plain = job.arm == "no_resilience"
            return batch.Finished(job, None, None, "crashed", "x") if is_plain else run(number, job)

        run = batch._run_job
        inline(work)
        result = chaos("run", scenario(), "--out", tmp_path / "out", "--control")
        assert result.exit_code == 4
        assert "short (no_resilience): crashed: x" in result.stderr

    def test_coverage_prints_what_is_left_of_the_fault_space(
        self, chaos, scenario, tmp_path, inline
    ):
        inline()
        result = chaos("run", scenario(), "--out", tmp_path / "out", "--coverage")
        lines = result.stdout.splitlines()
        head = next(n for n, line in enumerate(lines) if "of the fault space reached" in line)
        assert lines[head + 1].startswith("  never struck: refuse, flap, ")
        assert lines[head + 2].startswith("  disconnect/")

    def test_the_whole_mix_is_judged_by_intervals_and_so_is_its_stored_run(
        self, chaos, scenario, tmp_path, inline
    ):
        inline()
        (scenario().parent / "manifest.yaml").write_text(MANIFEST)
        out = tmp_path / "out"
        assert chaos("run", scenario(), "--out", out).exit_code == 3
        report = report_in(out)
        assert (report["gate"], report["mix"]["covered"]) == ("interval", True)
        assert report["mix"]["kinds"][0]["incidents"] == 1
        assert chaos("report", out, "--out", tmp_path / "again").exit_code == 3
        assert report_in(tmp_path / "again")["mix"] == report["mix"]

    @pytest.mark.parametrize("command", ["run", "validate"])
    def test_a_mistake_in_the_manifest_is_one_of_the_scenarios(self, chaos, scenario, command):
        manifest = scenario().parent / "manifest.yaml"
        manifest.write_text(MANIFEST.replace("disconnect", "ban"))
        said = refused(chaos(command, scenario()))
        assert said == (
            f"{manifest}:2: expected how often 'disconnect' happens, which short of the mix uses\n"
            "1 mistake; nothing was run\n"
        )
