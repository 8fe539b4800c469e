"""What bytes mean to a profile, as lines for people and programs: readings, events, and what was refused. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from contract.alarms import Severity
from contract.telemetry import Value
from device_profiles.codec import BlockDecoder
from device_profiles.frames import TABLE_OF_FUNCTION, FrameError, read_capture
from device_profiles.model import Profile, Text
from device_profiles.speech.decoding import decode_bytes
from device_profiles.speech.said import Said, Sighting
from edge.modbus.crc import crc16
from edge.modbus.mbap import HEADER_BYTES
from edge.modbus.pdu import EXCEPTION_BIT, cells_of, exception_text, fault_of, read_request, reply_size, span_of
from edge.modbus.rtu import ENVELOPE_BYTES
from edge.plan import plan_device

_REQUEST_BYTES = 5
_SHORTEST_PDU = 2
# What the unit id adds to the length that an MBAP header tells (Messaging on TCP/IP V1.0b, 3.1.3).
_LENGTH_FROM = HEADER_BYTES - 1


class _Line(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every line says: `address` is who said it, `at` the device's own time of it; both only where there are."""

    address: str = ""
    at: str = ""


class Reading(_Line, frozen=True):
    """A value of a point."""

    point: str
    value: Value
    unit: str | None = None


class Event(_Line, frozen=True):
    """An alarm, its end, or a press, as the device itself says it; the fields are those of a report."""

    point: str
    rule: str
    kind: str
    severity: Severity
    text: Text
    is_on: bool
    value: Value | None = None


class Seen(_Line, frozen=True):
    """A tag that a reader heard."""

    tag: str
    rssi: float | None = None
    is_moving: bool | None = None
    is_pressed: bool | None = None
    battery_v: float | None = None
    is_low: bool | None = None


class Refused(Struct, frozen=True, omit_defaults=True):
    """Why bytes, or one point of them, gave nothing."""

    refused: str
    point: str = ""


DecodedLine = Reading | Event | Seen | Refused


def decode(profile: Profile, data: bytes, *, request: bytes = b"") -> list[DecodedLine]:
    """Tell what a device of the profile said.

    Args:
        profile: checked.
        data: of a device that is asked one answer, whole, with its CRC or MBAP header; of one that speaks by itself
            whatever came.
        request: what the answer was given to, whole; without it the read of the profile is taken that the answer's
            function and length fit.
    """
    if profile.speaks is not None:
        return list(_spoken(profile, decode_bytes(profile, data)))
    try:
        return _answered(profile, data, request)
    except FrameError as error:
        return [Refused(str(error))]


def spoken_lines(profile: Profile, said: Iterable[Said]) -> Iterator[DecodedLine]:
    """Write what a conversation brought."""
    return _spoken(profile, said)


def _spoken(profile: Profile, said: Iterable[Said]) -> Iterator[DecodedLine]:
    units = {point.key: point.unit for point in profile.points}
    for step in said:
        for heard in step.heard:
            at, address = _written_time(heard.at_us), heard.address
            for key, value in heard.values:
                yield Reading(point=key, value=value, unit=units.get(key), address=address, at=at)
            for told in heard.reports:
                yield Event(
                    point=told.point, rule=told.rule, kind=told.kind, severity=told.severity, text=told.text,
                    is_on=told.is_on, value=told.value, address=address, at=at,
                )  # fmt: skip
            for sighting in heard.sightings:
                yield _seen(sighting, address=address, at=at)
        if step.refused:
            yield Refused(step.refused)


def _seen(sighting: Sighting, *, address: str, at: str) -> Seen:
    return Seen(
        tag=sighting.tag, rssi=sighting.rssi, is_moving=sighting.is_moving, is_pressed=sighting.is_pressed,
        battery_v=sighting.battery_v, is_low=sighting.is_low, address=address, at=at,
    )  # fmt: skip


def _written_time(at_us: int | None) -> str:
    return "" if at_us is None else datetime.fromtimestamp(at_us / 1e6, UTC).isoformat()


