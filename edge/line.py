"""A Modbus line: one request out, its answer in."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

Tap = Callable[[bool, bytes], None]
"""Called with (is_sent, bytes) of everything that crosses a port."""


class LineCounters(Struct):
    """What a line has seen and passed over since it was made; nothing here is an answer.

    Attributes:
        late: answers that came after their timeout, recognised and dropped.
        stale: answers that came sooner than the wire allows, so of an earlier request, dropped (RTU).
        strangers: whole frames of a unit or function that was not asked, dropped.
        crc_errors: frames with a wrong check sum (RTU).
        noise_bytes: bytes that were part of no frame.
        out_of_step: times a TCP stream had to be searched for its next frame (MBAP).
        drops: times the port or connection was lost.
    """

    late: int = 0
    stale: int = 0
    strangers: int = 0
    crc_errors: int = 0
    noise_bytes: int = 0
    out_of_step: int = 0
    drops: int = 0


class Line(Protocol):
    """One half-duplex line: a serial port, or a TCP connection.

    Attributes:
        is_tagged: answers carry a transaction number, so that a late one is recognised as such (MBAP).
        tap: is shown everything that crosses the port; None costs nothing.
        counters: what was passed over.
    """

    is_tagged: bool
    tap: Tap | None
    counters: LineCounters

    async def open(self) -> None:
        """Open the port or connection, within 5 s.

        Raises:
            LinkDownError: it cannot be opened now.
        """

    def close(self) -> None:
        """Close it; safe to call at any time."""

    async def transact(self, unit: int, request: bytes, *, timeout_s: float, turnaround_s: float = 0.0) -> bytes:
        """Send one request and wait for its answer; one at a time.

        The silence before a request is kept. A late answer never passes for the next one's.

        Args:
            unit: unit id, 1 to 255.
            request: PDU (function code and data), as `edge.modbus.pdu` writes them.
            timeout_s: how long the answer may take beyond the time the wire needs.
            turnaround_s: rest that the device wants after its answer.

        Returns:
            The answer's PDU; its function and length fit the request.

        Raises:
            LinkDownError: the port or connection is gone; `open` it again.
            LinkTimeoutError: no answer in time.
            FrameError: something else than the answer came.
            DeviceRefusedError: the unit answered with an exception code.
        """
