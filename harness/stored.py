"""What a run of before left in its folder, read again; refused with a message if it is broken."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import orjson

from harness.arms import control_result
from harness.history import HistoryError, read_history
from harness.mix import Mix, mix_of
from harness.run import HISTORY_NAME
from harness.terminal import refuse
from harness.verdict import ScenarioResult, judge

__all__ = ["histories_in", "judged", "mix_of_run"]


def mix_of_run(folders: Sequence[Path]) -> Mix | None:
    """The mix that a run of before was held against: the manifest may have changed since."""
    for folder in folders:
        with suppress(OSError, ValueError, KeyError, TypeError):
            return mix_of(orjson.loads((folder / "report.json").read_bytes())["mix"])
    return None


def histories_in(paths: Sequence[Path]) -> list[Path]:
    """The history files among `paths` and inside of them; refuses a folder without one."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.rglob(HISTORY_NAME)) if path.is_dir() else [path]
        if not inside:
            refuse(f"{path}: expected a folder with {HISTORY_NAME} files in it, found none")
        found += inside
    return found


def judged(path: Path) -> ScenarioResult:
    """What a history comes to, with the control arm that lies beside it; refuses a broken one."""
    try:
        # Once to the end before anything is believed: the digest that says whether the file is as
        # it was written comes last, and what is not would crash the judge half way.
        deque(read_history(path), maxlen=0)
        result = judge(read_history(path), digest=_digest(path))
        return replace(result, control=control_result(path))
    except HistoryError as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"{path}: cannot be read ({error.strerror})")


def _digest(path: Path) -> str:
    with suppress(OSError, ValueError, IndexError):
        return str(orjson.loads(path.read_bytes().splitlines()[-1])["digest"])
    return ""
