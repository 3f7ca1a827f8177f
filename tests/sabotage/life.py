"""Sabotages of the engine's life: its subscribers, its tasks and its end."""

from __future__ import annotations

from foxtrot.server import shutdown
from foxtrot.server.engine import MainEngine
from foxtrot.server.shutdown import ShutdownReport, Tasks
from foxtrot.server.watch import Watch
from foxtrot.util.event import EventEngine
from foxtrot.util.object import OrderRequest

from .sabotage import Room, wrap

__all__ = ["ROOM"]

ROOM = Room()


@ROOM("quiet_day", "nothing_sent_after_shutdown")
def orders_are_sent_after_shutdown(mp):
    """While the engine closes, a new position is opened that nobody will watch."""

    def make(close):
        async def send_and_close(self):
            order = self.oms.orders()[-1]
            request = OrderRequest(
                symbol=order.symbol,
                exchange=order.exchange,
                direction=order.direction,
                type=order.type,
                volume=order.volume,
                price=order.price,
                reference="engine-late",
            )
            await self.send_order(request, order.adapter_name)
            return await close(self)

        return send_and_close

    wrap(mp, MainEngine, "close", make)


@ROOM("quiet_day", "no_task_left")
def tasks_are_left_behind(mp):
    """After the engine was closed something still runs, and holds on to its adapter."""

    async def end(_self, _spared=()):
        return ()

    mp.setattr(Tasks, "end", end)


@ROOM("quiet_day", "shutdown_names_what_stays_open")
def shutdown_leaves_orders_open_and_says_that_there_are_none(mp):
    """The desk goes home with live orders at the venue."""

    async def shut_down(*args, **options):
        await _without_cancels(*args, **options)
        return ShutdownReport((), timed_out=False)

    real = shutdown.shut_down

    async def _without_cancels(connections, oms, tasks, *, cancel, policy, spared):
        async def refuse(*_):
            pass

        return await real(connections, oms, tasks, cancel=refuse, policy=policy, spared=spared)

    mp.setattr("foxtrot.server.engine.shut_down", shut_down)


@ROOM("broken_parts", "classification_coverage")
def a_raising_subscriber_is_told_to_nobody(mp):
    """Its owner never learns that it misses what it is handed."""
    mp.setattr(EventEngine, "tell_errors_to", lambda _self, _whom: None)


@ROOM("broken_parts", "positions_equal_fills")
def a_raising_subscriber_keeps_the_others_from_hearing(mp):
    """One subscriber's bug, and the position keeping of another is wrong."""

    def put(self, event):
        try:
            for handler in reversed(self._handlers.get(event.type, ())):
                handler(event)
        except Exception as exc:
            self._on_handler_error(event, exc)

    mp.setattr(EventEngine, "put", put)


@ROOM("disconnect_storm", "run_completed")
def a_task_that_dies_in_silence(mp):
    """What watches the connection has crashed, and nobody waits for it."""

    async def forever(self, connection):
        await self._clock.sleep(45.0)
        raise KeyError(connection.name)

    mp.setattr(Watch, "forever", forever)
