"""Side by side: jobs, the second run that proves the first, and Ctrl-C at any moment."""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing as mp
import os
import random
import signal
import threading
import time
from functools import partial

import pytest

from harness import batch
from harness.batch import Finished, Job, run_all
from harness.history import read_history
from harness.run import HISTORY_NAME, simulate
from harness.verdict import Verdict

BRIEF = {"duration": "20s", "settle": "5s"}


def work_until_killed(number, job):
    """The first is done, the second takes for ever, the third is killed."""
    if number == 2:
        time.sleep(600)
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return Finished(job, ending="completed")


def kill_or_be_deaf(number, job):
    """The first is killed while the second is where no signal is handled, and then for ever."""
    if number == 1:
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 3_000_000)
    time.sleep(600)


def die_with_the_lock(number, job):
    """Of what is shared, if it has one."""
    if number == 1:
        with contextlib.suppress(AttributeError):
            batch._shares.get_lock().acquire()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)


def work_and_tell_who(number, job):
    """The first to be done waits for more at the queue's lock, and the other one behind it."""
    time.sleep(number / 2)
    batch._shares[number] = os.getpid()
    return Finished(job, ending="completed")


@pytest.fixture
def job(tmp_path, scenario_of):
    return Job(scenario_of(**BRIEF), tmp_path / "small")


@pytest.fixture
def told(monkeypatch):
    """The array by which a worker is told to stop, and tells how far it is."""
    array = mp.get_context("spawn").Array("d", 3)
    monkeypatch.setattr(batch, "_shares", array)
    return array


class TestAJob:
    def test_it_is_simulated_and_judged_from_what_it_wrote(self, job):
        finished = batch._run_job(1, job)
        assert (finished.job, finished.ending, finished.difference) == (job, "completed", "")
        assert list(read_history(job.folder / HISTORY_NAME))[-1].outcome == "completed"
        last = (job.folder / HISTORY_NAME).read_bytes().splitlines()[-1].decode()
        assert finished.result.digest in last
        assert finished.result.name == "small"

    def test_it_runs_under_the_policy_that_was_asked_for(self, tmp_path, scenario_of):
        job = Job(scenario_of(**BRIEF), tmp_path / "small", "none")
        assert batch._run_job(1, job).result.policy == "none"

    def test_one_that_breaks_says_why(self, job, monkeypatch):
        def patch(world):
            raise RuntimeError("cannot be built")

        monkeypatch.setattr(batch, "simulate", partial(simulate, patch=patch))
        finished = batch._run_job(1, job)
        assert finished.ending == "crashed"
        assert "RuntimeError: cannot be built" in finished.detail
        assert finished.result.verdict is Verdict.FAIL

    def test_it_tells_how_far_it_is_in_its_own_place(self, job, told):
        batch._run_job(2, job)
        assert told[1] == 0.0
        assert told[2] > 0.9

    def test_stopped_before_it_begins_it_leaves_nothing(self, job, told):
        told[0] = 1.0
        assert batch._run_job(1, job) == Finished(job)
        assert not job.folder.exists()

    def test_stopped_while_it_runs_it_keeps_what_it_has(self, job, told, monkeypatch):
        def patch(world):
            world.loop.call_at(10.0, told.__setitem__, 0, 1.0)

        monkeypatch.setattr(batch, "simulate", partial(simulate, patch=patch))
        finished = batch._run_job(1, job)
        assert finished.ending == "interrupted"
        events = list(read_history(job.folder / HISTORY_NAME))
        assert (events[-1].kind, events[-1].outcome) == ("run.end", "interrupted")
        assert 9.9 < events[-1].t < 11.0
        assert finished.result.verdict is Verdict.INCONCLUSIVE


class TestTheSecondRun:
    def test_of_the_same_seed_it_is_the_same(self, job):
        first = batch._run_job(1, job)
        assert batch._rerun(1, first) is first

    def test_where_it_differs_the_first_difference_is_named(self, job, monkeypatch):
        """Entropy from outside: what every unseeded draw in the core would look like."""

        def patch(world):
            world.strategy.rng = random.SystemRandom()

        monkeypatch.setattr(batch, "simulate", partial(simulate, patch=patch))
        first = batch._run_job(1, job)
        again = batch._rerun(1, first)
        assert (again.job, again.result, again.ending) == (job, first.result, "completed")
        line = int(again.difference.removeprefix("line ").partition(":")[0])
        assert line > 1
        event = list(read_history(job.folder / HISTORY_NAME))[line - 1]
        assert repr(event) in again.difference
        assert "in the other" in again.difference

    def test_it_leaves_the_first_run_s_history_alone(self, job):
        first = batch._run_job(1, job)
        before = (job.folder / HISTORY_NAME).read_bytes()
        batch._rerun(1, first)
        assert (job.folder / HISTORY_NAME).read_bytes() == before
        assert [path.name for path in job.folder.iterdir()] == [HISTORY_NAME]

    def test_stopped_before_or_while_it_runs_it_has_proved_nothing(self, job, told, monkeypatch):
        """To call that a pass would say that a check was made which was not."""
        first = batch._run_job(1, job)

        def patch(world):
            world.loop.call_at(10.0, told.__setitem__, 0, 1.0)

        monkeypatch.setattr(batch, "simulate", partial(simulate, patch=patch))
        during = batch._rerun(1, first)
        before = batch._rerun(1, first)
        assert (during.is_unchecked, before.is_unchecked) == (True, True)
        assert (during.difference, before.difference) == ("", "")
        assert during.result is first.result


