"""Watching a connection: finding out that it is of no use before somebody loses an order to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from foxtrot.server.connection import AdapterConnection
from foxtrot.server.orders import OrderPipeline
from foxtrot.server.policy import EnginePolicy
from foxtrot.util.classification import Classifier
from foxtrot.util.clock import Clock
from foxtrot.util.errors import ErrorCategory, FoxtrotError, MarketDataError

__all__ = ["Watch"]


class Watch:
    """Heartbeats, and the way back to being ready.

    Args:
        pipeline: Reconciles.
        policy: Times.
        clock: Time.
        surfaced: Told each fault that is found.
        is_recovering: Whether recovery is at work on an adapter, which then needs no watching.
        became_ready: Told each connection that is of use again.
    """

    def __init__(
        self,
        pipeline: OrderPipeline,
        *,
        policy: EnginePolicy,
        clock: Clock,
        surfaced: Callable[[FoxtrotError], None],
        is_recovering: Callable[[str], bool],
        became_ready: Callable[[AdapterConnection], None],
    ) -> None:
        self._pipeline = pipeline
        self._policy = policy
        self._clock = clock
        self._surfaced = surfaced
        self._is_recovering = is_recovering
        self._became_ready = became_ready
        self._classifier = Classifier(clock=clock)

    async def prove(self, connection: AdapterConnection) -> None:
        """Bring up what a recovery holds to be mended, if it answers at all.

        Raises:
            FoxtrotError: It does not, or could not be brought up. Who is not told yet hears of
                it: the recovery may have begun for something else.
        """
        try:
            await _answers(connection)
        except Exception as exc:
            error = self._of_connection(connection, exc, "ping")
            if connection.ready or error.category is ErrorCategory.SYSTEM:
                connection.ready = False
                self._surfaced(error)
            raise error from exc
        await self.bring_up(connection)

    async def bring_up(self, connection: AdapterConnection) -> None:
        """Wait until the streams tick, reconcile, and declare the connection ready.

        Raises:
            FoxtrotError: The venue could not be asked, or the connection broke meanwhile.
        """
        connection_id = connection.adapter.connection_id
        await self._wait_ticking(connection)
        await self._pipeline.reconcile(connection)
        connection.require_open()
        connection.require_reports()
        connection.require_connected(connection_id)
        if not connection.ready:
            connection.guard.came_back()
        connection.ready = True
        self._became_ready(connection)

    async def _wait_ticking(self, connection: AdapterConnection) -> None:
        try:
            await connection.wait_ticking()
        except MarketDataError as silence:
            self._fell_silent(connection, silence)
            raise

    async def forever(self, connection: AdapterConnection) -> None:
        """Check at every heartbeat until cancelled."""
        interval = self._policy.heartbeat_interval
        while True:
            await self._clock.sleep(interval)
            if self._is_recovering(connection.name) or connection.is_opening:
                self._check_prices(connection)
                continue
            async with asyncio.TaskGroup() as tasks:
                check = tasks.create_task(self._check(connection))
                while not (await asyncio.wait({check}, timeout=interval))[0]:
                    self._check_prices(connection)

    def _check_prices(self, connection: AdapterConnection) -> None:
        """Recovery may be at work for long, on something else, and a gate may hold up a check."""
        try:
            connection.require_fresh()
        except MarketDataError as stale:
            self._fell_silent(connection, stale)

    def _fell_silent(self, connection: AdapterConnection, silence: MarketDataError) -> None:
        """What is silent is not ready; and who relied on it is told, once."""
        if connection.ready:
            connection.ready = False
            self._surfaced(self._of_stream(connection, silence))

    async def _check(self, connection: AdapterConnection) -> None:
        try:
            await _find_fault(connection)
        except Exception as exc:
            connection.ready = False
            self._surfaced(self._of_stream(connection, exc))
            return
        lockout = connection.guard.lockout
        if lockout.is_probe_due:
            await _try_credentials(connection)
        if lockout.is_on:
            return  # whatever else is amiss needs an account that may ask
        if not connection.ready or self._pipeline.needs_reconcile(connection.name):
            # What fails in here was surfaced by the guard, or is seen at the next heartbeat.
            with suppress(FoxtrotError):
                await self.bring_up(connection)

    def _of_stream(self, connection: AdapterConnection, exc: Exception) -> FoxtrotError:
        error = self._of_connection(connection, exc, "heartbeat")
        if error.category is ErrorCategory.SYSTEM:
            # In a request it may be the request's fault. An adapter that breaks on a ping is
            # broken itself, and that can be mended: it is built anew.
            error.recoverable = True
        return error

    def _of_connection(
        self, connection: AdapterConnection, exc: Exception, operation: str
    ) -> FoxtrotError:
        """An error of the connection as such: classified, and named by the connection's id."""
        error = self._classifier.classify(exc, adapter=connection.name, operation=operation)
        error.context.setdefault("correlation_id", connection.adapter.connection_id)
        return error


async def _try_credentials(connection: AdapterConnection) -> None:
    """Ask what only an accepted account is answered. The guard takes note of either answer."""
    with suppress(FoxtrotError):
        await connection.guard.probe("orders.open", connection.adapter.query_open_orders)


async def _find_fault(connection: AdapterConnection) -> None:
    await _answers(connection)
    connection.require_fresh()
    connection.require_reports()


async def _answers(connection: AdapterConnection) -> None:
    if not connection.adapter.connected:
        raise ConnectionError("the connection is down")
    await connection.ping()
