"""The manifest: read strictly, every mistake at once, each with its line and the right word."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from harness.faults.catalogue import CATALOGUE
from harness.manifest import find_manifest, load_manifest
from harness.mix import Frequency
from harness.scenario import ScenarioError, load_paths
from harness.world import NAMES

SHIPPED = Path(__file__).parents[2] / "scenarios"

GOOD = """\
mix: [small]
kinds:
  disconnect:
    per_month: 30
    basis: documented
    why: Every 24 hours.
    sources: [https://example.com/limits]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "small.yaml").write_text("")
    return tmp_path


@pytest.fixture
def load(folder, scenario_of):
    def load(text, *scenarios):
        path = folder / "manifest.yaml"
        path.write_text(text)
        return load_manifest(path, scenarios, catalogue=CATALOGUE)

    return load


@pytest.fixture
def mistakes(load, folder):
    def mistakes(text, *scenarios):
        with pytest.raises(ScenarioError) as caught:
            load(text, *scenarios)
        return [f"{p.line}: {p.message}" for p in caught.value.problems]

    return mistakes


def test_a_manifest_gives_the_mix_and_the_frequencies(load):
    mix = load(GOOD)
    assert mix.scenarios == ("small",)
    assert mix.kinds == {
        "disconnect": Frequency(
            30.0, "documented", "Every 24 hours.", ("https://example.com/limits",)
        )
    }


def test_every_mistake_is_told_at_once_with_its_line(mistakes, folder):
    text = """\
mix: [smal, small, small]
kind: {}
kinds:
  disconect:
    per_month: true
    basis: documented
    why: x
    sources: [https://example.com]
    source: x
  refuse: often
"""
    assert mistakes(text) == [
        f"1: expected a scenario in {folder}, mix[0]='smal', did you mean 'small'?",
        "1: expected each scenario once, 'small' is there before",
        "2: expected one of the keys mix, kinds, key='kind', did you mean 'kinds'?",
        "4: expected a kind of the catalogue, disconect='disconect', did you mean 'disconnect'?",
        "5: expected a number above zero, per_month=True",
        "9: expected one of the keys per_month, basis, why, sources, key='source', "
        "did you mean 'sources'?",
        "10: expected keys with values, refuse='often'",
    ]


def test_each_field_of_a_frequency_is_checked(mistakes):
    bad = GOOD.replace("30", "0").replace("documented", "guessed").replace("https", "ftp")
    told = mistakes(bad.replace("Every 24 hours.", "''"))
    assert [message.partition(":")[0] for message in told] == ["4", "5", "6", "7"]
    assert "a number above zero" in told[0]
    assert "one of documented, estimated" in told[1]
    assert "a text" in told[2]
    assert "a list of https:// addresses" in told[3]


@pytest.mark.parametrize("key", ["per_month", "basis", "why", "sources"])
def test_a_missing_field_is_named(mistakes, key):
    lines = [line for line in GOOD.splitlines() if not line.strip().startswith(f"{key}:")]
    assert mistakes("\n".join(lines)) == [f"3: expected the key {key!r}"]


@pytest.mark.parametrize("text", ["kinds: {}\n", "mix: small\nkinds: {}\n", "mix: []\nkinds: {}\n"])
def test_a_mix_of_nothing_is_refused(mistakes, text):
    assert any("scenarios" in message or "'mix'" in message for message in mistakes(text))


def test_a_kind_that_the_mix_uses_and_nobody_justified_is_a_mistake(mistakes, load, scenario_of):
    tls = scenario_of({"kind": "tls", "at": "1s", "for": "2s"})
    assert mistakes(GOOD, tls) == [
        "2: expected how often 'tls' happens, which small of the mix uses"
    ]
    elsewhere = tls.model_copy(update={"name": "other"})
    assert load(GOOD, elsewhere).scenarios == ("small",)


def test_it_is_found_beside_the_files_and_in_the_folders_that_are_run(folder):
    assert find_manifest([folder]) is None
    (folder / "manifest.yaml").write_text(GOOD)
    assert find_manifest([folder]) == folder / "manifest.yaml"
    assert find_manifest([folder / "small.yaml"]) == folder / "manifest.yaml"


def test_the_shipped_manifest_is_sound_and_justifies_every_kind():
    scenarios = load_paths([SHIPPED], catalogue=CATALOGUE, names=NAMES)
    mix = load_manifest(SHIPPED / "manifest.yaml", scenarios, catalogue=CATALOGUE)
    assert set(mix.kinds) == set(CATALOGUE)
    assert set(mix.scenarios) <= {scenario.name for scenario in scenarios}
    used = {
        occurrence.fault.kind
        for scenario in scenarios
        if scenario.name in mix.scenarios
        for occurrence in scenario.occurrences(random.Random(scenario.seed))
    }
    assert used == set(CATALOGUE)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{}", "expected the keys per_month, basis, why, sources in 'disconnect'"),
        ("{per_month: .inf}", "expected a number above zero, per_month=inf"),
        ("{per_month: 1e400}", "expected a number above zero, per_month=inf"),
    ],
)
def test_a_kind_is_not_justified_by_nothing_nor_by_an_infinity(load, entry, message):
    """The shares of the mix would be of infinity, which no report can hold."""
    with pytest.raises(ScenarioError, match=re.escape(message)):
        load(f"mix: [small]\nkinds:\n  disconnect: {entry}\n")


def test_of_a_file_that_cannot_be_read_only_that_is_said(load):
    with pytest.raises(ScenarioError) as caught:
        load("- a list\n")
    assert len(caught.value.problems) == 1
