"""Builds a world on real sockets: the stage, with the core on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import cast

from foxtrot.server.engine import MainEngine
from foxtrot.server.policy import EnginePolicy
from foxtrot.util.clock import SYSTEM_CLOCK
from harness.books import Books
from harness.history import History
from harness.live.client import LiveAdapter
from harness.live.stage import Stage, open_stage
from harness.nemesis import Nemesis
from harness.network import Link
from harness.probe import Probe
from harness.recorder import Recorder
from harness.scenario import Scenario
from harness.toxiproxy import AsyncToxiproxy
from harness.wire.clock import VenueClock
from harness.workload import Desk, Market, Strategy
from harness.world import Tasks, exchange_of

__all__ = ["LiveWorld", "open_world"]

# ccxt's own patience, which only tells when the adapter's, 5 s, has not.
_CCXT_PATIENCE = 8.0
# Somebody may be waiting for it at a terminal, after Ctrl-C.
_CLOSING = 8.0


@dataclass(slots=True)
class LiveWorld:
    """Everything of one live run. What `harness.run` asks of a world, it has by the same names."""

    stage: Stage
    engine: MainEngine
    strategy: Strategy
    probe: Probe

    @property
    def scenario(self) -> Scenario:
        """What happens."""
        return self.stage.scenario

    @property
    def clock(self) -> VenueClock:
        """Seconds since the start of the run."""
        return self.stage.clock

    @property
    def history(self) -> History:
        """Where it is written."""
        return self.stage.history

    @property
    def books(self) -> Books:
        """The venue's record."""
        return self.stage.books

    @property
    def nemesis(self) -> Nemesis:
        """The faults, as they are announced."""
        return self.stage.nemesis

    @property
    def markets(self) -> tuple[Market, ...]:
        """What is traded."""
        return self.stage.markets

    @property
    def tasks(self) -> Tasks:
        """The harness's own."""
        return self.stage.tasks


@asynccontextmanager
async def open_world(
    scenario: Scenario, policy: EnginePolicy, history: History, toxiproxy: AsyncToxiproxy
) -> AsyncIterator[LiveWorld]:
    """Put the parts together, with the venue already listening; take them apart at the end.

    Whatever ends the block, the engine is closed, every fault is off and the venue is gone.
    """
    async with open_stage(scenario, history, toxiproxy) as stage:
        recorder = Recorder(history)
        engine = MainEngine(
            policy=replace(policy, shutdown_timeout=min(policy.shutdown_timeout, _CLOSING)),
            rng=stage.streams.stream("engine"),
            alert_sinks=[recorder.on_alert],
            listeners=[recorder.on_event],
            order_prefix="engine",
        )
        try:
            yield _world(stage, engine, Desk(engine, history, recorder))
        finally:
            await engine.close()


def _world(stage: Stage, engine: MainEngine, desk: Desk) -> LiveWorld:
    spec, history, clock = stage.spec, stage.history, stage.clock
    strategy = Strategy(
        desk,
        engine,
        stage.scenario.workload,
        stage.markets,
        history,
        clock,
        stage.streams.stream("strategy"),
        stage.tasks.spawn,
    )
    probe = Probe(
        engine,
        {spec.name: cast(Link, stage.link)},
        stage.markets,
        stage.books,
        nemesis=cast(Nemesis, stage.board),
        desk=desk,
        history=history,
        clock=clock,
        tick_intervals={spec.name: spec.tick_interval},
        venue_times={spec.name: lambda: clock.wall().timestamp()},
    )
    engine.add_adapter(
        LiveAdapter,
        spec.name,
        link=stage.link,
        exchange=exchange_of(spec),
        client=stage.client(_CCXT_PATIENCE),
        clock=SYSTEM_CLOCK,
    )
    return LiveWorld(stage, engine, strategy, probe)
