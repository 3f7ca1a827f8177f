"""What a first-try success costs under retry, as ratios to the peers.

Run with `python tests/benchmarks/bench_retry.py`. Peers that are not installed are left out;
`backoff` and `hyx` are the fastest known, sync and async. Each figure is the best of several
rounds, less the bare call, so that a busy machine spoils all of them alike.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import time
from collections.abc import Awaitable, Callable
from functools import wraps

from foxtrot.util.retry import retry_with_backoff

_CALLS = 20_000
_ROUNDS = 15
_GOALS = {"backoff sync": 1 / 5, "hyx async": 1 / 4}


def bare() -> int:
    return 1


async def bare_async() -> int:
    return 1


def no_op(func: Callable[[], int]) -> Callable[[], int]:
    @wraps(func)
    def wrapper(*args: object, **kwargs: object) -> int:
        return func(*args, **kwargs)

    return wrapper


def no_op_async(func: Callable[[], Awaitable[int]]) -> Callable[[], Awaitable[int]]:
    @wraps(func)
    async def wrapper(*args: object, **kwargs: object) -> int:
        return await func(*args, **kwargs)

    return wrapper


def sync_subjects() -> dict[str, Callable[[], int]]:
    subjects = {"bare": bare, "no-op": no_op(bare), "foxtrot": retry_with_backoff()(bare)}
    if backoff := _module("backoff"):
        subjects["backoff"] = backoff.on_exception(backoff.expo, OSError, max_tries=4)(bare)
    return subjects


def async_subjects() -> dict[str, Callable[[], Awaitable[int]]]:
    subjects = {
        "bare": bare_async,
        "no-op": no_op_async(bare_async),
        "foxtrot": retry_with_backoff()(bare_async),
    }
    if hyx := _module("hyx.retry"):
        subjects["hyx"] = hyx.retry(on=OSError, attempts=4)(bare_async)
    return subjects


def measure(func: Callable[[], int]) -> float:
    """Seconds for `_CALLS` calls."""
    started = time.perf_counter()
    for _ in range(_CALLS):
        func()
    return time.perf_counter() - started


async def measure_async(func: Callable[[], Awaitable[int]]) -> float:
    """Seconds for `_CALLS` awaited calls."""
    started = time.perf_counter()
    for _ in range(_CALLS):
        await func()
    return time.perf_counter() - started


def report(title: str, best: dict[str, float]) -> bool:
    """Print the added nanoseconds and the ratios; return whether the goals are met."""
    added = {name: (seconds - best["bare"]) / _CALLS * 1e9 for name, seconds in best.items()}
    is_met = True
    for name, nanoseconds in added.items():
        line = f"{title:6} {name:8} adds {nanoseconds:8.0f} ns"
        goal = _GOALS.get(f"{name} {title}")
        if goal is not None:
            ratio = added["foxtrot"] / nanoseconds
            is_met = is_met and ratio <= goal
            line += f"   foxtrot/{name} = {ratio:.3f} (goal <= {goal:.3f})"
        print(line)  # noqa: T201 - the figures are what this program is for
    return is_met


def main() -> int:
    """Measure both shells, interleaved round by round."""
    plain, coroutines = sync_subjects(), async_subjects()
    best = dict.fromkeys(plain, float("inf"))
    best_async = dict.fromkeys(coroutines, float("inf"))
    for _ in range(_ROUNDS):
        for name, func in plain.items():
            best[name] = min(best[name], measure(func))
        for name, func in coroutines.items():
            best_async[name] = min(best_async[name], asyncio.run(measure_async(func)))
    return 0 if all([report("sync", best), report("async", best_async)]) else 1


def _module(name: str) -> object:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


if __name__ == "__main__":
    sys.exit(main())
