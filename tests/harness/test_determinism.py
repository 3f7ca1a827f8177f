"""One seed, one trace: in one process and in processes with other hash seeds and other heaps."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

import pytest

from harness.faults.catalogue import CATALOGUE
from harness.history import History
from harness.kernel import RandomStreams, VirtualClock, VirtualLoop, run_virtual
from harness.run import policy_of, simulate
from harness.scenario import Scenario, load
from harness.world import NAMES

WORKERS = 40


class Market:
    """A program in which every order that stock asyncio leaves to addresses is written down."""

    def __init__(self, loop: VirtualLoop, streams: RandomStreams, history: History) -> None:
        self.loop = loop
        self.clock = VirtualClock(loop)
        self.streams = streams
        self.history = history
        self.queue: asyncio.Queue[str] = asyncio.Queue()

    async def run(self) -> None:
        for number in range(WORKERS):
            self.loop.call_at(0.5, self.history.record, "timer.fired", str(number))
            asyncio.create_task(self.trade(f"left {number}"))  # noqa: RUF006 - the kernel ends it
        results = await asyncio.gather(
            self.group(), self.first_of_many(), self.futures(), return_exceptions=True
        )
        self.history.record("market.end", results=[type(each).__name__ for each in results])
        for task in asyncio.all_tasks():
            self.history.record("task.alive", task.get_name())
        while not self.queue.empty():
            self.history.record("queue.item", self.queue.get_nowait())

    async def trade(self, name: str) -> None:
        chance = self.streams.stream(name)
        try:
            for _ in range(5):
                await self.clock.sleep(chance.choice((0.0, 0.5, 0.5, chance.random())))
                self.queue.put_nowait(name)
                self.history.record("trade.done", name, draw=chance.random())
        finally:
            self.history.record("trade.end", name)

    async def collapse(self) -> None:
        await self.clock.sleep(1.25)
        raise LookupError("the group cancels its children, in the order of a set")

    async def group(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(WORKERS):
                tasks.create_task(self.trade(f"grouped {number}"))
            tasks.create_task(self.collapse())

    async def first_of_many(self) -> None:
        pending = {asyncio.create_task(self.trade(f"raced {n}")) for n in range(WORKERS)}
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            self.history.record("race.done", tasks=[task.get_name() for task in done])

    async def futures(self) -> None:
        waiters = [self.loop.create_future() for _ in range(WORKERS)]
        for number in self.streams.stream("futures").sample(range(WORKERS), WORKERS):
            self.loop.call_at(2.0, waiters[number].set_result, number)
        done, _ = await asyncio.wait(waiters)
        self.history.record("futures.done", order=[future.result() for future in done])


def trace(seed: int, *, is_shuffled: bool = False) -> str:
    """Run the market and return the digest of its history."""
    streams = RandomStreams(seed)
    loops: list[VirtualLoop] = []
    history = History(None, lambda: loops[0].time())  # noqa: PLW0108 - no loop exists yet

    async def main(loop: VirtualLoop) -> None:
        loops.append(loop)
        await Market(loop, streams, history).run()

    run_virtual(
        main,
        shuffle=streams.stream("schedule") if is_shuffled else None,
        on_advance=[lambda now: history.record("time.moved", now=now)],
        on_leftovers=lambda names: history.record("run.end", names=names),
    )
    history.close()
    assert history.events > 500
    return history.digest


def trace_elsewhere(hash_seed: str) -> list[str]:
    """The traces as a fresh process gives them, its heap disturbed by the hash seed."""
    done = subprocess.run(
        [sys.executable, __file__],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.split()


def all_traces() -> list[str]:
    return [trace(1), trace(1, is_shuffled=True), trace(2), world_trace(1), world_trace(2)]


def world_trace(seed: int, policy: str = "default") -> str:
    """Run a minute of two venues with faults drawn by chance; return the history's digest."""
    symbols = {"BTCUSDT": {"price": 60_000.0}, "ETHUSDT": {"price": 3_000.0}}
    kinds = ("disconnect", "refuse", "blackhole", "latency", "rate_limit", "reject", "ack_lost")
    scenario = Scenario.model_validate(
        {
            "scenario": "chance",
            "proves": "Chance comes from the seed alone.",
            "seed": seed,
            "duration": "60s",
            "settle": "20s",
            "venues": [
                {"name": name, "profile": "binance", "symbols": symbols}
                for name in ("ALPHA", "BETA")
            ],
            "workload": {"orders": "3/s", "cancels": 0.4, "queries": "1/s"},
            "random": {
                "count": 6,
                "kinds": [{"kind": kind} for kind in kinds],
                "between": ["5s", "55s"],
                "for": ["2s", "8s"],
            },
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        simulation = simulate(scenario, Path(folder), policy=policy_of(scenario, policy))
    assert simulation.ending == "completed", simulation.detail
    return simulation.digest


def test_the_same_seed_gives_the_same_trace_in_one_process():
    assert [trace(1) for _ in range(3)] == [trace(1)] * 3
    assert world_trace(1) == world_trace(1)


def test_other_seeds_and_schedules_give_other_traces():
    """Otherwise the traces would be equal because they see nothing."""
    traces = [*all_traces(), world_trace(1, "none")]
    assert len(set(traces)) == len(traces)


@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_other_processes_with_other_hash_seeds_give_the_same_traces(hash_seed):
    assert trace_elsewhere(hash_seed) == all_traces()


STORY = """\
scenario: {name}
proves: The seed decides.
seed: 3
duration: 40s
settle: 20s
venues:
  - name: BINANCE
    profile: binance
    symbols:
      BTCUSDT: {{price: 60000}}
workload: {{orders: 2/s, cancels: 0.4}}
faults:
  - {{kind: {kind}, venue: BINANCE, at: 10s, for: 5s, probability: 0.5}}
"""


def run_chaos(folder: Path, hash_seed: str) -> dict[str, bytes]:
    """The histories that `foxtrot-chaos run` writes in a process of its own."""
    stories = {"one": "ack_lost", "two": "reject"}
    for name, kind in stories.items():
        (folder / f"{name}.yaml").write_text(STORY.format(name=name, kind=kind))
    out = folder / f"out-{hash_seed}"
    command = "from harness.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", command, "run", str(folder), "--out", str(out), "--jobs", "1"],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == f"report: {out / 'report.html'}", done.stderr
    return {name: (out / name / "history.jsonl").read_bytes() for name in stories}


def test_the_command_writes_the_same_bytes_in_processes_with_other_hash_seeds(tmp_path):
    first = run_chaos(tmp_path, "1")
    assert run_chaos(tmp_path, "2") == first
    for path in sorted(tmp_path.glob("*.yaml")):
        scenario = load(path, catalogue=CATALOGUE, names=NAMES)
        for seed, is_same in ((3, True), (4, False)):
            simulation = simulate(
                scenario.with_seed(seed), tmp_path / "again", policy=policy_of(scenario)
            )
            assert (simulation.path.read_bytes() == first[path.stem]) is is_same


if __name__ == "__main__":
    ballast = [object() for _ in range(Random(os.environ["PYTHONHASHSEED"]).randrange(10_000))]
    sys.stdout.write("\n".join(all_traces()))
