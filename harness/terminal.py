"""How the command talks: results on standard output, everything else on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from harness.units import nearest

__all__ = [
    "BAD_INPUT",
    "ERR",
    "OUT",
    "count",
    "progress",
    "refuse",
    "refuse_mistakes",
    "refuse_word",
    "tell",
]

BAD_INPUT = 2

# A file or a CI log has no width of its own, and 80 columns break every table.
OUT = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
ERR = Console(stderr=True, highlight=False)


def tell(message: str) -> None:
    """Say something that is no result."""
    ERR.print(message, markup=False, soft_wrap=True)


def refuse(message: str) -> NoReturn:
    """End with exit code 2 and one message: what was expected, what came, what to do."""
    tell(message)
    raise typer.Exit(BAD_INPUT)


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
