"""The scenarios that ship."""

from __future__ import annotations

import random
from pathlib import Path

from harness.faults.catalogue import CATALOGUE
from harness.scenario import MANIFEST_NAME, load_paths
from harness.world import NAMES

SCENARIOS = Path(__file__).parents[3] / "scenarios"


def shipped():
    return load_paths([SCENARIOS], catalogue=CATALOGUE, names=NAMES)


def test_shipped_scenarios_load_and_prove_enough():
    """The pool has the incidents that the confident verdicts need, and every story a comment."""
    stories = shipped()
    incidents = sum(len(each.occurrences(random.Random(each.seed))) for each in stories)
    assert incidents >= 60
    assert {each.name for each in stories} >= {
        "bad_day",
        "ban",
        "disconnect_storm",
        "latency_spike",
        "long_outage",
        "lost_acknowledgement",
        "maintenance_window",
        "quiet_day",
        "rate_limit_squeeze",
        "rejection_mix",
    }


def test_shipped_scenarios_say_what_they_prove_and_catch():
    for path in sorted(SCENARIOS.glob("*.yaml")):
        if path.name == MANIFEST_NAME:
            continue
        text = path.read_text(encoding="utf-8")
        assert text.startswith("# Proves "), path
        assert "\n# Catches: " in text, path


def test_shipped_scenarios_use_every_kind_of_the_catalogue():
    used = {o.fault.kind for s in shipped() for o in s.occurrences(random.Random(s.seed))}
    assert used == set(CATALOGUE)
