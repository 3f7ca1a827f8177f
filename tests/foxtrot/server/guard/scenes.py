"""One adapter's guard whose attempts have the results that they are given."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random

from foxtrot.server.guard import AdapterGuard
from foxtrot.server.policy import POLICIES, Lane
from foxtrot.util.errors import (
    AdapterConnectionError,
)
from foxtrot.util.retry import OperationKind
from harness.kernel import VirtualClock

READ, IDEMPOTENT, ONCE = OperationKind.READ, OperationKind.IDEMPOTENT, OperationKind.NOT_IDEMPOTENT


class Scene:
    def __init__(self, loop, **policy):
        self.loop = loop
        self.clock = VirtualClock(loop)
        self.errors, self.retries, self.ends, self.attempts = [], [], [], []
        self.guard = AdapterGuard(
            "A",
            policy=replace(POLICIES["default"], **policy),
            clock=self.clock,
            rng=Random(1),
            on_error=self.errors.append,
            on_retry=self.retries.append,
            on_end=self.ends.append,
        )

    def script(self, *results):
        """An attempt that has these results, one after the other; the last one stays."""
        left = list(results)

        async def attempt():
            self.attempts.append(round(self.loop.time(), 3))
            result = left.pop(0) if len(left) > 1 else left[0]
            if result is Ellipsis:
                await asyncio.Event().wait()
            if isinstance(result, BaseException):
                raise result
            return result

        return attempt

    def call(self, *results, lane=Lane.QUERIES, operation="account", kind=READ, **options):
        return self.guard.call(lane, operation, self.script(*results), kind=kind, **options)


def down(**overrides):
    return AdapterConnectionError("A", "reset", **overrides)
