"""The command, in this process."""

from __future__ import annotations

from functools import partial

import pytest
from typer.testing import CliRunner

from harness import batch, cli
from harness.run import simulate

from .samples import SHORT


@pytest.fixture
def scenario(tmp_path):
    """Writes a scenario and returns its path."""

    def write(text=SHORT, name="short"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def chaos(monkeypatch, tmp_path):
    """`foxtrot-chaos` in this process, in an empty folder."""
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)

    def run(*words, **options):
        return CliRunner().invoke(cli.app, [str(word) for word in words], **options)

    return run


@pytest.fixture
def inline(monkeypatch):
    """Jobs in this process, so that a test can break them."""

    def use(work=batch._run_job, **options):
        def run_all(jobs, **_):
            return [work(number, job) for number, job in enumerate(jobs, 1)]

        monkeypatch.setattr(cli, "run_all", run_all)
        if options:
            monkeypatch.setattr(batch, "simulate", partial(simulate, **options))

    return use


@pytest.fixture
def stored(chaos, scenario, tmp_path, inline):
    """A folder that a run has left."""
    inline()
    out = tmp_path / "stored"
    chaos("run", scenario(), "--out", out)
    return out
