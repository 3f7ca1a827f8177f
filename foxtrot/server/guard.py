"""What stands between the engine and one adapter: a gate, a breaker per lane, and the retry loop.

Every request of an adapter goes through its guard, the recovery's own included, so that one
"wait" from the venue silences all of them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from foxtrot.server.policy import EnginePolicy, Lane
from foxtrot.util.circuit_breaker import CircuitBreaker, CircuitBreakerOpenError
from foxtrot.util.classification import Classifier
from foxtrot.util.clock import Clock
from foxtrot.util.errors import (
    AdapterConnectionError,
    ErrorCategory,
    FoxtrotError,
    Outcome,
    RateLimitError,
)
from foxtrot.util.retry import OperationKind, RetryConfig, RetryDeadlineError, compute_delay

__all__ = ["AdapterGuard", "CallRetried", "RateGate", "not_ready"]

T = TypeVar("T")

# A gate opens a little after the venue said, because its clock and ours do not agree to the
# millisecond and a request that arrives early is what turns a 429 into a ban.
_GATE_MARGIN = 0.25

# Request weight is counted by the minute: longer than that, no such wait is of use.
_LONGEST_UNNAMED_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class CallRetried:
    """A call is going to be tried again after `delay` seconds."""

    adapter_name: str
    operation: str
    attempt: int
    delay: float
    error: FoxtrotError


class RateGate:
    """Closed while the venue wants to hear nothing from us. One for all lanes of an adapter."""

    def __init__(self, adapter_name: str, clock: Clock, default_wait: float) -> None:
        self._adapter_name = adapter_name
        self._clock = clock
        self._default_wait = default_wait
        self._opens_at = 0.0
        self._unnamed = 0

    @property
    def wait(self) -> float:
        """Seconds until the gate opens; zero when it is open."""
        return max(0.0, self._opens_at - self._clock.now())

    def hold(self, error: FoxtrotError) -> None:
        """Stay closed as long as the refusal asks; never shortens what an earlier one asked.

        A refusal that names no time is answered by a wait of our own, which doubles while such
        refusals follow each other.
        """
        seconds = error.retry_after
        if seconds is None or error.context.get("retry_after_source") == "default":
            if self.wait > 0:
                return  # the answer to a request that was on the wire already
            seconds = min(self._default_wait * 2.0**self._unnamed, _LONGEST_UNNAMED_WAIT)
            self._unnamed += 1
        self._opens_at = max(self._opens_at, self._clock.now() + seconds + _GATE_MARGIN)

    def served(self) -> None:
        """A request was answered well: the next refusal is the first again."""
        self._unnamed = 0

    def check(self) -> None:
        """Raise RateLimitError with outcome NOT_SENT while closed."""
        wait = self.wait
        if wait > 0:
            raise RateLimitError(
                self._adapter_name,
                wait,
                outcome=Outcome.NOT_SENT,
                clock=self._clock,
                context={"gate": "closed"},
            )

    async def pass_through(self) -> None:
        """Wait until the gate is open."""
        while (wait := self.wait) > 0:
            await self._clock.sleep(wait)


class AdapterGuard:
    """Carries calls to one adapter.

    Args:
        adapter_name: Whose calls.
        policy: Deadlines, retries, breakers.
        clock: Time.
        rng: Jitter.
        on_error: Called with each error of an attempt that went out, before any retry.
        on_retry: Called before each wait.
    """

    def __init__(
        self,
        adapter_name: str,
        *,
        policy: EnginePolicy,
        clock: Clock,
        rng: random.Random,
        on_error: Callable[[FoxtrotError], None],
        on_retry: Callable[[CallRetried], None],
    ) -> None:
        self.adapter_name = adapter_name
        self.gate = RateGate(adapter_name, clock, policy.rate_limit_wait)
        self.breakers: dict[Lane, CircuitBreaker] = {
            lane: policy.breaker.build(f"{adapter_name}.{lane}", clock) for lane in Lane
        }
        self._policy = policy
        self._clock = clock
        self._classifier = Classifier(clock=clock)
        self._rng = rng
        self._on_error = on_error
        self._on_retry = on_retry
        self._retry = RetryConfig(
            max_retries=policy.max_retries,
            base_delay=policy.retry_base_delay,
            max_delay=policy.retry_max_delay,
        )

    async def call(
        self,
        lane: Lane,
        operation: str,
        attempt: Callable[[], Awaitable[T]],
        *,
        kind: OperationKind,
        deadline: float | None = None,
        admit: Callable[[], None] | None = None,
    ) -> T:
        """Run `attempt` until it succeeds, may not be repeated, or would pass its deadline.

        Args:
            lane: Whose breaker and deadline apply.
            operation: What it is, for errors and events.
            attempt: Makes one attempt; called anew for each.
            kind: Whether repeating is safe after an attempt whose outcome is unknown.
            deadline: Seconds for everything together; the lane's own when left out.
            admit: Raises a FoxtrotError with outcome NOT_SENT when the attempt may not go now.

        Raises:
            FoxtrotError: The last attempt's own error; its `outcome` says what is known.
        """
        limit = self._policy.deadlines[lane] if deadline is None else deadline
        ends_at = self._clock.now() + limit
        tries = 0
        telling: FoxtrotError | None = None
        while True:
            try:
                if admit is not None:
                    admit()
                return await self._attempt(lane, operation, attempt)
            except FoxtrotError as error:
                # Of a call that was tried once, "the breaker is open" is not the whole truth: what
                # the last attempt that went out met with is what its caller has to know.
                if telling is None or error.context.get("attempted"):
                    telling = error
                delay = self._delay(error, tries, kind, ends_at - self._clock.now())
                if delay is None:
                    telling.context.setdefault("attempts", tries + 1)
                    if telling is error:
                        raise
                    raise telling from telling.__cause__
                tries += 1
                self._on_retry(CallRetried(self.adapter_name, operation, tries, delay, error))
            await self._clock.sleep(delay)

    async def _attempt(self, lane: Lane, operation: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """One attempt: through the gate, through the lane's breaker, in bounded time."""
        self.gate.check()
        return await self.breakers[lane].call_async(self._timed, operation, attempt)

    async def probe(self, operation: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """One attempt of the recovery's: waits for the gate, and asks no breaker.

        The breakers protect the venue from the many; recovery is single-flight and backs off, and
        would otherwise be kept out by the very state that it is there to end.
        """
        await self.gate.pass_through()
        return await self._timed(operation, attempt)

    async def _timed(self, operation: str, attempt: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._policy.call_timeout):
                result = await attempt()
        except Exception as exc:
            error = self._classifier.classify(exc, adapter=self.adapter_name, operation=operation)
            error.context["attempted"] = True
            if error.category is ErrorCategory.RATE_LIMIT and self._policy.rate_gate:
                self.gate.hold(error)
            self._on_error(error)
            if error is exc:
                raise
            raise error from exc
        else:
            self.gate.served()
            return result

    def _delay(
        self, error: FoxtrotError, tries: int, kind: OperationKind, remaining: float
    ) -> float | None:
        """Seconds to wait before the next try; None when there must be none."""
        if not error.recoverable or tries >= self._policy.max_retries:
            return None
        if error.category is ErrorCategory.ORDER_EXECUTION:
            return None  # an answer about an order is followed by a look-up, not by the same again
        if error.outcome is Outcome.UNKNOWN and kind is OperationKind.NOT_IDEMPOTENT:
            return None
        try:
            return compute_delay(
                self._retry,
                tries,
                self._rng,
                retry_after=self._floor(error),
                remaining=remaining,
            )
        except RetryDeadlineError:
            return None

    def _floor(self, error: FoxtrotError) -> float | None:
        # The hints of a table ("try in 5 s", "wait a minute") are for those who have nothing
        # better; the backoff is better. A breaker and the gate, which took what the venue named,
        # are binding.
        if isinstance(error, CircuitBreakerOpenError):
            # None where it names no time, its probes being under way: the backoff, not at once.
            return max(error.retry_after or 0.0, self.gate.wait) or None
        return self.gate.wait or None


def not_ready(adapter_name: str, why: str, clock: Clock) -> AdapterConnectionError:
    """The refusal of a new order while its adapter is not of use."""
    return AdapterConnectionError(
        adapter_name,
        why,
        outcome=Outcome.NOT_SENT,
        retry_after=None,
        clock=clock,
        suggested_action=f"Wait until {adapter_name} is connected, subscribed and reconciled",
    )
