"""A live run beside its simulation as a table, with the bare client beside both where it ran.

One place, so that page and summary say the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.bare_facts import STALE_AFTER
from harness.report import wording
from harness.report.wording import NOTHING, SYMBOLS

if TYPE_CHECKING:
    from harness.bare_facts import BareFacts
    from harness.parity import Parity, Side

__all__ = ["Line", "bare_line", "columns", "findings", "headline", "lines", "overview"]

_COLUMNS = ("simulation", "live")
_BARE = "bare ccxt client"
_WRONG = ("Orders doubled", "Orders that client and venue have differently", "Positions apart")
_SHOWN = 4  # names in a cell; report.json has them all


@dataclass(frozen=True, slots=True)
class Line:
    """One row. `differs`: the two modes came to something else, and that is a finding."""

    label: str
    cells: tuple[str, ...]
    differs: bool = False


def columns(pairs: Sequence[Parity]) -> tuple[str, ...]:
    """The heads of the columns: the third where any bare client ran."""
    return (*_COLUMNS, _BARE) if any(pair.bare for pair in pairs) else _COLUMNS


def headline(pairs: Sequence[Parity]) -> str:
    """What came of the comparison, in one sentence."""
    found = len(findings(pairs))
    told = wording.count(found, "finding") if found else "no difference"
    scenarios = wording.count(len(pairs), "scenario")
    return f"{scenarios} driven live and in virtual time: {told}."


def findings(pairs: Sequence[Parity]) -> tuple[str, ...]:
    """Every difference, in words."""
    return tuple(line for pair in pairs for line in pair.differences)


def lines(pair: Parity) -> tuple[Line, ...]:
    """One scenario: what was compared first, then what is shown only."""
    return (*_compared(pair), *_shown(pair))


def overview(pair: Parity) -> tuple[str, str, str, str]:
    """One scenario in a row: verdict, classification, doubled or lost, time to recovery."""
    sides = (pair.simulated, pair.live)
    verdicts = [_verdict(side) for side in sides]
    kinds = _kinds(pair)
    told = [", ".join(f"{kind} as {_told(side, kind)}" for kind in kinds) for side in sides]
    wrong = [str(len(s.essence.doubled) + len(s.essence.lost)) for s in sides]
    mttr = " / ".join(_seconds(side.measures.mttr) for side in sides)
    return _both(verdicts), _both(told), _both(wrong), mttr


def bare_line(bare: BareFacts) -> str:
    """What went wrong with the bare client, in a line; that nothing did where nothing did."""
    wrong = [text for number, text in _wrongs(bare) if number]
    return ", ".join(wrong) if wrong else "nothing went wrong"


def _compared(pair: Parity) -> Iterator[Line]:
    """What is a finding where the modes differ."""
    sides = (pair.simulated, pair.live)
    wrong = [(s.essence.doubled, s.essence.lost, s.essence.apart) for s in sides]
    rows = [("Verdict", [_verdict(side) for side in sides])]
    rows += [
        (f"Errors of what {kind} touched", [_told(side, kind) for side in sides])
        for kind in _kinds(pair)
    ]
    rows += zip(_WRONG, ([_names(a), _names(b)] for a, b in zip(*wrong, strict=True)), strict=True)
    for label, cells in rows:
        yield Line(label, (*cells, *_third(pair.bare, label)), cells[0] != cells[1])


def _shown(pair: Parity) -> Iterator[Line]:
    """What chance has a part in."""
    sides = [side.measures for side in (pair.simulated, pair.live)]
    rows = (
        ("Orders at the venue", [f"{s.orders:,}" for s in sides]),
        ("Fills", [f"{s.fills:,}" for s in sides]),
        ("Positions at the venue", [_volumes(s.positions) for s in sides]),
        ("Mean time to recovery", [_seconds(s.mttr) for s in sides]),
    )
    for label, cells in rows:
        yield Line(label, (*cells, *_third(pair.bare, label)))
    if pair.bare is not None:
        for label, cell in _alone(pair.bare):
            yield Line(label, (NOTHING, NOTHING, cell))


def _third(bare: BareFacts | None, label: str) -> tuple[str, ...]:
    """The bare client's cell in a row; nothing where it did not run."""
    if bare is None:
        return ()
    doubled, lost, apart = _WRONG
    cells = {
        doubled: _names(bare.doubled),
        lost: _names(bare.lost),
        apart: _volumes(bare.apart),
        "Orders at the venue": f"{bare.orders:,}",
        "Fills": f"{bare.fills:,}",
    }
    return (_errors(bare) if label.startswith("Errors") else cells.get(label, NOTHING),)


def _alone(bare: BareFacts) -> Iterator[tuple[str, str]]:
    """What is counted for the bare client only: of the core each of these is an invariant."""
    yield "Intents given up", f"{len(bare.given_up)} of {bare.asked}"
    yield "Requests sent while told to wait", f"{bare.too_soon:,}"
    yield f"Orders at a price older than {STALE_AFTER:g} s", f"{bare.blind:,}"
    yield "Longest without a price", wording.seconds(bare.dark)


def _wrongs(bare: BareFacts) -> Iterator[tuple[int, str]]:
    doubled, lost, gone = len(bare.doubled), len(bare.lost), len(bare.given_up)
    yield doubled, f"{wording.count(doubled, 'order')} doubled"
    yield lost, f"{wording.count(lost, 'order')} booked wrongly"
    yield gone, f"{wording.count(gone, 'order')} given up"
    yield bare.too_soon, f"{wording.count(bare.too_soon, 'request')} sent while told to wait"
    yield bare.blind, f"{wording.count(bare.blind, 'order')} at a stale price"


def _kinds(pair: Parity) -> list[str]:
    return sorted({**pair.simulated.essence.categories, **pair.live.essence.categories})


def _told(side: Side, kind: str) -> str:
    found = side.essence.categories.get(kind, ())
    return " and ".join(each.replace("_", " ") for each in found) or "nothing"


def _verdict(side: Side) -> str:
    verdict = side.essence.verdict
    return f"{SYMBOLS[verdict]} {verdict.value}"


def _errors(bare: BareFacts) -> str:
    told = [f"{name} × {number}" for name, number in bare.errors.items()]  # noqa: RUF001 - times
    return ", ".join(told) or "nothing"


def _names(names: Sequence[str]) -> str:
    if not names:
        return "0"
    return f"{len(names)}: {', '.join(wording.first(names, _SHOWN))}"


def _volumes(volumes: Mapping[str, float]) -> str:
    told = [
        f"{symbol} {volume:+.8g}".replace("-", "\N{MINUS SIGN}")
        for symbol, volume in volumes.items()
    ]
    return ", ".join(wording.first(told, _SHOWN)) or "0"


def _seconds(duration: float | None) -> str:
    return NOTHING if duration is None else wording.seconds(duration)


def _both(texts: Sequence[str]) -> str:
    """What both modes say, once; each in turn where they differ."""
    first, second = texts
    return first if first == second else f"≠ {first} / {second}"
