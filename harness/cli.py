"""foxtrot-chaos: run scenarios, check them, judge stored histories again, serve the venue.

Exit codes: 0 pass, 1 fail, 2 bad input, 3 inconclusive, 4 the harness itself broke.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Annotated

import orjson
import typer

from foxtrot.server.policy import POLICIES
from harness.arms import forget, joined, unfinished, with_control
from harness.batch import KILLED, Finished, Job, run_all
from harness.campaign import (
    LARGEST_SEED,
    Campaign,
    CampaignError,
    SeedOutcome,
    WorkerKilledError,
    seeds_of,
    tally,
)
from harness.faults.catalogue import CATALOGUE
from harness.faults.describe import explain, listing
from harness.live.mode import CannotDriveError, Mode, drive_live, parities
from harness.manifest import find_manifest, load_manifest
from harness.mix import Mix
from harness.parity import Parity
from harness.report.table import result_table
from harness.report.writer import write_atomically, write_reports
from harness.run import HISTORY_NAME
from harness.scenario import Scenario, ScenarioError, json_schema, load_paths
from harness.stored import folder_for, histories_in, judged, kept, mix_of_run, written
from harness.terminal import (
    ERR,
    HARNESS_ERROR,
    OUT,
    count,
    give_up,
    manners,
    progress,
    refuse,
    refuse_mistakes,
    refuse_word,
    tell,
)
from harness.toxiproxy import how_live
from harness.venue import TapeError
from harness.verdict import RunResult, ScenarioResult, Verdict, pool, worst
from harness.world import NAMES, recorded_tape

__all__ = ["app", "main"]

_REASONS_TOLD = 3

EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=__doc__,
)
Paths = Annotated[
    list[Path], typer.Argument(help="Scenario files, or folders of them.", show_default=False)
]
Out = Annotated[
    Path | None, typer.Option(help="Where the reports go. [default: reports/run-<date>-<time>]")
]


def main() -> None:
    """The console script."""
    try:
        with manners():
            app()
    except Exception:  # Python's own exit code would be 1, and say that a target was missed
        traceback.print_exc()
        sys.exit(HARNESS_ERROR)


@app.command()
def run(
    paths: Paths,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=LARGEST_SEED, help="Instead of each scenario's own seed."),
    ] = None,
    out: Out = None,
    policy: Annotated[
        str | None, typer.Option(help=f"How the core behaves: {', '.join(POLICIES)}.")
    ] = None,
    check_determinism: Annotated[
        bool, typer.Option("--check-determinism", help="Run each twice, and compare every event.")
    ] = False,
    control: Annotated[
        bool,
        typer.Option(
            "--control",
            help="Run each also without faults and without resilience; live, with a bare client.",
        ),
    ] = False,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Print which corners of the fault space are left.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Scenarios at a time. [default: one per core; four of them live]"),
    ] = None,
    mode: Annotated[
        Mode, typer.Option(help="Virtual time, or real sockets through toxiproxy and ccxt.")
    ] = Mode.VIRTUAL,
    toxiproxy: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of a server for live mode. [default: find or start one]"),
    ] = None,
) -> None:
    """Run scenarios, in virtual time unless told otherwise; write verdict and reports."""
    if policy is not None and policy not in POLICIES:
        refuse_word("--policy", policy, tuple(POLICIES))
    if mode is Mode.LIVE and check_determinism:
        refuse("--mode live: expected no --check-determinism with it: no two runs are the same")
    cores = os.cpu_count() or 1
    scenarios = _load(paths)
    mix = _mix(paths, scenarios)
    if seed is not None:
        scenarios = tuple(scenario.with_seed(seed) for scenario in scenarios)
    folder = folder_for(out)
    work = [Job(each, folder_for(folder / each.name), policy) for each in scenarios]
    written(lambda: forget(job.folder for job in work), folder)
    if control and mode is Mode.VIRTUAL:
        work = [arm for job in work for arm in with_control(job)]
    command = _command(paths, seed, policy, control, mode, check_determinism)
    pairs: Sequence[Parity] = ()
    if mode is Mode.LIVE:
        finished = kept(lambda: _driven(work, toxiproxy, jobs or 4 * cores, control), folder)
        pairs = parities(finished)
        result = _compared(_pooled(finished, command, seed, mix), pairs)
    else:
        finished = kept(lambda: _with_progress(work, jobs or cores, check_determinism), folder)
        result = _pooled(finished, command, seed, mix)
    _report(result, folder, pairs)
    if coverage:
        _tell_gaps(result)
    broken = [each for each in finished if each.ending in {"crashed", "deadlock", KILLED}]
    if broken:
        give_up("\n".join(f"{each.job.name}: {each.ending}: {each.detail}" for each in broken))
    raise typer.Exit(EXIT_CODES[result.verdict])


@app.command()
def sweep(
    paths: Paths,
    seeds: Annotated[str, typer.Option(help="FROM-TO, both run: 1-1000.")] = "1-10",
    out: Annotated[
        Path, typer.Option(help="Where the lines go, and what did not pass. Taken up again.")
    ] = Path("reports/sweep"),
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Scenarios at a time. [default: one per core]")
    ] = None,
) -> None:
    """Run the scenarios with many seeds; a red one is a bug in the core or in a check."""
    wanted = _wanted(seeds)
    scenarios = _load(paths)
    campaign = Campaign(scenarios, folder_for(out), _mix(paths, scenarios))

    def run_them() -> list[SeedOutcome]:
        with progress("seeds", len(wanted)) as moved:
            workers = jobs or os.cpu_count() or 1
            return campaign.run(wanted, workers=workers, on_progress=moved, on_outcome=_tell_seed)

    try:
        outcomes = kept(run_them, out)
    except CampaignError as error:
        refuse(str(error))
    except WorkerKilledError as error:
        give_up(f"{error}; the same command goes on where it was")
    for outcome in outcomes:
        if outcome.verdict != Verdict.PASS:
            _tell_outcome(outcome, paths)
    left = len(wanted) - len(outcomes)
    OUT.print(tally(outcomes) + (f", {count(left, 'seed')} not run" if left else ""))
    verdict = worst([Verdict(each.verdict) for each in outcomes])
    raise typer.Exit(EXIT_CODES[worst([verdict, *[Verdict.INCONCLUSIVE] * bool(left)])])


@app.command()
def validate(paths: Paths) -> None:
    """Check scenario files: every mistake at once, with its line and the nearest right word."""
    scenarios = _load(paths)
    _mix(paths, scenarios)
    OUT.print(f"{count(len(scenarios), 'scenario')} without a mistake")


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option(help="A file; standard output without it.")] = None,
) -> None:
    """Print the JSON Schema of scenario files, for editors to complete them."""
    text = orjson.dumps(json_schema(CATALOGUE, NAMES), option=orjson.OPT_INDENT_2) + b"\n"
    if out is None:
        OUT.out(text.decode(), end="")
    else:
        written(lambda: write_atomically(out, text), out)


@app.command()
def report(
    histories: Annotated[
        list[Path],
        typer.Argument(help=f"{HISTORY_NAME} files, or folders with some.", show_default=False),
    ],
    out: Out = None,
) -> None:
    """Judge stored histories again and rebuild their report."""
    found = histories_in(histories)
    results = [judged(path) for path in found]
    result = pool(
        results,
        command=shlex.join(["foxtrot-chaos", "report", *map(str, histories)]),
        policy=_policies(results),
        versions=_versions(),
        mix=mix_of_run(found),
    )
    _report(result, folder_for(out))
    raise typer.Exit(EXIT_CODES[result.verdict])


@app.command()
def faults(
    kind: Annotated[
        str | None, typer.Argument(help="Which to explain; all are listed without it.")
    ] = None,
) -> None:
    """List the faults of the catalogue, or explain one with an example to paste."""
    if kind is None:
        for row in listing(CATALOGUE):
            OUT.print(f"{row.kind:<18} {row.categories:<24} {row.summary}", markup=False)
    elif kind in CATALOGUE:
        OUT.print(explain(CATALOGUE[kind], live=_on_a_network(kind)), markup=False, soft_wrap=True)
    else:
        refuse_word("KIND", kind, tuple(CATALOGUE))


def _on_a_network(kind: str) -> str:
    with suppress(LookupError):  # a kind of somebody else's: nothing is known of it
        return how_live(kind)
    return ""


@app.command()
def venue(
    scenario: Annotated[
        Path | None, typer.Option(help="A scenario whose venue misbehaves on schedule.")
    ] = None,
    host: Annotated[str, typer.Option(help="Anything but loopback is open to the network.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 0,
    time_scale: Annotated[
        float, typer.Option(min=0.001, max=1000, help="Seconds of the market in a real one.")
    ] = 1.0,
    admin_token: Annotated[
        str | None,
        typer.Option(envvar="FOXTROT_ADMIN_TOKEN", help="For injecting faults by hand."),
    ] = None,
) -> None:
    """Serve the simulated exchange with Binance Spot's protocol, until Ctrl-C."""
    try:
        from harness.wire import WireConfig, serve  # noqa: PLC0415 - needs an extra
    except ImportError:
        refuse("venue needs aiohttp: pip install 'foxtrot-resilience[wire]'")
    chosen = () if scenario is None else _load([scenario])
    if len(chosen) > 1:
        refuse(f"--scenario: expected one scenario, {scenario} holds {len(chosen)}")
    config = WireConfig(
        host=host,
        port=port,
        scenario=next(iter(chosen), None),
        time_scale=time_scale,
        admin_token=admin_token or None,
    )
    try:
        serve(config, lambda server: OUT.print(f"venue: {server.url}", markup=False))
    except OSError as error:
        refuse(
            f"{host}:{port}: cannot listen there ({error.strerror}); choose other --host, --port"
        )


