"""Runs calls through a guard in virtual time."""

from __future__ import annotations

import pytest

from harness.kernel import run_virtual

from .scenes import Scene


@pytest.fixture
def scene():
    def run(body, **policy):
        async def main(loop):
            made = Scene(loop, **policy)
            await body(made)
            return made

        return run_virtual(main, max_time=1e7)

    return run
