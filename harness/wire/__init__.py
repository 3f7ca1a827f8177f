"""The simulated exchange on the wire, with Binance Spot's protocol. Needs the extra `wire`."""

from harness.wire.config import WireAccount, WireConfig
from harness.wire.server import WireServer, serve

__all__ = ["WireAccount", "WireConfig", "WireServer", "serve"]
