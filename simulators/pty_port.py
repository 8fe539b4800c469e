"""A pseudo-terminal that stands where the site file says a serial adapter is."""

import os
import select
import termios
import tty
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path
from struct import unpack

from simulators.errors import SimulatorError

_READ_BYTES = 4096
_OURS = "/dev/pts/"


class PtyPort:
    """Our end of the line, and a symbolic link at `path` to the end that the gateway opens.

    The gateway's end is also held open here, so that its closing and opening is no hang-up.

    Attributes:
        path: where the link stands.
        fd: our end, non-blocking.
    """

    def __init__(self, path: Path) -> None:
        """Make the pair and put the link in its place in one step.

        Raises:
            SimulatorError: something that is not a simulator's link is already at `path`, or it cannot be made.
        """
        _check_place(path)
        self.path = path
        self.fd, self._far = os.openpty()
        tty.setraw(self._far)
        os.set_blocking(self.fd, False)
        self._target = os.ttyname(self._far)
        try:
            _link(path, self._target)
        except OSError as error:
            self._close_ends()
            raise SimulatorError(f"cannot put a serial port at {path}: {error.strerror}") from error

    def read(self) -> bytes:
        """Take what the gateway has sent, at most 4096 bytes; empty when nothing is there."""
        try:
            return os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return b""

    def has_pending(self) -> bool:
        """Tell whether the gateway has sent something that is not read yet."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        return bool(poll.poll(0))

    def write(self, data: bytes) -> bool:
        """Send to the gateway; False when not everything found room, because nobody reads."""
        try:
            return os.write(self.fd, data) == len(data)
        except BlockingIOError:
            return False

    def unread(self) -> int:
        """Bytes sent that the gateway has not read."""
        room = ioctl(self._far, termios.FIONREAD, bytes(4))
        return int(unpack("i", room)[0])

    def drop_unread(self) -> None:
        """Throw away what the gateway has not read, as a driver does whose port is closed."""
        termios.tcflush(self._far, termios.TCIFLUSH)

    def close(self) -> None:
        """Take the link away, if it is still this port's, and hang up."""
        with suppress(OSError):
            if self.path.readlink() == Path(self._target):
                self.path.unlink()
        self._close_ends()

    def _close_ends(self) -> None:
        os.close(self.fd)
        os.close(self._far)


def _check_place(path: Path) -> None:
    if path.is_symlink():
        target = str(path.readlink())
        # A link to a real adapter (udev makes such) must not be lost; a dead link belongs to nobody.
        if target.startswith(_OURS) or not path.exists():
            return
        raise SimulatorError(f"{path} is a link to {target}, which is no simulated port; remove it, or change `port`")
    if path.exists():
        raise SimulatorError(f"{path} exists and is no simulated port; remove it, or change `port` in the site file")
    if not path.parent.is_dir():
        raise SimulatorError(f"folder {path.parent} does not exist; make it, or change `port` in the site file")


def _link(path: Path, target: str) -> None:
    # Made beside and renamed: whoever looks sees the old link or the new one, never none.
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        beside.unlink()
    beside.symlink_to(target)
    beside.replace(path)
