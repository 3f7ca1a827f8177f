"""What stands between the engine and one adapter: a gate, a breaker per lane, and the retry loop.

Every request of an adapter goes through its guard, the recovery's own included, so that one
"wait" from the venue silences all of them. Refused credentials hold back what they will be refused
for again.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from foxtrot.server.gate import RateGate
from foxtrot.server.lockout import Lockout
from foxtrot.server.policy import EnginePolicy, Lane
from foxtrot.util.circuit_breaker import (
    BreakerMode,
    CircuitBreaker,
    CircuitBreakerOpenError,
    CircuitState,
)
from foxtrot.util.classification import Classifier
from foxtrot.util.clock import Clock
from foxtrot.util.errors import (
    AdapterConnectionError,
    ErrorCategory,
    FoxtrotError,
    Outcome,
)
from foxtrot.util.retry import (
    OperationKind,
    RetryConfig,
    RetryDeadlineError,
    RetryEventKind,
    compute_delay,
)

__all__ = ["AdapterGuard", "CallEnded", "CallRetried", "not_ready"]

T = TypeVar("T")

# A timer may fire a rounding error early, and must then not be set again for that.
_NOISE = 1e-6


@dataclass(frozen=True, slots=True)
class CallRetried:
    """A call is going to be tried again after `delay` seconds."""

    adapter_name: str
    operation: str
    attempt: int
    delay: float
    error: FoxtrotError


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call that was tried more than once is over.

    Attributes:
        result: `succeeded`; or it was given up: `exhausted` (no tries or no time left), `refused`
            (what it met with last is not retried).
        attempts: Tries made.
        error: Why it was given up.
    """

    adapter_name: str
    operation: str
    result: RetryEventKind
    attempts: int
    error: FoxtrotError | None = None


