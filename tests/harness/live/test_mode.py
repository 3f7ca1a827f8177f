"""What live mode refuses before anything is started, each with what to do about it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from harness.cli import app

pytest.importorskip("aiohttp", reason="needs the extra live")
pytest.importorskip("toxiproxy", reason="needs the extra live")

STORIES = Path(__file__).parents[3] / "scenarios"
ONE = STORIES / "live" / "closed_door.yaml"


def run(tmp_path: Path, *words: object) -> Result:
    args = ["run", "--mode", "live", "--out", str(tmp_path / "out"), *map(str, words)]
    return CliRunner().invoke(app, args)


def test_what_only_virtual_time_can_do_is_refused(tmp_path: Path) -> None:
    """Real time is never twice the same."""
    result = run(tmp_path, ONE, "--check-determinism")
    assert result.exit_code == 2
    assert "--mode live" in result.output


def test_a_scenario_of_several_venues_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    """It is not driven with one of them left out."""
    two = tmp_path / "two.yaml"
    venue = "  - {name: A, profile: binance, symbols: {BTCUSDT: {price: 60000}}}\n"
    text = f"scenario: two\nproves: It.\nduration: 10s\nvenues:\n{venue}{venue.replace('A,', 'B,')}"
    two.write_text(text)
    result = run(tmp_path, two)
    assert result.exit_code == 2
    assert "two: expected one venue, which is what live mode drives, got A, B" in result.output
    assert "nothing was run" in result.output


def test_a_server_that_is_no_address_is_refused(tmp_path: Path) -> None:
    """The kinds that are simulation-only are listed before anything else."""
    result = run(tmp_path, ONE, "--toxiproxy", "nowhere")
    assert result.exit_code == 2
    assert "simulation-only: blocked_loop, clock_jump" in result.output
    assert "HOST:PORT" in result.output
