"""The declared mix: whether a run holds it, and each kind's share in the world and in the run."""

from __future__ import annotations

from harness.mix import Frequency, KindShare, Mix, mix_result

MIX = Mix(
    ("a", "b"),
    {
        "disconnect": Frequency(30.0, "documented", "Daily.", ("https://example.com",)),
        "ban": Frequency(10.0, "estimated", "Rarely.", ("https://example.com",)),
    },
)


def test_a_run_covers_the_mix_when_it_has_all_of_its_scenarios():
    assert mix_result(MIX, ["a", "b", "c"], {}).is_covered
    short = mix_result(MIX, ["a", "c"], {})
    assert (short.is_covered, short.missing) == (False, ("b",))


def test_the_shares_of_the_world_and_of_the_run_stand_side_by_side():
    assert mix_result(MIX, ["a", "b"], {"disconnect": 1, "ban": 4}).kinds == (
        KindShare("disconnect", 30.0, "documented", 0.75, 1, 0.2),
        KindShare("ban", 10.0, "estimated", 0.25, 4, 0.8),
    )


def test_a_run_without_incidents_has_no_shares():
    assert [kind.share for kind in mix_result(MIX, [], {}).kinds] == [0.0, 0.0]


def test_the_entry_of_the_report_says_what_is_missing():
    entry = mix_result(MIX, ["a"], {}).to_dict()
    assert (entry["covered"], entry["missing"]) == (False, ["b"])
    assert [kind["kind"] for kind in entry["kinds"]] == ["disconnect", "ban"]
