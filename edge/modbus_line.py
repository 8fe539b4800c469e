"""A Modbus line: one request out, its answer in. The only module that knows pymodbus."""

import asyncio
import logging
from typing import Protocol

import anyio.lowlevel
from pymodbus import FramerType, ModbusException
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.pdu import ModbusPDU

from device_profiles.model import Table
from device_profiles.site import RtuBus, TcpBus
from edge.errors import DeviceRefusedError, FrameError, LinkDownError, LinkTimeoutError

# pymodbus logs every timeout as an error; the bus says it once, with the device's name.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

CONNECT_LIMIT_S = 5.0
# 11 bits a character: start, 8 data, parity or second stop, stop. Source: MODBUS over Serial Line V1.02, 2.5.1.
BITS_PER_CHARACTER = 11
# Above 19 200 baud the silence between frames is fixed. Source: the same, 2.5.1.1.
FIXED_GAP_ABOVE_BAUD = 19_200
FIXED_GAP_S = 0.00175
GAP_CHARACTERS = 3.5
REQUEST_CHARACTERS = 8
REPLY_FRAME_CHARACTERS = 5
# A unit that is later than this after its timeout needs a longer timeout in its profile.
LONGEST_LISTEN_OUT_S = 0.3


class Line(Protocol):
    """What the bus needs of a line."""

    gap_s: float

    async def open(self) -> None:
        """Open the port or connection.

        Raises:
            LinkDownError: it cannot be opened now.
        """

    def close(self) -> None:
        """Close it; safe to call at any time."""

    async def read(self, unit: int, table: Table, address: int, count: int, *, timeout_s: float) -> list[int]:
        """Read `count` bits (0, 1) or words (0 to 65535).

        Raises:
            LinkDownError: the port or connection is gone.
            LinkTimeoutError: no answer within `timeout_s` beyond the time the wire needs.
            FrameError: something else than the answer came.
            DeviceRefusedError: the unit answered with an exception code.
        """

    async def listen_out(self, timeout_s: float) -> None:
        """Let an answer that comes too late pass by, before the line is used again.

        RTU frames carry no transaction number: a late answer would be taken for that of the next request to the
        same unit, and so on for ever. TCP's do, and need no pause.
        """


