"""A subscriber that looks at how old the prices are that it holds, by the venue's own clock.

It writes down changes only, so that a calm hour writes nothing: a price grows old while the engine
calls its adapter ready, or not; somebody says that it is old; it is new again; or one is handed on
that is older than the one before. What is too old, and whose fault that is, others judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from foxtrot.server.engine import MainEngine
from foxtrot.util.clock import Clock
from foxtrot.util.errors import ErrorCategory, FoxtrotError
from foxtrot.util.event import EVENT_ERROR, EVENT_TICK, Event
from foxtrot.util.object import TickData
from harness.history import History

__all__ = ["PriceWatch"]

_STEP = 0.5
# Seconds from which on a price is noted as old: well below what any judge calls too old.
_OLD = 5.0
# A venue's clock that is set moves by more than this against ours; one that only drifts does not.
_SET = 0.5
# Seconds for which ticks by the old time may still be under way after a venue's clock was set.
_SETTLING = 5.0
# A tick is told by its time in milliseconds, at some venues.
_TOLERANCE = 0.002
# Operations whose failure says that the stream is of no use, and with it every price.
_OF_THE_STREAM = frozenset({"connect", "heartbeat", "ping", "stream", "stream.subscribe"})

_NEW: tuple[object, ...] = ("new",)


@dataclass(slots=True)
class _Price:
    """The newest price of one symbol that was handed on; `at` is when the venue made it."""

    at: float
    is_exact: bool
    is_told: bool = False
    written: tuple[object, ...] = _NEW


@dataclass(slots=True)
class _Stall:
    """The prices of one adapter, and how its venue's clock stands against ours."""

    venue_time: Callable[[], float] | None
    offset: float | None = None
    set_at: float = float("-inf")
    prices: dict[str, _Price] = field(default_factory=dict)


class PriceWatch:
    """Watches the prices of every adapter.

    Args:
        engine: Whose events it subscribes to, and who is asked whether an adapter is ready.
        venue_times: What each adapter's venue's own clock shows, in seconds since 1970. None:
            nobody knows, and a price is taken to be made when it arrives.
        history: Where it writes.
        clock: Time.
    """

    def __init__(
        self,
        engine: MainEngine,
        venue_times: Mapping[str, Callable[[], float] | None],
        *,
        history: History,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._history = history
        self._clock = clock
        self._stalls = {name: _Stall(venue_time) for name, venue_time in venue_times.items()}

    def listen(self) -> None:
        """Subscribe to prices, and to what is said of them."""
        events = self._engine.event_engine
        events.register(EVENT_TICK, self._on_tick)
        events.register(EVENT_ERROR, self._on_error)

    def priced_at(self, adapter: str, vt_symbol: str) -> float | None:
        """When the venue made the newest price that was handed on; None before there is one."""
        price = self._stalls[adapter].prices.get(vt_symbol)
        return None if price is None else price.at

    async def run(self) -> None:
        """See twice a second whether a price has grown old, until cancelled."""
        while True:
            for adapter, stall in self._stalls.items():
                self._compare_clocks(stall)
                for vt_symbol in stall.prices:
                    self._write(adapter, vt_symbol)
            await self._clock.sleep(_STEP)

    def _on_tick(self, event: Event) -> None:
        tick: TickData = event.data
        adapter, vt_symbol = tick.adapter_name, tick.vt_symbol
        stall = self._stalls[adapter]
        self._compare_clocks(stall)
        at, is_exact = self._made_at(stall, tick)
        price = stall.prices.get(vt_symbol)
        if price is None:
            price = stall.prices[vt_symbol] = _Price(at, is_exact)
        if price.is_exact and at < price.at - _TOLERANCE:
            self._went_back(adapter, vt_symbol, at, price.at)
            return
        price.at, price.is_exact = at, is_exact
        price.is_told = price.is_told and self._is_old(price)
        self._write(adapter, vt_symbol)

    def _made_at(self, stall: _Stall, tick: TickData) -> tuple[float, bool]:
        """When a tick was made, in our time; its arrival, where its own time says nothing."""
        now = self._clock.now()
        if stall.venue_time is None or now - stall.set_at < _SETTLING:
            return now, False
        age = stall.venue_time() - tick.datetime.timestamp()
        return round(now - max(0.0, age), 6), True

    def _compare_clocks(self, stall: _Stall) -> None:
        if stall.venue_time is None:
            return
        now = self._clock.now()
        offset = stall.venue_time() - now
        if stall.offset is not None and abs(offset - stall.offset) > _SET:
            stall.set_at = now
        stall.offset = offset

    def _on_error(self, event: Event) -> None:
        error: FoxtrotError = event.data
        adapter = error.adapter_name or ""
        if adapter not in self._stalls or error.context.get("operation") not in _OF_THE_STREAM:
            return
        # A word on the data says nothing of what is new now: a gap, or a tick that made no sense,
        # may be followed by a silence. It may name one symbol of several that fell silent together.
        is_of_data = error.category is ErrorCategory.MARKET_DATA
        for vt_symbol, price in self._stalls[adapter].prices.items():
            if not is_of_data or self._is_old(price):
                price.is_told = True
                self._write(adapter, vt_symbol)

    def _is_old(self, price: _Price) -> bool:
        return self._clock.now() - price.at > _OLD

    def _write(self, adapter: str, vt_symbol: str) -> None:
        price = self._stalls[adapter].prices[vt_symbol]
        state = _NEW
        if self._is_old(price):
            # With its time: what comes late is old when it comes, and followed by what is newer.
            state = ("old", self._engine.is_ready(adapter), price.is_told, price.at)
        if state == price.written:
            return
        price.written = state
        facts = {} if state is _NEW else {"ready": state[1], "told": state[2]}
        self._history.record(
            "client.price", vt_symbol, str(state[0]), adapter=adapter, made_at=price.at, **facts
        )

    def _went_back(self, adapter: str, vt_symbol: str, at: float, newest: float) -> None:
        self._history.record(
            "client.price", vt_symbol, "back", adapter=adapter, made_at=at, newest=newest
        )
