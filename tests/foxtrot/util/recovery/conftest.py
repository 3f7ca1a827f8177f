"""Runs a recovery in virtual time."""

from __future__ import annotations

import pytest

from harness.kernel import run_virtual

from .scenes import Scene


@pytest.fixture
def scene():
    """Runs `body(scene)` in virtual time; returns the scene."""

    def run(body, **options):
        async def main(loop):
            made = Scene(loop, **options)
            await body(made)
            return made

        return run_virtual(main, max_time=1e6)

    return run
