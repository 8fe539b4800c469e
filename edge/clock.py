"""Time on a machine without a clock battery: a steady clock that samples are stamped with, and what wall time it is.

Steady time counts microseconds since the machine was switched on (CLOCK_BOOTTIME): it never steps, whatever NTP or
somebody at a keyboard does to the wall clock, and it goes on while the process is restarted. The `Timeline` says what
wall time a steady time is, once somebody trustworthy has told; it is pure, and the `Clock` reads the machine for it.
"""

import ctypes
import functools
import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

from contract.limits import MAX_TIME_US, MIN_TIME_US
from contract.telemetry import ClockMark, ClockSource

# A slewed clock runs at least at half pace, so two stamps that lie this far apart never become one.
LEAST_STEP_US = 2
# Corrections up to here are slewed by 500 microseconds a second, as ntpd and adjtime do it.
SMALL_US = 500_000
GENTLE = 2000
# A clock that is far ahead stands at half pace until the time has caught up.
STEEP = 2
# What a quartz may drift unwatched. Source: 50 ppm, Raspberry Pi 4's crystal with temperature and age.
DRIFT_PPM = 50
# Corrections that are remembered, for samples that were taken before them and are written later.
MAX_PIECES = 32
# 2024-01-01: no gateway of this version has run earlier.
PLAUSIBLE_US = 1_704_067_200_000_000
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# struct timex is 208 bytes where long has 64 bits; the kernel writes no further. Source: adjtimex(2).
_TIMEX_LONGS = 64
_MAXERROR_LONG = 3
_STATUS_LONG = 5
_TIME_ERROR = 5
_STA_UNSYNC = 0x0040


def is_wall(time_us: int) -> bool:
    """Tell wall time from steady time: no machine runs for thirty years without being switched off."""
    return time_us >= MIN_TIME_US


class Piece(Struct, frozen=True):
    """How wall time follows from steady time, from `from_us` on: the offset moves from one value towards another.

    Attributes:
        offset_us: wall less steady time at `from_us`.
        target_us: where the offset goes, one microsecond every `pace` microseconds.
    """

    from_us: int
    offset_us: int
    target_us: int
    pace: int = GENTLE

    def offset_at(self, steady_us: int) -> int:
        """Return the offset that holds at a steady time."""
        moved_us = max(0, steady_us - self.from_us) // self.pace
        if self.target_us < self.offset_us:
            return max(self.target_us, self.offset_us - moved_us)
        return min(self.target_us, self.offset_us + moved_us)


class TimelineState(Struct, frozen=True):
    """What a restart on the same machine boot must know, so that no time comes twice.

    Attributes:
        piece: the last one.
        source: who told the time; ESTIMATED when nobody did.
        error_us: bound of its error when it was told, at `at_us`.
    """

    piece: Piece
    source: ClockSource
    error_us: int
    at_us: int


