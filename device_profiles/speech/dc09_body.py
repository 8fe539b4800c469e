"""What stands in the brackets of a DC-09 frame: data, extended fields, time. Pure.

    [data][Xextended]..._HH:MM:SS,MM-DD-YYYY          in clear
    [pad|data][Xextended]..._HH:MM:SS,MM-DD-YYYY      everything after the first "[" encrypted

An extended field begins with a capital letter that says what it is. A Hengbo host has binary ones instead: a length of
two raw bytes or of four digits, then so many bytes of any value.

Source: ANSI/SIA DC-09-2013, 5.5.1.7 to 5.5.1.9; captainwong/ademco_hb docs/README.md, 4.2.
"""

import calendar
import re
from datetime import UTC, datetime

from msgspec import Struct

MAX_FIELDS = 16

_TIME = re.compile(rb"_?(\d\d):(\d\d):(\d\d),(\d\d)-(\d\d)-(\d{4})")
_TIME_BYTES = 20
_DIGITS = 4
_LETTERS = range(0x41, 0x5B)


class Body(Struct, frozen=True):
    """A body, cut apart.

    Attributes:
        data: between the first brackets, without the pad.
        fields: contents of the standard's extended fields, each with its letter.
        binary: contents of Hengbo's, without their lengths.
        stamp: the time as written, with its "_"; empty without one.
        sent_us: that time, microseconds UTC; None without one, or when it is none of this calendar.
    """

    data: bytes
    fields: tuple[bytes, ...] = ()
    binary: tuple[bytes, ...] = ()
    stamp: bytes = b""
    sent_us: int | None = None


def parse_body(text: bytes, *, is_padded: bool) -> Body | None:
    """Cut a body apart; None when it is not of that form.

    Args:
        text: what comes after the first "[", in clear.
        is_padded: it was encrypted, so a pad and a bar stand in front of the data.
    """
    end = text.find(b"]")
    if end < 0:
        return None
    data = text[:end]
    if is_padded:
        # Where there is no data the bar is left out by some (siadc09 1.0.1), written by others (jvanovost/dc09_spt).
        data = data.partition(b"|")[2]
    at, fields, binary = end + 1, list[bytes](), list[bytes]()
    while text[at : at + 1] == b"[":
        cut = _standard(text, at + 1) or _hengbo(text, at + 1)
        if cut is None or len(fields) + len(binary) >= MAX_FIELDS:
            return None
        content, at, is_binary = cut
        (binary if is_binary else fields).append(content)
    stamp = text[at:]
    if stamp and not (len(stamp) == _TIME_BYTES and _TIME.fullmatch(stamp)):
        return None
    return Body(data, tuple(fields), tuple(binary), stamp, parse_time(stamp))


def parse_time(stamp: bytes) -> int | None:
    """Read `HH:MM:SS,MM-DD-YYYY`, with or without "_" in front; None when it is no moment of this calendar."""
    match = _TIME.fullmatch(stamp)
    if match is None:
        return None
    hour, minute, second, month, day, year = (int(part) for part in match.groups())
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return calendar.timegm(moment.timetuple()) * 1_000_000


def write_time(wall_us: int) -> bytes:
    """Write a moment as a frame carries it, with "_" in front.

    Args:
        wall_us: microseconds UTC.
    """
    return datetime.fromtimestamp(wall_us // 1_000_000, UTC).strftime("_%H:%M:%S,%m-%d-%Y").encode()


def _standard(text: bytes, at: int) -> tuple[bytes, int, bool] | None:
    if at >= len(text) or text[at] not in _LETTERS:
        return None
    end = text.find(b"]", at)
    return None if end < 0 else (text[at:end], end + 1, False)


def _hengbo(text: bytes, at: int) -> tuple[bytes, int, bool] | None:
    """Cut out a field with a length in front.

    Four digits are tried first, as the makers' own library does; its page calls them decimal and its code reads
    hexadecimal, so the one counts at whose end the bracket stands.
    """
    digits = text[at : at + _DIGITS]
    lengths: list[tuple[int, int]] = []
    if re.fullmatch(rb"[0-9A-Fa-f]{4}", digits):
        lengths += [(_DIGITS, int(digits, base)) for base in (10, 16) if base == 16 or digits.isdigit()]  # noqa: PLR2004
    if len(digits) > 1:
        lengths.append((2, digits[0] << 8 | digits[1]))
    for size, length in lengths:
        end = at + size + length
        if text[end : end + 1] == b"]" and text[end + 1 : end + 2] in (b"[", b"_", b""):
            return text[at + size : end], end + 1, True
    return None
