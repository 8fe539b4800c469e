"""Time on a serial wire: how long bytes take, and sleeping until an exact moment."""

import ctypes
import os
import time
from math import ceil

import anyio
from msgspec import Struct

# Start bit, eight data bits, parity or a second stop bit, stop bit (MODBUS over Serial Line V1.02, 2.5.1).
_BITS_PER_CHARACTER = 11
_GAP_CHARACTERS = 3.5
# Above 19 200 baud the standard recommends a fixed silence instead of 3.5 characters (2.5.1.1).
_FIXED_GAP_ABOVE_BAUD = 19_200
_FIXED_GAP_S = 0.00175

_TFD_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_TFD_TIMER_ABSTIME = 1
_EXPIRATIONS_BYTES = 8


class Wire(Struct, frozen=True):
    """The timing of one serial line.

    Attributes:
        char_s: time of one character, 11 bits.
        gap_s: silence that parts two frames.
    """

    char_s: float
    gap_s: float

    def duration_s(self, size: int) -> float:
        """Time that `size` bytes take."""
        return size * self.char_s


def wire_at(baud: int) -> Wire:
    """Work out the timing of a line: 3.5 characters of silence, or 1.75 ms above 19 200 baud."""
    char_s = _BITS_PER_CHARACTER / baud
    return Wire(char_s, _FIXED_GAP_S if baud > _FIXED_GAP_ABOVE_BAUD else _GAP_CHARACTERS * char_s)


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class LineClock:
    """Sleeps until a moment of `time.monotonic`, never less, and on Linux hardly more.

    An event loop on epoll wakes on whole milliseconds, which at 115 200 baud is eleven characters; a kernel
    timer wakes within some 50 microseconds. Elsewhere the loop's own timer serves.
    """

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._settime = getattr(libc, "timerfd_settime", None)
        create = getattr(libc, "timerfd_create", None)
        self._fd = -1
        if create is not None:
            self._fd = int(create(time.CLOCK_MONOTONIC, _TFD_NONBLOCK_CLOEXEC))

    async def until(self, when_s: float) -> None:
        """Sleep until `time.monotonic()` has reached `when_s`; one task at a time."""
        while (left_s := when_s - time.monotonic()) > 0:
            if self._fd < 0 or self._settime is None:
                await anyio.sleep(left_s)
                continue
            seconds, nanoseconds = divmod(ceil(when_s * 1e9), 1_000_000_000)
            spec = _TimerSpec(value=_TimeSpec(seconds, nanoseconds))
            self._settime(self._fd, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None)
            await anyio.wait_readable(self._fd)
            os.read(self._fd, _EXPIRATIONS_BYTES)

    def close(self) -> None:
        """Give the kernel's timer back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
