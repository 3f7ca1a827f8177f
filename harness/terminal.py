"""How the command talks: results on standard output, everything else on standard error."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from types import FrameType
from typing import NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from harness.units import nearest

__all__ = [
    "BAD_INPUT",
    "ERR",
    "HARNESS_ERROR",
    "OUT",
    "count",
    "give_up",
    "manners",
    "progress",
    "refuse",
    "refuse_mistakes",
    "refuse_word",
    "tell",
]

BAD_INPUT, HARNESS_ERROR = 2, 4


class _Console(Console):
    """One whose reader may go away, as `| head -1` does: the exit code is the verdict's still."""

    def on_broken_pipe(self) -> None:
        """Say nothing more. Rich would end the process with 1, which means that a check failed."""
        self.quiet = True
        with suppress(OSError, ValueError):
            # Else the interpreter stumbles over what is left in the buffer when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()  # None: closed by `>&-`


# A file or a CI log has no width of its own, and 80 columns break every table.
OUT = _Console(highlight=False, width=None if _is_terminal() else 120)
ERR = _Console(stderr=True, highlight=False)


@contextmanager
def manners() -> Iterator[None]:
    r"""What holds while a command runs: any text can be printed, and SIGTERM is a Ctrl-C, once.

    What the encoding of an output lacks is written out (`\u2713`). SIGTERM alone would end the
    process and leave its reports unwritten. `timeout` sends it twice, to the command and then to
    its group: a second Ctrl-C gives up at once, a second SIGTERM changes nothing.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    is_ending = False

    def end(_signal: int, frame: FrameType | None) -> None:
        nonlocal is_ending
        if not is_ending:
            is_ending = True
            _interrupt(frame)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(frame: FrameType | None) -> None:
    """Tell whoever waits for Ctrl-C, also where a shell has it ignored, as it does behind `&`."""
    handler = signal.getsignal(signal.SIGINT)
    if callable(handler):
        handler(signal.SIGINT, frame)
    else:
        raise KeyboardInterrupt


def tell(message: str) -> None:
    """Say something that is no result."""
    ERR.print(message, markup=False, soft_wrap=True)


def refuse(message: str) -> NoReturn:
    """End with exit code 2 and one message: what was expected, what came, what to do."""
    tell(message)
    raise typer.Exit(BAD_INPUT)


def give_up(message: str) -> NoReturn:
    """End with exit code 4 and one message: it is the harness that failed."""
    tell(message)
    raise typer.Exit(HARNESS_ERROR)


def refuse_mistakes(mistakes: Sequence[str]) -> NoReturn:
    """End with exit code 2 and every mistake that was found."""
    refuse("\n".join([*mistakes, f"{count(len(mistakes), 'mistake')}; nothing was run"]))


def refuse_word(option: str, word: str, words: tuple[str, ...]) -> NoReturn:
    """End with exit code 2: `word` is none of `words`; the nearest of them is offered."""
    near = nearest(word, words)
    hint = f"; did you mean {near!r}?" if near else ""
    refuse(f"{option}: expected one of {', '.join(words)}, got {word!r}{hint}")


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun in the right form."""
    return f"{number} {one if number == 1 else many or one + 's'}"


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[float], None]]:
    """A bar on a terminal, and nothing elsewhere; call what you get with how much is done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=ERR, transient=True, disable=not ERR.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=round(done, 2))