def _load(paths: Sequence[Path]) -> tuple[Scenario, ...]:
    try:
        scenarios = load_paths(paths, catalogue=CATALOGUE, names=NAMES)
    except ScenarioError as error:
        refuse_mistakes([str(problem) for problem in error.problems])
    mistakes = [mistake for scenario in scenarios for mistake in _mistaken_tapes(scenario)]
    if mistakes:
        refuse_mistakes(mistakes)
    return scenarios


def _mix(paths: Sequence[Path], scenarios: Sequence[Scenario]) -> Mix | None:
    path = find_manifest(paths)
    try:
        return None if path is None else load_manifest(path, scenarios, catalogue=CATALOGUE)
    except ScenarioError as error:
        refuse_mistakes([str(problem) for problem in error.problems])


def _mistaken_tapes(scenario: Scenario) -> Iterator[str]:
    for spec in scenario.venues:
        try:
            recorded_tape(spec, scenario)
        except TapeError as error:
            yield str(error)


def _with_progress(work: Sequence[Job], jobs: int, check_determinism: bool) -> list[Finished]:
    # Without a terminal a bar is noise: CI gets one line when it begins, and the table at the end.
    if not ERR.is_terminal:
        tell(f"running {count(len(work), 'scenario')} on {count(jobs, 'process', 'processes')}")
    with progress("scenarios", len(work)) as moved:
        return run_all(
            work,
            workers=jobs,
            check_determinism=check_determinism,
            on_progress=lambda shares: moved(sum(shares)),
        )


