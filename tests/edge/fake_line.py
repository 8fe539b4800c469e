"""A line without a wire: answers from a script, counts what it was asked."""

from collections.abc import Callable, Sequence

import anyio

from device_profiles.model import Table
from edge.errors import LinkDownError

Answer = list[int] | Exception


class FakeLine:
    """Has the interface of `edge.modbus_line.Line`.

    Attributes:
        opened, closed: how often.
        asked: (unit, table, address, count) of every request.
        down_for: how many openings fail first.
    """

    def __init__(self, answer: Callable[[int, int], Answer], *, down_for: int = 0, latency_s: float = 0.0) -> None:
        self.gap_s = 0.0
        self.opened = self.closed = 0
        self.asked: list[tuple[int, Table, int, int]] = []
        self.finished = self.listened_out = 0
        self.down_for = down_for
        self._answer = answer
        self._latency_s = latency_s

    async def open(self) -> None:
        self.opened += 1
        if self.opened <= self.down_for:
            raise LinkDownError("bus fake: /dev/fake cannot be opened")

    def close(self) -> None:
        self.closed += 1

    async def read(self, unit: int, table: Table, address: int, count: int, *, timeout_s: float) -> list[int]:
        self.asked.append((unit, table, address, count))
        await anyio.sleep(min(self._latency_s, timeout_s))
        answer = self._answer(unit, count)
        self.finished += 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def listen_out(self, timeout_s: float) -> None:
        self.listened_out += timeout_s > 0


def constant(cells: Sequence[int]) -> Callable[[int, int], Answer]:
    """Answer every request with the first `count` of `cells`."""
    return lambda _unit, count: list(cells[:count])
