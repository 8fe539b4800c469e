"""Writing one point: what is sent, and the reading back that proves it."""

import asyncio
from collections.abc import Mapping

from msgspec import Struct

from contract.telemetry import Value
from device_profiles.codec import BadValue, decode_point, encode_point
from device_profiles.faults import CodecError
from device_profiles.model import PointDef, Table
from device_profiles.site import PlacedDevice
from edge.errors import BadCommandError, NotTakenError, NotWritableError, UnknownPointError
from edge.line import Line
from edge.modbus.pdu import cells_of, read_request, write_request


class Write(Struct, frozen=True):
    """One write that waits for its turn.

    Attributes:
        cells: what is to stand in the point's cells afterwards.
        mask: the bits of each cell that are the point's own.
        value: what must read back.
        done: told the value read back, or the error.
    """

    placed: PlacedDevice
    point: PointDef
    cells: tuple[int, ...]
    mask: int
    value: Value
    done: asyncio.Future[Value]

    async def perform(self, line: Line) -> Value:
        """Write and read back; a bit field leaves the other bits of its word as they are.

        Raises:
            NotTakenError: it reads back as something else.
            LinkDownError, LinkTimeoutError, FrameError, DeviceRefusedError: see `Line.transact`.
        """
        cells = self.cells
        if self.point.bits is not None:
            before = await self._read(line)
            cells = tuple(old & ~self.mask | new for old, new in zip(before, self.cells, strict=True))
        await self._transact(line, write_request(self.point.table, self.point.address, cells))
        value = decode_point(self.point, await self._read(line))
        if isinstance(value, BadValue) or value != self.value:
            raise NotTakenError(f"device {self.placed.device.id}, point {self.point.key}: {value} read back")
        return value

    async def _read(self, line: Line) -> tuple[int, ...]:
        request = read_request(self.point.table, self.point.address, self.point.type.words)
        return tuple(cells_of(request, await self._transact(line, request)))

    async def _transact(self, line: Line, request: bytes) -> bytes:
        link = self.placed.profile.link
        return await line.transact(self.placed.unit, request, timeout_s=link.timeout_s, turnaround_s=link.turnaround_s)


def plan_write(devices: Mapping[str, PlacedDevice], device: str, point: str, value: Value) -> Write:
    """Prepare a write; must be called in the loop.

    Raises:
        UnknownPointError: no such device or point here.
        NotWritableError: the profile does not say that it may be written.
        BadCommandError: the point cannot express the value.
    """
    placed = devices.get(device)
    found = None if placed is None else next((one for one in placed.profile.point if one.key == point), None)
    if placed is None or found is None:
        raise UnknownPointError(f"no point {point!r} of a device {device!r}")
    if not found.writable or found.table not in (Table.COIL, Table.HOLDING):
        raise NotWritableError(f"device {device}, point {point}: its profile does not let it be written")
    try:
        cells = encode_point(found, value)
    except CodecError as error:
        raise BadCommandError(f"device {device}: {error}") from error
    wanted = decode_point(found, cells)
    if isinstance(wanted, BadValue):
        raise BadCommandError(f"device {device}, point {point}: {value!r} is not a value of it")
    mask = 0xFFFF if found.bits is None else ((1 << found.bits.count) - 1) << found.bits.first
    return Write(placed, found, cells, mask, wanted, asyncio.get_running_loop().create_future())
