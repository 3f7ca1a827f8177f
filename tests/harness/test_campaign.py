"""Campaigns: many seeds, one line each, taken up again where they were stopped."""

from __future__ import annotations

import errno
import functools
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from harness import batch, campaign, cli
from harness.campaign import CAMPAIGN_NAME, Campaign, SeedOutcome, fingerprint, tally
from harness.faults.catalogue import CATALOGUE
from harness.scenario import Scenario, load
from harness.world import NAMES

METRICS = (
    "classification_coverage",
    "recovery_success_rate",
    "mttr_seconds",
    "context_completeness",
    "breaker_effectiveness",
    "retry_success_rate",
    "escalation_rate",
)
QUIET = f"""\
scenario: quiet
proves: Nothing happens, and nothing is made of it.
duration: 20s
settle: 10s
venues:
  - name: BINANCE
    profile: binance
    symbols:
      BTCUSDT: {{price: 60000}}
workload:
  orders: 1/s
unexercised: [{", ".join(METRICS)}]
"""


ON_A_POOL = campaign.run_all
sources_read_once = functools.cache(campaign.imported_sources)


def in_turn(jobs, *, workers, on_progress):
    """What `run_all` does, in this process."""
    finished = []
    for number, job in enumerate(jobs, 1):
        finished.append(batch._run_job(number, job))
        on_progress([1.0] * number + [0.0] * (len(jobs) - number))
    return finished


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A pool begins in a second, and reading the sources takes half of one: once is enough."""
    monkeypatch.setattr(campaign, "run_all", in_turn)
    monkeypatch.setattr(campaign, "imported_sources", sources_read_once)


@pytest.fixture
def quiet(tmp_path: Path) -> Scenario:
    path = tmp_path / "quiet.yaml"
    path.write_text(QUIET)
    return load(path, catalogue=CATALOGUE, names=NAMES)


def lines(folder: Path) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in (folder / CAMPAIGN_NAME).read_bytes().splitlines()]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds that are really run from here on."""
    seeds: list[int] = []
    run_all = campaign.run_all

    def spy(jobs, **options):
        seeds.extend(job.scenario.seed for job in jobs)
        return run_all(jobs, **options)

    monkeypatch.setattr(campaign, "run_all", spy)
    return seeds


def run(scenario: Scenario, folder: Path, seeds: range) -> list[SeedOutcome]:
    folder.mkdir(exist_ok=True)
    return Campaign((scenario,), folder).run(seeds, workers=1)


def test_each_seed_leaves_a_line_and_what_passed_leaves_no_history(quiet, tmp_path, monkeypatch):
    monkeypatch.setattr(campaign, "run_all", ON_A_POOL)
    outcomes = run(quiet, tmp_path / "out", range(1, 3))
    assert [(each.seed, each.verdict, each.scenarios) for each in outcomes] == [
        (1, "pass", {"quiet": "pass"}),
        (2, "pass", {"quiet": "pass"}),
    ]
    assert [each["seed"] for each in lines(tmp_path / "out")] == [1, 2]
    assert [path.name for path in (tmp_path / "out").iterdir()] == [CAMPAIGN_NAME]


def test_a_campaign_runs_only_the_seeds_that_have_no_line(quiet, tmp_path, monkeypatch):
    first = run(quiet, tmp_path / "out", range(1, 2))
    really = counted(monkeypatch)
    again = run(quiet, tmp_path / "out", range(1, 3))
    assert really == [2]
    assert again[0] == first[0]


def test_lines_of_other_code_or_scenarios_are_kept_and_their_seeds_run_again(
    quiet, tmp_path, monkeypatch
):
    run(quiet, tmp_path / "out", range(1, 2))
    really = counted(monkeypatch)
    run(quiet.model_copy(update={"duration": 21.0}), tmp_path / "out", range(1, 2))
    assert really == [1]
    assert [each["seed"] for each in lines(tmp_path / "out")] == [1, 1]
    assert len({str(each["code"]) for each in lines(tmp_path / "out")}) == 2


