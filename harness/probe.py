"""The outside probe: says whether an adapter is really of use, whatever the core says.

Connected is what the venue's side of the connection says; ticking, that the prices which a
subscriber got are new by the venue's clock; reconciled compares the venue's ledger with the
engine's orders; the canary is a call that a user would make. All four together make a sample `ok`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from foxtrot.server.engine import MainEngine
from foxtrot.server.reconciling import by_id
from foxtrot.util.clock import Clock
from foxtrot.util.constants import Status
from foxtrot.util.event import EVENT_ORDER, EVENT_TRADE, Event
from foxtrot.util.object import OrderData
from harness.books import Books
from harness.history import History
from harness.nemesis import Nemesis
from harness.network import Link
from harness.prices import PriceWatch
from harness.workload import Desk, Market

__all__ = ["Probe"]

_STEP = 0.5
_CALM_STEPS = 20
_CANARY_STEPS = 4
# Longer than a request may take: what is slow but answers in time is not down.
_CANARY_PATIENCE = 6.0
# How long venue and engine may differ before it counts: an update under way is no disagreement,
# and may take as long as a request may. An order that the engine itself calls unknown is one.
_PATIENCE = 6.0


@dataclass(slots=True)
class _Subject:
    """What the probe knows of one adapter."""

    link: Link
    symbols: tuple[str, ...]
    tick_patience: float
    open_questions: dict[str, float] = field(default_factory=dict)
    last_order: OrderData | None = None
    is_ok: bool = False
    canary: bool = False
    steps_since_canary: int = _CANARY_STEPS


class Probe:
    """Samples every adapter: twice a second while anything is wrong or a fault is on.

    Args:
        engine: Whose published events and orders are compared.
        links: The way to each adapter's venue.
        markets: What each adapter is subscribed to.
        books: The venues' own record.
        nemesis: Says when a fault is on, and when the last was over.
        desk: Makes the canary calls.
        tick_intervals: Seconds between two ticks, by adapter.
        venue_times: What each adapter's venue's own clock shows, in seconds since 1970. Of a
            venue without one prices are taken to be made when they arrive.
    """

    def __init__(
        self,
        engine: MainEngine,
        links: Mapping[str, Link],
        markets: tuple[Market, ...],
        books: Books,
        *,
        nemesis: Nemesis,
        desk: Desk,
        history: History,
        clock: Clock,
        tick_intervals: Mapping[str, float],
        venue_times: Mapping[str, Callable[[], float]] | None = None,
    ) -> None:
        self._engine = engine
        self._books = books
        self._nemesis = nemesis
        self._desk = desk
        self._history = history
        self._clock = clock
        times = {**dict.fromkeys(links), **(venue_times or {})}
        self._prices = PriceWatch(engine, times, history=history, clock=clock)
        self._subjects = {
            adapter: _Subject(
                link=link,
                symbols=tuple(m.vt_symbol for m in markets if m.adapter == adapter),
                tick_patience=5 * tick_intervals[adapter],
            )
            for adapter, link in links.items()
        }

    def listen(self) -> None:
        """Subscribe to what the engine publishes, and to what the venues book."""
        events = self._engine.event_engine
        self._prices.listen()
        events.register(EVENT_ORDER, self._on_order)
        events.register(EVENT_TRADE, self._on_trade)
        self._books.on_change = self._question

    async def run(self) -> None:
        """Sample until cancelled; no adapter waits for another's canary."""
        watches = (self._watch(*each) for each in self._subjects.items())
        await asyncio.gather(self._prices.run(), *watches)

    async def _watch(self, adapter: str, subject: _Subject) -> None:
        step = 0
        while True:
            if step % _CALM_STEPS == 0 or not subject.is_ok or self._nemesis.is_active(adapter):
                await self._sample(adapter, subject)
            step += 1
            await self._clock.sleep(_STEP)

    async def sample_all(self) -> None:
        """Take one sample of each adapter now."""
        for adapter, subject in self._subjects.items():
            subject.steps_since_canary = _CANARY_STEPS
            await self._sample(adapter, subject)

    async def _sample(self, adapter: str, subject: _Subject) -> None:
        parts = {
            "connected": subject.link.connection_id in subject.link.venue.connection_ids(),
            "ticking": self._is_ticking(adapter, subject),
            "reconciled": self._is_reconciled(adapter, subject),
        }
        parts["canary"] = all(parts.values()) and await self._sings(adapter, subject)
        subject.is_ok = all(parts.values())
        self._history.record("probe.sample", adapter, "ok" if subject.is_ok else "down", **parts)

    async def _sings(self, adapter: str, subject: _Subject) -> bool:
        subject.steps_since_canary += 1
        if subject.is_ok and subject.steps_since_canary < _CANARY_STEPS:
            return subject.canary
        subject.steps_since_canary = 0
        try:
            async with asyncio.timeout(_CANARY_PATIENCE):
                subject.canary = await self._canary(adapter, subject)
        except TimeoutError:
            subject.canary = False
        return subject.canary

    async def _canary(self, adapter: str, subject: _Subject) -> bool:
        if subject.last_order is None:
            return await self._desk.account(adapter, canary=True)
        return await self._desk.look_up(adapter, by_id(subject.last_order), canary=True)

    def _is_ticking(self, adapter: str, subject: _Subject) -> bool:
        now = self._clock.now()
        cleared_at = self._nemesis.cleared_at.get(adapter, 0.0)
        prices = (self._prices.priced_at(adapter, symbol) for symbol in subject.symbols)
        return all(
            at is not None and at >= cleared_at and now - at <= subject.tick_patience
            for at in prices
        )

    def _is_reconciled(self, adapter: str, subject: _Subject) -> bool:
        now = self._clock.now()
        for client_id in tuple(subject.open_questions):
            if self._agrees(adapter, client_id):
                del subject.open_questions[client_id]
        return all(
            now - since <= _PATIENCE and not self._is_unknown(adapter, client_id)
            for client_id, since in subject.open_questions.items()
        )

    def _is_unknown(self, adapter: str, client_id: str) -> bool:
        order = self._engine.oms.order(f"{adapter}.{client_id}")
        return order is not None and order.status is Status.UNKNOWN

    def _agrees(self, adapter: str, client_id: str) -> bool:
        vt_orderid = f"{adapter}.{client_id}"
        order = self._engine.oms.order(vt_orderid)
        booked = self._books.order(adapter, client_id)
        if order is None:
            return booked is None
        if booked is None:
            return order.status in {Status.SUBMITTING, Status.REJECTED}
        return booked.agrees_with(order.status, self._engine.oms.filled(vt_orderid))

    def _question(self, adapter: str, client_id: str) -> None:
        """Something happened to an order: from now on both sides may agree on it, or no more."""
        questions = self._subjects[adapter].open_questions
        if self._agrees(adapter, client_id):
            questions.pop(client_id, None)
        else:
            questions.setdefault(client_id, self._clock.now())

    def _on_order(self, event: Event) -> None:
        order: OrderData = event.data
        self._subjects[order.adapter_name].last_order = order
        self._question(order.adapter_name, order.orderid)

    def _on_trade(self, event: Event) -> None:
        self._question(event.data.adapter_name, event.data.orderid)
