"""Recovery of bare adapters, for platforms without our engine: look again, and reconnect.

Two shapes are known. The seed's: coroutines `disconnect()` and `connect()`, and a `status`.
Upstream's: plain functions `close()` and `connect(setting)` that block, and `connected`. The
latter run in a thread of their own, so that they stop nobody's event loop.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from typing import Any

from foxtrot.util._recovery_ladder import RecoveryAction
from foxtrot.util.clock import Clock
from foxtrot.util.errors import AdapterConnectionError, ErrorCategory, FoxtrotError

__all__ = ["AdapterExecutor"]


class AdapterExecutor:
    """Carries out RETRY and RECONNECT on the adapters of a mapping.

    Args:
        adapters: By name; each of either shape. Looked into anew for each step.
        error: What is being recovered from; the wait that it asks for is counted from now.
        clock: Time.
    """

    def __init__(
        self,
        adapters: Mapping[str, Any],  # Any: foreign adapters
        error: FoxtrotError,
        clock: Clock,
    ) -> None:
        self._adapters = adapters
        self._clock = clock
        asked = error.retry_after if error.category is ErrorCategory.RATE_LIMIT else None
        self._quiet_until = clock.now() + (asked or 0.0)

    def supports(self, action: RecoveryAction, error: FoxtrotError) -> bool:
        """RETRY and RECONNECT, of an adapter that is there."""
        return (
            action in {RecoveryAction.RETRY, RecoveryAction.RECONNECT}
            and error.adapter_name in self._adapters
        )

    async def perform(self, action: RecoveryAction, error: FoxtrotError) -> None:
        """Close and open for RECONNECT; RETRY only looks again."""
        if action is not RecoveryAction.RECONNECT:
            return
        adapter = self._adapters[error.adapter_name or ""]
        with suppress(Exception):  # the socket is dead already: the usual case
            await _run(_closer_of(adapter))
        opened = await _run(adapter.connect, *_setting_for(adapter))
        if opened is False:
            raise AdapterConnectionError(error.adapter_name or "", "connect() returned False")

    async def verify(self, action: RecoveryAction, error: FoxtrotError) -> bool:
        """Whether the adapter says that it is connected and, where it has a ping, answers one."""
        adapter = self._adapters[error.adapter_name or ""]
        if not _is_connected(adapter):
            return False
        if hasattr(adapter, "ping"):
            await _run(adapter.ping)
        return True

    def covers(self, error: FoxtrotError) -> bool:
        """Connected is all that is known here: other errors need a recovery of their own."""
        return error.category is ErrorCategory.CONNECTION

    def wait(self, error: FoxtrotError) -> float:
        """What is left of the wait that a rate limit asked for."""
        return max(0.0, self._quiet_until - self._clock.now())


async def _run(function: Callable[..., Any], *args: Any) -> Any:  # Any: foreign adapters
    if inspect.iscoroutinefunction(function):
        return await function(*args)
    result = await asyncio.to_thread(function, *args)
    return await result if inspect.isawaitable(result) else result


def _closer_of(adapter: Any) -> Callable[[], Any]:  # Any: foreign adapters
    closer: Callable[[], Any] = getattr(adapter, "disconnect", None) or adapter.close
    return closer


def _setting_for(adapter: Any) -> tuple[Any, ...]:  # Any: foreign adapters
    """The argument of `connect(setting)`, for an adapter that cannot do without."""
    parameters = inspect.signature(adapter.connect).parameters.values()
    needs_one = any(
        each.default is each.empty
        and each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}
        for each in parameters
    )
    if not needs_one:
        return ()
    return (getattr(adapter, "setting", None) or getattr(adapter, "default_setting", {}),)


def _is_connected(adapter: Any) -> bool:  # Any: foreign adapters
    if hasattr(adapter, "connected"):
        return bool(adapter.connected)
    status = adapter.status
    return str(status.value if isinstance(status, Enum) else status) == "connected"
