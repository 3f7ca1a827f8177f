"""What a closed breaker adds to a call, as a multiple of what a wrapper that does nothing adds.

Run it: `python tests/benchmarks/bench_circuit_breaker.py`. Peers that are installed
(circuitbreaker, purgatory, pybreaker) are measured beside it in the same run. The machine's speed
cancels out; its other load does not, so every figure is the best of several rounds.
"""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from foxtrot.util.circuit_breaker import CircuitBreaker

ROUNDS = 15
CALLS = 20_000
GOAL = 2.5


def request(x: int) -> int:
    return x


async def request_async(x: int) -> int:
    return x


def no_op(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The wrapper that everything is measured by: it calls the function."""

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return wrapper


def no_op_async(fn: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The same for coroutine functions."""

    @functools.wraps(fn)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await fn(*args, **kwargs)

    return wrapper


def sync_forms() -> dict[str, Callable[[], Any]]:
    breaker = CircuitBreaker("bench")
    windowed = CircuitBreaker("bench", failure_rate_threshold=0.5)
    forms = {
        "decorator": functools.partial(_loop, breaker(request)),
        "call": functools.partial(_loop, breaker.call, request),
        "decorator, with a window": functools.partial(_loop, windowed(request)),
    }
    if _has("circuitbreaker"):
        from circuitbreaker import circuit

        forms["circuitbreaker"] = functools.partial(_loop, circuit(request))
    if _has("purgatory"):
        from purgatory import SyncCircuitBreakerFactory

        guarded = SyncCircuitBreakerFactory()("bench")(request)
        forms["purgatory"] = functools.partial(_loop, guarded)
    if _has("pybreaker"):
        import pybreaker

        forms["pybreaker"] = functools.partial(_loop, pybreaker.CircuitBreaker()(request))
    return forms


def async_forms() -> dict[str, Callable[[], Any]]:
    breaker = CircuitBreaker("bench")
    forms = {
        "decorator": functools.partial(_loop_async, breaker(request_async)),
        "call_async": functools.partial(_loop_async, breaker.call_async, request_async),
    }
    if _has("circuitbreaker"):
        from circuitbreaker import circuit

        forms["circuitbreaker"] = functools.partial(_loop_async, circuit(request_async))
    if _has("purgatory"):
        from purgatory import AsyncCircuitBreakerFactory

        guarded = AsyncCircuitBreakerFactory()("bench")(request_async)
        forms["purgatory"] = functools.partial(_loop_async, guarded)
    return forms


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _loop(fn: Callable[..., Any], *args: Any) -> float:
    # Two loops, so that the bare function is not charged for passing arguments on.
    start = time.perf_counter()
    if args:
        (target,) = args
        for _ in range(CALLS):
            fn(target, 1)
    else:
        for _ in range(CALLS):
            fn(1)
    return (time.perf_counter() - start) / CALLS


def _loop_async(fn: Callable[..., Awaitable[Any]], *args: Any) -> float:
    async def loop() -> float:
        start = time.perf_counter()
        if args:
            (target,) = args
            for _ in range(CALLS):
                await fn(target, 1)
        else:
            for _ in range(CALLS):
                await fn(1)
        return (time.perf_counter() - start) / CALLS

    return asyncio.run(loop())


def measure(forms: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Seconds per call, best of the rounds; the forms take turns, so that load hits them alike."""
    best = dict.fromkeys(forms, float("inf"))
    for _ in range(ROUNDS):
        for name, run in forms.items():
            best[name] = min(best[name], run())
    return best


def report(title: str, seconds: dict[str, float]) -> bool:
    """Print what each form adds, and say whether ours meet the goal."""
    bare, added = seconds["bare"], {}
    for name, value in seconds.items():
        added[name] = value - bare
    print(f"{title}: the no-op wrapper adds {added['no-op'] * 1e9:.0f} ns to a call")  # noqa: T201 - the figures are what this program is for
    for name in [name for name in added if name not in {"bare", "no-op"}]:
        print(f"  {name:<26}{added[name] * 1e9:>7.0f} ns {added[name] / added['no-op']:>6.2f} x")  # noqa: T201
    ours = [added[name] for name in ("decorator", "call", "call_async") if name in added]
    return max(ours) <= GOAL * added["no-op"]


def main() -> int:
    sync = {
        "bare": functools.partial(_loop, request),
        "no-op": functools.partial(_loop, no_op(request)),
    }
    waiting = {
        "bare": functools.partial(_loop_async, request_async),
        "no-op": functools.partial(_loop_async, no_op_async(request_async)),
    }
    is_met = [
        report("sync", measure({**sync, **sync_forms()})),
        report("async", measure({**waiting, **async_forms()})),
    ]
    print(f"goal, at most {GOAL} x on the closed path: {'met' if all(is_met) else 'missed'}")  # noqa: T201
    return 0 if all(is_met) else 1


if __name__ == "__main__":
    sys.exit(main())
