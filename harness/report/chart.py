"""The geometry of the page's figures: numbers for the template to draw, in no library's terms.

Horizontal positions are percent of the figure's width and vertical ones pixels, so that a figure
fits any page while its text keeps its size. Drawn by hand rather than by plotly: plotly.js is
4.6 MB of script in each report, and what these figures need of interaction, a hint under the
pointer, is one `<title>`. So the page is small, prints, and works where CI forbids scripts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.report.wording import clock_time, count, round_time, seconds, visible

if TYPE_CHECKING:
    from harness.timeline import BreakerSpan, Downtime, FaultWindow, Incident, OrderMark, Timeline

__all__ = ["Bar", "Chart", "Label", "Lane", "Tick", "distribution", "lasting", "timeline_chart"]

# A page 800 px wide leaves this much for the tracks: what fits there fits on any wider one.
_NARROWEST_TRACK = 540
_CHARACTER = 6.4  # px, of the figures' 11 px text; generous, since fonts differ
_BAND = 18  # px, height of one row of bars
_GAP = 12  # px, between groups of lanes
_AXIS = 24
_BINS = 120
_BIN_HEIGHT = 22


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle: `css` says what it stands for, `title` says it in words."""

    css: str
    x: float
    width: float
    y: float
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class Label:
    """A piece of text inside a figure; `anchor` is SVG's text-anchor."""

    x: float
    y: float
    anchor: str
    text: str
    css: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """A named row, for the gutter beside the figure."""

    name: str
    y: float
    height: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the time axis."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure, ready to draw. `summary` is what a reader who cannot see it is told."""

    height: float
    bars: tuple[Bar, ...]
    labels: tuple[Label, ...]
    lanes: tuple[Lane, ...]
    ticks: tuple[Tick, ...]
    bands: tuple[Bar, ...]
    summary: str


class _Sheet:
    """Where the lanes of one timeline are laid out, from the top down."""

    def __init__(self, horizon: float) -> None:
        self.horizon = max(horizon, 1e-9)
        self.y = 4.0
        self.bars: list[Bar] = []
        self.labels: list[Label] = []
        self.lanes: list[Lane] = []

    def x(self, at: float) -> float:
        return round(100 * min(max(at / self.horizon, 0.0), 1.0), 3)

    def bar(self, css: str, begin: float, end: float, y: float, height: float, title: str) -> None:
        left = self.x(begin)
        self.bars.append(Bar(css, left, round(self.x(end) - left, 3), y, height, title))

    def lane(self, name: str, height: float, note: str = "") -> None:
        self.lanes.append(Lane(name, self.y, height, note))
        self.y += height

    def gap(self) -> None:
        if self.lanes:
            self.y += _GAP


def timeline_chart(timeline: Timeline) -> Chart:
    """Lay out one scenario: faults, breakers, incidents, orders, over one axis of virtual time."""
    sheet = _Sheet(timeline.horizon)
    _faults(sheet, timeline.faults)
    _breakers(sheet, timeline.breakers)
    _incidents(sheet, timeline.incidents)
    _downtimes(sheet, timeline.downtimes)
    _orders(sheet, timeline.orders)
    return Chart(
        height=sheet.y + _AXIS,
        bars=tuple(sheet.bars),
        labels=tuple(sheet.labels),
        lanes=tuple(sheet.lanes),
        ticks=_ticks(timeline.horizon),
        bands=_bands(sheet, timeline.faults),
        summary=_summary(timeline),
    )


@dataclass(frozen=True, slots=True)
class _Span:
    """Something with a begin, an end and a text, which must not run into its neighbours."""

    css: str
    begin: float
    end: float
    text: str
    title: str
    light_until: float = 0.0  # up to here the bar is drawn pale


def _faults(sheet: _Sheet, faults: Sequence[FaultWindow]) -> None:
    spans = [
        _Span(
            css=f"fault {visible(fault.category)}{'' if fault.fired else ' idle'}",
            begin=fault.begin,
            end=fault.end,
            text=visible(fault.kind) + ("" if fault.fired else " (never fired)"),
            title=_fault_title(fault),
        )
        for fault in faults
    ]
    _packed(sheet, "Faults", spans)


def _fault_title(fault: FaultWindow) -> str:
    when = f"{clock_time(fault.begin)} to {clock_time(fault.end)}"
    fired = f"fired {count(fault.fired, 'time')}" if fault.fired else "never fired"
    return visible(f"{fault.id}: {fault.kind} ({fault.category}), {when}, {fired}")


def _incidents(sheet: _Sheet, incidents: Sequence[Incident]) -> None:
    sheet.gap()
    spans = [_incident_span(sheet.horizon, incident) for incident in incidents]
    _packed(sheet, "Incidents", spans)


