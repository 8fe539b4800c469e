"""Line protocol: samples as InfluxDB takes them. Pure.

One measurement, `telemetry`. Tags: `device`, `gateway`, and `site` when the registry knows it. One line a
sample: a field a point (numbers always float, states boolean, texts string), and the integer field
`received_at`, microseconds. The timestamp is the sample's own, microseconds; so a repeated delivery writes the
same points again and only `received_at` becomes that of the last delivery.

A point named like a tag, `time` or `received_at` gets an underscore at its end (`time_`), because InfluxDB 1.x
drops a field `time` without a word and 3.x allows no field with a tag's name. So that no two points meet, a
point already ending so gets one more (`time_` becomes `time__`).

Source: "Line protocol" of InfluxDB 1.8, 2 and 3; tried on 1.6.7.
"""

import math
from collections.abc import Iterable, Iterator, Mapping

from cloud.errors import UnstorableError
from contract.telemetry import Sample, Value

MEASUREMENT = "telemetry"
RESERVED = frozenset({"device", "gateway", "site", "time", "received_at"})
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
        yield f"{prefix} {','.join(fields)} {sample.at_us}".encode()
