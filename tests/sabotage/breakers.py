"""Sabotages of the circuit breakers."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from foxtrot.server.engine import MainEngine
from foxtrot.server.guard import AdapterGuard
from foxtrot.server.policy import BreakerPolicy, Lane
from foxtrot.util import _breaker_gate
from foxtrot.util._breaker_core import BreakerCore
from foxtrot.util._breaker_records import CallOutcome, CircuitState
from foxtrot.util._breaker_rules import Rules
from foxtrot.util.circuit_breaker import CircuitBreaker
from foxtrot.util.errors import FoxtrotError

from .sabotage import Room, wrap

__all__ = ["ROOM"]

ROOM = Room()


def _built(mp, change):
    """Have `change` called with each breaker that is built."""

    def make(build):
        def build_and_change(self, name, clock):
            breaker = build(self, name, clock)
            change(breaker)
            return breaker

        return build_and_change

    wrap(mp, BreakerPolicy, "build", make)


@ROOM("long_outage", "breaker_effectiveness")
def a_breaker_that_never_opens(mp):
    """Every call of an outage goes out to a venue that is down."""
    _built(mp, CircuitBreaker.disable)


@ROOM("long_outage", "breaker_effectiveness")
def a_breaker_that_says_open_and_lets_calls_through(mp):
    """State, events and metrics say that the venue is spared; it is not."""
    _built(mp, CircuitBreaker.shadow)


@ROOM("long_outage", "recovery_within_bound")
def a_breaker_that_never_closes(mp):
    """The outage is over and trading is not resumed."""

    def open_for_a_day(self, now, reason):
        self._move(CircuitState.OPEN, now, reason, open_until=now + 86_400.0)

    mp.setattr(BreakerCore, "_open", open_for_a_day)
    mp.setattr(CircuitBreaker, "reset", lambda _self: None)


@ROOM("long_outage", "breaker_effectiveness")
def a_breaker_of_queries_that_never_opens(mp):
    """Orders are held back, and questions go out to a venue that is down."""

    def disable(breaker):
        if breaker.name.endswith("queries"):
            breaker.disable()

    _built(mp, disable)


@ROOM("long_outage", "breaker_effectiveness")
def a_breaker_that_opens_the_floodgates_when_its_time_is_over(mp):
    """Whoever waited goes out at once, every four seconds, and the venue stays on its knees."""
    mp.setattr(BreakerCore, "_has_free_probe", lambda _self, _now: True)
    mp.setattr(Rules, "grown", lambda _self, open_time: open_time)


@ROOM("rejection_mix", "nothing_blocked_without_cause")
def a_breaker_that_opens_on_business_rejections(mp):
    """Three orders over the price limit, and nobody may trade."""
    _count_rejections(mp)


@ROOM("refused_sides", "nothing_blocked_without_cause")
def a_refused_buy_holds_up_the_sells(mp):
    """One side's refusals count against the lane of both."""
    _count_rejections(mp)


@ROOM("rejection_mix", "nothing_blocked_without_cause")
def a_breaker_that_calls_what_it_blocks_attempted(mp):
    """It opens on refused orders as well; what it keeps from leaving is told as a failure."""
    _count_rejections(mp)

    def make(call):
        async def told_as_attempted(self, *args, **options):
            try:
                return await call(self, *args, **options)
            except FoxtrotError as error:
                error.context["attempted"] = True
                raise

        return told_as_attempted

    wrap(mp, AdapterGuard, "call", make)


def _count_rejections(mp):
    def outcome_of(exc, *_):
        return CallOutcome.FAILURE if isinstance(exc, Exception) else CallOutcome.NEUTRAL

    mp.setattr(_breaker_gate, "outcome_of", outcome_of)


@ROOM("latency_spike", "nothing_blocked_without_cause")
def a_breaker_that_opens_on_what_is_merely_slow(mp):
    """Answers that come within the timeout are treated as an outage."""

    def make(build):
        def slow(self, name, clock):
            breaker = build(self, name, clock)
            rules = breaker._core.rules
            breaker._core.rules = replace(
                rules, slow_call_seconds=0.5, slow_call_rate_threshold=0.2, minimum_calls=5
            )
            breaker._core._set_lane()
            return breaker

        return slow

    wrap(mp, BreakerPolicy, "build", make)


