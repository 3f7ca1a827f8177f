"""The catalogue in words, for who reads it in a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.faults.schema import FaultKind, ParameterSpec

__all__ = ["Row", "example", "explain", "listing"]

_WIDTH = 88


@dataclass(frozen=True, slots=True)
class Row:
    """One kind, as a line of the list shows it."""

    kind: str
    categories: str
    variants: str
    summary: str


def listing(catalogue: Mapping[str, FaultKind]) -> tuple[Row, ...]:
    """A row for each kind, in the catalogue's order."""
    return tuple(
        Row(name, _categories(kind), ", ".join(kind.variants), _first_sentence(kind.doc))
        for name, kind in catalogue.items()
    )


def explain(kind: FaultKind, *, live: str = "") -> str:
    """All about one kind: what happens, what is right, its settings, and an example to paste.

    `live` says who does it on a real network, in a sentence.
    """
    parts = [
        f"{kind.name}: {_categories(kind)}",
        _paragraph(kind.doc),
        _titled("A right client", kind.remedy),
        _titled("Written down in", kind.source),
        _titled("In a run", " ".join(_consequences(kind))),
        _titled("On a real network", live),
        _list("Variants", [f"{name}{_default(n)}" for n, name in enumerate(kind.variants)]),
        _list("Settings", [_setting(name, spec) for name, spec in kind.parameters.items()]),
        _titled("Can be narrowed down by", ", ".join(kind.aims) or "nothing: it hits everything."),
        f"Example:\nfaults:\n  - {example(kind)}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def example(kind: FaultKind) -> str:
    """An entry of a scenario's `faults`, with every setting at its default."""
    entry = {
        "kind": kind.name,
        **({"variant": kind.variants[0]} if kind.variants else {}),
        "venue": "BINANCE",
        "at": "1m",
        **({} if kind.instant else {"for": "20s"}),
        **{name: spec.written() for name, spec in kind.parameters.items()},
    }
    return "{" + ", ".join(f"{key}: {value}" for key, value in entry.items()) + "}"


def _categories(kind: FaultKind) -> str:
    return " or ".join(category.value for category in kind.categories)


def _consequences(kind: FaultKind) -> Iterable[str]:
    yield f"Right is an error of category {_categories(kind)}."
    if kind.blocks:
        what = "Nothing" if "*" in kind.blocks else f"None of {', '.join(kind.blocks)}"
        yield f"{what} can succeed while it lasts."
    if kind.connection:
        yield "It counts for the mean time to recovery."
    yield (
        "The core must be over it by itself once it has cleared."
        if kind.recoverable
        else "There is nothing that the core could recover by itself."
    )
    if kind.ends_by_client:
        yield "It has to be ended by the client, before its planned end does it."
    if kind.must_escalate:
        yield "A person must be told."
    if kind.numbered:
        yield "It takes a venue that numbers what it pushes."
    if kind.everywhere:
        yield "It hits the whole client, whatever the venue."


def _first_sentence(text: str) -> str:
    return text.partition(": ")[0].partition(". ")[0].rstrip(".") + "."


def _default(number: int) -> str:
    return "  (unless another is named)" if number == 0 else ""


def _setting(name: str, spec: ParameterSpec) -> str:
    choices = f" ({', '.join(spec.choices)})" if spec.choices else ""
    return f"{name}: {spec.type}{choices}, {spec.written()} by default. {spec.doc}"


def _titled(title: str, text: str) -> str:
    return _paragraph(f"{title}: {text}") if text else ""


def _paragraph(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_on_hyphens=False)


def _list(title: str, items: list[str]) -> str:
    if not items:
        return ""
    lines = (
        textwrap.fill(item, _WIDTH, initial_indent="  ", subsequent_indent="    ") for item in items
    )
    return "\n".join([f"{title}:", *lines])
