"""Room on the disk that is kept for alarms: a file that holds nothing, and is given up when the disk is full."""

import contextlib
import errno
import os
from pathlib import Path

_BLOCK = b"\0" * 65_536


class Ballast:
    """A file of `size` bytes that nobody reads."""

    def __init__(self, path: Path, *, size: int) -> None:
        """Name it; nothing is made yet."""
        self._path = path
        self._size = size
        self._is_whole = False

    @property
    def is_whole(self) -> bool:
        """Whether the room is there."""
        return self._is_whole

    def make(self) -> bool:
        """Take the room if the disk has it; true when it is there afterwards.

        Blocks are reserved and not written where the file system can do that, so it costs an SD card nothing.
        """
        if self._is_whole:
            return True
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            _reserve(descriptor, self._size)
            self._is_whole = True
        except OSError:
            # Half of it would take room from everybody and help nobody.
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)
        return self._is_whole

    def give_up(self) -> bool:
        """Give the room back to the disk; true when there was some."""
        was_there, self._is_whole = self._is_whole, False
        with contextlib.suppress(OSError):
            self._path.unlink()
        return was_there


def _reserve(descriptor: int, size: int) -> None:
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise
        done = os.fstat(descriptor).st_size
        while done < size:
            done += os.pwrite(descriptor, _BLOCK[: size - done], done)
        os.fsync(descriptor)
