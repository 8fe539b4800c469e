"""Frames of SIA DC-09: bytes to frames and back. Pure.

    LF  CRC  0LLL  "id" seq Rrcvr Lpref #acct [  body  CR

CRC and length are four hexadecimal digits each and span everything from the first quote up to before CR. The body may
be binary (Hengbo hosts put lengths of two raw bytes in it, so NUL, LF and CR as well): it is cut out by its length,
never by its end.

Two slips of hosts in the field are understood, since the CRC proves what is meant: a length in decimal
(eavanvalkenburg/pysiaalarm, case_adm_cid2), and a closing CR that is counted in length and CRC (Eldes;
Cheaterdev/sia-ha, issue 3).

Source: ANSI/SIA DC-09-2013, 5.5.1 (public-review draft, yumpu.com 47594214); captainwong/ademco_hb docs/README.md.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

MAX_SPAN = 0x0FFF
"""Longest span of a frame: the length's first digit is always 0 (DC-09, 5.5.1.3)."""

_OPENING = 9  # LF, CRC, length.
_CHUNK = 4096
_CR = 0x0D
_HEAD = re.compile(rb'\n([0-9A-Fa-f]{4})(0[0-9A-Fa-f]{3})"')
# The standard has four decimal digits; jvanovost/dc09_spt 0.0.4 counts in hexadecimal. A receiver only echoes them.
# A prefix is required there and has one to six digits; hosts with a bare L are in the field (schmupu/ioBroker.sia,
# issue 11). NAK has A0 in place of #acct.
_HEADER = re.compile(
    rb'"(?P<star>\*?)(?P<id>[A-Z0-9-]{1,16})"(?P<sequence>[0-9A-Fa-f]{4})(?P<receiver>R[0-9A-Fa-f]{1,6})?'
    rb"(?P<prefix>L[0-9A-Fa-f]{0,6})?(?:#(?P<account>[0-9A-Fa-f]{1,16})|A0)?\["
)
_BLANK = b"\r\n\0 \t"


class Frame(Struct, frozen=True):
    """A frame whose CRC is right.

    Attributes:
        id: token without quotes and star: ADM-CID, SIA-DCS, NULL, HENG-BO, ...
        is_encrypted: the token has a star.
        sequence: four characters, as written.
        echo: sequence, receiver, prefix and account as written: what an answer repeats.
        account: in capitals; "" without one.
        body: what comes after the first "[".
    """

    id: str
    is_encrypted: bool
    sequence: str
    echo: bytes
    account: str
    body: bytes


class Broken(Struct, frozen=True):
    """Bytes that are no frame, and why; nothing in them can be answered."""

    why: str


def crc16(data: bytes) -> int:
    """Give the CRC-16/ARC: polynomial 0x8005 reflected, from 0, nothing added at the end."""
    crc = 0
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


def pack(content: bytes) -> bytes:
    """Put a frame around everything from the first quote on."""
    return b"\n%04X%04X%b\r" % (crc16(content), len(content), content)


class FrameReader:
    """Cuts a stream into frames; holds at most one frame's length, and finds the next good frame after anything."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._bytes = bytearray()
        self._searched = 0
        self._heads: list[tuple[int, int, int]] = []
        self._is_noisy = False

    def feed(self, data: bytes) -> Iterator[Frame | Broken]:
        """Take bytes as they come, and give the frames that they complete."""
        for at in range(0, len(data), _CHUNK):
            self._bytes += data[at : at + _CHUNK]
            yield from self._read()

    def _read(self) -> Iterator[Frame | Broken]:
        self._find_heads()
        # A head may be noise with a length that swallows what follows, so every later one is looked at too.
        while (judged := self._judge()) is not None:
            head, end, content = judged
            if content is not None:
                yield from self._drop(head[0])
                self._cut(end)
                self._is_noisy = False
                yield parse_content(content)
                continue
            self._heads.remove(head)
            if all(start != head[0] for start, _, _ in self._heads):
                self._is_noisy = True
                yield Broken(f"CRC or length of {head[1]} bytes is wrong")
        yield from self._drop(self._heads[0][0] if self._heads else self._searched)

    def _judge(self) -> tuple[tuple[int, int, int], int, bytes | None] | None:
        """Give the first head whose bytes are all there, where it ends, and its content; None when it is no frame."""
        for head in self._heads:
            start, span, crc = head
            begin, end = start + _OPENING, start + _OPENING + span
            if len(self._bytes) < end:
                continue
            content = bytes(self._bytes[begin:end])
            if content.endswith(b"\r") and crc16(content) == crc:
                return head, end, content[:-1]
            if len(self._bytes) > end:
                is_right = self._bytes[end] == _CR and crc16(content) == crc
                return head, end + 1, content if is_right else None
        return None

    def _find_heads(self) -> None:
        for match in _HEAD.finditer(self._bytes, self._searched):
            # Hexadecimal; some hosts write it in decimal, and some count the CR (see the head of this module).
            spans = {int(match[2], base) for base in (16, 10) if base == 16 or match[2].isdigit()}  # noqa: PLR2004
            self._heads += ((match.start(), span, int(match[1], 16)) for span in sorted(spans))
        # A head may have come in part: from the last LF on it is looked at again.
        self._searched = max(self._searched, len(self._bytes) - _OPENING)
        if self._heads:
            self._searched = max(self._searched, self._heads[-1][0] + 1)
        last = self._bytes.find(b"\n", self._searched)
        self._searched = last if last >= 0 else len(self._bytes)

    def _drop(self, count: int) -> Iterator[Broken]:
        """Leave bytes that are no frame behind; noise is said once, however long it lasts."""
        noise = bytes(self._bytes[:count]).strip(_BLANK)
        self._cut(count)
        if noise and not self._is_noisy:
            self._is_noisy = True
            yield Broken(f"noise between frames, beginning with {noise[:16].hex(' ')}")

    def _cut(self, count: int) -> None:
        del self._bytes[:count]
        self._searched = max(0, self._searched - count)
        self._heads = [(start - count, span, crc) for start, span, crc in self._heads if start >= count]


def parse_content(content: bytes) -> Frame | Broken:
    """Read what a frame spans: everything from the first quote up to before CR."""
    header = _HEADER.match(content)
    if header is None:
        return Broken("the CRC is right, but the header is not of DC-09")
    echo = content[header.start("sequence") : header.end() - 1]
    return Frame(
        id=header["id"].decode(),
        is_encrypted=bool(header["star"]),
        sequence=header["sequence"].decode(),
        echo=echo,
        account=(header["account"] or b"").decode().upper(),
        body=content[header.end() :],
    )


def _table() -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xA001 if crc & 1 else 0)
        rows.append(crc)
    return tuple(rows)


_TABLE = _table()
