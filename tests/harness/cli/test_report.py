"""`foxtrot-chaos report`: stored runs, judged again."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from harness.history import partial_path

from .samples import refused, report_in


class TestReport:
    def test_a_stored_run_is_judged_as_it_was(self, chaos, stored, tmp_path):
        result = chaos("report", stored, "--out", tmp_path / "again")
        assert result.exit_code == 0
        assert result.stdout.splitlines()[-1] == f"report: {tmp_path / 'again' / 'report.html'}"
        before, after = report_in(stored), report_in(tmp_path / "again")
        assert after.pop("command") == f"foxtrot-chaos report {stored}"
        assert before.pop("command").startswith("foxtrot-chaos run ")
        assert after == before

    def test_one_file_is_enough(self, chaos, stored, tmp_path):
        history = stored / "short" / "history.jsonl"
        assert chaos("report", history, "--out", tmp_path / "again").exit_code == 0

    def test_a_history_that_is_named_twice_is_counted_once(self, chaos, stored, tmp_path):
        words = [stored, stored / "short", stored / "short" / "history.jsonl"]
        assert chaos("report", *words, "--out", tmp_path / "again").exit_code == 0
        again = report_in(tmp_path / "again")
        assert [each["name"] for each in again["scenarios"]] == ["short"]
        assert again["metrics"] == report_in(stored)["metrics"]

    def test_a_run_in_a_folder_named_control_is_no_control_arm(self, chaos, stored, tmp_path):
        stored.rename(tmp_path / "control")
        for folder in (tmp_path / "control", tmp_path):
            assert chaos("report", folder, "--out", tmp_path / "again").exit_code == 0
            assert len(report_in(tmp_path / "again")["scenarios"]) == 1

    def test_the_mix_is_that_of_the_run_also_for_its_files(self, chaos, stored, tmp_path):
        """Else what passes by the interval alone would be judged by the value, and called so."""
        mix = {"scenarios": ["short"], "kinds": []}
        (stored / "report.json").write_bytes(orjson.dumps({"mix": mix}))
        for path in (stored, stored / "short", stored / "short" / "history.jsonl"):
            chaos("report", path, "--out", tmp_path / "again")
            assert report_in(tmp_path / "again")["gate"] == "interval", path

    def test_the_mix_is_found_from_inside_the_folder_too(
        self, chaos, stored, monkeypatch, tmp_path
    ):
        mix = {"scenarios": ["short"], "kinds": []}
        (stored / "report.json").write_bytes(orjson.dumps({"mix": mix}))
        monkeypatch.chdir(stored / "short")
        for path in ("history.jsonl", "."):
            chaos("report", path, "--out", tmp_path / "again")
            assert report_in(tmp_path / "again")["gate"] == "interval", path

    @pytest.mark.parametrize(
        "text",
        ["", "[]", '{"mix": 5}', '{"mix": {"scenarios": [], "kinds": [{"kind": "ban"}]}}',
         '{"mix": {"scenarios": [], "kinds": [{"kind": "b", "per_month": null, "basis": ""}]}}'],
    )  # fmt: skip
    def test_a_broken_report_beside_them_is_refused(self, chaos, stored, tmp_path, text):
        """Judged without its mix, a run might pass that has not."""
        (stored / "report.json").write_text(text)
        said = refused(chaos("report", stored, "--out", tmp_path / "again"))
        assert said.startswith(f"{stored / 'report.json'}: expected the report of a run")
        assert len(said.splitlines()) == 1

    def test_a_failed_run_fails_again(self, chaos, scenario, tmp_path, inline):
        inline()
        out = tmp_path / "out"
        chaos("run", scenario(), "--out", out, "--policy", "none")
        assert chaos("report", out, "--out", tmp_path / "again").exit_code == 1
        assert report_in(tmp_path / "again")["policy"] == "none"

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda lines: [*lines[:5], b"not JSON\n", *lines[6:]], ":6: expected JSON"),
            (lambda lines: lines[:-1], ": expected the digest line, the file ends"),
            (lambda lines: [], ":1: expected the digest line, the file ends"),
            (
                lambda lines: [lines[0].replace(b'"id":"F1"', b'"ID":"F1"'), *lines[1:]],
                ": expected what the lines give, ",
            ),
        ],
    )
    def test_a_history_that_is_not_as_it_was_written(self, chaos, stored, tmp_path, spoil, message):
        """The last one is JSON all through and would crash the judge: the digest is asked first."""
        history = stored / "short" / "history.jsonl"
        history.write_bytes(b"".join(spoil(history.read_bytes().splitlines(keepends=True))))
        said = refused(chaos("report", stored, "--out", tmp_path / "again"))
        assert said.startswith(f"{history}:")
        assert message in said
        assert len(said.splitlines()) == 1
        assert not (tmp_path / "again").exists()

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda path: None, ": expected a history, there is no such file"),
            (Path.mkdir, ": expected a folder with history.jsonl files in it, found none"),
            (
                lambda path: (path / "history.jsonl").mkdir(parents=True),
                "/history.jsonl: cannot be read (Is a directory)",
            ),
            (
                lambda path: partial_path(path).write_text(""),
                ": expected a history, there is no such file; an interrupted run left",
            ),
        ],
    )
    def test_a_place_without_a_history(self, chaos, tmp_path, make, message):
        path = tmp_path / "place" / "there"
        make(path)
        said = refused(chaos("report", path, "--out", tmp_path / "again"))
        assert said.startswith(f"{path}{message}")
        assert len(said.splitlines()) == 1
