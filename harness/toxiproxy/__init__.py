"""Faults of the real network, by a real toxiproxy-server: one small seam over toxiproxy-python."""

from harness.toxiproxy.address import Address, free_port
from harness.toxiproxy.aio import AsyncProxy, AsyncToxiproxy
from harness.toxiproxy.client import PREFIX, Toxiproxy
from harness.toxiproxy.errors import (
    ToxiproxyError,
    ToxiproxyMismatchError,
    ToxiproxyMissingError,
    ToxiproxyRefusedError,
    ToxiproxyUnreachableError,
)
from harness.toxiproxy.find import HOW_TO_GET, find_server, open_toxiproxy
from harness.toxiproxy.live import (
    LIVE_TOXICS,
    SIMULATION_ONLY,
    VENUE_SIDE,
    LiveFault,
    how_live,
    live_fault,
)
from harness.toxiproxy.proxy import Imposed, InstalledToxic, Proxy, ProxyState
from harness.toxiproxy.run_file import RunFile, default_directory
from harness.toxiproxy.server import ToxiproxyServer
from harness.toxiproxy.toxics import (
    TOXICS,
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
    Toxic,
    make_toxic,
)
from harness.toxiproxy.transport import Transport

__all__ = [
    "HOW_TO_GET",
    "LIVE_TOXICS",
    "PREFIX",
    "SIMULATION_ONLY",
    "TOXICS",
    "VENUE_SIDE",
    "Address",
    "AsyncProxy",
    "AsyncToxiproxy",
    "Bandwidth",
    "Direction",
    "Disabled",
    "Imposable",
    "Imposed",
    "InstalledToxic",
    "Latency",
    "LimitData",
    "LiveFault",
    "Proxy",
    "ProxyState",
    "ResetPeer",
    "RunFile",
    "Slicer",
    "SlowClose",
    "Timeout",
    "Toxic",
    "Toxiproxy",
    "ToxiproxyError",
    "ToxiproxyMismatchError",
    "ToxiproxyMissingError",
    "ToxiproxyRefusedError",
    "ToxiproxyServer",
    "ToxiproxyUnreachableError",
    "Transport",
    "default_directory",
    "find_server",
    "free_port",
    "how_live",
    "live_fault",
    "make_toxic",
    "open_toxiproxy",
]
