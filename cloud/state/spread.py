"""What is said again and again: all of it in each period, and not all of it at once. Pure."""

import zlib

from msgspec import Struct

_PHASES = 2**32


class Round(Struct):
    """When everything was said last.

    Attributes:
        every_us: within so long each thing is said once.
        told_us: up to when it was; None: never, so everything is due.
    """

    every_us: int
    told_us: int | None = None

    def is_over(self, now_us: int) -> bool:
        """Tell whether a whole period has gone since the last; a clock that was put back begins anew."""
        return self.told_us is None or not self.told_us <= now_us < self.told_us + self.every_us

    def is_due(self, key: str, now_us: int) -> bool:
        """Tell whether one thing is due: each has its own moment of the period, the same in every process.

        Args:
            key: its id.
            now_us: the clock.
        """
        if self.told_us is None or not self.told_us <= now_us < self.told_us + self.every_us:
            return True
        phase_us = zlib.crc32(key.encode()) * self.every_us // _PHASES
        return (now_us - phase_us) // self.every_us > (self.told_us - phase_us) // self.every_us


def round_of(every_s: float) -> Round:
    """Make a round that begins with everything."""
    return Round(round(every_s * 1e6))
