"""A real toxiproxy-server, and the scenarios that are driven through it.

Where the server or ccxt is missing these are skipped, with FOXTROT_REQUIRE_LIVE set they fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.faults.catalogue import CATALOGUE
from harness.scenario import Scenario, load_paths
from harness.world import NAMES

STORIES = Path(__file__).parents[3] / "scenarios" / "live"


def _unavailable(reason: str) -> None:
    (pytest.fail if os.environ.get("FOXTROT_REQUIRE_LIVE") else pytest.skip)(reason)


@pytest.fixture(scope="session")
def binary() -> Path:
    """A toxiproxy-server to start."""
    missing = [name for name in ("aiohttp", "ccxt", "requests", "toxiproxy") if not find_spec(name)]
    if missing:
        _unavailable(f"live mode needs {', '.join(missing)}")
    from harness.toxiproxy import Address, ToxiproxyMissingError, find_server

    try:
        found = find_server()
    except ToxiproxyMissingError as error:
        _unavailable(str(error))
    if isinstance(found, Address):
        _unavailable("TOXIPROXY_SERVER is a running server, these start their own")
    return found


@pytest.fixture(scope="module")
def server(binary: Path) -> Iterator[object]:
    """A running server of these tests' own."""
    from harness.toxiproxy import ToxiproxyServer

    with ToxiproxyServer.start(binary) as running:
        yield running


@pytest.fixture(scope="session")
def stories() -> tuple[Scenario, ...]:
    return load_paths([STORIES], catalogue=CATALOGUE, names=NAMES)
