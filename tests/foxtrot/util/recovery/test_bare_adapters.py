"""Recovery of bare adapters, without an engine."""

from __future__ import annotations

import asyncio
import enum
import functools
import threading

import pytest

from foxtrot.util.errors import ErrorCategory, RateLimitError
from foxtrot.util.recovery import (
    ErrorRecoveryManager,
    LadderStrategy,
    RecoveryAction,
    Rung,
)

from .scenes import down


class SeedShaped:
    """As the seed has adapters: coroutines, and a status that is text."""

    def __init__(self, fails=0, dead=False):
        self.status = "disconnected"
        self.calls = []
        self.fails = fails
        self.dead = dead

    async def disconnect(self):
        self.calls.append("disconnect")
        if self.dead:
            raise OSError("bad file descriptor")

    async def connect(self):
        self.calls.append("connect")
        if self.fails:
            self.fails -= 1
            raise ConnectionRefusedError(111, "refused")
        self.status = "connected"


class UpstreamShaped:
    """As upstream has them: plain functions that block, run in whatever thread calls."""

    setting = {"key": "k"}  # noqa: RUF012

    def __init__(self, answers=(True,)):
        self.connected = False
        self.calls = []
        self.answers = list(answers)
        self.threads = set()

    def connect(self, setting):
        self.threads.add(threading.current_thread())
        self.calls.append(("connect", setting))
        self.connected = self.answers.pop(0)
        return self.connected

    def close(self):
        self.calls.append("close")

    def ping(self):
        self.calls.append("ping")


async def recover(adapter, error=None, **options):
    manager = ErrorRecoveryManager(base_delay=0.001, max_delay=0.002, **options)
    recovered = await manager.handle_error(error or down(), {"adapters": {"A": adapter}})
    return recovered, manager


@pytest.mark.asyncio
async def test_bare_adapter_of_the_seed_is_reconnected():
    adapter = SeedShaped(fails=1)
    recovered, manager = await recover(adapter)
    assert recovered
    assert adapter.calls == ["disconnect", "connect", "disconnect", "connect"]
    assert manager.recovery_history[-1]["success"]


@pytest.mark.asyncio
async def test_dead_socket_does_not_keep_from_connecting():
    """Seed 2.5 #3: disconnect raises, the usual case, and connect is tried all the same."""
    adapter = SeedShaped(dead=True)
    assert (await recover(adapter))[0]
    assert adapter.calls == ["disconnect", "connect"]


@pytest.mark.asyncio
async def test_adapter_that_stays_down_is_not_recovered():
    recovered, manager = await recover(SeedShaped(fails=99))
    assert not recovered
    assert not manager.recovery_history[-1]["success"]


@pytest.mark.asyncio
async def test_bare_adapter_of_upstreams_shape_is_reconnected():
    """Seed 2.5 #2: with its setting, off the event loop, and judged by what it says and a ping."""
    adapter = UpstreamShaped([False, True])
    recovered, _ = await recover(adapter)
    assert recovered
    connect = ("connect", {"key": "k"})
    assert adapter.calls == ["close", connect, "close", connect, "ping"]
    assert threading.current_thread() not in adapter.threads


@pytest.mark.asyncio
async def test_connect_that_answers_false_has_failed_and_says_so():
    events = []
    adapter = UpstreamShaped([False, True])
    assert (await recover(adapter, listeners=[events.append]))[0]
    reasons = [event.reason for event in events if event.kind == "step_failed"]
    assert len(reasons) == 1
    assert reasons[0].startswith("AdapterConnectionError: ")
    assert "Adapter A" in reasons[0]
    assert "connect() returned False" in reasons[0]


@pytest.mark.asyncio
async def test_adapter_without_a_setting_connects_with_its_default_setting():
    """As upstream's user interface does."""

    class Fresh(UpstreamShaped):
        setting = None
        default_setting = {"host": "127.0.0.1"}  # noqa: RUF012

    adapter = Fresh()
    assert (await recover(adapter))[0]
    assert ("connect", {"host": "127.0.0.1"}) in adapter.calls


@pytest.mark.asyncio
async def test_adapter_without_any_setting_connects_with_an_empty_one():
    adapter = UpstreamShaped()

    class Bare:
        connected = False
        close, ping = adapter.close, adapter.ping

        def connect(self, setting):
            self.connected = adapter.connect(setting)
            return self.connected

    assert (await recover(Bare()))[0]
    assert ("connect", {}) in adapter.calls


@pytest.mark.asyncio
async def test_setting_that_is_optional_is_left_to_the_adapter():
    class Optional(UpstreamShaped):
        def connect(self, setting=None):
            return super().connect(setting)

    adapter = Optional()
    assert (await recover(adapter))[0]
    assert ("connect", None) in adapter.calls


@pytest.mark.asyncio
async def test_plain_function_that_returns_an_awaitable_is_awaited():
    """As a decorated coroutine function often is."""
    adapter = SeedShaped()
    adapter.connect = functools.partial(SeedShaped.connect.__call__, adapter)
    assert (await recover(adapter))[0]
    assert adapter.calls == ["disconnect", "connect"]


@pytest.mark.asyncio
async def test_adapter_nobody_knows_cannot_be_recovered():
    manager = ErrorRecoveryManager()
    assert not await manager.handle_error(down(), {})
    assert manager.recovery_history[-1]["attempts"] == 0


