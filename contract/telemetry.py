"""Telemetry: samples of devices as one SenML batch, and the header that travels beside it."""

import re
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

import msgspec
from msgspec import Struct

from contract import senml
from contract.closed import member
from contract.compression import ContentEncoding
from contract.errors import DecodeError, EncodeError, Refusal
from contract.ids import is_id
from contract.limits import MAX_SEQ_DIGITS, MAX_STRING_CHARS, MAX_TIME_US, MAX_UNIT_CHARS, MIN_TIME_US

Value = float | bool | str

NO_BOOT = "-"
"""The boot id of a sender that gives none."""


class Lane(StrEnum):
    """How urgent a batch is; alarms overtake live data, live data overtakes the backlog."""

    ALARM = "alarm"
    LIVE = "live"
    BACKFILL = "backfill"


class Point(Struct, frozen=True, array_like=True, gc=False):
    """One value of a sample: key, value and SenML unit (None where it has none)."""

    key: str
    value: Value
    unit: str | None = None


class Sample(Struct, frozen=True, gc=False):
    """What one device said at one moment: the points of one block read or one frame.

    Attributes:
        device: device id.
        at_us: wall time of the reading, microseconds UTC, fixed at the edge.
        points: at least one; keys unique.
    """

    device: str
    at_us: int
    points: tuple[Point, ...]


class ClockSource(StrEnum):
    """Where a gateway had the time from when it stamped a batch."""

    NTP = "ntp"
    GPS = "gps"
    CLOUD = "cloud"
    ESTIMATED = "estimated"


class ClockMark(Struct, frozen=True):
    """How good the clock was that stamped a batch.

    Attributes:
        source: see there.
        error_ms: the times may be off by so much, both ways; 0 for an estimate, of which nobody knows.
    """

    source: ClockSource
    error_ms: int = 0

    def to_text(self) -> str:
        """Write it as the user property `clock`."""
        return f"{self.source.value};{self.error_ms}" if self.error_ms else self.source.value


def clock_from_text(text: str) -> ClockMark | None:
    """Read the user property `clock`; None for what is not understood: no reading is refused for it."""
    word, _, digits = text.partition(";")
    source = member(ClockSource, word)
    if source is None or len(digits) > MAX_SEQ_DIGITS or (digits and not (digits.isascii() and digits.isdigit())):
        return None
    return ClockMark(source, int(digits or 0))


class BatchHeader(Struct, frozen=True):
    """What a batch says of itself in MQTT user properties.

    Attributes:
        gateway: must be the gateway of the topic.
        boot: id of the gateway's present run, changing at every start; `NO_BOOT` if it gives none.
        lane: live or backfill for telemetry, alarm for alarms.
        seq: a number that rises, with gaps; 0 when the sender leaves it to the correlation data.
        encoding: how the payload is packed.
        clock: how good its times are; None when the sender does not say.
    """

    gateway: str
    boot: str
    lane: Lane
    seq: int
    encoding: ContentEncoding = ContentEncoding.IDENTITY
    clock: ClockMark | None = None

    def to_properties(self) -> list[tuple[str, str]]:
        """Write the MQTT user properties, in fixed order; what the receiver assumes anyway is left out."""
        properties = [("boot", self.boot)]
        if self.seq:
            properties.append(("seq", str(self.seq)))
        if self.lane is not Lane.LIVE:
            properties.append(("lane", self.lane.value))
        if self.encoding is not ContentEncoding.IDENTITY:
            properties.append(("content-encoding", self.encoding.value))
        if self.clock is not None:
            properties.append(("clock", self.clock.to_text()))
        return properties


