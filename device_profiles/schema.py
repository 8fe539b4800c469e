"""JSON Schema of profiles and site files, from the structs that read them, for editors to complete and explain. Pure.

Draft 7, as taplo and the other editors of TOML read it. The schema knows the form alone; what only makes sense
together (a rule's points, a capture's readings) is checked by `langyan profile check` and `langyan edge check`.
"""

import re
from collections.abc import Iterator
from enum import EnumType, StrEnum
from inspect import cleandoc, getdoc
from typing import Any, get_args

import msgspec
from msgspec import Struct

from device_profiles.model import Profile
from device_profiles.site import SiteFile

DRAFT = "http://json-schema.org/draft-07/schema#"

_DEFINITIONS = "definitions"
_ATTRIBUTE = re.compile(r"^ {4}(\w+(?:, \w+)*): (.*(?:\n {8}.*)*)", re.MULTILINE)


class SchemaOf(StrEnum):
    """The files that people write, and have a schema."""

    PROFILE = "profile"
    SITE = "site"


_ROOTS: dict[SchemaOf, type[Struct]] = {SchemaOf.PROFILE: Profile, SchemaOf.SITE: SiteFile}


def schema_of(what: SchemaOf) -> dict[str, Any]:
    """Make the JSON Schema of a kind of file, with the structs' own words on every key."""
    root = _ROOTS[what]
    (reference,), components = msgspec.json.schema_components([root], ref_template=f"#/{_DEFINITIONS}/{{name}}")
    types = {found.__name__: found for found in _types_in(root, set())}
    definitions = {name: _described(_draft_7(component), types.get(name)) for name, component in components.items()}
    title = f"Langyan {what.value} file"
    return {"$schema": DRAFT, "title": title, "allOf": [_draft_7(reference)], _DEFINITIONS: definitions}


def schema_text(what: SchemaOf) -> str:
    """Write the schema as it is committed: sorted as in the structs, two spaces, a line end."""
    return msgspec.json.format(msgspec.json.encode(schema_of(what)), indent=2).decode() + "\n"


def _types_in(wanted: Any, seen: set[Any]) -> Iterator[type]:
    """Every struct and enumeration of a type and, through the structs' fields, all below it."""
    if isinstance(wanted, EnumType):
        yield wanted
    elif isinstance(wanted, type) and issubclass(wanted, Struct) and wanted not in seen:
        seen.add(wanted)
        yield wanted
        for field in msgspec.structs.fields(wanted):
            yield from _types_in(field.type, seen)
    for part in get_args(wanted):
        yield from _types_in(part, seen)


def _draft_7(schema: Any) -> Any:
    """Write what msgspec says (2020-12) in the older words; TOML has no null, so that goes."""
    if isinstance(schema, list):
        return [_draft_7(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # A key's own name may be one of these words; only what is said of it is rewritten.
    if "properties" in schema:
        properties = {key: _draft_7(value) for key, value in schema["properties"].items()}
        return {**{key: value for key, value in schema.items() if key != "description"}, "properties": properties}
    found = {key: _draft_7(value) for key, value in schema.items() if key != "discriminator"}
    if "prefixItems" in found:
        found["items"] = found.pop("prefixItems")
    if "default" in found and found["default"] is None:
        del found["default"]
    if "pattern" in found:
        found["pattern"] = found["pattern"].replace(r"\Z", "$")
    if "anyOf" in found:
        found["anyOf"] = [option for option in found["anyOf"] if option != {"type": "null"}]
        if len(found["anyOf"]) == 1:
            found |= found.pop("anyOf")[0]
    return found


def _described(schema: dict[str, Any], wanted: type | None) -> dict[str, Any]:
    """Put the first line of the docstring on the table and its `Attributes:` on the keys."""
    if wanted is None:
        return schema
    described = {**schema, "description": (getdoc(wanted) or "").partition("\n")[0]}
    words = _attributes(wanted)
    for key, value in described.get("properties", {}).items():
        if key in words:
            # Beside a reference other words are not read in draft 7.
            whole = {"allOf": [value]} if "$ref" in value else value
            described["properties"][key] = {"description": words[key], **whole}
    return described


def _attributes(wanted: type) -> dict[str, str]:
    """What the docstrings of a struct and of those it extends say of each key as it is written in files."""
    words: dict[str, str] = {}
    for base in reversed(wanted.__mro__):
        for names, said in _ATTRIBUTE.findall(cleandoc(base.__doc__ or "").partition("\nAttributes:\n")[2]):
            words |= dict.fromkeys(names.split(", "), re.sub(r"\s+", " ", said))
    if issubclass(wanted, Struct):
        fields = msgspec.structs.fields(wanted)
        words |= {field.encode_name: words[field.name] for field in fields if field.name in words}
    return words
