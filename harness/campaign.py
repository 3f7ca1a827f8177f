"""A campaign: the same scenarios over many seeds, one line a seed, taken up where it was stopped.

A seed of a campaign is a run of all its scenarios with that seed, judged scenario by scenario and
pooled as any run is. What passed leaves its line only; what did not keeps its histories.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import orjson

from harness.batch import KILLED, Finished, Job, run_all
from harness.mix import Mix
from harness.report.writer import write_atomically
from harness.results import Verdict
from harness.scenario import Scenario
from harness.sources import imported_sources
from harness.verdict import pool

__all__ = [
    "CAMPAIGN_NAME",
    "LARGEST_SEED",
    "Campaign",
    "CampaignError",
    "SeedOutcome",
    "WorkerKilledError",
    "fingerprint",
    "seeds_of",
    "tally",
]

CAMPAIGN_NAME = "campaign.jsonl"
#: As large as a scenario's own can be; histories and reports hold no integer beyond 64 bits.
LARGEST_SEED = 10**18 - 1
_MOST_SEEDS = 1_000_000  # years of work; more is a slip, and would only fill the memory

_SEEDS_AT_A_TIME = (
    4  # their histories are on disk together, and a pool of processes starts for each
)
_WHAT_RUNS_AND_JUDGES = ("harness.batch", "harness.verdict")

_T = TypeVar("_T")


class CampaignError(ValueError):
    """Raised when seeds or the stored lines of a campaign are wrong; says where and what to do."""


class WorkerKilledError(RuntimeError):
    """Raised when a worker process was killed; the sweep can be taken up again."""


@dataclass(frozen=True, slots=True)
class SeedOutcome:
    """What one seed came to.

    `code` is the fingerprint of what was run: a line of other code or other scenarios is no
    evidence about these. `scenarios` are the verdicts by name, `metrics` the pooled values.
    """

    seed: int
    code: str
    verdict: str
    reasons: tuple[str, ...] = ()
    scenarios: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def runs(self) -> int:
        """How many scenarios ran."""
        return len(self.scenarios)


@dataclass(frozen=True, slots=True)
class Campaign:
    """Scenarios, the mix they are gated as, and the folder where the lines are kept."""

    scenarios: tuple[Scenario, ...]
    folder: Path
    mix: Mix | None = None

    def run(
        self,
        seeds: Sequence[int],
        *,
        workers: int,
        on_progress: Callable[[float], None] = lambda _: None,
        on_outcome: Callable[[SeedOutcome], None] = lambda _: None,
    ) -> list[SeedOutcome]:
        """Run the seeds that have no line of this code yet; the outcomes of all that have one.

        Ctrl-C ends it early: seeds that were complete have their lines, others have none and are
        run the next time.

        Args:
            seeds: Each a run of all scenarios.
            workers: How many scenarios run at a time.
            on_progress: Called now and then with the number of seeds that are done.
            on_outcome: Called with each outcome, stored ones first.

        Raises:
            CampaignError: With the place of a stored line that is not one.
            WorkerKilledError: When a worker was killed, and what was complete has its lines.
        """
        code = fingerprint(self.scenarios)
        book = list(self._stored())
        done = {each.seed: each for each in book if each.code == code}
        wanted = [seed for seed in seeds if seed not in done]
        known = len(seeds) - len(wanted)
        _tell(on_outcome, (done[seed] for seed in seeds if seed in done))
        for chunk in _batched(wanted, _SEEDS_AT_A_TIME):
            groups = self._chunk(chunk, workers, _shifted(on_progress, known))
            complete = [
                self._settle(seed, group, code)
                for seed, group in groups.items()
                if _is_complete(group)
            ]
            book += complete
            known += len(complete)
            self._keep(complete)
            _tell(on_outcome, complete)
            for killed in (
                each for group in groups.values() for each in group if each.ending == KILLED
            ):
                raise WorkerKilledError(f"{killed.job.name}: {killed.detail}")
            if len(complete) < len(chunk):
                break
        found = {each.seed: each for each in book if each.code == code}
        return [found[seed] for seed in seeds if seed in found]

    def _chunk(
        self, seeds: Sequence[int], workers: int, report: Callable[[float], None]
    ) -> dict[int, tuple[Finished, ...]]:
        jobs = [
            Job(each.with_seed(seed), self.folder / f"seed-{seed}" / each.name)
            for seed in seeds
            for each in self.scenarios
        ]
        size = len(self.scenarios)
        finished = run_all(jobs, workers=workers, on_progress=lambda all_: report(sum(all_) / size))
        return dict(zip(seeds, _batched(finished, size), strict=True))

    def _settle(self, seed: int, group: Sequence[Finished], code: str) -> SeedOutcome:
        result = pool((each.result for each in group if each.result), seed=seed, mix=self.mix)
        for each in group:
            if each.result is not None and each.result.verdict is Verdict.PASS:
                shutil.rmtree(each.job.folder)
        with suppress(OSError):  # not empty: what did not pass is kept
            (self.folder / f"seed-{seed}").rmdir()
        return SeedOutcome(
            seed=seed,
            code=code,
            verdict=result.verdict.value,
            reasons=result.reasons,
            scenarios={each.name: each.verdict.value for each in result.scenarios},
            metrics={each.name: each.value for each in result.metrics},
        )

    def _keep(self, complete: Sequence[SeedOutcome]) -> None:
        """Add lines to those that are there by now: another sweep may have written meanwhile."""
        book = {(each.code, each.seed): each for each in (*self._stored(), *complete)}
        write_atomically(self.folder / CAMPAIGN_NAME, _written(book.values()))

    def _stored(self) -> Iterator[SeedOutcome]:
        path = self.folder / CAMPAIGN_NAME
        for number, line in enumerate(_lines(path), 1):
            try:
                yield _outcome(orjson.loads(line))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise CampaignError(
                    f"{path}:{number}: expected the outcome of a seed, got {line[:60]!r}; "
                    "delete the line, and its seed is run again"
                ) from error


def _outcome(raw: Mapping[str, Any]) -> SeedOutcome:  # Any: JSON
    reasons, scenarios = raw["reasons"], raw.get("scenarios", {})
    if not isinstance(raw["seed"], int) or not isinstance(raw["code"], str):
        raise TypeError("expected a seed and a code")
    if not isinstance(reasons, list) or not all(isinstance(each, str) for each in reasons):
        raise TypeError("expected a list of reasons")
    for verdict in (raw["verdict"], *scenarios.values()):
        Verdict(verdict)
    return SeedOutcome(**{**raw, "reasons": tuple(reasons)})


def _tell(listener: Callable[[SeedOutcome], None], outcomes: Iterable[SeedOutcome]) -> None:
    for outcome in outcomes:
        listener(outcome)


def _shifted(report: Callable[[float], None], known: int) -> Callable[[float], None]:
    return lambda done: report(known + done)


def _is_complete(group: Iterable[Finished]) -> bool:
    return all(each.ending not in {"interrupted", KILLED, "not run"} for each in group)


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CampaignError(
            f"{path}: cannot be read ({error.strerror}); name another place with --out"
        ) from error


def _written(book: Iterable[SeedOutcome]) -> bytes:
    return b"".join(orjson.dumps(asdict(each)) + b"\n" for each in book)


def _batched(items: Sequence[_T], size: int) -> Iterator[tuple[_T, ...]]:
    """`itertools.batched`, which Python 3.11 has not."""
    rest = iter(items)
    while batch := tuple(islice(rest, size)):
        yield batch


def seeds_of(text: str) -> range:
    """The seeds from FROM to TO, both included, of a text such as `1-1000`, or the one it names.

    Raises:
        CampaignError: It is no such text, or a seed is too large.
    """
    first, dash, last = text.partition("-")
    if not _is_number(first) or (dash and not _is_number(last)):
        raise CampaignError(f"expected FROM-TO, such as 1-1000, got {text!r}")
    if max(len(first), len(last)) > len(str(LARGEST_SEED)):
        raise CampaignError(f"expected seeds up to {LARGEST_SEED}, got {text[:60]!r}")
    chosen = range(int(first), int(last or first) + 1)
    if not chosen:
        raise CampaignError(f"expected FROM-TO with FROM no larger than TO, got {text!r}")
    if chosen[-1] - chosen[0] >= _MOST_SEEDS:
        raise CampaignError(f"expected at most {_MOST_SEEDS:,} seeds at a time, got {text!r}")
    return chosen


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def tally(outcomes: Sequence[SeedOutcome]) -> str:
    """Seeds and runs by verdict, in a line."""
    runs = [verdict for each in outcomes for verdict in each.scenarios.values()]
    seeds = [each.verdict for each in outcomes]
    return f"{_counted('seed', seeds)}; {_counted('run', runs)}"


def _counted(noun: str, verdicts: Sequence[str]) -> str:
    told = [f"{n:,} {verdict}" for verdict, n in sorted(Counter(verdicts).items())]
    head = f"{len(verdicts):,} {noun}{'' if len(verdicts) == 1 else 's'}"
    return f"{head}: {', '.join(told)}" if told else head


def fingerprint(scenarios: Sequence[Scenario]) -> str:
    """A short digest of these scenarios, and of the sources of core and harness that run them.

    Live mode, the venue on the wire, reports and the command line change no outcome of a seed.
    """
    digest = hashlib.blake2b(digest_size=8)
    root = Path(__file__).resolve().parent.parent
    for path in imported_sources(root, _WHAT_RUNS_AND_JUDGES):
        digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    for scenario in scenarios:
        digest.update(scenario.digest.encode())
    return digest.hexdigest()
