"""Builds a world on real sockets: the only place where its live parts are put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import cast

from foxtrot.server.engine import MainEngine
from foxtrot.server.policy import EnginePolicy
from foxtrot.util.clock import SYSTEM_CLOCK
from harness.books import Books
from harness.faults.base import Fault
from harness.history import History
from harness.kernel import RandomStreams
from harness.live.board import Board
from harness.live.client import LiveAdapter, LiveLink, client_of
from harness.live.division import Division, divide
from harness.live.nemesis import ProxyNemesis
from harness.live.tracing import Clerk, TracedServer
from harness.nemesis import Nemesis
from harness.network import Link
from harness.probe import Probe
from harness.recorder import Recorder
from harness.scenario import Scenario
from harness.toxiproxy import Address, AsyncToxiproxy
from harness.wire import WireAccount, WireConfig
from harness.wire.clock import VenueClock
from harness.workload import Desk, Market, Strategy
from harness.world import Tasks, exchange_of, instrument_of

__all__ = ["LiveWorld", "open_world"]

# ccxt's own patience, which only tells when the adapter's, 5 s, has not.
_CCXT_PATIENCE = 8.0
# Somebody may be waiting for it at a terminal, after Ctrl-C.
_CLOSING = 8.0


@dataclass(slots=True)
class LiveWorld:
    """Everything of one live run, with the venue listening and the proxy before it.

    `plan` holds the scenario's faults as they are announced; who does them, `division` says.
    """

    scenario: Scenario
    clock: VenueClock
    history: History
    division: Division
    server: TracedServer
    engine: MainEngine
    books: Books
    nemesis: Nemesis
    proxied: ProxyNemesis
    strategy: Strategy
    probe: Probe
    markets: tuple[Market, ...]
    tasks: Tasks

    @property
    def venues(self) -> tuple[str, ...]:
        """The names of its venues."""
        return tuple(spec.name for spec in self.scenario.venues)

    def start_faults(self) -> None:
        """Let the faults happen from now on: the venue's, and the way's."""
        self.server.conductor.start(self.division.served)
        self.tasks.spawn("proxy", self.proxied.run())

    async def heal_all(self) -> None:
        """Lift every fault, whoever imposed it, and verify it."""
        await self.proxied.heal_all()
        await self.server.conductor.stop()


@asynccontextmanager
async def open_world(
    scenario: Scenario, policy: EnginePolicy, history: History, toxiproxy: AsyncToxiproxy
) -> AsyncIterator[LiveWorld]:
    """Put the parts together, with the venue already listening; take them apart at the end.

    Whatever ends the block, the engine is closed, every fault is off and the venue is gone.
    """
    spec = scenario.venues[0]
    secret = f"secret-of-{spec.name}"  # of an account that exists for this run, on loopback
    books, streams = Books(history), RandomStreams(scenario.seed)
    link: LiveLink
    clock: VenueClock

    def now() -> float:
        return clock.now()

    board = Board(spec.name, now)
    clerk = Clerk(
        history,
        books,
        board,
        venue=spec.name,
        connection_id=lambda: link.connection_id,
        now=now,
    )
    server = _server(scenario, secret, clerk)
    clock = server.clock
    occurrences = scenario.occurrences(streams.stream("schedule"))
    division = divide(occurrences)
    # Never run: it builds the faults, for their names and parameters.
    nemesis = Nemesis(
        occurrences,
        {spec.name: cast(Link, server.front)},
        history=history,
        clock=clock,
        streams=streams,
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server)
        proxy = await toxiproxy.create(scenario.name, Address("127.0.0.1", server.port))
        proxied = ProxyNemesis(
            _of(nemesis, division), proxy, history=history, clock=clock, board=board
        )
        link = LiveLink(
            spec.name,
            history,
            now=clock.now,
            sockets=lambda: len(server.front.connection_ids()),
            has_arrived=server.has_got,
            touched=proxied.touched,
        )
        proxied.link = link
        recorder, tasks = Recorder(history), Tasks()
        engine = MainEngine(
            policy=replace(policy, shutdown_timeout=min(policy.shutdown_timeout, _CLOSING)),
            rng=streams.stream("engine"),
            alert_sinks=[recorder.on_alert],
            listeners=[recorder.on_event],
            order_prefix="engine",
        )
        stack.push_async_callback(engine.close)
        markets = tuple(
            Market(spec.name, exchange_of(spec), instrument_of(symbol, each.price))
            for symbol, each in spec.symbols.items()
        )
        desk = Desk(engine, history, recorder)
        strategy = Strategy(
            desk,
            engine,
            scenario.workload,
            markets,
            history,
            clock,
            streams.stream("strategy"),
            tasks.spawn,
        )
        probe = Probe(
            engine,
            {spec.name: cast(Link, link)},
            markets,
            books,
            nemesis=cast(Nemesis, board),
            desk=desk,
            history=history,
            clock=clock,
            tick_intervals={spec.name: spec.tick_interval},
        )
        engine.add_adapter(
            LiveAdapter,
            spec.name,
            link=link,
            exchange=exchange_of(spec),
            client=client_of(str(proxy.address), f"key-{spec.name}", secret, link, _CCXT_PATIENCE),
            clock=SYSTEM_CLOCK,
        )
        yield LiveWorld(
            scenario=scenario,
            clock=clock,
            history=history,
            division=division,
            server=server,
            engine=engine,
            books=books,
            nemesis=nemesis,
            proxied=proxied,
            strategy=strategy,
            probe=probe,
            markets=markets,
            tasks=tasks,
        )


def _server(scenario: Scenario, secret: str, clerk: Clerk) -> TracedServer:
    """The venue, which has to be told its faults only once the client is there."""
    faultless = scenario.model_copy(update={"faults": (), "drawn": None})
    account = WireAccount(api_key=f"key-{scenario.venues[0].name}", secret=secret)
    return TracedServer(WireConfig(scenario=faultless, accounts=(account,)), history=clerk)


def _of(nemesis: Nemesis, division: Division) -> tuple[Fault, ...]:
    ours = {each.id for each in division.proxied}
    return tuple(fault for fault in nemesis.faults if fault.id in ours)