def _incident_span(horizon: float, incident: Incident) -> _Span:
    lasted, ended = lasting(incident, horizon)
    text = seconds(lasted) if ended else f"≥ {seconds(lasted)}, not restored"
    if incident.escalated is not None:
        text += ", operator called"
    return _Span(
        css="incident" if ended else "incident open-ended",
        begin=incident.begin,
        end=incident.begin + lasted,
        text=text,
        title=_incident_title(incident, text),
        light_until=incident.begin if incident.cleared is None else incident.cleared,
    )


def _incident_title(incident: Incident, text: str) -> str:
    moments = (
        ("detected", incident.detected),
        ("fault cleared", incident.cleared),
        ("operator called", incident.escalated),
        ("restored", incident.restored),
    )
    told = [f"{word} at {clock_time(at)}" for word, at in moments if at is not None]
    head = f"{incident.fault_id} on {incident.adapter}: {text}; from {clock_time(incident.begin)}"
    return visible(", ".join([head, *told]))


def lasting(incident: Incident, horizon: float) -> tuple[float, bool]:
    """How long the incident lasted, and whether it ended; one that did not, up to `horizon`."""
    ended = incident.restored is not None
    end = horizon if incident.restored is None else incident.restored
    return max(0.0, end - incident.begin), ended


def _packed(sheet: _Sheet, name: str, spans: Sequence[_Span]) -> None:
    """Bars in as few rows as their texts allow, first come first placed."""
    top, free = sheet.y, list[float]()
    for span in sorted(spans, key=lambda span: (span.begin, span.end)):
        placed = _text_place(sheet, span)
        row = next((i for i, edge in enumerate(free) if edge <= placed.left), len(free))
        free[row : row + 1] = [placed.right]
        y = top + row * _BAND
        turn = min(max(span.light_until, span.begin), span.end)
        if turn > span.begin:
            sheet.bar(f"{span.css} light", span.begin, turn, y + 2, _BAND - 5, span.title)
        sheet.bar(span.css, turn, span.end, y + 2, _BAND - 5, span.title)
        sheet.labels.append(Label(placed.x, y + 12, placed.anchor, span.text, placed.css))
    if spans:
        sheet.lane(name, len(free) * _BAND)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a span's text goes, and the stretch that bar and text take together, in percent."""

    x: float
    anchor: str
    left: float
    right: float
    css: str = ""


def _text_place(sheet: _Sheet, span: _Span) -> _Place:
    """Inside the dark part of the bar, else right of it, else left of it, else across it."""
    left, right = sheet.x(span.begin), sheet.x(span.end)
    dark = sheet.x(max(span.light_until, span.begin))
    text = 100 * (len(span.text) * _CHARACTER + 10) / _NARROWEST_TRACK
    if right - dark >= text:
        return _Place((dark + right) / 2, "middle", left, right + 0.3, css="inside")
    if right + text <= 100:
        return _Place(right + 0.6, "start", left, right + text)
    if text <= left:
        return _Place(left - 0.6, "end", left - text, right + 0.3)
    return _Place(max((left + right) / 2, text / 2), "middle", left, right + 0.3)


def _breakers(sheet: _Sheet, spans: Sequence[BreakerSpan]) -> None:
    sheet.gap()
    for name in dict.fromkeys(span.name for span in spans):
        own = [span for span in spans if span.name == name]
        lane = f"{own[0].adapter} {own[0].lane}" if own[0].lane else name
        for span in own:
            _breaker_bar(sheet, lane, span)
        sheet.lane(visible(lane), _BAND)


def _breaker_bar(sheet: _Sheet, lane: str, span: BreakerSpan) -> None:
    state = span.state.replace("_", " ")
    title = f"{lane} breaker {state}, {clock_time(span.begin)} to {clock_time(span.end)}"
    y, height = (8, 2) if span.state == "closed" else (3, _BAND - 6)
    css = f"breaker {visible(span.state)}"
    sheet.bar(css, span.begin, span.end, sheet.y + y, height, visible(title))


def _downtimes(sheet: _Sheet, downtimes: Sequence[Downtime]) -> None:
    sheet.gap()
    for adapter in sorted({down.adapter for down in downtimes}):
        for down in (down for down in downtimes if down.adapter == adapter):
            span = f"{clock_time(down.begin)} to {clock_time(down.end)}"
            title = f"{adapter} found down by the probe, {span}, {seconds(down.end - down.begin)}"
            sheet.bar("down", down.begin, down.end, sheet.y + 5, _BAND - 10, visible(title))
        sheet.lane(visible(f"{adapter} down"), _BAND)


# The order of how well it went, not of the alphabet.
_OUTCOMES = ("ok", "failed", "blocked", "unknown")


