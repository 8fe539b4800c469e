"""Faults that a device or a line is given on purpose, seeded so that a run can be repeated. Pure."""

import time
from collections.abc import Callable
from random import Random

from simulators.noise import MAX_BURST_BYTES

FLOOD_EVERY_S = 0.02
"""A flood comes in pieces of this length."""
MAX_FLOOD_BYTES_S = int(MAX_BURST_BYTES / FLOOD_EVERY_S)
"""Densest flood: more than any serial line can carry."""


class Spoiler:
    """Gives some of a device's answers a wrong checksum, as a worn driver or bad firmware does.

    Attributes:
        rate: share of the answers, 0 to 1.
    """

    def __init__(self, seed: str) -> None:
        self.rate = 0.0
        self._random = Random(seed)  # noqa: S311 - a repeatable disturbance, no secret

    def spoil(self, frame: bytes) -> bytes | None:
        """Give the frame with a wrong checksum in its last two bytes; None when it stays as it is."""
        if self._random.random() >= self.rate:
            return None
        wrong = int.from_bytes(frame[-2:], "big") ^ self._random.randint(1, 0xFFFF)
        return frame[:-2] + wrong.to_bytes(2, "big")


class DeviceClock:
    """The clock of a device that tells time, which may be wrong.

    Attributes:
        off_s: how far ahead of the true time it is; negative is behind.
    """

    def __init__(self, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self.off_s = 0.0
        self._wall_ns = wall_ns

    def __call__(self) -> int:
        """Tell what time it says it is, microseconds UTC."""
        return self._wall_ns() // 1000 + round(self.off_s * 1e6)


class Flood:
    """Random bytes at a pace, in pieces."""

    def __init__(self, bytes_s: float, for_s: float) -> None:
        """Plan `bytes_s` bytes a second (at most `MAX_FLOOD_BYTES_S`) for `for_s` seconds."""
        self._bytes_s = min(bytes_s, MAX_FLOOD_BYTES_S)
        self._for_s = for_s
        self._sent = 0

    def due(self, since_s: float) -> int:
        """Tell how many bytes to send now, `since_s` after the beginning; at most a piece, the rest is left out."""
        planned = int(self._bytes_s * min(since_s, self._for_s))
        due = planned - self._sent
        self._sent = planned
        return min(due, MAX_BURST_BYTES)

    def is_over(self, since_s: float) -> bool:
        """Tell whether all has been sent."""
        return since_s >= self._for_s
