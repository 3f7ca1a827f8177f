"""Faults of who we are, and of when: keys, clocks, sessions."""

from __future__ import annotations

from collections.abc import Sequence

from foxtrot.util.errors import ErrorCategory
from harness.faults.base import Frame, VenueFault
from harness.faults.schema import FaultKind, ParameterSpec
from harness.venue import Delivery, Frames, Knob, Revoke, Skew

__all__ = ["ClockSkew", "KeyRevoked", "SessionExpired"]

_ACCOUNT = "main"


class KeyRevoked(VenueFault):
    """The key is no longer accepted."""

    kind = FaultKind(
        name="key_revoked",
        category=ErrorCategory.AUTHENTICATION,
        aims=(),
        must_escalate=True,
        doc="The key was deleted, has run out, or lost a permission or its address: every signed "
        "request is answered 401 with -2015. Market data goes on.",
        remedy="At most one more try, then a person, at once. After the key is mended, work goes "
        "on by itself; a refusal must not stick.",
        source="Binance Spot errors.md, -2015; ccxt calls it DDoSProtection, hence retryable; "
        "vnpy_ctp #40: the failed login was never forgotten.",
    )

    def knobs(self) -> tuple[Knob, ...]:
        """Refuse every key."""
        return (Revoke(),)


class ClockSkew(VenueFault):
    """The venue's clock is off."""

    kind = FaultKind(
        name="clock_skew",
        category=ErrorCategory.AUTHENTICATION,
        variants=("ahead", "behind"),
        aims=(),
        parameters={
            "by": ParameterSpec(type="duration", default=8.0, doc="How far, beyond the window."),
        },
        doc="The venue's clock and ours part ways: signed requests are refused with -1021, as too "
        "old (`ahead`: its clock is) or as from the future (`behind`).",
        remedy="Measure the difference once and stamp requests by the venue's time. Never widen "
        "the window, and never try again without measuring.",
        source="Binance Spot errors.md, -1021; ccxt #2281; python-binance #60.",
    )

    def knobs(self) -> tuple[Knob, ...]:
        """Move the venue's wall clock."""
        by = self.seconds("by")
        return (Skew(seconds=by if self.variant == "ahead" else -by),)


class SessionExpired(VenueFault):
    """The venue ends the account's stream."""

    kind = FaultKind(
        name="session_expired",
        category=ErrorCategory.AUTHENTICATION,
        # The cure is a new connection, and so the loss of one is as good a word for it.
        accepted=(ErrorCategory.CONNECTION,),
        variants=("told", "silent"),
        aims=(),
        instant=True,
        surfaces=True,
        doc="The session or subscription behind the user stream runs out: no more order events "
        "are sent, and the venue says so (`told`) or does not (`silent`). The socket stays open "
        "and prices go on.",
        remedy="Watch the user stream by itself: what is acknowledged has to be reported. "
        "Subscribe anew and reconcile, since events were missed.",
        source="cryptoxlib-aio #65, JKorf #796 (expired despite keep-alive); Binance's "
        "eventStreamTerminated.",
    )

    def knobs(self) -> tuple[Knob, ...]:
        """For as long as it takes: a venue that does not say that the stream has ended."""
        return (Frames(alter=_without_a_word),) if self.variant == "silent" else ()

    def begin(self) -> None:
        """End the stream, and push what the venue says to it; a new one is well."""
        site = self.site
        super().begin()
        site.venue.expire_user_stream(_ACCOUNT, site.now(), knob_id=self.id)
        site.venue.lift(self.id)
        for connection_id, frame in site.venue.take_frames():
            site.link.deliver(connection_id, frame)


def _without_a_word(_connection_id: str, frame: Frame) -> Sequence[Delivery] | None:
    return () if frame["type"] == "expired" else None
