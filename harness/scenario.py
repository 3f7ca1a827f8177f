"""Scenario files: read strictly, every mistake at once, each with its line and the right word.

The format is YAML with the keys of `Scenario`; `json_schema` describes it to editors. Nothing
here runs a scenario.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness._locate import Findings, Keys, Problem, ScenarioError, name_of, read_document
from harness._scenario_check import Names, prepare
from harness._scenario_model import (
    METRICS,
    TARGETS,
    FaultSpec,
    LatencySpec,
    Occurrence,
    PolicySpec,
    RandomFaults,
    RandomKind,
    Scenario,
    SymbolSpec,
    TapeSpec,
    Target,
    VenueSpec,
    Workload,
)
from harness._scenario_schema import build_schema
from harness.faults.schema import FaultKind
from harness.units import Mistake, nearest

__all__ = [
    "DEFAULT_NAMES",
    "MANIFEST_NAME",
    "METRICS",
    "TARGETS",
    "FaultSpec",
    "LatencySpec",
    "Names",
    "Occurrence",
    "PolicySpec",
    "Problem",
    "RandomFaults",
    "RandomKind",
    "Scenario",
    "ScenarioError",
    "SymbolSpec",
    "TapeSpec",
    "Target",
    "VenueSpec",
    "Workload",
    "json_schema",
    "load",
    "load_paths",
]

DEFAULT_NAMES = Names()

MANIFEST_NAME = "manifest.yaml"
"""What a folder of scenarios says about all of them; it is none itself. See `harness.manifest`."""

_SECTIONS: Mapping[str, type[BaseModel]] = {
    "venues": VenueSpec,
    "symbols": SymbolSpec,
    "latency": LatencySpec,
    "tape": TapeSpec,
    "workload": Workload,
    "random": RandomFaults,
}


def load(
    path: str | Path,
    *,
    catalogue: Mapping[str, FaultKind],
    names: Names = DEFAULT_NAMES,
) -> Scenario:
    """The scenario in one file.

    Raises:
        ScenarioError: With every mistake in the file, by line.
    """
    scenario, problems = _read(Path(path), catalogue, names)
    if scenario is None:
        raise ScenarioError(problems)
    return scenario


def load_paths(
    paths: Iterable[str | Path],
    *,
    catalogue: Mapping[str, FaultKind],
    names: Names = DEFAULT_NAMES,
) -> tuple[Scenario, ...]:
    """The scenarios in files and directories, in the order given; a directory's by file name.

    A file that is reached twice is loaded once. Directories are not searched for others.

    Raises:
        ScenarioError: With every mistake in all the files, file by file; a directory without a
            scenario, and a name that two files share, are mistakes.
    """
    found, problems = _files(paths)
    scenarios: list[Scenario] = []
    for path in found:
        scenario, mistakes = _read(path, catalogue, names)
        problems += mistakes
        scenarios += [scenario] if scenario else []
    problems += _shared_names(found)
    if problems:
        raise ScenarioError(_by_file(problems, found))
    return tuple(scenarios)


def json_schema(
    catalogue: Mapping[str, FaultKind], names: Names = DEFAULT_NAMES
) -> dict[str, Any]:  # Any: JSON
    """The JSON Schema of a scenario file, with each kind of the catalogue as a branch."""
    return build_schema(catalogue, names)


def _read(
    path: Path, catalogue: Mapping[str, FaultKind], names: Names
) -> tuple[Scenario | None, tuple[Problem, ...]]:
    findings = Findings(str(path))
    raw = read_document(path, findings)
    scenario = None
    if raw:
        ready = prepare(raw, path, findings, catalogue=catalogue, names=names)
        scenario = _validated(ready, raw, findings)
    problems = findings.problems()
    return (None if problems else scenario), problems


def _validated(ready: dict[str, Any], raw: object, findings: Findings) -> Scenario | None:
    try:
        return Scenario.model_validate(ready)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            where: Keys = details["loc"]
            if not findings.has(where):
                _add(details, where, _written(raw, where), findings)
        return None


def _add(details: ErrorDetails, where: Keys, value: object, findings: Findings) -> None:
    cause = details.get("ctx", {}).get("error")
    if details["type"] == "extra_forbidden":
        findings.unknown_key(where, _keys_around(where))
    elif details["type"] == "missing":
        findings.add(where, f"expected the key {where[-1]!r} in {name_of(where[:-1])}")
    elif isinstance(cause, Mistake):
        findings.mistake(where, value, cause)
    else:
        findings.mistake(where, value, _mistake(details))


def _mistake(details: ErrorDetails) -> Mistake:
    choices = details.get("ctx", {}).get("expected", "")
    suggestion = nearest(details["input"], choices.replace(" or ", ", ").split(", "))
    match details["type"]:
        case "model_type" | "dict_type" | "dataclass_type":
            return Mistake("keys with values")
        case "tuple_type":
            return Mistake("a list")
        case "too_short":
            return Mistake("at least one")
        case _:
            what = details["msg"].removeprefix("Input should be ")
            what = f"a number {what}" if what.startswith(("greater", "less")) else what
            return Mistake(what, suggestion and suggestion.strip("'"))


def _keys_around(where: Keys) -> list[str]:
    """The keys that the part around `where` may have."""
    names = [key for key in reversed(where[:-1]) if key in _SECTIONS]
    model = _SECTIONS[str(names[0])] if names else Scenario
    return [field.alias or name for name, field in model.model_fields.items()]


def _written(raw: Any, where: Keys) -> object:  # Any: whatever the file holds
    """What the file says at `where`; None where it says nothing."""
    for key in where:
        try:
            raw = raw[key]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _files(paths: Iterable[str | Path]) -> tuple[list[Path], list[Problem]]:
    problems: list[Problem] = []
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        inside = sorted(_scenarios_in(path)) if path.is_dir() else [path]
        if not inside:
            problems.append(Problem(str(path), 1, "expected scenarios (*.yaml, *.yml), found none"))
        for each in inside:
            found.setdefault(each.resolve(), each)
    return list(found.values()), problems


def _scenarios_in(directory: Path) -> Iterator[Path]:
    return (
        path
        for path in directory.iterdir()
        if path.suffix in {".yaml", ".yml"} and path.name != MANIFEST_NAME
    )


def _shared_names(paths: Iterable[Path]) -> Iterator[Problem]:
    # A scenario goes by its file's stem, so two files clash whether or not they can be read.
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        by_name[path.stem].append(path)
    for name, (first, *others) in by_name.items():
        for other in others:
            message = f"expected a name of its own, scenario={name!r} is also {first}"
            yield Problem(str(other), 1, message)


def _by_file(problems: Iterable[Problem], paths: Iterable[Path]) -> tuple[Problem, ...]:
    order = {str(path): index for index, path in enumerate(paths)}
    return tuple(sorted(problems, key=lambda each: (order.get(each.file, -1), each.line)))
