"""Which of our own source files a module depends on, as they are written."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["imported_sources"]


def imported_sources(root: Path, modules: Iterable[str]) -> list[Path]:
    """The files below `root` that `modules` consist of and import, directly or not, sorted.

    Read off the import statements, wherever in a file they stand, those for type checkers too.
    What is imported by a name that is put together at run time is not found.
    """
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = None if name in found else _file_of(root, name)
        if path is not None:
            found[name] = path
            waiting += [name.rpartition(".")[0], *_imports(path)]
    return sorted(set(found.values()))


def _file_of(root: Path, module: str) -> Path | None:
    place = root.joinpath(*module.split("."))
    candidates = (place.with_suffix(".py"), place / "__init__.py")
    return next((path for path in candidates if module and path.is_file()), None)


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes(), path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
