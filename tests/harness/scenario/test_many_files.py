"""Several scenario files and folders at once."""

from __future__ import annotations

import pytest

from harness.scenario import ScenarioError, load, load_paths

from .samples import CATALOGUE, HEAD


def story(name):
    return HEAD.replace("story", name)


def test_directory_is_read_by_file_name(write, tmp_path):
    """Both endings count, others do not, and the order is that of the names."""
    write(story("b"), "b.yaml")
    write(story("a"), "a.yml")
    write("not one", "notes.txt")
    assert [each.name for each in load_paths([tmp_path], catalogue=CATALOGUE)] == ["a", "b"]


def test_file_reached_twice_is_read_once(write, tmp_path):
    path = write(story("a"), "a.yaml")
    assert [each.name for each in load_paths([path, tmp_path], catalogue=CATALOGUE)] == ["a"]


def test_mistakes_of_all_files_come_together(write, tmp_path):
    """One bad file hides no other; files come in their order, then lines."""
    first = write(story("z").replace("10m", "10"), "z.yaml")
    second = write(story("a") + "seed: x\npolicy: y\n", "a.yaml")
    (tmp_path / "sub").mkdir()
    twin = write(story("a"), "sub/a.yaml")
    empty = tmp_path / "empty"
    empty.mkdir()
    absent = tmp_path / "absent.yaml"
    with pytest.raises(ScenarioError) as caught:
        load_paths([first, second, twin, empty, absent], catalogue=CATALOGUE)
    assert [(p.file, p.line, p.message.split(",")[0]) for p in caught.value.problems] == [
        (str(empty), 1, "expected scenarios (*.yaml"),
        (str(first), 3, "expected a duration such as 250ms"),
        (str(second), 9, "expected a valid integer"),
        (str(second), 10, "expected one of default"),
        (str(twin), 1, "expected a name of its own"),
        (str(absent), 1, "expected a readable file"),
    ]


def test_file_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "story.yaml"
    path.write_bytes(b"proves: \xff\n")
    with pytest.raises(ScenarioError, match="expected UTF-8, byte 8"):
        load(path, catalogue=CATALOGUE)
