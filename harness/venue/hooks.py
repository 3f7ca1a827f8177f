"""Who a venue tells what it did: the history, and the faults that want proof of their effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["EventHook", "InterventionHook", "ignore_event", "ignore_intervention"]

#: (kind, id, outcome, details): one line of the history. Any: JSON.
EventHook = Callable[[str, str, str, dict[str, Any]], None]

#: (knob id, request or connection id, what was done to it).
InterventionHook = Callable[[str, str, str], None]


def ignore_event(_kind: str, _id: str, _outcome: str, _details: dict[str, Any]) -> None:
    """Keep no history."""


def ignore_intervention(_knob_id: str, _subject_id: str, _what: str) -> None:
    """Ask for no proof."""
