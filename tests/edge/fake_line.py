"""A line without a wire: answers from a script, counts what it was asked, remembers what was written."""

import struct
from collections.abc import Callable, Sequence

import anyio

from edge.errors import LinkDownError
from edge.line import LineCounters, Tap

Answer = list[int] | Exception


class FakeLine:
    """Has the interface of `edge.line.Line`.

    Attributes:
        opened, closed: how often.
        asked: (unit, function, address, count) of every read.
        written: (unit, request) of every write.
        cells: what was written, by (unit, address); answers reads before the script does.
        down_for: how many openings fail first.
    """

    is_tagged = False

    def __init__(self, answer: Callable[[int, int], Answer], *, down_for: int = 0, latency_s: float = 0.0) -> None:
        self.tap: Tap | None = None
        self.counters = LineCounters()
        self.opened = self.closed = 0
        self.asked: list[tuple[int, int, int, int]] = []
        self.written: list[tuple[int, bytes]] = []
        self.cells: dict[tuple[int, int], int] = {}
        self.finished = 0
        self.down_for = down_for
        self._answer = answer
        self._latency_s = latency_s

    async def open(self) -> None:
        self.opened += 1
        if self.opened <= self.down_for:
            raise LinkDownError("bus fake: /dev/fake cannot be opened")

    def close(self) -> None:
        self.closed += 1

    async def transact(self, unit: int, request: bytes, *, timeout_s: float, turnaround_s: float = 0.0) -> bytes:
        function, address, count = struct.unpack_from(">BHH", request)
        if function > 4:
            self.written.append((unit, request))
            self._write(unit, function, address, request)
            return request[:5]
        self.asked.append((unit, function, address, count))
        await anyio.sleep(min(self._latency_s, timeout_s) + 0.0 * turnaround_s)
        answer = self._answer(unit, count)
        self.finished += 1
        if isinstance(answer, Exception):
            raise answer
        cells = [self.cells.get((unit, address + at), cell) for at, cell in enumerate(answer[:count])]
        return _reply(function, cells)

    def _write(self, unit: int, function: int, address: int, request: bytes) -> None:
        if function == 5:
            self.cells[unit, address] = int(request[3] == 0xFF)
        elif function == 6:
            self.cells[unit, address] = int.from_bytes(request[3:5])


def _reply(function: int, cells: Sequence[int]) -> bytes:
    if function <= 2:
        packed = sum(cell << place for place, cell in enumerate(cells)).to_bytes((len(cells) + 7) // 8, "little")
        return bytes([function, len(packed)]) + packed
    return struct.pack(f">BB{len(cells)}H", function, 2 * len(cells), *cells)


def constant(cells: Sequence[int]) -> Callable[[int, int], Answer]:
    """Answer every request with the first `count` of `cells`."""
    return lambda _unit, count: list(cells[:count])
