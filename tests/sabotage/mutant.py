"""A copy of the tree with one text replaced, and what its tests say of it.

The copy goes before the installed package on the path of a pytest of its own, so that nothing of
the broken code ever gets into this process or this tree.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .traps import Trap
from .witness import REPORT

__all__ = ["ROOT", "Outcome", "Tree"]

ROOT = Path(__file__).resolve().parents[2]

_COPIED = ("foxtrot", "harness", "tests/foxtrot", "tests/typing")

#: A mutant that fails by one of these is misspelt, and no proof of anything.
_MISSPELT = frozenset({"ImportError", "ModuleNotFoundError", "NameError", "SyntaxError"})

_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run of pytest in a tree ended."""

    exit_code: int
    output: str
    passed: tuple[str, ...] = ()
    failed: tuple[tuple[str, str, str], ...] = ()

    def has_failed(self, test: str) -> bool:
        """Whether the test, or one of its cases, failed while it ran, by what it found."""
        return any(
            _is_of(node, test) and phase == "call" and error not in _MISSPELT
            for node, phase, error in self.failed
        )

    def has_passed(self, test: str) -> bool:
        """Whether the test ran, with all of its cases, and passed."""
        broken = any(_is_of(node, test) for node, _, _ in self.failed)
        return not broken and any(_is_of(node, test) for node in self.passed)


def _is_of(node: str, test: str) -> bool:
    return node == test or node.startswith(f"{test}[")


class Tree:
    """A copy of what the tests of the core need, under `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in _COPIED:
            shutil.copytree(ROOT / name, folder / name)
        shutil.copy2(ROOT / "pyproject.toml", folder)

    @contextmanager
    def broken(self, trap: Trap) -> Iterator[None]:
        """Have the trap's guard missing inside the `with` block."""
        path = self.folder / trap.file
        whole = path.read_text()
        assert whole.count(trap.old) == 1
        path.write_text(whole.replace(trap.old, trap.new))
        try:
            yield
        finally:
            path.write_text(whole)

    def test(self, tests: Sequence[str]) -> Outcome:
        """Run these tests in the tree, and see that they met its code."""
        report = self.folder / "witness.json"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-B", "-m", "pytest", "-q", "--tb=line", *_PLUGINS, *tests]
        run = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment(report),
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        said = json.loads(report.read_text()) if report.exists() else {}
        elsewhere = [file for file in said.pop("foxtrot", ()) if not self._holds(file)]
        assert elsewhere == [], "the installed package was tested, not the copy"
        seen = {name: tuple(map(_frozen, values)) for name, values in said.items()}
        return Outcome(run.returncode, run.stdout + run.stderr, **seen)

    def _holds(self, file: str) -> bool:
        return Path(file).is_relative_to(self.folder)

    def _environment(self, report: Path) -> dict[str, str]:
        # What pytest and coverage tell the processes that they start is not meant for this one.
        own = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV"))}
        path = os.pathsep.join([str(self.folder), str(Path(__file__).parent)])
        return {**own, "PYTHONPATH": path, REPORT: str(report)}


# No cache of pytest's, and none of the bytecode (-B): a file is changed and changed back within
# the second that the bytecode's time stamp can tell apart. And what a broken test leaves behind is
# not held against the next one.
_PLUGINS = (
    *("-p", "witness"),
    *("-p", "no:cacheprovider"),
    *("-p", "no:unraisableexception"),
    *("-p", "no:threadexception"),
)


def _frozen(value: str | list[str]) -> str | tuple[str, ...]:
    return value if isinstance(value, str) else tuple(value)
