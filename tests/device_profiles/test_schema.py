"""The JSON Schemas for editors: they say what the structs say, and a foreign validator agrees with the loader."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from device_profiles.catalogue import CATALOGUE, list_profiles, profile_files
from device_profiles.schema import SchemaOf, schema_of, schema_text
from langyan.profile_skeleton import SCHEMA_FILE

SCHEMAS = CATALOGUE.parent / "schemas"
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "school.toml"
PROFILE = Draft7Validator(schema_of(SchemaOf.PROFILE))


@pytest.mark.parametrize("what", SchemaOf)
def test_the_committed_schema_is_the_one_the_structs_give(what: SchemaOf) -> None:
    committed = (SCHEMAS / f"{what.value}.schema.json").read_text("utf-8")
    assert committed == schema_text(what), "run: scripts/generate"


def test_the_file_that_skeletons_name_is_the_schema_of_profiles() -> None:
    assert SCHEMA_FILE == SCHEMAS / "profile.schema.json"


@pytest.mark.parametrize("what", SchemaOf)
def test_a_schema_is_one_and_its_references_lead_somewhere(what: SchemaOf) -> None:
    schema = schema_of(what)
    Draft7Validator.check_schema(schema)

    def references(part: Any) -> set[str]:
        if isinstance(part, dict):
            found = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
            return found.union(*map(references, part.values()))
        return set().union(*map(references, part)) if isinstance(part, list) else set()

    assert references(schema) == {f"#/definitions/{name}" for name in schema["definitions"]}


@pytest.mark.parametrize("profile_id", list_profiles())
def test_every_profile_of_the_catalogue_is_valid(profile_id: str) -> None:
    data = tomllib.loads(profile_files()[profile_id].read_text("utf-8"))
    assert [error.message for error in PROFILE.iter_errors(data)] == []


def test_the_example_of_a_site_is_valid() -> None:
    site = Draft7Validator(schema_of(SchemaOf.SITE))
    assert [error.message for error in site.iter_errors(tomllib.loads(EXAMPLE.read_text("utf-8")))] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('kind = "climate-sensor"', 'kind = "no id"'),
        ("supervision_s = 60", "supervison_s = 60"),
        ('type = "s16"', 'type = "s17"'),
        ("range = [-40, 85]", "range = [-40]"),
        ("range = [-40, 85]", "range = [-40, 85, 90]"),
        ('rule = "threshold"', 'rule = "treshold"'),
        ("address = 0x0001", "address = -1"),
        ('severity = "high"', 'severity = "huge"'),
        ('maker = "generic"\n', ""),
    ],
)
def test_a_slip_is_underlined(old: str, new: str) -> None:
    text = profile_files()["generic/xy-md02"].read_text("utf-8")
    assert old in text
    assert list(PROFILE.iter_errors(tomllib.loads(text.replace(old, new))))


def test_a_key_is_explained_in_the_words_of_its_struct() -> None:
    definitions = json.loads(schema_text(SchemaOf.PROFILE))["definitions"]
    assert definitions["PointDef"]["properties"]["unit"]["description"].startswith("SenML unit")
    # What a rule shares with all rules is said where they share it.
    assert definitions["ThresholdRule"]["properties"]["latching"]["description"].startswith("once raised it stands")
    assert definitions["Table"]["description"].startswith("The four tables of the Modbus data model")


def test_a_key_with_another_name_in_the_file_has_that_one() -> None:
    drill = schema_of(SchemaOf.SITE)["definitions"]["Drill"]
    assert drill["required"] == ["from", "to"]
    assert "time zone" in drill["properties"]["from"]["description"]
