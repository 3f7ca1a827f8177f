"""The command: what each word of it does, what it writes where, and what it exits with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import orjson
import pytest
from typer.testing import CliRunner

from harness import batch, cli
from harness.faults.catalogue import CATALOGUE
from harness.history import partial_path, read_history
from harness.run import simulate

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = ROOT / "scenarios"
COMMAND = (sys.executable, "-W", "error", "-c", "from harness.cli import main; main()")
REPORTS = {"report.json", "report.html", "junit.xml", "summary.md"}
METRICS = (
    "classification_coverage",
    "recovery_success_rate",
    "mttr_seconds",
    "context_completeness",
    "breaker_effectiveness",
    "retry_success_rate",
    "escalation_rate",
)

SHORT = f"""\
scenario: short
proves: A connection that is reset is back within seconds.
duration: 60s
settle: 30s
venues:
  - name: BINANCE
    profile: binance
    symbols:
      BTCUSDT: {{price: 60000}}
workload:
  orders: 2/s
faults:
  - {{kind: disconnect, variant: reset, venue: BINANCE, at: 20s, for: 2s}}
unexercised: [{", ".join(METRICS)}]
"""

TEN_MISTAKES = """\
scenario: wrong
proves: Every mistake is found at once.
sead: 7
duration: ninety seconds
venues:
  - name: BINANCE
    profile: binanse
    symbols:
      BTCUSDT: {price: -1}
workload:
  orders: 2
  cancels: 1.5
faults:
  - {kind: disconect, venue: BINANCE, at: 20s}
  - {kind: disconnect, variant: rest, venue: BINANCE, at: 20s}
  - {kind: disconnect, venue: BINANZE, at: 20s}
  - {kind: disconnect, venue: BINANCE, at: 20}
"""


@pytest.fixture
def scenario(tmp_path):
    """Writes a scenario and returns its path."""

    def write(text=SHORT, name="short"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def chaos(monkeypatch, tmp_path):
    """`foxtrot-chaos` in this process, in an empty folder."""
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)

    def run(*words, **options):
        return CliRunner().invoke(cli.app, [str(word) for word in words], **options)

    return run


@pytest.fixture
def inline(monkeypatch):
    """Jobs in this process, so that a test can break them."""

    def use(work=batch._run_job, **options):
        def run_all(jobs, **_):
            return [work(number, job) for number, job in enumerate(jobs, 1)]

        monkeypatch.setattr(cli, "run_all", run_all)
        if options:
            monkeypatch.setattr(batch, "simulate", partial(simulate, **options))

    return use


def stories():
    """The project's own scenarios; the manifest beside them is none."""
    return [path for path in SCENARIOS.glob("*.yaml") if path.name != "manifest.yaml"]


def report_in(folder):
    return orjson.loads((folder / "report.json").read_bytes())


def refused(result):
    """What was said on standard error by a command that refused its input."""
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert isinstance(result.exception, SystemExit)
    return result.stderr


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
        assert "short: crashed: RuntimeError: cannot be built (test_cli.py:" in result.stderr
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

    def test_two_runs_that_differ_exit_1_and_name_the_difference(
        self, chaos, scenario, tmp_path, inline
    ):
        def differing(number, job):
            return batch.replace(batch._run_job(number, job), difference="line 12: this, not that")

        inline(differing)
        result = chaos("run", scenario(), "--out", tmp_path / "out", "--check-determinism")
        assert result.exit_code == 1
        why = "short: two runs of one seed differ at line 12: this, not that"
        assert report_in(tmp_path / "out")["reasons"][0] == why

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


