"""`manifest.yaml`: which scenarios the rates are gated on, and how often each kind happens.

Read as strictly as scenarios are: every mistake at once, each with its line and the right word.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness._locate import Findings, Keys, ScenarioError, read_document
from harness.faults.schema import FaultKind
from harness.mix import Frequency, Mix
from harness.scenario import MANIFEST_NAME, Scenario
from harness.units import Mistake, nearest

__all__ = ["find_manifest", "load_manifest"]

_KEYS = ("mix", "kinds")
_KIND_KEYS = ("per_month", "basis", "why", "sources")
_BASES = ("documented", "estimated")


def find_manifest(paths: Iterable[Path]) -> Path | None:
    """The manifest among `paths` or in their folders, if there is one."""
    for path in paths:
        found = (path if path.is_dir() else path.parent) / MANIFEST_NAME
        if found.is_file():
            return found
    return None


def load_manifest(
    path: Path, scenarios: Iterable[Scenario], *, catalogue: Mapping[str, FaultKind]
) -> Mix:
    """The declared mix in a manifest, checked against those of its scenarios that are at hand.

    Raises:
        ScenarioError: With every mistake: a key, a scenario without a file beside the manifest or
            a kind outside the catalogue that it names, a kind that a scenario of the mix uses and
            nobody has justified, a justification without a source.
    """
    findings = Findings(str(path))
    raw = read_document(path, findings)
    if not raw and (problems := findings.problems()):
        raise ScenarioError(problems)  # of a file that cannot be read, nothing else is known
    _check_keys(raw, (), _KEYS, findings)
    mix = _scenarios(raw.get("mix"), path.parent, findings)
    kinds = _kinds(raw.get("kinds"), catalogue, findings)
    for scenario in scenarios:
        if scenario.name in mix:
            _check_justified(scenario, kinds, findings)
    problems = findings.problems()
    if problems:
        raise ScenarioError(problems)
    return Mix(mix, kinds)


def _scenarios(raw: Any, folder: Path, findings: Findings) -> tuple[str, ...]:  # Any: YAML
    if not isinstance(raw, list) or not raw:
        findings.mistake(("mix",), raw, Mistake("a list of scenarios"))
        return ()
    known = [file.stem for file in sorted(folder.iterdir()) if file.suffix in {".yaml", ".yml"}]
    for number, name in enumerate(raw):
        if name not in known:
            expected = Mistake(f"a scenario in {folder}", nearest(name, known))
            findings.mistake(("mix", number), name, expected)
        elif raw.index(name) != number:
            findings.add(("mix", number), f"expected each scenario once, {name!r} is there before")
    return tuple(str(name) for name in raw)


def _kinds(
    raw: Any, catalogue: Mapping[str, FaultKind], findings: Findings
) -> dict[str, Frequency]:  # Any: YAML
    if not isinstance(raw, dict):
        findings.mistake(("kinds",), raw, Mistake("kinds of faults with their frequency"))
        return {}
    for name in raw:
        if name not in catalogue:
            expected = Mistake("a kind of the catalogue", nearest(name, catalogue))
            findings.mistake(("kinds", name), name, expected)
    return {name: _frequency(entry, ("kinds", name), findings) for name, entry in raw.items()}


def _frequency(raw: Any, where: Keys, findings: Findings) -> Frequency:  # Any: YAML
    if not isinstance(raw, dict):
        findings.mistake(where, raw, Mistake("keys with values"))
        raw = {}
    elif not raw:
        findings.add(where, f"expected the keys {', '.join(_KIND_KEYS)} in {where[-1]!r}")
    else:
        _check_keys(raw, where, _KIND_KEYS, findings)
    rate, basis, why, sources = (raw.get(key) for key in _KIND_KEYS)
    checks = {
        "per_month": (_is_rate(rate), "a number above zero"),
        "basis": (basis in _BASES, f"one of {', '.join(_BASES)}"),
        "why": (_is_text(why), "a text"),
        "sources": (_are_links(sources), "a list of https:// addresses"),
    }
    for key, (is_right, expected) in checks.items():
        if raw and not is_right:
            findings.mistake((*where, key), raw.get(key), Mistake(expected))
    return Frequency(
        per_month=float(rate) if isinstance(rate, int | float) and _is_rate(rate) else 0.0,
        basis=str(basis),
        why=str(why),
        sources=tuple(map(str, sources)) if isinstance(sources, list) else (),
    )


def _is_rate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _are_links(value: object) -> bool:
    links = value if isinstance(value, list) else []
    return bool(links) and all(isinstance(a, str) and a.startswith("https://") for a in links)


def _check_keys(
    raw: Mapping[str, Any], where: Keys, keys: tuple[str, ...], findings: Findings
) -> None:
    for key in raw:
        if key not in keys:
            findings.unknown_key((*where, key), keys)
    for key in keys:
        if raw and key not in raw:
            findings.add((*where, key), f"expected the key {key!r}")


def _check_justified(
    scenario: Scenario, kinds: Mapping[str, Frequency], findings: Findings
) -> None:
    declared = [fault.kind for fault in scenario.faults]
    drawn = [] if scenario.drawn is None else [each.kind for each in scenario.drawn.kinds]
    for kind in dict.fromkeys([*declared, *drawn]):
        if kind not in kinds:
            message = f"expected how often {kind!r} happens, which {scenario.name} of the mix uses"
            findings.add(("kinds", kind), message)
