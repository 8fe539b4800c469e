"""Modbus RTU, the asking side: frames are found by length and check sum, never by silence. Pure.

A USB adapter hands bytes over in lumps up to 16 ms apart, so silence does not part frames for whoever reads them.
What an answer must begin with and how long it is follow from the request. What stands before it is noise.

An RTU frame carries no number. An answer that is still owed when its patience is over is told from the next one's
by its unit, by its shape, and by coming sooner than the wire could have carried request and answer.

Source: MODBUS over Serial Line V1.02, 2.5.
"""

from functools import lru_cache

from edge.errors import EdgeError, FrameError, LinkTimeoutError
from edge.modbus.counters import LineCounters
from edge.modbus.crc import crc16
from edge.modbus.pdu import EXCEPTION_BIT, fault_of, reply_size

# Unit id before the PDU, check sum after it.
ENVELOPE_BYTES = 3
# Two of the longest frames: whatever is older cannot be part of an answer that still comes.
MAX_BUFFER_BYTES = 512

_CRC_BYTES = 2
_SHORTEST_FRAME = 5
_READ_HEAD = 3
_WRITE_FRAME = 8
_WRITE_HEAD = 6
_READS = (1, 2, 3, 4)
_WRITES = (5, 6, 15, 16)
# Clocks of cheap devices are off by up to 3 %, so an answer may be this much sooner than the baud says.
_CLOCK_TOLERANCE = 0.95
_SHOWN_BYTES = 16


@lru_cache(maxsize=1024)
def rtu_frame(unit: int, pdu: bytes) -> bytes:
    """Wrap a PDU for the serial line: unit, PDU, check sum low byte first."""
    body = bytes((unit,)) + pdu
    return body + crc16(body).to_bytes(_CRC_BYTES, "little")