class TestRefusals:
    def test_ten_mistakes_are_ten_lines_and_nothing_is_written(self, chaos, scenario, tmp_path):
        path = scenario(TEN_MISTAKES, "wrong")
        said = refused(chaos("run", path, "--out", tmp_path / "out")).splitlines()
        assert said[-1] == "10 mistakes; nothing was run"
        mistakes = said[:-1]
        assert len(mistakes) == 10
        assert all(line.startswith(f"{path}:") for line in mistakes)
        numbers = [int(line.removeprefix(f"{path}:").partition(":")[0]) for line in mistakes]
        assert numbers == [3, 4, 7, 9, 11, 12, 14, 15, 16, 17]
        for line, word in zip(
            mistakes,
            ("'seed'", None, "'binance'", None, None, None, "'disconnect'", "'reset'", "'BINANCE'",
             None),
            strict=True,
        ):  # fmt: skip
            assert word is None or f"did you mean {word}?" in line, line
        assert not (tmp_path / "out").exists()
        assert not Path("reports").exists()
        assert refused(chaos("validate", path)).splitlines() == said

    def test_mistakes_in_one_file_stop_all(self, chaos, scenario, tmp_path):
        refused(chaos("run", scenario(), scenario(TEN_MISTAKES, "wrong"), "--out", tmp_path / "o"))
        assert not (tmp_path / "o").exists()

    def test_an_unknown_policy_is_told_with_the_nearest(self, chaos, scenario):
        said = refused(chaos("run", scenario(), "--policy", "defualt"))
        assert said == (
            "--policy: expected one of default, none, got 'defualt'; did you mean 'default'?\n"
        )

    def test_a_path_that_is_not_there(self, chaos, tmp_path):
        said = refused(chaos("run", tmp_path / "nowhere"))
        assert said.splitlines()[0].startswith(
            f"{tmp_path / 'nowhere'}:1: expected a readable file"
        )
        assert len(said.splitlines()) == 2

    def test_a_folder_without_scenarios(self, chaos, tmp_path):
        (tmp_path / "empty").mkdir()
        said = refused(chaos("run", tmp_path / "empty"))
        assert said.splitlines()[0] == (
            f"{tmp_path / 'empty'}:1: expected scenarios (*.yaml, *.yml), found none"
        )

    @pytest.mark.parametrize("taken", ["out", "out/short"])
    def test_a_place_that_cannot_be_written_to(self, chaos, scenario, tmp_path, taken):
        file = tmp_path / taken
        file.parent.mkdir(exist_ok=True)
        file.write_text("a file")
        said = refused(chaos("run", scenario(), "--out", tmp_path / "out"))
        assert said == (
            f"{file}: cannot write there (File exists); name another place with --out\n"
        )

    def test_a_tape_that_cannot_be_used(self, chaos, scenario, tmp_path):
        (tmp_path / "trades.csv").write_text("1,2,3\n")
        text = SHORT.replace("    symbols:", "    tape: {csv: trades.csv}\n    symbols:")
        for word in ("run", "validate"):
            said = refused(chaos(word, scenario(text))).splitlines()
            assert said[0].startswith(f"{tmp_path / 'trades.csv'}:1: expected 7 columns")
            assert said[1] == "1 mistake; nothing was run"

    @pytest.mark.parametrize("words", [["run"], ["runn"], ["run", "x.yaml", "--seed", "-1"]])
    def test_words_that_are_no_command(self, chaos, words):
        result = chaos(*words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "Usage: " in result.stderr


class TestValidate:
    def test_the_stories_of_the_project_are_without_a_mistake(self, chaos):
        result = chaos("validate", SCENARIOS)
        count = len(stories())
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout == f"{count} scenarios without a mistake\n"

    def test_it_only_checks(self, chaos, scenario):
        assert chaos("validate", scenario()).stdout == "1 scenario without a mistake\n"
        assert list(Path().iterdir()) == []


class TestSchema:
    def test_it_is_one_json_document_on_standard_output_or_in_a_file(self, chaos, tmp_path):
        printed = chaos("schema")
        assert (printed.exit_code, printed.stderr) == (0, "")
        written = chaos("schema", "--out", tmp_path / "schema.json")
        assert (written.exit_code, written.output) == (0, "")
        assert (tmp_path / "schema.json").read_text() == printed.stdout
        schema = orjson.loads(printed.stdout)
        assert {"scenario", "proves", "duration", "venues"} <= schema["properties"].keys()
        assert set(CATALOGUE) <= set(_constants(schema))

    def test_it_accepts_the_stories_of_the_project(self, chaos):
        jsonschema = pytest.importorskip("jsonschema")
        import yaml

        schema = orjson.loads(chaos("schema").stdout)
        kind = jsonschema.validators.validator_for(schema)
        kind.check_schema(schema)
        validator = kind(schema)
        for path in stories():
            validator.validate(yaml.safe_load(path.read_text()))

    def test_a_place_that_cannot_be_written_to(self, chaos, tmp_path):
        said = refused(chaos("schema", "--out", tmp_path / "nowhere" / "schema.json"))
        assert said.startswith(f"{tmp_path / 'nowhere' / 'schema.json'}: cannot write there")


def _constants(schema):
    """Every word that the schema allows anywhere."""
    if isinstance(schema, dict):
        yield from [schema["const"]] if "const" in schema else []
        yield from schema.get("enum", [])
        for value in schema.values():
            yield from _constants(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _constants(value)


@pytest.fixture
def stored(chaos, scenario, tmp_path, inline):
    """A folder that a run has left."""
    inline()
    out = tmp_path / "stored"
    chaos("run", scenario(), "--out", out)
    return out


class TestReport:
    def test_a_stored_run_is_judged_as_it_was(self, chaos, stored, tmp_path):
        result = chaos("report", stored, "--out", tmp_path / "again")
        assert result.exit_code == 0
        assert result.stdout.splitlines()[-1] == f"report: {tmp_path / 'again' / 'report.html'}"
        before, after = report_in(stored), report_in(tmp_path / "again")
        assert after.pop("command") == f"foxtrot-chaos report {stored}"
        assert before.pop("command").startswith("foxtrot-chaos run ")
        assert after == before

    def test_one_file_is_enough(self, chaos, stored, tmp_path):
        history = stored / "short" / "history.jsonl"
        assert chaos("report", history, "--out", tmp_path / "again").exit_code == 0

    def test_a_failed_run_fails_again(self, chaos, scenario, tmp_path, inline):
        inline()
        out = tmp_path / "out"
        chaos("run", scenario(), "--out", out, "--policy", "none")
        assert chaos("report", out, "--out", tmp_path / "again").exit_code == 1
        assert report_in(tmp_path / "again")["policy"] == "none"

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda lines: [*lines[:5], b"not JSON\n", *lines[6:]], ":6: expected JSON"),
            (lambda lines: lines[:-1], ": expected the digest line, the file ends"),
            (lambda lines: [], ":1: expected the digest line, the file ends"),
            (
                lambda lines: [lines[0].replace(b'"id":"F1"', b'"ID":"F1"'), *lines[1:]],
                ": expected what the lines give, ",
            ),
        ],
    )
    def test_a_history_that_is_not_as_it_was_written(self, chaos, stored, tmp_path, spoil, message):
        """The last one is JSON all through and would crash the judge: the digest is asked first."""
        history = stored / "short" / "history.jsonl"
        history.write_bytes(b"".join(spoil(history.read_bytes().splitlines(keepends=True))))
        said = refused(chaos("report", stored, "--out", tmp_path / "again"))
        assert said.startswith(f"{history}:")
        assert message in said
        assert len(said.splitlines()) == 1
        assert not (tmp_path / "again").exists()

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda path: None, ": expected a history, there is no such file"),
            (Path.mkdir, ": expected a folder with history.jsonl files in it, found none"),
            (
                lambda path: (path / "history.jsonl").mkdir(parents=True),
                "/history.jsonl: cannot be read (Is a directory)",
            ),
            (
                lambda path: partial_path(path).write_text(""),
                ": expected a history, there is no such file; an interrupted run left",
            ),
        ],
    )
    def test_a_place_without_a_history(self, chaos, tmp_path, make, message):
        path = tmp_path / "place" / "there"
        make(path)
        said = refused(chaos("report", path, "--out", tmp_path / "again"))
        assert said.startswith(f"{path}{message}")
        assert len(said.splitlines()) == 1


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
