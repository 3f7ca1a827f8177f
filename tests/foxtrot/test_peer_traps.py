"""Traps that other resilience libraries fall into, where no test of one room shows them whole.

`tests/sabotage/traps.py` lists all of them, with the test that holds each.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import itertools
import json
import multiprocessing
import pickle
import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from freezegun import freeze_time

from foxtrot.adapter.upstream import UpstreamAdapter
from foxtrot.server.engine import MainEngine
from foxtrot.util.circuit_breaker import CircuitBreakerOpenError
from foxtrot.util.clock import SystemClock
from foxtrot.util.constants import Direction, Exchange, OrderType
from foxtrot.util.errors import AdapterConnectionError, FoxtrotError
from foxtrot.util.event import EventEngine
from foxtrot.util.object import OrderRequest
from foxtrot.util.recovery import ErrorRecoveryManager, RecoveryAction
from foxtrot.util.retry import retry_with_backoff
from harness.kernel import VirtualClock, run_virtual

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


# --- the retry ------------------------------------------------------------------------------------


class CountingClock(SystemClock):
    """Notes for each task what it waited."""

    def __init__(self) -> None:
        self.waits: dict[str, list[float]] = {}

    def sleep_sync(self, seconds: float) -> None:
        self.waits.setdefault(WHO.get(), []).append(seconds)

    async def sleep(self, seconds: float) -> None:
        self.waits.setdefault(WHO.get(), []).append(seconds)
        await asyncio.sleep(0)


def test_tasks_in_one_decorated_coroutine_function_share_no_backoff() -> None:
    """hyx: three callers drove each other's waits up ninefold."""
    clock = CountingClock()

    @retry_with_backoff(jitter=False, clock=clock)
    async def connect() -> None:
        if len(clock.waits.get(WHO.get(), [])) < 3:
            raise ConnectionResetError

    async def caller(name: str) -> None:
        WHO.set(name)
        await connect()

    async def main() -> None:
        await asyncio.gather(*(caller(name) for name in "abc"))

    asyncio.run(main())
    assert clock.waits == {name: [1.0, 2.0, 4.0] for name in "abc"}


@pytest.mark.parametrize("ending", ["cancelled", "exhausted"])
def test_call_after_one_that_was_given_up_begins_afresh(ending: str) -> None:
    """A manager of nautilus that was cancelled returns None for ever after, without a call."""
    clock = CountingClock()
    failures = [ConnectionResetError() for _ in range(9)]

    @retry_with_backoff(jitter=False, clock=clock)
    async def connect() -> str:
        if failures:
            raise failures.pop()
        return "connected"

    async def give_up() -> None:
        call = asyncio.ensure_future(connect())
        if ending == "cancelled":
            await asyncio.sleep(0)
            call.cancel()
        await asyncio.wait([call])
        assert call.cancelled() == (ending == "cancelled")

    async def main() -> str:
        await give_up()
        del failures[3:], clock.waits["nobody"][:]
        return await connect()

    assert asyncio.run(main()) == "connected"
    assert clock.waits == {"nobody": [1.0, 2.0, 4.0]}


def test_call_of_a_function_after_one_that_failed_for_good_begins_afresh() -> None:
    """One state for all calls would leave the second no tries, or make it wait a minute."""
    clock = CountingClock()
    failures = [ConnectionResetError() for _ in range(7)]

    @retry_with_backoff(jitter=False, clock=clock)
    def connect() -> str:
        if failures:
            raise failures.pop()
        return "connected"

    with pytest.raises(ConnectionResetError):
        connect()
    assert connect() == "connected"
    assert clock.waits == {"nobody": [1.0, 2.0, 4.0] * 2}


# --- context over thread hops ---------------------------------------------------------------------


class Blocking:
    """An adapter of upstream's shape that notes on whose behalf it is called."""

    def __init__(self, event_engine: Any = None, adapter_name: str = "UP") -> None:
        self.callers: list[str] = []
        self.connected = False

    def connect(self, setting: Any = None) -> bool:
        self.callers.append(WHO.get())
        self.connected = True
        return True

    def close(self) -> None:
        self.callers.append(WHO.get())


