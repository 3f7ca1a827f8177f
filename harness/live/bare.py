"""The control of live mode: a bare ccxt.pro client that trades as many a bot does.

Nothing of the core is in it. It believes what ccxt hands it: an exception is a failure, and what
failed is tried again, a second later and three times in all, as a new order. What became of what
it sent, how long the venue wants silence, how old a price is and which fills it missed while a
stream was gone are not its business. It has the same workload, venue, proxy and faults as the
core, and what comes of it is read off the same ledger and links.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from foxtrot.server.engine import MainEngine
from foxtrot.server.policy import POLICIES
from foxtrot.util.clock import SYSTEM_CLOCK
from foxtrot.util.constants import Direction, OrderType
from foxtrot.util.event import EVENT_TICK, Event, EventEngine
from foxtrot.util.object import CancelRequest, OrderRequest, TickData
from harness.bare_facts import BareFacts, bare_facts
from harness.batch import Job
from harness.history import History, read_history
from harness.live.run import warm_up
from harness.live.stage import Stage, open_stage
from harness.network import CURRENT_CALL
from harness.run import HISTORY_NAME, announce
from harness.scenario import Scenario
from harness.toxiproxy import AsyncToxiproxy, Toxiproxy
from harness.workload import Desk, Market, Strategy
from harness.world import World

__all__ = ["BARE", "BareBot", "BareOrder", "bare_of", "drive_bare", "forget_bare", "run_bare"]

#: The control's folder within that of the run it is the control of.
BARE = Path("control", "bare")

_TRIES = 3
_PAUSE = 1.0
# As long as the core's adapter waits, so that patience is not what tells them apart.
_PATIENCE = 5.0
#: After the last fault, for streams and replies that are under way.
_SETTLE = 4.0
_GOODBYE = 2.0
_SIDES = {Direction.LONG: "buy", Direction.SHORT: "sell"}
_OVER = frozenset({"closed", "canceled", "expired", "rejected"})


@dataclass(slots=True)
class _Belief:
    """An intent as the bot has it. `number` is the venue's; None: nobody told it one."""

    market: Market
    request: OrderRequest
    number: str | None = None
    is_accepted: bool = False