def header_from_properties(properties: Iterable[tuple[str, str]], *, gateway: str) -> BatchHeader:
    """Read the header of a message that arrived under `gateway`'s topic; unknown names are skipped.

    A message without any header is taken as live and unpacked, so that a foreign sender needs SenML only.

    Raises:
        DecodeError: WRONG_GATEWAY when it claims another gateway; BAD_HEADER for a bad value.
    """
    found = dict(properties)
    claimed = found.get("gateway", gateway)
    if claimed != gateway:
        why = f"claims gateway {claimed[:80]!r} under the topic of {gateway!r}"
        raise DecodeError(Refusal.WRONG_GATEWAY, why)
    seq = found.get("seq", "0")
    lane = member(Lane, found.get("lane", "live"))
    encoding = member(ContentEncoding, found.get("content-encoding", "identity"))
    if not (seq.isascii() and seq.isdigit() and len(seq) <= MAX_SEQ_DIGITS):
        raise DecodeError(Refusal.BAD_HEADER, f"seq {seq[:40]!r} is not a whole number")
    if lane is None:
        why = f"lane {found['lane'][:40]!r}: {', '.join(Lane)}"
        raise DecodeError(Refusal.BAD_HEADER, why)
    if encoding is None:
        why = f"content-encoding {found['content-encoding'][:40]!r}: {', '.join(ContentEncoding)}"
        raise DecodeError(Refusal.BAD_HEADER, why)
    boot = found.get("boot", NO_BOOT)
    if boot != NO_BOOT and not is_id(boot):
        raise DecodeError(Refusal.BAD_HEADER, f"boot {boot[:80]!r} is not an id")
    return BatchHeader(gateway, boot, lane, int(seq), encoding, clock_from_text(found.get("clock", "")))


class _Shape(Struct, frozen=True):
    """What the samples of one block have in common, and how they are written.

    Attributes:
        keys, units, types: of its points, in order; a sample that differs in any has another shape.
        parts: the text before, between and behind the time and the values, with room for them at odd places.
        is_numeric: all values are numbers.
    """

    keys: list[str]
    units: list[str | None]
    types: list[type]
    parts: list[str]
    is_numeric: bool


class TelemetryEncoder:
    """Writes samples as SenML packs; it remembers how each block of a device is written, so that only values are new.

    One thread at a time.
    """

    def __init__(self) -> None:
        self._shapes: dict[tuple[str, str], _Shape] = {}

    def encode(self, samples: Sequence[Sample], *, stamp: Callable[[int], int] | None = None) -> bytes:
        """Write one pack: base name and time once a sample, so that `t` is never needed.

        Args:
            samples: at least one, each with at least one point.
            stamp: makes wall time of a sample's time, both in microseconds; None when it is wall time already.

        Raises:
            EncodeError: no samples, a sample without points, or a number that JSON cannot carry.
        """
        if not samples:
            raise EncodeError("a batch needs at least one sample")
        records = [self._records(sample, stamp(sample.at_us) if stamp else sample.at_us) for sample in samples]
        return f"[{','.join(records)}]".encode()

    def _records(self, sample: Sample, at_us: int) -> str:
        points = sample.points
        if not points:
            raise EncodeError(f"device {sample.device!r}: a sample without points")
        keys = [point.key for point in points]
        units = [point.unit for point in points]
        values = [point.value for point in points]
        raw = _encode_value(values)
        # Asking every value for its type would take a tenth of all the time; most samples are nothing but numbers.
        is_numeric = not raw.translate(None, _OF_NUMBERS)
        shape = self._shapes.get((sample.device, keys[0]))
        if (
            shape is None
            or shape.keys != keys
            or shape.units != units
            or not ((is_numeric and shape.is_numeric) or shape.types == [type(value) for value in values])
        ):
            shape = self._remember(_shape(sample.device, keys, units, values), place=(sample.device, keys[0]))
        if is_numeric:
            texts = _split(raw)
        elif b"null" in raw and "null" in (texts := [_text(value) for value in values]):
            bad = points[texts.index("null")]
            raise EncodeError(f"{sample.device}/{bad.key}: {bad.value} is not a reading")
        else:
            texts = [_text(value) for value in values] if str in shape.types else _split(raw)
        parts = shape.parts.copy()
        parts[1] = repr(at_us / 1_000_000)
        parts[3::2] = texts
        return "".join(parts)

    def _remember(self, shape: _Shape, *, place: tuple[str, str]) -> _Shape:
        if len(self._shapes) >= _MAX_SHAPES:
            self._shapes.clear()
        self._shapes[place] = shape
        return shape


