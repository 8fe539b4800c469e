"""The telemetry log: batches of readings in files that are only ever appended to, and removed whole.

An SD card suffers from every page that is written again, so nothing is: a batch is appended, and what is settled is
noted in a journal of ranges. A file whose batches are all settled is removed; when room is wanted the oldest file is.
While the disk takes nothing, batches wait in memory, bounded, and are written down when it does again.

Used from one thread at a time. Numbers rise within a log and are never used twice, through power cuts too: each run
begins its own file, further up than the run before can have come.
"""

import contextlib
import errno
import os
import secrets
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from edge.outbox.batch import Batch, Depth
from edge.outbox.segment import NAME, RECORD_BYTES, SUFFIX, Head, Segment, SegmentError, UnfinishedError, sync_folder

# More than the largest gateway can write within the seconds that a power cut may cost.
NUMBERS_A_RUN = 100_000
LONGEST_SEGMENT_BYTES = 4 * 1024 * 1024
# Room is made by whole files: about a sixteenth of it at a time.
SEGMENTS = 16
# While the disk takes nothing, so many readings stay in memory: some minutes of a school.
MAX_READINGS_IN_MEMORY = 20_000
# Damaged files are kept for whoever wants to look; not more of them than this.
MAX_SET_ASIDE = 4
# Runs that could not write down which numbers they take draw them.
_GUESSES = 1_000_000
_JOURNAL = "settled"
_RANGE = struct.Struct("<QQI")
_LONGEST_JOURNAL_BYTES = 64 * 1024
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# What the process lacks now; the disk has what was written to it all the same.
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EAGAIN})