def test_context_of_the_caller_goes_along_into_an_adapters_thread() -> None:
    """Else its log lines lose the correlation id just where it is needed."""
    adapter = UpstreamAdapter(EventEngine(), "UP", build=Blocking)

    async def main() -> None:
        WHO.set("desk 7")
        await adapter.connect()
        await adapter.disconnect()

    asyncio.run(main())
    assert adapter._inner.callers == ["desk 7", "desk 7"]


def test_context_of_the_caller_goes_along_into_a_recovery() -> None:
    adapter = Blocking()
    error = AdapterConnectionError("UP", "reset")

    async def main() -> bool:
        WHO.set("desk 7")
        return await ErrorRecoveryManager().handle_error(error, {"adapters": {"UP": adapter}})

    assert asyncio.run(main())
    assert set(adapter.callers) == {"desk 7"}


# --- reconnecting ---------------------------------------------------------------------------------


class Accepting:
    """A venue that takes every connection; how long one lasts is the test's to say."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.reconnects: list[float] = []

    def supports(self, action: RecoveryAction, error: FoxtrotError) -> bool:
        return action is RecoveryAction.RECONNECT

    async def perform(self, action: RecoveryAction, error: FoxtrotError) -> None:
        self.reconnects.append(self.loop.time())
        await asyncio.sleep(0.05)

    async def verify(self, action: RecoveryAction, error: FoxtrotError) -> bool:
        return True

    def covers(self, error: FoxtrotError) -> bool:
        return True

    def wait(self, error: FoxtrotError) -> float:
        return 0.0


def _reconnects(lasting: Callable[[int], float], *, until: float) -> list[float]:
    """When a connection was opened that breaks each time after `lasting(number)` seconds."""

    async def main(loop: Any) -> list[float]:
        venue = Accepting(loop)
        manager = ErrorRecoveryManager(clock=VirtualClock(loop), rng=random.Random(1))
        while loop.time() < until:
            error = AdapterConnectionError("UP", "reset")
            assert await manager.handle_error(error, {"executor": venue})
            await asyncio.sleep(lasting(len(venue.reconnects)))
        return venue.reconnects

    return run_virtual(main)


def test_venue_that_accepts_and_drops_is_not_knocked_at_without_end() -> None:
    """Every reconnect succeeds, so that no ladder tires: 400 a minute without a memory of them."""
    times = _reconnects(lambda _number: 0.1, until=60.0)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert gaps[0] < 0.2, "one relapse may be chance"
    assert len(times) < 25
    assert gaps[1] < gaps[3] < gaps[5]
    assert min(gaps[5:]) > 1.0
    assert max(gaps) < 7.0, "and it is still reconnected"


def test_connection_that_lasted_is_reconnected_at_once() -> None:
    """What happened before is forgotten, however often it was."""
    times = _reconnects(lambda number: 10.0 if number >= 8 else 0.1, until=90.0)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert [round(gap, 2) for gap in gaps[8:]] == [10.05] * len(gaps[8:])
    assert len(gaps[8:]) > 3


# --- errors on their way --------------------------------------------------------------------------


def _through_a_process(error: FoxtrotError) -> Any:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(copy.copy, error).result()


@pytest.mark.parametrize(
    "way",
    [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy, _through_a_process],
    ids=["pickle", "copy", "deepcopy", "process"],
)
def test_error_keeps_its_cause_wherever_it_goes(way: Callable[[FoxtrotError], Any]) -> None:
    error = CircuitBreakerOpenError("venue", 5, retry_after=7.0)
    error.__cause__ = AdapterConnectionError("venue", "reset")
    clone = way(error)
    assert clone.to_dict() == error.to_dict()
    assert json.loads(json.dumps(clone.to_dict()))["cause"] == [
        {"type": "AdapterConnectionError", "message": "Adapter venue connection failed: reset"}
    ]


# --- orders ---------------------------------------------------------------------------------------


def test_engine_started_again_makes_none_of_the_ids_of_the_run_before() -> None:
    """A venue takes an id again once its order is filled, and there are two orders for one."""
    request = OrderRequest(
        symbol="BTC",
        exchange=Exchange.LOCAL,
        direction=Direction.LONG,
        type=OrderType.MARKET,
        volume=1.0,
    )

    def ids_of_a_run() -> set[str]:
        engine = MainEngine()
        return {engine._identified(request).reference for _ in range(100)}

    with freeze_time("2026-03-01") as wall:
        first = ids_of_a_run()
        wall.tick(0.001)
        second = ids_of_a_run()
    assert len(first | second) == 200
