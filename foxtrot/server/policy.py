"""How the engine behaves: every number it goes by, and the named sets of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from foxtrot.util.circuit_breaker import CircuitBreaker
from foxtrot.util.clock import Clock
from foxtrot.util.errors import ErrorCategory, FoxtrotError

__all__ = ["POLICIES", "BreakerPolicy", "EnginePolicy", "Lane"]


class Lane(StrEnum):
    """A class of requests with a circuit breaker of its own.

    Separate, so that what trips the lane of new orders never keeps a cancel from getting out.
    """

    ORDERS = "orders"
    CANCELS = "cancels"
    QUERIES = "queries"
    STREAM = "stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """What each lane's breaker is built with. Times in seconds.

    The open time starts well under the 30 s that a connection may take to recover, since a
    breaker that stays open longer than the outage is an outage of its own.
    """

    enabled: bool = True
    failure_threshold: int = 3
    success_threshold: int = 2
    open_seconds: float = 4.0
    max_open_seconds: float = 12.0
    growth: float = 1.5

    def build(self, name: str, clock: Clock) -> CircuitBreaker:
        """A breaker of this kind; one that admits everything when not enabled."""
        breaker = CircuitBreaker(
            name,
            self.failure_threshold,
            self.success_threshold,
            dt.timedelta(seconds=self.open_seconds),
            timeout_growth=self.growth,
            max_timeout=dt.timedelta(seconds=self.max_open_seconds),
            clock=clock,
            excluded=_is_rate_limit,
        )
        if not self.enabled:
            breaker.disable()
        return breaker


def _is_rate_limit(error: BaseException) -> bool:
    # A venue that asks for quiet is alive, and the gate keeps every lane quiet already.
    return isinstance(error, FoxtrotError) and error.category is ErrorCategory.RATE_LIMIT


def _default_deadlines() -> Mapping[Lane, float]:
    return MappingProxyType(
        {Lane.ORDERS: 20.0, Lane.CANCELS: 30.0, Lane.QUERIES: 20.0, Lane.STREAM: 20.0}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePolicy:
    """The engine's behaviour. Times in seconds.

    Args:
        name: What reports call it.
        breaker: The lanes' breakers.
        max_retries: How often one call may be tried again, within its lane's deadline.
        retry_base_delay: The first wait between two tries.
        retry_max_delay: The longest, unless the venue asks for more.
        deadlines: How long a call of each lane may take in all, waiting for readiness included.
        call_timeout: How long one attempt may take before its outcome is unknown.
        recovery: Whether errors are recovered from at all.
        reconnect_attempts: How often a rung of the ladder is tried before the next one.
        heartbeat_interval: Between two checks of a connection that seems healthy.
        heartbeat_timeout: How long a ping may take.
        stale_after: Age at which the newest tick of a subscribed symbol is too old.
        reconcile_interval: How long open orders go without being compared with the venue's. A
            report that gets lost on a living stream leaves no other trace.
        unknown_lookups: Waits before each look-up of an order whose outcome is unknown; the last
            one repeats.
        unknown_misses: How many look-ups must find nothing, spread over those waits, before
            "never arrived" is believed (and never before the request's lifetime has passed).
        unknown_deadline: When to hand an unknown order to a person. None: nobody looks.
        resend_within: An order that provably never arrived is sent again, under its own id, if it
            is no older than this; else it is reported as rejected.
        rate_gate: Whether a venue that asks for quiet gets it.
        rate_limit_wait: How long to stay quiet after a refusal that names no time.
        shutdown_timeout: How long `close` may take.
        cancel_on_close: Whether `close` cancels what is open.
        finished_orders_kept: How many finished orders the engine keeps in memory.
        alert_cooldown: An incident on the same adapter and category within this time of the last
            alert is the same incident.
    """

    name: str = "default"
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    max_retries: int = 8
    retry_base_delay: float = 0.25
    retry_max_delay: float = 4.0
    deadlines: Mapping[Lane, float] = field(default_factory=_default_deadlines)
    call_timeout: float = 10.0
    recovery: bool = True
    reconnect_attempts: int = 60
    heartbeat_interval: float = 5.0
    heartbeat_timeout: float = 3.0
    stale_after: float = 10.0
    reconcile_interval: float = 40.0
    unknown_lookups: tuple[float, ...] = (0.5, 1.0, 2.0, 3.0, 5.0)
    unknown_misses: int = 3
    unknown_deadline: float | None = 120.0
    resend_within: float = 30.0
    rate_gate: bool = True
    rate_limit_wait: float = 10.0
    shutdown_timeout: float = 30.0
    cancel_on_close: bool = True
    finished_orders_kept: int = 20_000
    alert_cooldown: float = 300.0


POLICIES: Mapping[str, EnginePolicy] = MappingProxyType(
    {
        "default": EnginePolicy(),
        # The control arm: what a plain client without resilience does.
        "none": EnginePolicy(
            name="none",
            breaker=BreakerPolicy(enabled=False),
            max_retries=0,
            recovery=False,
            rate_gate=False,
            unknown_deadline=None,
        ),
    }
)
