"""What is wrong with a scenario beyond the form of its values: names, windows, what fits what.

These checks read the plain values of the file, not the model, and step over whatever is
malformed: so one pass finds the mistakes of form and of sense together, and neither hides the
other. They hand on each part as the model takes it, without what was found wrong.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foxtrot.adapter.session import Operation
from harness._locate import Findings, Keys
from harness._scenario_model import METRICS, TARGETS, Target
from harness.faults.schema import AIMS, TARGETING, FaultKind, ParameterSpec
from harness.units import Mistake, format_duration, nearest, parse_duration

__all__ = ["OPERATIONS", "Names", "prepare"]

OPERATIONS = tuple(operation.value for operation in Operation)

_Raw = Any  # Any: whatever a YAML file may hold
_Raws = dict[str, Any]  # Any: the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The words, beside the kinds of faults, that a scenario may use.

    `policy_options` are the settings that an inline policy may override, `numbered` the profiles
    of venues that number what they push.
    """

    profiles: tuple[str, ...] = ("binance",)
    numbered: tuple[str, ...] = ("binance",)
    policies: tuple[str, ...] = ("default", "none")
    policy_options: Mapping[str, ParameterSpec] = field(default_factory=dict)


def prepare(
    raw: _Raws,
    path: Path,
    findings: Findings,
    *,
    catalogue: Mapping[str, FaultKind],
    names: Names,
) -> _Raws:
    """Check the sense of what the file at `path` holds, and return it as the model takes it."""
    check = _Check(raw, path, findings, catalogue, names)
    check.name()
    parts = {
        "venues": check.venues,
        "faults": check.faults,
        "random": check.random,
        "policy": check.policy,
        "expect": check.expect,
        "unexercised": check.unexercised,
    }
    return {key: parts[key](value) if key in parts else value for key, value in raw.items()}