class Timeline:
    """Steady time into wall time; what it gives rises with what it gets, through every correction. Pure."""

    def __init__(self, state: TimelineState | None = None) -> None:
        """Begin knowing nothing, or with what an earlier run on this machine boot knew."""
        self._pieces = [state.piece] if state else []
        self._state = state

    @property
    def state(self) -> TimelineState | None:
        """What is known now; None while nothing is."""
        return self._state

    @property
    def is_trusted(self) -> bool:
        """Whether somebody has told the time: an estimate is nobody's word."""
        return self._state is not None and self._state.source is not ClockSource.ESTIMATED

    def learn(self, source: ClockSource, *, steady_us: int, wall_us: int, error_us: int) -> bool:
        """Take somebody's word that it was `wall_us`, give or take `error_us`, at `steady_us`.

        The better word counts: one whose error is no larger than that of what is known, which grows with its age;
        and a newer one of the same source that contradicts it. A small correction is slewed, a large one forward is
        taken at once, a large one backward makes time pass at half pace until it is reached.

        Returns:
            Whether it was taken.
        """
        if self._state is None:
            return self._set(Piece(steady_us, wall_us - steady_us, wall_us - steady_us), source, error_us, steady_us)
        known_us = self._state.error_us + self._aged_us(steady_us)
        now_us = self._pieces[-1].offset_at(steady_us)
        target_us = wall_us - steady_us
        is_better = not self.is_trusted or error_us <= known_us
        apart_us = abs(target_us - self._pieces[-1].target_us)
        if source is ClockSource.ESTIMATED or not (
            is_better or (source is self._state.source and apart_us > error_us + known_us)
        ):
            return False
        delta_us = target_us - now_us
        if delta_us > SMALL_US:
            now_us = target_us
        pace = STEEP if delta_us < -SMALL_US else GENTLE
        return self._set(Piece(steady_us, now_us, target_us, pace), source, error_us, steady_us)

    def wall(self, steady_us: int) -> int:
        """Return the wall time of a steady time, microseconds UTC; something must have been learnt."""
        if is_wall(steady_us):
            return steady_us
        # Another thread may put a new list in its place meanwhile.
        pieces = self._pieces
        index = bisect_right(pieces, steady_us, key=lambda piece: piece.from_us) - 1
        return steady_us + pieces[max(0, index)].offset_at(steady_us)

    def mark(self, steady_us: int) -> ClockMark:
        """Say how good the time is at a steady time; the error includes what is still to be slewed."""
        if self._state is None or not self.is_trusted:
            return ClockMark(ClockSource.ESTIMATED)
        piece = self._pieces[-1]
        slew_us = abs(piece.target_us - piece.offset_at(steady_us))
        return ClockMark(
            self._state.source, max(1, (self._state.error_us + self._aged_us(steady_us) + slew_us + 999) // 1000)
        )

    def _aged_us(self, steady_us: int) -> int:
        return max(0, steady_us - self._state.at_us) * DRIFT_PPM // 1_000_000 if self._state else 0

    def _set(self, piece: Piece, source: ClockSource, error_us: int, at_us: int) -> bool:
        self._pieces = [*self._pieces[1 - MAX_PIECES :], piece]
        self._state = TimelineState(piece, source, error_us, at_us)
        return True


class Readers(Struct, frozen=True):
    """How the machine is asked; tests put their own here.

    Attributes:
        steady_us: microseconds since the machine was switched on.
        wall_us: what the machine takes for the wall time, microseconds UTC.
        kernel_error_us: bound of the wall clock's error while NTP keeps it; None while it does not.
        machine: names the machine's present boot.
    """

    steady_us: Callable[[], int]
    wall_us: Callable[[], int]
    kernel_error_us: Callable[[], int | None]
    machine: str


class Clock:
    """The gateway's clock: stamps samples with steady time, and knows what wall time that is.

    Attributes:
        readers: the machine's clocks.
        timeline: steady into wall time.
    """

    def __init__(self, readers: Readers | None = None) -> None:
        """Take the machine's clocks, or others."""
        self.readers = readers or machine_readers()
        self.timeline = Timeline()
        self._last_us: dict[str, int] = {}
        # Somebody tells the time in one thread while it is guessed in another: one after the other.
        self._lock = threading.Lock()

    def stamp(self, device: str) -> int:
        """Return the steady time now, later than the device's last stamp: a series has one value a moment."""
        at_us = max(self.readers.steady_us(), self._last_us.get(device, -LEAST_STEP_US) + LEAST_STEP_US)
        self._last_us[device] = at_us
        return at_us

    def steady_us(self) -> int:
        """Return the steady time now."""
        return self.readers.steady_us()

    def now_us(self) -> int:
        """Return the wall time now as well as it is known: the machine's own word while nobody has told better."""
        steady_us = self.readers.steady_us()
        return self.timeline.wall(steady_us) if self.timeline.state else self.readers.wall_us()

    def mark(self) -> ClockMark:
        """Say how good the time is now."""
        return self.timeline.mark(self.readers.steady_us())

    def guess_us(self) -> int:
        """Return wall less steady time as the machine itself has it, trusted or not."""
        return self.readers.wall_us() - self.readers.steady_us()

    def estimate(self) -> None:
        """Go by the machine's own wall clock until somebody tells the time; nothing changes when somebody has.

        A machine that claims to live before 2024 has no clock at all; the cloud would refuse such times.
        """
        with self._lock:
            if self.timeline.state is None:
                wall_us = max(self.readers.wall_us(), PLAUSIBLE_US)
                steady_us = self.readers.steady_us()
                self.timeline.learn(ClockSource.ESTIMATED, steady_us=steady_us, wall_us=wall_us, error_us=0)

    def learn(self, source: ClockSource, wall_us: int, error_us: int, *, ago_us: int = 0) -> bool:
        """Take somebody's word for what time it is; see `Timeline.learn`.

        Args:
            source: who says so.
            wall_us: what they say.
            error_us: how far they may be off.
            ago_us: how long ago it was right.
        """
        if not MIN_TIME_US <= wall_us < MAX_TIME_US:
            return False
        with self._lock:
            # From now on: what was stamped since then has its time.
            now_us = self.readers.steady_us()
            return self.timeline.learn(source, steady_us=now_us, wall_us=wall_us + ago_us, error_us=error_us)

    def ask_kernel(self) -> bool:
        """Learn from the machine's wall clock, if NTP keeps it; true when something was learnt."""
        error_us = self.readers.kernel_error_us()
        return error_us is not None and self.learn(ClockSource.NTP, self.readers.wall_us(), error_us)


def machine_readers() -> Readers:
    """Return the readers of this machine."""
    return Readers(_steady_us, now_us, kernel_error_us, machine_boot())


def now_us() -> int:
    """Return what the machine takes for the wall time, in microseconds UTC."""
    return time.time_ns() // 1000


def _steady_us() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


@functools.cache
def machine_boot() -> str:
    """Name the machine's present boot; steady times of two boots have nothing to do with each other."""
    return _BOOT_ID.read_text(encoding="ascii").strip()


def kernel_error_us() -> int | None:
    """Ask the kernel how far its clock may be off, in microseconds; None while no NTP service keeps it.

    Source: adjtimex(2): state TIME_ERROR or status STA_UNSYNC means that it is not synchronised.
    """
    timex = (ctypes.c_long * _TIMEX_LONGS)()
    state = _adjtimex()(ctypes.byref(timex))
    status = ctypes.c_int.from_buffer(timex, _STATUS_LONG * ctypes.sizeof(ctypes.c_long)).value
    if state < 0 or state == _TIME_ERROR or status & _STA_UNSYNC:
        return None
    return int(timex[_MAXERROR_LONG])


def _adjtimex() -> Any:
    return ctypes.CDLL(None, use_errno=True).adjtimex
