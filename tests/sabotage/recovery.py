"""Sabotages of recovery, connections and what watches them."""

from __future__ import annotations

import asyncio

from foxtrot.adapter import simulated
from foxtrot.adapter.simulated import SimulatedAdapter
from foxtrot.server.connection import AdapterConnection
from foxtrot.server.executor import EngineExecutor
from foxtrot.server.orders import OrderPipeline
from foxtrot.server.recoveries import Recoveries
from foxtrot.server.watch import Watch
from foxtrot.util import recovery
from foxtrot.util.errors import ErrorCategory, FoxtrotError
from foxtrot.util.recovery import ErrorRecoveryManager, RecoveryAction

from .sabotage import Room, wrap
from .worlds import at_a_limit

__all__ = ["ROOM"]

ROOM = Room()


async def _nothing(*_args, **_options):
    pass


async def _yes(*_args, **_options):
    return True


@ROOM("disconnect_storm", "recovery_within_bound")
def a_recovery_that_returns_true(mp):
    """It is called, it says that all is well, and it did nothing."""
    mp.setattr(ErrorRecoveryManager, "handle_error", _yes)


@ROOM("disconnect_storm", "recovery_within_bound")
def a_recovery_that_succeeds_without_reconnecting(mp):
    """Each step is taken for done; the connection stays as dead as it was."""
    mp.setattr(AdapterConnection, "reconnect", _nothing)
    mp.setattr(AdapterConnection, "restart", _nothing)
    mp.setattr(EngineExecutor, "verify", _yes)


@ROOM("disconnect_storm", "recovery_within_bound")
def a_recovery_that_only_sleeps(mp):
    """Time passes, and nothing is repaired by it."""

    async def perform(self, _action, _error):
        await self._clock.sleep(5.0)

    mp.setattr(EngineExecutor, "perform", perform)
    mp.setattr(EngineExecutor, "verify", _yes)


@ROOM("disconnect_storm", "recovery_within_bound")
def a_reconnect_without_resubscribing(mp):
    """The socket is open and nothing comes over it."""
    connected: dict[str, int] = {}

    def make(resubscribe):
        async def once(self):
            connected[self.name] = connected.get(self.name, 0) + 1
            if connected[self.name] == 1:
                await resubscribe(self)

        return once

    wrap(mp, AdapterConnection, "resubscribe", make)
    mp.setattr(AdapterConnection, "wait_ticking", _nothing)
    mp.setattr(AdapterConnection, "require_fresh", lambda _self: None)


async def _open_beside(self, prepare=None):
    if prepare is not None:
        await prepare()
    await self._connect()


@ROOM("disconnect_storm", "one_reconnect_at_a_time")
def two_reconnects_at_once(mp):
    """Each error starts a recovery of its own; they tear each other's connections down."""

    class Forgetful(dict):
        def get(self, _key, default=None):
            return default

        def pop(self, *_args):
            return None

        def __delitem__(self, _key):
            pass

    def make(init):
        def built(self, *args, **options):
            init(self, *args, **options)
            self._climbs = Forgetful()

        return built

    wrap(mp, ErrorRecoveryManager, "__init__", make)
    mp.setattr(ErrorRecoveryManager, "is_recovering", lambda *_: False)

    busy: dict[str, int] = {}

    def see_to(self, error):
        name = error.adapter_name or ""
        if error.category is ErrorCategory.CONNECTION and not busy.get(name):
            busy[name] = 2
            for _ in range(2):
                self._spawn("recover", recover(self, name, error))

    async def recover(self, name, error):
        await self.recover(error)
        busy[name] -= 1

    mp.setattr(Recoveries, "see_to", see_to)
    mp.setattr(AdapterConnection, "_open", _open_beside)


@ROOM("long_outage", "one_reconnect_at_a_time")
def a_second_attempt_starts_before_the_first_has_ended(mp):
    """A connection that is slow to come gets another beside it, and either may win."""

    def make(connect):
        async def race(self, setting=None):
            first = asyncio.create_task(connect(self, setting))
            await asyncio.wait([first], timeout=1.0)
            if first.done():
                await first
                return
            second = asyncio.create_task(connect(self, setting))
            await asyncio.gather(first, return_exceptions=True)
            await second

        return race

    wrap(mp, SimulatedAdapter, "connect", make)


@ROOM("long_outage", "bystanders_unharmed")
def a_recovery_closes_the_connection_to_another_venue(mp):
    """Calls wait for as long as it takes to open it, and then succeed; none of them fails."""
    closed: dict[str, bool] = {}

    def make(repair):
        async def repair_one_and_close_another(self, action, connection, error):
            for other in self._engine.connections.values():
                if other is not connection and not closed:
                    closed[other.name] = True
                    await other.disconnect()
            await repair(self, action, connection, error)

        return repair_one_and_close_another

    wrap(mp, EngineExecutor, "_repair", make)

    def make_slow(connect):
        async def take_its_time(self):
            if closed.get(self.name):
                closed[self.name] = False
                await self._clock.sleep(12.0)
            await connect(self)

        return take_its_time

    wrap(mp, AdapterConnection, "_connect", make_slow)


@ROOM("broken_links", "no_stale_price_served")
def ready_before_prices_flow(mp):
    """Subscribed is taken for informed: strategies trade on what was known before the break."""
    mp.setattr(AdapterConnection, "wait_ticking", _nothing)


@ROOM("long_outage", "one_reconnect_at_a_time")
def a_reconnect_without_backoff(mp):
    """A venue that is coming up is knocked on ten times a second."""

    async def wait_before(self, step, climb):
        await self._clock.sleep(0.1)

    mp.setattr(ErrorRecoveryManager, "_wait_before", wait_before)


