"""Frames of JT/T 808: flags, escapes, checksum and header, read and written. Pure.

A message lies between two 7E; inside it 7E is sent as 7D 02 and 7D as 7D 01. The last byte is the exclusive or of all
before it. Numbers are big endian. Headers differ: that of 2019 has a version and a number of ten bytes.

Source: JT/T 808-2013 and -2019, 4.4 (message composition), as worked through in github.com/SmallChi/JT808, README.md.
"""

from functools import reduce
from operator import xor

from msgspec import Struct

FLAG = 0x7E
ESCAPE = 0x7D
MAX_BODY = 0x3FF
"""Ten bits of the attributes say how long a body is."""
# The longest header (2019, split) and the checksum; each byte may be escaped.
_MAX_FRAME = 2 * (21 + MAX_BODY + 1)
_ESCAPED = {0x01: ESCAPE, 0x02: FLAG}
_ENCRYPTED, _SPLIT, _IS_2019 = 0x1C00, 0x2000, 0x4000


class Header(Struct, frozen=True):
    """What stands before a body.

    Attributes:
        message_id: what the body is.
        phone: the terminal's number as it stands on the wire, BCD: 6 bytes, in 2019 10.
        serial: number of the message; the answer names it.
        version: protocol version of a 2019 header; None is a header of 2013 or 2011.
        total, index: packets of a message that was split and which this is, from 1; 0 where it is whole.
        is_encrypted: the body is not readable.
    """

    message_id: int
    phone: bytes
    serial: int
    version: int | None = None
    total: int = 0
    index: int = 0
    is_encrypted: bool = False


class Message(Struct, frozen=True):
    """One whole frame.

    Attributes:
        is_whole: the body is as long as the header says.
    """

    header: Header
    body: bytes
    is_whole: bool = True


class Frames:
    """Cuts a stream into messages. Whatever lies between two flags and is no message is refused with a reason."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._is_open = False

    def feed(self, data: bytes) -> list[Message | str]:
        """Take what came; return messages and, as text, why something was none, in their order."""
        found: list[Message | str] = []
        first, *others = data.split(bytes([FLAG]))
        self._take(first, found)
        for part in others:
            if self._is_open and self._kept:
                found.append(read_frame(bytes(self._kept)))
            elif self._kept:
                found.append(f"{len(self._kept)} bytes before the first flag")
            self._kept.clear()
            self._is_open = True
            self._take(part, found)
        return found

    def _take(self, part: bytes, found: list[Message | str]) -> None:
        if len(self._kept) + len(part) > _MAX_FRAME:
            found.append(f"{len(self._kept) + len(part)} bytes without a flag")
            self._kept.clear()
            self._is_open = False
            return
        self._kept += part


def read_frame(escaped: bytes) -> Message | str:
    """Read what lay between two flags; return why it is no message as text."""
    raw = _unescape(escaped)
    if raw is None:
        return "an escape that is none"
    if len(raw) < 13:  # noqa: PLR2004 - the shortest header and the checksum
        return f"{len(raw)} bytes are no message"
    if reduce(xor, raw):
        return "wrong checksum"
    return _read_message(raw[:-1])


def write_frame(header: Header, body: bytes) -> bytes:
    """Write one message with its flags; header and body as `Header` describes them, at most `MAX_BODY` bytes."""
    attributes = len(body) & MAX_BODY
    fields = b""
    if header.version is not None:
        attributes |= _IS_2019
        fields = bytes([header.version])
    fields += header.phone + header.serial.to_bytes(2, "big")
    if header.total:
        attributes |= _SPLIT
        fields += header.total.to_bytes(2, "big") + header.index.to_bytes(2, "big")
    raw = header.message_id.to_bytes(2, "big") + attributes.to_bytes(2, "big") + fields + body
    raw += bytes([reduce(xor, raw)])
    escaped = raw.replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02")
    return b"\x7e" + escaped + b"\x7e"


def _unescape(data: bytes) -> bytes | None:
    if ESCAPE not in data:
        return data
    first, *others = data.split(bytes([ESCAPE]))
    raw = bytearray(first)
    for part in others:
        if not part or part[0] not in _ESCAPED:
            return None
        raw.append(_ESCAPED[part[0]])
        raw += part[1:]
    return bytes(raw)


def _read_message(raw: bytes) -> Message | str:
    message_id, attributes = int.from_bytes(raw[:2], "big"), int.from_bytes(raw[2:4], "big")
    at, version, digits = 4, None, 6
    if attributes & _IS_2019:
        version, at, digits = raw[4], 5, 10
    phone = raw[at : at + digits]
    at += digits
    total = index = 0
    end = at + (6 if attributes & _SPLIT else 2)
    if len(raw) < end:
        return "cut short in its header"
    serial = int.from_bytes(raw[at : at + 2], "big")
    if attributes & _SPLIT:
        total, index = int.from_bytes(raw[at + 2 : at + 4], "big"), int.from_bytes(raw[at + 4 : at + 6], "big")
        if not 1 <= index <= total:
            return f"packet {index} of {total}"
    body = raw[end:]
    header = Header(message_id, phone, serial, version, total, index, is_encrypted=bool(attributes & _ENCRYPTED))
    return Message(header, body, is_whole=len(body) == attributes & MAX_BODY)
