"""A byte stream through a file descriptor: a serial port or a TCP connection that somebody speaks on."""

import asyncio
import os
from time import monotonic

from edge.errors import LinkDownError
from edge.waker import Waker

READ_BYTES = 8192
# So much may wait for a peer that does not read; no protocol here answers with more.
MAX_UNSENT_BYTES = 65_536


class Wire:
    """One open stream, used by one task; `send` may be called by others.

    Attributes:
        waker: ends a `wait` before its time.
        stuck_at: since when the peer has taken nothing of what was sent to it, monotonic seconds; None: it takes all.
    """

    def __init__(self, fd: int, *, name: str) -> None:
        """Take over an open file descriptor that does not block.

        Args:
            fd: closed by `close`.
            name: how people call it, for the errors.
        """
        self.waker = Waker()
        self.stuck_at: float | None = None
        self._fd, self._name = fd, name
        self._loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._why_down = ""

    def close(self) -> None:
        """Close it; safe to call at any time. What was not sent is not sent any more."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            os.close(self._fd)
            self._fd = -1

    def read(self) -> bytes:
        """Give what has come; empty when nothing has.

        Raises:
            LinkDownError: it is gone.
        """
        self._check()
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._down(str(error.strerror)) from error
        if not data:
            raise self._down("the other end closed it")
        return data

    def send(self, data: bytes) -> None:
        """Send bytes, at once if the peer takes them; what goes wrong is said by the next `read` or `wait`."""
        if self._fd < 0 or self._why_down:
            return
        self._unsent += data
        if len(self._unsent) > MAX_UNSENT_BYTES:
            self._lose(f"it takes nothing of {len(self._unsent)} bytes")
        elif self.stuck_at is None:
            self._flush()

    async def wait(self, until: float, *, reads: bool = True) -> None:
        """Wait until something can be read (if `reads`), somebody wakes it, or the loop's clock says `until`.

        Raises:
            LinkDownError: it is gone.
        """
        self._check()
        if reads:
            self._loop.add_reader(self._fd, self._readable)
        await self.waker.wait_until(until)
        self._check()

    def _readable(self) -> None:
        # Once is enough: who waits reads, and asks again.
        self._loop.remove_reader(self._fd)
        self.waker.wake()

    def _flush(self) -> None:
        try:
            taken = os.write(self._fd, self._unsent)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            self._lose(str(error.strerror))
            return
        del self._unsent[:taken]
        if not self._unsent:
            if self.stuck_at is not None:
                self._loop.remove_writer(self._fd)
            self.stuck_at = None
            return
        if self.stuck_at is None:
            self._loop.add_writer(self._fd, self._flush)
        if self.stuck_at is None or taken:
            self.stuck_at = monotonic()

    def _lose(self, why: str) -> None:
        self._loop.remove_writer(self._fd)
        self._unsent.clear()
        self._why_down = why
        self.waker.wake()

    def _check(self) -> None:
        if self._fd < 0 or self._why_down:
            raise self._down(self._why_down or "it was closed")

    def _down(self, why: str) -> LinkDownError:
        return LinkDownError(f"{self._name} is gone: {why}")
