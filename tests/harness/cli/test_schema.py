"""`foxtrot-chaos schema`."""

from __future__ import annotations

import orjson
import pytest

from harness.faults.catalogue import CATALOGUE

from .samples import refused, stories


class TestSchema:
    def test_it_is_one_json_document_on_standard_output_or_in_a_file(self, chaos, tmp_path):
        printed = chaos("schema")
        assert (printed.exit_code, printed.stderr) == (0, "")
        written = chaos("schema", "--out", tmp_path / "schema.json")
        assert (written.exit_code, written.output) == (0, "")
        assert (tmp_path / "schema.json").read_text() == printed.stdout
        schema = orjson.loads(printed.stdout)
        assert {"scenario", "proves", "duration", "venues"} <= schema["properties"].keys()
        assert set(CATALOGUE) <= set(_constants(schema))

    def test_it_accepts_the_stories_of_the_project(self, chaos):
        jsonschema = pytest.importorskip("jsonschema")
        import yaml

        schema = orjson.loads(chaos("schema").stdout)
        kind = jsonschema.validators.validator_for(schema)
        kind.check_schema(schema)
        validator = kind(schema)
        for path in stories():
            validator.validate(yaml.safe_load(path.read_text()))

    def test_a_place_that_cannot_be_written_to(self, chaos, tmp_path):
        said = refused(chaos("schema", "--out", tmp_path / "nowhere" / "schema.json"))
        assert said.startswith(f"{tmp_path / 'nowhere' / 'schema.json'}: cannot write there")


def _constants(schema):
    """Every word that the schema allows anywhere."""
    if isinstance(schema, dict):
        yield from [schema["const"]] if "const" in schema else []
        yield from schema.get("enum", [])
        for value in schema.values():
            yield from _constants(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _constants(value)