@pytest.mark.asyncio
async def test_status_may_be_an_enum():
    from foxtrot.adapter.base_adapter import AdapterStatus

    adapter = SeedShaped()
    adapter.status = AdapterStatus.CONNECTED
    assert (await recover(adapter))[0]
    assert adapter.calls == []  # looked at again, which was enough


@pytest.mark.asyncio
async def test_status_may_be_an_enum_that_is_no_text():
    adapter = SeedShaped()
    adapter.status = enum.Enum("Status", {"UP": "connected"}).UP
    assert (await recover(adapter))[0]
    assert adapter.calls == []


def test_bare_adapter_is_looked_at_without_delay(scene):
    """There is nobody to leave alone: only a rate limit asks for that."""

    async def body(s):
        adapter = SeedShaped()
        adapter.status = "connected"
        error = down(retry_after=30.0)
        assert await s.manager.handle_error(error, {"adapters": {"A": adapter}})
        assert s.loop.time() == 0.0

    assert scene(body).kinds == ["started", "step", "succeeded"]


def test_bare_rate_limit_is_waited_for_once(scene):
    """Seed 2.5 #4: not success by sleeping, and not the whole wait again for each attempt."""

    async def body(s):
        adapter = SeedShaped(fails=1)
        error = RateLimitError("A", 30.0)
        assert await s.manager.handle_error(error, {"adapters": {"A": adapter}})
        assert 30.0 < s.loop.time() < 40.0

    scene(body)


def test_bare_verification_covers_connections_only(scene):
    async def body(s):
        adapter = SeedShaped()
        release = asyncio.Event()
        plain = adapter.connect

        async def slow():
            await release.wait()
            await plain()

        adapter.connect = slow
        context = {"adapters": {"A": adapter}}
        first = asyncio.create_task(s.manager.handle_error(down(), context))
        await asyncio.sleep(1)
        limited = asyncio.create_task(s.manager.handle_error(RateLimitError("A", 5.0), context))
        same = asyncio.create_task(s.manager.handle_error(down(), context))
        await asyncio.sleep(1)
        release.set()
        assert await asyncio.gather(first, same, limited) == [True, True, True]

    assert scene(body).kinds.count("started") == 2


def reconnecting(deadline):
    """A manager whose ladder is to reconnect, each time for at most `deadline`."""
    rung = Rung(RecoveryAction.RECONNECT, deadline=deadline)
    ladder = LadderStrategy(ErrorCategory.CONNECTION, [rung])
    return ErrorRecoveryManager([ladder], base_delay=0.001, max_delay=0.002)


class Blocking(UpstreamShaped):
    """One whose `connect` blocks until it is released."""

    def __init__(self):
        super().__init__()
        self.release = threading.Event()

    def connect(self, setting):
        self.calls.append("connect")
        self.connected = self.release.wait(10.0)
        return self.connected


def test_connect_that_blocks_is_waited_for_and_not_doubled():
    """Nor by the next climb, on whatever loop; nor does it keep the process from ending."""
    adapter = Blocking()
    context = {"adapters": {"A": adapter}}
    try:
        for _ in range(2):
            assert not asyncio.run(reconnecting(0.05).handle_error(down(), context))
            assert adapter.calls == ["close", "connect"]
    finally:
        adapter.release.set()


@pytest.mark.asyncio
async def test_connect_that_takes_longer_than_its_step_is_a_success_of_the_next():
    adapter = Blocking()
    manager = reconnecting(5.0)
    given_up = asyncio.create_task(manager.handle_error(down(), {"adapters": {"A": adapter}}))
    while "connect" not in adapter.calls:  # noqa: ASYNC110 - called by a thread, which sets nothing
        await asyncio.sleep(0.001)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    asyncio.get_running_loop().call_later(0.01, adapter.release.set)
    assert await manager.handle_error(down(), {"adapters": {"A": adapter}})
    assert adapter.calls == ["close", "connect", "ping"]


@pytest.mark.asyncio
async def test_ping_that_answers_false_is_no_success():
    """Its status says connected, and no pong came."""
    adapter = SeedShaped()

    async def ping():
        return False

    adapter.ping = ping
    recovered, manager = await recover(adapter)
    assert not recovered
    assert not manager.recovery_history[-1]["success"]
    assert adapter.calls == ["disconnect", "connect"] * 3


async def hangs():
    await asyncio.Event().wait()


def test_goodbye_that_never_comes_leaves_time_to_connect(scene):
    async def body(s):
        adapter = SeedShaped()
        adapter.disconnect = hangs
        assert await s.manager.handle_error(down(), {"adapters": {"A": adapter}})
        assert adapter.calls == ["connect"]
        assert s.loop.time() < 10.0

    assert scene(body).kinds[-2:] == ["step", "succeeded"]


@pytest.mark.asyncio
async def test_goodbye_that_takes_a_whole_step_is_left_out_of_the_next():
    adapter = SeedShaped(fails=1)
    adapter.disconnect = hangs
    manager = reconnecting(0.01)
    assert await manager.handle_error(down(), {"adapters": {"A": adapter}})
    assert adapter.calls == ["connect", "connect"]


@pytest.mark.asyncio
async def test_what_a_plain_function_raises_is_why_the_step_failed():
    events = []
    adapter = UpstreamShaped()

    def connect(_setting):
        raise ConnectionRefusedError(111, "refused")

    adapter.connect = connect
    assert not (await recover(adapter, listeners=[events.append]))[0]
    reasons = [event.reason for event in events if event.kind == "step_failed"]
    assert reasons == ["ConnectionRefusedError: [Errno 111] refused"] * 3
