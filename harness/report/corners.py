"""The coverage of the fault space as a matrix: a row per kind, a column per lane and state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.coverage import LANES, PHASES, SPACE, STATES, Cell, Coverage, Reach

__all__ = ["Corner", "CornerMatrix", "corner_matrix"]

_Columns = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Corner:
    """One kind, lane and breaker state: how many of its order phases were struck.

    `css` is "nil" where nothing can happen, else "full" for all, "some" for some, "gap" for none
    of the phases.
    """

    text: str
    css: str
    title: str


@dataclass(frozen=True, slots=True)
class CornerMatrix:
    """The whole matrix, and what it comes to. `columns` are the states of each lane in turn."""

    summary: str
    columns: _Columns
    rows: tuple[tuple[str, int, tuple[Corner, ...]], ...]
    idle: tuple[str, ...]
    unforeseen: tuple[str, ...]


def corner_matrix(coverage: Coverage, space: Mapping[str, Reach] = SPACE) -> CornerMatrix:
    """The matrix of the kinds that struck; the others are only named."""
    cells, empty = coverage.space(space), coverage.empty(space)
    idle = coverage.idle_kinds(space)
    possible = frozenset(cells)
    columns = tuple((lane, _states(lane, cells)) for lane in LANES)
    return CornerMatrix(
        summary=f"{len(cells) - len(empty):,} of {len(cells):,} corners reached",
        columns=tuple((lane, states) for lane, states in columns if states),
        rows=tuple(_row(kind, columns, coverage, possible) for kind in space if kind not in idle),
        idle=idle,
        unforeseen=tuple(map(str, coverage.unforeseen(space))),
    )


def _states(lane: str, cells: Iterable[Cell]) -> tuple[str, ...]:
    met = {cell.state for cell in cells if cell.lane == lane}
    return tuple(state for state in STATES if state in met)


def _row(
    kind: str, columns: _Columns, coverage: Coverage, possible: frozenset[Cell]
) -> tuple[str, int, tuple[Corner, ...]]:
    hits = sum(n for cell, n in coverage.hits.items() if cell.kind == kind)
    corners = tuple(
        _corner([Cell(kind, state, phase, lane) for phase in PHASES], coverage, possible)
        for lane, states in columns
        for state in states
    )
    return kind, hits, corners


def _corner(cells: list[Cell], coverage: Coverage, possible: frozenset[Cell]) -> Corner:
    there = [cell for cell in cells if cell in possible]
    if not there:
        return Corner("", "nil", "cannot happen")
    missing = [cell.phase for cell in there if cell not in coverage.hits]
    reached = len(there) - len(missing)
    struck = sum(coverage.hits.get(cell, 0) for cell in there)
    title = f"struck {struck:,} times" + (f"; never {', '.join(missing)}" if missing else "")
    css = "full" if not missing else "some" if reached else "gap"
    return Corner(f"{reached}/{len(there)}", css, f"{there[0].kind}, {there[0].lane}: {title}")