@ROOM("quiet_day", "nothing_blocked_without_cause")
def a_breaker_that_opens_for_nothing(mp):
    """After every twentieth call of a quiet day it is shut for a while."""

    def make(call_async):
        calls = {"count": 0}

        async def call(self, fn, *args, **options):
            calls["count"] += 1
            if calls["count"] % 20 == 0:
                self._gate.core._open(self._gate._clock.now(), "boredom") if (
                    self.state.value == "closed"
                ) else None
            return await call_async(self, fn, *args, **options)

        return call

    wrap(mp, CircuitBreaker, "call_async", make)


@ROOM("long_outage", "bystanders_unharmed")
def breakers_are_shared_between_adapters(mp):
    """One venue's outage stops trading on another."""
    made: dict[str, CircuitBreaker] = {}

    def make(build):
        def shared(self, name, clock):
            lane = name.rpartition(".")[2]
            return made.setdefault(lane, build(self, name, clock))

        return shared

    wrap(mp, BreakerPolicy, "build", make)


@ROOM("expired_certificate", "breaker_effectiveness")
def a_breaker_that_closes_on_a_failed_probe(mp):
    """That a probe came back at all is taken for the end of the outage."""

    def make(take_probe):
        def take(self, now, *, failed, slow):
            take_probe(self, now, failed=False, slow=False)

        return take

    wrap(mp, BreakerCore, "_take_probe", make)


def _tried_in_the_background(mp, name: str, ask):
    """Have what failed or was blocked asked of the adapter itself, time and again."""

    async def insist(engine, what, adapter_name):
        for _ in range(20):
            await engine._clock.sleep(0.2)
            with suppress(OSError, FoxtrotError):
                await ask(engine.connections[adapter_name].adapter, what)
                return

    def make(call):
        async def and_insist(self, *args):
            try:
                return await call(self, *args)
            except FoxtrotError:
                self._tasks.spawn("insist", insist(self, args[0], args[-1]))
                raise

        return and_insist

    wrap(mp, MainEngine, name, make)


@ROOM("long_outage", "blocked_calls_send_nothing")
def a_blocked_order_is_sent_when_its_caller_has_gone(mp):
    """He was told that nothing had left, and places it elsewhere; this one goes out as well."""
    _tried_in_the_background(mp, "send_order", lambda adapter, request: adapter.send_order(request))


@ROOM("long_outage", "breaker_effectiveness")
def a_blocked_question_is_asked_when_its_caller_has_gone(mp):
    """The breaker is open, every call is held back, and the venue is hammered all the same."""
    _tried_in_the_background(mp, "query_account", lambda adapter, _: adapter.query_account())


@ROOM("garbled_replies", "cancels_get_through")
def cancels_go_through_the_lane_of_new_orders(mp):
    """They wait in its line, and stand before its breaker."""

    def make(call):
        async def rerouted(self, lane, *args, **options):
            return await call(self, Lane.ORDERS if lane is Lane.CANCELS else lane, *args, **options)

        return rerouted

    wrap(mp, AdapterGuard, "call", make)


@ROOM("garbled_replies", "cancels_get_through")
def cancels_share_the_breaker_of_new_orders(mp):
    """New orders fail, and what is open cannot be taken out of the market for as long."""
    of_orders: dict[str, CircuitBreaker] = {}

    def make(build):
        def shared(self, name, clock):
            adapter_name, _, lane = name.rpartition(".")
            breaker = build(self, name, clock)
            if lane == Lane.ORDERS:
                of_orders[adapter_name] = breaker
            return of_orders[adapter_name] if lane == Lane.CANCELS else breaker

        return shared

    wrap(mp, BreakerPolicy, "build", make)


@ROOM("long_outage", "trading_resumes")
def the_lane_of_new_orders_never_closes_again(mp):
    """Prices flow, questions are answered, and no order gets out until somebody restarts it."""

    def shut_for_a_day(breaker):
        core = breaker._core
        if breaker.name.endswith("orders"):
            core._open = lambda now, reason: core._move(
                CircuitState.OPEN, now, reason, open_until=now + 86_400.0
            )

    _built(mp, shut_for_a_day)
