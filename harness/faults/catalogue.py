"""The catalogue: every kind of fault, by the name that scenarios use; ours, and those of others.

See `harness.faults.plugins` for how a package adds kinds of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from types import MappingProxyType

from harness.faults.authentication import ClockSkew, KeyRevoked, SessionExpired
from harness.faults.base import Fault
from harness.faults.connection import (
    Blackhole,
    Disconnect,
    Dns,
    Flap,
    Latency,
    MuteStream,
    Refuse,
    SlowLink,
    Tls,
    Truncated,
)
from harness.faults.gateway import ConnectivityLost, GatewayRestart
from harness.faults.market_data import Corrupt, CrossedBook, OutOfOrder, SequenceGap, Stale
from harness.faults.order_execution import (
    AckLost,
    CancelFilled,
    DuplicateFill,
    LateFill,
    OutOfOrderFill,
    PartialFill,
    Reject,
    SlowAck,
)
from harness.faults.plugins import GROUP, with_plugins
from harness.faults.rate_limit import Ban, OrderRate, RateLimit, ShrunkenQuota
from harness.faults.schema import FaultKind
from harness.faults.system import (
    BlockedLoop,
    ClockJump,
    ComponentCrash,
    HandlerException,
    Maintenance,
    ServerError,
)
from harness.faults.validation import Malformed, RenamedField

__all__ = ["BUILT_IN", "CATALOGUE", "FAULTS"]

BUILT_IN: tuple[type[Fault], ...] = (
    *(Disconnect, Refuse, Flap, Blackhole, Latency, SlowLink, Truncated, MuteStream, Dns, Tls),
    *(ConnectivityLost, GatewayRestart),
    *(RateLimit, Ban, ShrunkenQuota, OrderRate),
    *(Reject, AckLost, SlowAck, PartialFill, DuplicateFill, LateFill, OutOfOrderFill, CancelFilled),
    *(KeyRevoked, ClockSkew, SessionExpired),
    *(Stale, SequenceGap, Corrupt, OutOfOrder, CrossedBook),
    *(Malformed, RenamedField),
    *(ComponentCrash, HandlerException, BlockedLoop, ClockJump, Maintenance, ServerError),
)


FAULTS: Mapping[str, type[Fault]] = MappingProxyType(
    with_plugins(BUILT_IN, entry_points(group=GROUP))
)
CATALOGUE: Mapping[str, FaultKind] = MappingProxyType(
    {name: fault.kind for name, fault in FAULTS.items()}
)
