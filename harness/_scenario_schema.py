"""The JSON Schema of the scenario format, so that editors complete it.

Made from the model and the catalogue: each kind of fault is a branch of its own, with its
variants and settings, so that an editor offers those of the kind that was typed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness._scenario_check import OPERATIONS, Names
from harness._scenario_model import METRICS, TARGETS, Scenario
from harness.faults.schema import AIMS, FaultKind, ParameterSpec
from harness.units import DURATION_PATTERN, RATE_PATTERN, format_duration

__all__ = ["build_schema"]

_Schema = dict[str, Any]  # Any: JSON


_WRITTEN: Mapping[str, Callable[[Any], str]] = {  # Any: seconds, or text that is written already
    DURATION_PATTERN: lambda value: value if isinstance(value, str) else format_duration(value),
    RATE_PATTERN: lambda value: f"{value:g}/s",
}


def build_schema(catalogue: Mapping[str, FaultKind], names: Names) -> _Schema:
    """The schema of a scenario file (JSON Schema, draft 2020-12)."""
    schema = Scenario.model_json_schema(by_alias=True)
    parts = schema["$defs"]
    fault = parts.pop("FaultSpec")["properties"]
    for name in ("PolicySpec", "RandomKind", "Target"):
        del parts[name]
    parts |= {f"fault.{kind.name}": _fault(kind, fault) for kind in catalogue.values()}
    refs = {kind: f"#/$defs/fault.{kind}" for kind in catalogue}
    schema["properties"] |= {
        "faults": _described(schema, "faults", type="array", items=_one_of(refs)),
        "policy": _described(schema, "policy", **_policy(names)),
        "expect": _described(schema, "expect", **_expect()),
        "unexercised": _described(
            schema, "unexercised", type="array", items={"enum": list(METRICS)}
        ),
    }
    parts["RandomFaults"]["properties"]["kinds"]["items"] = {"enum": list(catalogue)}
    parts["VenueSpec"]["properties"]["profile"]["enum"] = list(names.profiles)
    _as_written(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _fault(kind: FaultKind, targeting: _Schema) -> _Schema:
    own: _Schema = {"kind": {"const": kind.name, "description": kind.doc}}
    if kind.variants:
        own["variant"] = {"enum": list(kind.variants), "default": kind.variants[0]}
    if "operation" in kind.aims:
        own["operation"] = {**targeting["operation"], "anyOf": [{"enum": list(OPERATIONS)}]}
    other = {"kind", "variant", *(key for key in AIMS if key not in kind.aims)}
    shared = {key: value for key, value in targeting.items() if key not in other}
    return {
        "title": kind.name,
        "description": kind.doc,
        "type": "object",
        "properties": {**shared, **own, **_settings(kind.parameters)},
        "required": ["kind", "venue", "at"],
        "additionalProperties": False,
    }


def _one_of(refs: Mapping[str, str]) -> _Schema:
    return {
        "oneOf": [{"$ref": ref} for ref in refs.values()],
        "discriminator": {"propertyName": "kind", "mapping": dict(refs)},
    }


def _policy(names: Names) -> _Schema:
    name = {"enum": list(names.policies)}
    settings = {"base": name, **_settings(names.policy_options)}
    inline = {"type": "object", "properties": settings, "additionalProperties": False}
    return {"anyOf": [name, inline], "default": "default"}


def _expect() -> _Schema:
    comparison = {"type": "string", "pattern": r"^(<=?|>=?|==)\s*[0-9]+(\.[0-9]+)?$"}
    return {
        "type": "object",
        "properties": {
            metric: {**comparison, "default": str(target)} for metric, target in TARGETS.items()
        },
        "additionalProperties": False,
    }


def _settings(parameters: Mapping[str, ParameterSpec]) -> _Schema:
    return {name: spec.json_schema() for name, spec in parameters.items()}


def _described(schema: _Schema, key: str, **shape: Any) -> _Schema:  # Any: JSON
    return {"description": schema["properties"][key]["description"], **shape}


def _as_written(node: Any) -> None:  # Any: JSON
    """Put what the model says of its values into the words of a file, all the way down.

    A file leaves a key out rather than set it to null, which the loader refuses; it writes units;
    and the defaults of a part are those of its keys.
    """
    if isinstance(node, dict):
        if isinstance(node.get("anyOf"), list):
            node["anyOf"] = [each for each in node["anyOf"] if each != {"type": "null"}]
        if isinstance(node.get("default", ...), dict | None):
            del node["default"]
        if "default" in node and node.get("pattern") in _WRITTEN:
            node["default"] = _WRITTEN[node["pattern"]](node["default"])
        node = list(node.values())
    for each in node if isinstance(node, list) else []:
        _as_written(each)