class _Check:
    """The checks of one file."""

    def __init__(
        self,
        raw: _Raws,
        path: Path,
        findings: Findings,
        catalogue: Mapping[str, FaultKind],
        names: Names,
    ) -> None:
        self._raw = raw
        self._path = path
        self._findings = findings
        self._catalogue = catalogue
        self._names = names
        self._end = _seconds(raw, "duration")
        venues = {
            venue["name"]: venue
            for venue in _items(raw.get("venues"))
            if isinstance(venue, dict) and isinstance(venue.get("name"), str)
        }
        self._symbols = {name: tuple(_mapping(v.get("symbols"))) for name, v in venues.items()}
        self._profiles = {name: venue.get("profile") for name, venue in venues.items()}

    def name(self) -> None:
        name, stem = self._raw.get("scenario"), self._path.stem
        if isinstance(name, str) and name != stem:
            self._wrong(("scenario",), name, Mistake("the name of the file", stem))

    def venues(self, raw: _Raw) -> _Raw:
        return self._each(("venues",), raw, self._venue)

    def faults(self, raw: _Raw) -> _Raw:
        return self._each(("faults",), raw, self._fault)

    def _each(self, where: Keys, raw: _Raw, part: Any) -> _Raw:  # Any: a bound method
        if not isinstance(raw, list):
            return raw
        return [
            part((*where, index), item) if isinstance(item, dict) else item
            for index, item in enumerate(raw)
        ]

    def _venue(self, where: Keys, raw: _Raws) -> _Raws:
        name = raw.get("name")
        before = [_mapping(venue).get("name") for venue in self._raw["venues"][: where[-1]]]
        if name is not None and name in before:
            self._wrong((*where, "name"), name, Mistake("a name that no other venue has"))
        self._word((*where, "profile"), raw.get("profile"), self._names.profiles)
        others = [other for other in self._symbols if other != name]
        self._word((*where, "standby_for"), raw.get("standby_for"), others)
        return {**raw, "tape": self._tape(where, raw["tape"])} if "tape" in raw else raw

    def _tape(self, where: Keys, raw: _Raw) -> _Raw:
        if not isinstance(raw, dict) or not isinstance(raw.get("csv"), str):
            return raw
        csv = self._path.parent / raw["csv"]
        try:
            found = csv.is_file()
            others = sorted(each.name for each in csv.parent.glob("*.csv"))
        except OSError:  # a name that is too long, a directory that may not be read
            found, others = False, []
        if not found:
            mistake = Mistake(f"a file at {csv}", nearest(csv.name, others))
            self._wrong((*where, "tape", "csv"), raw["csv"], mistake)
        return {**raw, "csv": csv}

    def _fault(self, where: Keys, raw: _Raws) -> _Raws:
        self._target(where, raw)
        kind = self._kind((*where, "kind"), raw.get("kind"))
        self._window(where, raw)
        ready = {key: value for key, value in raw.items() if key in TARGETING}
        if kind is None:
            return ready
        self._aims(where, raw, kind)
        self._numbers((*where, "venue"), raw.get("venue"), kind)
        ready["variant"] = self._variant(where, raw, kind)
        ready["instant"] = kind.instant
        ready["parameters"] = self._parameters(where, raw, kind)
        return ready

    def _target(self, where: Keys, raw: _Raws) -> None:
        venue = self._word((*where, "venue"), raw.get("venue"), self._symbols)
        if venue is not None:
            self._word((*where, "symbol"), raw.get("symbol"), self._symbols[venue])
        self._word((*where, "operation"), raw.get("operation"), OPERATIONS)

    def _aims(self, where: Keys, raw: _Raws, kind: FaultKind) -> None:
        # Taken and not heeded, an aim would make a fault prove less than its file says.
        for key in AIMS:
            if key in raw and key not in kind.aims:
                able = f"only {', '.join(kind.aims)}" if kind.aims else "nothing"
                mistake = Mistake(f"no {key!r}: {kind.name} can be narrowed down by {able}")
                self._wrong((*where, key), raw[key], mistake)

    def _numbers(self, where: Keys, venue: _Raw, kind: FaultKind) -> None:
        # Nobody could notice it there, and the run would call that a mistake of the core's.
        profile = self._profiles.get(venue) if isinstance(venue, str) else None
        able = self._names.numbered
        if kind.numbered and profile in self._names.profiles and profile not in able:
            there = f"a venue of profile {' or '.join(able)}" if able else "no venue"
            why = f"{kind.name} shows by the numbers of what is pushed, and {profile} has none"
            self._wrong(where, venue, Mistake(f"{there}: {why}"))

    def _kind(self, where: Keys, name: _Raw) -> FaultKind | None:
        known = self._word(where, name, self._catalogue)
        return None if known is None else self._catalogue[known]

    def _variant(self, where: Keys, raw: _Raws, kind: FaultKind) -> _Raw:
        if "variant" not in raw:
            return kind.variants[0] if kind.variants else None
        self._word((*where, "variant"), raw["variant"], kind.variants)
        return raw["variant"]

    def _parameters(self, where: Keys, raw: _Raws, kind: FaultKind) -> _Raws:
        values: _Raws = {name: spec.default for name, spec in kind.parameters.items()}
        for name in raw:
            if name in kind.parameters:
                values[name] = self._parsed((*where, name), raw[name], kind.parameters[name])
            elif name not in TARGETING:
                self._findings.unknown_key((*where, name), (*TARGETING, *kind.parameters))
        return values

    def _parsed(self, where: Keys, value: _Raw, spec: ParameterSpec) -> _Raw:
        try:
            return spec.parse(value)
        except Mistake as mistake:
            self._wrong(where, value, mistake)
            return spec.default

    def _window(self, where: Keys, raw: _Raws) -> None:
        # A beginning after the run's end is no mistake of form: the fault never fires, and the
        # verdict says so.
        at, lasts, every = (_seconds(raw, key) for key in ("at", "for", "every"))
        if every is not None and lasts is not None and every < lasts:
            length = format_duration(lasts)
            mistake = Mistake(f"at least the length of the fault, {length}", length)
            self._wrong((*where, "every"), raw["every"], mistake)
        if "repeat" in raw and "every" not in raw:
            self._wrong((*where, "repeat"), raw["repeat"], Mistake("`every` beside it"))
        elif at is not None and every and isinstance(raw.get("repeat"), int):
            self._repeat((*where, "repeat"), raw["repeat"], at, every)

    def _repeat(self, where: Keys, repeat: int, at: float, every: float) -> None:
        if self._end is None or not at < self._end <= at + (repeat - 1) * every:
            return
        fits = math.ceil((self._end - at) / every)
        end = format_duration(self._end)
        mistake = Mistake(f"at most {fits}, which begin before the run ends at {end}", str(fits))
        self._wrong(where, repeat, mistake)

    def _before_the_end(self, where: Keys, raw: _Raw, seconds: float | None) -> None:
        if self._end is not None and seconds is not None and seconds >= self._end:
            end = format_duration(self._end)
            self._wrong(where, raw, Mistake(f"a time before the run ends at {end}"))

    def random(self, raw: _Raw) -> _Raw:
        if not isinstance(raw, dict):
            return raw
        for index, venue in enumerate(_items(raw.get("venues"))):
            self._word(("random", "venues", index), venue, self._symbols)
        between = _items(raw.get("between"))
        if len(between) == 2:
            latest = _seconds({"latest": between[1]}, "latest")
            self._before_the_end(("random", "between"), between, latest)
        if not isinstance(raw.get("kinds"), list):
            return raw
        kinds = [self._kind(("random", "kinds", n), k) for n, k in enumerate(raw["kinds"])]
        venues = _items(raw.get("venues")) or self._symbols
        for (index, kind), venue in itertools.product(enumerate(kinds), venues):
            if kind is not None:
                self._numbers(("random", "kinds", index), venue, kind)
        return {**raw, "kinds": [_by_chance(kind) for kind in kinds if kind is not None]}

    def policy(self, raw: _Raw) -> _Raw:
        if not isinstance(raw, dict):
            self._word(("policy",), raw, self._names.policies)
            return {"base": raw} if isinstance(raw, str) else {}
        options = self._names.policy_options
        for key in raw:
            if key != "base" and key not in options:
                self._findings.unknown_key(("policy", key), ("base", *options))
        self._word(("policy", "base"), raw.get("base"), self._names.policies)
        overrides = {
            key: self._parsed(("policy", key), value, options[key])
            for key, value in raw.items()
            if key in options
        }
        return {"base": raw.get("base", "default"), "overrides": overrides}

    def expect(self, raw: _Raw) -> _Raw:
        if not isinstance(raw, dict):
            return raw
        targets = dict(TARGETS)
        for metric, text in raw.items():
            if metric not in TARGETS:
                self._findings.unknown_key(("expect", metric), METRICS)
                continue
            try:
                targets[metric] = _target(metric, text)
            except Mistake as mistake:
                self._wrong(("expect", metric), text, mistake)
        return targets

    def unexercised(self, raw: _Raw) -> _Raw:
        for index, metric in enumerate(_items(raw)):
            self._word(("unexercised", index), metric, METRICS)
        return raw

    def _word(self, where: Keys, value: _Raw, words: Collection[str]) -> str | None:
        """`value` if it is one of the words; a None is a key that is not there."""
        if isinstance(value, str) and value in words:
            return value
        if value is not None:
            known = f"one of {', '.join(words)}" if words else f"no {where[-1]}: there is none"
            self._wrong(where, value, Mistake(known, nearest(value, words)))
        return None

    def _wrong(self, where: Keys, value: _Raw, mistake: Mistake) -> None:
        self._findings.mistake(where, value, mistake)


