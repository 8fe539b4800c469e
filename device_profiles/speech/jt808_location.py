"""What a JT/T 808 terminal says of itself: where it is (0200), where it was (0704), what it is (0100). Pure.

Source: JT/T 808-2013 and -2019, tables of these messages, as worked through in github.com/SmallChi/JT808,
src/JT808.Protocol.Test/MessageBody/JT808_0x0200Test.cs, JT808_0x0704Test.cs and JT808_0x0100Test.cs; the registration
of 2011 as tabled in github.com/AIPorto/GPS-Tracker-SDK, G10LS_Protocol.md, 2.4.
"""

from datetime import UTC, datetime, timedelta, timezone

from msgspec import Struct

from contract.limits import MIN_TIME_US
from contract.telemetry import Value

BEIJING = timezone(timedelta(hours=8))
"""Every time of the standard is GMT+8 (table of message 0200)."""
_FIXED_BYTES = 28
_MAX_REPORTS = 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Maker, model and terminal's id in a registration, behind two bytes each of province and city.
_SIZES_2011, _SIZES_2013, _SIZES_2019 = (5, 8, 7), (5, 20, 7), (11, 30, 30)
_LEAST_2013 = 37

# Status bits that are readings: bit -> key. Bits 2 and 3 are hemispheres.
_STATES = {0: "acc", 1: "fix", 10: "oil_cut", 11: "circuit_cut", 12: "doors_locked"}
_FIXED, _SOUTH, _WEST = 1, 2, 3
_MAKERS = (15, 16, 17)
"""Alarm bits that were the maker's to use until 2019: as readings, so that a profile can have rules on them."""


class Location(Struct, frozen=True):
    """One report of a terminal.

    Attributes:
        alarms: the alarm word.
        values: readings by key; no position where the terminal has no fix.
        at_us: the terminal's time, microseconds UTC; None when it is no time.
    """

    alarms: int
    values: tuple[tuple[str, Value], ...]
    at_us: int | None


def read_location(body: bytes) -> Location | None:
    """Read the body of a location report; None when it is too short to be one. Unknown extras are skipped."""
    if len(body) < _FIXED_BYTES:
        return None
    alarms, status = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
    values: dict[str, Value] = {key: bool(status >> bit & 1) for bit, key in _STATES.items()}
    values |= {f"maker_alarm_{bit}": bool(alarms >> bit & 1) for bit in _MAKERS}
    if status >> _FIXED & 1:
        values |= _position(body, status)
    values |= _extras(body[_FIXED_BYTES:])
    return Location(alarms, tuple(values.items()), _time(body[22:28]))


def read_batch(body: bytes) -> tuple[list[Location], int] | None:
    """Read the body of a batch; return its good reports and how many were bad, None when it is no batch at all."""
    if len(body) < 3:  # noqa: PLR2004 - how many, and of what kind
        return None
    # The kind that follows (reports of now, or kept during an outage) adds nothing: every report has its time.
    told = int.from_bytes(body[:2], "big")
    found: list[Location] = []
    at, bad = 3, 0
    for _ in range(min(told, _MAX_REPORTS)):
        length = int.from_bytes(body[at : at + 2], "big")
        one = body[at + 2 : at + 2 + length]
        if len(one) < max(length, 1):
            break
        at += 2 + length
        location = read_location(one)
        if location is None:
            bad += 1
        else:
            found.append(location)
    missing = told - len(found) - bad
    return found, bad + missing


def read_registration(body: bytes, *, is_2019: bool) -> tuple[tuple[str, Value], ...]:
    """Read what a terminal registers as: its model and its own id; what is empty is left out."""
    maker, model, terminal = _SIZES_2019 if is_2019 else _SIZES_2013 if len(body) >= _LEAST_2013 else _SIZES_2011
    at = 4 + maker
    words = {
        "terminal_model": _word(body[at : at + model]),
        "terminal_id": _word(body[at + model : at + model + terminal]),
    }
    return tuple((key, word) for key, word in words.items() if word)


def _position(body: bytes, status: int) -> dict[str, Value]:
    lat, lon = int.from_bytes(body[8:12], "big") / 1e6, int.from_bytes(body[12:16], "big") / 1e6
    if lat > 90 or lon > 180:  # noqa: PLR2004 - degrees
        return {}
    return {
        "latitude": -lat if status >> _SOUTH & 1 else lat,
        "longitude": -lon if status >> _WEST & 1 else lon,
        # Below the sea: two's complement, as traccar's HuabaoProtocolDecoder reads it; the standard is silent.
        "altitude": float(int.from_bytes(body[16:18], "big", signed=True)),
        "vehicle_speed": _tenths(body[18:20]),
        "course": float(int.from_bytes(body[20:22], "big")),
    }


def _extras(data: bytes) -> dict[str, Value]:
    found: dict[str, Value] = {}
    at = 0
    while at + 2 <= len(data):
        kind, length = data[at], data[at + 1]
        value = data[at + 2 : at + 2 + length]
        at += 2 + length
        if len(value) == length:
            found |= _extra(kind, value)
    return found


def _extra(kind: int, value: bytes) -> dict[str, Value]:  # noqa: PLR0911 - one line an extra
    whole = float(int.from_bytes(value, "big"))
    match kind, len(value):
        case 0x01, 4:
            return {"mileage": _tenths(value)}
        case 0x02, 2:
            return {"fuel": _tenths(value)}
        case 0x03, 2:
            return {"recorder_speed": _tenths(value)}
        case 0x04, 2:
            return {"alarm_event": whole}
        case 0x25, 4:
            return {"signals": whole}
        case 0x2A, 2:
            return {"io": whole}
        case 0x2B, 4:
            return {"ad_0": float(int.from_bytes(value[2:], "big")), "ad_1": float(int.from_bytes(value[:2], "big"))}
        case 0x30, 1:
            return {"signal": whole}
        case 0x31, 1:
            return {"satellites": whole}
    return {}


def _word(raw: bytes) -> str:
    text = raw.decode("gbk", errors="replace")
    return "".join(char for char in text if char.isprintable()).strip()[:64]


def _tenths(value: bytes) -> float:
    return int.from_bytes(value, "big") / 10


def _time(bcd: bytes) -> int | None:
    text = bcd.hex()
    if not text.isdecimal():
        return None
    year, month, day, hour, minute, second = (int(text[at : at + 2]) for at in range(0, 12, 2))
    try:
        moment = datetime(2000 + year, month, day, hour, minute, second, tzinfo=BEIJING)
    except ValueError:
        return None
    at_us = (moment - _EPOCH) // timedelta(microseconds=1)
    return at_us if at_us >= MIN_TIME_US else None
