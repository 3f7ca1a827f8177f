"""The same for coroutines: every call in a thread, none on the event loop's.

For real loops only: a virtual one has no threads, and no sockets to put a proxy between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import ParamSpec, TypeVar

from harness.toxiproxy.address import Address
from harness.toxiproxy.client import Toxiproxy
from harness.toxiproxy.proxy import Imposed, Proxy, ProxyState
from harness.toxiproxy.toxics import Imposable, Toxic

__all__ = ["AsyncProxy", "AsyncToxiproxy"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


class AsyncToxiproxy:
    """`Toxiproxy`, awaited. A cancelled call is first carried to its end."""

    def __init__(self, client: Toxiproxy) -> None:
        self._client = client

    async def version(self) -> str:
        """See `Toxiproxy.version`."""
        return await _in_thread(self._client.version)

    async def create(
        self, label: str, upstream: Address, *, listen: Address | None = None
    ) -> AsyncProxy:
        """See `Toxiproxy.create`."""
        return AsyncProxy(await _in_thread(self._client.create, label, upstream, listen=listen))

    async def close(self) -> None:
        """See `Toxiproxy.close`."""
        await _in_thread(self._client.close)


class AsyncProxy:
    """`Proxy`, awaited. A cancelled call is first carried to its end: `heal` finds what it did.

    Attributes:
        name: Its name on the server.
        address: Where clients connect.
    """

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.name = proxy.name
        self.address = proxy.address

    async def impose(self, fault: Imposable) -> Imposed:
        """See `Proxy.impose`."""
        return await _in_thread(self._proxy.impose, fault)

    async def change(self, imposed: Imposed, fault: Toxic) -> Imposed:
        """See `Proxy.change`."""
        return await _in_thread(self._proxy.change, imposed, fault)

    async def lift(self, imposed: Imposed) -> None:
        """See `Proxy.lift`."""
        await _in_thread(self._proxy.lift, imposed)

    @asynccontextmanager
    async def imposing(self, fault: Imposable) -> AsyncIterator[Imposed]:
        """See `Proxy.imposing`. Cancelled while it is being imposed, it is lifted all the same."""
        imposed: list[Imposed] = []
        try:
            # Kept by the thread: of a cancelled call nothing comes back, and it is carried out.
            await _in_thread(lambda: imposed.append(self._proxy.impose(fault)))
            yield imposed[0]
        finally:
            for each in imposed:
                await self.lift(each)

    async def drop_connections(self) -> None:
        """See `Proxy.drop_connections`."""
        await _in_thread(self._proxy.drop_connections)

    async def heal(self) -> None:
        """See `Proxy.heal`."""
        await _in_thread(self._proxy.heal)

    async def state(self) -> ProxyState:
        """See `Proxy.state`."""
        return await _in_thread(self._proxy.state)


async def _in_thread(call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    running = asyncio.ensure_future(asyncio.to_thread(call, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        # A thread cannot be cancelled. Left alone it would change the server behind the back of
        # whoever cleans up next; every call is bounded, so the wait is too. It may be cancelled
        # more than once: by the end of a fault's time, and by who heals.
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # taken note of: the cancellation is what the caller gets
        raise
