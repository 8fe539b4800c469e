"""The checksums that grammars know: worked out, and looked for in a frame. Pure."""

from collections.abc import Callable
from functools import reduce
from operator import xor

from device_profiles.speech.layout import MAX_FRAME, Checksum, ChecksumForm, ChecksumKind

_REFLECTED_8005 = 0xA001


def _table() -> tuple[int, ...]:
    entries = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ _REFLECTED_8005 if crc & 1 else crc >> 1
        entries.append(crc)
    return tuple(entries)


_TABLE = _table()


def crc16(data: bytes, *, start: int) -> int:
    """CRC-16, polynomial 0x8005 reflected: /MODBUS with start 0xFFFF, /ARC with start 0.

    Source: MODBUS over Serial Line V1.02, 6.2.2; the catalogue of parametrised CRC algorithms.
    """
    crc = start
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


def checksum_of(kind: ChecksumKind, data: bytes) -> int:
    """Work out a checksum.

    Raises:
        ValueError: `xor_hex` over what is not hexadecimal digits.
    """
    return _KINDS[kind](data)


def written(checksum: Checksum, value: int) -> bytes:
    """Write a checksum as it stands in a frame; of hexadecimal digits the capitals."""
    if checksum.form is ChecksumForm.HEX:
        return f"{value:0{2 * checksum.kind.size}X}".encode("ascii")
    return value.to_bytes(checksum.kind.size, "little" if checksum.form is ChecksumForm.LITTLE else "big")


def shortest(checksum: Checksum) -> int:
    """The fewest bytes a frame must have for the checksum and its span to lie inside, apart from each other."""
    return next((size for size in range(1, MAX_FRAME + 1) if _is_apart(checksum, size)), MAX_FRAME)


def can_lie(checksum: Checksum, longest: int) -> bool:
    """Tell whether the checksum stands whole inside a frame of that length, its span too, apart from each other."""
    return _is_apart(checksum, longest)


def check(checksum: Checksum, frame: bytes) -> str:
    """Say what is wrong with a frame's checksum; "" when it is right."""
    size = len(frame)
    begin, end, at = (place if place >= 0 else size + place for place in (checksum.begin, checksum.end, checksum.at))
    if not (0 <= begin <= end <= size and 0 <= at <= size - checksum.size):
        return f"a frame of {size} bytes is too short for its checksum"
    found = frame[at : at + checksum.size]
    try:
        wanted = written(checksum, checksum_of(checksum.kind, frame[begin:end]))
    except ValueError:
        return "its checksum is taken over hexadecimal digits, and they are none"
    if found == wanted or (checksum.form is ChecksumForm.HEX and found.upper() == wanted):
        return ""
    if checksum.form is ChecksumForm.HEX:
        return f"the checksum is {found.decode('ascii', 'replace')!r}, the bytes give {wanted.decode('ascii')!r}"
    return f"the checksum is {found.hex(' ')}, the bytes give {wanted.hex(' ')}"


def _is_apart(checksum: Checksum, size: int) -> bool:
    begin, end, at = (place if place >= 0 else size + place for place in (checksum.begin, checksum.end, checksum.at))
    if not (0 <= begin < end <= size and 0 <= at <= size - checksum.size):
        return False
    return at >= end or at + checksum.size <= begin


_KINDS: dict[ChecksumKind, Callable[[bytes], int]] = {
    ChecksumKind.SUM8: lambda data: sum(data) & 0xFF,
    ChecksumKind.SUM16: lambda data: sum(data) & 0xFFFF,
    ChecksumKind.XOR: lambda data: reduce(xor, data, 0),
    ChecksumKind.XOR_HEX: lambda data: reduce(xor, bytes.fromhex(data.decode("ascii")), 0),
    ChecksumKind.CRC16_MODBUS: lambda data: crc16(data, start=0xFFFF),
    ChecksumKind.CRC16_ARC: lambda data: crc16(data, start=0),
}
