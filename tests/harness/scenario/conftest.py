"""Scenario files, written and read."""

from __future__ import annotations

import pytest

from harness.scenario import ScenarioError, load

from .samples import CATALOGUE, HEAD


@pytest.fixture
def write(tmp_path):
    def _write(text, name="story.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return _write


@pytest.fixture
def read(write):
    def _read(tail="", head=HEAD):
        return load(write(head + tail), catalogue=CATALOGUE)

    return _read


@pytest.fixture
def complaints(write):
    """The mistakes in a file, as `(line, message)`."""

    def _complaints(tail="", head=HEAD, **options):
        with pytest.raises(ScenarioError) as caught:
            load(write(head + tail), catalogue=CATALOGUE, **options)
        return [(problem.line, problem.message) for problem in caught.value.problems]

    return _complaints
