"""Builds a world from a scenario: the only place where its parts are put together."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from foxtrot.adapter.dialect import DIALECTS, OrderMemory
from foxtrot.adapter.simulated import SimulatedAdapter
from foxtrot.server.engine import MainEngine
from foxtrot.server.policy import POLICIES, EnginePolicy
from foxtrot.util.constants import Exchange
from foxtrot.util.object import SubscribeRequest
from harness.books import Books
from harness.faults.base import Client
from harness.history import History
from harness.kernel import EPOCH, RandomStreams, VirtualClock, VirtualLoop
from harness.nemesis import Nemesis
from harness.network import Link
from harness.policy_options import policy_options
from harness.probe import Probe
from harness.recorder import Recorder
from harness.scenario import Names, Occurrence, Scenario, VenueSpec
from harness.venue import (
    BINANCE,
    DEFAULT_INSTRUMENTS,
    FUTU,
    IB,
    AccountSpec,
    Instrument,
    MarketTrade,
    Profile,
    Venue,
    csv_tape,
    random_tape,
)
from harness.workload import Desk, Market, Strategy

__all__ = [
    "NAMES",
    "PROFILES",
    "Tasks",
    "World",
    "build_world",
    "exchange_of",
    "instrument_of",
    "recorded_tape",
    "subscriptions",
]

PROFILES: Mapping[str, Profile] = {profile.name: profile for profile in (BINANCE, FUTU, IB)}

NAMES = Names(
    profiles=tuple(PROFILES),
    numbered=tuple(name for name in PROFILES if DIALECTS[name].numbers_frames),
    policies=tuple(POLICIES),
    policy_options=policy_options(),
)
"""The words that scenarios may use here, beside the kinds of faults."""

# Enough that only a fault, never the workload, runs out of money.
_FUNDS = 1_000_000_000.0
_QUOTES = ("USDT", "USDC", "USD", "BTC", "HKD")


@dataclass(slots=True)
class World:
    """Everything of one run, ready to be driven."""

    scenario: Scenario
    loop: VirtualLoop
    clock: VirtualClock
    history: History
    occurrences: tuple[Occurrence, ...]
    venues: dict[str, Venue]
    links: dict[str, Link]
    engine: MainEngine
    books: Books
    nemesis: Nemesis
    strategy: Strategy
    probe: Probe
    markets: tuple[Market, ...]
    tasks: Tasks

    async def pump(self, name: str) -> None:
        """Move one venue's market on, tick by tick, until its tape ends."""
        venue, link = self.venues[name], self.links[name]
        while (at := venue.next_event_at()) is not None:
            await self.clock.sleep(at - self.clock.now())
            for connection_id, frame in venue.advance(max(at, self.clock.now())):
                link.deliver(connection_id, frame)


@dataclass(slots=True)
class Tasks:
    """The harness's own tasks, ended in the order in which they began."""

    _running: dict[asyncio.Task[Any], None] = field(default_factory=dict)
    _broken: list[BaseException] = field(default_factory=list)

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task."""
        task = asyncio.get_running_loop().create_task(work, name=f"harness: {name}")
        self._running[task] = None
        task.add_done_callback(self._ended)
        return task

    def check(self) -> None:
        """Raise the first error that ended a task. A broken harness must not pass for a result."""
        if self._broken:
            raise self._broken[0]

    async def end(self, *, patience: float = 0.0) -> None:
        """Wait `patience` seconds for the tasks to end by themselves, then cancel the rest."""
        tasks = tuple(self._running)
        if tasks and patience:
            await asyncio.wait(tasks, timeout=patience)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.check()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.pop(task, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._broken.append(error)


def build_world(
    scenario: Scenario, policy: EnginePolicy, loop: VirtualLoop, history: History
) -> World:
    """Put the parts together. Nothing runs yet."""
    clock = VirtualClock(loop)
    streams = RandomStreams(scenario.seed)
    occurrences = scenario.occurrences(streams.stream("schedule"))
    books = Books(history)
    recorder = Recorder(history)
    tasks = Tasks()
    links: dict[str, Link] = {}
    nemesis: Nemesis

    def intervened(knob_id: str, subject_id: str, what: str) -> None:
        nemesis.intervened(knob_id, subject_id, what)

    for spec in scenario.venues:
        venue = _venue(spec, scenario, streams, books, intervened)
        links[spec.name] = _link(spec, venue, clock, streams, history)
    engine = MainEngine(
        policy=policy,
        clock=clock,
        rng=streams.stream("engine"),
        alert_sinks=[recorder.on_alert],
        listeners=[recorder.on_event],
        order_prefix="engine",
    )
    nemesis = Nemesis(
        occurrences,
        links,
        history=history,
        clock=clock,
        streams=streams,
        client=Client(engine.event_engine, clock.step),
    )
    markets = tuple(_markets(scenario))
    desk = Desk(engine, history, recorder)
    strategy = Strategy(
        desk,
        engine,
        scenario.workload,
        tuple(market for market in markets if market.adapter not in _standbys(scenario)),
        history,
        clock,
        streams.stream("strategy"),
        tasks.spawn,
    )
    probe = Probe(
        engine,
        links,
        markets,
        books,
        nemesis=nemesis,
        desk=desk,
        history=history,
        clock=clock,
        tick_intervals={spec.name: spec.tick_interval for spec in scenario.venues},
        venue_times={name: link.venue_time for name, link in links.items()},
    )
    for spec in scenario.venues:
        engine.add_adapter(
            _component(links[spec.name]),
            spec.name,
            standby_for=spec.standby_for,
            exchange=exchange_of(spec),
            dialect=DIALECTS[spec.profile],
            memory=OrderMemory(),
            api_key=f"key-{spec.name}",
            clock=clock,
            serials=itertools.count(1),
        )
    return World(
        scenario=scenario,
        loop=loop,
        clock=clock,
        history=history,
        occurrences=occurrences,
        venues={name: link.venue for name, link in links.items()},
        links=links,
        engine=engine,
        books=books,
        nemesis=nemesis,
        strategy=strategy,
        probe=probe,
        markets=markets,
        tasks=tasks,
    )


def subscriptions(world: World, adapter: str) -> list[SubscribeRequest]:
    """What an adapter is to be subscribed to."""
    return [
        SubscribeRequest(symbol=market.instrument.symbol, exchange=market.exchange)
        for market in world.markets
        if market.adapter == adapter
    ]


def exchange_of(spec: VenueSpec) -> Exchange:
    """The exchange whose name ends the symbols of a venue: its own, or its profile's."""
    names = Exchange.__members__
    return names.get(spec.name) or names.get(spec.profile.upper()) or Exchange.LOCAL


