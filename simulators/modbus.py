"""The server's side of Modbus: a request PDU in, an answer PDU out, on a bank of registers.

Pure, and written apart from the gateway's own protocol code, so that an error cannot cancel itself out.
Source of everything here: MODBUS Application Protocol Specification V1.1b3.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from struct import pack, unpack_from
from typing import Protocol

from device_profiles.model import Table
from simulators.errors import SimulatorError

MAX_READ_BITS = 2000
MAX_READ_WORDS = 125
MAX_WRITE_BITS = 0x07B0
MAX_WRITE_WORDS = 0x007B

_ADDRESSES = 0x1_0000
_ON = 0xFF00
_REQUEST_BYTES = 5
_READS = {1: Table.COIL, 2: Table.DISCRETE_INPUT, 3: Table.HOLDING, 4: Table.INPUT}


class ExceptionCode(IntEnum):
    """Why a request is refused (section 7)."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_ADDRESS = 2
    ILLEGAL_VALUE = 3
    # A gateway's word for a unit behind it that does not answer.
    TARGET_SILENT = 0x0B


class RefusedError(SimulatorError):
    """The request is answered with an exception.

    Attributes:
        code: what the answer says.
    """

    def __init__(self, code: ExceptionCode) -> None:
        super().__init__(f"the request is refused: {code.name.lower().replace('_', ' ')} ({code.value})")
        self.code = code


class Registers(Protocol):
    """The cells of one device: 16-bit words, or 0 and 1 in the tables of bits."""

    def read(self, table: Table, address: int, count: int) -> Sequence[int]:
        """Read `count` cells.

        Raises:
            RefusedError: a cell is not there.
        """
        ...

    def write(self, table: Table, address: int, cells: Sequence[int]) -> None:
        """Write all cells, or none.

        Raises:
            RefusedError: a cell is not there, or may not be written.
        """
        ...


def is_read(pdu: bytes) -> bool:
    """Tell whether a request, or an answer that is no exception, is one of the four reads."""
    return pdu[0] in _READS


def refuse(pdu: bytes, code: ExceptionCode) -> bytes:
    """Write the exception answer to a request."""
    return bytes((pdu[0] | 0x80, code))


def respond(pdu: bytes, bank: Registers) -> bytes:
    """Answer one request: functions 1, 2, 3, 4, 5, 6, 15 and 16; every other is an illegal function.

    Args:
        pdu: function code and data, at least one byte.
        bank: what is read and written.

    Returns:
        The answer's PDU, 2 to 253 bytes; an exception answer where the request is refused.
    """
    handler = _HANDLERS.get(pdu[0])
    if handler is None:
        return refuse(pdu, ExceptionCode.ILLEGAL_FUNCTION)
    try:
        return handler(pdu, bank)
    except RefusedError as refused:
        return refuse(pdu, refused.code)


def pack_bits(bits: Sequence[int]) -> bytes:
    """Pack bits eight to a byte, the first lowest; the last byte is filled with zeros (6.1)."""
    number = 0
    for place, bit in enumerate(bits):
        number |= (bit & 1) << place
    return number.to_bytes((len(bits) + 7) // 8, "little")


def unpack_bits(data: bytes, count: int) -> tuple[int, ...]:
    """Unpack the first `count` bits, the lowest of the first byte first."""
    number = int.from_bytes(data, "little")
    return tuple(number >> place & 1 for place in range(count))


def _read_bits(pdu: bytes, bank: Registers) -> bytes:
    address, count = _span(pdu, most=MAX_READ_BITS)
    data = pack_bits(bank.read(_READS[pdu[0]], address, count))
    return bytes((pdu[0], len(data))) + data


def _read_words(pdu: bytes, bank: Registers) -> bytes:
    address, count = _span(pdu, most=MAX_READ_WORDS)
    return pack(f">BB{count}H", pdu[0], 2 * count, *bank.read(_READS[pdu[0]], address, count))


def _write_bit(pdu: bytes, bank: Registers) -> bytes:
    address, value = _two_words(pdu)
    if value not in (0, _ON):
        raise RefusedError(ExceptionCode.ILLEGAL_VALUE)
    bank.write(Table.COIL, address, (1 if value else 0,))
    return pdu


def _write_word(pdu: bytes, bank: Registers) -> bytes:
    address, value = _two_words(pdu)
    bank.write(Table.HOLDING, address, (value,))
    return pdu


def _write_bits(pdu: bytes, bank: Registers) -> bytes:
    address, count, data = _write_data(pdu, most=MAX_WRITE_BITS, bits=1)
    bank.write(Table.COIL, address, unpack_bits(data, count))
    return pdu[:_REQUEST_BYTES]


def _write_words(pdu: bytes, bank: Registers) -> bytes:
    address, count, data = _write_data(pdu, most=MAX_WRITE_WORDS, bits=16)
    bank.write(Table.HOLDING, address, unpack_from(f">{count}H", data))
    return pdu[:_REQUEST_BYTES]


def _two_words(pdu: bytes) -> tuple[int, int]:
    if len(pdu) != _REQUEST_BYTES:
        # Section 7: a length that does not fit the function is code 3, not code 1.
        raise RefusedError(ExceptionCode.ILLEGAL_VALUE)
    first, second = unpack_from(">HH", pdu, 1)
    return first, second


def _span(pdu: bytes, *, most: int) -> tuple[int, int]:
    # The order of the tests is that of the state diagrams in section 6: quantity first, then address.
    address, count = _two_words(pdu)
    if not 1 <= count <= most:
        raise RefusedError(ExceptionCode.ILLEGAL_VALUE)
    if address + count > _ADDRESSES:
        raise RefusedError(ExceptionCode.ILLEGAL_ADDRESS)
    return address, count


def _write_data(pdu: bytes, *, most: int, bits: int) -> tuple[int, int, bytes]:
    address, count = _span(pdu[:_REQUEST_BYTES], most=most)
    data = pdu[_REQUEST_BYTES + 1 :]
    size = (count * bits + 7) // 8
    if len(data) != size or pdu[_REQUEST_BYTES] != size:
        raise RefusedError(ExceptionCode.ILLEGAL_VALUE)
    return address, count, data


_HANDLERS: dict[int, Callable[[bytes, Registers], bytes]] = {
    1: _read_bits,
    2: _read_bits,
    3: _read_words,
    4: _read_words,
    5: _write_bit,
    6: _write_word,
    15: _write_bits,
    16: _write_words,
}