def _wanted(seeds: str) -> range:
    try:
        return seeds_of(seeds)
    except CampaignError as error:
        refuse(f"--seeds: {error}")


def _tell_seed(outcome: SeedOutcome) -> None:
    """Say how a seed went as soon as it is known; where a bar counts them, only what did not pass.

    A sweep takes hours: who reads its log must not have to wait for the end.
    """
    if outcome.verdict != Verdict.PASS or not ERR.is_terminal:
        tell(f"seed {outcome.seed}: {outcome.verdict}")


def _tell_outcome(outcome: SeedOutcome, paths: Sequence[Path]) -> None:
    """A seed that did not pass: the command to see it again, and why."""
    command = shlex.join(["foxtrot-chaos", "run", *map(str, paths), "--seed", str(outcome.seed)])
    OUT.print(f"seed {outcome.seed}: {outcome.verdict}: {command}", markup=False, soft_wrap=True)
    for reason in outcome.reasons[:_REASONS_TOLD]:
        OUT.print(f"    {reason}", markup=False, soft_wrap=True)


def _driven(
    work: Sequence[Job], toxiproxy: str | None, at_a_time: int, control: bool
) -> list[Finished]:
    try:
        return drive_live(work, toxiproxy, at_a_time=at_a_time, tell=tell, control=control)
    except CannotDriveError as error:
        refuse_mistakes(list(error.args))


