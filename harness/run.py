"""Drives a world through its scenario: the only loop there is, and the history it leaves."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foxtrot.adapter.dialect import DIALECTS, Dialect, LookUp
from foxtrot.server.policy import POLICIES, EnginePolicy
from foxtrot.util.errors import FoxtrotError
from harness.faults.base import Fault
from harness.history import History
from harness.kernel import AdvanceHook, DeadlockError, VirtualLoop, run_virtual
from harness.plan import ANY
from harness.policy_options import with_overrides
from harness.scenario import TARGETS, Scenario
from harness.world import World, build_world, subscriptions

__all__ = ["HISTORY_NAME", "Simulation", "announce", "policy_of", "read_final", "simulate"]

HISTORY_NAME = "history.jsonl"

# A breaker sees an outage by its failures: three timeouts of 5 s that overlap, and some room.
_DETECTION_BUDGET = 10.0
_RECOVERY_BOUND = 60.0
_SHUTDOWN_PATIENCE = 90.0
_ARRIVAL_MARGIN = 0.5


@dataclass(frozen=True, slots=True)
class Simulation:
    """Where the history of a run is, and how the run ended; `detail` is why, if it broke."""

    path: Path
    digest: str
    ending: str
    detail: str = ""


def policy_of(scenario: Scenario, name: str | None = None) -> EnginePolicy:
    """The policy that a scenario asks for; `name` overrides it."""
    if name is not None:
        return POLICIES[name]
    return with_overrides(POLICIES[scenario.policy.base], scenario.policy.overrides)


def simulate(
    scenario: Scenario,
    folder: Path,
    *,
    policy: EnginePolicy,
    on_progress: Callable[[float], None] | None = None,
    patch: Callable[[World], None] | None = None,
) -> Simulation:
    """Run a scenario in virtual time and write its history into `folder`.

    Args:
        scenario: What happens; its `seed` decides all chance.
        folder: Where `history.jsonl` goes. Made if it is not there.
        policy: How the engine behaves.
        on_progress: Called now and then with the share done, from 0 to 1.
        patch: Changes the world before it runs; for tests that sabotage the core.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / HISTORY_NAME
    with History(path, lambda: 0.0) as history:
        ending, detail = _run(scenario, policy, history, on_progress, patch)
    return Simulation(path, history.digest, ending, detail)


def _run(
    scenario: Scenario,
    policy: EnginePolicy,
    history: History,
    on_progress: Callable[[float], None] | None,
    patch: Callable[[World], None] | None,
) -> tuple[str, str]:
    horizon = scenario.duration + scenario.settle

    hooks = [] if on_progress is None else [_reporter(on_progress, horizon)]
    leftovers: list[str] = []

    async def main(loop: VirtualLoop) -> None:
        history.now = loop.time
        world = build_world(scenario, policy, loop, history)
        if patch is not None:
            patch(world)
        await _live(world, policy)
        leftovers.extend(_leftovers())

    ending, detail = "completed", ""
    failures: list[str] = []
    try:
        run_virtual(
            main,
            max_time=horizon + _SHUTDOWN_PATIENCE + 60.0,
            on_advance=hooks,
            on_failure=lambda failure: failures.append(str(failure)),
        )
    except KeyboardInterrupt:
        ending = "interrupted"
    except DeadlockError as exc:
        ending, detail = "deadlock", str(exc)
    except Exception as exc:
        where = traceback.extract_tb(exc.__traceback__)[-1]
        ending = "crashed"
        detail = f"{type(exc).__name__}: {exc} ({Path(where.filename).name}:{where.lineno})"
    history.record(
        "run.end",
        scenario.name,
        ending,
        leftover_tasks=leftovers,
        failures=failures,
        detail=detail,
    )
    return ending, detail


async def _live(world: World, policy: EnginePolicy) -> None:
    scenario = world.scenario
    announce(world, policy)
    world.strategy.listen()
    world.probe.listen()
    pumps = [world.tasks.spawn(f"pump {name}", world.pump(name)) for name in world.venues]
    for name in world.venues:
        await _connect(world, name)
    trading = world.tasks.spawn("strategy", world.strategy.trade())
    probe = world.tasks.spawn("probe", world.probe.run())
    nemesis = world.tasks.spawn("nemesis", world.nemesis.run())
    await world.clock.sleep(scenario.duration - world.clock.now())
    trading.cancel()
    nemesis.cancel()
    world.nemesis.heal_all()
    world.history.record("run.settle", scenario.name)
    await world.clock.sleep(scenario.settle)
    await world.probe.sample_all()
    probe.cancel()  # markets that stand still from here on are nobody's fault
    await _let_arrive(world, pumps)
    read_final(world)
    world.history.record("run.shutdown", scenario.name)
    report = await world.engine.close()
    world.history.record(
        "run.closed",
        scenario.name,
        "timeout" if report.timed_out else "ok",
        open_orders=[order.orderid for order in report.open_orders],
    )
    await world.tasks.end()


