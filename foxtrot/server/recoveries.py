"""What becomes of an error that reached the engine: recovered from, in the background, or told."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from foxtrot.server.policy import EnginePolicy
from foxtrot.util.clock import Clock
from foxtrot.util.errors import ErrorCategory, ErrorSeverity, FoxtrotError
from foxtrot.util.recovery import ErrorRecoveryManager

__all__ = ["Recoveries"]

_Case = tuple[str, ErrorCategory, bool, int]

# The longest rest as a share of the time after which an incident counts as over: one that lasts
# must be heard of again before that, or it would be told as another.
_LONGEST_REST = 0.5


class Recoveries:
    """Hands errors to the recovery, and those that it cannot mend to a person.

    Args:
        manager: Climbs the ladders.
        context: What the manager's strategies are given.
        policy: Attempts and times.
        clock: Time.
        spawn: Starts a background task that the engine ends at shutdown.
        escalate: Calls a person.
    """

    def __init__(
        self,
        manager: ErrorRecoveryManager,
        *,
        context: Callable[[], Mapping[str, Any]],  # Any: the seed leaves it open
        policy: EnginePolicy,
        clock: Clock,
        spawn: Callable[[str, Coroutine[Any, Any, None]], object],
        escalate: Callable[[FoxtrotError], object],
    ) -> None:
        self._manager = manager
        self._context = context
        self._policy = policy
        self._clock = clock
        self._spawn = spawn
        self._escalate = escalate
        self._seen_to: dict[_Case, None] = {}
        self._failures: dict[tuple[str, ErrorCategory], int] = {}
        self._rests_until: dict[tuple[str, ErrorCategory], float] = {}

    async def recover(self, error: FoxtrotError) -> bool:
        """Recover from an error now; escalate it if that fails. True when it works again."""
        if error.category is ErrorCategory.SYSTEM:
            # A part of ours that broke has a bug, mended or not. Told before the mending, which
            # ends the incident, and would make a second one of it.
            self._escalate(error)
        recovered = await self._manager.handle_error(
            error, self._context(), self._policy.reconnect_attempts
        )
        if not recovered:
            self._rest(error)
            # Rejected orders and the like are normal answers; they need nobody.
            if error.severity >= ErrorSeverity.HIGH:
                self._escalate(error)
        return recovered

    def see_to(self, error: FoxtrotError) -> None:
        """Recover in the background, unless that is under way, pointless, or nobody's concern."""
        if error.category is ErrorCategory.ORDER_EXECUTION:
            return  # an answer, or an unknown outcome: the order pipeline sees to either
        if not error.recoverable and error.severity < ErrorSeverity.HIGH:
            return
        name = error.adapter_name or ""
        # One of a kind is enough: what the verification under way may have missed is seen to
        # again, once, when it is over. What nothing mends waits for no mending.
        key = (name, error.category, error.recoverable, self._manager.verifications(name))
        if key not in self._seen_to and not (error.recoverable and self._is_resting(error)):
            self._seen_to[key] = None
            self._spawn(f"recover {name}", self._recover_in_background(key, error))

    def works_again(self, adapter_name: str) -> None:
        """Forget failed recoveries: the next error finds the adapter in good standing."""
        for key in [key for key in self._failures if key[0] == adapter_name]:
            del self._failures[key]
            del self._rests_until[key]

    async def _recover_in_background(self, key: _Case, error: FoxtrotError) -> None:
        try:
            await self.recover(error)
        finally:
            del self._seen_to[key]

    def _rest(self, error: FoxtrotError) -> None:
        """After a whole ladder in vain the next one waits, longer each time."""
        if not error.recoverable or self._is_resting(error):
            return  # the second: those that joined the ladder that has just failed
        key = (error.adapter_name or "", error.category)
        self._failures[key] = self._failures.get(key, 0) + 1
        longest = self._policy.alert_cooldown * _LONGEST_REST
        grown = self._policy.heartbeat_interval * 2.0 ** min(self._failures[key], 32)
        rest = min(grown, longest)
        self._rests_until[key] = self._clock.now() + rest

    def _is_resting(self, error: FoxtrotError) -> bool:
        key = (error.adapter_name or "", error.category)
        return self._clock.now() < self._rests_until.get(key, 0.0)