def _target(metric: str, text: _Raw) -> Target:
    usual = TARGETS[metric]
    match = re.fullmatch(r"(<=?|>=?|==)\s*([0-9]{1,12}(?:\.[0-9]{1,12})?)", str(text).strip())
    if match is None:
        raise Mistake("a comparison and a number", f"{usual}")
    target = Target(match[1], float(match[2]))
    # The other way round, a target would hold the core to being bad enough.
    if ("<" in target.operator) != ("<" in usual.operator):
        raise Mistake(f"a comparison like {str(usual)!r}", f"{usual.operator} {match[2]}")
    if metric != "mttr_seconds" and target.number > 1:
        raise Mistake("a ratio from 0 to 1 behind the comparison", f"{usual}")
    return target


def _by_chance(kind: FaultKind) -> _Raws:
    defaults = {name: spec.default for name, spec in kind.parameters.items()}
    return {"kind": kind.name, "variants": kind.variants, "parameters": defaults}


def _seconds(raw: _Raws, key: str) -> float | None:
    try:
        return parse_duration(raw.get(key))
    except Mistake:
        return None  # the model says what is wrong with it


def _items(raw: _Raw) -> list[Any]:  # Any: see _Raw
    return raw if isinstance(raw, list) else []


def _mapping(raw: _Raw) -> _Raws:
    return raw if isinstance(raw, dict) else {}
