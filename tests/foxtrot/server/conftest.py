"""An engine on simulated venues in virtual time, and everything that was seen of it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from foxtrot.adapter.session import Operation, VenueReply, VenueRequest
from foxtrot.adapter.simulated import SimulatedAdapter
from foxtrot.server.engine import MainEngine
from foxtrot.server.policy import POLICIES
from foxtrot.util.constants import Direction, Exchange, OrderType
from foxtrot.util.event import EVENT_ORDER, EVENT_TRADE, Event
from foxtrot.util.object import CancelRequest, OrderRequest, SubscribeRequest
from foxtrot.util.recovery import RecoveryEvent
from harness.kernel import EPOCH, VirtualClock, run_virtual
from harness.network import Effect, Fail, Hang, Link, LinkRule
from harness.venue import DEFAULT_INSTRUMENTS, AccountSpec, MarketTrade, Venue

LATENCY = 0.02


def steady_tape() -> Iterator[MarketTrade]:
    """50,000.00 at every second."""
    for second in itertools.count():
        yield MarketTrade(float(second), "BTCUSDT", 5_000_000, 100_000, second % 2 == 0)


def refused() -> Exception:
    return ConnectionRefusedError(111, "Connection refused")


def reset() -> Exception:
    return ConnectionResetError(104, "Connection reset by peer")


class Notes:
    """A history in memory."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.lines: list[tuple[float, str, str, str, dict[str, Any]]] = []

    def record(self, kind: str, /, id: str = "", outcome: str = "", **details: Any) -> None:  # noqa: A002
        self.lines.append((round(self._now(), 3), kind, id, outcome, details))


class Rule(LinkRule):
    """Decides by functions; each may be left out."""

    def __init__(
        self,
        *,
        sending: Callable[[VenueRequest], Effect | None] | None = None,
        replying: Callable[[VenueRequest, VenueReply], Effect | None] | None = None,
        opening: Callable[[str], Effect | None] | None = None,
        pinging: Callable[[str], Effect | None] | None = None,
        framing: Callable[[str, bytes], Effect | None] | None = None,
    ) -> None:
        for name, decide in {
            "sending": sending,
            "replying": replying,
            "opening": opening,
            "pinging": pinging,
            "framing": framing,
        }.items():
            if decide is not None:
                setattr(self, name, decide)


def on(operation: Operation, effect: Effect, *, count: int | None = None) -> Callable[..., Any]:
    """A decision about requests of one operation, the first `count` of them."""
    left = itertools.count() if count is None else iter(range(count))

    def decide(request: VenueRequest, *_reply: VenueReply) -> Effect | None:
        if request.operation is not operation or next(left, None) is None:
            return None
        return effect

    return decide


