"""The table of sabotages: each a small patch of the core, and the check that has to see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from harness.world import World

__all__ = ["Hook", "Patch", "Room", "Sabotage", "wrap"]

Patch = Callable[[pytest.MonkeyPatch], None]
Hook = Callable[[World], None]


@dataclass(frozen=True, slots=True)
class Sabotage:
    """One way to break the core.

    Attributes:
        name: What is wrong with the core.
        breaks: What that does to its user.
        patch: Does it; called before the world is built.
        scenario: The scenario that has to catch it.
        check: The metric or invariant that has to go red.
        world: What is changed in the world, for the intact core as well, where the scenario alone
            is too kind.
    """

    name: str
    breaks: str
    patch: Patch
    scenario: str
    check: str
    world: Hook | None = None


@dataclass(slots=True)
class Room:
    """The sabotages of one part of the core.

    Calling it makes a decorator of patches, whose names and docstrings say what they break.
    """

    sabotages: list[Sabotage] = field(default_factory=list)

    def __call__(
        self, scenario: str, check: str, *, world: Hook | None = None
    ) -> Callable[[Patch], Patch]:
        def enter(patch: Patch) -> Patch:
            words = patch.__name__.replace("_", " ")
            breaks = " ".join((patch.__doc__ or "").split())
            self.sabotages.append(Sabotage(words, breaks, patch, scenario, check, world))
            return patch

        return enter

    def __iter__(self) -> Iterator[Sabotage]:
        return iter(self.sabotages)


def wrap(
    mp: pytest.MonkeyPatch, owner: Any, name: str, make: Callable[[Any], Any]
) -> None:  # Any: whatever is patched
    """Put `make(original)` in the place of `owner.name`."""
    mp.setattr(owner, name, make(getattr(owner, name)))
