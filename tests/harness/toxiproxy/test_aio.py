"""Coroutines call the server from threads, and never leave a call half done."""

from __future__ import annotations

import asyncio
import time

import pytest

from harness.toxiproxy import (
    Address,
    AsyncProxy,
    AsyncToxiproxy,
    Disabled,
    Latency,
    Toxiproxy,
    Transport,
)

pytestmark = pytest.mark.live


def test_a_blocking_call_on_the_event_loop_is_refused(client):
    async def call() -> None:
        client.version()

    with pytest.raises(RuntimeError, match="use AsyncToxiproxy"):
        asyncio.run(call())


def test_coroutines_do_the_same_in_threads(client):
    async def story() -> list[object]:
        outside = AsyncToxiproxy(client)
        proxy = await outside.create("async", Address("127.0.0.1", 1))
        seen: list[object] = [await outside.version()]
        async with proxy.imposing(Latency(latency=0.1)) as imposed:
            await proxy.change(imposed, Latency(latency=0.2))
            seen.extend(toxic.attributes["latency"] for toxic in (await proxy.state()).toxics)
        await proxy.drop_connections()
        await proxy.impose(Disabled())
        await proxy.heal()
        seen.append((await proxy.state()).is_clean)
        await outside.close()
        return seen

    version, *rest = asyncio.run(story())
    assert (version, rest) == (client.version(), [200, True])
    assert client.names() == ()


class Slow(Transport):
    """The real transport, through a server that takes its time over a change."""

    def post(self, url, data=None, json=None):
        time.sleep(0.1)
        return super().post(url, data, json)


@pytest.mark.parametrize("times", [1, 2])
def test_a_cancelled_call_is_over_before_its_caller_goes_on(server, times):
    """However often it is cancelled: at the end of a fault's time somebody may be healing."""
    client = Toxiproxy(server.address, transport=Slow())
    proxy = client.create("slow", Address("127.0.0.1", 1))

    async def story() -> tuple[int, bool]:
        task = asyncio.create_task(AsyncProxy(proxy).impose(Latency(latency=0.1)))
        await asyncio.sleep(0)
        for _ in range(times):
            await asyncio.sleep(0)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        found = len((await AsyncProxy(proxy).state()).toxics)
        await AsyncProxy(proxy).heal()
        return found, (await AsyncProxy(proxy).state()).is_clean

    assert asyncio.run(story()) == (1, True)
    client.close()


def test_what_is_cancelled_while_it_is_being_imposed_does_not_last(server):
    """As at the end of a fault that comes and goes: nobody holds what would lift it."""
    client = Toxiproxy(server.address, transport=Slow())
    proxy = client.create("slow", Address("127.0.0.1", 1))

    async def story() -> bool:
        outside = AsyncProxy(proxy)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02), outside.imposing(Disabled()):
                pytest.fail("it takes longer")
        return (await outside.state()).is_clean

    assert asyncio.run(story())
    client.close()
