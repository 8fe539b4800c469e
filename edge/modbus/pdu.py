"""What a Modbus request and its answer say (PDU: function code and data), apart from how they travel. Pure.

Source of everything here: MODBUS Application Protocol Specification V1.1b3, sections 6 and 7.
"""

from collections.abc import Callable, Sequence
from functools import cache
from struct import Struct, pack, unpack_from

from device_profiles.model import Table
from edge.errors import FrameError

MAX_READ_BITS = 2000
MAX_READ_WORDS = 125
MAX_WRITE_BITS = 0x07B0
MAX_WRITE_WORDS = 0x007B
MAX_PDU_BYTES = 253

EXCEPTION_BIT = 0x80
EXCEPTION_BYTES = 2

_ADDRESSES = 0x1_0000
_COIL_ON = 0xFF00
_READ_FUNCTIONS = {Table.COIL: 1, Table.DISCRETE_INPUT: 2, Table.HOLDING: 3, Table.INPUT: 4}
_BIT_READS = (1, 2)
_READS = (1, 2, 3, 4)
# Answers to writes repeat function, address and value, or address and count.
_ECHO_BYTES = 5
_EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledged, not done yet",
    6: "device busy",
    7: "negative acknowledge",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "the target behind the gateway does not answer",
}
# The eight bits of every byte, the lowest first.
_BITS = tuple(bytes(byte >> place & 1 for place in range(8)) for byte in range(256))


def read_request(table: Table, address: int, count: int) -> bytes:
    """Ask for `count` bits or words from `address` on (functions 1 to 4).

    Raises:
        ValueError: more than 2000 bits or 125 words, none, or past address 65535.
    """
    _check_span(address, count, most=MAX_READ_BITS if table.is_bits else MAX_READ_WORDS)
    return pack(">BHH", _READ_FUNCTIONS[table], address, count)


def write_request(table: Table, address: int, cells: Sequence[int]) -> bytes:
    """Write coils (0, 1) or holding registers (0 to 65535): one cell with function 5 or 6, more with 15 or 16.

    Raises:
        ValueError: more than 1968 bits or 123 words, none, past address 65535, a cell out of its range, or a
            table that cannot be written.
    """
    if table not in (Table.COIL, Table.HOLDING):
        raise ValueError(f"{table} cannot be written; coils and holding registers can")
    _check_span(address, len(cells), most=MAX_WRITE_BITS if table.is_bits else MAX_WRITE_WORDS)
    top = 1 if table.is_bits else 0xFFFF
    if any(not 0 <= cell <= top for cell in cells):
        raise ValueError(f"a cell of {table} {address}+{len(cells)} is not in 0 to {top}")
    if table is Table.HOLDING:
        if len(cells) == 1:
            return pack(">BHH", 6, address, cells[0])
        return pack(f">BHHB{len(cells)}H", 16, address, len(cells), 2 * len(cells), *cells)
    if len(cells) == 1:
        return pack(">BHH", 5, address, _COIL_ON if cells[0] else 0)
    data = _pack_bits(cells)
    return pack(">BHHB", 15, address, len(cells), len(data)) + data


def reply_size(request: bytes) -> int:
    """Tell how many bytes the PDU of a request's answer has, unless it is an exception."""
    if request[0] in _READS:
        return 2 + _data_bytes(request)
    return _ECHO_BYTES


def fault_of(request: bytes, reply: bytes) -> str | None:
    """Say why `reply` does not fit `request`, or None when it does; an exception answer fits when its function does."""
    function = request[0]
    if not reply:
        return "an empty answer"
    if reply[0] == function | EXCEPTION_BIT:
        return None if len(reply) == EXCEPTION_BYTES else f"an exception answer of {len(reply)} bytes"
    if reply[0] != function:
        return f"an answer to function {reply[0]}, function {function} was asked"
    size = reply_size(request)
    if len(reply) != size:
        return f"{len(reply)} bytes, the answer has {size}"
    if function in _READS:
        return None if reply[1] == size - 2 else f"byte count {reply[1]}, {size - 2} were asked for"
    # The answer to a write repeats it, so that a spoilt write is seen.
    return None if reply == request[:_ECHO_BYTES] else "the answer repeats another write than was asked"


def cells_of(request: bytes, reply: bytes) -> Sequence[int]:
    """Take the bits (0, 1) or words (0 to 65535) out of the answer to a read; none for a write.

    Raises:
        FrameError: the answer does not fit the request, or is an exception.
    """
    why = fault_of(request, reply)
    if why is None and reply[0] & EXCEPTION_BIT:
        why = f"exception {reply[1]}, {exception_text(reply[1])}"
    if why is not None:
        raise FrameError(why)
    function = request[0]
    if function not in _READS:
        return ()
    if function in _BIT_READS:
        return b"".join([_BITS[byte] for byte in reply[2:]])[: _count(request)]
    return _words(len(reply) - 2 >> 1).unpack_from(reply, 2)


def reader_of(request: bytes) -> Callable[[bytes], Sequence[int]]:
    """Return what takes the cells out of an answer that is known to fit the request, as `Line.transact` returns it."""
    count = _count(request)
    if request[0] in _BIT_READS:
        bits = _BITS

        def read_bits(reply: bytes) -> bytes:
            return b"".join([bits[byte] for byte in reply[2:]])[:count]

        return read_bits
    unpack = _words(count).unpack_from
    return lambda reply: unpack(reply, 2)


def exception_text(code: int) -> str:
    """Say what an exception code means (section 7)."""
    return _EXCEPTIONS.get(code, "a code the standard does not know")


def span_of(request: bytes) -> tuple[int, int]:
    """Tell the first address and the number of cells that a request reads or writes."""
    address = int.from_bytes(request[1:3], "big")
    return address, 1 if request[0] in (5, 6) else _count(request)


@cache
def _words(count: int) -> Struct:
    return Struct(f">{count}H")


def _count(request: bytes) -> int:
    count: int = unpack_from(">H", request, 3)[0]
    return count


def _data_bytes(request: bytes) -> int:
    count = _count(request)
    return count + 7 >> 3 if request[0] in _BIT_READS else 2 * count


def _pack_bits(bits: Sequence[int]) -> bytes:
    number = sum(bit << place for place, bit in enumerate(bits))
    return number.to_bytes(len(bits) + 7 >> 3, "little")


def _check_span(address: int, count: int, *, most: int) -> None:
    if not 1 <= count <= most:
        raise ValueError(f"{count} cells; 1 to {most} fit one request")
    if not 0 <= address <= _ADDRESSES - count:
        raise ValueError(f"address {address} and {count} cells; the last address is {_ADDRESSES - 1}")