async def _let_arrive(world: World, pumps: list[asyncio.Task[None]]) -> None:
    """Stop the markets and wait for what is under way: a fill on the wire is not a lost one."""
    for pump in pumps:
        pump.cancel()
    slowest = max(spec.latency.mean + spec.latency.jitter for spec in world.scenario.venues)
    await world.clock.sleep(2 * slowest + _ARRIVAL_MARGIN)


async def _connect(world: World, name: str) -> None:
    try:
        await world.engine.subscribe(subscriptions(world, name), name)
        await world.engine.connect(name)
    except FoxtrotError:
        pass  # recovery has it; what it does not mend, the probe sees


def read_final(world: World) -> None:
    """Write down how every order and position stands, by the venues and by the engine."""
    world.books.write_final()
    for order in world.engine.oms.orders():
        world.history.record(
            "client.final_order",
            order.orderid,
            order.status.name,
            adapter=order.adapter_name,
            traded=world.engine.oms.filled(order.vt_orderid),
            volume=order.volume,
        )
    for (adapter, vt_symbol), volume in world.engine.oms.positions().items():
        world.history.record(
            "client.final_position",
            vt_symbol.rpartition(".")[0],
            adapter=adapter,
            volume=round(volume, 8),
        )


def announce(world: World, policy: EnginePolicy) -> None:
    """Write the first event: the plan that everything after is judged against."""
    scenario = world.scenario
    world.history.record(
        "run.start",
        scenario.name,
        seed=scenario.seed,
        policy=policy.name,
        horizon=scenario.duration + scenario.settle,
        scenario_digest=scenario.digest,
        proves=scenario.proves,
        targets={name: str(scenario.expect.get(name, TARGETS[name])) for name in TARGETS},
        unexercised=list(scenario.unexercised),
        detection_budget=_DETECTION_BUDGET,
        recovery_bound=_RECOVERY_BOUND,
        promises=_promises(policy),
        venues={
            spec.name: {
                "profile": spec.profile,
                "symbols": list(spec.symbols),
                **({"standby_for": spec.standby_for} if spec.standby_for else {}),
                **_manners(DIALECTS[spec.profile]),
            }
            for spec in scenario.venues
        },
        faults=[_plan(fault) for fault in world.nemesis.faults],
    )


def _manners(dialect: Dialect) -> dict[str, Any]:  # Any: JSON
    """What oracles have to know of how a venue is spoken to."""
    looks_up = {"looks_up": "in a list"} if dialect.look_up is LookUp.BY_LIST else {}
    return {**looks_up, **({"one_socket": True} if dialect.is_ordered else {})}


def _promises(policy: EnginePolicy) -> Mapping[str, Any]:  # Any: JSON
    """See `Promises`: what oracles hold the core to is what its policy tells its users."""
    return {
        "deadlines": {lane.value: seconds for lane, seconds in policy.deadlines.items()},
        "attempt": policy.call_timeout,
        "resend": policy.resend_within,
        "quiet": policy.rate_limit_wait if policy.rate_gate else 0.0,
        "cooldown": policy.alert_cooldown,
    }


def _plan(fault: Fault) -> Mapping[str, Any]:  # Any: JSON
    kind = fault.kind
    return {
        "id": fault.id,
        "kind": kind.name,
        "variant": fault.variant,
        "category": kind.category.value,
        "categories": [category.value for category in kind.categories],
        "venue": ANY if kind.everywhere else fault.spec.venue,
        "begin": fault.occurrence.begin,
        "end": fault.occurrence.end,
        "recoverable": kind.recoverable,
        "must_escalate": fault.must_escalate,
        "surfaces": kind.surfaces,
        "ends_by_client": kind.ends_by_client,
        "connection": kind.connection,
        "blocks": list(fault.blocks),
    }


def _leftovers() -> list[str]:
    current = asyncio.current_task()
    return sorted(task.get_name() for task in asyncio.all_tasks() if task is not current)


def _reporter(on_progress: Callable[[float], None], horizon: float) -> AdvanceHook:
    step = horizon / 100
    reported = [0.0]

    def moved(now: float) -> None:
        if now - reported[0] >= step:
            reported[0] = now
            on_progress(min(1.0, now / horizon))

    return moved