def _answered(profile: Profile, data: bytes, request: bytes) -> list[DecodedLine]:
    unit, answer = _opened("reply", data)
    if answer[0] & EXCEPTION_BIT:
        code = answer[1]
        why = f"the device refuses function {answer[0] & ~EXCEPTION_BIT}: exception {code}, {exception_text(code)}"
        raise FrameError("reply", why)
    asked = _asked_by(request, unit=unit) if request else _only_fit(_reads(profile), answer)
    if (why_not := fault_of(asked, answer)) is not None:
        raise FrameError("reply", f"does not fit its request: {why_not}")
    return list(_readings(profile, asked, cells_of(asked, answer)))


def _readings(profile: Profile, asked: bytes, cells: Sequence[int]) -> Iterator[DecodedLine]:
    table, (first, count) = TABLE_OF_FUNCTION[asked[0]], span_of(asked)
    inside = [
        point
        for point in profile.point
        if point.table is table and first <= point.address and point.address + point.type.words <= first + count
    ]
    if not inside:
        yield Refused(f"no point of the profile lies in {table.value} {first}+{count}")
    good, bad = BlockDecoder(inside, first).decode(tuple(cells))
    for point in good:
        yield Reading(point=point.key, value=point.value, unit=point.unit)
    for key, why in bad:
        yield Refused(f"no reading: {why.value}", point=key)


def _reads(profile: Profile) -> list[bytes]:
    """The reads that a gateway makes, and those of the captures, which were made by others; each once."""
    planned = [
        read_request(block.table, block.address, block.count)
        for transport in profile.link.transports
        for block in plan_device(profile, transport=transport)
    ]
    captured = [read_capture(capture) for capture in profile.capture]
    return list(dict.fromkeys([*planned, *(read_request(read.table, read.address, read.count) for read in captured)]))


def _only_fit(reads: Sequence[bytes], answer: bytes) -> bytes:
    fits = [read for read in reads if fault_of(read, answer) is None]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise FrameError("reply", f"fits several reads: {_named(fits)}; tell which by its request")
    what = f"function {answer[0]} with {len(answer)} bytes of PDU"
    raise FrameError("reply", f"{what} fits no read of the profile, which has {_named(reads)}; tell its request")


def _named(reads: Iterable[bytes]) -> str:
    words = []
    for read in reads:
        first, count = span_of(read)
        words.append(f"{TABLE_OF_FUNCTION[read[0]].value} {first}+{count} ({reply_size(read)} bytes of PDU)")
    return ", ".join(words)


def _asked_by(request: bytes, *, unit: int) -> bytes:
    asked_unit, asked = _opened("request", request)
    if len(asked) != _REQUEST_BYTES or asked[0] not in TABLE_OF_FUNCTION:
        raise FrameError("request", "the request is no read: function 1 to 4, address, count")
    if asked_unit != unit:
        raise FrameError("reply", f"unit {unit} answers, unit {asked_unit} was asked")
    return asked


def _opened(part: str, frame: bytes) -> tuple[int, bytes]:
    """Part unit id and PDU of a frame, by its CRC or by its MBAP header, whichever is right.

    Raises:
        FrameError: neither is.
    """
    if len(frame) >= ENVELOPE_BYTES + _SHORTEST_PDU and crc16(frame) == 0:
        return frame[0], frame[1:-2]
    protocol, length = frame[2:4], int.from_bytes(frame[4:6], "big")
    if len(frame) >= HEADER_BYTES + _SHORTEST_PDU and protocol == b"\0\0" and length == len(frame) - _LENGTH_FROM:
        return frame[HEADER_BYTES - 1], frame[HEADER_BYTES:]
    if len(frame) < ENVELOPE_BYTES + _SHORTEST_PDU:
        raise FrameError(part, f"the {part} has {len(frame)} bytes, an RTU frame at least 5, a TCP frame 9")
    wanted = crc16(frame[:-2]).to_bytes(2, "little").hex(" ")
    why = f"the {part} is no frame: its CRC is {frame[-2:].hex(' ')} where the bytes give {wanted}"
    raise FrameError(part, f"{why}, and its first bytes are no Modbus TCP header")
