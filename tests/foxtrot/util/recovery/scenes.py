"""A recovery whose steps do as they are told, in virtual time."""

from __future__ import annotations

import asyncio
from random import Random

from foxtrot.util.errors import (
    AdapterConnectionError,
    ErrorCategory,
    FoxtrotError,
)
from foxtrot.util.recovery import (
    ErrorRecoveryManager,
    RecoveryAction,
)
from harness.kernel import VirtualClock

REPAIRS = ["retry", "reconnect", "restart_component"]


class Scripted:
    """An executor that notes what it is told, and whose verification says what it was told to.

    It insists on being told of which error, and by which action.
    """

    def __init__(self, loop, *, verdicts=(), supported=tuple(RecoveryAction), takes=0.0, quiet=0.0):
        self.loop = loop
        self.done = []
        self.verdicts = list(verdicts)
        self.supported = supported
        self.takes = takes
        self.quiet_until = loop.time() + quiet
        self.raises = None
        self.hangs = False
        self.covered = tuple(ErrorCategory)

    def supports(self, action, error):
        assert isinstance(error, FoxtrotError)
        return action in self.supported

    async def perform(self, action, error):
        assert isinstance(error, FoxtrotError)
        self.done.append((round(self.loop.time(), 3), action.value))
        if self.hangs:
            await asyncio.Event().wait()
        await asyncio.sleep(self.takes)
        if self.raises is not None:
            raise self.raises

    async def verify(self, action, error):
        assert isinstance(error, FoxtrotError)
        assert action.value == self.actions[-1]
        await asyncio.sleep(self.takes)
        return self.verdicts.pop(0) if self.verdicts else False

    def covers(self, error):
        return error.category in self.covered

    def wait(self, error):
        assert isinstance(error, FoxtrotError)
        return max(0.0, self.quiet_until - self.loop.time())

    @property
    def actions(self):
        return [action for _, action in self.done]


class Scene:
    def __init__(self, loop, **options):
        self.loop = loop
        strategies = options.pop("strategies", None)
        self.executor = Scripted(loop, **options)
        self.events = []
        self.manager = ErrorRecoveryManager(
            strategies,
            clock=VirtualClock(loop),
            rng=Random(1),
            base_delay=1.0,
            max_delay=8.0,
            listeners=[self.events.append],
        )

    def handle(self, error=None, attempts=3):
        error = error or down()
        return self.manager.handle_error(error, {"executor": self.executor}, attempts)

    def start(self, error=None):
        return asyncio.create_task(self.handle(error))

    @property
    def kinds(self):
        return [event.kind for event in self.events]


def down(**overrides):
    return AdapterConnectionError("A", "reset", **overrides)
