"""A recovery and a bad minute of a real engine on a simulated venue, for whoever watches them.

Both libraries have to show the same of it, here in Prometheus's words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from random import Random
from typing import Any

import pytest

from foxtrot.adapter.session import Operation
from foxtrot.util.errors import AdapterConnectionError, ErrorCategory, FoxtrotError
from foxtrot.util.recovery import (
    ErrorRecoveryManager,
    LadderStrategy,
    RecoveryAction,
    RecoveryStrategy,
    Rung,
)
from harness.kernel import VirtualClock, run_virtual

from ..server.conftest import Bench, Fail, Hang, Rule, on, refused, reset

Scrape = Callable[[], list[str]]

#: While the reply to an order is lost. Of what is 0 only the gauges of adapters are shown, and of
#: histograms no buckets; sums are rounded to milliseconds.
ORDER_UNKNOWN = """\
foxtrot_adapter_on_standby{adapter="ALPHA"} 0
foxtrot_adapter_ready{adapter="ALPHA"} 1
foxtrot_breaker_calls_total{breaker="ALPHA.orders",outcome="unknown"} 1
foxtrot_breaker_state{breaker="ALPHA.cancels",state="closed"} 1
foxtrot_breaker_state{breaker="ALPHA.orders",state="closed"} 1
foxtrot_breaker_state{breaker="ALPHA.queries",state="closed"} 1
foxtrot_breaker_state{breaker="ALPHA.stream",state="closed"} 1
foxtrot_errors_total{adapter="ALPHA",category="connection",severity="high"} 1
foxtrot_orders_unknown{adapter="ALPHA"} 1
foxtrot_recovery_duration_seconds_count{adapter="A",category="connection",result="succeeded"} 1
foxtrot_recovery_duration_seconds_sum{adapter="A",category="connection",result="succeeded"} 6
foxtrot_recovery_results_total{adapter="A",category="connection",result="succeeded"} 1
foxtrot_recovery_steps_total{action="reconnect",adapter="A",category="connection",\
result="failed"} 1
foxtrot_recovery_steps_total{action="restart_component",adapter="A",category="connection",\
result="succeeded"} 1""".splitlines()

#: A minute later: the order was found, and the lane of orders is shut.
LANE_OPEN = """\
foxtrot_adapter_on_standby{adapter="ALPHA"} 0
foxtrot_adapter_ready{adapter="ALPHA"} 1
foxtrot_breaker_calls_total{breaker="ALPHA.orders",outcome="failure"} 2
foxtrot_breaker_calls_total{breaker="ALPHA.orders",outcome="unknown"} 1
foxtrot_breaker_calls_total{breaker="ALPHA.queries",outcome="success"} 1
foxtrot_breaker_rejections_total{breaker="ALPHA.orders"} 1
foxtrot_breaker_state{breaker="ALPHA.cancels",state="closed"} 1
foxtrot_breaker_state{breaker="ALPHA.orders",state="open"} 1
foxtrot_breaker_state{breaker="ALPHA.queries",state="closed"} 1
foxtrot_breaker_state{breaker="ALPHA.stream",state="closed"} 1
foxtrot_breaker_transitions_total{breaker="ALPHA.orders",from_state="closed",to_state="open"} 1
foxtrot_errors_total{adapter="ALPHA",category="connection",severity="high"} 3
foxtrot_orders_unknown{adapter="ALPHA"} 0
foxtrot_recovery_duration_seconds_count{adapter="A",category="connection",result="succeeded"} 1
foxtrot_recovery_duration_seconds_sum{adapter="A",category="connection",result="succeeded"} 6
foxtrot_recovery_results_total{adapter="A",category="connection",result="succeeded"} 1
foxtrot_recovery_steps_total{action="reconnect",adapter="A",category="connection",\
result="failed"} 1
foxtrot_recovery_steps_total{action="restart_component",adapter="A",category="connection",\
result="succeeded"} 1
foxtrot_retries_total{adapter="ALPHA",operation="order.place"} 2
foxtrot_retry_results_total{operation="order.place",result="exhausted"} 1
foxtrot_retry_wait_seconds_count{adapter="ALPHA",operation="order.place"} 2
foxtrot_retry_wait_seconds_sum{adapter="ALPHA",operation="order.place"} 0.832""".splitlines()


def line(name: str, labels: Mapping[str, str], value: float) -> str | None:
    """A sample as the story shows it; None for one that it leaves out."""
    if value == 0 and set(labels) != {"adapter"}:
        return None
    inside = ",".join(f'{key}="{labels[key]}"' for key in sorted(labels))
    return f"{name}{{{inside}}} {round(value, 3):g}"


class Slow:
    """An executor whose actions take three seconds each; what works afterwards is `verdicts`."""

    def __init__(self, *verdicts: bool) -> None:
        self.verdicts = list(verdicts)

    def supports(self, action: RecoveryAction, error: FoxtrotError) -> bool:
        return True

    async def perform(self, action: RecoveryAction, error: FoxtrotError) -> None:
        await asyncio.sleep(3.0)

    async def verify(self, action: RecoveryAction, error: FoxtrotError) -> bool:
        return self.verdicts.pop(0)

    def covers(self, error: FoxtrotError) -> bool:
        return True

    def wait(self, error: FoxtrotError) -> float:
        return 0.0


LADDER = (
    Rung(RecoveryAction.RECONNECT, attempts=1),
    Rung(RecoveryAction.RESTART_COMPONENT, attempts=1),
    Rung(RecoveryAction.ALERT_OPERATOR, attempts=1),
)


def manager(loop: Any, strategy: RecoveryStrategy | None = None) -> ErrorRecoveryManager:
    ladder = strategy or LadderStrategy(ErrorCategory.CONNECTION, LADDER)
    return ErrorRecoveryManager([ladder], clock=VirtualClock(loop), rng=Random(1))


def lost() -> FoxtrotError:
    return AdapterConnectionError("A", "reset by peer")


class Minute:
    """Plays the bad minute for a listener; `seen` is what `scrape` showed at its two moments."""

    def __init__(self, listener: Any, scrape: Scrape) -> None:
        self.listener = listener
        self.scrape = scrape
        self.seen: list[list[str]] = []
        self.events: list[object] = []

    async def play(self, loop: Any) -> None:
        await self._recover(loop)
        # Its own recovery is off: how long its ladders take is not what this is about.
        bench = Bench(loop, max_retries=2, recovery=False)
        self.events = bench.events
        self.listener.watch(bench.engine)
        await bench.start()
        await self._lose_a_reply(bench)
        self.seen.append(self.scrape())
        bench.link.rules.clear()
        await bench.clock.sleep(60)
        await self._refuse_an_order(bench)
        self.seen.append(self.scrape())
        await bench.stop()

    async def _recover(self, loop: Any) -> None:
        recovery = manager(loop)
        self.listener.watch(recovery)
        assert await recovery.handle_error(lost(), {"executor": Slow(False, True)})

    async def _lose_a_reply(self, bench: Bench) -> None:
        bench.link.rules["lost"] = Rule(
            replying=on(Operation.PLACE_ORDER, Fail(reset)), framing=lambda *_: Hang()
        )
        await bench.engine.send_order(bench.order("lost", price=0), "ALPHA")

    async def _refuse_an_order(self, bench: Bench) -> None:
        bench.link.rules["refused"] = Rule(sending=on(Operation.PLACE_ORDER, Fail(refused)))
        with pytest.raises(FoxtrotError):
            await bench.engine.send_order(bench.order("refused"), "ALPHA")


@pytest.fixture
def minute() -> Callable[[Any, Scrape], Minute]:
    """Plays the bad minute in virtual time."""

    def play(listener: Any, scrape: Scrape) -> Minute:
        story = Minute(listener, scrape)
        run_virtual(story.play, max_time=1_000.0)
        return story

    return play


@pytest.fixture
def virtually() -> Callable[[Callable[[Any], Coroutine[Any, Any, Any]]], Any]:
    """Runs `body(loop)` in virtual time."""
    return lambda body: run_virtual(body, max_time=10_000.0)