class RtuExchange:
    """See `edge.modbus.exchange.Exchange`."""

    is_tagged = False

    def __init__(self, *, name: str, least_character_s: float) -> None:
        """Prepare; nothing is asked yet.

        Args:
            name: how people call the line, for the errors.
            least_character_s: shortest time one byte can take on the wire.
        """
        self.counters = LineCounters()
        self._name = name
        self._least_character_s = least_character_s
        self._buffer = bytearray()
        self._sent = b""
        self._request = b""
        self._sent_at = 0.0
        self._is_waiting = False
        # Beginning and length of the two answers there can be: the wanted one, and an exception.
        self._shapes: tuple[tuple[bytes, int], ...] = ()
        self._tried = [0, 0]
        self._owing: set[int] = set()
        self._echoes = self._saw_echo = False

    @property
    def is_owed(self) -> bool:
        """See `Exchange.is_owed`."""
        return not self._is_waiting and bool(self._sent) and self._sent[0] in self._owing

    @property
    def is_spoilt(self) -> bool:
        """See `Exchange.is_spoilt`."""
        return self._is_waiting and len(self._buffer) >= self.answer_bytes

    @property
    def answer_bytes(self) -> int:
        """See `Exchange.answer_bytes`."""
        return self._shapes[0][1] if self._shapes else 0

    def restart(self) -> None:
        """See `Exchange.restart`; behind a serial server a late answer may yet come by the new connection."""
        self._drop_all()
        self._is_waiting = False

    def begin(self, unit: int, request: bytes, *, now: float) -> bytes:
        """See `Exchange.begin`."""
        self._drop_all()
        sent = self._sent = rtu_frame(unit, request)
        self._request = request
        self._sent_at = now
        function = request[0]
        size = reply_size(request) + ENVELOPE_BYTES
        is_read = function in _READS
        head = sent[:2] + bytes((size - _SHORTEST_FRAME,)) if is_read else sent[:_WRITE_HEAD]
        self._shapes = ((head, size), (bytes((unit, function | EXCEPTION_BIT)), _SHORTEST_FRAME))
        self._is_waiting, self._saw_echo = True, False
        return sent

    def feed(self, data: bytes, *, now: float) -> bytes | None:
        """See `Exchange.feed`."""
        if not self._is_waiting and not self.is_owed:
            self.counters.noise_bytes += len(data)
            return None
        self._buffer += data
        if (over := len(self._buffer) - MAX_BUFFER_BYTES) > 0:
            self._noise(over)
        while True:
            if self._is_waiting and not self._saw_echo and self._strip_echo():
                return None
            frame = self._whole_at_start()
            if frame is None:
                frame = self._find()
            elif not self._fits(frame):
                self._pass_over(frame)
                continue
            if frame is None:
                return None
            if self._is_answer(frame, now):
                return frame[1:-_CRC_BYTES]

    def expire(self) -> EdgeError:
        """See `Exchange.expire`; what has come stays, as the rest of it may be on its way."""
        unit, self._is_waiting = self._sent[0], False
        came = len(self._buffer)
        if not came:
            self._owing.add(unit)
            return LinkTimeoutError(f"{self._name}, unit {unit}: no answer in time")
        shown = bytes(self._buffer[:_SHOWN_BYTES]).hex(" ")
        if came >= self.answer_bytes and self._buffer.startswith(self._sent[:2]):
            # It has come, if only in pieces: nothing is owed.
            self._drop_all()
            return FrameError(f"{self._name}, unit {unit}: the check sum is wrong ({shown}, {came} bytes)")
        self._owing.add(unit)
        return FrameError(f"{self._name}, unit {unit}: {came} bytes that are no whole answer ({shown})")

    def _is_answer(self, frame: bytes, now: float) -> bool:
        """Take the frame for the answer, unless it belongs to an earlier request."""
        unit = self._sent[0]
        if unit in self._owing:
            self._owing.discard(unit)
            wire_s = (len(self._sent) + len(frame)) * self._least_character_s * _CLOCK_TOLERANCE
            if not self._is_waiting:
                self.counters.late += 1
                return False
            if now < self._sent_at + wire_s:
                self.counters.stale += 1
                return False
        self._is_waiting = False
        self._echoes = self._saw_echo
        return True

    def _strip_echo(self) -> bool:
        """Skip our own request where an adapter reads it back; True while it may still be coming in.

        A write's answer repeats the request, so it is an echo only on a line that is known to have them.
        """
        buffer, sent = self._buffer, self._sent
        is_ambiguous = fault_of(self._request, self._request) is None
        if is_ambiguous and not self._echoes:
            return False
        if buffer.startswith(sent):
            self._saw_echo = True
            self._cut(len(sent))
            return False
        return self._echoes and sent.startswith(buffer)

    def _whole_at_start(self) -> bytes | None:
        """Take a whole frame with a right check sum off the start, whoever sent it."""
        size = _frame_size(self._buffer)
        if not size or len(self._buffer) < size or crc16(self._buffer[:size]):
            return None
        frame = bytes(self._buffer[:size])
        self._cut(size)
        return frame

    def _find(self) -> bytes | None:
        """Search for the answer behind noise; each place is tried once."""
        buffer = self._buffer
        for kind, (head, size) in enumerate(self._shapes):
            at = self._tried[kind]
            while (at := buffer.find(head, at)) >= 0 and at + size <= len(buffer):
                if crc16(buffer[at : at + size]) == 0:
                    self._noise(at)
                    frame = bytes(buffer[:size])
                    self._cut(size)
                    return frame
                at += 1
            self._tried[kind] = at if at >= 0 else max(0, len(buffer) - len(head) + 1)
        return None

    def _fits(self, frame: bytes) -> bool:
        return any(len(frame) == size and frame.startswith(head) for head, size in self._shapes)

    def _pass_over(self, frame: bytes) -> None:
        """Drop a whole frame that does not answer the request.

        Raises:
            FrameError: it is the answer of the unit and function asked, but says something else.
        """
        if frame[0] in self._owing:
            self._owing.discard(frame[0])
            self.counters.late += 1
        elif self._is_waiting and frame[:2] == self._sent[:2]:
            self._is_waiting = False
            why = fault_of(self._request, frame[1:-_CRC_BYTES])
            raise FrameError(f"{self._name}, unit {frame[0]}: {why}")
        else:
            self.counters.strangers += 1

    def _drop_all(self) -> None:
        if len(self._buffer) >= self.answer_bytes > 0 and self._buffer.startswith(self._sent[:2]):
            self.counters.crc_errors += 1
            self._cut(len(self._buffer))
        else:
            self._noise(len(self._buffer))

    def _noise(self, size: int) -> None:
        self.counters.noise_bytes += size
        self._cut(size)

    def _cut(self, size: int) -> None:
        del self._buffer[:size]
        self._tried = [max(0, at - size) for at in self._tried]


def _frame_size(buffer: bytearray) -> int:
    """Tell how long the answer is that begins here; 0 is not known yet, or none."""
    if len(buffer) < _SHORTEST_FRAME:
        return 0
    function = buffer[1]
    if function & EXCEPTION_BIT:
        return _SHORTEST_FRAME
    if function in _READS:
        return _SHORTEST_FRAME + buffer[2]
    return _WRITE_FRAME if function in _WRITES else 0
