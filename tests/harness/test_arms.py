"""The control jobs: the same seed and market, run again, kept apart, and joined to their run."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from harness import batch
from harness.arms import control_result, forget, is_arm, joined, unfinished, with_control
from harness.batch import Finished, Job
from harness.control import ARMS
from harness.history import read_history

RESET = {"kind": "disconnect", "variant": "reset", "at": "30s", "for": "4s"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, scenario_of):
    """A small scenario with its two control jobs, all done."""
    workload = {"orders": "4/s", "market_orders": 0, "cancels": 0}
    scenario = scenario_of(RESET, workload=workload, duration="90s")
    job = Job(scenario, tmp_path_factory.mktemp("arms") / "small")
    return [batch._run_job(1, each) for each in with_control(job)]


def intents(finished):
    return {
        event.id: (event.t, event.details["client_id"], event.details["side"])
        for event in read_history(finished.job.folder / "history.jsonl")
        if event.kind == "client.invoke" and event.details["operation"] == "order.place"
    }


def test_a_job_gets_one_without_faults_and_one_without_resilience(tmp_path, scenario_of):
    job = Job(scenario_of(RESET), tmp_path / "small")
    run, free, plain = with_control(job)
    assert run == replace(job, arm="with_core")
    assert (free.scenario.faults, free.scenario.drawn, free.policy) == ((), None, None)
    assert free.scenario.seed == plain.scenario.seed == job.scenario.seed
    assert (plain.scenario, plain.policy) == (job.scenario, "none")
    assert [each.folder.relative_to(tmp_path).as_posix() for each in (run, free, plain)] == [
        "small",
        "small/control/no_faults",
        "small/control/no_resilience",
    ]
    assert [each.name for each in (run, free, plain)] == [
        "small",
        "small (no_faults)",
        "small (no_resilience)",
    ]


def test_the_same_intents_are_made_in_every_arm(runs):
    first, *others = (list(intents(run).values()) for run in runs)
    assert len(first) > 50
    assert [[who for _, *who in other] for other in others] == [[w for _, *w in first]] * 2


def test_the_run_carries_the_comparison_and_the_control_jobs_are_gone(runs):
    (run,) = joined(runs)
    control = run.result.control
    assert run.job.scenario.name == "small"
    assert list(control.arms) == list(ARMS)
    assert (control.paired > 50, control.unpaired) == (True, 0)


def test_a_client_without_resilience_loses_what_the_core_keeps(runs):
    """One reset, and a plain client is deaf for good: it misses fills and its books are wrong."""
    (run,) = joined(runs)
    arms = run.result.control.arms
    assert arms["no_faults"].missed == arms["no_faults"].downtime == 0
    assert arms["with_core"].unbooked == arms["with_core"].position_gap == 0
    assert arms["no_resilience"].unbooked > 0
    assert arms["no_resilience"].missed > arms["with_core"].missed
    assert arms["no_resilience"].downtime > arms["with_core"].downtime > 0


def test_the_comparison_is_made_again_from_the_stored_histories(runs):
    (run,) = joined(runs)
    history = run.job.folder / "history.jsonl"
    assert control_result(history) == run.result.control
    found = sorted(run.job.folder.rglob("history.jsonl"))
    assert len(found) == 3
    assert [path for path in found if not is_arm(path)] == [history]


def test_a_run_whose_control_jobs_did_not_run_has_no_comparison(runs, tmp_path):
    run, free, plain = runs
    (alone,) = joined([run, Finished(free.job), plain])
    assert alone.result.control is None
    assert control_result(tmp_path / "history.jsonl") is None


def test_an_arm_that_was_stopped_half_way_is_not_compared(runs):
    """What it had no time to trade would count as missed."""
    run, free, plain = runs
    for short in (
        [replace(run, ending="interrupted"), free, plain],
        [run, replace(free, ending="interrupted"), plain],
    ):
        assert [each.result.control for each in joined(short)] == [None]
    stopped = replace(free, ending="interrupted")
    assert unfinished(stopped) == "small (no_faults) was stopped"
    assert (unfinished(run), unfinished(replace(run, ending="interrupted"))) == ("", "")
    assert unfinished(Finished(plain.job)) == "small (no_resilience) did not run"
    assert unfinished(replace(run, is_unchecked=True)) == "small did not run a second time"


def test_arms_of_another_seed_or_of_another_day_are_not_compared(runs, tmp_path):
    """A folder that is used again may hold the arms of the run of before."""
    run, _, plain = runs
    again = replace(run.job, scenario=run.job.scenario.with_seed(99), folder=tmp_path / "again")
    batch._run_job(1, again)
    shutil.copytree(run.job.folder / "control", again.folder / "control")
    assert control_result(again.folder / "history.jsonl") is None
    other = replace(run.job, policy="none", folder=tmp_path / "other")
    shutil.copytree(run.job.folder, other.folder)
    shutil.copy(plain.job.folder / "history.jsonl", other.folder)
    assert control_result(other.folder / "history.jsonl") is None, "another policy"


def test_what_an_earlier_run_left_is_forgotten(tmp_path):
    places = ("", "control/no_faults", "control/no_resilience", "control/bare", "else")
    for place in places:
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / "history.jsonl").touch()
    forget([tmp_path])
    left = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("history.jsonl")]
    assert left == ["else/history.jsonl"]
    forget([tmp_path / "not there"])


def test_only_runs_are_repeated_to_prove_them_deterministic(runs):
    assert [batch._is_to_repeat(each) for each in runs] == [True, False, False]
