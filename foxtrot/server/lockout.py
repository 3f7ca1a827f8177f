"""Refused credentials: what is kept from a venue that does not accept who we are.

The same key is refused again, and a venue that is asked again and again with a refused key bans
the address as well. So new orders and questions are refused here, at once and by name, and one
question now and then finds out whether the key was mended. Cancels may be tried: they are few, and
to leave an order in the market that nobody can cancel is worse than one more refusal.
"""

from __future__ import annotations

import re

from foxtrot.server.policy import Lane
from foxtrot.util.clock import Clock
from foxtrot.util.errors import AuthenticationError, ErrorCategory, FoxtrotError, Outcome

__all__ = ["Lockout"]

_FIRST_PROBE = 5.0
_LONGEST_PROBE = 30.0

_HELD = frozenset({Lane.ORDERS, Lane.QUERIES})

# What only an account that is logged in gets an answer to; prices and the time anybody does.
_PROOFS = frozenset({"account", "order.cancel", "order.place", "order.query", "orders.open"})

# Not every refusal of what we may do is one of who we are: to a symbol that an account may not
# trade all the other symbols are none the worse for it.
_CREDENTIALS = re.compile(
    r"api.?key|signature|credential|password|token|unauthori[sz]ed", re.IGNORECASE
)
_UNAUTHORIZED = 401


class Lockout:
    """Whether an adapter's credentials are refused, and when to try them again.

    Args:
        adapter_name: Whose.
        clock: Time.
        is_enabled: Whether anybody will try them again. If not, nothing is held back.
    """

    def __init__(self, adapter_name: str, clock: Clock, *, is_enabled: bool = True) -> None:
        self._adapter_name = adapter_name
        self._clock = clock
        self._is_enabled = is_enabled
        self._error: FoxtrotError | None = None
        self._refusals = 0
        self._probe_at = 0.0

    @property
    def is_on(self) -> bool:
        """Whether new orders and questions are held back."""
        return self._error is not None

    @property
    def is_probe_due(self) -> bool:
        """Whether it is time to try the credentials again."""
        return self.is_on and self._clock.now() >= self._probe_at

    def take(self, error: FoxtrotError) -> None:
        """Take note of an error: one that names the credentials begins or prolongs the lockout."""
        if not self._is_enabled or not _names_credentials(error):
            return
        if self.is_on and not self.is_probe_due:
            return  # the answer to what was on the wire already, or a cancel
        self._error = error
        pause = min(_FIRST_PROBE * 2.0**self._refusals, _LONGEST_PROBE)
        self._probe_at = self._clock.now() + pause
        self._refusals = min(self._refusals + 1, 32)

    def served(self, operation: str) -> bool:
        """Take note of a request that was served; whether that ended the lockout.

        The pauses are short again only once an order was taken: a key may read and not trade.
        """
        if operation == "order.place":
            self._refusals = 0
        if not self.is_on or operation not in _PROOFS:
            return False
        self._error = None
        return True

    def mended(self) -> None:
        """Believe whoever says that the credentials were mended; the next request will tell."""
        self._error = None
        self._refusals = 0

    def check(self, lane: Lane) -> None:
        """Raise AuthenticationError, not sent and not to be retried, for what is held back."""
        if self._error is None or lane not in _HELD:
            return
        raise AuthenticationError(
            self._adapter_name,
            f"the venue refuses our credentials ({self._error.message})",
            outcome=Outcome.NOT_SENT,
            retry_after=max(0.0, self._probe_at - self._clock.now()),
            clock=self._clock,
            context={"adapter": self._adapter_name, "lockout": "credentials"},
            suggested_action=self._error.suggested_action,
        ) from self._error


def _names_credentials(error: FoxtrotError) -> bool:
    # A clock that is off or a session that has run out is mended by ourselves, and recoverable.
    if error.category is not ErrorCategory.AUTHENTICATION or error.recoverable:
        return False
    words = str(error.context.get("reason", ""))
    return error.context.get("code") == _UNAUTHORIZED or _CREDENTIALS.search(words) is not None
