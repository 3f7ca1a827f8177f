"""How retry is used, checked by mypy in strict mode: what is preserved, and what is refused.

Every `type: ignore` here states an error that mypy must find; an unneeded one is an error too.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from random import Random
from typing import Any, assert_type

from foxtrot.util.clock import SYSTEM_CLOCK
from foxtrot.util.retry import (
    OperationKind,
    RetryBudget,
    RetryConfig,
    RetryEvent,
    compute_delay,
    retry_with_backoff,
    retrying,
    without_waiting,
)


def listener(event: RetryEvent) -> None: ...


@retry_with_backoff(RetryConfig(3, 0.5, deadline=30.0), clock=SYSTEM_CLOCK, listeners=[listener])
def depth(symbol: str, *, levels: int = 5) -> list[float]:
    return [float(levels)] * len(symbol)


assert_type(depth("BTCUSDT", levels=3), list[float])
depth(3)  # type: ignore[arg-type]
depth("BTCUSDT", level=3)  # type: ignore[call-arg]


@retry_with_backoff(
    max_retries=2,
    exceptions=(ConnectionError, TimeoutError),
    kind=OperationKind.IDEMPOTENT,
    budget=RetryBudget(10, per_second=0.5),
    stop=threading.Event(),
    rng=Random(1),
)
async def place(client_id: str, price: float) -> int:
    return len(client_id) + int(price)


async def use_place() -> int:
    pending = assert_type(place("a", price=1.0), Coroutine[Any, Any, int])
    assert_type(await place("a", 1.0), int)
    await place("a", "1.0")  # type: ignore[arg-type]
    return await pending


class Adapter:
    @retry_with_backoff()
    def connect(self, setting: dict[str, str]) -> bool:
        return bool(setting)

    @retry_with_backoff(max_retries=1)
    async def close(self) -> None: ...

    @classmethod
    @retry_with_backoff()
    def create(cls, name: str) -> Adapter:
        return cls()

    @staticmethod
    @retry_with_backoff()
    def names() -> tuple[str, ...]:
        return ()


assert_type(Adapter().connect({}), bool)
assert_type(Adapter.create("binance"), Adapter)
assert_type(Adapter.names(), tuple[str, ...])
Adapter().connect("no dictionary")  # type: ignore[arg-type]


class Ping:
    async def __call__(self, host: str) -> float:
        return float(len(host))


ping: Callable[[str], Awaitable[float]] = retry_with_backoff()(Ping())
later: Callable[[], list[float]] = retry_with_backoff()(partial(depth, "BTCUSDT"))

retry_with_backoff(RetryConfig(), max_retries=1)  # type: ignore[call-overload]
retry_with_backoff(retries=1)  # type: ignore[call-overload]
retry_with_backoff(max_retries="3")  # type: ignore[call-overload]
retry_with_backoff(depth)  # type: ignore[call-overload]
retrying(max_retries="3")  # type: ignore[arg-type]


def loop() -> None:
    for attempt in retrying(max_retries=1, name="connect"):
        with attempt:
            assert_type(attempt.number, int)


async def async_loop() -> None:
    async for attempt in retrying(RetryConfig()):
        with attempt:
            assert_type(attempt.number, int)
    async for attempt in retrying(RetryConfig()):
        async with attempt:
            pass


def switched_off() -> None:
    with without_waiting():
        loop()


assert_type(compute_delay(RetryConfig(), 0, Random(1), retry_after=1.0, remaining=2.0), float)
