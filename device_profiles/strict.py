"""Strict conversion of TOML data into structs that finds every fault, not only the first.

Unknown keys, missing keys, wrong types, ranges and patterns are faults, each at its own place. What could
be read is handed on even so, that checks of the meaning can report together with those of the form; only a
table whose required parts cannot be read stays out of them.
"""

import math
import types
from enum import EnumType
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from contract.ids import ID_PATTERN
from device_profiles.faults import N_, listed, near, shown
from device_profiles.toml_file import Place, TomlFile

_BAD = object()
"""Stands for what could not be read; the fault is noted, the part is left out."""


def read_fields(toml: TomlFile, wanted: type[Struct]) -> dict[str, Any]:
    """Convert a whole file into the fields of `wanted`; faults are noted in `toml`.

    Returns:
        The fields that could be read. `wanted(**fields)` is complete when `toml` has no faults.
        A list keeps its good items; an item left out shifts the others, so ask `toml.place_of`.
    """
    return _fields(toml, toml.data, wanted, ())


def _fields(toml: TomlFile, data: dict[str, Any], wanted: type[Struct], place: Place) -> dict[str, Any]:
    known = {field.encode_name: field for field in _fields_of(wanted)}
    tag_field = wanted.__struct_config__.tag_field
    for key in data.keys() - known.keys() - {tag_field}:
        _unknown_key(toml, (*place, key), key, sorted(known))
    found: dict[str, Any] = {}
    for key, field in known.items():
        if key in data:
            value = _value(toml, data[key], field.type, (*place, key))
            if value is not _BAD:
                found[field.name] = value
        elif field.required:
            toml.fault((*place, key), N_("is missing"))
    return found


