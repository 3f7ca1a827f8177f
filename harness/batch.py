"""Runs scenarios side by side, each in its own world, and judges what they left behind."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing as mp
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing.connection import wait as wait_for_end
from pathlib import Path
from types import FrameType
from typing import TypeVar

from harness.blotter import Blotter, BlotterFold
from harness.control import WITH_CORE
from harness.history import first_difference, read_history
from harness.run import HISTORY_NAME, policy_of, simulate
from harness.scenario import Scenario
from harness.verdict import ScenarioResult, judge

__all__ = ["KILLED", "Finished", "Job", "run_all"]

_POLL_SECONDS = 0.1
#: How often a worker looks whether it is still needed.
_WATCH_SECONDS = 1.0
#: The ending of a job whose worker was killed, and of those that were still to come.
KILLED = "killed"
_GONE = (
    "its worker process is gone, or one beside it, killed by the system or by hand; where memory "
    "ran out, fewer --jobs need less"
)
_HASH_SEEDS = ("0", "1")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Job:
    """One scenario to run. `policy` None: the one that the scenario names.

    `arm` is its part in a comparison (see `harness.control`), "" when it has none.
    """

    scenario: Scenario
    folder: Path
    policy: str | None = None
    arm: str = ""

    @property
    def name(self) -> str:
        """The scenario's, with the arm's behind it for a control job."""
        is_itself = self.arm in {"", WITH_CORE}
        return self.scenario.name if is_itself else f"{self.scenario.name} ({self.arm})"


@dataclass(frozen=True, slots=True)
class Finished:
    """What a job came to. `result` is None when it was stopped before it began.

    `ending` and `detail` are the simulation's.
    `difference` says where a second run of the same seed differed, if it was asked for and did;
    `is_unchecked` that it was asked for and stopped. `blotter` is there for a job with an arm.
    """

    job: Job
    result: ScenarioResult | None = None
    blotter: Blotter | None = None
    ending: str = "not run"
    detail: str = ""
    difference: str = ""
    is_unchecked: bool = False


_Item = TypeVar("_Item", Job, Finished)

# How far each job is, by number; the first element is not 0 when the workers are to stop. Without a
# lock: a worker that is killed while it holds one would stop everybody else for ever.
_Shares = ctypes.Array[ctypes.c_double]


def run_all(
    jobs: Sequence[Job],
    *,
    workers: int,
    check_determinism: bool = False,
    on_progress: Callable[[Sequence[float]], None] = lambda _: None,
) -> list[Finished]:
    """Run the jobs on `workers` processes; the results come in the order of the jobs.

    Ctrl-C stops every run at its next step, keeps what was written, and returns: a job that was
    interrupted has the ending `interrupted`, one that had not begun `not run`, and one whose
    second run was stopped is `is_unchecked`. When a worker is killed, its job and those that were
    still to come have the ending `killed`, and no result.

    Args:
        jobs: What to run.
        workers: How many at a time.
        check_determinism: Run each a second time, in another process with another hash seed, and
            compare.
        on_progress: Called now and then with the share done of each job.
    """
    with _stoppable() as shares:
        if not check_determinism:
            return _on_pool(_run_job, jobs, workers, shares(len(jobs)), on_progress, _HASH_SEEDS[0])
        halves = _Halved(len(jobs), on_progress)
        first = _on_pool(_run_job, jobs, workers, shares(len(jobs)), halves.first, _HASH_SEEDS[0])
        again = [each for each in first if _is_to_repeat(each)]
        second = iter(
            _on_pool(_rerun, again, workers, shares(len(again)), halves.second, _HASH_SEEDS[1])
        )
        return [next(second) if _is_to_repeat(each) else each for each in first]


def _is_to_repeat(each: Finished) -> bool:
    return each.ending == "completed" and each.job.arm in {"", WITH_CORE}


class _Halved:
    """Progress over two rounds, as one."""

    def __init__(self, count: int, report: Callable[[Sequence[float]], None]) -> None:
        self._count = count
        self._report = report

    def first(self, shares: Sequence[float]) -> None:
        self._report([share / 2 for share in shares])

    def second(self, shares: Sequence[float]) -> None:
        missing = self._count - len(shares)
        self._report([*(0.5 + share / 2 for share in shares), *([1.0] * missing)])


@contextlib.contextmanager
def _stoppable() -> Iterator[Callable[[int], _Shares]]:
    """Hand out arrays of progress; after Ctrl-C, their first element tells workers to stop."""
    arrays: list[_Shares] = []
    is_stopped = False

    def shares(count: int) -> _Shares:
        array = mp.get_context("spawn").RawArray(ctypes.c_double, count + 1)
        arrays.append(array)
        if is_stopped:
            array[0] = 1.0  # the round that was to come does not begin
        return array

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal is_stopped
        is_stopped = True
        for array in arrays:
            array[0] = 1.0
        signal.signal(signal.SIGINT, signal.default_int_handler)  # the second one means it

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield shares
    finally:
        signal.signal(signal.SIGINT, before)


def _on_pool(
    work: Callable[[int, _Item], Finished],
    items: Sequence[_Item],
    workers: int,
    shares: _Shares,
    on_progress: Callable[[Sequence[float]], None],
    hash_seed: str,
) -> list[Finished]:
    if not items:
        return []
    is_over = mp.get_context("spawn").RawValue(ctypes.c_bool, False)
    with (
        _environment("PYTHONHASHSEED", hash_seed),
        ProcessPoolExecutor(
            max_workers=max(1, min(workers, len(items))),
            mp_context=mp.get_context("spawn"),
            initializer=_begin_worker,
            initargs=(shares, is_over),
        ) as pool,
    ):
        try:
            with _deaf_to_signals():
                futures = _submitted(pool, work, items, is_over)
            pending = {future for future in futures if future is not None}
            while pending:
                _, pending = wait(pending, timeout=_POLL_SECONDS)
                on_progress(shares[1:])
        finally:  # also when a second Ctrl-C ends it: the pool's own end waits for the workers
            is_over.value = True
        return [_outcome(*each) for each in zip(items, futures, strict=True)]


def _submitted(
    pool: ProcessPoolExecutor,
    work: Callable[[int, _Item], Finished],
    items: Sequence[_Item],
    is_over: ctypes.c_bool,
) -> list[Future[Finished] | None]:
    """The future of each item; None for those that the pool broke before.

    `is_over` becomes true when it breaks: the other workers then have nothing more to do.
    """

    def when_done(future: Future[Finished]) -> None:
        if isinstance(future.exception(), BrokenProcessPool):
            is_over.value = True

    futures: list[Future[Finished] | None] = []
    for number, item in enumerate(items, 1):
        try:
            future = pool.submit(work, number, item)
        except BrokenProcessPool:
            futures.append(None)
        else:
            future.add_done_callback(when_done)
            futures.append(future)
    return futures


def _outcome(item: _Item, future: Future[Finished] | None) -> Finished:
    with contextlib.suppress(BrokenProcessPool):
        if future is not None:
            return future.result()
    if isinstance(item, Job):
        return Finished(item, ending=KILLED, detail=_GONE)
    return replace(item, ending=KILLED, detail=_GONE, is_unchecked=True)


@contextlib.contextmanager
def _deaf_to_signals() -> Iterator[None]:
    """Hold back SIGINT and SIGTERM, for the processes started meanwhile until they are ready.

    Terminals and supervisors send them to the whole group: a worker that is not yet up to leaving
    it to its parent would die.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


