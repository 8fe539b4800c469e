"""Line protocol: samples and findings as InfluxDB takes them. Pure.

Samples are one measurement, `telemetry`. Tags: `device`, `gateway`, and `site` when the registry knows it. One line a
sample: a field a point (numbers always float, states boolean, texts string), and the integer field
`received_at`, microseconds. The timestamp is the sample's own, microseconds; so a repeated delivery writes the
same points again and only `received_at` becomes that of the last delivery. What took longer than a minute has
the field `late_s` as well: how long; so an outage can be seen when all that it held back has come.

A point named like a tag, `time`, `received_at` or `late_s` gets an underscore at its end (`time_`), because InfluxDB
1.x drops a field `time` without a word and 3.x allows no field with a tag's name. So that no two points meet, a point
already ending so gets one more (`time_` becomes `time__`).

Source: "Line protocol" of InfluxDB 1.8, 2 and 3; tried on 1.6.7.
"""

import math
from collections.abc import Iterable, Iterator, Mapping

from cloud.errors import SchemaError, UnstorableError
from cloud.influx.schema import MEASUREMENTS
from cloud.influx.shape import Kind, Measurement
from contract.telemetry import Sample, Value

Fields = Mapping[str, Value | int | None]
"""By name; None is left out."""

MEASUREMENT = "telemetry"
RESERVED = frozenset({"device", "gateway", "site", "time", "received_at", "late_s"})
LATE_US = 60_000_000
"""What took longer to come is marked."""
_TAG_ESCAPES = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ ", "\n": "\\ ", "\r": "\\ ", "\0": None})
# A raw newline is stored by 1.x but refused by 3.x; a NUL ends strings in too many places.
_STRING_ESCAPES = str.maketrans({'"': '\\"', "\\": "\\\\", "\n": " ", "\r": " ", "\0": None})


def tag_prefix(tags: Mapping[str, str]) -> str:
    """Write measurement and tags, sorted by key; empty tags are left out, as InfluxDB refuses them."""
    parts = [MEASUREMENT]
    for key in sorted(tags):
        value = tag_value(tags[key])
        if value:
            parts.append(f"{key}={value}")
    return ",".join(parts)


def tag_value(text: str) -> str:
    """Escape a tag's value; backslashes at its end go, as they would swallow what follows."""
    # In a tag a backslash stands for itself unless it precedes an escaped character: before one of
    # those it would read as part of the escape, so there it becomes a slash.
    plain = text.rstrip("\\ \r\n")
    for special in (",", "=", " ", "\n", "\r"):
        while f"\\{special}" in plain:
            plain = plain.replace(f"\\{special}", f"/{special}")
    return plain.translate(_TAG_ESCAPES)


def field_key(point: str) -> str:
    """Name a point's field: the point itself, or with one more underscore when that is reserved."""
    return f"{point}_" if point.rstrip("_").lower() in RESERVED else point


def field_value(value: Value) -> str:
    """Write a value: numbers as float, states as boolean, texts quoted."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value.translate(_STRING_ESCAPES)}"'
    return repr(float(value))


def encode_lines(samples: Iterable[Sample], *, tags: Mapping[str, str], received_at_us: int) -> Iterator[bytes]:
    """Write one line a sample.

    Args:
        samples: of one gateway.
        tags: all but `device`.
        received_at_us: when the cloud took them, microseconds UTC.

    Raises:
        UnstorableError: a number is not finite.
    """
    prefixes: dict[str, str] = {}
    for index, sample in enumerate(samples):
        prefix = prefixes.get(sample.device)
        if prefix is None:
            prefix = prefixes[sample.device] = tag_prefix({**tags, "device": sample.device})
        fields: list[str] = []
        for point in sample.points:
            value = point.value
            if isinstance(value, float) and not math.isfinite(value):
                raise UnstorableError(index, point.key)
            fields.append(f"{field_key(point.key)}={field_value(value)}")
        fields.append(f"received_at={received_at_us}i")
        late_us = received_at_us - sample.at_us
        if late_us > LATE_US:
            fields.append(f"late_s={late_us / 1e6!r}")
        yield f"{prefix} {','.join(fields)} {sample.at_us}".encode()


def line_of(measurement: str, tags: Mapping[str, str], fields: Fields, at_us: int) -> bytes | None:
    """Write a line of a measurement of `cloud.influx.schema`, each field as the type it has there.

    Empty tags, fields without a value and numbers that are not finite are left out.

    Args:
        measurement: its name.
        tags: of few values each; people's names and what changes often are fields.
        fields: a whole number becomes a float where the schema says so.
        at_us: microseconds UTC.

    Returns:
        None when no field is left.

    Raises:
        SchemaError: the schema has no such measurement, tag or field, or another type for it.
    """
    known = MEASUREMENTS.get(measurement)
    if known is None:
        raise SchemaError(measurement, "no measurement is called so")
    kinds = {field.name: field.kind for field in known.fields}
    for tag in tags:
        if tag not in known.tags:
            raise SchemaError(measurement, f"it has no tag {tag!r}")
    fitting = {name: _fit(known, kinds.get(name), name, value) for name, value in fields.items() if value is not None}
    return plain_line(measurement, tags, fitting, at_us)


def plain_line(measurement: str, tags: Mapping[str, str], fields: Fields, at_us: int) -> bytes | None:
    """Write a line as it is said: whole numbers stay whole, others are float; else as `line_of`."""
    head = [measurement]
    head += [f"{key}={escaped}" for key, value in sorted(tags.items()) if (escaped := tag_value(value))]
    written = [f"{key}={_plain(value)}" for key, value in fields.items() if value is not None and _is_finite(value)]
    return f"{','.join(head)} {','.join(written)} {at_us}".encode() if written else None


def _fit(known: Measurement, kind: Kind | None, name: str, value: Value | int) -> Value | int:
    if kind is None:
        raise SchemaError(known.name, f"it has no field {name!r}")
    if kind is Kind.FLOAT and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    wanted = {Kind.FLOAT: float, Kind.INTEGER: int, Kind.BOOLEAN: bool, Kind.STRING: str}[kind]
    # A bool is an int to Python, and another type to InfluxDB.
    if type(value) is not wanted and not (isinstance(value, str) and kind is Kind.STRING):
        raise SchemaError(known.name, f"field {name!r} is {kind.value}, and not {value!r:.80}")
    return value


def _plain(value: Value | int) -> str:
    return f"{value}i" if isinstance(value, int) and not isinstance(value, bool) else field_value(value)


def _is_finite(value: Value | int) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
