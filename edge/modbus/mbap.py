"""Modbus TCP, the asking side: answers are known by their transaction number. Pure.

A stream whose next header makes no sense, or that was left in the middle of a frame, is out of step. It is then
searched for the header of the answer waited for, which eight bytes make unmistakable; a stream in which that is
not found either is beyond help.

Source: MODBUS Messaging on TCP/IP V1.0b, 3.1.3 and 4.4.2.
"""

from struct import Struct

from edge.errors import EdgeError, FrameError, LinkDownError, LinkTimeoutError
from edge.modbus.counters import LineCounters
from edge.modbus.pdu import EXCEPTION_BIT, fault_of, reply_size

HEADER_BYTES = 7
# What follows the length field: unit id and PDU.
MIN_LENGTH = 3
MAX_LENGTH = 254

_HEADER = Struct(">HHHB")
_LENGTH_ENDS_AT = 6
_PROTOCOL_ENDS_AT = 4
_SHOWN_BYTES = 16


class MbapExchange:
    """See `edge.modbus.exchange.Exchange`.

    Attributes:
        transaction: number of the last request; the next one's is one more.
    """

    is_tagged = True
    # A late answer is known by its number, and a frame that is wrong is known at once.
    is_owed = False
    is_spoilt = False

    def __init__(self, *, name: str) -> None:
        """Prepare; nothing is asked yet.

        Args:
            name: how people call the line, for the errors.
        """
        self.counters = LineCounters()
        self._name = name
        self._buffer = bytearray()
        self._request = b""
        self.transaction = self._unit = self._size = 0
        self._is_waiting = self._is_lost = False
        self._junk = 0
        self._stranger: int | None = None

    @property
    def answer_bytes(self) -> int:
        """See `Exchange.answer_bytes`."""
        return HEADER_BYTES + self._size

    def restart(self) -> None:
        """See `Exchange.restart`."""
        self.counters.noise_bytes += len(self._buffer)
        self._buffer.clear()
        self._is_waiting = self._is_lost = False

    def begin(self, unit: int, request: bytes, *, now: float) -> bytes:  # noqa: ARG002 - RTU needs the time
        """See `Exchange.begin`."""
        self.transaction = transaction = self.transaction + 1 & 0xFFFF
        self._unit, self._request, self._size = unit, request, reply_size(request)
        self._is_waiting, self._junk, self._stranger = True, 0, None
        return _HEADER.pack(transaction, 0, len(request) + 1, unit) + request

    def feed(self, data: bytes, *, now: float) -> bytes | None:  # noqa: ARG002 - RTU needs the time
        """See `Exchange.feed`."""
        # Nearly every answer comes alone and whole, and is the one waited for.
        if self._is_waiting and not self._buffer and len(data) == HEADER_BYTES + self._size:
            transaction, protocol, length, unit = _HEADER.unpack_from(data)
            if (
                transaction == self.transaction
                and unit == self._unit
                and data[HEADER_BYTES] == self._request[0]
                and length == self._size + 1
                and protocol == 0
            ):
                self._is_waiting = self._is_lost = False
                return self._checked(data[HEADER_BYTES:])
        self._buffer += data
        return self._take()

    def expire(self) -> EdgeError:
        """See `Exchange.expire`."""
        who = f"{self._name}, unit {self._unit}"
        self._is_waiting = False
        came = bytes(self._buffer)
        if self._is_lost and self._junk + len(came):
            self.counters.noise_bytes += len(came)
            self._buffer.clear()
            return LinkDownError(f"{self._name}: the stream is out of step and stays so; it must be opened anew")
        if came:
            self._lose_step()
            return FrameError(f"{who}: half an answer ({came[:_SHOWN_BYTES].hex(' ')}, {len(came)} bytes)")
        if self._stranger is not None:
            return FrameError(f"{who}: unit {self._stranger} answered instead")
        return LinkTimeoutError(f"{who}: no answer in time")

    def _take(self) -> bytes | None:
        buffer = self._buffer
        while buffer and (not self._is_lost or self._find_step()):
            if (len(buffer) >= _PROTOCOL_ENDS_AT and buffer[2:4] != b"\0\0") or (
                len(buffer) >= _LENGTH_ENDS_AT and not MIN_LENGTH <= _length(buffer) <= MAX_LENGTH
            ):
                self._fall_out_of_step()
                return None
            end = _LENGTH_ENDS_AT + _length(buffer)
            if len(buffer) < max(end, HEADER_BYTES):
                return None
            transaction, _, _, unit = _HEADER.unpack_from(buffer)
            pdu = bytes(buffer[HEADER_BYTES:end])
            del buffer[:end]
            if not self._is_waiting or transaction != self.transaction:
                self.counters.late += 1
            elif unit != self._unit:
                self.counters.strangers += 1
                self._stranger = unit
            else:
                self._is_waiting = False
                return self._checked(pdu)
        return None

    def _checked(self, pdu: bytes) -> bytes:
        if (why := fault_of(self._request, pdu)) is not None:
            raise FrameError(f"{self._name}, unit {self._unit}: {why}")
        return pdu

    def _find_step(self) -> bool:
        """Search for the header of the answer waited for, and drop what stands before it."""
        buffer, function = self._buffer, self._request[0]
        wanted = _HEADER.pack(self.transaction, 0, 0, self._unit)
        at = -1
        while self._is_waiting and (at := buffer.find(wanted[:_PROTOCOL_ENDS_AT], at + 1)) >= 0:
            if len(buffer) <= at + HEADER_BYTES:
                break
            fits = buffer[at + 6] == self._unit and buffer[at + 7] in (function, function | EXCEPTION_BIT)
            if fits and MIN_LENGTH <= _length(buffer[at:]) <= MAX_LENGTH:
                break
        is_found = self._is_waiting and 0 <= at < len(buffer) - HEADER_BYTES
        # A header may have begun with the last bytes.
        junk = at if at >= 0 else max(0, len(buffer) - _PROTOCOL_ENDS_AT + 1)
        self.counters.noise_bytes += junk
        self._junk += junk
        del buffer[:junk]
        self._is_lost = not is_found
        return is_found

    def _fall_out_of_step(self) -> None:
        shown = bytes(self._buffer[:_SHOWN_BYTES]).hex(" ")
        was_waiting, self._is_waiting = self._is_waiting, False
        self._lose_step()
        if was_waiting:
            raise FrameError(f"{self._name}, unit {self._unit}: this is no Modbus TCP ({shown})")

    def _lose_step(self) -> None:
        self.counters.out_of_step += 1
        self.counters.noise_bytes += len(self._buffer)
        self._buffer.clear()
        self._is_lost = True


def _length(buffer: bytearray) -> int:
    return int.from_bytes(buffer[4:6], "big")
