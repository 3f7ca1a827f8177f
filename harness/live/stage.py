"""The venue on the wire with a proxy before it, ready for a client: the core's, or a bare one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from harness.books import Books
from harness.faults.base import Fault
from harness.history import History
from harness.kernel import RandomStreams
from harness.live.board import Board
from harness.live.client import LiveLink, client_of
from harness.live.division import Division, divide
from harness.live.nemesis import ProxyNemesis
from harness.live.tracing import Clerk, TracedServer
from harness.nemesis import Nemesis
from harness.network import Link
from harness.scenario import Scenario, VenueSpec
from harness.toxiproxy import Address, AsyncProxy, AsyncToxiproxy, ToxiproxyError
from harness.wire import WireAccount, WireConfig
from harness.wire.clock import VenueClock
from harness.workload import Market
from harness.world import Tasks, exchange_of, instrument_of

__all__ = ["Stage", "open_stage"]

# As the simulation waits; a healed way on one machine takes a hundredth of it.
_ARRIVAL = 0.5


@dataclass(slots=True)
class Stage:
    """Everything of one live run but the client.

    `nemesis` holds the scenario's faults as they are announced; who does them, `division` says.
    """

    scenario: Scenario
    clock: VenueClock
    history: History
    division: Division
    server: TracedServer
    books: Books
    board: Board
    nemesis: Nemesis
    proxied: ProxyNemesis
    proxy: AsyncProxy
    link: LiveLink
    markets: tuple[Market, ...]
    streams: RandomStreams
    tasks: Tasks

    @property
    def spec(self) -> VenueSpec:
        """The one venue."""
        return self.scenario.venues[0]

    @property
    def venues(self) -> tuple[str, ...]:
        """The names of its venues."""
        return (self.spec.name,)

    def client(self, patience: float) -> Any:  # Any: ccxt ships no types for its clients
        """What makes a ccxt client that goes through the proxy.

        `patience`: seconds after which ccxt itself gives a request up.
        """
        name = self.spec.name
        return client_of(str(self.proxy.address), f"key-{name}", _secret(name), self.link, patience)

    def start_faults(self) -> None:
        """Let the faults happen from now on: the venue's, and the way's."""
        self.server.conductor.start(self.division.served)
        self.tasks.spawn("proxy", self.proxied.run())

    async def heal_all(self) -> None:
        """Lift every fault, whoever imposed it, and verify it."""
        await self.proxied.heal_all()
        await self.server.conductor.stop()

    async def let_arrive(self) -> None:
        """Stop the market and wait for what is under way: a fill on the wire is not a lost one."""
        self.server.front.stop()
        await self.clock.sleep(_ARRIVAL)

    async def check_proxy(self) -> None:
        """Make sure that the proxy has been there to the end.

        Raises:
            ToxiproxyError: It has not: what the client suffered was no fault of the scenario's.
        """
        try:
            await self.proxy.state()
        except ToxiproxyError as error:
            raise ToxiproxyError(
                f"expected the proxy of {self.scenario.name} there to the end: {error}"
            ) from error


@asynccontextmanager
async def open_stage(
    scenario: Scenario, history: History, toxiproxy: AsyncToxiproxy
) -> AsyncIterator[Stage]:
    """Put the parts together, with the venue already listening; at the end it is gone."""
    name, late, books = scenario.venues[0].name, _Late(), Books(history)
    board = Board(name, late.now)
    server = _server(scenario, _clerk(name, history, books, board, late))
    clock = late.clock = server.clock
    streams = RandomStreams(scenario.seed)
    occurrences = scenario.occurrences(streams.stream("schedule"))
    division = divide(occurrences)
    # Never run: it builds the faults, for their names and parameters.
    front = cast(Link, server.front)
    nemesis = Nemesis(occurrences, {name: front}, history=history, clock=clock, streams=streams)
    async with server:
        proxy = await toxiproxy.create(scenario.name, Address("127.0.0.1", server.port))
        proxied = ProxyNemesis(
            _of(nemesis, division),
            proxy,
            history=history,
            clock=clock,
            board=board,
            hang_up=server.front.end_all,
        )
        link = late.link = proxied.link = _link(name, history, server, proxied)
        yield Stage(
            scenario=scenario,
            clock=clock,
            history=history,
            division=division,
            server=server,
            books=books,
            board=board,
            nemesis=nemesis,
            proxied=proxied,
            proxy=proxy,
            link=link,
            markets=_markets(scenario.venues[0]),
            streams=streams,
            tasks=Tasks(),
        )


@dataclass(slots=True)
class _Late:
    """What the venue's clerk asks for, and what is there only once there is a venue."""

    clock: VenueClock | None = None
    link: LiveLink | None = None

    def now(self) -> float:
        return self.clock.now() if self.clock else 0.0

    def connection_id(self) -> str:
        return self.link.connection_id if self.link else ""


def _clerk(name: str, history: History, books: Books, board: Board, late: _Late) -> Clerk:
    return Clerk(history, books, board, venue=name, connection_id=late.connection_id, now=late.now)


def _link(name: str, history: History, server: TracedServer, proxied: ProxyNemesis) -> LiveLink:
    return LiveLink(
        name,
        history,
        now=server.clock.now,
        sockets=lambda: len(server.front.connection_ids()),
        has_arrived=server.has_got,
        touched=proxied.touched,
    )


def _markets(spec: VenueSpec) -> tuple[Market, ...]:
    return tuple(
        Market(spec.name, exchange_of(spec), instrument_of(symbol, each.price))
        for symbol, each in spec.symbols.items()
    )


def _server(scenario: Scenario, clerk: Clerk) -> TracedServer:
    """The venue, which has to be told its faults only once the client is there."""
    name = scenario.venues[0].name
    faultless = scenario.model_copy(update={"faults": (), "drawn": None})
    account = WireAccount(api_key=f"key-{name}", secret=_secret(name))
    return TracedServer(WireConfig(scenario=faultless, accounts=(account,)), history=clerk)


def _secret(name: str) -> str:
    """Of an account that exists for this run, on loopback."""
    return f"secret-of-{name}"


def _of(nemesis: Nemesis, division: Division) -> tuple[Fault, ...]:
    ours = {each.id for each in division.proxied}
    return tuple(fault for fault in nemesis.faults if fault.id in ours)
