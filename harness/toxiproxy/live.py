"""How each kind of fault in the catalogue happens on a real network.

Three tables, and a kind is in one of them: what a proxy can do (`LIVE_TOXICS`), what the venue on
the wire does itself (`VENUE_SIDE`), and what only the simulation has (`SIMULATION_ONLY`), with
the reason. A proxy knows connections and nothing of what they carry: whatever is aimed at one
operation or symbol, or at a share or number of requests, is beyond it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from harness.toxiproxy.toxics import (
    Bandwidth,
    Direction,
    Disabled,
    Imposable,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
)

__all__ = [
    "LIVE_TOXICS",
    "SIMULATION_ONLY",
    "VENUE_SIDE",
    "LiveFault",
    "how_live",
    "live_fault",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFault:
    """What to do to a proxy, for as long as the fault lasts.

    Attributes:
        fault: What is imposed.
        drops: Whether the open connections are closed first.
        hangs_up: Whether the venue ends its streams as soon as it is imposed.
        parameters: The fault's settings by the catalogue's parameter that gives them, both in the
            same unit.
        cycle: The catalogue's parameters that say for how long it is imposed and then lifted, over
            and over; empty where it stays.
        differs: Where it is not quite what the simulation does; empty if nowhere.
    """

    fault: Imposable
    drops: bool = False
    hangs_up: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)
    cycle: tuple[str, ...] = ()
    differs: str = ""

    def with_parameters(self, values: Mapping[str, float | int | str]) -> LiveFault:
        """The same, with the settings that a scenario gives.

        Raises:
            ValueError: A value is out of the toxic's range.
        """
        given = {
            setting: values[parameter]
            for parameter, setting in self.parameters.items()
            if parameter in values
        }
        changed: Imposable = dataclasses.replace(self.fault, **given)  # type: ignore[arg-type]  # each is checked by the toxic itself
        return dataclasses.replace(self, fault=changed)


_ACCEPTS = "the proxy accepts the connection: a connect that hangs cannot be had"

LIVE_TOXICS: Mapping[str, Mapping[str, LiveFault]] = MappingProxyType(
    {
        "blackhole": {
            "": LiveFault(
                fault=Timeout(direction=Direction.BOTH),
                differs=f"{_ACCEPTS}; connections held are closed when it ends",
            ),
        },
        "disconnect": {
            "reset": LiveFault(
                fault=ResetPeer(direction=Direction.BOTH),
                drops=True,
                differs="open connections end cleanly; each new one is reset at its first data",
            ),
            "clean": LiveFault(
                fault=Disabled(), differs="the stream ends without a WebSocket close frame"
            ),
            "lingering": LiveFault(
                fault=SlowClose(delay=2.0, direction=Direction.BOTH),
                hangs_up=True,
                parameters={"delay": "delay"},
                differs="whatever else is closed meanwhile is closed late, too",
            ),
        },
        "flap": {
            "": LiveFault(fault=Disabled(), cycle=("down", "up")),
        },
        "latency": {
            "": LiveFault(
                fault=Latency(latency=2.0, jitter=0.5, direction=Direction.BOTH),
                parameters={"delay": "latency", "jitter": "jitter"},
                differs="drawn by the server for each chunk, not by the seed",
            ),
        },
        "refuse": {
            "": LiveFault(
                fault=Disabled(), differs="the open stream is closed too; the proxy is one listener"
            ),
        },
        "slow_link": {
            "narrow": LiveFault(
                fault=Bandwidth(rate=600, direction=Direction.BOTH),
                parameters={"rate": "rate"},
                differs="in thousands of bytes per second, of which it has at least one",
            ),
            "sliced": LiveFault(
                fault=Slicer(average_size=16, delay=0.01, direction=Direction.BOTH),
                parameters={"size": "average_size", "delay": "delay"},
                differs="where the pieces are cut is up to the server where it varies",
            ),
        },
        "truncated": {
            "": LiveFault(
                fault=LimitData(bytes=256, direction=Direction.DOWN),
                differs="counted per connection, so that a kept one breaks in a later reply",
            ),
        },
    }
)
"""By kind and variant; the first variant is what a scenario means that names none."""

VENUE_SIDE: frozenset[str] = frozenset(
    {
        "ack_lost",
        "ban",
        "cancel_filled",
        "clock_skew",
        "duplicate_fill",
        "key_revoked",
        "maintenance",
        "malformed",
        "mute_stream",
        "order_rate",
        "partial_fill",
        "rate_limit",
        "reject",
        "renamed_field",
        "server_error",
        "session_expired",
        "shrunken_quota",
        "slow_ack",
        "stale",
    }
)
"""Kinds that are in what the venue says, not in how it travels."""

_NOT_IN_TICKERS = "the ticker stream that ccxt listens to on Binance has no such thing as"
_NOT_NUMBERED = "Binance numbers nothing on a user's stream: that a fill is late cannot be told"

SIMULATION_ONLY: Mapping[str, str] = MappingProxyType(
    {
        "blocked_loop": "it stops the client's own event loop, and with it whoever would end it",
        "clock_jump": "it would move the clock of the machine, for everybody on it",
        "component_crash": "it is a part of the client's process, which no network reaches",
        "connectivity_lost": "it is IB's own message, and the wire speaks Binance's protocol",
        "corrupt": "ccxt swallows what it cannot read, and its adapter takes any price as it is",
        "crossed_book": f"{_NOT_IN_TICKERS} a bid and an ask",
        "dns": "a proxy is connected to by address: no name is looked up on the way",
        "gateway_restart": "Futu's gateway is a process of its own, which the wire does not have",
        "handler_exception": "it is code of the client's process, which no network reaches",
        "late_fill": _NOT_NUMBERED,
        "out_of_order": f"{_NOT_IN_TICKERS} a number that tells the order",
        "out_of_order_fill": _NOT_NUMBERED,
        "sequence_gap": f"{_NOT_IN_TICKERS} a number whose absence could be noticed",
        "tls": "Toxiproxy passes TLS on unopened, and the venue on the wire speaks plain text",
    }
)
"""Kinds that live mode leaves out, each with the reason: neither the proxy nor the venue can
express it, or no client of ccxt could see it."""


def how_live(kind: str) -> str:
    """Who does a kind of the catalogue on a real network, in words; or why nobody can.

    Raises:
        LookupError: There is no such kind.
    """
    if kind in SIMULATION_ONLY:
        return f"Simulation-only: {SIMULATION_ONLY[kind]}."
    if kind in VENUE_SIDE:
        return "Live by the venue on the wire itself."
    if kind not in LIVE_TOXICS:
        raise LookupError(f"expected a kind of the catalogue, got {kind!r}")
    ways = [
        f"{name or kind} by {_way_of(each)}" + (f" ({each.differs})" if each.differs else "")
        for name, each in LIVE_TOXICS[kind].items()
    ]
    return f"Live by Toxiproxy: {'; '.join(ways)}."


def _way_of(fault: LiveFault) -> str:
    imposed = fault.fault
    return "the disabled proxy" if isinstance(imposed, Disabled) else f"the {imposed.type} toxic"


def live_fault(
    kind: str, variant: str = "", parameters: Mapping[str, float | int | str] | None = None
) -> LiveFault:
    """What a proxy does for a fault of the catalogue.

    Raises:
        LookupError: A proxy cannot express it; says why.
        ValueError: A parameter is out of the toxic's range.
    """
    if kind in SIMULATION_ONLY:
        raise LookupError(f"{kind} is simulation-only: {SIMULATION_ONLY[kind]}")
    if kind in VENUE_SIDE:
        raise LookupError(f"{kind} is done by the venue on the wire, not by a proxy")
    variants = LIVE_TOXICS.get(kind, {})
    chosen = variant or next(iter(variants), "")
    if chosen not in variants:
        raise LookupError(f"expected a kind and variant that live mode knows, got {kind}/{variant}")
    return variants[chosen].with_parameters(parameters or {})
