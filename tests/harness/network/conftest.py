"""Runs what a test does to a link, in virtual time."""

from __future__ import annotations

import pytest

from harness.kernel import run_virtual

from .wire import Wire


@pytest.fixture
def on_wire(kept):
    """Runs `body(wire)` in virtual time and returns the wire."""

    def run(body, **options):
        async def main(loop):
            wire = Wire(loop, kept, **options)
            await body(wire)
            return wire

        return run_virtual(main)

    return run
