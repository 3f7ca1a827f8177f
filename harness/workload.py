"""The strategy: places orders, cancels some, asks about its account, and writes down what it saw.

It knows only the engine's public face. What it writes (`client.*`) is what a user of the engine
experienced, and is evidence.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from foxtrot.server.engine import MainEngine
from foxtrot.util.clock import Clock
from foxtrot.util.constants import Direction, Exchange, OrderType, Status
from foxtrot.util.errors import FoxtrotError, Outcome
from foxtrot.util.event import EVENT_ORDER, EVENT_TICK, EVENT_TRADE, Event
from foxtrot.util.object import CancelRequest, OrderData, OrderRequest, TickData, TradeData
from harness.history import History
from harness.network import CURRENT_CALL
from harness.recorder import Recorder
from harness.scenario import Workload as WorkloadSpec
from harness.venue import Instrument

__all__ = ["Desk", "Market", "Strategy"]

_CANCEL_AFTER = (1.0, 10.0)
# Balances cost a venue much more to answer than one order, and are asked for less often.
_ACCOUNT_SHARE = 0.2
_SIDES = {"BUY": Direction.LONG, "SELL": Direction.SHORT}


@dataclass(frozen=True, slots=True)
class Market:
    """Where the strategy may trade what."""

    adapter: str
    exchange: Exchange
    instrument: Instrument

    @property
    def vt_symbol(self) -> str:
        """Its name over all venues."""
        return f"{self.instrument.symbol}.{self.exchange.value}"


class Desk:
    """Calls of the engine, each written down with how it ended."""

    def __init__(self, engine: MainEngine, history: History, recorder: Recorder) -> None:
        self._engine = engine
        self._history = history
        self._recorder = recorder
        self._calls = 0

    async def place(self, adapter: str, request: OrderRequest) -> bool:
        """Send an order; whether the engine took it."""
        return await self._call(
            lambda: self._place(adapter, request),
            adapter=adapter,
            operation="order.place",
            lane="orders",
            client_id=request.reference,
            symbol=request.symbol,
            side=_name_of(request.direction),
            type=request.type.name,
            quantity=request.volume,
            price=request.price,
        )

    async def cancel(self, adapter: str, request: CancelRequest) -> bool:
        """Cancel an order; whether the venue answered."""
        return await self._call(
            lambda: self._engine.cancel_order(request, adapter),
            adapter=adapter,
            operation="order.cancel",
            lane="cancels",
            client_id=request.orderid,
            symbol=request.symbol,
        )

    async def account(self, adapter: str, *, canary: bool = False) -> bool:
        """Ask for the balances; whether they came."""
        return await self._call(
            lambda: self._engine.query_account(adapter),
            adapter=adapter,
            operation="account",
            lane="queries",
            canary=canary,
        )

    async def look_up(self, adapter: str, request: CancelRequest, *, canary: bool = False) -> bool:
        """Ask for an order; whether an answer came."""
        return await self._call(
            lambda: self._engine.query_order(request, adapter),
            adapter=adapter,
            operation="order.query",
            lane="queries",
            client_id=request.orderid,
            canary=canary,
        )

    async def _place(self, adapter: str, request: OrderRequest) -> object:
        vt_orderid = await self._engine.send_order(request, adapter)
        order = self._engine.oms.order(vt_orderid)
        return _UNSETTLED if order is None or order.status is Status.UNKNOWN else order

    async def _call(self, call: Callable[[], Awaitable[object]], **facts: Any) -> bool:  # Any: JSON
        self._calls += 1
        op_id = f"op-{self._calls}"
        self._history.record("client.invoke", op_id, **facts)
        outcome, error = "failed", None
        token = CURRENT_CALL.set(op_id)
        try:
            result = await call()
            outcome = "unknown" if result is _UNSETTLED else "ok"
        except FoxtrotError as exc:
            outcome, error = _ending(exc), exc
        except asyncio.CancelledError:
            outcome = "abandoned"
            raise
        finally:
            CURRENT_CALL.reset(token)
            self._history.record(
                "client.return",
                op_id,
                outcome,
                error_id=self._recorder.error_id(error) if error else "",
                category=error.category.value if error else "",
                client_id=facts.get("client_id", ""),
            )
        return outcome == "ok"


_UNSETTLED = object()


@dataclass(slots=True)
class Strategy:
    """Trades at random, at the rates of its workload, until it is told to stop.

    Args:
        desk: How it calls the engine.
        engine: Whose events it subscribes to.
        spec: Rates and shares.
        markets: What it trades.
        history: Where it writes what it saw.
        clock: Time.
        rng: Its own random stream.
        spawn: Starts a task.
    """

    desk: Desk
    engine: MainEngine
    spec: WorkloadSpec
    markets: tuple[Market, ...]
    history: History
    clock: Clock
    rng: random.Random
    spawn: Callable[[str, Coroutine[Any, Any, None]], object]
    _ticks: dict[str, TickData] = field(default_factory=dict)
    _last_order: dict[str, CancelRequest] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)
    _orders: int = 0

    def listen(self) -> None:
        """Subscribe to what the engine publishes."""
        events = self.engine.event_engine
        events.register(EVENT_TICK, self._on_tick)
        events.register(EVENT_ORDER, self._on_order)
        events.register(EVENT_TRADE, self._on_trade)

    async def trade(self) -> None:
        """Place orders and ask questions until cancelled."""
        await asyncio.gather(
            self._at_rate(self.spec.orders, self._new_order),
            self._at_rate(self.spec.queries, self._question),
        )

    async def _at_rate(self, rate: float, act: Callable[[], None]) -> None:
        while rate > 0:
            await self.clock.sleep(self.rng.expovariate(rate))
            act()

    def _new_order(self) -> None:
        market = self.rng.choice(self.markets)
        request = self._request(market)
        if request is not None:
            self.spawn(f"order {request.reference}", self._place(market, request))

    async def _place(self, market: Market, request: OrderRequest) -> None:
        wants_cancel = self.rng.random() < self.spec.cancels
        patience = self.rng.uniform(*_CANCEL_AFTER)
        by_id = CancelRequest(
            symbol=request.symbol, exchange=request.exchange, orderid=request.reference
        )
        if await self.desk.place(market.adapter, request):
            self._last_order[market.adapter] = by_id
        if not wants_cancel or request.type is OrderType.MARKET:
            return
        await self.clock.sleep(patience)
        if request.reference in self._open:
            await self.desk.cancel(market.adapter, by_id)

    def _question(self) -> None:
        market = self.rng.choice(self.markets)
        about_account = self.rng.random() < _ACCOUNT_SHARE
        self.spawn(f"question {market.adapter}", self._ask(market, about_account))

    async def _ask(self, market: Market, about_account: bool) -> None:
        last = self._last_order.get(market.adapter)
        if about_account or last is None:
            await self.desk.account(market.adapter)
        else:
            await self.desk.look_up(market.adapter, last)

    def _request(self, market: Market) -> OrderRequest | None:
        """An order near the last price seen; None before there is one."""
        tick = self._ticks.get(f"{market.adapter}/{market.vt_symbol}")
        side = self.rng.choice(self.spec.sides)
        is_market = self.rng.random() < self.spec.market_orders
        offset = self.rng.uniform(-0.0005, 0.0005)
        if tick is None:
            return None
        instrument = market.instrument
        one_lot, one_tick = instrument.quantity(1), instrument.price(1)
        near = tick.last_price * (1 + offset)
        self._orders += 1
        return OrderRequest(
            symbol=instrument.symbol,
            exchange=market.exchange,
            direction=_SIDES[side],
            type=OrderType.MARKET if is_market else OrderType.LIMIT,
            volume=instrument.quantity(max(1, round(self.spec.notional / near / one_lot))),
            price=0.0 if is_market else instrument.price(round(near / one_tick)),
            reference=f"{market.adapter}-i{self._orders}",
        )

    def _on_tick(self, event: Event) -> None:
        tick: TickData = event.data
        self._ticks[f"{tick.adapter_name}/{tick.vt_symbol}"] = tick

    def _on_order(self, event: Event) -> None:
        order: OrderData = event.data
        # By its id alone: it may be at a standby, and is no less open there.
        (self._open.add if order.is_active() else self._open.discard)(order.orderid)
        self.history.record(
            "client.order",
            order.orderid,
            order.status.name,
            adapter=order.adapter_name,
            traded=order.traded,
            volume=order.volume,
        )

    def _on_trade(self, event: Event) -> None:
        trade: TradeData = event.data
        self.history.record(
            "client.trade",
            trade.vt_tradeid,
            adapter=trade.adapter_name,
            client_id=trade.orderid,
            symbol=trade.symbol,
            side=_name_of(trade.direction),
            quantity=trade.volume,
            price=trade.price,
        )


def _ending(error: FoxtrotError) -> str:
    """`blocked`: nothing left, as the engine says; the links' record is held against it."""
    if error.outcome is Outcome.UNKNOWN:
        return "unknown"
    attempted = error.outcome is not Outcome.NOT_SENT or error.context.get("attempted")
    return "failed" if attempted else "blocked"


def _name_of(direction: Direction) -> str:
    return "BUY" if direction is Direction.LONG else "SELL"