def test_a_seed_that_did_not_pass_keeps_its_history_and_its_reasons(quiet, tmp_path):
    untouched = quiet.model_copy(update={"unexercised": ()})
    (outcome,) = run(untouched, tmp_path / "out", range(5, 6))
    assert outcome.verdict == "inconclusive"
    assert outcome.reasons
    assert (tmp_path / "out" / "seed-5" / "quiet" / "history.jsonl").is_file()


def test_a_seed_that_was_stopped_has_no_line(quiet, tmp_path, monkeypatch):
    """Ctrl-C in the second chunk: the first is kept, and the rest is run the next time."""
    run_all = campaign.run_all
    chunks: list[int] = []

    def stopped(jobs, **options):
        chunks.append(len(jobs))
        if len(chunks) == 1:
            return run_all(jobs, **options)
        return [campaign.Finished(job) for job in jobs]

    monkeypatch.setattr(campaign, "run_all", stopped)
    outcomes = run(quiet, tmp_path / "out", range(1, 10))
    assert chunks == [4, 4]
    assert [each.seed for each in outcomes] == [1, 2, 3, 4]
    assert [each["seed"] for each in lines(tmp_path / "out")] == [1, 2, 3, 4]


def test_a_killed_worker_is_told_of_and_its_seed_has_no_line(quiet, tmp_path, monkeypatch):
    run_all = campaign.run_all

    def killed(jobs, **options):
        gone = campaign.Finished(jobs[-1], ending="killed", detail="its worker process is gone")
        return [*run_all(jobs[:-1], **options), gone]

    monkeypatch.setattr(campaign, "run_all", killed)
    with pytest.raises(campaign.WorkerKilledError, match="quiet: its worker process is gone"):
        run(quiet, tmp_path / "out", range(1, 4))
    assert [each["seed"] for each in lines(tmp_path / "out")] == [1, 2]


def test_two_sweeps_in_one_folder_keep_each_other_s_lines(quiet, tmp_path, monkeypatch):
    """The folder is the same by default; the second was begun before the first had a line."""
    run_all, is_first = campaign.run_all, True

    def meanwhile(jobs, **options):
        nonlocal is_first
        if is_first:
            is_first = False
            run(quiet, tmp_path / "out", range(11, 13))
        return run_all(jobs, **options)

    monkeypatch.setattr(campaign, "run_all", meanwhile)
    outcomes = run(quiet, tmp_path / "out", range(1, 3))
    assert [each.seed for each in outcomes] == [1, 2]
    assert [each["seed"] for each in lines(tmp_path / "out")] == [11, 12, 1, 2]


def test_what_was_not_run_is_not_tallied():
    assert tally([]) == "0 seeds; 0 runs"
    one = SeedOutcome(seed=1, code="c", verdict="pass", scenarios={"quiet": "pass"})
    assert tally([one]) == "1 seed: 1 pass; 1 run: 1 pass"


