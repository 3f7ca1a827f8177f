"""Small histories told in a few words, for the tests of everything that judges them."""

# ruff: noqa: A002 - `id` is the history's own word

from __future__ import annotations

import pytest

from harness.history import Event, History
from harness.kernel import VirtualLoop, run_virtual
from harness.run import policy_of
from harness.scenario import Scenario
from harness.world import World, build_world, subscriptions

TARGETS = {
    "classification_coverage": 1.0,
    "recovery_success_rate": 0.8,
    "mttr_seconds": 30.0,
    "context_completeness": 0.95,
    "breaker_effectiveness": 0.9,
    "retry_success_rate": 0.7,
    "escalation_rate": 0.1,
}


class Story:
    """A history in the making: each method appends events at time `t` of adapter A at venue A."""

    def __init__(self, *faults: dict, horizon=100.0, budget=5.0, bound=20.0, **header) -> None:
        self.events: list[Event] = []
        header = {"targets": TARGETS, "unexercised": [], "seed": 7, "policy": "default", **header}
        header |= {"horizon": horizon, "detection_budget": budget, "recovery_bound": bound}
        self.add(0.0, "run.start", "story", faults=[_fault(**fault) for fault in faults], **header)

    def add(self, t: float, kind: str, id: str = "", outcome: str = "", **details) -> Story:
        source = kind.partition(".")[0]
        seq = len(self.events) + 1
        self.events.append(Event(seq, t, source, kind, id, outcome, details))
        return self

    def sent(self, t, id, operation="order.place", client_id="", lane="orders", adapter="A"):
        details = {"adapter": adapter, "venue": adapter, "lane": lane, "client_id": client_id}
        return self.add(t, "link.sent", id, operation=operation, **details)

    def done(self, t, id, outcome="ok", **details):
        return self.add(t, "link.done", id, outcome, **{"delivered": outcome == "ok", **details})

    def invoke(self, t, id, operation="order.place", client_id="", lane="orders", adapter="A", **d):
        details = {"symbol": "BTCUSDT", "quantity": 1.0, "client_id": client_id, "lane": lane, **d}
        return self.add(t, "client.invoke", id, adapter=adapter, operation=operation, **details)

    def back(self, t, id, outcome="ok", **details):
        return self.add(t, "client.return", id, outcome, **details)

    def probe(self, t, outcome="ok", adapter="A", **parts):
        return self.add(t, "probe.sample", adapter, outcome, **parts)

    def price(self, t, outcome, made_at, symbol="BTC", **claims):
        details = {"adapter": "A", "made_at": made_at, **claims}
        return self.add(t, "client.price", symbol, outcome, **details)

    def fired(self, t, fault, correlation_id, operation="order.place", adapter="A", effect="hit"):
        details = {"correlation_id": correlation_id, "operation": operation, "effect": effect}
        return self.add(t, "fault.fired", fault, adapter=adapter, **details)

    def error(self, t, id, correlation_id, category="connection", **fields):
        context = {
            "adapter": "A",
            "operation": "order.place",
            "correlation_id": correlation_id,
            "cause_type": "ConnectionResetError",
            "classified_by": "type",
            **fields.pop("context", {}),
        }
        record = {
            "error_id": id,
            "type": "AdapterConnectionError",
            "severity": "high",
            "outcome": "unknown",
            "suggested_action": "reconnect",
            "recoverable": True,
            "category": category,
            **fields,
        }
        return self.add(t, "engine.error", id, context=context, **record)

    def venue_order(self, t, id, status="NEW", client_id="c1", executed=0.0, venue="A", **row):
        details = {"client_id": client_id, "executed": executed, "venue": venue, **row}
        return self.add(t, "venue.order", id, status, symbol="BTCUSDT", **details)

    def venue_trade(self, t, id, client_id="c1", quantity=1.0, side="BUY", **d):
        details = {"client_id": client_id, "quantity": quantity, "side": side, "venue": "A", **d}
        return self.add(t, "venue.trade", id, symbol="BTCUSDT", **details)

    def client_trade(self, t, id, client_id="c1", quantity=1.0, side="LONG", **d):
        details = {"client_id": client_id, "quantity": quantity, "side": side, "adapter": "A", **d}
        return self.add(t, "client.trade", f"A.{id}", symbol="BTCUSDT", **details)

    def order(self, t, status, client_id="c1", traded=None, adapter="A"):
        if traded is None:
            traded = 1.0 if status == "ALLTRADED" else 0.0
        details = {"adapter": adapter, "traded": traded, "volume": 1.0}
        return self.add(t, "client.order", client_id, status, **details)

    def final(self, client="", venue="", client_id="c1", traded=0.0, executed=0.0):
        if venue:
            details = {"venue": "A", "executed": executed, "symbol": "BTCUSDT"}
            self.add(99.0, "venue.final_order", client_id, venue, **details)
        if client:
            self.add(99.0, "client.final_order", client_id, client, adapter="A", traded=traded)
        return self

    def begin(self, t, fault="F1"):
        return self.add(t, "fault.begin", fault)

    def end(self, t, fault="F1", healed="ok", **details):
        self.add(t, "fault.end", fault, **details)
        return self.add(t, "fault.healed", fault, healed, why="still imposed")

    def finished(self, t=100.0, ending="completed", left=()):
        self.add(t, "run.settle", "story")
        return self.add(t, "run.end", "story", ending, leftover_tasks=list(left))

    def outage(self, begin=10.0, end=30.0, restored=32.0, fault="F1", errors=True):
        """A connection outage that a request ran into and the probe saw the end of."""
        self.probe(begin - 1).begin(begin, fault)
        self.sent(begin + 1, f"r-{fault}", "order.query", lane="queries")
        self.fired(begin + 1, fault, f"r-{fault}", "order.query").done(
            begin + 1, f"r-{fault}", "reset"
        )
        if errors:
            self.error(begin + 2, f"E-{fault}", f"r-{fault}", context={"operation": "order.query"})
        self.probe(begin + 2, "down").end(end, fault)
        if restored is not None:
            self.probe(restored).probe(restored + 0.5)
        return self


