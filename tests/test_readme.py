"""The README keeps its word: its examples run, and every command and target in it exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from harness import cli, terminal
from harness.faults.catalogue import CATALOGUE
from harness.scenario import TARGETS, load
from harness.verdict import Verdict
from harness.world import NAMES

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = get_command(cli.app).commands


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def scenarios_shown() -> list[str]:
    return [block for block in blocks("yaml") if block.startswith("scenario:")]


def test_the_python_examples_run_one_after_the_other_without_a_warning():
    """As a reader types them: in one session, on the real clock."""
    assert len(blocks("python")) >= 3
    done = subprocess.run(
        [sys.executable, "-W", "error", "-"],
        input="\n".join(blocks("python")),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("text", scenarios_shown(), ids=lambda text: text.partition("\n")[0])
def test_the_scenarios_shown_are_without_a_mistake(text, tmp_path):
    path = tmp_path / f"{yaml.safe_load(text)['scenario']}.yaml"
    path.write_text(text)
    assert load(path, catalogue=CATALOGUE, names=NAMES).faults


def test_the_commands_and_options_shown_exist():
    shown = re.findall(r"foxtrot-chaos ([a-z]+)([^\n`#]*)", README)
    assert {word for word, _ in shown} <= set(COMMANDS)
    assert {"run", "validate", "schema", "report"} <= {word for word, _ in shown}
    for word, rest in shown:
        known = {name for param in COMMANDS[word].params for name in param.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, word


def test_every_command_is_shown():
    assert set(COMMANDS) <= set(re.findall(r"foxtrot-chaos ([a-z]+)", README))


def test_the_options_named_in_the_text_exist():
    known = {name for each in COMMANDS.values() for param in each.params for name in param.opts}
    assert set(re.findall(r"`(--[a-z-]+)", README)) <= known


def test_the_make_targets_named_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = "\n".join([*blocks("sh"), *re.findall(r"`([^`\n]+)`", README)])
    named = set(re.findall(r"\bmake ([a-z]+)", told))
    assert {"run", "test"} <= named <= targets


def test_the_exit_codes_are_the_command_s_own():
    told = dict(re.findall(r"^\| (\d) \| (\w+)", README, re.MULTILINE))
    assert told == {"0": "pass", "1": "fail", "2": "bad", "3": "inconclusive", "4": "the"}
    assert {str(code): verdict.value for verdict, code in cli.EXIT_CODES.items()} == {
        code: word for code, word in told.items() if word in set(Verdict)
    }
    assert (terminal.BAD_INPUT, cli.HARNESS_ERROR) == (2, 4)


def test_the_targets_are_those_that_scenarios_default_to():
    rows = re.findall(r"^\| `(\w+)` \| ([<>≥]?) ?(\d+) (%|s) \|", README, re.MULTILINE)
    signs = {">": ">", "<": "<", "≥": ">=", "": "=="}
    told = {
        name: f"{signs[sign]} {int(number) / (100 if unit == '%' else 1):g}"
        for name, sign, number, unit in rows
    }
    assert told == {name: str(target) for name, target in TARGETS.items()}


def test_the_files_that_it_points_to_are_there():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_make_check_runs_all_that_ci_runs():
    """CONTRIBUTING.md says so."""
    in_ci = re.findall(r"^make ([a-z ]+)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    (here,) = re.findall(r"^check: ([a-z ]+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {word for line in in_ci for word in line.split()} == set(here.split())
