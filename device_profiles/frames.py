"""Reads the captured frames of a profile: one request for bits or registers and its answer.

Only what a golden capture needs (function codes 1 to 4), so that a capture is checked before it counts as
evidence; the gateway's own framing is elsewhere.
"""

from msgspec import Struct

from device_profiles.faults import DeviceProfilesError
from device_profiles.model import Capture, Table, Transport

TABLE_OF_FUNCTION = {1: Table.COIL, 2: Table.DISCRETE_INPUT, 3: Table.HOLDING, 4: Table.INPUT}
"""Read functions (MODBUS Application Protocol V1.1b3, 6.1 to 6.4)."""

_REQUEST_PDU = 5
_RTU_SHORTEST = 4
_MBAP = 7


class FrameError(DeviceProfilesError):
    """The captured bytes are not a read request and its answer; `part` is "request" or "reply"."""

    def __init__(self, part: str, why: str) -> None:
        super().__init__(why)
        self.part = part


class BlockRead(Struct, frozen=True):
    """What was asked and what was answered.

    Attributes:
        unit: unit id.
        table, address, count: the block asked for, in bits or words.
        cells: as many bits (0 or 1) or words (0 to 65535) as asked for.
    """

    unit: int
    table: Table
    address: int
    count: int
    cells: tuple[int, ...]


def read_capture(capture: Capture) -> BlockRead:
    """Take a capture apart: check sum or header, function, lengths, cells.

    Raises:
        FrameError: the bytes are not hexadecimal, damaged, or not a read and its answer.
    """
    is_rtu = capture.framing is Transport.RTU
    ask_head, ask = (_rtu if is_rtu else _tcp)("request", _bytes("request", capture.request))
    say_head, say = (_rtu if is_rtu else _tcp)("reply", _bytes("reply", capture.reply))
    if ask_head != say_head:
        raise FrameError("reply", "answers another unit or transaction than was asked")
    if len(ask) != _REQUEST_PDU or ask[0] not in TABLE_OF_FUNCTION:
        raise FrameError("request", "is no read request: function 1 to 4, address, count")
    table = TABLE_OF_FUNCTION[ask[0]]
    address, count = int.from_bytes(ask[1:3], "big"), int.from_bytes(ask[3:5], "big")
    size = (count + 7) // 8 if table.is_bits else 2 * count
    if len(say) != 2 + size or say[0] != ask[0] or say[1] != size:
        raise FrameError("reply", f"is not function {ask[0]} with {size} bytes of data")
    data = say[2:]
    if table.is_bits:
        cells = tuple(data[index // 8] >> (index % 8) & 1 for index in range(count))
    else:
        cells = tuple(int.from_bytes(data[at : at + 2], "big") for at in range(0, size, 2))
    return BlockRead(unit=ask_head[-1], table=table, address=address, count=count, cells=cells)


def crc16(data: bytes) -> int:
    """CRC-16 of Modbus RTU: polynomial 0xA001 reflected, start 0xFFFF (Serial Line V1.02, 6.2.2)."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def _bytes(part: str, text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise FrameError(part, "is not hexadecimal") from error


def _rtu(part: str, frame: bytes) -> tuple[bytes, bytes]:
    """Part unit id and PDU; the CRC stands last, low byte first."""
    if len(frame) < _RTU_SHORTEST:
        raise FrameError(part, f"has {len(frame)} bytes, an RTU frame at least {_RTU_SHORTEST}")
    wanted = crc16(frame[:-2]).to_bytes(2, "little")
    if frame[-2:] != wanted:
        raise FrameError(part, f"CRC is {frame[-2:].hex(' ')}, the bytes give {wanted.hex(' ')}")
    return frame[:1], frame[1:-2]


def _tcp(part: str, frame: bytes) -> tuple[bytes, bytes]:
    """Part transaction with unit id, and PDU (Messaging on TCP/IP V1.0b, 3.1.3)."""
    if len(frame) <= _MBAP:
        raise FrameError(part, f"has {len(frame)} bytes, a TCP frame more than {_MBAP}")
    protocol, length = int.from_bytes(frame[2:4], "big"), int.from_bytes(frame[4:6], "big")
    if protocol != 0 or length != len(frame) - 6:
        raise FrameError(part, f"header says protocol {protocol}, length {length}; 0 and {len(frame) - 6} are true")
    return frame[:2] + frame[6:7], frame[7:]