class ModbusLine:
    """A line spoken by pymodbus, RTU on a serial port or TCP."""

    def __init__(self, bus: RtuBus | TcpBus, *, port: str) -> None:
        """Prepare the line; `port` is the serial device, resolved, or empty for TCP."""
        self._bus = bus
        self._port = port
        self._client: AsyncModbusSerialClient | AsyncModbusTcpClient | None = None
        self._character_s = BITS_PER_CHARACTER / bus.baud if isinstance(bus, RtuBus) else 0.0
        self.gap_s = _gap_s(bus)

    @property
    def name(self) -> str:
        """How people call the line: device path, or host and port."""
        return self._port or f"{getattr(self._bus, 'host', '')}:{self._bus.port}"

    async def open(self) -> None:
        """See `Line.open`."""
        self.close()
        client = self._make_client()
        try:
            with anyio.fail_after(CONNECT_LIMIT_S):
                is_open = await client.connect()
        except (TimeoutError, OSError, ModbusException) as error:
            client.close()
            raise LinkDownError(f"bus {self._bus.id}: {self.name} cannot be opened: {error}") from error
        # A peer that closes at once is known to have done so one turn of the loop later.
        await anyio.lowlevel.checkpoint()
        if not is_open or not _is_alive(client):
            client.close()
            raise LinkDownError(f"bus {self._bus.id}: {self.name} cannot be opened, or was closed at once")
        self._client = client

    def close(self) -> None:
        """See `Line.close`."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def read(self, unit: int, table: Table, address: int, count: int, *, timeout_s: float) -> list[int]:
        """See `Line.read`."""
        client = self._client
        if client is None or not _is_alive(client):
            raise LinkDownError(f"bus {self._bus.id}: {self.name} is gone")
        limit_s = timeout_s + self._wire_s(table, count)
        try:
            with anyio.fail_after(limit_s):
                answer = await self._request(client, unit, table, address, count)
        except TimeoutError as error:
            if not _is_alive(client):
                raise LinkDownError(f"bus {self._bus.id}: {self.name} is gone") from error
            raise LinkTimeoutError(f"bus {self._bus.id}, unit {unit}: no answer within {limit_s:.2f} s") from error
        except (ModbusException, OSError) as error:
            if not _is_alive(client):
                raise LinkDownError(f"bus {self._bus.id}: {self.name}: {error}") from error
            raise FrameError(f"bus {self._bus.id}, unit {unit}: {error}") from error
        return self._cells(answer, unit, table, count)

    async def listen_out(self, timeout_s: float) -> None:
        """See `Line.listen_out`."""
        if isinstance(self._bus, RtuBus):
            await anyio.sleep(min(timeout_s, LONGEST_LISTEN_OUT_S))

    def _make_client(self) -> AsyncModbusSerialClient | AsyncModbusTcpClient:
        # Retries and reconnects are the bus's business: one request here is one request on the wire.
        if isinstance(self._bus, RtuBus):
            return AsyncModbusSerialClient(
                self._port,
                framer=FramerType.RTU,
                baudrate=self._bus.baud,
                parity=self._bus.parity.value,
                stopbits=self._bus.stop_bits,
                timeout=3600,
                retries=0,
                reconnect_delay=0,
            )
        return AsyncModbusTcpClient(self._bus.host, port=self._bus.port, timeout=3600, retries=0, reconnect_delay=0)

    @staticmethod
    async def _request(
        client: AsyncModbusSerialClient | AsyncModbusTcpClient, unit: int, table: Table, address: int, count: int
    ) -> ModbusPDU:
        match table:
            case Table.COIL:
                return await client.read_coils(address, count=count, device_id=unit)
            case Table.DISCRETE_INPUT:
                return await client.read_discrete_inputs(address, count=count, device_id=unit)
            case Table.INPUT:
                return await client.read_input_registers(address, count=count, device_id=unit)
            case Table.HOLDING:
                return await client.read_holding_registers(address, count=count, device_id=unit)

    def _cells(self, answer: ModbusPDU, unit: int, table: Table, count: int) -> list[int]:
        if answer.isError():
            code = answer.exception_code
            raise DeviceRefusedError(f"bus {self._bus.id}, unit {unit}: Modbus exception {code}", code=code)
        if table.is_bits:
            # Bits come in whole bytes; those past `count` are padding.
            cells = [int(bit) for bit in answer.bits]
            is_whole = len(cells) == (count + 7) // 8 * 8
        else:
            cells = list(answer.registers)
            is_whole = len(cells) == count
        if not is_whole:
            why = f"bus {self._bus.id}, unit {unit}: {len(cells)} values where {count} were asked for"
            raise FrameError(why)
        return cells[:count]

    def _wire_s(self, table: Table, count: int) -> float:
        reply = REPLY_FRAME_CHARACTERS + (count + 7) // 8 if table.is_bits else REPLY_FRAME_CHARACTERS + 2 * count
        return (REQUEST_CHARACTERS + reply + 2 * GAP_CHARACTERS) * self._character_s


def _is_alive(client: AsyncModbusSerialClient | AsyncModbusTcpClient) -> bool:
    """Tell whether the port is open; pymodbus's own `connected` stays true for a connection lost while it was made."""
    transport: asyncio.BaseTransport | None = client.ctx.transport
    return transport is not None and not transport.is_closing()


def _gap_s(bus: RtuBus | TcpBus) -> float:
    if not isinstance(bus, RtuBus):
        return 0.0
    return FIXED_GAP_S if bus.baud > FIXED_GAP_ABOVE_BAUD else GAP_CHARACTERS * BITS_PER_CHARACTER / bus.baud
