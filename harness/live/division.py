"""Who does what on a real network: which faults the proxy does, which the venue, and which nobody.

What is aimed at one operation or symbol, or at a share or number of requests, no proxy can do: it
sees connections and nothing of what they carry. The venue on the wire does those at its door.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.scenario import Occurrence, Scenario
from harness.toxiproxy import LIVE_TOXICS, SIMULATION_ONLY, VENUE_SIDE, live_fault

__all__ = ["Division", "divide", "mistakes", "unsupported"]


@dataclass(frozen=True, slots=True)
class Division:
    """The occurrences of a scenario by who does them; `left_out` has the reason by id."""

    proxied: tuple[Occurrence, ...]
    served: tuple[Occurrence, ...]
    left_out: Mapping[str, str]


def divide(occurrences: Iterable[Occurrence]) -> Division:
    """Divide a scenario's faults."""
    proxied, served, left_out = [], [], {}
    for each in occurrences:
        kind = each.fault.kind
        if kind in LIVE_TOXICS and not _is_aimed(each):
            proxied.append(each)
        elif kind in LIVE_TOXICS or kind in VENUE_SIDE:
            served.append(each)
        else:
            left_out[each.id] = SIMULATION_ONLY.get(kind, "nothing of live mode knows this kind")
    return Division(tuple(proxied), tuple(served), left_out)


def unsupported(scenario: Scenario) -> str:
    """Why a scenario cannot be driven live at all; "" when it can."""
    if len(scenario.venues) != 1:
        names = ", ".join(spec.name for spec in scenario.venues)
        return f"expected one venue, which is what live mode drives, got {names}"
    profile = scenario.venues[0].profile
    if profile != "binance":
        return f"expected profile binance, whose protocol the wire speaks, got {profile}"
    return ""


def mistakes(occurrences: Iterable[Occurrence]) -> tuple[str, ...]:
    """What the proxy could not be told: each setting beyond what its toxic can have, once."""
    found: dict[str, None] = {}
    for each in divide(occurrences).proxied:
        fault = each.fault
        try:
            live_fault(fault.kind, fault.variant or "", fault.parameters)
        except ValueError as error:
            found[f"{each.id.partition('#')[0]} ({fault.kind}): {error}"] = None
    return tuple(found)


def _is_aimed(occurrence: Occurrence) -> bool:
    fault = occurrence.fault
    return bool(
        fault.operation or fault.symbol or fault.side or fault.first or fault.probability < 1
    )
