"""Mutation testing of `foxtrot/util`: mutmut, then what mutmut cannot see, then the figure.

mutmut imports the sources once and switches a mutant on when its function is called. A function
that runs while modules are imported, such as the builders of the classification tables, has by
then run unchanged, and all of its mutants seem to live. Here each of them gets a process that
imports foxtrot afresh and runs all the tests. The verdicts go where mutmut keeps its own, so that
`mutmut results` and `mutmut show` know them.

    tools/mutants.py             everything
    tools/mutants.py --figure    the table of the last run
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mutmut.configuration import config
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import setup_source_paths, walk_mutatable_files
from mutmut.workers.isolation import run_in_fork, run_in_fork_with_result

# Slow to import and never mutated: imported once, here, for all processes.
_FOREIGN = ("ccxt", "aiohttp", "binance", "freezegun", "httpx", "requests", "structlog")
_DEADLINE = 180  # seconds; the tests take about 15
_LIVING = {"survived", "no tests"}
_COLUMNS = ("killed", "timeout", "no tests", "survived")


class _Hits:
    """Pytest plugin: the functions that ran while the tests were imported."""

    names: frozenset[str] = frozenset()

    def pytest_collection_finish(self) -> None:
        self.names = frozenset(state()._stats)  # noqa: SLF001 mutmut's own runner reads it so


def _tests(mutant: str) -> tuple[list[str], list[str]]:
    """The test files of the mutant's own module, and the others."""
    subject = f"test_{mutant.removeprefix('foxtrot.util.').partition('.')[0].lstrip('_')}"
    folders = [Path("mutants", each) for each in config().pytest_add_cli_args_test_selection]
    files = sorted(str(file) for folder in folders for file in folder.rglob("test_*.py"))
    own = [file for file in files if subject in file]
    return own, [file for file in files if file not in own]


def _pytest(mutant: str, files: list[str], *options: str, plugins: list[Any] | None = None) -> int:
    signal.alarm(_DEADLINE)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    set_mutant_under_test(mutant)
    arguments = [*config().pytest_add_cli_args, *options]
    arguments += [str(Path(file).relative_to("mutants")) for file in files]
    os.chdir("mutants")
    return int(pytest.main(["--rootdir=.", "-x", "-q", *arguments], plugins))


def _collect() -> frozenset[str]:
    hits = _Hits()
    own, others = _tests("stats")
    _pytest("stats", [*own, *others], "--collect-only", plugins=[hits])
    return hits.names


def _exit_code(mutant: str) -> int:
    """As mutmut counts: 0 survived, 1 killed, 36 out of time. Its own tests kill it, if any do."""
    for files in filter(None, _tests(mutant)):
        code = run_in_fork(_pytest, mutant, files)
        if code == -signal.SIGALRM:
            return 36
        if code:  # also where the tests cannot be imported with it
            return 1
    return 0


def _files() -> Iterator[SourceFileMutationData]:
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        yield data


def _second_pass() -> None:
    for name in _FOREIGN:
        importlib.import_module(name)
    assert _exit_code("") == 0, "the tests fail without a mutant"
    at_import = run_in_fork_with_result(_collect)
    assert at_import, "nothing of foxtrot/util runs at import"
    for data in _files():
        for mutant, code in data.exit_code_by_key.items():
            function = mutant.partition("__mutmut_")[0]
            if function in at_import and status_by_exit_code[code] in _LIVING:
                data.exit_code_by_key[mutant] = _exit_code(mutant)
                data.save()


def _row(name: object, counts: Counter[str]) -> str:
    dead, total = counts["killed"] + counts["timeout"], counts.total()
    cells = [str(counts[column]) for column in _COLUMNS]
    return " | ".join([f"| `{name}`", str(total), *cells, f"{100 * dead / total:.1f} % |"])


def _figure() -> str:
    lines = [f"| file | mutants | {' | '.join(_COLUMNS)} | dead |", "|---" + "|---:" * 6 + "|"]
    whole: Counter[str] = Counter()
    for data in sorted(_files(), key=lambda data: str(data.path)):
        counts = Counter(status_by_exit_code[code] for code in data.exit_code_by_key.values())
        if counts:
            lines.append(_row(Path(data.path).relative_to("foxtrot/util"), counts))
        whole += counts
    return "\n".join([*lines, _row("all", whole), ""])


def main() -> None:
    """Run from the root of the project."""
    if sys.argv[1:] != ["--figure"]:
        mutmut = Path(sys.executable).with_name("mutmut")
        subprocess.run([mutmut, "run", "--max-children", "1"], check=True)  # noqa: S603
        setup_source_paths()
        _second_pass()
    sys.stdout.write(_figure())


if __name__ == "__main__":
    main()