class TelemetryLog:
    """An open log.

    Attributes:
        store: random name of this log.
        evicted: readings given up for want of room, or spoilt, since it was opened.
        set_aside: damaged files of which a copy was kept.
        fault: why the disk does not take batches just now, or only in the place of older ones: "outbox-full",
            "outbox-unwritable"; None while it does.
        is_held: the disk's room belongs to alarms just now; batches stay in memory.
        breaks: how often batches that the kernel had taken may not have reached the disk.
    """

    def __init__(self, folder: Path, *, max_bytes: int, run: str, machine: str) -> None:
        """Open or create it.

        Args:
            folder: where its files are; made if it is missing.
            max_bytes: of all files together.
            run: of the gateway, put into every batch.
            machine: the machine's present boot, likewise.
        """
        self.evicted = 0
        self.set_aside: list[Path] = []
        self.fault: str | None = None
        self.is_held = False
        self.breaks = 0
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = min(LONGEST_SEGMENT_BYTES, max_bytes // SEGMENTS)
        self._run, self._machine = run, machine
        self._segments: list[Segment] = []
        self._memory: dict[int, Batch] = {}
        self._current: Segment | None = None
        self._is_dirty = self._is_short = False
        self._journal = -1
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
        named = self._load()
        self.store = self._segments[-1].head.store if self._segments else secrets.token_hex(4)
        self._newest = max((segment.last for segment in self._segments), default=0)
        # The name tells the first number of a file that cannot be read, too.
        self._newest = max(self._newest, named) + (NUMBERS_A_RUN if self._segments or named else 0)
        self._replay_journal()
        self._begin()
        self._measure()

    def close(self) -> None:
        """Sync and let go of the files; what is in memory, and the disk does not take now either, is lost."""
        if self._memory:
            self.put(())
        self.sync()
        for segment in self._segments:
            segment.close()
        if self._journal >= 0:
            os.close(self._journal)

    def next_number(self) -> int:
        """Return a number for a batch."""
        self._newest += 1
        return self._newest

    def newest(self) -> int:
        """Return the number of the newest batch; those of all later ones are higher."""
        return self._newest

    @property
    def is_in_memory(self) -> bool:
        """Whether batches are in memory only."""
        return bool(self._memory)

    def depth(self) -> Depth:
        """Return what waits."""
        return self._depth

    def put(self, batches: Sequence[Batch]) -> None:
        """Keep batches, numbered by `next_number`; in memory when the disk does not take them, see `fault`."""
        wanted = [*self._memory.values(), *batches]
        try:
            self._append(wanted)
        except OSError as error:
            self.fault = _fault(error)
            self._keep_in_memory(batches)
        else:
            self.fault = "outbox-full" if self._is_short else None
            self._memory.clear()
        self._measure()

    def next_batches(self, *, after: int, up_to: int, limit: int) -> list[Batch]:
        """Return up to `limit` batches with numbers above `after`, oldest first; spoilt ones are dropped.

        None after one that cannot be read just now: it keeps its place.
        """
        found: list[Batch] = []
        with contextlib.suppress(OSError):
            self._find(found, after=after, up_to=up_to, limit=limit)
        return found

    def _find(self, found: list[Batch], *, after: int, up_to: int, limit: int) -> None:
        for segment in self._segments:
            if segment.last <= after or not segment.batches:
                continue
            if segment.head.first > up_to or len(found) >= limit:
                break
            for number in segment.after(after, up_to=up_to, limit=limit - len(found)):
                batch = self._read(segment, number)
                if batch is not None:
                    found.append(batch)
        for number, batch in self._memory.items():
            if after < number <= up_to and len(found) < limit:
                found.append(batch)

    def get(self, number: int) -> Batch | None:
        """Return one batch; None when it is no longer there, or cannot be read just now."""
        segment = self._holder(number)
        with contextlib.suppress(OSError):
            if segment and (found := self._read(segment, number)):
                return found
        return self._memory.get(number)

    def oldest(self) -> Batch | None:
        """Return the batch that waits longest."""
        return next(iter(self.next_batches(after=0, up_to=2**62, limit=1)), None)

    def settle(self, numbers: Iterable[int]) -> None:
        """Forget batches whose receipt has come; unknown numbers are skipped."""
        done = []
        for number in sorted(numbers):
            if self._memory.pop(number, None) is not None:
                continue
            segment = self._holder(number)
            if segment is not None and segment.settle(number) is not None:
                done.append(number)
        self._note(_ranges(done))
        self._drop_settled()
        self._measure()

    def sync(self) -> None:
        """Have the disk take what was put since the last time; when it does not, `fault` says so."""
        if not self._is_dirty or self._current is None:
            return
        self._is_dirty = False
        try:
            self._current.sync()
        except OSError as error:
            # What was not taken may be lost whatever comes after it, so another file is begun.
            self.fault, self._current = _fault(error), None
            self.breaks += 1

    def look_for_room(self) -> None:
        """End a fault that was a full disk, once there is room for a whole file without giving up another."""
        if self._is_short:
            disk = os.statvfs(self._folder)
            self._is_short = disk.f_bavail * disk.f_frsize < 2 * self._segment_bytes
            if not self._is_short and self.fault == "outbox-full" and not self._memory:
                self.fault = None

    def make_room(self) -> None:
        """Give up the oldest file, if the disk is so full that alarms find no room on it."""
        with contextlib.suppress(OSError):
            disk = os.statvfs(self._folder)
            if disk.f_bavail * disk.f_frsize < 2 * self._segment_bytes:
                self._evict()

    def unstamped(self) -> Iterator[Batch]:
        """Give the newest waiting batch that is not stamped of each file and of the memory, newest first."""
        yield from [batch for batch in self._memory.values() if batch.clock is None][-1:]
        for segment in reversed(self._segments):
            with contextlib.suppress(OSError):
                batch = self._newest_unstamped(segment)
                if batch is not None:
                    yield batch

    def _newest_unstamped(self, segment: Segment) -> Batch | None:
        numbers = segment.after(0, up_to=2**62, limit=segment.batches)
        # From some moment of a run on its batches are stamped: what is not lies before.
        low, high = 0, len(numbers)
        while low < high:
            middle = (low + high) // 2
            batch = self._read(segment, numbers[middle])
            low, high = (middle + 1, high) if batch is not None and batch.clock is None else (low, middle)
        return self._read(segment, numbers[low - 1]) if low else None

    def _measure(self) -> None:
        waiting = self._memory.values()
        self._depth = Depth(
            sum(segment.batches for segment in self._segments) + len(waiting),
            sum(segment.readings for segment in self._segments) + sum(batch.readings for batch in waiting),
            sum(segment.bytes for segment in self._segments) + sum(len(batch.payload) for batch in waiting),
        )

    def _append(self, batches: Sequence[Batch]) -> None:
        """Write to the current file; makes room, by the limit and on a full disk, from the oldest file.

        Raises:
            OSError: the disk takes nothing, and there is nothing left to give up.
        """
        if not batches:
            return
        if self.is_held:
            raise OSError(errno.ENOSPC, "what room there is belongs to alarms")
        size = sum(len(batch.payload) + RECORD_BYTES for batch in batches)
        while True:
            try:
                current = self._writable(batches[0].id)
                while sum(segment.size for segment in self._segments) + size > self._max_bytes and self._evict():
                    pass
                current.append(batches)
            except OSError as error:
                if error.errno in _FULL and self._evict():
                    self._is_short = True
                    continue
                if error.errno not in _FULL:
                    # A file that failed so is not trusted with more.
                    self._current = None
                    self.breaks += self._is_dirty
                raise
            self._is_dirty = True
            return

    def _writable(self, first: int) -> Segment:
        """Return the file to append to; a full one is sealed and another begun, from number `first` on."""
        if self._current is not None and self._current.size >= self._segment_bytes:
            full, self._current = self._current, None
            if full.batches:
                # Without its index it is read record by record at the next start.
                try:
                    full.seal()
                except OSError:
                    self.breaks += 1
        if self._current is None:
            for empty in [one for one in self._segments if one.head.first == first]:
                # Given up before anything could be written to it; the new one takes its name.
                empty.close()
                self._segments.remove(empty)
            segment = Segment.create(self._folder, Head(self.store, self._run, self._machine, first))
            self._segments.append(segment)
            self._current = segment
            self._drop_settled()
        return self._current

    def _begin(self) -> None:
        """Begin this run's file, so that its numbers are taken before the first is used."""
        try:
            self._writable(self._newest + 1)
        except OSError as error:
            self.fault = _fault(error)
            # Nothing on the disk says that this run takes these numbers, and the next must not take them again.
            self._newest += NUMBERS_A_RUN * (1 + secrets.randbelow(_GUESSES))

    def _evict(self) -> bool:
        """Give up the oldest file; false when only the current one is left."""
        oldest = self._segments[0] if self._segments else None
        if oldest is None or oldest is self._current:
            return False
        self.evicted += oldest.readings
        oldest.unlink()
        self._segments.remove(oldest)
        return True

    def _keep_in_memory(self, batches: Sequence[Batch]) -> None:
        self._memory.update((batch.id, batch) for batch in batches)
        readings = sum(batch.readings for batch in self._memory.values())
        while readings > MAX_READINGS_IN_MEMORY:
            oldest = self._memory.pop(next(iter(self._memory)))
            readings -= oldest.readings
            self.evicted += oldest.readings

    def _holder(self, number: int) -> Segment | None:
        for segment in self._segments:
            if segment.head.first <= number <= segment.last:
                return segment
        return None

    def _read(self, segment: Segment, number: int) -> Batch | None:
        """Return a batch; None when it is not there, or no longer what was written, and then counted.

        Raises:
            OSError: it is there and cannot be read just now.
        """
        try:
            batch = segment.read(number)
        except OSError as error:
            if error.errno in _PASSING:
                raise
            batch = None
        if batch is None:
            readings = segment.settle(number)
            if readings is not None:
                self.evicted += readings
                self._keep_copy(segment)
                self._measure()
        return batch

    def _keep_copy(self, segment: Segment) -> None:
        """Keep a damaged file under another name beside the log; a second name costs no room."""
        if segment.is_damaged:
            return
        segment.is_damaged = True
        self._put_aside(segment.path, os.link)

    def _put_aside(self, path: Path, keep: Callable[[Path, Path], None]) -> None:
        aside = self._folder.with_name(f"{self._folder.name}.damaged-{secrets.token_hex(4)}")
        self.set_aside.append(aside)
        # File systems without second names (a FAT stick) keep no copy.
        with contextlib.suppress(OSError):
            kept = self._folder.parent.glob(f"{self._folder.name}.damaged-*")
            for old in sorted(kept, key=lambda one: one.stat().st_mtime)[: 1 - MAX_SET_ASIDE]:
                old.unlink()
            keep(path, aside)

    def _load(self) -> int:
        """Take over the files; returns the highest number that is part of a name, be the file well or damaged."""
        named = 0
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            named = max(named, int(path.stem)) if NAME.fullmatch(path.stem) else named
            try:
                segment = Segment.load(path)
            except UnfinishedError:
                path.unlink(missing_ok=True)
                continue
            except SegmentError:
                self._put_aside(path, os.rename)
                continue
            except OSError as error:
                self.fault = _fault(error)
                continue
            if segment.is_damaged:
                segment.is_damaged = False
                self._keep_copy(segment)
            self._segments.append(segment)
        return named

    def _replay_journal(self) -> None:
        with contextlib.suppress(OSError):
            raw = (self._folder / _JOURNAL).read_bytes()
            for offset in range(0, len(raw) - _RANGE.size + 1, _RANGE.size):
                first, last, checksum = _RANGE.unpack_from(raw, offset)
                if checksum == zlib.crc32(raw[offset : offset + 16]):
                    for segment in self._segments:
                        for number in segment.after(first - 1, up_to=last, limit=last - first + 1):
                            segment.settle(number)
        self._rewrite_journal()

    def _note(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Write down what is settled; what is lost of it by a power cut costs repeated batches, no more."""
        raw = b"".join(_range(first, last) for first, last in ranges)
        if not raw or self._journal < 0:
            return
        with contextlib.suppress(OSError):
            written = os.write(self._journal, raw)
            size = os.fstat(self._journal).st_size
            if written < len(raw):
                # Half a range would put all that follow out of step.
                os.ftruncate(self._journal, size - written % _RANGE.size)
            elif size > _LONGEST_JOURNAL_BYTES:
                self._rewrite_journal()

    def _rewrite_journal(self) -> None:
        """Leave out of the journal what concerned files that are gone."""
        path = self._folder / _JOURNAL
        fresh = path.with_suffix(".new")
        try:
            ranges = (_range(*one) for segment in self._segments for one in segment.settled())
            fresh.write_bytes(b"".join(ranges))
            descriptor = os.open(fresh, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            fresh.replace(path)
        except OSError:
            return
        if self._journal >= 0:
            os.close(self._journal)
        self._journal = descriptor

    def _drop_settled(self) -> None:
        """Remove files of which nothing waits; the current one stays, as it knows the numbers."""
        if self._current is None:
            return
        for segment in [one for one in self._segments if not one.batches and one is not self._current]:
            segment.unlink()
            self._segments.remove(segment)


def remove(folder: Path) -> None:
    """Remove a log and all it holds.

    Raises:
        OSError: it cannot be removed.
    """
    if folder.exists():
        for path in folder.iterdir():
            path.unlink()
        sync_folder(folder)


def _fault(error: OSError) -> str:
    return "outbox-full" if error.errno in _FULL else "outbox-unwritable"


def _range(first: int, last: int) -> bytes:
    raw = _RANGE.pack(first, last, 0)[:16]
    return raw + zlib.crc32(raw).to_bytes(4, "little")


def _ranges(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Put rising numbers together to ranges."""
    first = last = -1
    for number in numbers:
        if number != last + 1 or first < 0:
            if first >= 0:
                yield first, last
            first = number
        last = number
    if first >= 0:
        yield first, last