@ROOM("long_outage", "recovery_within_bound")
def a_recovery_that_gives_up(mp):
    """Three attempts, and then never again."""
    given_up: dict[str, bool] = {}

    def make(handle_error):
        async def handle(self, error, context, _attempts=3):
            name = error.adapter_name or ""
            if given_up.get(name):
                return False
            recovered = await handle_error(self, error, context, 3)
            given_up[name] = not recovered
            return recovered

        return handle

    wrap(mp, ErrorRecoveryManager, "handle_error", make)
    mp.setattr(EngineExecutor, "wait", lambda *_: 0.0)


@ROOM("broken_parts", "recovery_within_bound")
def a_broken_component_is_never_replaced(mp):
    """Reconnecting what is broken itself goes on for ever."""

    def make(repair):
        async def reconnect(self, action, connection, error):
            is_restart = action is RecoveryAction.RESTART_COMPONENT
            await repair(
                self, RecoveryAction.RECONNECT if is_restart else action, connection, error
            )

        return reconnect

    wrap(mp, EngineExecutor, "_repair", make)


@ROOM("broken_parts", "recovery_within_bound", world=at_a_limit)
def what_breaks_during_a_recovery_is_not_looked_at(mp):
    """It was begun for a limit, and goes on connecting what cannot connect until it gives up."""
    mp.setattr(recovery, "_is_breakage", lambda _exc: False)


@ROOM("bad_prices", "no_stale_price_served", world=at_a_limit)
def silence_that_a_recovery_finds_is_kept_to_itself(mp):
    """It was begun for a limit, and the prices that strategies trade on are from before."""

    async def wait_ticking(_self, connection):
        try:
            await connection.wait_ticking()
        except FoxtrotError:
            connection.ready = False
            raise

    mp.setattr(Watch, "_wait_ticking", wait_ticking)


@ROOM("clocks_and_sessions", "recovery_success_rate")
def a_clock_that_is_never_measured_again(mp):
    """The venue's clock drifts, and every request is refused from then on."""
    mp.setattr(AdapterConnection, "resync", _nothing)


@ROOM("clocks_and_sessions", "classification_coverage")
def an_expired_session_goes_unnoticed(mp):
    """Prices flow on; of the account's own orders nothing is heard any more."""
    mp.setitem(simulated._FRAME_HANDLERS, "expired", lambda *_: None)
    mp.setattr(AdapterConnection, "require_reports", lambda _self: None)


@ROOM("broken_links", "trouble_noticed_in_time")
def a_mute_stream_is_taken_for_alive(mp):
    """Pings are answered, so the prices of a minute ago must be those of now."""
    mp.setattr(AdapterConnection, "require_fresh", lambda _self: None)
    mp.setattr(AdapterConnection, "require_reports", lambda _self: None)


@ROOM("bad_prices", "trouble_noticed_in_time")
def a_frozen_price_is_served_as_fresh(mp):
    """The same tick over and over counts as life."""

    def saw_tick(self, tick):
        self._ticked_at[tick.vt_symbol] = self._clock.now()
        self._ticked.set()

    mp.setattr(AdapterConnection, "saw_tick", saw_tick)


@ROOM("quiet_day", "no_stale_price_served")
def an_old_price_is_handed_on_after_a_newer_one(mp):
    """Two ways that ticks take through the adapter, and nothing that puts them in order."""
    before: dict[str, object] = {}

    def make(on_tick):
        def twice(self, tick):
            on_tick(self, tick)
            on_tick(self, before.get(tick.vt_symbol, tick))
            before[tick.vt_symbol] = tick

        return twice

    wrap(mp, SimulatedAdapter, "on_tick", make)


@ROOM("bad_prices", "classification_coverage")
def nonsense_is_handed_to_strategies(mp):
    """A book that is crossed, or a price of zero, is traded on."""
    mp.setattr(simulated, "nonsense_in", lambda _tick: "")


@ROOM("bad_prices", "classification_coverage")
def a_gap_in_the_prices_is_not_told(mp):
    """Ticks are missing and nobody hears of it."""

    def make(push):
        def tell(self, vt_symbol, code, issue):
            if code != "gap":
                push(self, vt_symbol, code, issue)

        return tell

    wrap(mp, SimulatedAdapter, "_push_data_error", make)


@ROOM("maintenance_window", "no_order_lost")
def ready_before_anything_is_reconciled(mp):
    """Trading resumes on books that are out of date, and they stay so."""

    async def reconcile(self, connection):
        """Everything is taken to be as it was."""

    mp.setattr(OrderPipeline, "reconcile", reconcile)


@ROOM("disconnect_storm", "mttr_seconds")
def a_recovery_that_takes_its_time(mp):
    """Forty seconds go by before each step, the first one, too."""

    async def wait_before(self, _step, _climb):
        await self._clock.sleep(40.0)

    mp.setattr(ErrorRecoveryManager, "_wait_before", wait_before)


@ROOM("quiet_day", "steady_before_and_after")
def a_queue_that_fills_up_and_is_never_emptied(mp):
    """Nothing went wrong, and after a while nothing arrives any more, on any connection."""
    taken = {"count": 0}

    def make(on_frame):
        def take(self, connection_id, frame):
            taken["count"] += 1
            if taken["count"] <= 150:
                on_frame(self, connection_id, frame)

        return take

    wrap(mp, SimulatedAdapter, "_on_frame", make)