# Each worker process has one array, handed to it at its birth: a pool has no other way to share.
_shares: _Shares | None = None


def _begin_worker(shares: _Shares, is_over: ctypes.c_bool) -> None:
    global _shares  # noqa: PLW0603 - see above
    _shares = shares
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # the parent decides, and tells by what is shared
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    parent = mp.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel, is_over), daemon=True).start()


def _end_with(sentinel: int, is_over: ctypes.c_bool) -> None:
    """End this process when its parent has ended, or when it is no longer needed.

    It might wait for ever: for its next job, or for a lock that a killed worker took along.
    """
    while not (is_over.value or wait_for_end([sentinel], _WATCH_SECONDS)):
        pass
    os._exit(1)


def _is_stopped() -> bool:
    return _shares is not None and _shares[0] > 0


def _reporter(number: int) -> Callable[[float], None]:
    def report(share: float) -> None:
        if _shares is not None:
            _shares[number] = share
        if _is_stopped():
            raise KeyboardInterrupt

    return report


def _run_job(number: int, job: Job) -> Finished:
    if _is_stopped():
        return Finished(job)
    simulation = simulate(
        job.scenario,
        job.folder,
        policy=policy_of(job.scenario, job.policy),
        on_progress=_reporter(number),
    )
    fold = BlotterFold() if job.arm else None
    result = judge(
        read_history(simulation.path),
        digest=simulation.digest,
        watchers=() if fold is None else (fold.take,),
    )
    blotter = None if fold is None else fold.done()
    return Finished(job, result, blotter, simulation.ending, simulation.detail)


def _rerun(number: int, first: Finished) -> Finished:
    job = first.job
    if _is_stopped():
        return replace(first, is_unchecked=True)
    with tempfile.TemporaryDirectory(prefix="foxtrot-") as folder:
        again = simulate(
            job.scenario,
            Path(folder),
            policy=policy_of(job.scenario, job.policy),
            on_progress=_reporter(number),
        )
        if again.ending == "interrupted":
            return replace(first, is_unchecked=True)
        difference = first_difference(job.folder / HISTORY_NAME, again.path)
    if difference is None:
        return first
    told = f"line {difference.line}: {difference.a} in one run, {difference.b} in the other"
    return replace(first, difference=told)
