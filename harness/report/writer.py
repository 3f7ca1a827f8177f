"""The only writer of a run's folder: every file whole or not there at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.report.html import report_html
from harness.report.json import report_json
from harness.report.junit import report_junit
from harness.report.markdown import report_markdown

if TYPE_CHECKING:
    from harness.parity import Parity
    from harness.verdict import RunResult

__all__ = ["write_atomically", "write_reports"]


def write_reports(run: RunResult, out: Path, *, parity: Sequence[Parity] = ()) -> Path:
    """Write `report.json`, `summary.md`, `junit.xml` and `report.html` into `out`.

    All four are rendered and on disk before the first gets its name, so that a folder does not
    show the verdicts of two runs. What else lies in `out`, the histories above all, is left
    alone. `parity` is what a live run has beside its result: each scenario in both modes.

    Returns:
        The path of `report.html`.

    Raises:
        OSError: `out` cannot be made or written to.
    """
    files = {
        "report.json": report_json(run, parity),
        "summary.md": report_markdown(run, parity).encode(),
        "junit.xml": report_junit(run),
        "report.html": report_html(run, parity).encode(),
    }
    out.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        # Each gets its name when all are there: a disk that is full leaves the last run whole.
        staged = [stack.enter_context(_staged(out / name, data)) for name, data in files.items()]
        for scrap, path in zip(staged, map(out.__truediv__, files), strict=True):
            scrap.replace(path)
    return out / "report.html"


def write_atomically(path: Path, data: bytes) -> None:
    """Make `path` hold `data`, or leave it as it was. A reader never sees a part of it."""
    with _staged(path, data) as scrap:
        scrap.replace(path)


@contextlib.contextmanager
def _staged(path: Path, data: bytes) -> Iterator[Path]:
    """A file beside `path` that holds `data`; gone afterwards, if it was not renamed."""
    # Beside the target, since a rename is atomic only within one file system.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)  # mkstemp makes files that the CI's uploader may not read
        yield Path(name)
    finally:
        with contextlib.suppress(OSError):
            Path(name).unlink()
