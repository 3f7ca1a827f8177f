"""Faults of a gateway process that stands between us and the venue."""

from __future__ import annotations

from foxtrot.adapter.session import VenueRequest
from foxtrot.util.errors import ErrorCategory
from harness.faults.base import LinkFault, VenueFault
from harness.faults.connection import Disconnect
from harness.faults.schema import FaultKind
from harness.network import Effect, Hang
from harness.venue import Knob, Mute, Reject

__all__ = ["ConnectivityLost", "GatewayRestart"]

_ORDERS = frozenset({"order.place", "order.cancel"})


class GatewayRestart(Disconnect):
    """The gateway is restarted: refused until it is up, and it has forgotten us."""

    kind = FaultKind(
        name="gateway_restart",
        category=ErrorCategory.CONNECTION,
        # Where a restart locks trading, the refusals that follow are of the login.
        accepted=(ErrorCategory.AUTHENTICATION,),
        variants=("reset", "clean"),
        aims=(),
        connection=True,
        blocks=("*",),
        doc="The gateway process ends, by itself, by an update or by its daily restart, and comes "
        "up again: connections are refused meanwhile, every subscription is gone, and where the "
        "venue asks for it trading is locked until it is unlocked.",
        remedy="Reconnect with backoff, subscribe again, unlock when told that it is locked, and "
        "reconcile before going on.",
        source="Futu API documentation on OpenD and unlock_trade; IBKR on TWS's daily restart.",
    )

    def begin(self) -> None:
        """End the process."""
        self.site.venue.restart()
        super().begin()


class ConnectivityLost(LinkFault, VenueFault):
    """The gateway runs, and its own way to the venue is cut."""

    kind = FaultKind(
        name="connectivity_lost",
        category=ErrorCategory.CONNECTION,
        # That prices are stale is what the loss of the data subscriptions amounts to.
        accepted=(ErrorCategory.MARKET_DATA,),
        variants=("data_lost", "data_kept"),
        aims=(),
        connection=True,
        surfaces=True,
        blocks=("*",),
        doc="The socket to the gateway stands and pings are answered, while the gateway has lost "
        "the venue (IB: 1100): orders are refused, questions stay unanswered, nothing is pushed. "
        "When it is back it has lost the market data subscriptions (1101) or kept them (1102). "
        "What happened meanwhile is not pushed again, either way.",
        remedy="Do not take the socket for the connection. After 1101 subscribe to everything "
        "anew; after either reconcile orders and fills.",
        source="IBKR, TWS API system message codes 1100, 1101, 1102 and 2110.",
    )

    def begin(self) -> None:
        """Say so, then fall silent."""
        site = self.site
        site.venue.lose_connectivity()
        self._push()
        connection_id = site.link.connection_id
        if connection_id is not None:
            site.fired(connection_id, "stream", "connectivity lost")
        LinkFault.begin(self)
        VenueFault.begin(self)

    def end(self) -> None:
        """Speak again, and say what was kept."""
        LinkFault.end(self)
        VenueFault.end(self)
        self.site.venue.regain_connectivity(keeps_data=self.variant == "data_kept")
        self._push()

    def is_healed(self) -> bool:
        """Whether questions are answered and frames are pushed."""
        return LinkFault.is_healed(self) and VenueFault.is_healed(self)

    def knobs(self) -> tuple[Knob, ...]:
        """Refuse orders, and push nothing."""
        said = self.site.venue.profile.connectivity
        if said is None:
            return (Mute(),)
        form = said.refusal
        return (
            Mute(),
            Reject(
                code=form.code,
                message=form.message,
                status=form.status,
                matches=lambda request: request.operation.value in _ORDERS,
            ),
        )

    def sending(self, request: VenueRequest) -> Effect | None:
        """Leave a question without an answer."""
        has_words = self.site.venue.profile.connectivity is not None
        if has_words and request.operation.value in _ORDERS:
            return None
        self.touched(request, "unanswered")
        return Hang()

    def _push(self) -> None:
        for connection_id, frame in self.site.venue.take_frames():
            self.site.link.deliver(connection_id, frame)
