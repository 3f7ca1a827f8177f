"""foxtrot-chaos: run scenarios, check them, judge stored histories again.

Exit codes: 0 pass, 1 fail, 2 bad input, 3 inconclusive, 4 the harness itself broke.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from foxtrot.server.policy import POLICIES
from harness.batch import Finished, Job, run_all
from harness.faults.catalogue import CATALOGUE
from harness.history import HistoryError, read_history
from harness.report.table import result_table
from harness.report.writer import write_atomically, write_reports
from harness.run import HISTORY_NAME
from harness.scenario import Scenario, ScenarioError, json_schema, load_paths
from harness.units import nearest
from harness.verdict import RunResult, Verdict, judge, pool, worst
from harness.world import NAMES

__all__ = ["app", "main"]

_T = TypeVar("_T")

EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}
BAD_INPUT = 2
HARNESS_ERROR = 4

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=__doc__,
)
# A file or a CI log has no width of its own, and 80 columns break every table.
_WIDTH = None if sys.stdout.isatty() else 120
_out = Console(highlight=False, width=_WIDTH)
_err = Console(stderr=True, highlight=False)

Paths = Annotated[
    list[Path], typer.Argument(help="Scenario files, or folders of them.", show_default=False)
]
Out = Annotated[
    Path | None, typer.Option(help="Where the reports go. [default: reports/run-<date>-<time>]")
]


def main() -> None:
    """The console script."""
    app()


@app.command()
def run(
    paths: Paths,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Instead of each scenario's own seed.")
    ] = None,
    out: Out = None,
    policy: Annotated[
        str | None, typer.Option(help=f"How the core behaves: {', '.join(POLICIES)}.")
    ] = None,
    check_determinism: Annotated[
        bool, typer.Option("--check-determinism", help="Run each twice, and compare every event.")
    ] = False,
    jobs: Annotated[
        int, typer.Option(min=1, help="Scenarios at a time. [default: one per core]")
    ] = os.cpu_count() or 1,
) -> None:
    """Run scenarios in virtual time; write verdict and reports."""
    if policy is not None and policy not in POLICIES:
        _refuse_word("--policy", policy, tuple(POLICIES))
    scenarios = _load(paths)
    if seed is not None:
        scenarios = tuple(scenario.with_seed(seed) for scenario in scenarios)
    folder = _folder(out)
    work = [Job(scenario, folder / scenario.name, policy) for scenario in scenarios]
    finished = _with_progress(work, jobs, check_determinism)
    result = _pooled(finished, _command(paths, seed, policy), seed, policy)
    _report(result, folder)
    if any(each.ending in {"crashed", "deadlock"} for each in finished):
        raise typer.Exit(HARNESS_ERROR)
    raise typer.Exit(EXIT_CODES[result.verdict])


@app.command()
def validate(paths: Paths) -> None:
    """Check scenario files: every mistake at once, with its line and the nearest right word."""
    scenarios = _load(paths)
    _out.print(f"{len(scenarios)} scenario{'s' * (len(scenarios) != 1)} without a mistake")


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option(help="A file; standard output without it.")] = None,
) -> None:
    """Print the JSON Schema of scenario files, for editors to complete them."""
    text = orjson.dumps(json_schema(CATALOGUE, NAMES), option=orjson.OPT_INDENT_2) + b"\n"
    if out is None:
        sys.stdout.buffer.write(text)
    else:
        _written(lambda: write_atomically(out, text), out)


@app.command()
def report(
    histories: Annotated[
        list[Path],
        typer.Argument(help=f"{HISTORY_NAME} files, or folders with some.", show_default=False),
    ],
    out: Out = None,
) -> None:
    """Judge stored histories again and rebuild their report."""
    results = []
    for path in _histories(histories):
        try:
            results.append(judge(read_history(path), digest=_digest(path)))
        except HistoryError as error:
            _refuse(str(error))
    policies = sorted({result.policy for result in results})
    result = pool(
        results,
        command=shlex.join(["foxtrot-chaos", "report", *map(str, histories)]),
        policy=", ".join(policies),
        versions=_versions(),
    )
    _report(result, _folder(out))
    raise typer.Exit(EXIT_CODES[result.verdict])


def _load(paths: Sequence[Path]) -> tuple[Scenario, ...]:
    try:
        return tuple(load_paths(paths, catalogue=CATALOGUE, names=NAMES))
    except ScenarioError as error:
        for problem in error.problems:
            _err.print(str(problem), markup=False, soft_wrap=True)
        count = len(error.problems)
        _err.print(f"{count} mistake{'s' * (count != 1)}; nothing was run", markup=False)
        raise typer.Exit(BAD_INPUT) from None


def _with_progress(work: Sequence[Job], jobs: int, check_determinism: bool) -> list[Finished]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    # Without a terminal a bar is noise: CI gets one line when it begins, and the table at the end.
    if not _err.is_terminal:
        _err.print(f"running {len(work)} scenarios on {jobs} processes", markup=False)
    with Progress(*columns, console=_err, transient=True, disable=not _err.is_terminal) as bar:
        task = bar.add_task("scenarios", total=len(work))
        return run_all(
            work,
            workers=jobs,
            check_determinism=check_determinism,
            on_progress=lambda shares: bar.update(task, completed=round(sum(shares), 2)),
        )


def _pooled(
    finished: Sequence[Finished], command: str, seed: int | None, policy: str | None
) -> RunResult:
    result = pool(
        [each.result for each in finished if each.result is not None],
        command=command,
        seed=seed,
        policy=policy or "as each scenario says",
        versions=_versions(),
    )
    stopped = [each.job.scenario.name for each in finished if each.ending == "not run"]
    differing = [
        f"{each.job.scenario.name}: two runs of one seed differ at {each.difference}"
        for each in finished
        if each.difference
    ]
    if stopped:
        why = f"interrupted: {', '.join(stopped)} did not run"
        result = _worsened(result, Verdict.INCONCLUSIVE, [why])
    if differing:
        result = _worsened(result, Verdict.FAIL, differing)
    return result


def _worsened(result: RunResult, verdict: Verdict, reasons: Sequence[str]) -> RunResult:
    return replace(
        result,
        verdict=worst([result.verdict, verdict]),
        reasons=(*reasons, *result.reasons),
    )


def _report(result: RunResult, folder: Path) -> None:
    page = _written(lambda: write_reports(result, folder), folder)
    _out.print(result_table(result))
    _out.print(f"report: {page}", markup=False, soft_wrap=True)


def _folder(out: Path | None) -> Path:
    folder = out or Path("reports") / f"run-{dt.datetime.now().astimezone():%Y%m%d-%H%M%S}"
    _written(lambda: folder.mkdir(parents=True, exist_ok=True), folder)
    return folder


def _written(write: Callable[[], _T], where: Path) -> _T:
    try:
        return write()
    except OSError as error:
        _refuse(f"{where}: cannot write there ({error.strerror}); name another place with --out")


def _histories(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.rglob(HISTORY_NAME)) if path.is_dir() else [path]
        if not inside:
            _refuse(f"{path}: expected a folder with {HISTORY_NAME} files in it, found none")
        found += inside
    return found


def _digest(path: Path) -> str:
    with suppress(OSError, ValueError, IndexError):
        return str(orjson.loads(path.read_bytes().splitlines()[-1])["digest"])
    return ""


def _command(paths: Sequence[Path], seed: int | None, policy: str | None) -> str:
    words = ["foxtrot-chaos", "run", *map(str, paths)]
    words += [] if seed is None else ["--seed", str(seed)]
    words += [] if policy is None else ["--policy", policy]
    return shlex.join(words)


def _versions() -> dict[str, str]:
    return {
        "foxtrot-resilience": metadata.version("foxtrot-resilience"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def _refuse(message: str) -> NoReturn:
    _err.print(message, markup=False, soft_wrap=True)
    raise typer.Exit(BAD_INPUT)


def _refuse_word(option: str, word: str, words: tuple[str, ...]) -> NoReturn:
    near = nearest(word, words)
    hint = f"; did you mean {near!r}?" if near else ""
    _refuse(f"{option}: expected one of {', '.join(words)}, got {word!r}{hint}")
