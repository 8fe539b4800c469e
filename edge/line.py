"""A Modbus line: one request out, its answer in."""

from pathlib import Path
from typing import Protocol

from device_profiles.site import ModbusBus, RtuBus, TcpBus
from edge.modbus.counters import LineCounters
from edge.modbus.mbap import MbapExchange
from edge.modbus.rtu import RtuExchange
from edge.modbus.wire import Wire, wire_at
from edge.port_line import PortLine
from edge.ports import SerialPort, Tap, TcpPort

# After so long a silence nothing of a spoilt answer is still to come: USB adapters hand bytes over every 16 ms, and
# what comes through a network may be held up longer.
SERIAL_GRACE_S = 0.05
NETWORK_GRACE_S = 0.25

__all__ = ["Line", "LineCounters", "Tap", "make_line"]


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


def make_line(bus: ModbusBus, *, folder: Path) -> Line:
    """Make the line of a bus; nothing is opened yet.

    Args:
        bus: as in the site file.
        folder: where a relative serial port is meant from.
    """
    name = f"bus {bus.id}"
    if isinstance(bus, TcpBus):
        return PortLine(TcpPort(bus.host, bus.port), MbapExchange(name=name), name=name, wire=Wire())
    wire = wire_at(bus.baud)
    exchange = RtuExchange(name=name, least_character_s=wire.least_character_s)
    if isinstance(bus, RtuBus):
        port = SerialPort(folder / bus.port, baud=bus.baud, parity=bus.parity, stop_bits=bus.stop_bits)
        return PortLine(port, exchange, name=name, wire=wire, grace_s=SERIAL_GRACE_S)
    return PortLine(TcpPort(bus.host, bus.port), exchange, name=name, wire=wire, grace_s=NETWORK_GRACE_S)
