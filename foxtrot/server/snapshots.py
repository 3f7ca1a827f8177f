"""What of an engine must survive a restart: its breakers, and what venues asked it to wait for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foxtrot.server.connection import AdapterConnection
from foxtrot.server.gate import RateGate
from foxtrot.server.routes import Routes

__all__ = ["restore", "snapshot"]

_VERSION = 1


def snapshot(
    gates: Mapping[str, RateGate], connections: Mapping[str, AdapterConnection]
) -> dict[str, Any]:  # Any: JSON
    """The state of all of them, as values that `json.dumps` takes."""
    return {
        "version": _VERSION,
        "adapters": {name: each.guard.snapshot() for name, each in connections.items()},
        "gates": {scope: gate.snapshot() for scope, gate in gates.items()},
    }


def restore(data: Mapping[str, Any], gates: Mapping[str, RateGate], routes: Routes) -> None:
    """Take over a snapshot: nothing of one that is of something that is not there.

    Raises:
        LookupError: It is of an adapter, or of a rate limit scope, that was not added.
        ValueError: It is no snapshot, or of another version.
    """
    _check(data)
    for scope in data["gates"]:
        if scope not in gates:
            known = ", ".join(gates) or "none"
            raise LookupError(
                f"expected the rate limit scope of an added adapter (there are: {known}), got "
                f"{scope=}; add its adapter before the snapshot is restored"
            )
    guards = {name: routes.connection(name).guard for name in data["adapters"]}
    for scope, gate in data["gates"].items():
        gates[scope].restore(gate)
    for name, guard in guards.items():
        guard.restore(data["adapters"][name])


def _check(data: object) -> None:
    version = data.get("version") if isinstance(data, Mapping) else None
    is_whole = (
        isinstance(data, Mapping)
        and version == _VERSION
        and _is_nested(data.get("gates"), 1)
        and _is_nested(data.get("adapters"), 2)
    )
    if not is_whole:
        got = f"{version=}" if version != _VERSION else "another form of it"
        raise ValueError(
            f"expected a snapshot as MainEngine.snapshot() makes it, version {_VERSION}, got {got}"
        )


def _is_nested(data: object, depth: int) -> bool:
    """Whether it is a mapping, and so is what is in it, down to `depth`."""
    if not isinstance(data, Mapping):
        return False
    return depth == 0 or all(_is_nested(each, depth - 1) for each in data.values())
