"""What the variants of the connection's faults let through, and what they hold back."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.faults.catalogue import CATALOGUE
from harness.history import Event, read_history
from harness.run import policy_of, simulate
from harness.scenario import load
from harness.world import NAMES

LIVE = Path(__file__).parents[3] / "scenarios" / "live"


def told(name: str, folder: Path, **changes: object) -> list[Event]:
    story = load(LIVE / f"{name}.yaml", catalogue=CATALOGUE, names=NAMES)
    (fault,) = story.faults
    fault = fault.model_copy(update={"parameters": {**fault.parameters, **changes}})
    story = story.model_copy(update={"faults": (fault,)})
    return list(read_history(simulate(story, folder, policy=policy_of(story)).path))


def lasted(events: list[Event], begin: float, end: float) -> list[float]:
    """How long the requests took that were sent between two moments."""
    sent = {e.id: e.t for e in events if e.kind == "link.sent" and begin <= e.t < end}
    return [e.t - sent[e.id] for e in events if e.kind == "link.done" and e.id in sent]


def test_where_an_end_lingers_the_stream_is_dead_and_requests_go_on(tmp_path: Path) -> None:
    """No request of its time fails; the client leaves the stream before the word comes."""
    events = told("long_goodbye", tmp_path)
    begun = next(e for e in events if e.kind == "fault.begin").t
    outcomes = [e.outcome for e in events if e.kind == "link.done" and begun <= e.t < begun + 6]
    assert len(outcomes) > 5
    assert set(outcomes) <= {"ok", "error"}, "the venue answered each"
    (left,) = [e for e in events if e.kind == "link.close" and e.t < begun + 6]
    assert (left.outcome, left.details["by"]) == ("clean", "client")
    dead = [e for e in events if begun + 0.1 < e.t < left.t]
    assert [e.kind for e in dead if e.kind == "venue.trade"], "there was something to tell"
    assert not [e for e in dead if e.kind == "client.trade"]
    opened = [e.outcome for e in events if e.kind == "link.open" and e.t > begun]
    assert opened == ["ok"], "a new one is well"


def test_the_word_of_an_end_comes_when_its_time_is_over(tmp_path: Path) -> None:
    """Before the client has noticed anything by itself."""
    events = told("long_goodbye", tmp_path, delay=0.2)
    begun = next(e for e in events if e.kind == "fault.begin").t
    left = next(e for e in events if e.kind == "link.close")
    assert (left.outcome, left.details["by"]) == ("reset", "fault")
    assert left.t == pytest.approx(begun + 0.2, abs=0.001)


def test_smaller_pieces_take_longer(tmp_path: Path) -> None:
    """A message is whole only with its last piece: pieces times the time between two."""
    big = lasted(told("in_pieces", tmp_path / "big", size=64), 4.0, 6.0)
    small = lasted(told("in_pieces", tmp_path / "small", size=16), 4.0, 6.0)
    assert min(big) < min(small) / 2
    assert min(small) >= 300 / 16 * 0.016 * 2, "what HTTP puts around it, both ways"
