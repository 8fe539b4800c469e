"""The outbox as one thing: the alarm file, the telemetry log, the room kept for alarms, and the time of all of it.

What concerns alarms and what concerns telemetry may be used from two threads, one each: an alarm never waits for a
reading to be written.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

import msgspec

from contract.alarms import AlarmEvent
from contract.compression import pack
from contract.limits import MAX_INFLATED_BYTES, MAX_PAYLOAD_BYTES
from contract.telemetry import Lane, Sample, TelemetryEncoder
from edge.clock import Clock, Timeline
from edge.errors import StoreInUseError, StoreUnusableError
from edge.outbox.alarms import AlarmFile, Machine, Remembered
from edge.outbox.ballast import Ballast
from edge.outbox.batch import Batch, Depth, Ref
from edge.outbox.log import TelemetryLog
from edge.outbox.migration import migrate
from edge.outbox.stamping import Fixed, Waiting, estimate, stamped
from edge.rules.standing import Standing

# One batch stays under the broker's and the ingester's limits: 40 to 80 bytes of JSON a reading.
MAX_BATCH_READINGS = 4_000
# Beside what its rows take the alarm file wants room for its journal.
JOURNAL_BYTES = 2 * 1024 * 1024
# A correction of the clock that is smaller is not written down: a restart takes longer than that.
WORTH_WRITING_US = 20_000


class Outbox:
    """An open outbox.

    Attributes:
        clock: what samples are stamped with; it goes on where an earlier run on this machine boot stopped.
        boot: id of this run of the gateway.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int,
        alarm_bytes: int,
        gateway: str,
        boot: str,
        clock: Clock,
        deflate_from_bytes: int = 1024,
    ) -> None:
        """Open or create it; damaged files are set aside, and while the disk takes nothing it lives in memory.

        Args:
            path: the alarm file; the telemetry log is a folder beside it, `<path>.log`.
            max_bytes: room for telemetry; the oldest goes first when it is full.
            alarm_bytes: room for alarms, which the disk keeps free for them.
            gateway: id of the gateway.
            boot: see above.
            clock: see above.
            deflate_from_bytes: telemetry batches of this size and more are deflated.

        Raises:
            StoreUnusableError: its folder is missing, or an outbox of an earlier version finds no room to move.
            StoreInUseError: another gateway has it.
        """
        self.clock = clock
        self.boot = boot
        self._is_kept = True
        self._lock = _lock(path)
        self._deflate_from_bytes = deflate_from_bytes
        self._encoder = TelemetryEncoder()
        folder = path.with_name(f"{path.name}.log")
        migrate(path, folder, max_bytes=max_bytes, gateway=gateway)
        self._ballast = Ballast(path.with_name(f"{path.name}.ballast"), size=alarm_bytes + JOURNAL_BYTES)
        self._alarms = AlarmFile(path, max_bytes=alarm_bytes, run=boot, ballast=self._ballast)
        machine = clock.readers.machine
        self._log = TelemetryLog(folder, max_bytes=max_bytes, run=boot, machine=machine)
        self._machines = {one.boot: one for one in reversed(self._alarms.machines())}
        self._resume(machine)
        self._ballast.make()
        if clock.ask_kernel() or self.is_timed:
            self.fix_times(self.unstamped_telemetry())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; everything put into them is on the disk, or `faults` says why not."""
        self._log.close()
        self._alarms.close()
        os.close(self._lock)

    @property
    def alarm_store(self) -> str:
        """Random name of the alarm file."""
        return self._alarms.store

    @property
    def log_store(self) -> str:
        """Random name of the telemetry log."""
        return self._log.store

    @property
    def evicted(self) -> int:
        """Readings given up for want of room, or spoilt, since it was opened."""
        return self._log.evicted + self._alarms.spoilt

    @property
    def set_aside(self) -> list[Path]:
        """Damaged files that were set aside since it was opened."""
        return [*self._alarms.set_aside, *self._log.set_aside]

    @property
    def faults(self) -> set[str]:
        """Why the disk does not take everything just now: "outbox-full", "outbox-unwritable"; empty while it does."""
        found = {fault for fault in (self._alarms.fault, self._log.fault) if fault}
        return found if self._ballast.is_whole else found | {"outbox-full"}

    @property
    def breaks(self) -> int:
        """How often telemetry that the kernel had taken may not have reached the disk."""
        return self._log.breaks

    def is_in_memory(self, *, is_alarm: bool) -> bool:
        """Tell whether alarms, or telemetry, are in memory only, because the disk does not take them."""
        return self._alarms.fault is not None if is_alarm else self._log.is_in_memory

    @property
    def is_timed(self) -> bool:
        """Whether what is put now gets its wall time at once."""
        return self.clock.readers.machine in self._fixed

    # --- telemetry: one thread

    def put_telemetry(self, samples: Sequence[Sample]) -> None:
        """Keep samples as batches; with the kernel when it returns, with the disk after `sync`."""
        stamp = self.clock.timeline.wall if self.is_timed else None
        batches = list(self._batches(list(samples), stamp))
        self._log.is_held = not self._ballast.is_whole and self._alarms.fault is not None
        if self._log.is_held and self._alarms.fault == "outbox-full":
            self._log.make_room()
        self._log.put(batches)

    def sync(self) -> None:
        """Have the disk take the telemetry that the kernel has, and see whether it has room again."""
        self._log.sync()
        self._log.look_for_room()

    def next_telemetry(self, lane: Lane, *, mark: int, after: int, limit: int) -> list[Batch]:
        """Return up to `limit` batches of a lane with numbers above `after`, oldest first, as they are sent.

        Args:
            lane: live is what is above `mark`, backfill what is not.
            mark: number of the newest batch that counts as backlog.
            after: the caller has already seen the numbers up to here.
            limit: at most so many.

        Returns:
            Fewer than there are when the next one waits for its time.
        """
        low, up_to = (max(after, mark), 2**62) if lane is Lane.LIVE else (after, mark)
        return self._stamped(self._log.next_batches(after=low, up_to=up_to, limit=limit))

    def newest(self) -> int:
        """Return the number of the newest telemetry batch."""
        return self._log.newest()

    def unstamped_telemetry(self) -> list[Batch]:
        """Return the newest unstamped batch of each file; for `fix_times`."""
        return list(self._log.unstamped())

    # --- alarms: another thread

    def put_alarms(self, events: Sequence[AlarmEvent], standing: Remembered = ()) -> None:
        """Keep alarm events and what the rules remember; on the disk when it returns, or `faults` says why not.

        Raises:
            StoreFullError: the room for alarms is used up; nothing was kept.
        """
        self._alarms.put(events, standing, clock=self.clock, fixed=self._fixed)

    def next_alarms(self, *, after: int, limit: int) -> list[Batch]:
        """Return up to `limit` events with numbers above `after`, oldest first, as they are sent.

        Returns:
            Fewer than there are when the next one waits for its time.
        """
        return self._stamped(self._alarms.next_batches(after=after, limit=limit))

    def standings(self) -> dict[str, Standing]:
        """Return the alarms that stand, by source, for the rules of this run."""
        return self._alarms.standings(self.clock.readers.machine, self._fixed)

    def note(self, key: str) -> bytes | None:
        """Return what `put_note` kept under a key."""
        return self._alarms.note(key)

    def put_note(self, key: str, text: bytes) -> None:
        """Keep a few bytes of UTF-8 through restarts.

        Raises:
            StoreFullError: another program holds the file.
        """
        self._alarms.put_note(key, text)

    def fix_times(self, unstamped: Iterable[Batch]) -> None:
        """Fix for ever what wall time the unstamped batches have, by the clock as it is now: told, or guessed.

        Args:
            unstamped: of the telemetry, see `unstamped_telemetry`.

        Raises:
            StoreFullError: another program holds the alarm file.
        """
        here = self.clock.readers.machine
        fixed = {}
        if here not in self._fixed:
            self.clock.estimate()
            steady_us = self.clock.steady_us()
            fixed[here] = Fixed(self.clock.timeline.wall(steady_us) - steady_us, self.clock.mark())
        began_us = (fixed.get(here) or self._fixed[here]).offset_us
        fixed |= estimate(self._waiting(unstamped), began_us=began_us)
        if fixed:
            machines = self._machines | {boot: Machine(boot, one) for boot, one in fixed.items()}
            machines[here] = msgspec.structs.replace(machines[here], timeline=self.clock.timeline.state)
            self._keep_machines(machines)
        else:
            self.keep_clock()

    def keep_clock(self) -> None:
        """Write down how the clock stands, if it has changed by something that matters.

        Raises:
            StoreFullError: another program holds the file.
        """
        here, now = self._machines[self.clock.readers.machine], self.clock.timeline.state
        if here.fixed is None or now is None:
            return
        old = here.timeline
        is_known = self._is_kept and old is not None and old.source is now.source
        if old and is_known and abs(old.piece.target_us - now.piece.target_us) < WORTH_WRITING_US:
            return
        self._keep_machines(self._machines | {here.boot: msgspec.structs.replace(here, timeline=now)})

    def _keep_machines(self, machines: dict[str, Machine]) -> None:
        """Write down what is known of the machine's boots before anything is stamped by it.

        The other thread reads while this one writes, so a new dictionary takes the place of the old.

        Raises:
            StoreFullError: another program holds the file.
        """
        self._is_kept = False
        try:
            self._alarms.put_machines(list(machines.values()))
            self._is_kept = True
        finally:
            self._machines = machines

    def recover(self) -> None:
        """Try whether the disk takes everything again: what is in memory, and the room kept for alarms."""
        was_away = self._alarms.fault is not None
        self._alarms.return_to_disk()
        self._ballast.make()
        if was_away and self._alarms.fault is None:
            # What could not be read at the start is there now, and may be of boots that nobody knew.
            self._machines = {one.boot: one for one in reversed(self._alarms.machines())} | self._machines
            if self.is_timed:
                self.fix_times(())

    # --- both

    def get(self, ref: Ref) -> Batch | None:
        """Return one batch as it is sent; None when it is no longer there. In the thread of its store."""
        found = None
        if ref.store == self._alarms.store:
            found = self._alarms.get(ref.number)
        elif ref.store == self._log.store:
            found = self._log.get(ref.number)
        return stamped(found, self._fixed) if found else None

    def settle_alarms(self, refs: Iterable[Ref]) -> None:
        """Forget events whose receipt has come; unknown ones are skipped.

        Raises:
            StoreFullError: another program holds the file.
        """
        numbers = [ref.number for ref in refs if ref.store == self._alarms.store]
        if numbers:
            self._alarms.settle(numbers)

    def settle_telemetry(self, refs: Iterable[Ref]) -> None:
        """Forget batches whose receipt has come; unknown ones are skipped."""
        self._log.settle(ref.number for ref in refs if ref.store == self._log.store)

    def depth(self, *, is_alarm: bool) -> Depth:
        """Return what waits among alarms, or among telemetry."""
        return self._alarms.depth() if is_alarm else self._log.depth()

    def oldest_s(self, *, is_alarm: bool) -> float:
        """Return for how long the oldest batch has waited, as well as it is known; 0 when nothing waits."""
        oldest = self._alarms.oldest() if is_alarm else self._log.oldest()
        # An outbox of version 1 did not say.
        if oldest is None or not oldest.newest_us:
            return 0.0
        now_us = self.clock.steady_us() if oldest.clock is None else self.clock.now_us()
        return max(0.0, (now_us - oldest.newest_us) / 1e6)

    def give_up(self, readings: int) -> None:
        """Count readings that could not be put."""
        self._log.evicted += readings

    def _resume(self, machine: str) -> None:
        """Go on with the clock of an earlier run on this machine boot; note a boot that is new."""
        known = self._machines.get(machine)
        if known is None:
            self._machines[machine] = Machine(machine)
            self._alarms.put_machines([self._machines[machine]])
        elif known.timeline is not None and self.clock.timeline.state is None:
            self.clock.timeline = Timeline(known.timeline)

    @property
    def _fixed(self) -> dict[str, Fixed]:
        return {boot: one.fixed for boot, one in self._machines.items() if one.fixed is not None}

    def _stamped(self, batches: Iterable[Batch]) -> list[Batch]:
        found = []
        fixed = self._fixed
        for batch in batches:
            ready = stamped(batch, fixed)
            if ready is None:
                break
            found.append(ready)
        return found

    def _waiting(self, unstamped: Iterable[Batch]) -> list[Waiting]:
        """Say what waits from each earlier boot of unknown time, the latest boot first."""
        found: dict[str, Waiting] = {}
        for batch in (*unstamped, *self._alarms.unstamped()):
            old = found.get(batch.machine)
            if old is None or batch.newest_us > old.newest_us:
                found[batch.machine] = Waiting(batch.machine, batch.newest_us, batch.guess_us)
        known = [boot for boot in reversed(self._machines) if boot in found]
        strange = [boot for boot in found if boot not in self._machines]
        done = self._fixed
        return [found[boot] for boot in (*known, *strange) if boot not in done and boot != self.clock.readers.machine]

    def _batches(self, samples: Sequence[Sample], stamp: Callable[[int], int] | None) -> Iterator[Batch]:
        """Put samples together to batches that are not too large for anybody on their way."""
        group: list[Sample] = []
        readings = 0
        for sample in samples:
            if group and readings + len(sample.points) > MAX_BATCH_READINGS:
                yield from self._encoded(group, stamp)
                group, readings = [], 0
            group.append(sample)
            readings += len(sample.points)
        if group:
            yield from self._encoded(group, stamp)

    def _encoded(self, samples: Sequence[Sample], stamp: Callable[[int], int] | None) -> Iterator[Batch]:
        plain = self._encoder.encode(samples, stamp=stamp)
        encoding, payload = pack(plain, at_least=self._deflate_from_bytes)
        if len(samples) > 1 and (len(payload) > MAX_PAYLOAD_BYTES or len(plain) > MAX_INFLATED_BYTES):
            half = len(samples) // 2
            yield from self._encoded(samples[:half], stamp)
            yield from self._encoded(samples[half:], stamp)
            return
        newest_us = samples[-1].at_us
        yield Batch(
            store=self._log.store,
            id=self._log.next_number(),
            is_alarm=False,
            readings=sum(len(sample.points) for sample in samples),
            boot=self.boot,
            encoding=encoding,
            payload=payload,
            clock=self.clock.mark() if stamp else None,
            machine="" if stamp else self.clock.readers.machine,
            newest_us=stamp(newest_us) if stamp else newest_us,
            guess_us=0 if stamp else self.clock.guess_us(),
        )


def _lock(path: Path) -> int:
    """Take the lock beside the file, so that two gateways never share an outbox; the kernel frees it at any end."""
    name = f"{path}.lock"
    try:
        lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.ENOSPC):
            raise StoreUnusableError(f"outbox {path} cannot be opened: {error.strerror}") from error
        # Nothing can be made here: the folder itself is locked.
        lock = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StoreInUseError(f"outbox {path} is used by another gateway that is running") from error
    return lock
