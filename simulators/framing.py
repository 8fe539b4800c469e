"""Requests out of a stream of bytes: Modbus RTU and Modbus TCP (MBAP). Pure: bytes in, requests out.

Any cut of a stream gives the same requests. An unfinished request is never longer than one ADU.
Sources: MODBUS over Serial Line V1.02, 2.5.1; MODBUS Messaging on TCP/IP V1.0b, 3.1.3 and 4.4.2.
"""

from struct import pack, unpack_from

from msgspec import Struct

MAX_RTU_BYTES = 256
MAX_MBAP_LENGTH = 254
MBAP_BYTES = 7

_CRC_BYTES = 2
_MIN_MBAP_LENGTH = 2

# Whole length of a request by function code, address and CRC included; of other functions the length
# cannot be known, so on a serial line they are noise. Source: Application Protocol V1.1b3, section 6.
_FIXED_BYTES = {1: 8, 2: 8, 3: 8, 4: 8, 5: 8, 6: 8, 7: 4, 8: 8, 11: 4, 12: 4, 17: 4, 22: 10, 24: 6, 43: 7}
# Functions whose length follows from a byte count: where that byte stands. The data come right after it.
_COUNT_AT = {15: 6, 16: 6, 20: 2, 21: 2, 23: 10}


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC_TABLE = _crc_table()


def crc16(data: bytes) -> int:
    """Compute the checksum of Modbus RTU (start 0xFFFF, polynomial 0xA001); it is sent low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


class RtuRequest(Struct, frozen=True):
    """One request of a serial line; unit 0 is everybody.

    Attributes:
        size: bytes it took on the line.
    """

    unit: int
    pdu: bytes
    size: int


class TcpRequest(Struct, frozen=True):
    """One request of a TCP connection; the answer carries the same transaction number."""

    transaction: int
    unit: int
    pdu: bytes


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    """Wrap a PDU for the serial line: unit, PDU, CRC."""
    body = bytes((unit,)) + pdu
    return body + crc16(body).to_bytes(_CRC_BYTES, "little")


def tcp_frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    """Wrap a PDU for TCP: MBAP header, PDU."""
    return pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


class RtuFramer:
    """Finds requests on a serial line by function code, length and CRC; what fits no request is noise.

    Attributes:
        noise_bytes: bytes thrown away so far.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.noise_bytes = 0

    @property
    def waiting(self) -> int:
        """Bytes of a request that is not complete yet, below `MAX_RTU_BYTES`."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[RtuRequest]:
        """Take bytes off the line and hand out the requests that are complete with them."""
        self._buffer += data
        return self._take(final=False)

    def silence(self) -> list[RtuRequest]:
        """Take note that the line fell silent: nothing begun will be finished.

        Returns:
            Requests that stand whole behind bytes that only looked like the beginning of a longer one.
        """
        return self._take(final=True)

    def _take(self, *, final: bool) -> list[RtuRequest]:
        buffer, at, requests = bytes(self._buffer), 0, list[RtuRequest]()
        while at < len(buffer):
            size = _rtu_size(buffer, at)
            unfinished = size is None or at + size > len(buffer)
            if unfinished and not final:
                break
            if unfinished or not size or not _crc_fits(buffer[at : at + size]):
                self.noise_bytes += 1
                at += 1
                continue
            requests.append(RtuRequest(buffer[at], buffer[at + 1 : at + size - _CRC_BYTES], size))
            at += size
        self._buffer = bytearray(buffer[at:])
        return requests


def _crc_fits(frame: bytes) -> bool:
    return crc16(frame[:-_CRC_BYTES]) == int.from_bytes(frame[-_CRC_BYTES:], "little")


def _rtu_size(buffer: bytes, at: int) -> int | None:
    """Length of the request that begins at `at`: None is not known yet, 0 is none begins here."""
    if at + 1 >= len(buffer):
        return None
    function = buffer[at + 1]
    count_at = _COUNT_AT.get(function)
    if count_at is None:
        return _FIXED_BYTES.get(function, 0)
    if at + count_at >= len(buffer):
        return None
    size = count_at + 1 + buffer[at + count_at] + _CRC_BYTES
    return size if size <= MAX_RTU_BYTES else 0


class TcpFramer:
    """Cuts a TCP stream into requests by the MBAP header.

    Attributes:
        fault: why the stream can no longer be read (then the connection must be closed), or None.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.fault: str | None = None

    @property
    def waiting(self) -> int:
        """Bytes of a request that is not complete yet, below `MBAP_BYTES + MAX_MBAP_LENGTH`."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[TcpRequest]:
        """Take bytes and hand out complete requests; after a fault it takes nothing any more."""
        if self.fault is not None:
            return []
        self._buffer += data
        buffer, at, requests = bytes(self._buffer), 0, list[TcpRequest]()
        while len(buffer) - at >= MBAP_BYTES:
            transaction, protocol, length, unit = unpack_from(">HHHB", buffer, at)
            self.fault = _mbap_fault(protocol, length)
            end = at + MBAP_BYTES - 1 + length
            if self.fault is not None or end > len(buffer):
                break
            requests.append(TcpRequest(transaction, unit, buffer[at + MBAP_BYTES : end]))
            at = end
        self._buffer = bytearray() if self.fault is not None else bytearray(buffer[at:])
        return requests


def _mbap_fault(protocol: int, length: int) -> str | None:
    if protocol != 0:
        return f"protocol id {protocol}: Modbus is 0"
    if not _MIN_MBAP_LENGTH <= length <= MAX_MBAP_LENGTH:
        return f"length {length}: {_MIN_MBAP_LENGTH} to {MAX_MBAP_LENGTH} bytes follow it in Modbus"
    return None
