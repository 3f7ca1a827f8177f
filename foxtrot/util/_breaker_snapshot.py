"""What of a breaker survives a restart: its state, and its deadlines as wall time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from foxtrot.util._breaker_core import BreakerCore
from foxtrot.util._breaker_records import BreakerMode, CircuitState

__all__ = ["deadline_of", "monotonic_of", "restore", "snapshot"]

_VERSION = 1


def snapshot(core: BreakerCore, now: float, wall: float) -> dict[str, Any]:
    """Describe the breaker as values that `json.dumps` takes.

    A deadline is kept twice: as wall time in epoch seconds, since monotonic time means nothing to
    another process, and as what remained, which bounds what a wall clock set back could make of it.
    Counts of the window, probes in flight and metrics are not kept.
    """
    return {
        "version": _VERSION,
        "name": core.name,
        "mode": core.mode.value,
        "state": core.effective_state(now).value,
        "failure_count": core.failure_count,
        "open_time": core.open_time,
        "open": deadline_of(core.open_until, now, wall),
        "hold": deadline_of(core.held_until, now, wall),
    }


def restore(core: BreakerCore, data: Mapping[str, Any], now: float, wall: float) -> None:
    """Bring `core` to what `snapshot` described, by the time that has passed since.

    Raises:
        ValueError: the snapshot is of another breaker or version, or no snapshot at all.
    """
    if (data.get("version"), data.get("name")) != (_VERSION, core.name):
        raise ValueError(
            f"expected a snapshot of breaker {core.name!r}, version {_VERSION}, "
            f"got name={data.get('name')!r}, version={data.get('version')!r}"
        )
    try:
        core.resume(**_resumed(core, data, now, wall), now=now)
    except (KeyError, TypeError, ValueError) as exc:
        raise ValueError(
            f"expected a snapshot as CircuitBreaker.snapshot() makes it, got {dict(data)!r}"
        ) from exc


def _resumed(core: BreakerCore, data: Mapping[str, Any], now: float, wall: float) -> dict[str, Any]:
    mode = BreakerMode(data["mode"])
    state = CircuitState(data["state"])
    grown = float(data["open_time"])
    is_forced = mode is BreakerMode.FORCED_OPEN
    return {
        "mode": mode,
        "state": state,
        "failure_count": int(data["failure_count"]),
        # Growth belongs to the outage that is on; without one, today's configuration holds.
        "open_time": core.rules.timeout if state is CircuitState.CLOSED else grown,
        "open_until": math.inf if is_forced else monotonic_of(data["open"], now, wall),
        "held_until": monotonic_of(data["hold"], now, wall),
    }


def deadline_of(until: float, now: float, wall: float) -> dict[str, float] | None:
    """A monotonic deadline as another process can read it; None for one that is over."""
    if not math.isfinite(until) or until <= now:
        return None
    return {"until": wall + (until - now), "remaining": until - now}


def monotonic_of(deadline: Mapping[str, float] | None, now: float, wall: float) -> float:
    """The deadline in this process's time. A wall clock that was set back makes it no longer."""
    if deadline is None:
        return -math.inf
    return now + min(float(deadline["remaining"]), deadline["until"] - wall)