# Devices times blocks; what lies beyond is written anew each time.
_MAX_SHAPES = 8192
_OF_NUMBERS = b"0123456789+-.,eE[]"
_encode_value = msgspec.json.Encoder().encode


def _split(raw: bytes) -> list[str]:
    """Take a list of numbers and two-state values apart; a whole number loses its useless fraction."""
    return raw[1:-1].replace(b".0,", b",").removesuffix(b".0").decode().split(",")


def _text(value: Value) -> str:
    return _encode_value(value).decode().removesuffix("" if isinstance(value, str) else ".0")


def _shape(device: str, keys: list[str], units: list[str | None], values: list[Value]) -> _Shape:
    types: list[type] = [type(value) for value in values]
    parts = ['{"bn":' + _literal(f"{device}/") + ',"bt":', ""]
    for index, (key, unit, kind) in enumerate(zip(keys, units, types, strict=True)):
        label = "vb" if kind is bool else "vs" if kind is str else "v"
        name = '"n":' + _literal(key) + ("" if unit is None else ',"u":' + _literal(unit))
        parts += [f'{"},{" if index else ","}{name},"{label}":', ""]
    return _Shape(keys, units, types, [*parts, "}"], is_numeric=not {bool, str} & {*types})


def _literal(text: str) -> str:
    return _encode_value(text).decode()


def encode_telemetry(samples: Sequence[Sample]) -> bytes:
    """Write samples as one SenML pack; see `TelemetryEncoder.encode`, which is faster for many packs.

    Raises:
        EncodeError: as there.
    """
    return TelemetryEncoder().encode(samples)


def shift_telemetry(payload: bytes, offset_us: int) -> bytes:
    """Add `offset_us` to every time of a pack that `TelemetryEncoder` wrote, and change nothing else."""
    # Inside a string the quote behind `bt` would be escaped, so this finds labels only.
    return _TIME.sub(lambda found: b'"bt":%r' % ((round(float(found[1]) * 1e6) + offset_us) / 1_000_000), payload)


_TIME = re.compile(rb'"bt":([^,}]+)')


def decode_telemetry(payload: bytes) -> list[Sample]:
    """Read a pack whose names are `<device>/<point>` and whose times are absolute.

    Records that follow each other with one device and one time become one sample.

    Raises:
        DecodeError: NOT_SENML with the record's number; TOO_LARGE.
    """
    samples: list[Sample] = []
    device, at_us, points = "", 0, dict[str, Point]()
    for index, record in enumerate(senml.resolve(senml.decode(payload))):
        name, _, key = record.name.partition("/")
        if not is_id(name) or not is_id(key):
            raise _refused(index, f"name {record.name[:80]!r} is not <device>/<point>")
        if not MIN_TIME_US <= record.time_us < MAX_TIME_US:
            raise _refused(index, f"time {record.time_us} us is not between the years 2000 and 2200")
        if record.unit is not None and len(record.unit) > MAX_UNIT_CHARS:
            raise _refused(index, f"a unit of {len(record.unit)} characters, at most {MAX_UNIT_CHARS}")
        if points and (name != device or record.time_us != at_us or key in points):
            samples.append(Sample(device, at_us, tuple(points.values())))
            points = {}
        device, at_us = name, record.time_us
        points[key] = Point(key, _value(record, index), record.unit)
    if not points:
        raise DecodeError(Refusal.NOT_SENML, "base values only, no reading")
    samples.append(Sample(device, at_us, tuple(points.values())))
    return samples


def _value(record: senml.Resolved, index: int) -> Value:
    if record.v is not None:
        return record.v
    if record.vb is not None:
        return record.vb
    if record.vs is None:
        raise _refused(index, "needs v, vb or vs")
    if len(record.vs) > MAX_STRING_CHARS:
        raise _refused(index, f"a string of {len(record.vs)} characters, at most {MAX_STRING_CHARS}")
    return record.vs


def _refused(index: int, why: str) -> DecodeError:
    return DecodeError(Refusal.NOT_SENML, f"record {index}: {why}")
