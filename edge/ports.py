"""Ports: what a line's bytes go through. Each gives a file descriptor that does not block."""

import asyncio
import fcntl
import os
import socket
import sys
import termios
from array import array
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import anyio

from device_profiles.model import Parity
from edge.errors import LinkDownError

CONNECT_LIMIT_S = 5.0
# A host may have many addresses; the limit above is for all of them.
MAX_ADDRESSES = 4

# A peer that has vanished is found out within 10 + 3 * 5 s although nobody asks it anything.
_KEEPALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))

# Speeds without a constant of their own go through Linux's termios2: fields c_iflag, c_oflag, c_cflag, c_lflag,
# c_line and 19 c_cc, c_ispeed, c_ospeed. Source: linux, include/uapi/asm-generic/termbits.h and ioctls.h.
_TCGETS2, _TCSETS2 = 0x802C542A, 0x402C542B
_CBAUD, _BOTHER = 0o010017, 0o010000
_CFLAG, _ISPEED, _OSPEED, _TERMIOS2_WORDS = 2, 9, 10, 11

# Pseudo-terminals of Linux. Source: linux, Documentation/admin-guide/devices.txt.
_PTY_MAJORS = range(136, 144)


Tap = Callable[[bool, bytes], None]
"""Called with (is_sent, bytes) of everything that crosses a port."""


class Port(Protocol):
    """A way to a line; `name` is how people call it."""

    name: str

    async def open(self) -> int:
        """Open it and give a file descriptor that does not block; whoever asked closes it.

        Raises:
            LinkDownError: it cannot be opened now.
        """


class SerialPort:
    """A serial port, for this program alone; by its stable name it may be another device at each opening."""

    def __init__(self, path: Path, *, baud: int, parity: Parity = Parity.NONE, stop_bits: int = 1) -> None:
        """Prepare; nothing is opened yet."""
        self.name = str(path)
        self._baud, self._parity, self._stop_bits = baud, parity, stop_bits

    async def open(self) -> int:
        """See `Port.open`."""
        try:
            # Opening does not wait for a modem, and makes no controlling terminal of the port.
            fd = os.open(self.name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise LinkDownError(f"{self.name} cannot be opened: {error.strerror}") from error
        try:
            self._claim(fd)
            self._set_up(fd)
        except BlockingIOError as error:
            os.close(fd)
            raise LinkDownError(f"{self.name} is in use by another program") from error
        except (OSError, termios.error) as error:
            os.close(fd)
            raise LinkDownError(f"{self.name} is no serial port, or not one for {self._baud} baud: {error}") from error
        return fd

    @staticmethod
    def _claim(fd: int) -> None:
        """Keep other programs out: those that ask (flock), and by the kernel those that do not.

        A pseudo-terminal's other end may outlive us, and with it the kernel's mark: there the lock must do.
        """
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.major(os.fstat(fd).st_rdev) not in _PTY_MAJORS:
            fcntl.ioctl(fd, termios.TIOCEXCL)

    def _set_up(self, fd: int) -> None:
        parity = {Parity.NONE: 0, Parity.EVEN: termios.PARENB, Parity.ODD: termios.PARENB | termios.PARODD}
        speed = getattr(termios, f"B{self._baud}", None)
        characters = termios.tcgetattr(fd)[6]
        # With VMIN 0 "nothing yet" could not be told from "unplugged".
        characters[termios.VMIN], characters[termios.VTIME] = 1, 0
        flags = termios.CS8 | termios.CLOCAL | termios.CREAD | parity[self._parity]
        flags |= termios.CSTOPB if self._stop_bits > 1 else 0
        known = termios.B9600 if speed is None else speed
        checks = 0 if self._parity is Parity.NONE else termios.INPCK
        termios.tcsetattr(fd, termios.TCSANOW, [checks, 0, flags, 0, known, known, characters])
        if speed is None:
            _set_odd_speed(fd, self._baud)
        termios.tcflush(fd, termios.TCIOFLUSH)


class TcpPort:
    """A TCP connection."""

    def __init__(self, host: str, port: int) -> None:
        """Prepare; nothing is opened yet."""
        self.name = f"{host}:{port}"
        self._host, self._port = host, port

    async def open(self) -> int:
        """See `Port.open`."""
        loop = asyncio.get_running_loop()
        why = f"no answer within {CONNECT_LIMIT_S:g} s"
        with anyio.move_on_after(CONNECT_LIMIT_S):
            try:
                found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                raise LinkDownError(f"{self.name} cannot be found: {error}") from error
            for family, kind, protocol, _, address in found[:MAX_ADDRESSES]:
                with suppress(OSError):
                    return await _connect(loop, socket.socket(family, kind, protocol), address)
            why = "nobody listens there, or the way is barred"
        raise LinkDownError(f"{self.name} cannot be opened: {why}")


def keep_alive(connection: socket.socket) -> None:
    """Set a TCP connection up: what is sent goes at once, and a peer that has vanished is found out."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in _KEEPALIVE:
        # Not every system has all of them.
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)


async def _connect(loop: asyncio.AbstractEventLoop, connection: socket.socket, address: tuple[Any, ...]) -> int:
    with connection:
        connection.setblocking(False)
        keep_alive(connection)
        await loop.sock_connect(connection, address)
        return connection.detach()


def _set_odd_speed(fd: int, baud: int) -> None:
    if not sys.platform.startswith("linux"):
        raise OSError(f"this system has no {baud} baud")
    settings = array("I", bytes(4 * _TERMIOS2_WORDS))
    fcntl.ioctl(fd, _TCGETS2, settings)
    settings[_CFLAG] = settings[_CFLAG] & ~_CBAUD | _BOTHER
    settings[_ISPEED] = settings[_OSPEED] = baud
    fcntl.ioctl(fd, _TCSETS2, settings)
