"""Waiting for an exact moment: silences on a serial line are a few milliseconds long."""

import asyncio
import ctypes
import os
import time
from math import ceil

_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_ABSOLUTE = 1
_EXPIRATIONS_BYTES = 8


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class LineClock:
    """Waits until a moment of `time.monotonic`, never less, and on Linux hardly more.

    An event loop wakes on whole milliseconds, by which every silence would be a quarter too long at 9 600 baud; a
    timer of the kernel wakes within some 50 microseconds. Elsewhere the loop's own timer serves.
    """

    def __init__(self) -> None:
        """Take a timer of the kernel and watch it; `close` gives it back."""
        libc = ctypes.CDLL(None, use_errno=True)
        self._settime = getattr(libc, "timerfd_settime", None)
        create = getattr(libc, "timerfd_create", None)
        self._fd = -1 if create is None else int(create(time.CLOCK_MONOTONIC, _FLAGS))
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._ring)

    async def until(self, moment: float) -> None:
        """Wait until `time.monotonic()` has reached `moment`; one task at a time."""
        while (left_s := moment - time.monotonic()) > 0:
            self._waiter = self._loop.create_future()
            if self._fd < 0 or self._settime is None:
                self._loop.call_later(left_s, self._ring)
            else:
                seconds, nanoseconds = divmod(ceil(moment * 1e9), 1_000_000_000)
                spec = _TimerSpec(value=_TimeSpec(seconds, nanoseconds))
                self._settime(self._fd, _ABSOLUTE, ctypes.byref(spec), None)
            await self._waiter

    def close(self) -> None:
        """Give the timer back; whoever waits is let go."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        self._let_go()

    def _ring(self) -> None:
        if self._fd >= 0:
            try:
                os.read(self._fd, _EXPIRATIONS_BYTES)
            except BlockingIOError:
                return
        self._let_go()

    def _let_go(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
