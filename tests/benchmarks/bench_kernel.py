"""Ratios of the kernel: a timer event beside asyncio, looptime and trio's MockClock; a recording.

Run it as a script. Each figure is the best of several rounds that take turns, so that a busy
machine hits all of them alike. looptime and trio are left out when they are not installed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from harness.history import History
from harness.kernel import run_virtual

EVENTS = 5_000
ROUNDS = 7


async def sleeps(seconds: float) -> float:
    """Seconds of real time that one sleep of a lone task costs."""
    start = time.perf_counter()
    for _ in range(EVENTS):
        await asyncio.sleep(seconds)
    return (time.perf_counter() - start) / EVENTS


async def sleeps_beside_others(seconds: float) -> float:
    """The same, when a hundred tasks have a timer each."""
    start = time.perf_counter()

    async def sleeper() -> None:
        for _ in range(EVENTS // 100):
            await asyncio.sleep(seconds)

    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(sleeper())
    return (time.perf_counter() - start) / EVENTS


def under_looptime() -> float:
    import looptime

    loop = looptime.new_event_loop()
    try:
        return loop.run_until_complete(sleeps(1.0))
    finally:
        loop.close()


def under_trio() -> float:
    import trio
    import trio.testing

    async def main() -> float:
        start = time.perf_counter()
        for _ in range(EVENTS):
            await trio.sleep(1.0)
        return (time.perf_counter() - start) / EVENTS

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def recording() -> float:
    with (
        tempfile.TemporaryDirectory() as folder,
        History(Path(folder) / "history.jsonl", lambda: 1234.567891) as history,
    ):
        start = time.perf_counter()
        for _ in range(EVENTS):
            history.record("link.done", "r-123456", "ok", status=200, delivered=True)
        return (time.perf_counter() - start) / EVENTS


SUBJECTS: dict[str, Callable[[], float]] = {
    "asyncio, sleep(0)": lambda: asyncio.run(sleeps(0)),
    "kernel, sleep(0)": lambda: run_virtual(lambda _: sleeps(0)),
    "kernel, timer": lambda: run_virtual(lambda _: sleeps(1.0)),
    "kernel, timer of 100": lambda: run_virtual(lambda _: sleeps_beside_others(1.0)),
    "history, record": recording,
}


def measured() -> dict[str, float]:
    subjects = dict(SUBJECTS)
    for name, run in (("looptime", under_looptime), ("trio", under_trio)):
        if importlib.util.find_spec(name) is not None:
            subjects[f"{name}, timer"] = run
    rounds = [{name: run() for name, run in subjects.items()} for _ in range(ROUNDS)]
    return {name: min(each[name] for each in rounds) for name in subjects}


def main() -> None:
    times = measured()
    timer = times["kernel, timer"]
    lines = [f"{name:22} {seconds * 1e6:8.2f} us" for name, seconds in times.items()]
    lines.append(
        f"kernel timer / asyncio sleep(0): {timer / times['asyncio, sleep(0)']:.2f} (<= 2)"
    )
    lines += [
        f"{name} / kernel timer: {times[name] / timer:.1f}"
        for name in ("looptime, timer", "trio, timer")
        if name in times
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
