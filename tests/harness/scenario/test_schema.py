"""The JSON schema of scenario files, and the settings that a kind of fault may declare."""

from __future__ import annotations

import json

import pytest

from foxtrot.util.errors import ErrorCategory
from harness.faults.schema import TARGETING, ParameterSpec
from harness.scenario import METRICS, FaultSpec, json_schema

from .samples import CATALOGUE, duration, kind


def test_schema_has_a_branch_for_each_kind():
    """An editor offers the variants and settings of the kind that was typed, and no others."""
    schema = json_schema(CATALOGUE)
    faults = schema["properties"]["faults"]
    limit = schema["$defs"]["fault.rate_limit"]
    assert [each["$ref"] for each in faults["items"]["oneOf"]] == [
        f"#/$defs/fault.{name}" for name in CATALOGUE
    ]
    assert faults["items"]["discriminator"]["propertyName"] == "kind"
    assert limit["properties"]["kind"]["const"] == "rate_limit"
    assert limit["properties"]["variant"]["enum"] == ["seconds", "date", "bare"]
    assert limit["properties"]["retry_after"]["default"] == "10s"
    assert set(limit["properties"]) == {*TARGETING, "retry_after"}
    assert "variant" not in schema["$defs"]["fault.refuse"]["properties"]
    assert set(schema["properties"]["expect"]["properties"]) == set(METRICS)


def test_schema_writes_defaults_as_a_file_would():
    """Defaults have the unit that the loader asks for."""
    parts = json_schema(CATALOGUE)
    venue, workload = parts["$defs"]["VenueSpec"], parts["$defs"]["Workload"]
    assert parts["properties"]["settle"]["default"] == "1m"
    assert parts["$defs"]["LatencySpec"]["properties"]["mean"]["default"] == "20ms"
    assert workload["properties"]["orders"]["default"] == "1/s"
    assert "default" not in venue["properties"]["latency"]


def test_schema_is_json_with_every_reference_resolved_and_every_key_described():
    schema = json_schema(CATALOGUE)
    text = json.dumps(schema)
    for name in schema["$defs"]:
        assert f'"#/$defs/{name}"' in text
    for reference in (part.split('"')[0] for part in text.split('"$ref": "#/$defs/')[1:]):
        assert reference in schema["$defs"]
    assert '"null"' not in text
    for part in (schema, *schema["$defs"].values()):
        for key, shape in part["properties"].items():
            assert shape.get("description") or "$ref" in shape or key == "variant", key


@pytest.mark.parametrize("name", TARGETING)
def test_kind_cannot_take_a_key_of_every_fault(name):
    """A setting named like a window or a target would hide it."""
    with pytest.raises(ValueError, match="names of their own"):
        kind("odd", ErrorCategory.SYSTEM, parameters={name: duration(1.0)})


def test_targeting_keys_are_those_of_the_model():
    """The keys reserved for every fault and the fields of the model are the same list."""
    fields = {field.alias or name for name, field in FaultSpec.model_fields.items()}
    assert set(TARGETING) == fields - {"parameters", "instant"}


@pytest.mark.parametrize(
    ("spec", "good", "bad"),
    [
        (duration(1.0), ("5s", 5.0), 5),
        (ParameterSpec(type="ratio", default=0.5, doc="Share."), (0.25, 0.25), "25%"),
        (ParameterSpec(type="int", default=1, doc="Count."), (3, 3), -1),
        (ParameterSpec(type="int", default=1, doc="Count."), (0, 0), True),
        (ParameterSpec(type="text", default="", doc="Any."), ("x", "x"), 1),
        (ParameterSpec(type="text", default="a", doc="One.", choices=("a", "b")), ("b", "b"), "c"),
    ],
)
def test_setting_is_read_by_its_type(spec, good, bad):
    assert spec.parse(good[0]) == good[1]
    with pytest.raises(ValueError, match=r"^expected "):
        spec.parse(bad)
