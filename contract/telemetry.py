"""Telemetry: samples of devices as one SenML batch, and the header that travels beside it."""

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum

from msgspec import UNSET, Struct

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


class Point(Struct, frozen=True, array_like=True):
    """One value of a sample: key, value and SenML unit (None where it has none)."""

    key: str
    value: Value
    unit: str | None = None


class Sample(Struct, frozen=True):
    """What one device said at one moment: the points of one block read or one frame.

    Attributes:
        device: device id.
        at_us: wall time of the reading, microseconds UTC, fixed at the edge.
        points: at least one; keys unique.
    """

    device: str
    at_us: int
    points: tuple[Point, ...]


class BatchHeader(Struct, frozen=True):
    """What a batch says of itself in MQTT user properties.

    Attributes:
        gateway: must be the gateway of the topic.
        boot: id of the gateway's present run, changing at every start; `NO_BOOT` if it gives none.
        lane: live or backfill for telemetry, alarm for alarms.
        seq: number of the batch in the gateway's outbox; rises, with gaps.
        encoding: how the payload is packed.
    """

    gateway: str
    boot: str
    lane: Lane
    seq: int
    encoding: ContentEncoding = ContentEncoding.IDENTITY

    def to_properties(self) -> list[tuple[str, str]]:
        """Write the MQTT user properties, in fixed order."""
        return [
            ("gateway", self.gateway),
            ("boot", self.boot),
            ("lane", self.lane.value),
            ("seq", str(self.seq)),
            ("content-encoding", self.encoding.value),
        ]


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
    return BatchHeader(gateway, boot, lane, int(seq), encoding)


def encode_telemetry(samples: Sequence[Sample]) -> bytes:
    """Write samples as one SenML pack: base name and time once a sample, so that `t` is never needed.

    Raises:
        EncodeError: no samples, a sample without points, or a number that JSON cannot carry.
    """
    if not samples:
        raise EncodeError("a batch needs at least one sample")
    records: list[senml.Record] = []
    for sample in samples:
        if not sample.points:
            raise EncodeError(f"device {sample.device!r}: a sample without points")
        records.extend(_records(sample))
    return senml.encode(records)


def _records(sample: Sample) -> Iterable[senml.Record]:
    base_name: str = f"{sample.device}/"
    for index, point in enumerate(sample.points):
        value = point.value
        number = None if isinstance(value, bool | str) else float(value)
        if number is not None and not math.isfinite(number):
            raise EncodeError(f"{base_name}{point.key}: {value} is not a reading")
        yield senml.Record(
            bn=UNSET if index else base_name,
            bt=UNSET if index else sample.at_us / 1_000_000,
            n=point.key,
            u=UNSET if point.unit is None else point.unit,
            v=UNSET if number is None else number,
            vb=value if isinstance(value, bool) else UNSET,
            vs=value if isinstance(value, str) else UNSET,
        )


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