def instrument_of(symbol: str, price: float) -> Instrument:
    """The instrument of a symbol: a known one, or one with common filters, opening at `price`."""
    known = {each.symbol: each for each in DEFAULT_INSTRUMENTS}
    if symbol in known:
        return replace(known[symbol], start_price=Decimal(str(price)))
    quote = next((q for q in _QUOTES if symbol.endswith(q) and symbol != q), "USD")
    return replace(
        DEFAULT_INSTRUMENTS[-1],
        symbol=symbol,
        base=symbol.removesuffix(quote) or symbol,
        quote=quote,
        start_price=Decimal(str(price)),
    )


def recorded_tape(spec: VenueSpec, scenario: Scenario) -> Iterator[MarketTrade]:
    """The trades in the file that a venue names; none where it names none.

    Raises:
        TapeError: The file cannot be used. Nothing of it has been then.
    """
    if spec.tape is None:
        return iter(())
    instruments = _instruments(spec)
    files = {instruments[0].symbol: spec.tape.csv}
    return csv_tape(files, instruments, horizon=scenario.duration)


def _instruments(spec: VenueSpec) -> list[Instrument]:
    return [instrument_of(symbol, each.price) for symbol, each in spec.symbols.items()]


def _component(link: Link) -> Callable[..., SimulatedAdapter]:
    """What makes the adapter on a link, and makes it again when the engine restarts it."""

    def build(*args: Any, **options: Any) -> SimulatedAdapter:  # Any: the adapter's own
        link.components += 1
        return SimulatedAdapter(*args, session=link, **options)

    return build


def _venue(
    spec: VenueSpec,
    scenario: Scenario,
    streams: RandomStreams,
    books: Books,
    intervened: Any,
) -> Venue:
    instruments = _instruments(spec)
    assets = dict.fromkeys(a for each in instruments for a in (each.base, each.quote))
    volatility = next(iter(spec.symbols.values())).volatility
    tape = (
        recorded_tape(spec, scenario)
        if spec.tape
        else random_tape(
            instruments,
            lambda name: streams.stream(f"{spec.name}.{name}"),
            interval=spec.tick_interval,
            volatility=volatility,
        )
    )
    return Venue(
        spec.name,
        PROFILES[spec.profile],
        instruments,
        tape,
        epoch=EPOCH.timestamp(),
        on_event=books.hook(spec.name),
        on_intervention=intervened,
        accounts=[
            AccountSpec("main", f"key-{spec.name}", dict.fromkeys(assets, _FUNDS)),
        ],
    )


def _link(
    spec: VenueSpec, venue: Venue, clock: VirtualClock, streams: RandomStreams, history: History
) -> Link:
    link: Link
    says_latency = "latency" in spec.model_fields_set

    def push() -> None:
        for connection_id, frame in venue.take_frames():
            link.deliver(connection_id, frame)

    link = Link(
        spec.name,
        venue,
        now=clock.now,
        rng=streams.stream(f"latency.{spec.name}"),
        latency=spec.latency.mean if says_latency else venue.profile.latency,
        jitter=spec.latency.jitter if says_latency else venue.profile.jitter,
        api_key=f"key-{spec.name}",
        history=history,
        after_request=push,
    )
    return link


def _markets(scenario: Scenario) -> list[Market]:
    return [
        Market(spec.name, exchange_of(spec), instrument_of(symbol, s.price))
        for spec in scenario.venues
        for symbol, s in spec.symbols.items()
    ]


def _standbys(scenario: Scenario) -> tuple[str, ...]:
    """The venues that take orders only in place of another."""
    return tuple(spec.name for spec in scenario.venues if spec.standby_for is not None)