def _compared(result: RunResult, pairs: Sequence[Parity]) -> RunResult:
    """The result, worsened by what came out otherwise in virtual time."""
    differences = [f"parity: {line}" for pair in pairs for line in pair.differences]
    OUT.print(f"parity with virtual time: {count(len(differences), 'difference')}")
    return _worsened(result, Verdict.FAIL, differences) if differences else result


def _pooled(
    finished: Sequence[Finished], command: str, seed: int | None, mix: Mix | None
) -> RunResult:
    results = [each.result for each in joined(finished) if each.result is not None]
    result = pool(
        results,
        command=command,
        seed=seed,
        policy=_policies(results),
        versions=_versions(),
        mix=mix,
    )
    stopped = [f"interrupted: {told}" for told in map(unfinished, finished) if told]
    differing = [
        f"{each.job.scenario.name}: two runs of one seed differ at {each.difference}"
        for each in finished
        if each.difference
    ]
    if stopped:
        result = _worsened(result, Verdict.INCONCLUSIVE, stopped)
    if differing:
        result = _worsened(result, Verdict.FAIL, differing)
    return result


def _worsened(result: RunResult, verdict: Verdict, reasons: Sequence[str]) -> RunResult:
    return replace(
        result,
        verdict=worst([result.verdict, verdict]),
        reasons=(*reasons, *result.reasons),
    )


def _policies(results: Sequence[ScenarioResult]) -> str:
    return ", ".join(sorted({result.policy for result in results}))


def _report(result: RunResult, folder: Path, pairs: Sequence[Parity] = ()) -> None:
    page = written(lambda: write_reports(result, folder, parity=pairs), folder)
    OUT.print(result_table(result), crop=False)
    OUT.print(f"report: {page}", markup=False, soft_wrap=True)


def _tell_gaps(result: RunResult) -> None:
    coverage = result.coverage
    all_cells, empty = len(coverage.space()), len(coverage.empty())
    OUT.print(f"\n{all_cells - empty:,} of {all_cells:,} corners of the fault space reached; left:")
    for line in coverage.gaps():
        OUT.print(f"  {line}", markup=False, soft_wrap=True)


def _command(
    paths: Sequence[Path],
    seed: int | None,
    policy: str | None,
    control: bool,
    mode: Mode,
    check_determinism: bool,
) -> str:
    words = ["foxtrot-chaos", "run", *map(str, paths)]
    words += [] if seed is None else ["--seed", str(seed)]
    words += [] if policy is None else ["--policy", policy]
    words += ["--check-determinism"] if check_determinism else []
    words += ["--control"] if control else []
    words += [] if mode is Mode.VIRTUAL else ["--mode", mode.value]
    return shlex.join(words)


def _versions() -> dict[str, str]:
    return {
        "foxtrot-resilience": metadata.version("foxtrot-resilience"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }
