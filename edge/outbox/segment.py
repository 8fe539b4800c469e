"""One file of the telemetry log: batches one behind the other, each with a head that a checksum guards.

    head of the file   magic, store, run, machine boot, first number
    record             head (48 bytes), payload
    index              only behind a file that is full: where each record begins, so that opening reads no payloads

Numbers are little endian. A torn tail, which a power cut leaves, is cut off; damage in the middle costs the records it
hit and no others.
"""

import contextlib
import errno
import itertools
import os
import re
import struct
import sys
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from contract.compression import ContentEncoding
from contract.telemetry import ClockMark, ClockSource
from edge.errors import EdgeError
from edge.outbox.batch import Batch

SUFFIX = ".seg"
# The number that no batch in it is below.
NAME = re.compile(r"\d{20}", re.ASCII)
_MAGIC = b"LYTLOG1\n"
_HEAD = struct.Struct("<8s12s64s36sQ")
_CRC = struct.Struct("<I")
_RECORD_MAGIC = b"\xa7\x4c"
# Magic, encoding, clock source, readings, length, number, newest, guess, error, checksum of payload, of this head.
_RECORD = struct.Struct("<2sBBIIQqqIII")
_INDEX_END = struct.Struct("<QI8s")
_INDEX_MAGIC = b"LYTINDX1"
_ENCODINGS = tuple(ContentEncoding)
# 0 is a batch that is not stamped yet.
_SOURCES: tuple[ClockSource | None, ...] = (None, *ClockSource)
HEAD_BYTES = _HEAD.size + _CRC.size
RECORD_BYTES = _RECORD.size
_ROW_BYTES = 8 + 4 + 4 + 4


class SegmentError(EdgeError):
    """The file is none of ours, or its head is damaged."""

    hint = "It was set aside beside the outbox."


class UnfinishedError(SegmentError):
    """Power was cut while the file was being made: nothing can be in it yet."""

    hint = "It was removed."


class Head(Struct, frozen=True):
    """What all batches of a file share.

    Attributes:
        store: random name of the log.
        run: of the gateway, `Batch.boot`.
        machine: boot of the machine.
        first: no batch in this file or a later one has a smaller number.
    """

    store: str
    run: str
    machine: str
    first: int


class Segment:
    """One open file.

    Attributes:
        head: see there.
        size: bytes of the file.
        is_damaged: something in it could not be read.
        batches, readings, bytes: what waits in it.
    """

    def __init__(self, path: Path, head: Head, descriptor: int | None) -> None:
        """Take an open file; use `create` or `load`."""
        self.path = path
        self.head = head
        self.size = HEAD_BYTES
        self.is_damaged = False
        # Only the file that is written to stays open: a gateway that was restarted a thousand times has as many.
        self._file = descriptor
        self._is_sealed = False
        self._numbers = array("Q")
        self._offsets = array("I")
        self._lengths = array("I")
        self._readings = array("I")
        self._waits = bytearray()
        self.batches = self.readings = self.bytes = 0

    @classmethod
    def create(cls, folder: Path, head: Head) -> Self:
        """Make a new file; its head is on the disk when this returns, so that no number can come again.

        Raises:
            OSError: the disk does not take it; nothing is left behind.
        """
        path = folder / f"{head.first:020d}{SUFFIX}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            raw = _HEAD.pack(
                _MAGIC, head.store.encode(), head.run.encode(), head.machine.encode()[:36].ljust(36), head.first
            )
            _write(descriptor, raw + _CRC.pack(zlib.crc32(raw)), at=0)
            os.fsync(descriptor)
            sync_folder(folder)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        return cls(path, head, descriptor)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Open a file that an earlier run wrote.

        Raises:
            UnfinishedError: its head is not whole, and nothing stands behind it.
            SegmentError: its head is damaged.
            OSError: it cannot be read.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC if os.access(path, os.W_OK) else os.O_RDONLY)
        try:
            size = os.fstat(descriptor).st_size
            segment = cls(path, _read_head(descriptor, path, size), descriptor)
            segment.size = size
            if not segment._load_index(descriptor):
                segment._scan(descriptor)
        finally:
            os.close(descriptor)
        segment._file = None
        return segment

    @property
    def last(self) -> int:
        """The highest number in it; one less than its first while it has none."""
        return self._numbers[-1] if self._numbers else self.head.first - 1

    def append(self, batches: Sequence[Batch]) -> None:
        """Write batches behind what is there, in one go; the kernel has them when this returns.

        Raises:
            OSError: nothing of them is in the file.
        """
        raws = [_record(batch) for batch in batches]
        _write(self._descriptor(), b"".join(raws), at=self.size)
        for batch, raw in zip(batches, raws, strict=True):
            self._add(batch.id, self.size, len(batch.payload), batch.readings)
            self.size += len(raw)

    def after(self, number: int, *, up_to: int, limit: int) -> list[int]:
        """Name up to `limit` waiting batches above `number`, oldest first."""
        found: list[int] = []
        for index in range(bisect_right(self._numbers, number), bisect_right(self._numbers, up_to)):
            if len(found) >= limit:
                break
            if self._waits[index]:
                found.append(self._numbers[index])
        return found

    def read(self, number: int) -> Batch | None:
        """Return a waiting batch; None when it has been settled, or cannot be read as what was written.

        Raises:
            OSError: it cannot be read now.
        """
        index = self._index(number)
        if index is None:
            return None
        return _batch(self.head, self._read_at(self._offsets[index], _RECORD.size + self._lengths[index]))

    def _descriptor(self) -> int:
        if self._file is None:
            raise OSError(errno.EBADF, f"{self.path} is open for reading only")
        return self._file

    def _read_at(self, offset: int, size: int) -> bytes:
        if self._file is not None:
            return os.pread(self._file, size, offset)
        with self.path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), size, offset)

    def settle(self, number: int) -> int | None:
        """Forget a batch; returns its readings, None when it does not wait here."""
        index = self._index(number)
        if index is None:
            return None
        self._waits[index] = 0
        readings = self._readings[index]
        self.batches -= 1
        self.readings -= readings
        self.bytes -= self._lengths[index] + _RECORD.size
        return readings

    def settled(self) -> Iterator[tuple[int, int]]:
        """Give the ranges of numbers that are settled, first and last."""
        begin: int | None = None
        for number, waits in zip(self._numbers, self._waits, strict=True):
            if not waits and begin is None:
                begin = number
            if waits and begin is not None:
                yield begin, number - 1
                begin = None
        if begin is not None:
            yield begin, self.last

    def sync(self) -> None:
        """Have the disk take what the kernel has."""
        if self._file is not None:
            os.fdatasync(self._file)

    def seal(self) -> None:
        """Write the index behind the last record and sync: nothing more comes into this file."""
        if self._is_sealed:
            return
        rows = b"".join(_little(one) for one in (self._numbers, self._offsets, self._lengths, self._readings))
        end = _INDEX_END.pack(len(self._numbers), zlib.crc32(rows), _INDEX_MAGIC)
        _write(self._descriptor(), rows + end, at=self.size)
        self.size += len(rows) + len(end)
        self._is_sealed = True
        self.sync()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def unlink(self) -> None:
        """Close and remove the file."""
        self.close()
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _index(self, number: int) -> int | None:
        index = bisect_left(self._numbers, number)
        is_here = index < len(self._numbers) and self._numbers[index] == number
        return index if is_here and self._waits[index] else None

    def _add(self, number: int, offset: int, length: int, readings: int) -> None:
        self._numbers.append(number)
        self._offsets.append(offset)
        self._lengths.append(length)
        self._readings.append(readings)
        self._waits.append(1)
        self.batches += 1
        self.readings += readings
        self.bytes += length + _RECORD.size

    def _load_index(self, file: int) -> bool:
        end = os.pread(file, _INDEX_END.size, max(0, self.size - _INDEX_END.size))
        if len(end) < _INDEX_END.size:
            return False
        count, checksum, magic = _INDEX_END.unpack(end)
        begin = self.size - _INDEX_END.size - count * _ROW_BYTES
        if magic != _INDEX_MAGIC or begin < HEAD_BYTES:
            return False
        rows = os.pread(file, count * _ROW_BYTES, begin)
        if zlib.crc32(rows) != checksum:
            return False
        edges = [0, 8 * count, 12 * count, 16 * count, 20 * count]
        columns = (self._numbers, self._offsets, self._lengths, self._readings)
        for column, (low, high) in zip(columns, itertools.pairwise(edges), strict=True):
            column.frombytes(rows[low:high])
            if sys.byteorder == "big":
                column.byteswap()
        self._waits = bytearray(b"\1" * count)
        self.batches, self.readings = count, sum(self._readings)
        self.bytes = sum(self._lengths) + count * _RECORD.size
        self._is_sealed = True
        return True

    def _scan(self, file: int) -> None:
        """Read the heads of the records of a file that nobody sealed; the payload of the last is looked at too."""
        offset, end, last = HEAD_BYTES, HEAD_BYTES, self.head.first - 1
        while offset < self.size:
            raw = os.pread(file, _RECORD.size, offset)
            fields = _fields(raw)
            if fields is None or fields[5] <= last or offset + _RECORD.size + fields[4] > self.size:
                found = self._find_next(file, offset + 1)
                if found is None:
                    break
                self.is_damaged = True
                offset = found
                continue
            last = fields[5]
            self._add(last, offset, fields[4], fields[3])
            offset += _RECORD.size + fields[4]
            end = offset
        if self._numbers and self.read(self.last) is None:
            end = self._drop_last()
        self._cut(file, end)

    def _find_next(self, file: int, offset: int) -> int | None:
        """Look behind damage for the next head that is whole."""
        raw = os.pread(file, self.size - offset, offset)
        at = raw.find(_RECORD_MAGIC)
        while at >= 0:
            fields = _fields(raw[at : at + _RECORD.size])
            if fields is not None and fields[5] > self.last and at + _RECORD.size + fields[4] <= len(raw):
                return offset + at
            at = raw.find(_RECORD_MAGIC, at + 1)
        return None

    def _drop_last(self) -> int:
        self.settle(self.last)
        for column in (self._numbers, self._lengths, self._readings):
            column.pop()
        self._waits.pop()
        return self._offsets.pop()

    def _cut(self, file: int, end: int) -> None:
        """Cut off a torn tail, so that what is appended stands behind something whole."""
        if end < self.size:
            with contextlib.suppress(OSError):
                os.ftruncate(file, end)
            self.size = end


def sync_folder(folder: Path) -> None:
    """Have the disk take the names in a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(descriptor: int, raw: bytes, *, at: int) -> None:
    """Write all of it or nothing."""
    view, offset = memoryview(raw), at
    try:
        while view:
            count = os.pwrite(descriptor, view, offset)
            view, offset = view[count:], offset + count
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, at)
        raise


def _record(batch: Batch) -> bytes:
    source = _SOURCES.index(batch.clock.source if batch.clock else None)
    head = _RECORD.pack(
        _RECORD_MAGIC,
        _ENCODINGS.index(batch.encoding),
        source,
        batch.readings,
        len(batch.payload),
        batch.id,
        batch.newest_us,
        batch.guess_us,
        min(batch.clock.error_ms, 2**32 - 1) if batch.clock else 0,
        zlib.crc32(batch.payload),
        0,
    )[: -_CRC.size]
    return head + _CRC.pack(zlib.crc32(head)) + batch.payload


def _fields(raw: bytes) -> tuple[bytes, int, int, int, int, int, int, int, int, int, int] | None:
    """Take a record's head apart; None when it is not whole."""
    if len(raw) < _RECORD.size or raw[:2] != _RECORD_MAGIC:
        return None
    fields = _RECORD.unpack_from(raw)
    is_whole = fields[-1] == zlib.crc32(raw[: _RECORD.size - _CRC.size])
    return fields if is_whole and fields[1] < len(_ENCODINGS) and fields[2] < len(_SOURCES) else None


def _batch(head: Head, raw: bytes) -> Batch | None:
    fields = _fields(raw[: _RECORD.size])
    if fields is None:
        return None
    _, encoding, source, readings, length, number, newest_us, guess_us, error_ms, checksum, _ = fields
    payload = raw[_RECORD.size :]
    if len(payload) != length or zlib.crc32(payload) != checksum:
        return None
    batch = Batch(
        head.store, number, False, readings, head.run, _ENCODINGS[encoding], payload,
        newest_us=newest_us, guess_us=guess_us,
    )  # fmt: skip
    known = _SOURCES[source]
    return replace(batch, clock=ClockMark(known, error_ms)) if known else replace(batch, machine=head.machine)


def _read_head(descriptor: int, path: Path, size: int) -> Head:
    raw = os.pread(descriptor, HEAD_BYTES, 0)
    if len(raw) < HEAD_BYTES or _CRC.unpack(raw[-_CRC.size :])[0] != zlib.crc32(raw[: _HEAD.size]):
        raise (SegmentError if size > HEAD_BYTES else UnfinishedError)(f"{path}: its head is damaged")
    magic, store, run, machine, first = _HEAD.unpack_from(raw)
    if magic != _MAGIC:
        raise SegmentError(f"{path}: not a file of this version")
    store, run, machine = (text.rstrip(b"\0 ").decode("ascii", "replace") for text in (store, run, machine))
    return Head(store, run, machine, first)


def _little(column: "array[int]") -> bytes:
    if sys.byteorder == "big":
        column = array(column.typecode, column)
        column.byteswap()
    return column.tobytes()