class Bench:
    """An engine with adapters ALPHA and, where asked for, its standby BETA."""

    def __init__(self, loop: Any, *, standby: bool = False, seed: int = 1, **policy: Any) -> None:
        self.loop = loop
        self.clock = VirtualClock(loop)
        self.notes = Notes(loop.time)
        self.events: list[object] = []
        self.published: list[tuple[float, str, str]] = []
        self.alerts: list[Any] = []
        self.engine = MainEngine(
            policy=replace(POLICIES["default"], **policy),
            clock=self.clock,
            rng=Random(seed),
            alert_sinks=[self.alerts.append],
            listeners=[self.events.append],
            order_prefix="e",
        )
        self.engine.event_engine.register(EVENT_ORDER, self._on_order)
        self.engine.event_engine.register(EVENT_TRADE, self._on_trade)
        self.links: dict[str, Link] = {}
        self.builds = 0
        self._add("ALPHA", Exchange.BINANCE, None)
        if standby:
            self._add("BETA", Exchange.LOCAL, "ALPHA")
        self.link = self.links["ALPHA"]
        self.venue = self.link.venue
        self.pumps: list[asyncio.Task[None]] = []

    @property
    def now(self) -> float:
        return round(self.loop.time(), 3)

    @property
    def connection(self) -> Any:
        return self.engine.connections["ALPHA"]

    async def start(self) -> None:
        """Markets running, everything connected."""
        for name, link in self.links.items():
            self.pumps.append(self.loop.create_task(self._pump(link)))
            adapter = self.engine.connections[name].adapter
            request = SubscribeRequest(symbol="BTCUSDT", exchange=adapter.exchange)
            await self.engine.subscribe([request], name)
            await self.engine.connect(name)

    async def stop(self) -> Any:
        report = await self.engine.close()
        for pump in self.pumps:
            pump.cancel()
        await asyncio.gather(*self.pumps, return_exceptions=True)
        return report

    def order(self, reference: str = "", **changes: Any) -> OrderRequest:
        """A buy that rests; `price=0` makes it one at market, which fills at once."""
        price = changes.pop("price", 49_000.0)
        return OrderRequest(
            symbol="BTCUSDT",
            exchange=Exchange.BINANCE,
            direction=changes.pop("direction", Direction.LONG),
            type=OrderType.LIMIT if price else OrderType.MARKET,
            price=price,
            volume=0.01,
            reference=reference,
            **changes,
        )

    def by_id(self, reference: str) -> CancelRequest:
        return CancelRequest(symbol="BTCUSDT", exchange=Exchange.BINANCE, orderid=reference)

    def status(self, reference: str, adapter: str = "ALPHA") -> str:
        order = self.engine.oms.order(f"{adapter}.{reference}")
        return "none" if order is None else order.status.name

    def booked(self, name: str = "ALPHA") -> list[tuple[str, str, float]]:
        """What the venue has: id, status, executed."""
        return [
            (order["client_id"], order["status"], order["executed"])
            for order in self.links[name].venue.ledger.orders()["main"]
        ]

    def position(self, name: str = "ALPHA") -> tuple[float, float]:
        """The engine's and the venue's."""
        connection = self.engine.connections[name]
        mine = self.engine.oms.position(name, f"BTCUSDT.{connection.adapter.exchange.value}")
        trades = self.links[name].venue.ledger.trades()["main"]
        theirs = sum(t["quantity"] if t["side"] == "BUY" else -t["quantity"] for t in trades)
        return round(mine, 8), round(theirs, 8)

    def sent(self, *operations: str, name: str = "ALPHA") -> list[tuple[float, str]]:
        """When what left."""
        return [
            (t, d["operation"])
            for t, kind, _, _, d in self.notes.lines
            if kind == "link.sent"
            and d["adapter"] == name
            and (not operations or d["operation"] in operations)
        ]

    def opened(self) -> list[tuple[float, str]]:
        """When connections were tried, with which outcome."""
        return [(t, outcome) for t, kind, _, outcome, _ in self.notes.lines if kind == "link.open"]

    def recoveries(self) -> list[tuple[str, str, str]]:
        """What recovery did: kind, category, action."""
        return [
            (e.kind, e.error.category.value, e.action.value if e.action else "")
            for e in self.events
            if isinstance(e, RecoveryEvent)
        ]

    def _add(self, name: str, exchange: Exchange, standby_for: str | None) -> None:
        venue = Venue(
            name,
            tape=steady_tape(),
            instruments=DEFAULT_INSTRUMENTS[:1],
            epoch=EPOCH.timestamp(),
            accounts=[AccountSpec("main", "key", {"USDT": 1e9, "BTC": 1e6})],
        )
        venue.advance(0.0)

        def push() -> None:
            for connection_id, frame in venue.take_frames():
                link.deliver(connection_id, frame)

        link = Link(
            name,
            venue,
            now=self.loop.time,
            rng=Random(1),
            latency=LATENCY,
            jitter=0.0,
            api_key="key",
            history=self.notes,
            after_request=push,
        )
        self.links[name] = link

        def build(*args: Any, **options: Any) -> SimulatedAdapter:
            self.builds += 1
            return SimulatedAdapter(*args, session=link, **options)

        self.engine.add_adapter(
            build, name, standby_for=standby_for, exchange=exchange, clock=self.clock
        )

    async def _pump(self, link: Link) -> None:
        while (at := link.venue.next_event_at()) is not None:
            await self.clock.sleep(at - self.clock.now())
            for connection_id, frame in link.venue.advance(max(at, self.clock.now())):
                link.deliver(connection_id, frame)

    def _on_order(self, event: Event) -> None:
        self.published.append((self.now, event.data.vt_orderid, event.data.status.name))

    def _on_trade(self, event: Event) -> None:
        self.published.append((self.now, event.data.vt_orderid, f"trade {event.data.tradeid}"))


@pytest.fixture
def play() -> Callable[..., Bench]:
    """Runs `body(bench)` with everything connected, and shuts down; returns the bench."""

    def run(body: Callable[[Bench], Any], *, connect: bool = True, **options: Any) -> Bench:
        async def main(loop: Any) -> Bench:
            bench = Bench(loop, **options)
            if connect:
                await bench.start()
            await body(bench)
            await bench.stop()
            left = [t.get_name() for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            assert left == []
            return bench

        return run_virtual(main, max_time=20_000.0)

    return run


@pytest.fixture
def tools() -> Any:
    """Rules and effects, for test files that cannot import this one."""

    class Tools:
        pass

    for each in (Rule, on, refused, reset, Fail, Hang, Bench):
        setattr(Tools, each.__name__, staticmethod(each) if callable(each) else each)
    return Tools
