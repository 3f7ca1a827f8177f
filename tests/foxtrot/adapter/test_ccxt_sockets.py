"""What is made of ccxt's WebSockets, by stand-ins of its clients."""

from __future__ import annotations

import asyncio

import pytest

from foxtrot.adapter._ccxt_sockets import Sockets, close_client
from foxtrot.util.clock import SYSTEM_CLOCK

pytestmark = pytest.mark.asyncio


class Connection:
    closed = False

    def __init__(self, broken: bool = False) -> None:
        self.broken = broken

    async def ping(self) -> None:
        if self.broken:
            raise ConnectionResetError("Cannot write to closing transport")


class Client:
    """A socket's client, which hears no pong."""

    lastPong = None  # noqa: N815 - ccxt's own name for it

    def __init__(self, connection: Connection) -> None:
        self.connection = connection


async def test_every_connection_made_anew_is_noticed() -> None:
    """Also one that lies in memory where the one before it lay."""
    for _ in range(100):
        sockets, clients = Sockets(SYSTEM_CLOCK), {"url": Client(Connection())}
        assert not sockets.has_replaced(clients)
        del clients["url"]
        clients["url"] = Client(Connection())
        assert sockets.has_replaced(clients)


async def test_ping_that_fails_on_one_leaves_none_behind_on_the_others() -> None:
    """The pong of a dead one would be looked for, fifty times a second, for ever."""
    sockets = Sockets(SYSTEM_CLOCK)
    with pytest.raises(ConnectionResetError):
        await sockets.ping({"mute": Client(Connection()), "dead": Client(Connection(broken=True))})
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_client_is_closed_also_when_its_closing_is_cancelled() -> None:
    """Nobody else has it any more: what it holds would stay open."""

    class Exchange:
        clients: dict[str, Client] = {}  # noqa: RUF012 - one instance, which changes nothing in it
        is_closed = False

        async def close_ws_clients(self) -> None:
            await asyncio.Event().wait()

        async def close(self) -> None:
            self.is_closed = True

    client = Exchange()
    closing = asyncio.create_task(close_client(client))
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert client.is_closed
