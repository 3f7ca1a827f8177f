"""The catalogue: every kind of fault, by the name that scenarios use."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from harness.faults.base import Fault
from harness.faults.connection import Blackhole, Disconnect, Latency, Refuse
from harness.faults.order_execution import AckLost, Reject
from harness.faults.rate_limit import Ban, RateLimit
from harness.faults.schema import FaultKind
from harness.faults.system import Maintenance

__all__ = ["CATALOGUE", "FAULTS"]

FAULTS: Mapping[str, type[Fault]] = MappingProxyType(
    {
        fault.kind.name: fault
        for fault in (
            AckLost,
            Ban,
            Blackhole,
            Disconnect,
            Latency,
            Maintenance,
            RateLimit,
            Refuse,
            Reject,
        )
    }
)
CATALOGUE: Mapping[str, FaultKind] = MappingProxyType(
    {name: fault.kind for name, fault in FAULTS.items()}
)
