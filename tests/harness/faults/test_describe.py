"""The catalogue in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.faults.catalogue import CATALOGUE
from harness.faults.describe import Row, example, explain, listing
from harness.scenario import load

STORY = """\
scenario: pasted
proves: what the help prints can be used
duration: 5m
venues:
  - name: BINANCE
    profile: binance
    symbols:
      BTCUSDT: {{price: 60000}}
faults:
  - {}
"""


def test_listing_has_a_row_for_each_kind_in_the_order_of_the_catalogue() -> None:
    """A row says what the kind is called, comes in, counts as, and does."""
    rows = listing(CATALOGUE)
    assert [row.kind for row in rows] == list(CATALOGUE)
    assert (
        Row(
            kind="clock_jump",
            categories="system or authentication",
            variants="forward, back",
            summary="NTP, a person or a resumed machine sets the wall clock.",
        )
        in rows
    )


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=lambda kind: kind.name)
def test_example_of_a_kind_is_taken_as_it_is_printed(tmp_path: Path, kind) -> None:
    """What one pastes from the help loads, with every setting as the kind has it."""
    path = tmp_path / "pasted.yaml"
    path.write_text(STORY.format(example(kind)))
    (fault,) = load(path, catalogue=CATALOGUE).faults
    assert fault.kind == kind.name
    assert fault.parameters == {name: spec.default for name, spec in kind.parameters.items()}


def test_explanation_says_everything_about_a_kind() -> None:
    """What happens, what is right, the source, the consequences, the settings, an example."""
    assert (
        explain(CATALOGUE["handler_exception"])
        == """\
handler_exception: system

A strategy's own code raises while it is handed a tick, an order or a fill.

A right client: Keep it from the adapter and from the other subscribers, who get every
event all the same; and tell a person, since a strategy that fails on every event is
blind.

Written down in: vnpy's EventEngine calls handlers bare on its one thread, which a raise
ends.

In a run: Right is an error of category system. The core must be over it by itself once
it has cleared. A person must be told. It hits the whole client, whatever the venue.

Settings:
  event: text (tick, order, trade), tick by default. At which events.

Can be narrowed down by: nothing: it hits everything.

Example:
faults:
  - {kind: handler_exception, venue: BINANCE, at: 1m, for: 20s, event: tick}
"""
    )


def test_explanation_of_a_kind_with_variants_names_the_usual_one() -> None:
    """The first is what a file means that names none."""
    assert "Variants:\n  reset  (unless another is named)\n  clean\n" in explain(
        CATALOGUE["disconnect"]
    )


def test_aim_that_a_kind_does_not_heed_is_refused(tmp_path: Path) -> None:
    """A file that narrows down what cannot be narrowed down would prove less than it says."""
    path = tmp_path / "pasted.yaml"
    path.write_text(STORY.format("{kind: maintenance, venue: BINANCE, at: 1m, side: BUY}"))
    with pytest.raises(Exception, match="maintenance can be narrowed down by nothing"):
        load(path, catalogue=CATALOGUE)


def test_explanation_says_what_only_the_client_can_end() -> None:
    words = " ".join(explain(CATALOGUE["component_crash"]).split())
    assert "It has to be ended by the client, before its planned end does it." in words
    assert "ended by the client" not in explain(CATALOGUE["handler_exception"])