class TestManyJobs:
    def test_none_is_nothing(self):
        assert run_all([], workers=2) == []

    def test_results_come_in_the_order_of_the_jobs(self, tmp_path, scenario_of):
        lengths = {"slow": "60s", "quick": "5s", "other": "10s"}
        jobs = [
            Job(scenario_of(scenario=name, duration=length, settle="5s"), tmp_path / name)
            for name, length in lengths.items()
        ]
        progress = []
        hash_seed, handler = os.environ.get("PYTHONHASHSEED"), signal.getsignal(signal.SIGINT)
        finished = run_all(
            jobs,
            workers=2,
            on_progress=lambda shares: progress.append(list(shares)),
        )
        assert [each.result.name for each in finished] == list(lengths)
        assert [(f.ending, f.difference, f.is_unchecked) for f in finished] == [
            ("completed", "", False)
        ] * 3
        assert all(len(shares) == 3 for shares in progress)
        assert [sum(shares) for shares in progress] == sorted(sum(shares) for shares in progress)
        assert sum(progress[-1]) > 2.5
        assert os.environ.get("PYTHONHASHSEED") == hash_seed
        assert signal.getsignal(signal.SIGINT) is handler

    def test_progress_of_two_rounds_is_one(self):
        seen = []
        halves = batch._Halved(3, seen.append)
        halves.first([1.0, 0.5, 0.0])
        halves.second([0.5, 1.0])
        assert seen == [[0.5, 0.25, 0.0], [0.75, 1.0, 1.0]]


class TestAWorkerThatIsKilled:
    def test_what_is_done_is_kept_and_the_other_workers_end(self, job):
        told = mp.get_context("spawn").Array("d", 5)
        jobs = [job] * 4
        finished = batch._on_pool(work_until_killed, jobs, 2, told, lambda _: None, "0")
        assert [each.ending for each in finished] == ["completed", "killed", "killed", "killed"]
        assert "fewer --jobs" in finished[1].detail
        assert finished[1].result is None

    def test_a_first_run_whose_repetition_was_killed_is_unchecked(self, job):
        told = mp.get_context("spawn").Array("d", 4)
        first = [Finished(job, ending="completed")] * 3
        finished = batch._on_pool(work_until_killed, first, 2, told, lambda _: None, "0")
        assert [each.is_unchecked for each in finished[1:]] == [True, True]
        assert {each.ending for each in finished[1:]} == {"killed"}

    @pytest.mark.parametrize("work", [kill_or_be_deaf, die_with_the_lock])
    def test_ctrl_c_right_after_it_and_a_lock_that_it_had_stop_nobody_from_ending(self, job, work):
        """A supervisor that sees one killed for want of memory sends SIGTERM to the others."""

        def press(_shares):
            told[0] = 1.0

        with batch._stoppable() as shares:
            told = shares(3)
            finished = batch._on_pool(work, [job] * 3, 2, told, press, "0")
        assert [each.ending for each in finished] == ["killed"] * 3

    def test_one_that_is_killed_when_all_is_done_holds_up_nobody(self, job):
        killed = []

        def kill_the_first(shares):
            if all(shares) and not killed:
                time.sleep(0.5)  # the last result is under way
                killed.append(int(shares[0]))
                os.kill(killed[0], signal.SIGKILL)
                time.sleep(0.5)

        with batch._stoppable() as shares:
            told = shares(2)
            finished = batch._on_pool(work_and_tell_who, [job] * 2, 2, told, kill_the_first, "0")
        assert [each.ending for each in finished] == ["completed"] * 2

    def test_one_that_is_killed_before_the_command_gives_up_holds_up_nobody(self, job):
        """A second Ctrl-C, or a fault of the harness: the pool waits for its workers even then."""

        def kill_and_give_up(shares):
            if all(shares):
                time.sleep(0.5)
                os.kill(int(shares[0]), signal.SIGKILL)
                raise KeyboardInterrupt

        with batch._stoppable() as shares, pytest.raises(KeyboardInterrupt):
            batch._on_pool(work_and_tell_who, [job] * 2, 2, shares(2), kill_and_give_up, "0")


class TestInterrupts:
    def test_the_first_stops_every_round_the_second_means_it(self):
        before = signal.getsignal(signal.SIGINT)
        with batch._stoppable() as shares:
            running = shares(2)
            assert list(running) == [0.0, 0.0, 0.0]
            signal.raise_signal(signal.SIGINT)
            assert (running[0], shares(1)[0]) == (1.0, 1.0)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is before

    def test_one_that_comes_while_workers_are_started_is_heard_afterwards(self):
        with batch._stoppable() as shares:
            running = shares(1)
            with batch._deaf_to_signals():
                # To this thread: a process's signal goes to any that listens, such as a test
                # runner's own.
                signal.pthread_kill(threading.get_ident(), signal.SIGINT)
                assert running[0] == 0.0
            assert running[0] == 1.0

    def test_the_environment_is_as_it_was_before(self, monkeypatch):
        monkeypatch.setenv("FOXTROT_TEST", "mine")
        with batch._environment("FOXTROT_TEST", "theirs"):
            assert os.environ["FOXTROT_TEST"] == "theirs"
        assert os.environ["FOXTROT_TEST"] == "mine"
        with batch._environment("FOXTROT_TEST_2", "theirs"):
            pass
        assert "FOXTROT_TEST_2" not in os.environ
