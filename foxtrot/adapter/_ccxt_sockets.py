"""What ccxt does not tell of its WebSockets: which one was replaced, and which still answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from foxtrot.util.clock import Clock

__all__ = ["Sockets", "close_client", "refusal_behind"]

_LOOK_FOR_PONG = 0.02
_GOODBYE = 0.25


class Sockets:
    """The WebSockets of one ccxt client, by their urls, as its `clients` has them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # The objects themselves: an id is given to another as soon as its first bearer is gone.
        self._known: dict[str, Any] = {}
        self._pongs_due: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    def has_replaced(self, clients: Mapping[str, Any]) -> bool:
        """Whether any connection is another than at the last look. Any: ccxt has no types."""
        replaced = [url for url, each in list(clients.items()) if self._is_another(url, each)]
        return bool(replaced)

    async def ping(self, clients: Mapping[str, Any]) -> bool:
        """A round trip on each open connection; False where none is open. The caller bounds it."""
        sockets = [each for each in clients.values() if each.connection]
        trips = [asyncio.ensure_future(self._round_trip(each)) for each in sockets]
        try:
            await asyncio.gather(*trips)
        finally:
            for trip in trips:  # where one has failed, the others would wait for ever
                trip.cancel()
        return bool(sockets)

    def _is_another(self, url: str, client: Any) -> bool:
        connection = client.connection
        if connection is None or connection.closed:
            return False
        before, self._known[url] = self._known.get(url), connection
        return before is not None and before is not connection

    async def _round_trip(self, client: Any) -> None:
        # A pong bears no name. One that is late answers an earlier ping, which had been given up,
        # and says nothing of this one.
        came_late = client.lastPong is not None
        self._pongs_due[client] = max(0, self._pongs_due.get(client, 0) - came_late) + 1
        client.lastPong = None
        await client.connection.ping()
        while self._pongs_due[client]:
            await self._clock.sleep(_LOOK_FOR_PONG)
            if client.lastPong is not None:
                client.lastPong = None
                self._pongs_due[client] -= 1


async def close_client(client: Any) -> None:
    """Close a ccxt client, whose sockets may wait for a goodbye that never comes."""
    try:
        with suppress(Exception):  # one that cannot be closed is not used again either
            async with asyncio.timeout(_GOODBYE):
                await client.close_ws_clients()
    finally:  # also for who is cancelled meanwhile: nobody else has the client any more
        client.clients.clear()
        with suppress(Exception):
            await client.close()


def refusal_behind(error: Exception) -> Exception:
    """What the venue said, where ccxt trips as it tidies up after a subscription that was refused.

    It forgets the account's stream twice, and the second time raises a KeyError over the refusal.
    """
    hidden = error.__context__
    return hidden if isinstance(error, KeyError) and isinstance(hidden, Exception) else error
