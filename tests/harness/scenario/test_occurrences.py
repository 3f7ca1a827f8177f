"""When the faults of a scenario begin and end: the repeated ones, and those that the seed draws."""

from __future__ import annotations

import random

from .samples import fault


def occurrences(scenario, seed=1):
    return [(o.id, o.begin, o.end) for o in scenario.occurrences(random.Random(seed))]


def test_occurrences_are_expanded_and_in_order_of_time(read):
    """Repeated faults are numbered; no window outlasts the run."""
    story = read(
        fault(
            "kind: refuse, venue: BINANCE, at: 570s, for: 1m",
            "kind: disconnect, venue: BINANCE, at: 1m, every: 4m",
            "kind: refuse, venue: BINANCE, at: 2m, for: 5s, every: 90s, repeat: 2",
            "kind: disconnect, venue: BINANCE, at: 4m",
        )
    )
    assert occurrences(story) == [
        ("F2#1", 60.0, 60.0),
        ("F3#1", 120.0, 125.0),
        ("F3#2", 210.0, 215.0),
        ("F4", 240.0, 240.0),
        ("F2#2", 300.0, 300.0),
        ("F2#3", 540.0, 540.0),
        ("F1", 570.0, 600.0),
    ]


def test_fault_without_length_lasts_to_its_next_time_or_the_end(read):
    """Only a kind that acts at an instant is over at once."""
    story = read(
        fault(
            "kind: ack_lost, venue: BINANCE, at: 8m, first: 1, every: 1m",
            "kind: ack_lost, venue: BINANCE, at: 9m, first: 1",
        )
    )
    assert occurrences(story) == [
        ("F1#1", 480.0, 540.0),
        ("F1#2", 540.0, 600.0),
        ("F2", 540.0, 600.0),
    ]


RANDOM = """\
random:
  count: 6
  kinds: [disconnect, latency]
  between: [1m, 9m]
  for: [2s, 20s]
"""


def test_random_faults_come_from_the_seed_and_stay_in_their_ranges(read):
    """One seed gives one schedule, another another; kinds, variants and settings are valid."""
    story = read(RANDOM)
    drawn = story.occurrences(random.Random(1))
    assert drawn == story.occurrences(random.Random(1))
    assert occurrences(story, 1) != occurrences(story, 2)
    assert sorted(o.id for o in drawn) == ["R1", "R2", "R3", "R4", "R5", "R6"]
    for each in drawn:
        assert 60 <= each.begin <= 540
        assert 2 <= each.end - each.begin <= 20.001
        assert (each.fault.kind, each.fault.variant, each.fault.parameters) in [
            ("disconnect", "clean", {}),
            ("disconnect", "reset", {}),
            ("latency", None, {"delay": 0.5, "jitter": 0.1}),
        ]


def test_random_faults_use_every_kind_and_variant_in_time(read):
    story = read(RANDOM.replace("count: 6", "count: 60"))
    drawn = story.occurrences(random.Random(1))
    assert {(o.fault.kind, o.fault.variant) for o in drawn} == {
        ("disconnect", "clean"),
        ("disconnect", "reset"),
        ("latency", None),
    }


def test_fewer_random_faults_are_the_first_of_more(read):
    """A smaller count takes away the last ones and moves no other: what shrinking needs."""
    many, few = read(RANDOM), read(RANDOM.replace("count: 6", "count: 2"))
    assert [o for o in occurrences(many) if o[0] in {"R1", "R2"}] == occurrences(few)


def test_random_faults_go_where_they_are_sent(read):
    other = "  - {name: IB, profile: binance, symbols: {A: {price: 1}}}\n"
    story = read(other + RANDOM + "  venues: [IB]\n")
    assert {o.fault.venue for o in story.occurrences(random.Random(1))} == {"IB"}
