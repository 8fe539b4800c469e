"""What a profile's points must keep beyond their form; every breach is noted as a fault of the file."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from contract.limits import MAX_STRING_CHARS
from contract.units import UNITS
from device_profiles.codec import ValueKind, encode_point, raw_limits, value_kind
from device_profiles.faults import N_, CodecError, listed, near, shown
from device_profiles.model import AnyPoint, HeardDef, PointDef, PointType, Simulation, Table, Text
from device_profiles.toml_file import Place, TomlFile

LANGUAGES = ("en", "zh")
"""Languages every text of a profile is written in."""

_KEY = re.compile(r"[a-z][a-z0-9_]*")
_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
_SCALE_LIMIT = 1e12
_MEANT_UNIT = {"°C": "Cel", "℃": "Cel", "degC": "Cel", "°": "deg", "W/m²": "W/m2", "µg/m³": "ug/m3", "rpm": "1/min"}
"""What people write who do not know SenML; the nearest spelling of these is another unit."""
_LAST_ADDRESS = 0xFFFF


def check_points(toml: TomlFile, points: Sequence[PointDef]) -> None:
    """Note every fault of the points: each alone, their keys, and who shares whose registers."""
    seen: dict[str, int | None] = {}
    for point in points:
        place = toml.place_of(point)
        _check_key(toml, point, seen)
        check_text(toml, (*place, "name"), point.name)
        if not point.source.strip():
            toml.fault((*place, "source"), N_("is empty: name the document and page the point is taken from"))
        _check_address(toml, point)
        if point.bits is not None:
            _check_bits(toml, point)
        _check_meaning(toml, point)
        if toml.is_clean(place):
            _check_simulation(toml, point)
    _check_overlaps(toml, points)


def check_heard(toml: TomlFile, points: Sequence[HeardDef]) -> None:
    """Note every fault of the points of a device that speaks by itself."""
    seen: dict[str, int | None] = {}
    for point in points:
        place, kind = toml.place_of(point), value_kind(point)
        _check_key(toml, point, seen)
        check_text(toml, (*place, "name"), point.name)
        if not point.source.strip():
            toml.fault((*place, "source"), N_("is empty: name the document and page the point is taken from"))
        if kind is ValueKind.NUMBER:
            _check_unit(toml, point)
            _check_range(toml, point)
        else:
            for key in ("unit", "range"):
                if getattr(point, key) is not None:
                    toml.fault((*place, key), N_("has no meaning for a {kind}; only for numbers"), kind=kind.value)


def check_text(toml: TomlFile, place: Place, text: Text) -> None:
    """Note each language that a text for people lacks."""
    for language in LANGUAGES:
        if not text.get(language, "").strip() and toml.is_clean((*place, language)):
            toml.fault(
                (*place, language), N_("is missing: texts are written in {languages}"), languages=listed(LANGUAGES)
            )


def check_known(toml: TomlFile, place: Place, key: str, *, known: Iterable[str]) -> bool:
    """Note a point key that is not among the known ones; tell whether it is."""
    names = list(known)
    if key in names:
        return True
    meant = near(key, names)
    if meant:
        text = N_("no point {key}; did you mean {near}? Points: {allowed}")
        toml.fault(place, text, key=shown(key), near=meant, allowed=listed(names))
    else:
        toml.fault(place, N_("no point {key}; points: {allowed}"), key=shown(key), allowed=listed(names))
    return False


def _check_key(toml: TomlFile, point: AnyPoint, seen: dict[str, int | None]) -> None:
    place = (*toml.place_of(point), "key")
    if not _KEY.fullmatch(point.key):
        text = N_("{key} is not snake case: a small letter, then small letters, digits and _")
        toml.fault(place, text, key=shown(point.key))
    if point.key in seen:
        line = str(seen[point.key] or "?")
        toml.fault(place, N_("{key} is taken by the point in line {line}"), key=shown(point.key), line=line)
    seen.setdefault(point.key, toml.line_of(place))


def _check_address(toml: TomlFile, point: PointDef) -> None:
    place = toml.place_of(point)
    if point.table.is_bits and point.type is not PointType.BIT:
        text = N_("cannot be {value} in table {table}; allowed: bit")
        toml.fault((*place, "type"), text, value=point.type.value, table=point.table.value)
    if not point.table.is_bits and point.type is PointType.BIT:
        words = listed(kind.value for kind in PointType if kind is not PointType.BIT)
        text = N_(
            "cannot be bit in table {table}; allowed: {allowed}, and bits = {{ first = 0 }} for one bit of a word"
        )
        toml.fault((*place, "type"), text, table=point.table.value, allowed=words)
    last = point.address + point.type.words - 1
    if last > _LAST_ADDRESS:
        toml.fault((*place, "address"), N_("the point ends at {last}, past the last address 65535"), last=str(last))
    if point.writable and point.table in (Table.INPUT, Table.DISCRETE_INPUT):
        text = N_("table {table} cannot be written; allowed: coil, holding")
        toml.fault((*place, "writable"), text, table=point.table.value)


def _check_bits(toml: TomlFile, point: PointDef) -> None:
    bits, place = point.bits, (*toml.place_of(point), "bits")
    if bits is None:
        return
    if point.type in (PointType.BIT, PointType.F32_HIGH_FIRST, PointType.F32_LOW_FIRST):
        toml.fault(place, N_("{type} has no bit fields; allowed: u16, s16, u32, s32"), type=point.type.value)
        return
    width = 16 * point.type.words
    if bits.first + bits.count > width:
        text = N_("bits {first} to {last} leave the word; allowed: 0 to {top}")
        last = bits.first + bits.count - 1
        toml.fault(place, text, first=str(bits.first), last=str(last), top=str(width - 1))


def _check_meaning(toml: TomlFile, point: PointDef) -> None:
    """Unit, scale, range, words and inversion belong to one kind of value each."""
    place, kind = toml.place_of(point), value_kind(point)
    if kind is ValueKind.NUMBER:
        _check_number(toml, point)
    else:
        unset: dict[str, Any] = {"unit": None, "scale": 1.0, "offset": 0.0, "range": None}
        for key, default in unset.items():
            if getattr(point, key) != default:
                toml.fault((*place, key), N_("has no meaning for a {kind}; only for numbers"), kind=kind.value)
    if point.invert and kind is not ValueKind.STATE:
        toml.fault((*place, "invert"), N_("has no meaning for a {kind}; only for one bit"), kind=kind.value)
    if toml.is_clean((*place, "bits")):
        _check_codes(toml, point)


def _check_codes(toml: TomlFile, point: PointDef) -> None:
    """Raw numbers with a meaning: words, and codes for no reading."""
    place = toml.place_of(point)
    low, high = raw_limits(point)
    limits = {"type": point.type.value, "low": str(low), "high": str(high)}
    if point.type is PointType.BIT and point.values:
        toml.fault((*place, "values"), N_("a bit is true or false and has no words"))
    elif point.type.value.startswith("f") and point.values:
        toml.fault((*place, "values"), N_("a float has no words"))
    elif point.values:
        _check_words(toml, place, point.values, limits)
    if point.type is PointType.BIT and point.no_value:
        toml.fault((*place, "no_value"), N_("a bit has no code for no reading"))
        return
    for raw in point.no_value:
        if not low <= raw <= high:
            toml.fault((*place, "no_value"), N_("{raw} is no raw {type}: {low} to {high}"), raw=shown(raw), **limits)


def _check_unit(toml: TomlFile, point: AnyPoint) -> None:
    place = toml.place_of(point)
    if point.unit is None and toml.is_clean((*place, "unit")):
        text = N_("is missing: a number needs a SenML unit; count or / where it has none")
        toml.fault((*place, "unit"), text)
    if point.unit is not None and point.unit not in UNITS:
        meant, allowed = _MEANT_UNIT.get(point.unit) or near(point.unit, UNITS), listed(sorted(UNITS))
        if meant:
            text = N_("{unit} is no SenML unit; did you mean {near}? Allowed: {allowed}")
            toml.fault((*place, "unit"), text, unit=shown(point.unit), near=meant, allowed=allowed)
        else:
            text = N_("{unit} is no SenML unit; allowed: {allowed}")
            toml.fault((*place, "unit"), text, unit=shown(point.unit), allowed=allowed)


def _check_number(toml: TomlFile, point: PointDef) -> None:
    place = toml.place_of(point)
    _check_unit(toml, point)
    if not 1 / _SCALE_LIMIT <= abs(point.scale) <= _SCALE_LIMIT:
        toml.fault((*place, "scale"), N_("{value} is out of limits: 1e-12 to 1e12"), value=shown(point.scale))
    if abs(point.offset) > _SCALE_LIMIT:
        toml.fault((*place, "offset"), N_("{value} is out of limits: -1e12 to 1e12"), value=shown(point.offset))
    _check_range(toml, point)


def _check_range(toml: TomlFile, point: AnyPoint) -> None:
    if point.range is not None and point.range[0] >= point.range[1]:
        low, high = (shown(bound) for bound in point.range)
        toml.fault(
            (*toml.place_of(point), "range"),
            N_("the low end {low} is not below the high end {high}"),
            low=low,
            high=high,
        )


def _check_words(toml: TomlFile, place: Place, values: Mapping[str, str], limits: Mapping[str, str]) -> None:
    for raw, word in values.items():
        where = (*place, "values", raw)
        if not _WHOLE.fullmatch(raw) or not int(limits["low"]) <= int(raw) <= int(limits["high"]):
            toml.fault(where, N_("{raw} is no raw {type}: {low} to {high}"), raw=shown(raw), **limits)
        if not word.strip() or len(word) > MAX_STRING_CHARS:
            toml.fault(where, N_("a word has 1 to {most} characters"), most=str(MAX_STRING_CHARS))
        if list(values.values()).count(word) > 1:
            toml.fault(where, N_("{word} stands for two numbers"), word=shown(word))


def _check_simulation(toml: TomlFile, point: PointDef) -> None:
    simulate, place = point.simulate, (*toml.place_of(point), "simulate")
    kind = value_kind(point)
    if simulate == Simulation() and kind is not ValueKind.NUMBER:
        return
    right = {ValueKind.NUMBER: float, ValueKind.STATE: bool, ValueKind.WORD: str}[kind]
    if not isinstance(simulate.start, right):
        text = N_("cannot be {value}: the point gives a {kind}")
        toml.fault((*place, "start"), text, value=shown(simulate.start), kind=kind.value)
        return
    if simulate.swing and kind is not ValueKind.NUMBER:
        toml.fault((*place, "swing"), N_("has no meaning for a {kind}; only for numbers"), kind=kind.value)
        return
    ends = [simulate.start]
    if isinstance(simulate.start, float):
        ends = [simulate.start - simulate.swing, simulate.start + simulate.swing]
    for end in dict.fromkeys(ends):
        try:
            encode_point(point, end)
        except CodecError as error:
            toml.fault(place, N_("the device cannot say this: {why}"), why=str(error))


def _check_overlaps(toml: TomlFile, points: Sequence[PointDef]) -> None:
    """Two points share registers only as bit fields of the same word that share no bit."""
    ordered = sorted(points, key=lambda point: (point.table, point.address))
    for index, first in enumerate(ordered):
        for second in ordered[index + 1 :]:
            if second.table is not first.table or second.address >= first.address + first.type.words:
                break
            if not _share_peacefully(first, second):
                place = (*toml.place_of(second), "address")
                text = N_("lies on point {other}; only bit fields of one word, with no bit in common, may share it")
                toml.fault(place, text, other=shown(first.key))


def _share_peacefully(first: PointDef, second: PointDef) -> bool:
    if first.bits is None or second.bits is None:
        return False
    if (first.address, first.type) != (second.address, second.type):
        return False
    low, high = sorted((first.bits, second.bits), key=lambda bits: bits.first)
    return low.first + low.count <= high.first
