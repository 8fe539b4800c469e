"""Recording what crosses a bus: of a running gateway, or by polling the bus oneself."""

import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from heapq import heapify, heapreplace
from itertools import count, islice
from typing import Any, cast

import anyio
import msgspec
from msgspec import Struct

from device_profiles.recording import VERSION, Heading, Piece
from device_profiles.site import ModbusBus, PlacedDevice, Site
from edge.errors import EdgeError, LinkDownError
from edge.line import Line
from edge.modbus.pdu import read_request
from edge.plan import plan_device

log = logging.getLogger(__name__)

# Some minutes of a serial line, some seconds of a busy connection; whoever records takes it every half second.
MAX_PIECES = 10_000
# Nobody has asked for so long: the recording is over.
IDLE_LIMIT_S = 10.0
MAX_PIECES_AN_ANSWER = 2_000
REOPEN_S = 1.0


class UnknownBusError(EdgeError):
    """The site file has no bus of that id."""

    hint = "`langyan edge check` lists them."


class CaptureFileError(EdgeError):
    """The file of a recording cannot be written on."""

    hint = "Free space on the disk, or name a file on another one; what was written so far is good."


class Taken(Struct, frozen=True):
    """What a recorder gives.

    Attributes:
        after: number to go on after.
        t: seconds since the recorder began.
        pieces: their times are since the recorder began.
    """

    after: int
    t: float
    pieces: tuple[Piece, ...]


class Recorder:
    """Looks on at a line, and keeps the latest of what crosses it until it is taken.

    Several may take from one recorder; each says after which piece it wants to go on.
    """

    def __init__(self, line: Line) -> None:
        """Prepare; nothing is recorded yet."""
        self._line = line
        self._pieces: deque[Piece] = deque(maxlen=MAX_PIECES)
        self._seen = 0
        self._began_at = self._asked_at = 0.0

    def take(self, after: int | None) -> Taken:
        """Give what came after piece number `after`, at most 2 000 pieces; without one the recording begins.

        A remark stands where pieces were lost because nobody took them.
        """
        now = self._asked_at = time.monotonic()
        if self._line.tap is None:
            self._pieces.clear()
            self._began_at = now
            self._line.tap = self._note
        oldest = self._seen - len(self._pieces)
        first = self._seen if after is None else max(after, oldest)
        end = min(self._seen, first + MAX_PIECES_AN_ANSWER)
        found = tuple(islice(self._pieces, first - oldest, end - oldest))
        if found and after is not None and oldest > after:
            lost = Piece(found[0].t, "!", text=f"{oldest - after} pieces were not taken in time and are lost")
            found = (lost, *found)
        return Taken(end, round(now - self._began_at, 6), found)

    def _note(self, is_sent: bool, data: bytes) -> None:  # noqa: FBT001 - the tap's signature
        now = time.monotonic()
        if now - self._asked_at > IDLE_LIMIT_S:
            self._line.tap = None
            self._pieces.clear()
            return
        self._seen += 1
        self._pieces.append(piece_of(now - self._began_at, data, is_sent=is_sent))


class Request(Struct):
    """What the control socket is asked: `{"do": "capture", "bus": "gate", "after": 17}`."""

    bus: str
    after: int | None = None


def capture_handler(site: Site, lines: Mapping[str, Line]) -> Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]:
    """Make the control socket's handler of `capture`.

    Args:
        site: the site file.
        lines: by bus id.

    Returns:
        A handler that answers the fields of `Taken`.
    """
    recorders = {bus: Recorder(line) for bus, line in lines.items()}

    async def handle(message: dict[str, Any]) -> dict[str, Any]:
        request = msgspec.convert(message, Request)
        bus = find_bus(site, request.bus)
        return cast("dict[str, Any]", msgspec.to_builtins(recorders[bus.id].take(request.after)))

    return handle


def find_bus(site: Site, bus_id: str) -> ModbusBus:
    """Find a Modbus bus of the site file.

    Raises:
        UnknownBusError: there is none of that id; names those there are.
    """
    buses = [bus for bus in site.file.bus if isinstance(bus, ModbusBus)]
    for bus in buses:
        if bus.id == bus_id:
            return bus
    raise UnknownBusError(f"no Modbus bus {bus_id!r}; there are {', '.join(bus.id for bus in buses) or 'none'}")


def heading_of(site: Site, bus: ModbusBus) -> Heading:
    """Write the heading of a recording that begins now."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Heading(VERSION, site.file.gateway.id, bus, at)


def piece_of(t: float, data: bytes, *, is_sent: bool) -> Piece:
    """Note what crossed a port."""
    return Piece(round(t, 6), ">" if is_sent else "<", hex=data.hex())


async def poll_and_record(line: Line, devices: Sequence[PlacedDevice]) -> AsyncGenerator[Piece, None]:
    """Poll every block of the devices when it is due, as a gateway would but with nothing else on its mind.

    Yields:
        What crosses the line, and a remark when it was lost, until it is closed.
    """
    began_at, pieces = time.monotonic(), list[Piece]()
    line.tap = lambda is_sent, data: pieces.append(piece_of(time.monotonic() - began_at, data, is_sent=is_sent))
    order = count()
    due = [(began_at, next(order), placed, block) for placed in devices for block in plan_device(placed.profile)]
    heapify(due)
    try:
        while due:
            at, _, placed, block = due[0]
            await anyio.sleep(max(0.0, at - time.monotonic()))
            heapreplace(due, (max(at + block.every_s, time.monotonic()), next(order), placed, block))
            link = placed.profile.link
            request = read_request(block.table, block.address, block.count)
            try:
                await line.transact(placed.unit, request, timeout_s=link.timeout_s, turnaround_s=link.turnaround_s)
            except LinkDownError as error:
                pieces.append(Piece(round(time.monotonic() - began_at, 6), "!", text=str(error)[:500]))
                await _reopen(line)
            except EdgeError as error:
                # What was wrong with the answer can be seen in the bytes.
                log.debug("%s", error)
            for piece in pieces:
                yield piece
            pieces.clear()
    finally:
        line.tap = None


async def _reopen(line: Line) -> None:
    """Open the line again once it can be."""
    while True:
        try:
            await line.open()
        except LinkDownError:
            await anyio.sleep(REOPEN_S)
        else:
            return