@cache
def _fields_of(wanted: type[Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    # Finding the types of a struct's fields takes as long as reading a table into it.
    return msgspec.structs.fields(wanted)


def _unknown_key(toml: TomlFile, place: Place, key: str, allowed: list[str]) -> None:
    meant = near(key, allowed)
    if meant:
        text = N_("unknown key; did you mean {near}? Allowed: {allowed}")
        toml.fault(place, text, near=meant, allowed=listed(allowed))
    else:
        toml.fault(place, N_("unknown key; allowed: {allowed}"), allowed=listed(allowed))


def _value(toml: TomlFile, value: object, wanted: Any, place: Place) -> Any:
    options = _options(wanted)
    structs = [option for option in options if _is_struct(option)]
    if structs:
        return _struct(toml, value, structs, place)
    plain = _plain(wanted)
    if get_origin(plain) is tuple and get_args(plain)[-1] is Ellipsis:
        return _items(toml, value, get_args(plain)[0], place)
    if get_origin(plain) is dict:
        return _table(toml, value, get_args(plain)[1], place)
    for option in options:
        plain = _plain(option)
        if len(options) > 1 and get_origin(plain) is tuple and isinstance(value, list):
            return _value(toml, value, option, place)
    return _leaf(toml, value, wanted, place)


def _struct(toml: TomlFile, value: object, structs: list[type[Struct]], place: Place) -> Any:
    if not isinstance(value, dict):
        toml.fault(place, N_("must be a table, not {value}"), value=shown(value))
        return _BAD
    wanted = structs[0]
    tag_field = wanted.__struct_config__.tag_field
    if tag_field is not None:
        by_tag = {str(option.__struct_config__.tag): option for option in structs}
        tag = value.get(tag_field)
        if tag is None:
            toml.fault((*place, tag_field), N_("is missing; allowed: {allowed}"), allowed=listed(by_tag))
            return _BAD
        if not isinstance(tag, str) or tag not in by_tag:
            _not_allowed(toml, (*place, tag_field), tag, list(by_tag))
            return _BAD
        wanted = by_tag[tag]
    found = _fields(toml, value, wanted, place)
    required = {field.name for field in _fields_of(wanted) if field.required}
    if not required <= found.keys():
        return _BAD
    struct = wanted(**found)
    toml.remember(struct, place)
    return struct


def _items(toml: TomlFile, value: object, wanted: Any, place: Place) -> Any:
    if not isinstance(value, list):
        toml.fault(place, N_("must be a list, not {value}"), value=shown(value))
        return _BAD
    items = [_value(toml, item, wanted, (*place, index)) for index, item in enumerate(value)]
    return tuple(item for item in items if item is not _BAD)


def _table(toml: TomlFile, value: object, wanted: Any, place: Place) -> Any:
    if not isinstance(value, dict):
        toml.fault(place, N_("must be a table, not {value}"), value=shown(value))
        return _BAD
    items = {key: _value(toml, item, wanted, (*place, key)) for key, item in value.items()}
    return {key: item for key, item in items.items() if item is not _BAD}


def _leaf(toml: TomlFile, value: object, wanted: Any, place: Place) -> Any:
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, float) and not math.isfinite(number):
            toml.fault(place, N_("{value} is not a finite number"), value=shown(number))
            return _BAD
    if isinstance(value, str) and value.endswith("\n") and any(meta.pattern for meta in _metas(wanted)):
        _explain(toml, value, wanted, place, "a line end")  # a pattern's $ would let it pass
        return _BAD
    try:
        return msgspec.convert(value, wanted)
    except (msgspec.ValidationError, OverflowError) as error:
        _explain(toml, value, wanted, place, str(error))
        return _BAD


def _explain(toml: TomlFile, value: object, wanted: Any, place: Place, said: str) -> None:
    """Say in our own translatable words what msgspec refused; in its words when we have none."""
    options = [option for option in _options(wanted) if option is not type(None)]
    if len(options) != 1:
        toml.fault(place, N_("cannot be {value}: {why}"), value=shown(value), why=said)
        return
    plain, metas = _plain(options[0]), _metas(options[0])
    right_type = {
        str: isinstance(value, str),
        int: isinstance(value, int) and not isinstance(value, bool),
        float: isinstance(value, int | float) and not isinstance(value, bool),
    }
    if isinstance(plain, EnumType):
        _not_allowed(toml, place, value, _words(plain))
    elif plain is str and not right_type[str]:
        toml.fault(place, N_("must be text in quotes, not {value}"), value=shown(value))
    elif plain is int and not right_type[int]:
        toml.fault(place, N_("must be a whole number, not {value}"), value=shown(value))
    elif plain is float and not right_type[float]:
        toml.fault(place, N_("must be a number, not {value}"), value=shown(value))
    elif plain is bool:
        toml.fault(place, N_("must be true or false, not {value}"), value=shown(value))
    elif plain in (int, float):
        _out_of_limits(toml, value, metas, place)
    elif any(meta.pattern == ID_PATTERN for meta in metas):
        most = min((meta.max_length for meta in metas if meta.max_length is not None), default=64)
        text = N_("{value} is no id: 1 to {most} of A-Z a-z 0-9 _ . - and first a letter or digit")
        toml.fault(place, text, value=shown(value), most=str(most))
    else:
        toml.fault(place, N_("cannot be {value}: {why}"), value=shown(value), why=said)


def _out_of_limits(toml: TomlFile, value: object, metas: list[Meta], place: Place) -> None:
    limits = [
        f"{sign} {bound:g}"
        for meta in metas
        for sign, bound in ((">=", meta.ge), (">", meta.gt), ("<=", meta.le), ("<", meta.lt))
        if bound is not None
    ]
    toml.fault(place, N_("{value} is out of limits: {limits}"), value=shown(value), limits=listed(limits))


def _not_allowed(toml: TomlFile, place: Place, value: object, allowed: list[str]) -> None:
    meant = near(value, allowed) if isinstance(value, str) else ""
    if meant:
        text = N_("cannot be {value}; did you mean {near}? Allowed: {allowed}")
        toml.fault(place, text, value=shown(value), near=meant, allowed=listed(allowed))
    else:
        toml.fault(place, N_("cannot be {value}; allowed: {allowed}"), value=shown(value), allowed=listed(allowed))


def _plain(wanted: Any) -> Any:
    return get_args(wanted)[0] if get_origin(wanted) is Annotated else wanted


def _metas(wanted: Any) -> list[Meta]:
    extras = get_args(wanted)[1:] if get_origin(wanted) is Annotated else ()
    return [extra for extra in extras if isinstance(extra, Meta)]


def _options(wanted: Any) -> list[Any]:
    if get_origin(_plain(wanted)) in (Union, types.UnionType):
        return list(get_args(_plain(wanted)))
    return [wanted]


def _is_struct(wanted: Any) -> bool:
    return isinstance(wanted, type) and issubclass(wanted, Struct)


def _words(wanted: EnumType) -> list[str]:
    members: dict[str, Any] = dict(wanted.__members__)
    return [str(member.value) for member in members.values()]
