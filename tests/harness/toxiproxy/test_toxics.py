"""What a toxic may be, and what the server is told of it."""

from __future__ import annotations

import pytest

from harness.toxiproxy import (
    TOXICS,
    Bandwidth,
    Direction,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
    make_toxic,
)


@pytest.mark.parametrize(
    ("toxic", "attributes"),
    [
        (Latency(latency=1.5, jitter=0.25), {"latency": 1500, "jitter": 250}),
        (Bandwidth(rate=10_000), {"rate": 10}),
        (Bandwidth(rate=600), {"rate": 1}),
        (Bandwidth(rate=0), {"rate": 0}),
        (SlowClose(delay=2), {"delay": 2000}),
        (Timeout(), {"timeout": 0}),
        (ResetPeer(timeout=0.1), {"timeout": 100}),
        (
            Slicer(average_size=64, size_variation=8, delay=0.002),
            {"average_size": 64, "size_variation": 8, "delay": 2000},
        ),
        (LimitData(bytes=0), {"bytes": 0}),
    ],
)
def test_each_toxic_is_told_in_the_servers_names_and_units(toxic, attributes):
    assert toxic.attributes() == attributes
    assert TOXICS[toxic.type] is type(toxic)


def test_a_short_duration_never_becomes_none_at_the_wire():
    """A timeout of 0 would never close."""
    assert Timeout(timeout=0.000_1).attributes() == {"timeout": 1}


def test_both_directions_are_two_streams():
    streams = {each: each.streams for each in Direction}
    assert streams == {
        Direction.UP: ("upstream",),
        Direction.DOWN: ("downstream",),
        Direction.BOTH: ("upstream", "downstream"),
    }


@pytest.mark.parametrize(
    ("type", "settings", "message"),
    [
        ("latency", {"latency": -0.1}, "expected latency of latency as seconds from 0"),
        ("latency", {"latency": float("nan")}, "got latency=nan"),
        ("latency", {"jitter": float("inf")}, "got jitter=inf"),
        ("latency", {"latency": 2_147_484.0}, "from 0 to 2.14748e"),
        ("latency", {"latency": True}, "got latency=True"),
        ("latency", {"latency": "1s"}, "got latency='1s'"),
        ("limit_data", {"bytes": 1.5}, "expected bytes of limit_data as a whole number"),
        ("bandwidth", {"rate": -1}, "got rate=-1"),
        ("slicer", {"average_size": 0}, "0 crashes the whole server"),
        ("slicer", {"average_size": 8, "size_variation": 8}, "the server would panic"),
        ("timeout", {"toxicity": 0}, "expected toxicity above 0 and at most 1"),
        ("timeout", {"toxicity": 7.5}, "got toxicity=7.5"),
        ("timeout", {"toxicity": float("nan")}, "got toxicity=nan"),
        ("timeout", {"toxicity": True}, "got toxicity=True"),
        ("timeout", {"direction": "sideways"}, "sideways"),
        ("latency", {"latancy": 0.1}, "got 'latancy'; did you mean 'latency'"),
        ("latncy", {}, "got 'latncy'; did you mean 'latency'"),
        ("latency", {"type": "timeout"}, "expected a setting of latency"),
        ("slicer", {}, "expected slicer with average_size"),
    ],
)
def test_what_the_server_would_ignore_or_die_of_is_refused(type, settings, message):  # noqa: A002
    with pytest.raises(ValueError, match=message):
        make_toxic(type, settings)


def test_a_toxic_is_made_from_names():
    made = make_toxic("latency", {"latency": 0.1, "direction": "both", "toxicity": 0.5})
    assert made == Latency(latency=0.1, direction=Direction.BOTH, toxicity=0.5)
