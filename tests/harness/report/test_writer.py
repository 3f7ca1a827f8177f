from __future__ import annotations

import os
import subprocess
import sys

import pytest

from harness.report import writer
from harness.report.writer import write_atomically, write_reports

FILES = ["junit.xml", "report.html", "report.json", "summary.md"]


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def test_a_run_becomes_four_files_and_the_path_of_the_page(failing, tmp_path):
    page = write_reports(failing, tmp_path / "reports" / "run")
    assert page == tmp_path / "reports" / "run" / "report.html"
    assert list(contents(page.parent)) == FILES


def test_the_same_run_gives_the_same_bytes(failing, tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    write_reports(failing, first)
    write_reports(failing, second)
    assert contents(first) == contents(second)


def test_the_histories_beside_the_reports_are_left_alone(passing, tmp_path):
    history = tmp_path / "disconnect_storm" / "history.jsonl"
    history.parent.mkdir()
    history.write_bytes(b"{}\n")
    write_reports(passing, tmp_path)
    assert history.read_bytes() == b"{}\n"


def test_a_report_that_cannot_be_made_leaves_the_last_run_whole(
    passing, failing, tmp_path, monkeypatch
):
    """A folder never mixes the verdicts of two runs."""
    write_reports(passing, tmp_path)
    before = contents(tmp_path)

    def broken(*_):
        raise RuntimeError("no page today")

    monkeypatch.setattr(writer, "report_html", broken)
    with pytest.raises(RuntimeError):
        write_reports(failing, tmp_path)
    assert contents(tmp_path) == before


def test_a_disk_that_is_full_half_way_leaves_the_last_run_whole(
    passing, failing, tmp_path, monkeypatch
):
    """Three of four fit: still no folder with the verdicts of two runs, and no scraps."""
    write_reports(passing, tmp_path)
    before, sync, calls = contents(tmp_path), os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 4:
            raise OSError("disk full")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        write_reports(failing, tmp_path)
    assert contents(tmp_path) == before


def test_a_write_that_fails_leaves_the_old_file_and_no_scraps(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    path.write_bytes(b"old")

    def full(_descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert contents(tmp_path) == {"report.json": b"old"}


def test_whoever_may_read_the_folder_may_read_the_files(passing, tmp_path):
    page = write_reports(passing, tmp_path)
    assert page.stat().st_mode & 0o777 == 0o644


def test_hostile_text_is_written_to_every_file(hostile, tmp_path):
    write_reports(hostile, tmp_path)
    for data in contents(tmp_path).values():
        assert "\\x00" in data.decode().replace("\\\\", "\\")


def test_the_terminal_command_of_a_page_needs_no_plotly(tmp_path):
    """Importing the writers must stay cheap: every start of the command pays for it."""
    code = "import sys, harness.report.writer; print('plotly' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "False"
