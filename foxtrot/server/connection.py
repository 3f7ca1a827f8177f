"""One adapter's life: its connection, its streams, and whether it is of use."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from foxtrot.adapter.base_adapter import BaseAdapter
from foxtrot.server.guard import AdapterGuard, not_ready
from foxtrot.server.lateness import Lateness
from foxtrot.server.policy import EnginePolicy
from foxtrot.server.refused import RefusedSymbols, may_be_of_a_symbol
from foxtrot.util.clock import Clock
from foxtrot.util.errors import (
    AdapterConnectionError,
    ErrorCategory,
    FoxtrotError,
    MarketDataError,
    Outcome,
)
from foxtrot.util.object import SubscribeRequest, TickData

__all__ = ["AdapterConnection"]


# So many attempts in vain make an outage of a lost connection: some two seconds.
_DOWN_AFTER = 3


class AdapterConnection:
    """An adapter, its guard, its subscriptions, and its readiness.

    Ready means connected, every subscription ticking, and orders and fills reconciled: an open
    socket alone is not. The engine sets `ready` once all three were shown.

    Args:
        build: Makes the adapter; called again when the component is restarted.
        guard: What every call goes through.
        policy: Times.
        clock: Time.
        standby_for: The name of the adapter whose new orders this one takes when that one fails.

    Attributes:
        setting: What the adapter connects with; survives its restart.
        refused: The symbols that were set aside.
    """

    def __init__(
        self,
        build: Callable[[], BaseAdapter],
        guard: AdapterGuard,
        *,
        policy: EnginePolicy,
        clock: Clock,
        standby_for: str | None = None,
    ) -> None:
        self._build = build
        self.guard = guard
        self.adapter = self._built()
        self.ready = False
        self.standby_for = standby_for
        self.is_closing = False
        self.setting: Mapping[str, Any] | None = None
        self.subscriptions: list[SubscribeRequest] = []
        self.refused = RefusedSymbols(self.name, clock)
        self._policy = policy
        self._clock = clock
        self._opening = asyncio.Lock()
        self._openings = 0  # those that brought it up
        self._opened_with: Mapping[str, Any] | None = None
        self._connected_at = clock.now()
        self._asked_at: dict[str, float] = {}
        self._ticked_at: dict[str, float] = {}
        self._trusted_from = clock.now()
        self._failed_connects = 0
        self._is_silent = False
        self._is_unproven = False  # came up, or was said to be cut, and nothing was answered since
        guard.is_down = self.is_down
        self._lateness = Lateness()  # outlives the connection: a cache of old prices does, too
        self._ticked = asyncio.Event()
        self._reported_at = clock.now()
        self._report_due_since: float | None = None

    @property
    def name(self) -> str:
        """The adapter's name."""
        return self.adapter.adapter_name

    def require_ready(self) -> None:
        """Raise, with outcome NOT_SENT, unless the connection is of use."""
        self.require_open()
        if not self.ready:
            raise not_ready(self.name, "not connected, subscribed and reconciled yet", self._clock)

    def require_connected(self, connection_id: str | None = None) -> None:
        """Raise AdapterConnectionError unless it is connected, by the connection of that id."""
        is_another = connection_id not in {None, self.adapter.connection_id}
        if is_another or not self.adapter.connected:
            raise AdapterConnectionError(
                self.name,
                "lost again before it was reconciled",
                outcome=Outcome.NONE,
                clock=self._clock,
            )

    def require_line(self) -> None:
        """Raise, with outcome NOT_SENT, while what carries every request is known to be down.

        No breaker has to learn it by requests that cannot leave. A gateway takes connections while
        it has lost its venue: a new one is no better than none until something was answered on it.
        """
        is_dead = not self.adapter.connected or (self._is_unproven and not self.ready)
        if self.adapter.one_connection and is_dead:
            soon = self._policy.heartbeat_interval
            raise not_ready(self.name, "its connection is down", self._clock, retry_after=soon)

    def is_down(self) -> bool:
        """Whether it is disconnected, and was not to be connected again for a while."""
        return not self.adapter.connected and self._failed_connects >= _DOWN_AFTER

    def require_open(self) -> None:
        """Raise, with outcome NOT_SENT and not to be retried, when the engine is shutting down."""
        if self.is_closing:
            error = not_ready(self.name, "the engine is shutting down", self._clock)
            error.recoverable = False
            raise error

    def can_be_asked(self) -> bool:
        """Whether the venue may answer: a price that is silent makes it unready, and not mute."""
        if self.ready:
            return True
        with suppress(FoxtrotError):
            self.require_line()
            return self.adapter.connected and self.guard.can_be_asked()
        return False

    @property
    def is_opening(self) -> bool:
        """Whether it is being opened: up by then or not, it cannot be called down yet."""
        return self._opening.locked()

    async def connect(self) -> None:
        """Open the connection and subscribe again to all that was subscribed before.

        One at a time: who comes while another is at it takes what that one brings up.
        """
        await self._open()

    async def reconnect(self) -> None:
        """Close and open, as `connect` does."""
        await self._open(self.disconnect)

    async def restart(self) -> None:
        """Replace the adapter by a new one: for a component that reconnecting does not mend."""
        await self._open(self._replace)

    async def _open(self, prepare: Callable[[], Awaitable[None]] | None = None) -> None:
        before = self._openings
        async with self._opening:
            is_up = self._openings != before  # another has brought it up meanwhile
            if is_up and self._opened_with is self.setting:
                return
            if prepare is not None or is_up:
                await (prepare or self.disconnect)()
            await self._connect()
            self._openings += 1

    async def _replace(self) -> None:
        await self.disconnect()
        self.adapter = self._built()

    async def _connect(self) -> None:
        self.ready = False
        self.require_open()
        self._failed_connects += 1
        self._opened_with = self.setting
        await self.guard.probe("connect", lambda: self.adapter.connect(self._opened_with))
        self._failed_connects = 0
        if self.is_closing:  # it came too late: shutdown has closed it already
            await self.disconnect()
            self.require_open()
        self._is_unproven = True
        self._connected_at = self._trusted_from = self._clock.now()
        self._ticked_at.clear()
        self._report_due_since = None
        await self.resubscribe()

    async def resubscribe(self) -> None:
        """Ask for every subscription again, on the connection as it is.

        A refusal that bringing the clock or login in line may mend is followed by one more try.
        Symbols that the venue refuses are set aside, and a person is told: the others go on.
        """
        try:
            await self._ask_for(self.subscriptions)
        except FoxtrotError as refusal:
            if not may_be_of_a_symbol(refusal):
                raise
            self._is_silent = True  # until all was asked for, in parts
            await self._go_on_without_the_refused()
            await self._ask_for(self.subscriptions)  # as one again, whatever an adapter makes of it
        self._is_silent = False

    async def resync(self) -> None:
        """Bring the adapter's clock and login in line with the venue."""
        await self.guard.probe("time", self.adapter.resync)

    async def _ask_for(self, requests: Sequence[SubscribeRequest]) -> None:
        try:
            await self._ask_once(requests)
        except FoxtrotError as error:
            if error.category is not ErrorCategory.AUTHENTICATION or not error.recoverable:
                raise
            await self.resync()
            await self._ask_once(requests)

    async def _ask_once(self, requests: Sequence[SubscribeRequest]) -> None:
        wanted = tuple(requests)

        async def ask() -> None:
            for request in wanted:
                self._asked_at.setdefault(request.vt_symbol, self._clock.now())
            await self.adapter.subscribe(wanted)

        try:
            await self.guard.probe("stream.subscribe", ask)
        except FoxtrotError as error:
            if error.outcome is Outcome.REJECTED:
                self._is_unproven = False  # a refusal is an answer
            raise
        self._is_unproven = False
        self.refused.taken(request.vt_symbol for request in wanted)

    async def _go_on_without_the_refused(self) -> None:
        # The account's own stream alone is refused as well, if it is for anything but a symbol.
        await self._ask_for(())
        before = len(self.refused.names())
        try:
            await self._sift(tuple(self.subscriptions))
        finally:
            if found := self.refused.names()[before:]:
                self._ticked.set()  # who waits for their ticks waits in vain
                self.guard.stir()  # and so do orders that wait to be sent
                self.adapter.on_error(self.refused.error(found))

    async def _sift(self, requests: Sequence[SubscribeRequest]) -> None:
        """Set aside what is refused even by itself. Halves find one bad symbol in many soonest."""
        try:
            await self._ask_for(requests)
        except FoxtrotError as refusal:
            if not may_be_of_a_symbol(refusal):
                raise
            if len(requests) == 1:
                self._drop(requests)
                self.refused.set_aside(requests[0].vt_symbol, refusal)
                return
            middle = len(requests) // 2
            await self._sift(requests[:middle])
            await self._sift(requests[middle:])

    async def subscribe(self, requests: Sequence[SubscribeRequest]) -> None:
        """Add subscriptions; they outlive the connection, unless the venue refuses them now.

        One that was set aside is tried again; refused again, it is none any more.
        """
        new = [r for r in requests if r not in self.subscriptions]
        self.subscriptions += new
        for request in new:  # whatever was before says nothing of it
            self.refused.lift(request.vt_symbol)
            for known in (self._asked_at, self._ticked_at):
                known.pop(request.vt_symbol, None)
        if not self.adapter.connected:
            return
        try:
            await self._ask_for(self.subscriptions)
        except FoxtrotError as error:
            if error.outcome is Outcome.REJECTED or may_be_of_a_symbol(error):
                self._drop(new)
            raise
        self._is_silent = False

    def _drop(self, requests: Sequence[SubscribeRequest]) -> None:
        self.subscriptions = [r for r in self.subscriptions if r not in requests]

    def require_priced(self, vt_symbol: str) -> None:
        """Raise MarketDataError, with outcome NOT_SENT, for a symbol that was set aside."""
        if (error := self.refused.not_sent(vt_symbol)) is not None:
            raise error

    async def disconnect(self) -> None:
        """Close, in bounded time, whatever state the connection is in."""
        self.ready = False
        try:
            async with asyncio.timeout(self._policy.heartbeat_timeout):
                await self.adapter.disconnect()
        except Exception:  # noqa: S110 - closing a dead connection may fail; it is dead all the same
            pass

    async def ping(self) -> None:
        """Make the venue answer within the heartbeat's timeout; raises when it does not."""
        try:
            async with asyncio.timeout(self._policy.heartbeat_timeout):
                await self.adapter.ping()
        except Exception as exc:
            self.guard.pinged(exc)
            raise
        self.guard.pinged(None)

    def saw_tick(self, tick: TickData) -> None:
        """Note how new a symbol's price is: a late one is no newer for coming only now.

        Nor is the old price that comes again.
        """
        now, made = self._clock.now(), tick.datetime.timestamp()
        late = self._lateness.of(tick.vt_symbol, made=made, came=now)
        if late is not None:
            self._ticked_at[tick.vt_symbol] = now - late
            self._ticked.set()

    def saw_error(self, error: FoxtrotError) -> None:
        """Note that the adapter pushed an error, which no request of ours had for an answer.

        That a gateway has lost its venue ends the readiness, though our own socket stands.
        """
        # Where nobody recovers nobody would ever declare it ready again.
        is_cut = error.category is ErrorCategory.CONNECTION and self._policy.recovery
        self._is_unproven |= is_cut
        if is_cut or self.adapter.lost_streams or not self.adapter.connected:
            self.ready = False
        self._ticked.set()  # who waits for ticks may wait in vain

    def saw_report(self) -> None:
        """Note that the account's own stream is alive."""
        self._reported_at = self._clock.now()
        self._report_due_since = None

    def expect_report(self, sent_at: float) -> None:
        """Note that an order sent at `sent_at` was acknowledged, which the stream has to report.

        A user stream that ends without a word is seen by nothing else: prices flow on.
        """
        if self._report_due_since is None and self._reported_at < sent_at:
            self._report_due_since = self._clock.now()

    def require_reports(self) -> None:
        """Raise AdapterConnectionError when the report of an acknowledged order is overdue."""
        since = self._report_due_since
        if since is not None and self._clock.now() - since > self._policy.stale_after:
            raise AdapterConnectionError(
                self.name,
                f"an order was acknowledged {self._clock.now() - since:.1f} s ago, and the user "
                "stream has reported nothing since",
                outcome=Outcome.NONE,
                clock=self._clock,
                context={"operation": "stream", "code": "silent"},
            )

    def require_fresh(self) -> None:
        """Raise MarketDataError for a subscription whose newest price is too old, or never came."""
        for request in self.subscriptions:
            if self._age(request) > self._policy.stale_after:
                raise self._silent(request)

    def distrust_ticks(self) -> None:
        """Take no tick that came before now for a sign that the streams are alive."""
        self._trusted_from = self._clock.now()

    def is_ticking(self) -> bool:
        """Whether every subscription has a trusted tick of this connection that is not stale."""
        return self._first_silent() is None

    async def wait_ticking(self) -> None:
        """Return when `is_ticking`; raise MarketDataError when that takes too long.

        And at once when no waiting will change it: the venue says that the subscriptions are gone,
        or, with AdapterConnectionError, the connection is.
        """
        try:
            async with asyncio.timeout(self._policy.call_timeout):
                while (silent := self._first_silent()) is not None:
                    self.require_connected()
                    if self.adapter.lost_streams:
                        raise self._silent(silent)
                    self._ticked.clear()
                    await self._ticked.wait()
        except TimeoutError as exc:
            self._is_silent = True
            raise self._silent(self._first_silent() or self.subscriptions[0]) from exc

    def needs_subscribing(self) -> bool:
        """Whether the subscriptions are gone: the venue said so, or their silence does."""
        return self.adapter.lost_streams or self._is_silent

    def _built(self) -> BaseAdapter:
        adapter = self._build()
        adapter.may_send = partial(self.guard.gate.check, adapter.adapter_name)
        return adapter

    def _first_silent(self) -> SubscribeRequest | None:
        return next((r for r in self.subscriptions if not self._is_alive(r)), None)

    def _silent(self, request: SubscribeRequest) -> MarketDataError:
        age = self._age(request)
        return MarketDataError(
            request.vt_symbol,
            f"no price of the last {age:.1f} s",
            clock=self._clock,
            context={
                "adapter": self.name,
                "operation": "stream",
                "code": "stale",
                "vt_symbol": request.vt_symbol,
                "data_age": round(age, 3),
            },
        )

    def _is_alive(self, request: SubscribeRequest) -> bool:
        is_new = self._ticked_at.get(request.vt_symbol, -math.inf) >= self._trusted_from
        is_lost = self.adapter.lost_streams
        return is_new and not is_lost and self._age(request) <= self._policy.stale_after

    def _age(self, request: SubscribeRequest) -> float:
        now, vt_symbol = self._clock.now(), request.vt_symbol
        # What could not be asked for yet, as behind a closed gate, is not late.
        due_since = max(self._connected_at, self._asked_at.get(vt_symbol, now))
        return now - self._ticked_at.get(vt_symbol, due_since)
