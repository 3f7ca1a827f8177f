"""How the engine carries out what the recovery decides, and how it proves that it worked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foxtrot.server.connection import AdapterConnection
from foxtrot.server.guard import not_ready
from foxtrot.util.clock import Clock
from foxtrot.util.errors import ComponentError, ErrorCategory, ErrorSeverity, FoxtrotError
from foxtrot.util.recovery import RecoveryAction

if TYPE_CHECKING:
    from foxtrot.server.engine import MainEngine

__all__ = ["EngineExecutor"]


_MENDED_BY_ASKING = frozenset({ErrorCategory.MARKET_DATA, ErrorCategory.AUTHENTICATION})


class EngineExecutor:
    """The six actions, on the engine's adapters."""

    def __init__(self, engine: MainEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def supports(self, action: RecoveryAction, error: FoxtrotError) -> bool:
        """Whether the action makes sense for the adapter as it is now."""
        connection = self._failed(error)
        if action is RecoveryAction.ALERT_OPERATOR:
            return True
        if action is RecoveryAction.GRACEFUL_SHUTDOWN:
            return not self._is_closing()
        if connection is None or connection.is_closing:
            return False
        if action is RecoveryAction.SWITCH_ADAPTER:
            routes = self._engine.routes
            return routes.standby(connection.name) is not None and not routes.is_switched(
                connection.name
            )
        # Looking again at a connection that is known to be down only costs time.
        return action is not RecoveryAction.RETRY or connection.adapter.connected

    async def perform(self, action: RecoveryAction, error: FoxtrotError) -> None:
        """Do it; raises when it failed."""
        if action is RecoveryAction.ALERT_OPERATOR:
            self._engine.escalate(error)
        elif action is RecoveryAction.GRACEFUL_SHUTDOWN:
            await self._shut_down(error)
        elif action is RecoveryAction.SWITCH_ADAPTER:
            standby = self._standby(error)
            standby.distrust_ticks()
            given_up = self._required(error)
            given_up.ready = False  # it has to show itself well to get its orders back
            self._engine.switch(given_up.name, standby.name)
        else:
            await self._repair(action, self._required(error), error)

    async def verify(self, action: RecoveryAction, error: FoxtrotError) -> bool:
        """Connected, answering, ticking, reconciled: asked of the venue, one by one.

        After a switch it is the standby that must be all this, or it hands back at once; else
        the failed adapter itself, even while its standby serves.
        """
        if action is not RecoveryAction.SWITCH_ADAPTER:
            await self._engine.prove(self._required(error))
            return True
        try:
            await self._engine.prove(self._standby(error))
        except BaseException:
            self._engine.switch(self._required(error).name, None)
            raise
        return True

    def covers(self, error: FoxtrotError) -> bool:
        """What the verification asks for covers all but orders and broken components."""
        return error.category not in {ErrorCategory.ORDER_EXECUTION, ErrorCategory.SYSTEM}

    def wait(self, error: FoxtrotError) -> float:
        """What is left of the quiet that the venue asked for."""
        connection = self._failed(error)
        return 0.0 if connection is None else connection.guard.gate.wait

    async def _repair(
        self, action: RecoveryAction, connection: AdapterConnection, error: FoxtrotError
    ) -> None:
        if action is RecoveryAction.RECONNECT:
            await connection.reconnect()
        elif action is RecoveryAction.RESTART_COMPONENT:
            await connection.restart()
        else:
            # A tick from before says nothing of a connection that has been in doubt since.
            connection.distrust_ticks()
            if error.category in _MENDED_BY_ASKING or connection.needs_subscribing():
                await connection.resync()
                await connection.resubscribe()

    async def _shut_down(self, error: FoxtrotError) -> None:
        report = await self._engine.close()
        if report.open_orders:
            still_open = ", ".join(order.vt_orderid for order in report.open_orders)
            self._engine.escalate(
                ComponentError(
                    "engine",
                    f"shut down after {error.error_id}; still open: {still_open}",
                    severity=ErrorSeverity.CRITICAL,
                    suggested_action=f"Cancel or watch at the venue: {still_open}",
                    clock=self._clock,
                )
            )

    def _is_closing(self) -> bool:
        return any(each.is_closing for each in self._engine.connections.values())

    def _failed(self, error: FoxtrotError) -> AdapterConnection | None:
        return self._engine.connections.get(error.adapter_name or "")

    def _required(self, error: FoxtrotError) -> AdapterConnection:
        return self._engine.routes.connection(error.adapter_name or "")

    def _standby(self, error: FoxtrotError) -> AdapterConnection:
        standby = self._engine.routes.standby(error.adapter_name or "")
        if standby is None:
            raise not_ready(error.adapter_name or "", "no standby is ready", self._clock)
        return standby
