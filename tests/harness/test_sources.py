"""Which files a module depends on: found from the imports as written, none forgotten."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness import campaign
from harness.campaign import fingerprint
from harness.sources import imported_sources

ROOT = Path(__file__).resolve().parents[2]
RUNS_ONE = """
import json, sys
from pathlib import Path
from harness import batch
from harness.scenario import load_paths
from harness.faults.catalogue import CATALOGUE
from harness.world import NAMES

(scenario,) = load_paths([sys.argv[1]], catalogue=CATALOGUE, names=NAMES)
simulation = batch.simulate(scenario, Path(sys.argv[2]), policy=batch.policy_of(scenario, None))
batch.judge(batch.read_history(simulation.path))
ours = (m for m in sys.modules.values() if m.__name__.partition(".")[0] in {"foxtrot", "harness"})
print(json.dumps(sorted(m.__file__ for m in ours if m.__file__)))
"""
QUIET = """\
scenario: quiet
proves: Nothing happens, and nothing is made of it.
duration: 5s
settle: 5s
venues:
  - {name: IB, profile: ib, symbols: {AAPL: {price: 200}}}
"""


@pytest.fixture
def tree(tmp_path):
    """A small package: `a.top` stands on `a.b` and `c`, and on nothing else."""
    files = {
        "a/__init__.py": "",
        "a/top.py": "import os\nfrom a import b\nfrom typing import TYPE_CHECKING\n",
        "a/b.py": "def late():\n    import c.deep\n",
        "a/other.py": "import a.top\n",
        "c/__init__.py": "from c.deep import x\n",
        "c/deep.py": "import a.b\nx = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def names(root, *modules):
    return [str(path.relative_to(root)) for path in imported_sources(root, modules)]


def test_what_is_imported_is_found_however_deep_and_wherever_written(tree):
    expected = ["a/__init__.py", "a/b.py", "a/top.py", "c/__init__.py", "c/deep.py"]
    assert names(tree, "a.top") == expected


def test_who_imports_a_module_is_none_of_its_sources(tree):
    assert "a/other.py" not in names(tree, "a.top")
    assert "a/other.py" in names(tree, "a.top", "a.other")


def test_what_is_not_ours_has_no_source_here(tree):
    assert names(tree, "os", "nowhere.at.all") == []


def test_nothing_that_a_run_loads_is_left_out_of_its_fingerprint(tmp_path):
    """In a process of its own: here everything is loaded."""
    scenario = tmp_path / "quiet.yaml"
    scenario.write_text(QUIET)
    done = subprocess.run(
        [sys.executable, "-c", RUNS_ONE, str(scenario), str(tmp_path / "out")],
        capture_output=True,
        check=True,
        cwd=ROOT,
        text=True,
    )
    loaded = {Path(file) for file in json.loads(done.stdout)}
    taken = set(imported_sources(ROOT, campaign._WHAT_RUNS_AND_JUDGES))
    assert loaded - taken == set()
    assert ROOT / "foxtrot/server/engine.py" in loaded


def test_reports_and_live_mode_are_no_part_of_a_fingerprint():
    taken = imported_sources(ROOT, campaign._WHAT_RUNS_AND_JUDGES)
    rooms = {path.relative_to(ROOT).parts[:2] for path in taken}
    assert not rooms & {("harness", room) for room in ("live", "report", "toxiproxy", "wire")}


def test_a_fingerprint_changes_with_any_source_that_a_run_depends_on(tree, monkeypatch):
    monkeypatch.setattr(campaign, "__file__", str(tree / "a" / "campaign.py"))
    monkeypatch.setattr(campaign, "_WHAT_RUNS_AND_JUDGES", ("a.top",))
    before = fingerprint(())
    (tree / "a/other.py").write_text("")
    assert fingerprint(()) == before
    (tree / "c/deep.py").write_text("x = 2\n")
    assert fingerprint(()) != before
