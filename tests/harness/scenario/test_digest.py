"""The digest that a scenario is stored and compared by."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

from harness.faults.catalogue import CATALOGUE as SHIPPED
from harness.scenario import load

from .samples import CATALOGUE, HEAD

SCENARIOS = Path(__file__).parents[3] / "scenarios"


def test_digest_is_of_the_content(read, write):
    """Comments and the order of keys do not change it, any value does."""
    story = read()
    reordered = load(write("# why\nseed: 1\n" + HEAD), catalogue=CATALOGUE)
    assert reordered.digest == story.digest
    assert story.with_seed(2).digest != story.digest
    assert read("settle: 61s\n").digest != story.digest


def test_digest_is_the_same_in_any_process():
    """It is stored beside results and compared on other machines."""
    code = (
        "import pickle, sys; story = pickle.load(sys.stdin.buffer); sys.stdout.write(story.digest)"
    )
    story = load(SCENARIOS / "bad_day.yaml", catalogue=SHIPPED)
    for hash_seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", code],
            input=pickle.dumps(story),
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": hash_seed},
        )
        assert run.stdout.decode() == story.digest


def test_digest_takes_a_tapes_bytes_and_not_its_place(tmp_path):
    """The same scenario in two directories is the same; another tape makes another."""
    digests = []
    for place, tape in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "t.csv").write_text(tape, encoding="utf-8")
        path = tmp_path / place / "story.yaml"
        path.write_text(HEAD + "    tape: {csv: t.csv}\n", encoding="utf-8")
        digests.append(load(path, catalogue=CATALOGUE).digest)
    assert digests[0] == digests[1] != digests[2]