class AdapterGuard:
    """Carries calls to one adapter.

    Args:
        adapter_name: Whose calls.
        policy: Deadlines, retries, breakers.
        clock: Time.
        rng: Jitter.
        on_error: Called with each error of an attempt that went out, before any retry.
        on_retry: Called before each wait.
        on_end: Called when a call that was tried again is over.
        gate: Kept closed while the venue wants quiet; shared by adapters that it counts together.
            Default: one of its own.
        on_mended: Called when refused credentials are accepted again.

    Attributes:
        is_down: Says whether the connection is down, and did not come up when it was tried.
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
        gate: RateGate | None = None,
        on_mended: Callable[[], None] = lambda: None,
        on_end: Callable[[CallEnded], None] = lambda _ended: None,
    ) -> None:
        self.adapter_name = adapter_name
        self.gate = gate or RateGate(adapter_name, clock, policy.rate_limit_wait)
        # Venues count orders by account, and requests by address: this one is never shared.
        self.order_gate = RateGate(
            f"{adapter_name}.orders",
            clock,
            policy.rate_limit_wait,
            # Beyond their deadline no order waits; a second of it is for the way there and back.
            counted_wait=policy.deadlines[Lane.ORDERS] - 1.0,
        )
        # Where nobody recovers nobody tries refused credentials again, and each call has to.
        self.lockout = Lockout(adapter_name, clock, is_enabled=policy.recovery)
        self.breakers: dict[Lane, CircuitBreaker] = {
            lane: policy.breaker.build(f"{adapter_name}.{lane}", clock) for lane in Lane
        }
        self._policy = policy
        self._clock = clock
        self._classifier = Classifier(clock=clock)
        self._rng = rng
        self._on_error = on_error
        self._on_retry = on_retry
        self._on_mended = on_mended
        self._on_end = on_end
        self.is_down: Callable[[], bool] = lambda: False
        self._is_unanswered = False  # the connection's last ping
        self._stirred = asyncio.Event()
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
        urgency: Lane | None = None,
        admit: Callable[[], None] = lambda: None,
        leave: Callable[[], None] = lambda: None,
    ) -> T:
        """Run `attempt` until it succeeds, may not be repeated, or would pass its deadline.

        Args:
            lane: Whose breaker and deadline apply.
            operation: What it is, for errors and events.
            attempt: Makes one attempt; called anew for each.
            kind: Whether repeating is safe after an attempt whose outcome is unknown.
            deadline: Seconds for everything together; the lane's own when left out.
            urgency: Whose place it takes in the gate's line; the lane's own when left out.
            admit: Raises a FoxtrotError with outcome NOT_SENT when the attempt may not go now.
            leave: Asked before a call waits for its next attempt, and whenever it is stirred while
                it waits; what it raises ends the call. It is never asked while an attempt is under
                way.

        Raises:
            FoxtrotError: The last attempt's own error; its `outcome` says what is known.
        """
        limit = self._policy.deadlines[lane] if deadline is None else deadline
        ends_at = self._clock.now() + limit
        tries = 0
        telling: FoxtrotError | None = None
        while True:
            try:
                admit()
                await self._pass_gates(lane, urgency or lane, ends_at, leave)
                result = await self._attempt(lane, operation, attempt, admit)
            except FoxtrotError as error:
                # Of a call that was tried once, "the breaker is open" is not the whole truth: what
                # the last attempt that went out met with is what its caller has to know.
                if telling is None or error.context.get("attempted"):
                    telling = error
                delay = self._delay(error, tries, kind, ends_at - self._clock.now(), lane)
                if delay is None:
                    self._given_up(operation, tries, telling, is_spent=_is_retried(error, kind))
                    if telling is error:
                        raise
                    raise telling from telling.__cause__
                tries += 1
                self._on_retry(CallRetried(self.adapter_name, operation, tries, delay, error))
                # Who waits for the gate does so in its line, where he has his turn.
                lines_up = error.category is ErrorCategory.RATE_LIMIT and self._wait(lane) > 0
            else:
                self._ended(operation, tries, RetryEventKind.SUCCEEDED)
                return result
            leave()  # stirred while its attempt was under way, it did not hear of it
            if not lines_up:
                await self._rest(delay, leave)

    def _given_up(self, operation: str, tries: int, error: FoxtrotError, *, is_spent: bool) -> None:
        error.context.setdefault("attempts", tries + 1)
        result = RetryEventKind.EXHAUSTED if is_spent else RetryEventKind.REFUSED
        self._ended(operation, tries, result, error)

    def _ended(
        self, operation: str, tries: int, result: RetryEventKind, error: FoxtrotError | None = None
    ) -> None:
        if tries:
            self._on_end(CallEnded(self.adapter_name, operation, result, tries + 1, error))

    def pinged(self, exc: Exception | None) -> None:
        """Note what became of the connection's ping: None when it was answered."""
        self._is_unanswered = False
        if exc is None:
            return
        error = self._classifier.classify(exc, adapter=self.adapter_name, operation="ping")
        self._is_unanswered = error.category is ErrorCategory.CONNECTION
        if self._is_unanswered and self._orders_fail():
            self._open(Lane.QUERIES, error)

    def can_be_asked(self) -> bool:
        """Whether a question may get an answer now: none of late says that it will not."""
        is_open = self.breakers[Lane.QUERIES].state is CircuitState.OPEN
        return not (is_open or self._is_unanswered or self.lockout.is_on)

    def came_back(self) -> None:
        """Let questions out again at once: the reconciliation has just been answered many.

        The other lanes find out for themselves: that questions are answered says nothing of orders.
        """
        self._close(Lane.QUERIES)

    def stir(self) -> None:
        """Have every waiting call look whether there still is a point in waiting here."""
        self._stirred.set()
        self._stirred.clear()
        self.gate.stir()
        self.order_gate.stir()

    def snapshot(self) -> dict[str, Any]:  # Any: JSON
        """What of the guard must survive a restart, the gate excepted, which may be shared."""
        breakers = {lane.value: breaker.snapshot() for lane, breaker in self.breakers.items()}
        return {**breakers, "order_gate": self.order_gate.snapshot()}

    def restore(self, data: Mapping[str, Any]) -> None:  # Any: JSON
        """Take over a snapshot. Raises ValueError for one of another guard, or a broken one."""
        for lane, breaker in self.breakers.items():
            breaker.restore(data.get(lane.value) or {})
        self.order_gate.restore(data.get("order_gate") or {})

    async def _rest(self, seconds: float, leave: Callable[[], None]) -> None:
        """Sleep; `leave` decides, when stirred, whether to sleep on, and at the end, to go on."""
        ends_at = self._clock.now() + seconds
        while (left := ends_at - self._clock.now()) > _NOISE:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._stirred.wait()
            leave()

    async def _pass_gates(
        self, lane: Lane, urgency: Lane, ends_at: float, leave: Callable[[], None]
    ) -> None:
        gates = self._gates(lane)
        for gate in itertools.cycle(gates):
            await gate.enter(urgency, self.adapter_name, deadline=ends_at, still_wanted=leave)
            if gate is gates[-1] and not self._wait(lane):
                return  # none has closed while it waited at the other

    async def _attempt(
        self,
        lane: Lane,
        operation: str,
        attempt: Callable[[], Awaitable[T]],
        admit: Callable[[], None],
    ) -> T:
        """One attempt: through the lane's breaker, in bounded time."""
        admit()  # once more: much may have changed while it waited
        self.lockout.check(lane)
        breaker = self.breakers[lane]
        was_closed = breaker.state is CircuitState.CLOSED
        try:
            result = await breaker.call_async(self._timed, lane, operation, attempt)
        except FoxtrotError as error:
            if error.category is ErrorCategory.CONNECTION and error.context.get("attempted"):
                self._corroborate(lane, error)
            raise
        # Cancels are seldom asked for, and the next one may be the one that matters: what orders
        # have just proved it need not find out by probes that others have to wait for.
        if lane is Lane.ORDERS and not was_closed and breaker.state is CircuitState.CLOSED:
            self._close(Lane.CANCELS)
        return result

    def _close(self, lane: Lane) -> None:
        """Close the lane's breaker, unless somebody has it under his hand."""
        breaker = self.breakers[lane]
        is_its_own_master = breaker.mode is BreakerMode.AUTOMATIC
        if is_its_own_master and breaker.state is not CircuitState.CLOSED:
            breaker.reset()

    def _corroborate(self, lane: Lane, error: FoxtrotError) -> None:
        """Open a lane where something else than its own failures says that the venue is away.

        Two witnesses are enough: to have each lane find it out by failures of its own costs a dead
        venue three requests of each, whenever the first of a kind comes along. The connection being
        down is a witness for all; that new orders fail, or a ping, is one against questions, never
        against cancels. Where both do, no question has to.
        """
        fails = self._orders_fail()
        if self.is_down() or (lane is Lane.QUERIES and (fails or self._is_unanswered)):
            self._open(lane, error)
        elif lane is Lane.ORDERS and fails and self._is_unanswered:
            self._open(Lane.QUERIES, error)

    def _open(self, lane: Lane, error: FoxtrotError) -> None:
        breaker = self.breakers[lane]
        for _ in range(breaker.failure_threshold):
            if breaker.state is not CircuitState.CLOSED:
                return
            breaker.acquire().failure(error)

    def _orders_fail(self) -> bool:
        """Until they are answered again: that it is time to try says nothing yet."""
        return self.breakers[Lane.ORDERS].state is not CircuitState.CLOSED

    async def probe(self, operation: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """One attempt of the recovery's: waits for the gate, and asks no breaker.

        The breakers protect the venue from the many; recovery is single-flight and backs off, and
        would otherwise be kept out by the very state that it is there to end.
        """
        await self.gate.pass_through()
        return await self._timed(Lane.STREAM, operation, attempt)

    async def _timed(self, lane: Lane, operation: str, attempt: Callable[[], Awaitable[T]]) -> T:
        for gate in self._gates(lane):
            gate.sent()
        try:
            async with asyncio.timeout(self._policy.call_timeout):
                result = await attempt()
        except Exception as exc:
            error = self._classifier.classify(exc, adapter=self.adapter_name, operation=operation)
            if error.context.get("gate") == "closed":
                # It closed between two requests of the attempt. The venue has said nothing new; and
                # a question was asked in part, where a cancel was not sent.
                error.outcome = Outcome.NONE if lane is Lane.QUERIES else Outcome.NOT_SENT
                raise
            error.context["attempted"] = True
            if error.category is ErrorCategory.RATE_LIMIT and self._policy.rate_gate:
                is_of_its_kind = error.context.get("scope") == "operation"
                self._gates(lane)[0 if is_of_its_kind else -1].hold(error)
            self.lockout.take(error)
            self._on_error(error)
            if error is exc:
                raise
            raise error from exc
        else:
            for gate in self._gates(lane):
                gate.served()
            if self.lockout.served(operation):
                self._on_mended()
            return result

    def _delay(
        self, error: FoxtrotError, tries: int, kind: OperationKind, remaining: float, lane: Lane
    ) -> float | None:
        """Seconds to wait before the next try; None when there must be none."""
        if tries >= self._policy.max_retries or not _is_retried(error, kind):
            return None
        try:
            return compute_delay(
                self._retry,
                tries,
                self._rng,
                retry_after=self._floor(lane, error),
                remaining=remaining,
            )
        except RetryDeadlineError:
            return None

    def _floor(self, lane: Lane, error: FoxtrotError) -> float | None:
        # The hints of a table ("try in 5 s", "wait a minute") are for those who have nothing
        # better; the backoff is better. A breaker and the gate, which took what the venue named,
        # are binding.
        if isinstance(error, CircuitBreakerOpenError):
            # None where it names no time, its probes being under way: the backoff, not at once.
            return max(error.retry_after or 0.0, self._wait(lane)) or None
        return self._wait(lane) or None

    def _gates(self, lane: Lane) -> tuple[RateGate, ...]:
        """What a call of the lane goes through: its own gate, where it has one, and the common.

        What a venue asks of new orders alone keeps no cancel waiting.
        """
        return (self.order_gate, self.gate) if lane is Lane.ORDERS else (self.gate,)

    def _wait(self, lane: Lane) -> float:
        return max(gate.wait for gate in self._gates(lane))


def _is_retried(error: FoxtrotError, kind: OperationKind) -> bool:
    if error.category is ErrorCategory.ORDER_EXECUTION:
        return False  # an answer about an order is followed by a look-up, not by the same again
    is_doubtful = error.outcome is Outcome.UNKNOWN and kind is OperationKind.NOT_IDEMPOTENT
    return error.recoverable and not is_doubtful


def not_ready(
    adapter_name: str, why: str, clock: Clock, *, retry_after: float | None = None
) -> AdapterConnectionError:
    """The refusal of a call while its adapter is not of use."""
    return AdapterConnectionError(
        adapter_name,
        why,
        outcome=Outcome.NOT_SENT,
        retry_after=retry_after,
        clock=clock,
        suggested_action=f"Wait until {adapter_name} is connected, subscribed and reconciled",
    )