def _orders(sheet: _Sheet, orders: Sequence[OrderMark]) -> None:
    sheet.gap()
    rest = {order.outcome for order in orders} - set(_OUTCOMES)
    for_rows = (*_OUTCOMES, *sorted(rest)) if orders else ()
    counts = {outcome: _binned(sheet.horizon, orders, outcome) for outcome in for_rows}
    peak = max((max(bins) for bins in counts.values()), default=1)
    for outcome, bins in counts.items():
        _order_bars(sheet, outcome, bins, peak)
        sheet.lane(visible(f"Orders {outcome}"), _BIN_HEIGHT, f"{sum(bins):,}")


def _order_bars(sheet: _Sheet, outcome: str, bins: Sequence[int], peak: int) -> None:
    width, floor = sheet.horizon / _BINS, sheet.y + _BIN_HEIGHT
    for index, number in enumerate(bins):
        if number:
            begin = index * width
            # The root keeps one unknown order visible beside a hundred good ones.
            height = round(3 + (_BIN_HEIGHT - 5) * math.sqrt(number / peak), 1)
            title = visible(f"{count(number, 'order')} {outcome}, {clock_time(begin)}")
            css = f"order {visible(outcome)}"
            sheet.bar(css, begin, begin + 0.8 * width, floor - height, height, title)


def _binned(horizon: float, orders: Iterable[OrderMark], outcome: str) -> list[int]:
    bins = [0] * _BINS
    for order in orders:
        if order.outcome == outcome:
            bins[_bin(order.at, horizon, _BINS)] += order.number
    return bins


def _bin(value: float, top: float, bins: int) -> int:
    return min(max(int(bins * value / max(top, 1e-9)), 0), bins - 1)


def _bands(sheet: _Sheet, faults: Sequence[FaultWindow]) -> tuple[Bar, ...]:
    """A faint band down the whole figure under each fault, so that the eye needs no ruler."""
    return tuple(
        Bar(
            css=f"band {visible(fault.category)}",
            x=sheet.x(fault.begin),
            width=round(sheet.x(fault.end) - sheet.x(fault.begin), 3),
            y=0,
            height=sheet.y,
            title=_fault_title(fault),
        )
        for fault in faults
        if fault.fired
    )


def _ticks(horizon: float) -> tuple[Tick, ...]:
    step = _tick_step(horizon)
    return tuple(
        Tick(round(100 * index * step / max(horizon, 1e-9), 3), clock_time(index * step))
        for index in range(int(horizon / step) + 1)
    )


def _tick_step(horizon: float) -> float:
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200)
    return next((step for step in steps if horizon / step <= 10), 86400.0)


def _summary(timeline: Timeline) -> str:
    fired = sum(bool(fault.fired) for fault in timeline.faults)
    left = sum(incident.restored is None for incident in timeline.incidents)
    orders = sum(order.number for order in timeline.orders)
    return (
        f"Timeline of {seconds(timeline.horizon)}: "
        f"{fired} of {count(len(timeline.faults), 'fault')} fired, "
        f"{count(len(timeline.incidents), 'incident')}, {left} not restored, "
        f"{count(orders, 'order')}."
    )


def distribution(values: Sequence[tuple[float, bool]], *, limit: float) -> Chart | None:
    """A dot per incident by how long it lasted, stacked, against `limit`; None without incidents.

    Each value is a duration and whether it ended. One that did not is drawn at what it had
    reached, as another shape.
    """
    if not values:
        return None
    top = 1.08 * max(limit, *(duration for duration, _ in values))
    columns: dict[int, list[tuple[float, bool]]] = {}
    for duration, ended in sorted(values):
        columns.setdefault(_bin(duration, top, 90), []).append((duration, ended))
    size, tallest = 8.0, max(len(column) for column in columns.values())
    floor = 14 + size * tallest
    dots = [
        Bar(
            css="dot" if ended else "dot open-ended",
            x=round(100 * (index + 0.5) / 90, 3),
            width=size,
            y=floor - size * (rank + 0.5),
            height=size,
            title=f"{'' if ended else 'not restored after '}{seconds(duration)}",
        )
        for index, column in columns.items()
        for rank, (duration, ended) in enumerate(column)
    ]
    step = _tick_step(top)
    ticks = [
        Tick(round(100 * i * step / top, 3), round_time(i * step))
        for i in range(int(top / step) + 1)
    ]
    at = round(100 * limit / top, 3)
    anchor, offset = ("end", -0.5) if at > 80 else ("start", 0.5)
    return Chart(
        height=floor + _AXIS,
        bars=tuple(dots),
        labels=(Label(at + offset, 10, anchor, f"target {round_time(limit)}", "limit"),),
        lanes=(),
        ticks=tuple(ticks),
        bands=(Bar("limit", at, 0, 0, floor, f"target {round_time(limit)}"),),
        summary=f"{count(len(values), 'incident')} by time to recovery.",
    )