class TestCommand:
    def invoke(self, tmp_path: Path, *words: str):
        (tmp_path / "quiet.yaml").write_text(QUIET)
        out = ["--out", str(tmp_path / "out")]
        return CliRunner().invoke(cli.app, ["sweep", str(tmp_path / "quiet.yaml"), *out, *words])

    def test_it_tallies_seeds_and_runs(self, tmp_path):
        result = self.invoke(tmp_path, "--seeds", "1-2")
        assert result.exit_code == 0, result.output
        assert "2 seeds: 2 pass; 2 runs: 2 pass" in result.output

    def test_each_seed_is_told_when_it_is_done_and_not_at_the_end(self, tmp_path, monkeypatch):
        run_all, told, told_before = campaign.run_all, [], []

        def watched(jobs, **options):
            told_before.append(list(told))
            return run_all(jobs, **options)

        monkeypatch.setattr(campaign, "run_all", watched)
        monkeypatch.setattr(cli, "tell", told.append)
        assert self.invoke(tmp_path, "--seeds", "1-5").exit_code == 0
        assert told_before == [[], [f"seed {seed}: pass" for seed in range(1, 5)]]
        assert told[-1] == "seed 5: pass"

    def test_a_red_seed_comes_with_the_command_that_shows_it(self, tmp_path):
        text = QUIET.replace(f"unexercised: [{', '.join(METRICS)}]\n", "")
        (tmp_path / "bare.yaml").write_text(text.replace("scenario: quiet", "scenario: bare"))
        words = ["sweep", str(tmp_path / "bare.yaml"), "--seeds", "7", "--out", str(tmp_path / "o")]
        result = CliRunner().invoke(cli.app, words)
        assert result.exit_code == 3
        assert f"foxtrot-chaos run {tmp_path / 'bare.yaml'} --seed 7" in result.output

    @pytest.mark.parametrize("seeds", ["9-3", "one", "1-", "-4", "1-2-3"])
    def test_seeds_that_are_none_are_refused(self, tmp_path, seeds):
        result = self.invoke(tmp_path, f"--seeds={seeds}")
        assert result.exit_code == 2
        assert "--seeds: expected FROM-TO" in result.output
        assert seeds in result.output

    @pytest.mark.parametrize(
        ("seeds", "message"),
        [
            ("1-99999999999999999999", "expected seeds up to 999999999999999999"),
            ("18446744073709551616", "expected seeds up to 999999999999999999"),
            ("9" * 5000, "expected seeds up to 999999999999999999"),
            ("1-1000001", "expected at most 1,000,000 seeds at a time"),
        ],
    )
    def test_seeds_that_are_too_large_or_too_many_are_refused(self, tmp_path, seeds, message):
        """Beyond 64 bits no history could hold them; the run would be over before that is seen."""
        result = self.invoke(tmp_path, "--seeds", seeds)
        assert result.exit_code == 2
        assert f"--seeds: {message}" in result.output

    @pytest.mark.parametrize(
        "line",
        [
            "",
            "{}",
            "[]",
            '{"seed": 1, "code": "CODE", "verdict": "green", "reasons": []}',
            '{"seed": "1", "code": "CODE", "verdict": "pass", "reasons": []}',
            '{"seed": 1, "code": "CODE", "verdict": "pass", "reasons": [7]}',
            '{"seed": 1, "code": "CODE", "verdict": "pass", "reasons": [], "scenarios": 5}',
            '{"seed": 1, "code": "CODE", "verdict": "pass", "reasons": [], "scenarios": {"a": 5}}',
        ],
    )
    def test_a_line_that_is_none_is_refused_by_its_place_and_kept(self, tmp_path, quiet, line):
        line = line.replace("CODE", fingerprint((quiet,)))
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / CAMPAIGN_NAME).write_text(f"{line}\n")
        result = self.invoke(tmp_path, "--seeds", "1")
        assert result.exit_code == 2
        assert f"{CAMPAIGN_NAME}:1: expected the outcome of a seed" in result.output
        assert (tmp_path / "out" / CAMPAIGN_NAME).read_text() == f"{line}\n"

    def test_lines_that_cannot_be_read_are_refused(self, tmp_path):
        (tmp_path / "out" / CAMPAIGN_NAME).mkdir(parents=True)
        result = self.invoke(tmp_path, "--seeds", "1")
        assert result.exit_code == 2
        assert f"{CAMPAIGN_NAME}: cannot be read (Is a directory)" in result.output

    def test_a_full_disk_is_one_message(self, tmp_path, monkeypatch):
        def full(jobs, **options):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(campaign, "run_all", full)
        result = self.invoke(tmp_path, "--seeds", "1")
        assert result.exit_code == 2
        said = "cannot write there (No space left on device); name another place with --out"
        assert f"{tmp_path / 'out'}: {said}" in result.output
