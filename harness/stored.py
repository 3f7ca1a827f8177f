"""A run's folder: made for it, and what it left there read again.

What cannot be written or read is refused with a message.
"""

from __future__ import annotations

import datetime as dt
import errno
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, TypeVar

import orjson

from harness.arms import control_result, is_arm
from harness.history import HistoryError, read_history
from harness.mix import Mix, mix_of
from harness.run import HISTORY_NAME
from harness.terminal import refuse
from harness.verdict import ScenarioResult, judge

__all__ = ["folder_for", "histories_in", "judged", "kept", "mix_of_run", "written"]

_REPORT = "report.json"
# What an operating system says where it does not let something be kept.
_KEEPS_NOTHING = frozenset(
    {errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.ENOSPC, errno.EPERM, errno.EROFS}
)

_T = TypeVar("_T")


def folder_for(out: Path | None) -> Path:
    """The folder `out`, made if it is not there; None: a new one, named after the second."""
    if out is None:
        return written(_new_folder, Path("reports"))
    written(lambda: out.mkdir(parents=True, exist_ok=True), out)
    return out


def _new_folder() -> Path:
    home = Path("reports")
    home.mkdir(exist_ok=True)  # by itself: where a dead link has its name, that exists as well
    # The day by the user's own clock: a name for people, which nothing simulated reads.
    name = f"run-{dt.datetime.now().astimezone():%Y%m%d-%H%M%S}"
    for number in itertools.count(1):
        folder = home / (name if number == 1 else f"{name}-{number}")
        with suppress(FileExistsError):  # of a run that began in the same second
            folder.mkdir()
            break
    return folder


def written(write: Callable[[], _T], where: Path) -> _T:
    """What `write` returns; refuses a place that cannot be written to."""
    try:
        return write()
    except OSError as error:
        _refuse_place(error, where)


def kept(work: Callable[[], _T], where: Path) -> _T:
    """What `work` returns; refuses a place that cannot keep what it writes while it lasts."""
    try:
        return work()
    except OSError as error:
        if error.errno not in _KEEPS_NOTHING:
            raise
        _refuse_place(error, where)


def _refuse_place(error: OSError, where: Path) -> NoReturn:
    what = error.strerror or error
    refuse(f"{where}: cannot write there ({what}); name another place with --out")


def mix_of_run(histories: Sequence[Path]) -> Mix | None:
    """The mix that the run of these histories was held against; refuses a broken report.

    Read from the report beside their folders: the manifest may have changed since.
    """
    # Resolved: seen from its own folder a history is `history.jsonl`, whose parents are all `.`.
    for folder in dict.fromkeys(history.resolve().parent.parent for history in histories):
        path = folder / _REPORT
        if path.is_file():
            return _mix_in(path)
    return None


def _mix_in(path: Path) -> Mix | None:
    try:
        entry = orjson.loads(path.read_bytes())["mix"]
        return None if entry is None else _checked(mix_of(entry))
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        advice = "delete it, and the histories are judged without the mix it tells of"
        refuse(f"{path}: expected the report of a run, cannot be read ({what}); {advice}")


def _checked(mix: Mix) -> Mix:
    for name, told in mix.kinds.items():
        if not isinstance(told.per_month, int | float):
            raise TypeError(f"expected a number, {name}.per_month={told.per_month!r}")
    return mix


def histories_in(paths: Sequence[Path]) -> list[Path]:
    """The history files among `paths` and inside of them, each once; refuses a folder without one.

    The control arms of a run are no runs: inside of a folder they are left out.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        inside = _runs_in(path) if path.is_dir() else [path]
        if not inside:
            refuse(f"{path}: expected a folder with {HISTORY_NAME} files in it, found none")
        for history in inside:
            found.setdefault(history.resolve(), history)
    return list(found.values())


def _runs_in(folder: Path) -> list[Path]:
    return [
        path for path in sorted(folder.rglob(HISTORY_NAME)) if not is_arm(path.relative_to(folder))
    ]


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
