"""What a run has put on a server that others use too, written down so that it can be swept.

A run that is killed cannot clean up. Its file stays, and its lock goes with the process, whatever
ended that: a file that nobody locks is a dead run's. (A process id would not do: it may be
somebody else's by now.) Needs a POSIX system.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from harness.toxiproxy.address import Address

__all__ = ["RunFile", "default_directory", "settle_abandoned"]

_SUFFIX = ".run"


class RunFile:
    """The names of the proxies of one run on one server, in a file locked while the run lives."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def open(cls, server: Address, directory: Path) -> Self:
        """Begin a file for this process.

        Raises:
            OSError: The directory cannot be written; XDG_STATE_HOME names another place.
        """
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = directory / f"{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
        unnamed = path.with_suffix(".new")
        descriptor = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        # Locked before it has the name that a sweep looks for.
        _lock(descriptor)
        run = cls(path, descriptor)
        run._write({"server": str(server)})
        unnamed.replace(path)
        return run

    def add(self, proxy: str) -> None:
        """Note a proxy that is about to be created."""
        self._write({"proxy": proxy})

    def discard(self) -> None:
        """The run has cleaned up: nothing is left to sweep."""
        self.path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _write(self, line: Mapping[str, str]) -> None:
        # One write call a line: a process that dies leaves whole lines.
        os.write(self._descriptor, json.dumps(line).encode() + b"\n")


def default_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the files of this user's runs are."""
    state = environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "foxtrot" / "toxiproxy"


def settle_abandoned(
    server: Address, directory: Path, settle: Callable[[tuple[str, ...]], None]
) -> None:
    """Hand `settle` the proxies that each dead run noted for `server`, and forget the run.

    A run for which `settle` raises is kept for another try, and the error goes to the caller.
    """
    for path in sorted(directory.glob(f"*{_SUFFIX}")):
        with _claimed(path) as text:
            found, proxies = _read(text)
            if found == str(server):
                settle(proxies)
                path.unlink(missing_ok=True)


@contextmanager
def _claimed(path: Path) -> Iterator[str]:
    """The file's text, or nothing where somebody has it locked or has removed it."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        yield ""
        return
    with os.fdopen(descriptor) as file:
        try:
            _lock(descriptor)
        except BlockingIOError:
            yield ""
        else:
            yield file.read()


def _read(text: str) -> tuple[str | None, tuple[str, ...]]:
    lines = [_parsed(line) for line in text.splitlines()]
    servers = [line["server"] for line in lines if "server" in line]
    proxies = tuple(line["proxy"] for line in lines if "proxy" in line)
    return (servers[0] if servers else None), proxies


def _parsed(line: str) -> dict[str, str]:
    try:
        return dict(json.loads(line))
    except ValueError:
        # Torn by a machine that went down: what it notes was never created.
        return {}


def _lock(descriptor: int) -> None:
    import fcntl  # noqa: PLC0415 - POSIX only, and the harness must import elsewhere

    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
