"""Drives scenarios in real time, each in a world of its own, and judges them as the simulated."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import traceback
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from foxtrot.server.policy import EnginePolicy
from foxtrot.util.clock import Clock
from foxtrot.util.errors import FoxtrotError
from harness.batch import Finished, Job
from harness.history import History, read_history
from harness.live.world import LiveWorld, open_world
from harness.run import (  # the same beginning and end in both modes, word for word
    HISTORY_NAME,
    Simulation,
    announce,
    policy_of,
    read_final,
)
from harness.scenario import Scenario
from harness.toxiproxy import AsyncToxiproxy, Toxiproxy
from harness.verdict import judge
from harness.world import World, subscriptions

__all__ = ["drive", "run_live", "warm_up"]

_TASKS: contextvars.ContextVar[set[asyncio.Task[Any]] | None] = contextvars.ContextVar(
    "tasks", default=None
)


_LEAVING = 2.0


@dataclass(slots=True)
class _Time:
    """Seconds since the start of a run, of which there is a clock once its venue listens."""

    clock: Clock | None = None

    def now(self) -> float:
        return 0.0 if self.clock is None else self.clock.now()


def run_live(
    jobs: Sequence[Job],
    toxiproxy: Toxiproxy,
    *,
    at_a_time: int,
    on_progress: Callable[[int], None] = lambda _: None,
) -> list[Finished]:
    """Drive jobs, `at_a_time` of them side by side; the results come in their order.

    Each has a venue, a proxy and an engine of its own. Ctrl-C ends them all, lifts every fault,
    and keeps what was written: the ending of such a job is `interrupted`, or `not run`.

    Args:
        jobs: What to drive.
        toxiproxy: Where the proxies are made. The caller closes it.
        at_a_time: How many share this process. Too many slow each other's clients down.
        on_progress: Told how many have ended.
    """
    done: dict[int, Finished] = {}
    for job in jobs:
        job.folder.mkdir(parents=True, exist_ok=True)

    async def one(number: int, job: Job, turn: asyncio.Semaphore, starting: asyncio.Lock) -> None:
        async with turn:
            simulation = await drive(
                job.scenario,
                job.folder,
                policy=policy_of(job.scenario, job.policy),
                toxiproxy=toxiproxy,
                starting=starting,
                keep=lambda each: done.__setitem__(number, _judged(job, each)),
            )
        done[number] = _judged(job, simulation)
        on_progress(len(done))

    async def everything() -> None:
        asyncio.get_running_loop().set_task_factory(_counted)
        turn, starting = asyncio.Semaphore(at_a_time), asyncio.Lock()
        work = (one(number, job, turn, starting) for number, job in enumerate(jobs))
        await asyncio.gather(*work)

    warm_up()
    with suppress(KeyboardInterrupt):
        asyncio.run(everything())
    return [done.get(number, Finished(job)) for number, job in enumerate(jobs)]


async def drive(
    scenario: Scenario,
    folder: Path,
    *,
    policy: EnginePolicy,
    toxiproxy: Toxiproxy,
    starting: asyncio.Lock,
    keep: Callable[[Simulation], None] = lambda _: None,
) -> Simulation:
    """Drive a scenario in real time and write its history into `folder`, which is there.

    When it is cancelled it cleans up, hands what there is to `keep`, and passes that on.
    `starting` is held until its client is connected.
    """
    path, time = folder / HISTORY_NAME, _Time()
    tasks: set[asyncio.Task[Any]] = set()
    ending, detail = "completed", ""
    with History(path, time.now) as history:
        try:
            # A task of its own, so that its context, and with it the count, is of this run alone.
            _TASKS.set(tasks)
            await asyncio.create_task(
                _world(scenario, policy, history, AsyncToxiproxy(toxiproxy), time, starting)
            )
        except asyncio.CancelledError:
            ending = "interrupted"
            raise
        except Exception as exc:
            where = traceback.extract_tb(exc.__traceback__)[-1]
            ending = "crashed"
            detail = f"{type(exc).__name__}: {exc} ({Path(where.filename).name}:{where.lineno})"
        finally:
            _TASKS.set(None)
            left = await _left_of(tasks)
            history.record(
                "run.end",
                scenario.name,
                ending,
                leftover_tasks=left,
                failures=[],
                detail=detail,
            )
            history.close()
            simulation = Simulation(path, history.digest, ending, detail)
            keep(simulation)
    return simulation


async def _left_of(tasks: set[asyncio.Task[Any]]) -> list[str]:
    """The names of the tasks that do not end by themselves within a moment.

    What closes a socket of ccxt's may still be at it when the client has been closed.
    """
    under_way = [task for task in tasks if not task.done()]
    if under_way:
        await asyncio.wait(under_way, timeout=_LEAVING)
    return sorted(task.get_name() for task in under_way if not task.done())


def warm_up() -> None:
    """Load ccxt, which takes a second that no run should find missing from its own time."""
    importlib.import_module("ccxt.pro")


async def _world(
    scenario: Scenario,
    policy: EnginePolicy,
    history: History,
    toxiproxy: AsyncToxiproxy,
    time: _Time,
    starting: asyncio.Lock,
) -> None:
    async with AsyncExitStack() as stack:
        # One at a time: a client takes a while to be made, in which every other world stands still.
        async with starting:
            opened = open_world(scenario, policy, history, toxiproxy)
            world = await stack.enter_async_context(opened)
            time.clock = world.clock
            await _begin(world, policy)
        try:
            await _live(world)
        finally:
            await world.stage.heal_all()
            await world.tasks.end()


async def _begin(world: LiveWorld, policy: EnginePolicy) -> None:
    announce(cast(World, world), policy)
    world.strategy.listen()
    world.probe.listen()
    for name in world.stage.venues:
        await _connect(world, name)


async def _live(world: LiveWorld) -> None:
    scenario = world.scenario
    trading = world.tasks.spawn("strategy", world.strategy.trade())
    probing = world.tasks.spawn("probe", world.probe.run())
    world.stage.start_faults()
    await world.clock.sleep(scenario.duration - world.clock.now())
    trading.cancel()
    await world.stage.heal_all()
    world.history.record("run.settle", scenario.name)
    await world.clock.sleep(scenario.settle)
    probing.cancel()  # or it would take the closing, which here takes time, for trouble
    await world.probe.sample_all()
    await world.stage.let_arrive()
    read_final(cast(World, world))
    world.history.record("run.shutdown", scenario.name)
    report = await world.engine.close()
    world.history.record(
        "run.closed",
        scenario.name,
        "timeout" if report.timed_out else "ok",
        open_orders=[order.orderid for order in report.open_orders],
    )
    await world.stage.check_proxy()


async def _connect(world: LiveWorld, name: str) -> None:
    try:
        await world.engine.subscribe(subscriptions(cast(World, world), name), name)
        await world.engine.connect(name)
    except (FoxtrotError, TimeoutError):
        pass  # recovery has it; what it does not mend, the probe sees


def _judged(job: Job, simulation: Simulation) -> Finished:
    result = judge(read_history(simulation.path), digest=simulation.digest)
    return Finished(job, result, None, simulation.ending, simulation.detail)


def _counted(
    loop: asyncio.AbstractEventLoop,
    work: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
    context: contextvars.Context | None = None,
    **options: Any,  # Any: such as `name`, which 3.13.3 and 3.14 hand on
) -> asyncio.Task[Any]:
    """Make a task, and count it among those of the run in whose context it was started."""
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, context=context, **options)
    tasks = (context or contextvars.copy_context()).get(_TASKS)
    if tasks is not None:
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    return task
