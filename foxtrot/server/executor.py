"""How the engine carries out what the recovery decides, and how it proves that it worked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foxtrot.server.connection import AdapterConnection
from foxtrot.util.errors import ErrorCategory, FoxtrotError
from foxtrot.util.recovery import RecoveryAction

if TYPE_CHECKING:
    from foxtrot.server.engine import MainEngine

__all__ = ["EngineExecutor"]


class EngineExecutor:
    """The six actions, on the engine's adapters."""

    def __init__(self, engine: MainEngine) -> None:
        self._engine = engine

    def supports(self, action: RecoveryAction, error: FoxtrotError) -> bool:
        """Whether the action makes sense for the adapter as it is now."""
        connection = self._failed(error)
        if action is RecoveryAction.SWITCH_ADAPTER:
            return self._standby(error) is not None
        if action is RecoveryAction.RETRY:
            # Looking again at a connection that is known to be down only costs time.
            return connection is not None and connection.adapter.connected
        if action in {RecoveryAction.RECONNECT, RecoveryAction.RESTART_COMPONENT}:
            return connection is not None
        return True

    async def perform(self, action: RecoveryAction, error: FoxtrotError) -> None:
        """Do it; raises when it failed."""
        connection = self._failed(error)
        if action is RecoveryAction.ALERT_OPERATOR:
            self._engine.escalate(error)
        elif action is RecoveryAction.GRACEFUL_SHUTDOWN:
            await self._engine.close()
        elif action is RecoveryAction.SWITCH_ADAPTER:
            standby = self._standby(error)
            if connection is not None and standby is not None:
                self._engine.switch(connection.name, standby.name)
        elif connection is not None:
            await self._repair(action, connection, error)

    async def verify(self, action: RecoveryAction, error: FoxtrotError) -> bool:
        """Connected, answering, ticking, reconciled: asked of the venue, one by one.

        After a switch it is the standby that must be all this; else the failed adapter itself,
        even while its standby serves.
        """
        switched = action is RecoveryAction.SWITCH_ADAPTER
        connection = self._standby(error) if switched else self._failed(error)
        if connection is None or not connection.adapter.connected:
            return False
        await connection.ping()
        await self._engine.bring_up(connection)
        return True

    async def _repair(
        self, action: RecoveryAction, connection: AdapterConnection, error: FoxtrotError
    ) -> None:
        if action is RecoveryAction.RECONNECT:
            await connection.reconnect()
        elif action is RecoveryAction.RESTART_COMPONENT:
            await connection.restart()
        elif error.category in {ErrorCategory.MARKET_DATA, ErrorCategory.AUTHENTICATION}:
            await connection.adapter.resync()
            await connection.resubscribe()
        else:
            await connection.guard.gate.pass_through()

    def _failed(self, error: FoxtrotError) -> AdapterConnection | None:
        return self._engine.connections.get(error.adapter_name or "")

    def _standby(self, error: FoxtrotError) -> AdapterConnection | None:
        return next(
            (
                connection
                for connection in self._engine.connections.values()
                if connection.standby_for == error.adapter_name and connection.ready
            ),
            None,
        )
