"""What a venue on the wire is started with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.scenario import Scenario

__all__ = ["WireAccount", "WireConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireAccount:
    """An account with its key and the secret that its requests are signed with.

    Without `balances` it holds plenty of every asset of the venue.
    """

    name: str = "main"
    api_key: str = "key-main"
    secret: str = field(default="secret-main", repr=False)
    balances: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WireConfig:
    """How to serve a venue.

    Args:
        host: Where to listen. Anything but loopback shows the venue to the network.
        port: 0 lets the system choose; `WireServer.port` tells.
        scenario: Its market and its faults, from the moment the server starts; None is a venue
            with the default instruments, on which nothing goes wrong by itself.
        venue: Which of the scenario's venues; None is its first.
        time_scale: How many seconds of the market and of the schedule pass in a real one. What
            clients send and see stays in real time.
        admin_token: What the admin endpoint asks for; None leaves it out.
        accounts: Who may trade.
        seed: Of the market, where no scenario gives one.
        tick_interval: Seconds of the market between two trades, where no scenario gives one.
        max_body: Bytes that a request, or a message on a WebSocket, may have.
        body_timeout: Real seconds that a request's body may take.
        idle_timeout: Real seconds that a connection may go without a whole request.
        max_backlog: Messages that may wait for a slow reader before its connection is cut.
    """

    host: str = "127.0.0.1"
    port: int = 0
    scenario: Scenario | None = None
    venue: str | None = None
    time_scale: float = 1.0
    admin_token: str | None = field(default=None, repr=False)
    accounts: tuple[WireAccount, ...] = (WireAccount(),)
    seed: int = 1
    tick_interval: float = 1.0
    max_body: int = 65_536
    body_timeout: float = 10.0
    idle_timeout: float = 60.0
    max_backlog: int = 1_000

    def __post_init__(self) -> None:
        if not 0.001 <= self.time_scale <= 1000:
            raise ValueError(
                f"expected a time scale from 0.001 to 1000, got time_scale={self.time_scale!r}; "
                "1 is real time"
            )
        if self.admin_token is not None and not self.admin_token:
            raise ValueError("expected an admin token of at least one character, or None for none")
