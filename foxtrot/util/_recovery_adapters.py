"""Recovery of bare adapters, for platforms without our engine: look again, and reconnect.

Two shapes are known. The seed's: coroutines `disconnect()` and `connect()`, and a `status`.
Upstream's: plain functions `close()` and `connect(setting)` that block, and `connected`. The
latter run in a thread of their own, so that they stop nobody's event loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from enum import Enum
from typing import Any

from foxtrot.util._recovery_ladder import RecoveryAction
from foxtrot.util.clock import Clock
from foxtrot.util.errors import AdapterConnectionError, ErrorCategory, FoxtrotError

__all__ = ["AdapterExecutor"]

# Seconds for a goodbye: a third of what a step may take, so that connecting gets its turn.
_GOODBYE = 5.0


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
        self._was_cut_short = False
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
        """Close and open for RECONNECT; RETRY only looks again.

        A `connect` that still blocks in the thread of an earlier step is waited for instead, so
        that no two of them run at a time.
        """
        if action is not RecoveryAction.RECONNECT:
            return
        adapter = self._adapters[error.adapter_name or ""]
        if _running(adapter.connect) is None:
            await self._close(adapter)
        opened = await _run(adapter.connect, *_setting_for(adapter), joins=True)
        if opened is False:
            raise AdapterConnectionError(error.adapter_name or "", "connect() returned False")

    async def _close(self, adapter: Any) -> None:  # Any: foreign adapters
        if self._was_cut_short:
            return  # by the step's own deadline: the next step has to get further than that
        self._was_cut_short = True
        with suppress(Exception):  # the socket is dead already: the usual case
            async with asyncio.timeout(_GOODBYE):
                await _run(_closer_of(adapter), joins=True)
        self._was_cut_short = False

    async def verify(self, action: RecoveryAction, error: FoxtrotError) -> bool:
        """Whether the adapter says that it is connected and, where it has a ping, answers one."""
        adapter = self._adapters[error.adapter_name or ""]
        if not _is_connected(adapter):
            return False
        return not hasattr(adapter, "ping") or await _run(adapter.ping) is not False

    def covers(self, error: FoxtrotError) -> bool:
        """Connected is all that is known here: other errors need a recovery of their own."""
        return error.category is ErrorCategory.CONNECTION

    def wait(self, error: FoxtrotError) -> float:
        """What is left of the wait that a rate limit asked for."""
        return max(0.0, self._quiet_until - self._clock.now())


class _Call(threading.Thread):
    """A call of a plain function that may block, with the context of whoever makes it.

    Not a pool's: its threads are waited for at exit, and one that hangs would keep the process.
    """

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:  # Any: foreign
        super().__init__(name="recovery", daemon=True)
        self.function = function
        self.outcome: Future[Any] = Future()
        self.outcome.set_running_or_notify_cancel()  # from now on nobody can cancel it
        self._args = args
        self._context = contextvars.copy_context()

    def run(self) -> None:
        try:
            result = self._context.run(self.function, *self._args)
        except BaseException as exc:  # for whoever waits to deal with
            self.outcome.set_exception(exc)
        else:
            self.outcome.set_result(result)


def _running(function: Callable[..., Any]) -> _Call | None:
    """The call of the function that some earlier step, of whatever climb, gave up waiting for."""
    calls = (each for each in threading.enumerate() if isinstance(each, _Call))
    return next((call for call in calls if call.function == function), None)


async def _run(
    function: Callable[..., Any],
    *args: Any,  # Any: foreign adapters
    joins: bool = False,
) -> Any:
    """What the function returns. With `joins`, a call of it that still runs is not doubled."""
    if inspect.iscoroutinefunction(function):
        return await function(*args)
    call = _running(function) if joins else None
    if call is None:
        call = _Call(function, args)
        call.start()
    result = await asyncio.wrap_future(call.outcome)
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