class BareBot:
    """Trades with a ccxt.pro client. Has the face of an engine and a desk, as a `Strategy` needs.

    Args:
        client: The client, unmodified but for its base URL.
        markets: What is traded.
        history: Where it writes what it did and saw.
        now: Seconds since the start of the run.
        pause: Waits so many seconds.
        epoch: The venue's time, in seconds since 1970, at the start of the run.
    """

    def __init__(
        self,
        client: Any,  # Any: ccxt ships no types for its clients
        markets: tuple[Market, ...],
        history: History,
        *,
        now: Callable[[], float],
        pause: Callable[[float], Awaitable[None]],
        epoch: float,
    ) -> None:
        self.event_engine = EventEngine()
        self._client = client
        self._markets = markets
        self._history = history
        self._now = now
        self._pause = pause
        self._epoch = epoch
        self._calls = 0
        self._beliefs: dict[str, _Belief] = {}
        self._reports: dict[str, tuple[str, float]] = {}

    @property
    def oms(self) -> BareBot:
        """Its book of orders."""
        return self

    def order(self, vt_orderid: str) -> BareOrder | None:
        """An order as it believes it stands."""
        belief = self._beliefs.get(vt_orderid.partition(".")[2])
        if belief is None or belief.number is None:
            return None
        return BareOrder(self._state(belief)[0] not in _OVER)

    async def start(self) -> None:
        """Load the markets."""
        await self._stubbornly("instruments", self._client.load_markets)

    async def watch_prices(self, market: Market) -> None:
        """Hand every price on that comes, until cancelled."""
        while True:
            try:
                ticker = await self._client.watch_ticker(self._unified(market))
            except Exception as error:  # a bot catches all, and goes on
                self._failed("stream", error)
                await self._pause(_PAUSE)
            else:
                self._priced(market, ticker)

    async def watch_orders(self) -> None:
        """Book what the account's stream tells, until cancelled."""
        while True:
            try:
                orders = await self._client.watch_orders()
            except Exception as error:  # as above
                self._failed("stream", error)
                await self._pause(_PAUSE)
            else:
                for each in orders:
                    self._reported(each)

    async def place(self, adapter: str, request: OrderRequest) -> bool:
        """Send an order; whether ccxt came back without an exception."""
        market = next(m for m in self._markets if m.instrument.symbol == request.symbol)
        belief = self._beliefs[request.reference] = _Belief(market, request)
        is_market = request.type is OrderType.MARKET
        return await self._call(
            "order.place",
            request.reference,
            lambda: self._stubbornly(
                "order.place",
                lambda: self._client.create_order(
                    self._unified(market),
                    "market" if is_market else "limit",
                    _SIDES[request.direction],
                    request.volume,
                    None if is_market else request.price,
                ),
            ),
            lambda body: self._acknowledged(belief, body),
        )

    async def cancel(self, adapter: str, request: CancelRequest) -> bool:
        """Cancel an order."""
        return await self._about("order.cancel", request, "cancel_order")

    async def look_up(self, adapter: str, request: CancelRequest) -> bool:
        """Ask for an order."""
        return await self._about("order.query", request, "fetch_order")

    async def account(self, adapter: str) -> bool:
        """Ask for the balances."""
        return await self._call(
            "account",
            "",
            lambda: self._stubbornly("account", self._client.fetch_balance),
            lambda _: None,
        )

    def write_final(self) -> None:
        """Write down how every order and position stands, as it believes."""
        positions: dict[str, float] = {}
        for intent, belief in self._beliefs.items():
            status, filled = self._state(belief)
            self._history.record(
                "client.final_order",
                intent,
                status if belief.is_accepted else "REJECTED",
                traded=filled,
                volume=belief.request.volume,
            )
            signed = filled if belief.request.direction is Direction.LONG else -filled
            symbol = belief.request.symbol
            positions[symbol] = positions.get(symbol, 0.0) + signed
        for symbol, volume in positions.items():
            self._history.record("client.final_position", symbol, volume=round(volume, 8))

    async def _about(self, operation: str, request: CancelRequest, method: str) -> bool:
        belief = self._beliefs[request.orderid]
        if belief.number is None:
            return False
        number, symbol = belief.number, self._unified(belief.market)
        ask = getattr(self._client, method)
        return await self._call(
            operation,
            request.orderid,
            lambda: self._stubbornly(operation, lambda: ask(number, symbol)),
            self._reported,
        )

    async def _call(
        self,
        operation: str,
        intent: str,
        ask: Callable[[], Awaitable[Any]],
        take: Callable[[Any], object],
    ) -> bool:
        self._calls += 1
        op_id = f"op-{self._calls}"
        self._history.record("client.invoke", op_id, operation=operation, client_id=intent)
        token = CURRENT_CALL.set(op_id)
        try:
            body = await ask()
        finally:
            CURRENT_CALL.reset(token)
        if body is not None:
            take(body)
        outcome = "failed" if body is None else "ok"
        self._history.record("client.return", op_id, outcome, client_id=intent)
        return body is not None

    async def _stubbornly(self, operation: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        """What comes of it at last; None when it was given up. Any: as ccxt has it."""
        for number in range(_TRIES):
            if number:
                await self._pause(_PAUSE)
            try:
                return await ask()
            except Exception as error:  # as above
                self._failed(operation, error)
        return None

    def _failed(self, operation: str, error: Exception) -> None:
        self._history.record("client.error", operation, type(error).__name__)

    def _acknowledged(self, belief: _Belief, body: Any) -> None:
        belief.is_accepted, belief.number = True, body.get("id")
        self._reported(body)

    def _reported(self, body: Any) -> None:
        number, filled = body.get("id"), float(body.get("filled") or 0.0)
        if number and filled >= self._reports.get(number, ("", 0.0))[1]:
            self._reports[number] = (str(body.get("status")), filled)

    def _state(self, belief: _Belief) -> tuple[str, float]:
        return self._reports.get(belief.number or "", ("open", 0.0))

    def _priced(self, market: Market, ticker: Any) -> None:
        stamp = float(ticker["timestamp"] or 0.0) / 1000
        age = max(0.0, self._epoch + self._now() - stamp) if stamp else 0.0
        self._history.record("client.tick", market.instrument.symbol, age=round(age, 3))
        tick = TickData(
            symbol=market.instrument.symbol,
            exchange=market.exchange,
            adapter_name=market.adapter,
            datetime=SYSTEM_CLOCK.wall(),
            last_price=float(ticker["last"]),
        )
        self.event_engine.put(Event(EVENT_TICK, tick))

    def _unified(self, market: Market) -> str:
        """The name that ccxt has for a symbol."""
        return f"{market.instrument.base}/{market.instrument.quote}"


@dataclass(frozen=True, slots=True)
class BareOrder:
    """What the strategy asks of an order."""

    active: bool

    def is_active(self) -> bool:
        """Whether the bot believes that it may still execute."""
        return self.active


def run_bare(
    jobs: Sequence[Job],
    toxiproxy: Toxiproxy,
    *,
    at_a_time: int,
    on_progress: Callable[[int], None] = lambda _: None,
) -> dict[Path, str]:
    """Drive the scenarios of jobs with the bare client, each in `BARE` of its job's folder.

    Ctrl-C ends them all and lifts every fault; what was not finished has no history. Nor has what
    broke, of which the error comes back by the job's folder.

    Args:
        jobs: What to drive.
        toxiproxy: Where the proxies are made. The caller closes it.
        at_a_time: How many share this process.
        on_progress: Told how many have ended.
    """
    done: list[Path] = []
    broken: dict[Path, str] = {}

    async def one(job: Job, turn: asyncio.Semaphore, starting: asyncio.Lock) -> None:
        folder = job.folder / BARE
        folder.mkdir(parents=True, exist_ok=True)
        async with turn:
            try:
                done.append(await drive_bare(job.scenario, folder, toxiproxy, starting=starting))
            except Exception as error:  # the others' turn, and what the core did, stand
                broken[job.folder] = f"{type(error).__name__}: {error}"
        on_progress(len(done))

    async def everything() -> None:
        # ccxt leaves futures behind that nobody awaits, and asyncio would print each of them.
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        turn, starting = asyncio.Semaphore(at_a_time), asyncio.Lock()
        await asyncio.gather(*(one(job, turn, starting) for job in jobs))

    warm_up()
    with suppress(KeyboardInterrupt):
        asyncio.run(everything())
    return broken


def forget_bare(jobs: Sequence[Job]) -> None:
    """Take away what an earlier run in the same folders left: it is no control of this one."""
    for job in jobs:
        (job.folder / BARE / HISTORY_NAME).unlink(missing_ok=True)


def bare_of(job: Job) -> BareFacts | None:
    """What the control of a job came to; None where there is none."""
    path = job.folder / BARE / HISTORY_NAME
    return bare_facts(read_history(path)) if path.is_file() else None


async def drive_bare(
    scenario: Scenario, folder: Path, toxiproxy: Toxiproxy, *, starting: asyncio.Lock
) -> Path:
    """Drive a scenario with the bare client; the path of the history, in `folder`, which is there.

    Every fault is off and the venue is gone afterwards, also when it is cancelled. `starting` is
    held until the client has its markets.
    """
    path, clock = folder / HISTORY_NAME, _Clock()
    with History(path, clock.now) as history:
        async with AsyncExitStack() as stack:
            async with starting:
                opened = open_stage(scenario, history, AsyncToxiproxy(toxiproxy))
                stage = clock.stage = await stack.enter_async_context(opened)
                bot = await _begun(stage, stack)
            try:
                await _live(stage, bot)
            finally:
                await stage.heal_all()
                await stage.tasks.end()
        history.record("run.end", scenario.name, "completed")
    return path


@dataclass(slots=True)
class _Clock:
    stage: Stage | None = None

    def now(self) -> float:
        return self.stage.clock.now() if self.stage else 0.0


async def _begun(stage: Stage, stack: AsyncExitStack) -> BareBot:
    announce(cast(World, stage), replace(POLICIES["none"], name="bare ccxt"))
    client = stage.client(_PATIENCE)()
    stack.push_async_callback(_closed, client)
    bot = BareBot(
        client,
        stage.markets,
        stage.history,
        now=stage.clock.now,
        pause=stage.clock.sleep,
        epoch=stage.clock.epoch,
    )
    await bot.start()
    return bot


async def _live(stage: Stage, bot: BareBot) -> None:
    scenario, tasks, clock = stage.scenario, stage.tasks, stage.clock
    strategy = Strategy(
        cast(Desk, bot),
        cast(MainEngine, bot),
        scenario.workload,
        stage.markets,
        stage.history,
        clock,
        stage.streams.stream("strategy"),
        tasks.spawn,
    )
    strategy.listen()
    watching = [tasks.spawn("orders", bot.watch_orders())]
    watching += [tasks.spawn("prices", bot.watch_prices(each)) for each in stage.markets]
    trading = tasks.spawn("strategy", strategy.trade())
    stage.start_faults()
    await clock.sleep(scenario.duration - clock.now())
    trading.cancel()
    await stage.heal_all()
    stage.history.record("run.settle", scenario.name)
    await clock.sleep(max(_SETTLE, _PATIENCE + _PAUSE))
    await stage.let_arrive()
    for task in watching:
        task.cancel()
    stage.books.write_final()
    bot.write_final()
    await stage.check_proxy()


async def _closed(client: Any) -> None:
    """Close a client, whose sockets may wait for a goodbye that never comes. Any: untyped."""
    for close in (client.close_ws_clients, client.close):
        try:
            async with asyncio.timeout(_GOODBYE):
                await close()
        except Exception:  # noqa: S112 - one that cannot be closed is not used again either
            continue
