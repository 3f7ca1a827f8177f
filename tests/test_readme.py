"""The README keeps its word: its examples run, and every command and target in it exists."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from harness import cli, terminal
from harness.faults.catalogue import BUILT_IN, CATALOGUE
from harness.faults.plugins import GROUP, with_plugins
from harness.scenario import TARGETS, load, load_paths
from harness.verdict import Verdict
from harness.world import NAMES

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = get_command(cli.app).commands
RUN_ITS_TESTS = """
import unittest
for each in [each for each in globals().values() if isinstance(each, type)]:
    if issubclass(each, unittest.TestCase):
        each("runTest").debug()
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def scenarios_shown() -> list[str]:
    return [block for block in blocks("yaml") if block.startswith("scenario:")]


def run(code: str, folder: Path) -> tuple[int, str]:
    """Run it in an interpreter of its own, as a reader does, outside of the clone."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-"],
        input=code,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stderr


def test_the_python_examples_run_one_after_the_other_without_a_warning(tmp_path):
    """As a reader types them: in one session, on the real clock."""
    assert len(blocks("python")) >= 3
    assert run("\n".join(blocks("python")), tmp_path) == (0, "")


@pytest.mark.parametrize("code", blocks("python"), ids=lambda code: code.partition("\n")[0])
def test_each_python_example_needs_none_of_the_others(code, tmp_path):
    """Who came for one of them pastes that one. Tests that it holds for pytest are run as well."""
    assert run(f"{code}\n{RUN_ITS_TESTS}", tmp_path) == (0, "")


def test_the_fault_shown_is_one_that_its_entry_point_brings_in(monkeypatch, tmp_path):
    (shown,) = blocks("toml")
    ((group, entries),) = tomllib.loads(shown)["project"]["entry-points"].items()
    ((name, value),) = entries.items()
    file, _, fault = value.partition(":")
    (code,) = (each for each in blocks("python") if f"class {fault}(" in each)
    (tmp_path / f"{file}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    faults = with_plugins(BUILT_IN, [EntryPoint(name, value, group)])
    assert group == GROUP
    (line,) = re.findall(rf"\{{kind: {name}, [^}}]*\}}", README)
    story = yaml.safe_load(scenarios_shown()[0])
    path = tmp_path / f"{story['scenario']}.yaml"
    path.write_text(yaml.safe_dump({**story, "faults": [yaml.safe_load(line)]}))
    catalogue = {each: kind.kind for each, kind in faults.items()}
    assert load(path, catalogue=catalogue, names=NAMES).faults[0].kind == name


def test_the_ccxt_client_shown_asks_the_simulated_venue_and_nobody_else():
    pytest.importorskip("ccxt", reason="pip install ccxt")
    pytest.importorskip("aiohttp", reason="pip install aiohttp")
    from foxtrot.adapter.ccxt_adapter import binance_client
    from harness.wire import WireConfig, WireServer

    (shown,) = blocks("py")
    room = {"binance_client": binance_client}
    exec(shown, room)

    async def trade() -> str:
        async with WireServer(WireConfig()) as server:
            exchange = room["client"](server.url)
            try:
                placed = await exchange.create_order("BTC/USDT", "limit", "buy", 0.01, 30_000)
                assert (await exchange.watch_ticker("BTC/USDT"))["last"] > 0
                assert await exchange.fetch_balance()
                return placed["status"]
            finally:
                await exchange.close()

    assert asyncio.run(trade()) == "open"


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
    assert (terminal.BAD_INPUT, terminal.HARNESS_ERROR) == (2, 4)


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


@pytest.mark.parametrize("file", ["README.md", "docker-compose.yml"])
def test_what_is_shown_in_live_mode_can_be_driven_live(file):
    pytest.importorskip("toxiproxy", reason="pip install toxiproxy-python")
    from harness.live.division import unsupported

    folders = re.findall(r"foxtrot-chaos run (\S+) --mode live", (ROOT / file).read_text())
    assert folders
    for folder in folders:
        stories = load_paths([ROOT / folder], catalogue=CATALOGUE, names=NAMES)
        assert [why for each in stories if (why := unsupported(each))] == []


def test_the_extras_named_are_those_that_a_user_may_want():
    told = re.search(r"# with extras: ([a-z, ]+)", README)
    assert told
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    of_developers = {"clients", "dev", "test"}
    assert told[1].split(", ") == sorted(set(project["optional-dependencies"]) - of_developers)


def test_make_check_runs_all_that_ci_runs():
    """CONTRIBUTING.md says so."""
    in_ci = re.findall(r"^make ([a-z ]+)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    (here,) = re.findall(r"^check: ([a-z ]+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {word for line in in_ci for word in line.split()} == set(here.split())
