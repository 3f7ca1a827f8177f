"""YAML read with the line of every value, and mistakes gathered instead of raised one by one.

Scalars follow YAML 1.2: `no` and `on` are words, not booleans, and `1:30` is a text, not 90. What
a scenario has no use for is refused rather than half supported: anchors, tags, nulls.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness.units import Mistake, nearest

__all__ = ["Findings", "Keys", "Problem", "ScenarioError", "name_of", "read_document"]

Keys = tuple[str | int, ...]
"""The way from the top of a document to a value: keys and indices."""

_STR, _INT, _FLOAT, _BOOL, _NULL = (
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null")
)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in one file. Lines count from 1."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class ScenarioError(Exception):
    """Raised when scenario files hold mistakes; it carries all of them, in order of line."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


@dataclass(slots=True)
class Findings:
    """What is wrong with one file: at most one message for each place.

    The first message about a place is the best one; later checks stumble over the same thing.
    """

    file: str
    lines: dict[Keys, int] = field(default_factory=dict)
    _messages: dict[Keys, str] = field(default_factory=dict)

    def add(self, where: Keys, message: str) -> None:
        """Note that the value at `where` is wrong."""
        self._messages.setdefault(where, message)

    def mistake(self, where: Keys, value: object, mistake: Mistake) -> None:
        """Note that `value`, at `where`, is not what was expected there."""
        self.add(where, mistake.about(name_of(where), value))

    def unknown_key(self, where: Keys, keys: Iterable[str]) -> None:
        """Note that the key at the end of `where` is none of `keys`."""
        known = tuple(keys)
        mistake = Mistake(f"one of the keys {', '.join(known)}", nearest(where[-1], known))
        self.add(where, mistake.about("key", where[-1]))

    def has(self, where: Keys) -> bool:
        """Whether the place, or anything in it, is known to be wrong."""
        return any(keys[: len(where)] == where for keys in self._messages)

    def line(self, where: Keys) -> int:
        """The line of a value, or of the nearest thing around it that is in the file."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)

    def problems(self) -> tuple[Problem, ...]:
        """Everything found, by line."""
        found = (Problem(self.file, self.line(k), text) for k, text in self._messages.items())
        return tuple(sorted(found))


def name_of(where: Keys) -> str:
    """The last key on the way, with the index behind it if there is one: `faults[2]`."""
    if not where:
        return "file"
    if isinstance(where[-1], int):
        return f"{name_of(where[:-1])}[{where[-1]}]"
    return where[-1]


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with the implicit types of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - Any: (tag, pattern), PyYAML's shape


for _tag, _pattern, _first in (
    (_NULL, r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    (_BOOL, r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    (_INT, r"^[-+]?[0-9]{1,18}$", list("-+0123456789")),
    (
        _FLOAT,
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan)$",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), _first)


def read_document(path: Path, findings: Findings) -> dict[str, Any]:  # Any: checked downstream
    """The mapping in a YAML file; the lines of its values go to `findings`, and its mistakes too.

    A file that cannot be parsed yields an empty mapping and one finding, since nothing beyond
    the first error of syntax can be trusted.
    """
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        findings.add((), f"expected a readable file, {error.strerror or error}")
    except UnicodeDecodeError as error:
        findings.add((), f"expected UTF-8, byte {error.start} is not; save the file as UTF-8")
    except yaml.YAMLError as error:
        _add_syntax_error(error, findings)
    else:
        return _document(node, findings)
    return {}


def _document(node: yaml.Node | None, findings: Findings) -> dict[str, Any]:
    if isinstance(node, yaml.MappingNode):
        return _Reader(findings).mapping(node, ())
    what = {yaml.SequenceNode: "a list", yaml.ScalarNode: "one value"}.get(type(node), "nothing")
    findings.add((), f"expected keys with values, such as `scenario: name`, the file holds {what}")
    return {}


def _add_syntax_error(error: yaml.YAMLError, findings: Findings) -> None:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    findings.lines[()] = mark.line + 1 if mark else 1
    what = getattr(error, "problem", None) or str(error)
    hint = ""
    if r"\t" in what:
        hint = "; indent with spaces, not tabs"
    elif getattr(error, "context", "") == "while scanning a block scalar":
        hint = "; quote a text that begins with >, as in '> 0.8'"
    findings.add((), f"expected YAML, {what}{hint}")


class _Reader:
    """Turns nodes into plain values and notes the line of each."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._seen: set[int] = set()

    def mapping(self, node: yaml.MappingNode, where: Keys) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._complain(key_node, (*where, "?"), "expected a word as key")
                continue
            # The text of a key, whatever it looks like: 00700 is an instrument, not 700.
            key = (*where, key_node.value)
            if key_node.value in values:
                self._complain(
                    key_node,
                    (*key, "again"),
                    f"expected each key once, {key_node.value!r} is also on line "
                    f"{self._findings.lines[key]}",
                )
                continue
            self._findings.lines[key] = key_node.start_mark.line + 1
            values[key_node.value] = self._value(value_node, key)
        return values

    def _value(self, node: yaml.Node, where: Keys) -> Any:
        if id(node) in self._seen:
            self._complain(node, where, "expected the value itself; anchors are not supported")
            return None
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, where)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*where, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, where)

    def _item(self, node: yaml.Node, where: Keys) -> Any:
        self._findings.lines[where] = node.start_mark.line + 1
        return self._value(node, where)

    def _scalar(self, node: yaml.Node, where: Keys) -> Any:
        match node.tag:
            case t if t == _STR:
                return node.value
            case t if t == _INT:
                return int(node.value)
            case t if t == _FLOAT:
                return float(node.value.replace(".inf", "inf").replace(".nan", "nan"))
            case t if t == _BOOL:
                return node.value.lower() == "true"
            case t if t == _NULL:
                name = name_of(where)
                self._complain(node, where, f"expected a value for {name!r}, or no such key")
            case _:
                self._complain(node, where, f"expected a value without a tag, got {node.tag!r}")
        return None

    def _complain(self, node: yaml.Node, where: Keys, message: str) -> None:
        self._findings.lines.setdefault(where, node.start_mark.line + 1)
        self._findings.add(where, message)
