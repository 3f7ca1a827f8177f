"""Faults of other packages.

A package adds kinds of its own through the entry point group `foxtrot_chaos.faults`: each entry
point names a subclass of `harness.faults.base.Fault` with a `kind`.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint

from harness.faults.base import Fault
from harness.faults.schema import FaultKind

__all__ = ["GROUP", "PluginError", "with_plugins"]

GROUP = "foxtrot_chaos.faults"


class PluginError(Exception):
    """Raised when an installed package offers a fault that cannot be used."""


def with_plugins(
    built_in: Iterable[type[Fault]], offered: Iterable[EntryPoint]
) -> dict[str, type[Fault]]:
    """All faults by the names of their kinds, ours first, then what is offered, by name.

    Raises:
        PluginError: One cannot be loaded, is no fault, or has the name of another.
    """
    faults = {fault.kind.name: fault for fault in built_in}
    for entry in sorted(offered, key=lambda each: (each.name, each.value)):
        fault = _loaded(entry)
        if fault.kind.name in faults:
            taken = faults[fault.kind.name]
            raise _useless(
                entry,
                f"a kind with a name of its own, kind={fault.kind.name!r} is that of "
                f"{taken.__module__}.{taken.__qualname__}",
            )
        faults[fault.kind.name] = fault
    return faults


def _loaded(entry: EntryPoint) -> type[Fault]:
    try:
        fault = entry.load()
    except Exception as exc:  # whatever a foreign module raises on import
        what = f"something that can be imported, got {type(exc).__name__}: {exc}"
        raise _useless(entry, what) from exc
    is_fault = isinstance(fault, type) and issubclass(fault, Fault)
    if not is_fault or not isinstance(getattr(fault, "kind", None), FaultKind):
        raise _useless(entry, f"a subclass of harness.faults.base.Fault with a kind, got {fault!r}")
    usable: type[Fault] = fault
    missing = ", ".join(sorted(usable.__abstractmethods__))
    if missing:
        raise _useless(entry, f"a fault that can be made, {fault!r} lacks {missing}")
    return usable


def _useless(entry: EntryPoint, expected: str) -> PluginError:
    package = f" of {entry.dist.name}" if entry.dist else ""
    return PluginError(
        f"entry point {entry.name!r}{package} ({GROUP}, {entry.value}): expected {expected}; "
        "mend or uninstall that package"
    )