def _fault(id="F1", kind="disconnect", category="connection", **fields) -> dict:
    usual = {"venue": "A", "begin": 10.0, "end": 30.0, "recoverable": True, "connection": True}
    return {"id": id, "kind": kind, "category": category, "blocks": ["*"], **usual, **fields}


@pytest.fixture(scope="session")
def story() -> type[Story]:
    """The class that tells a history."""
    return Story


class Kept(History):
    """A history that is written nowhere and keeps its events."""

    def __init__(self, now) -> None:
        super().__init__(None, now)
        self.kept: list[Event] = []

    def record(self, kind, /, id="", outcome="", **details):
        seq = super().record(kind, id, outcome, **details)
        t = round(self.now(), 6)
        self.kept.append(Event(seq, t, kind.partition(".")[0], kind, id, outcome, details))
        return seq

    def of(self, *kinds: str) -> list[Event]:
        """The events of these kinds."""
        return [event for event in self.kept if event.kind in kinds]

    def story(self, *kinds: str) -> list[tuple[float, str, str, str]]:
        """The same, as (t, kind, id, outcome)."""
        return [(event.t, event.kind, event.id, event.outcome) for event in self.of(*kinds)]


def small_scenario(*faults: dict, venues=("BINANCE",), document=None, **changes) -> Scenario:
    """A minute of little trading, with these faults at the first venue.

    `document` replaces whole keys of it, as a file would have them.
    """
    symbols = {"BTCUSDT": {"price": 60_000.0}}
    return Scenario.model_validate(
        {
            "scenario": "small",
            "proves": "A small world works.",
            "duration": "60s",
            "settle": "30s",
            "venues": [{"name": v, "profile": "binance", "symbols": symbols} for v in venues],
            "faults": [{"venue": venues[0], **fault} for fault in faults],
            **changes,
            **(document or {}),
        }
    )


class Lab:
    """A world that a test drives by hand: built, connected and ticking, with nothing under way."""

    def __init__(self, scenario: Scenario, loop: VirtualLoop, policy: str | None) -> None:
        self.history = Kept(loop.time)
        self.world: World = build_world(scenario, policy_of(scenario, policy), loop, self.history)
        self.links, self.venues = self.world.links, self.world.venues
        self.engine, self.clock, self.tasks = self.world.engine, self.world.clock, self.world.tasks

    async def start(self) -> None:
        self.world.strategy.listen()
        self.world.probe.listen()
        for name in self.venues:
            self.tasks.spawn(f"pump {name}", self.world.pump(name))
            await self.engine.subscribe(subscriptions(self.world, name), name)
            await self.engine.connect(name)

    async def until(self, seconds: float) -> None:
        await self.clock.sleep(seconds - self.clock.now())


@pytest.fixture(scope="session")
def scenario_of():
    """Makes a small scenario."""
    return small_scenario


@pytest.fixture(scope="session")
def kept() -> type[Kept]:
    """The history that keeps its events."""
    return Kept


@pytest.fixture
def in_lab():
    """Runs `body(lab)` in a world of its own, in virtual time, and returns the lab."""

    def run(body, scenario: Scenario | None = None, *, policy=None, is_started=True) -> Lab:
        async def main(loop: VirtualLoop) -> Lab:
            lab = Lab(scenario or small_scenario(), loop, policy)
            if is_started:
                await lab.start()
            await body(lab)
            await lab.engine.close()
            await lab.tasks.end()
            return lab

        return run_virtual(main)

    return run
