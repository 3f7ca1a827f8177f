"""What the command refuses, and how; `foxtrot-chaos validate`."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness import stored

from .samples import SCENARIOS, SHORT, refused, stories

TEN_MISTAKES = """\
scenario: wrong
proves: Every mistake is found at once.
sead: 7
duration: ninety seconds
venues:
  - name: BINANCE
    profile: binanse
    symbols:
      BTCUSDT: {price: -1}
workload:
  orders: 2
  cancels: 1.5
faults:
  - {kind: disconect, venue: BINANCE, at: 20s}
  - {kind: disconnect, variant: rest, venue: BINANCE, at: 20s}
  - {kind: disconnect, venue: BINANZE, at: 20s}
  - {kind: disconnect, venue: BINANCE, at: 20}
"""


class TestRefusals:
    def test_ten_mistakes_are_ten_lines_and_nothing_is_written(self, chaos, scenario, tmp_path):
        path = scenario(TEN_MISTAKES, "wrong")
        said = refused(chaos("run", path, "--out", tmp_path / "out")).splitlines()
        assert said[-1] == "10 mistakes; nothing was run"
        mistakes = said[:-1]
        assert len(mistakes) == 10
        assert all(line.startswith(f"{path}:") for line in mistakes)
        numbers = [int(line.removeprefix(f"{path}:").partition(":")[0]) for line in mistakes]
        assert numbers == [3, 4, 7, 9, 11, 12, 14, 15, 16, 17]
        for line, word in zip(
            mistakes,
            ("'seed'", None, "'binance'", None, None, None, "'disconnect'", "'reset'", "'BINANCE'",
             None),
            strict=True,
        ):  # fmt: skip
            assert word is None or f"did you mean {word}?" in line, line
        assert not (tmp_path / "out").exists()
        assert not Path("reports").exists()
        assert refused(chaos("validate", path)).splitlines() == said

    def test_mistakes_in_one_file_stop_all(self, chaos, scenario, tmp_path):
        refused(chaos("run", scenario(), scenario(TEN_MISTAKES, "wrong"), "--out", tmp_path / "o"))
        assert not (tmp_path / "o").exists()

    def test_an_unknown_policy_is_told_with_the_nearest(self, chaos, scenario):
        said = refused(chaos("run", scenario(), "--policy", "defualt"))
        assert said == (
            "--policy: expected one of default, none, got 'defualt'; did you mean 'default'?\n"
        )

    def test_a_path_that_is_not_there(self, chaos, tmp_path):
        said = refused(chaos("run", tmp_path / "nowhere"))
        assert said.splitlines()[0].startswith(
            f"{tmp_path / 'nowhere'}:1: expected a readable file"
        )
        assert len(said.splitlines()) == 2

    def test_a_reports_that_leads_nowhere(self, chaos, scenario, monkeypatch):
        """A dead link exists when a folder is to be made in its place: no number helps."""
        Path("reports").symlink_to("nowhere/at/all")
        few = SimpleNamespace(count=lambda first: range(first, 9))  # lest it try for ever
        monkeypatch.setattr(stored, "itertools", few)
        said = refused(chaos("run", scenario()))
        assert said.startswith("reports: cannot write there (")

    def test_a_folder_without_scenarios(self, chaos, tmp_path):
        (tmp_path / "empty").mkdir()
        said = refused(chaos("run", tmp_path / "empty"))
        assert said.splitlines()[0] == (
            f"{tmp_path / 'empty'}:1: expected scenarios (*.yaml, *.yml), found none"
        )

    @pytest.mark.parametrize("taken", ["out", "out/short"])
    def test_a_place_that_cannot_be_written_to(self, chaos, scenario, tmp_path, taken):
        file = tmp_path / taken
        file.parent.mkdir(exist_ok=True)
        file.write_text("a file")
        said = refused(chaos("run", scenario(), "--out", tmp_path / "out"))
        assert said == (
            f"{file}: cannot write there (File exists); name another place with --out\n"
        )

    def test_a_disk_that_is_full_before_the_end(self, chaos, scenario, tmp_path, inline):
        def full(number, job):
            raise OSError(errno.ENOSPC, "No space left on device")

        inline(full)
        said = refused(chaos("run", scenario(), "--out", tmp_path / "out"))
        told = "cannot write there (No space left on device); name another place with --out"
        assert said.splitlines()[-1] == f"{tmp_path / 'out'}: {told}"

    def test_what_has_nothing_to_do_with_the_place_is_not_blamed_on_it(
        self, chaos, scenario, tmp_path, inline
    ):
        def broken(number, job):
            raise OSError(errno.EMFILE, "Too many open files")

        inline(broken)
        result = chaos("run", scenario(), "--out", tmp_path / "out")
        assert isinstance(result.exception, OSError)

    def test_a_seed_that_no_report_can_hold(self, chaos, scenario, tmp_path):
        result = chaos("run", scenario(), "--seed", 10**18, "--out", tmp_path / "out")
        assert result.exit_code == 2
        assert "999999999999999999" in result.stderr
        assert not (tmp_path / "out").exists()

    def test_a_venue_has_one_scenario(self, chaos, scenario, tmp_path):
        scenario()
        scenario(SHORT.replace("scenario: short", "scenario: other"), "other")
        said = refused(chaos("venue", "--scenario", tmp_path))
        assert said == f"--scenario: expected one scenario, {tmp_path} holds 2\n"

    def test_a_tape_that_cannot_be_used(self, chaos, scenario, tmp_path):
        (tmp_path / "trades.csv").write_text("1,2,3\n")
        text = SHORT.replace("    symbols:", "    tape: {csv: trades.csv}\n    symbols:")
        for word in ("run", "validate"):
            said = refused(chaos(word, scenario(text))).splitlines()
            assert said[0].startswith(f"{tmp_path / 'trades.csv'}:1: expected 7 columns")
            assert said[1] == "1 mistake; nothing was run"

    @pytest.mark.parametrize("words", [["run"], ["runn"], ["run", "x.yaml", "--seed", "-1"]])
    def test_words_that_are_no_command(self, chaos, words):
        result = chaos(*words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "Usage: " in result.stderr


class TestValidate:
    def test_the_stories_of_the_project_are_without_a_mistake(self, chaos):
        result = chaos("validate", SCENARIOS)
        count = len(stories())
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout == f"{count} scenarios without a mistake\n"

    def test_it_only_checks(self, chaos, scenario):
        assert chaos("validate", scenario()).stdout == "1 scenario without a mistake\n"
        assert list(Path().iterdir()) == []
