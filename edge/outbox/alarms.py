"""The alarm file: a SQLite file with every alarm event until its receipt has come, and what must outlive a restart.

A commit is on the disk when it returns, through a power cut too. While the disk takes nothing the same tables are
kept in memory, bounded, and written down when it does again. Used from one thread at a time.
"""

import contextlib
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from contract.alarms import AlarmEvent, Transition, encode_alarm
from contract.compression import ContentEncoding
from contract.telemetry import ClockMark, ClockSource, clock_from_text
from edge.clock import Clock, TimelineState, is_wall
from edge.errors import StoreFullError, StoreUnusableError
from edge.outbox.ballast import Ballast
from edge.outbox.batch import Batch, Depth
from edge.outbox.stamping import Fixed, Unstamped, encode_unstamped, not_before, wall_of
from edge.outbox.tables import (
    TABLES,
    copy_table,
    copy_tables,
    is_damage,
    kind_of,
    open_file,
    open_memory,
    read_without_writing,
)
from edge.rules.standing import Standing, read_standings

_COLUMNS = "id, boot, source, at_us, machine, guess_us, clock, payload"
_INSERT = f"INSERT INTO alarm ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - our own words
_PUT_MACHINE = (
    "INSERT INTO machine (boot, offset_us, clock, timeline) VALUES (?, ?, ?, ?) ON CONFLICT (boot)"
    " DO UPDATE SET offset_us = excluded.offset_us, clock = excluded.clock, timeline = excluded.timeline"
)
# SQLite keeps in a column whatever is put there; what a damaged file has in its place is as if it were not there.
_ACTIVE = "SELECT source, standing FROM active WHERE typeof(source) = 'text' AND typeof(standing) = 'blob'"
_RAISED = (
    "SELECT source, raised_us, machine, wall_us FROM raised WHERE typeof(raised_us) = 'integer'"
    " AND typeof(machine) = 'text' AND typeof(wall_us) IN ('integer', 'null')"
)
_MACHINES = (
    "SELECT boot, offset_us, clock, timeline FROM machine WHERE typeof(boot) = 'text' AND typeof(clock) = 'text'"
    " AND typeof(offset_us) IN ('integer', 'null') AND typeof(timeline) = 'blob' ORDER BY seq DESC"
)
_ROW_BYTES = 64
# Numbers are reserved so many at a time, so that none is used twice although what is settled leaves no trace.
_RESERVE = 10_000
MAX_EVENTS_IN_MEMORY = 1_000
# Machine boots that are remembered; older ones have long been settled.
_MAX_MACHINES = 64
_TRIES = 3

Remembered = Sequence[tuple[str, bytes | None]]
Found = TypeVar("Found")


class Machine(Struct, frozen=True):
    """A boot of the machine, as the file remembers it."""

    boot: str
    fixed: Fixed | None = None
    timeline: TimelineState | None = None


class _SentData(Struct):
    at_us: int


class _Sent(Struct):
    """The part of a CloudEvent that tells when it happened."""

    data: _SentData


_sent_decoder = msgspec.json.Decoder(_Sent)


class AlarmFile:
    """An open alarm file.

    Attributes:
        store: random name of this file.
        set_aside: damaged files that this one replaced.
        spoilt: events given up because their rows were damaged.
        fault: why the disk does not take events just now: "outbox-full", "outbox-unwritable"; None while it does.
    """

    def __init__(self, path: Path, *, max_bytes: int, run: str, ballast: Ballast) -> None:
        """Open or create the file; a damaged one is set aside, and while the disk takes nothing it lives in memory.

        Args:
            path: of the file.
            max_bytes: room for events.
            run: of the gateway, put into every event's batch.
            ballast: given up when the disk is full.

        Raises:
            StoreUnusableError: its folder is missing, or may not be used.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._run = run
        self._reserved = 0
        self._ballast = ballast
        self.set_aside: list[Path] = []
        self.spoilt = 0
        self.fault: str | None = None
        # Memory took the place of a file that could not be read whole.
        self._is_partial = False
        if not path.parent.is_dir():
            raise StoreUnusableError(f"outbox {path} cannot be opened: there is no folder {path.parent}")
        self._connection = open_memory()
        self._open()
        self._load()

    def _open(self) -> None:
        try:
            self._connection = open_file(self._path)
        except sqlite3.DatabaseError as error:
            self._recover(error)
            if self.fault is not None:
                self._is_partial = not read_without_writing(self._path, self._connection)

    def close(self) -> None:
        """Close the file; everything put into it is on the disk, or `fault` says why not."""
        self.return_to_disk()
        self._connection.close()

    def put(
        self, events: Sequence[AlarmEvent], standing: Remembered, *, clock: Clock, fixed: Mapping[str, Fixed]
    ) -> None:
        """Keep events, one batch each, and what the rules remember; on the disk when it returns, see `fault`.

        Args:
            events: with steady times; they are stamped if the time is known.
            standing: by source what the rules want to be told after a restart; None forgets it.
            clock: says what time it is.
            fixed: offsets of the machine's boots.

        Raises:
            StoreFullError: the room for alarms is used up; nothing was kept.
        """

        def work() -> None:
            rows = [self._row(event, clock, fixed) for event in events]
            self._check_room(rows)
            self._connection.executemany(_INSERT, rows)
            for source, blob in standing:
                if blob is None:
                    self._connection.execute("DELETE FROM active WHERE source = ?", (source,))
                else:
                    self._connection.execute("INSERT OR REPLACE INTO active VALUES (?, ?)", (source, blob))

        self._do(work)
        self._measure()

    def next_batches(self, *, after: int, limit: int) -> list[Batch]:
        """Return up to `limit` events with numbers above `after`, oldest first."""
        return self._read("WHERE id > ? ORDER BY id LIMIT ?", (after, limit))

    def get(self, number: int) -> Batch | None:
        """Return one event; None when it is no longer there."""
        return next(iter(self._read("WHERE id = ?", (number,))), None)

    def settle(self, numbers: Sequence[int]) -> None:
        """Forget events whose receipt has come; unknown numbers are skipped.

        Raises:
            StoreFullError: another program holds the file.
        """
        rows = [(number,) for number in numbers if number < 2**63]
        self._do(lambda: self._connection.executemany("DELETE FROM alarm WHERE id = ?", rows))
        self._measure()

    def depth(self) -> Depth:
        """Return what waits."""
        return self._depth

    def oldest(self) -> Batch | None:
        """Return the event that waits longest."""
        return next(iter(self.next_batches(after=0, limit=1)), None)

    def standings(self, machine: str, fixed: Mapping[str, Fixed]) -> dict[str, Standing]:
        """Return the alarms that stand, by source, with times that the rules can compare with today's.

        What was raised on an earlier boot of the machine is given in wall time, or, while that is not known, as the
        beginning of steady time; its events get the true time all the same, see `_raised_at`.
        """
        remembered = read_standings(dict(self._connection.execute(_ACTIVE).fetchall()))
        found = {}
        for source, raised_us, boot, wall_us in self._connection.execute(
            f"{_RAISED} AND typeof(source) = 'text'"
        ).fetchall():
            standing = remembered.get(source, Standing(raised_us))
            if boot != machine and not is_wall(raised_us):
                known_us = wall_of(raised_us, boot, fixed) if wall_us is None else wall_us
                standing = replace(standing, raised_at_us=known_us or 1, triggered_at_us=0)
            found[source] = standing
        return found

    def note(self, key: str) -> bytes | None:
        """Return what was kept under a key."""
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (f"note.{key}",)).fetchone()
        return str(row[0]).encode() if row else None

    def put_note(self, key: str, text: bytes) -> None:
        """Keep a few bytes of UTF-8 through restarts.

        Raises:
            StoreFullError: another program holds the file.
        """
        row = (f"note.{key}", text.decode())
        self._do(lambda: self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", row))

    def machines(self) -> list[Machine]:
        """Return the machine's boots, the latest first."""
        return [_machine(*row) for row in self._connection.execute(_MACHINES).fetchall()]

    def put_machines(self, machines: Sequence[Machine]) -> None:
        """Remember boots, the earliest first: those known are changed, others added.

        Raises:
            StoreFullError: another program holds the file.
        """

        def work() -> None:
            self._connection.executemany(_PUT_MACHINE, [_row(machine) for machine in machines])
            forget = "DELETE FROM machine WHERE seq <= (SELECT max(seq) FROM machine) - ?"
            self._connection.execute(forget, (_MAX_MACHINES,))

        self._do(work)

    def unstamped(self) -> Iterator[Batch]:
        """Give the newest waiting event of each machine boot that is not stamped."""
        yield from self._read("WHERE id IN (SELECT max(id) FROM alarm WHERE clock = '' GROUP BY machine)", ())

    def return_to_disk(self) -> None:
        """After a fault: write down what is in memory, if the disk takes it again; else all stays as it is."""
        if self.fault is None:
            return
        connection = None
        try:
            connection = open_file(self._path)
            connection.execute("BEGIN IMMEDIATE")
            if self._is_partial:
                self._put_behind(connection)
            else:
                for table in TABLES:
                    connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own words
                    copy_table(self._connection, connection, table)
            connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if connection is not None:
                connection.close()
            if is_damage(error):
                # What is in memory finds a new file at the next try.
                with contextlib.suppress(OSError):
                    self.set_aside.append(self._move_aside())
            return
        self._connection.close()
        self._connection = connection
        self.fault = None
        if self._is_partial:
            self._is_partial = False
            with contextlib.suppress(StoreFullError):
                self._load()

    def _put_behind(self, disk: sqlite3.Connection) -> None:
        """Write what is in memory behind what the file holds, which could not be read when memory took its place."""
        reserved = disk.execute("SELECT value FROM meta WHERE key = 'reserved'").fetchone()
        highest = disk.execute("SELECT coalesce(max(id), 0) FROM alarm").fetchone()[0]
        highest = max(highest, int(reserved[0]) if reserved else 0)
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM alarm ORDER BY id").fetchall()  # noqa: S608
        disk.executemany(_INSERT, [(highest + count, *row[1:]) for count, row in enumerate(rows, start=1)])
        for table in ("active", "raised"):
            copy_table(self._connection, disk, table)
        disk.executemany(_PUT_MACHINE, [_row(machine) for machine in reversed(self.machines())])
        notes = self._connection.execute("SELECT * FROM meta WHERE key LIKE 'note.%'").fetchall()
        # Another name: what is under way has other numbers now.
        notes += [("store", secrets.token_hex(4)), ("reserved", str(highest + len(rows) + 1))]
        disk.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", notes)

    def _row(self, event: AlarmEvent, clock: Clock, fixed: Mapping[str, Fixed]) -> tuple[object, ...]:
        """Make the row of an event, stamped if the time is known, and note when its alarm was raised."""
        machine = clock.readers.machine
        raised_us, raised_machine = self._raised_at(event, clock, fixed)
        if event.transition is Transition.CLEARED:
            self._connection.execute("DELETE FROM raised WHERE source = ?", (event.source,))
        elif event.transition is Transition.RAISED:
            wall_us = raised_us if is_wall(raised_us) else None
            values = (event.source, event.raised_at_us, raised_machine, wall_us)
            self._connection.execute("INSERT OR REPLACE INTO raised VALUES (?, ?, ?, ?)", values)
        if is_wall(raised_us) and (machine in fixed or is_wall(event.at_us)):
            at_us = not_before(raised_us, clock.timeline.wall(event.at_us), event.transition, self._next)
            payload = encode_alarm(replace(event, raised_at_us=raised_us, at_us=at_us))
            machine, guess_us, mark = "", 0, clock.mark().to_text()
        else:
            payload = encode_unstamped(Unstamped(replace(event, raised_at_us=raised_us), machine, raised_machine))
            guess_us, mark = clock.guess_us(), ""
        self._next += 1
        return self._next - 1, self._run, event.source, event.at_us, machine, guess_us, mark, payload

    def _raised_at(self, event: AlarmEvent, clock: Clock, fixed: Mapping[str, Fixed]) -> tuple[int, str]:
        """Return when the event's alarm was raised: the wall time that its id is made of, or, while that is not known,
        the steady time of a machine boot.
        """
        known = self._connection.execute(f"{_RAISED} AND source = ?", (event.source,)).fetchone()
        if known is not None and event.transition is not Transition.RAISED:
            _, raised_us, machine, wall_us = known
            # Put down before the time was known: the offset that was fixed for it then, not the clock as it is now.
            return (wall_us or wall_of(raised_us, machine, fixed) or raised_us), machine
        machine = clock.readers.machine
        return (clock.timeline.wall(event.raised_at_us) if machine in fixed else event.raised_at_us), machine

    def _check_room(self, rows: Sequence[tuple[object, ...]]) -> None:
        size = sum(len(row[-1]) + _ROW_BYTES for row in rows if isinstance(row[-1], bytes))
        if self._depth.bytes + size > self._max_bytes:
            raise StoreFullError(f"outbox {self._path}: {self._max_bytes} bytes for alarms are used up")
        if self.fault is not None and self._depth.batches + len(rows) > MAX_EVENTS_IN_MEMORY:
            raise StoreFullError(f"outbox {self._path} cannot be written, and {self._depth.batches} events wait")
        if self._next > self._reserved:
            self._reserve()

    def _reserve(self) -> None:
        self._reserved = self._next + _RESERVE
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('reserved', ?)", (str(self._reserved),))

    def _load(self) -> None:
        """Take over what the file knows, and reserve numbers for this run."""
        meta = dict(self._connection.execute("SELECT key, value FROM meta").fetchall())
        highest = self._connection.execute("SELECT coalesce(max(id), 0) FROM alarm").fetchone()[0]
        self.store = meta.get("store") or secrets.token_hex(4)
        reserved = str(meta.get("reserved"))
        self._next = max(int(reserved) if reserved.isdecimal() else 1, highest + 1)

        def begin() -> None:
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('store', ?)", (self.store,))
            self._reserve()

        self._do(begin)
        self._measure()

    def _measure(self) -> None:
        ql = "SELECT count(*), coalesce(sum(length(payload)), 0) FROM alarm"
        count, size = self._connection.execute(ql).fetchone()
        self._depth = Depth(count, count, size + count * _ROW_BYTES)

    def _read(self, where: str, values: tuple[int, ...]) -> list[Batch]:
        """Read events; a row that cannot be one is deleted and counted, so that it cannot come up for ever."""

        def work() -> list[Batch]:
            rows = self._connection.execute(f"SELECT {_COLUMNS} FROM alarm {where}", values).fetchall()  # noqa: S608
            batches = [_batch(self.store, row) for row in rows]
            for row, batch in zip(rows, batches, strict=True):
                if batch is None:
                    self.spoilt += 1
                    self._connection.execute("DELETE FROM alarm WHERE id = ?", (row[0],))
            return [batch for batch in batches if batch is not None]

        return self._do(work)

    def _do(self, work: Callable[[], Found]) -> Found:
        """Do `work` in one transaction, whatever the disk does; on another file, or in memory, if need be.

        Raises:
            StoreFullError: another program holds the file, or nothing helped.
        """
        for _ in range(_TRIES):
            try:
                with self._transaction():
                    return work()
            except sqlite3.DatabaseError as error:
                self._recover(error)
        raise StoreFullError(f"outbox {self._path} cannot be written")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        is_done = False
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
            is_done = True
        finally:
            if not is_done:
                with contextlib.suppress(sqlite3.DatabaseError):
                    self._connection.execute("ROLLBACK")

    def _recover(self, error: sqlite3.DatabaseError) -> None:
        """Make another try possible after `error`.

        Raises:
            StoreFullError: another program holds the file, or there is nothing left to try.
        """
        # It may have been rolled back.
        self._reserved = 0
        kind = kind_of(error)
        if kind in ("SQLITE_BUSY", "SQLITE_LOCKED") or self.fault is not None:
            raise StoreFullError(f"outbox {self._path} cannot be written: {error}") from error
        if is_damage(error):
            self._put_aside()
        elif kind == "SQLITE_FULL":
            if not self._ballast.give_up():
                self._go_to_memory("outbox-full")
        else:
            self._go_to_memory("outbox-unwritable")

    def _put_aside(self) -> None:
        """Put a damaged file aside and go on with a new one: nobody stands beside a gateway in a cabinet.

        What can be read of it is taken over. When not even that is possible, memory takes its place.
        """
        self._connection.close()
        damaged = self._path
        try:
            damaged = aside = self._move_aside()
            fresh = open_file(self._path)
            with contextlib.closing(sqlite3.connect(aside)) as old:
                copy_tables(old, fresh)
        except (OSError, sqlite3.DatabaseError):
            self._connection = open_memory()
            self.fault = "outbox-unwritable"
            read_without_writing(damaged, self._connection)
            return
        self._connection = fresh
        self.set_aside.append(aside)
        # Another name: what is under way of the damaged file has numbers that may come again.
        self.store = secrets.token_hex(4)
        self._reserved = 0
        fresh.execute("INSERT OR REPLACE INTO meta VALUES ('store', ?)", (self.store,))
        self._measure()

    def _move_aside(self) -> Path:
        """Give the damaged file another name.

        Raises:
            OSError: the disk does not take it.
        """
        aside = self._path.with_name(f"{self._path.name}.damaged-{secrets.token_hex(4)}")
        self._path.rename(aside)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self._path}{suffix}").rename(f"{aside}{suffix}")
        return aside

    def _go_to_memory(self, fault: str) -> None:
        memory = open_memory()
        self._is_partial = not copy_tables(self._connection, memory)
        self._connection.close()
        self._connection = memory
        self.fault = fault


def _batch(store: str, row: tuple[object, ...]) -> Batch | None:
    """Make a batch of a row; None when a damaged sector has made it something else."""
    number, boot, source, at_us, machine, guess_us, text, payload = row
    mark = clock_from_text(str(text))
    if not (isinstance(number, int) and isinstance(at_us, int) and isinstance(guess_us, int)):
        return None
    if not isinstance(payload, bytes) or (mark is None and (text or not machine)):
        return None
    newest_us = at_us
    if mark is not None:
        try:
            newest_us = _sent_decoder.decode(payload).data.at_us
        except msgspec.DecodeError:
            return None
    return Batch(
        store, number, True, 1, str(boot), ContentEncoding.IDENTITY, payload,
        clock=mark, machine=str(machine), newest_us=newest_us, guess_us=guess_us, source=str(source), at_us=at_us,
    )  # fmt: skip


def _row(machine: Machine) -> tuple[str, int | None, str, bytes]:
    fixed, timeline = machine.fixed, machine.timeline
    blob = msgspec.json.encode(timeline) if timeline else b""
    return machine.boot, fixed.offset_us if fixed else None, fixed.mark.to_text() if fixed else "", blob


def _machine(boot: str, offset_us: int | None, text: str, blob: bytes) -> Machine:
    mark = clock_from_text(text) or ClockMark(ClockSource.ESTIMATED)
    fixed = None if offset_us is None else Fixed(offset_us, mark)
    with contextlib.suppress(msgspec.DecodeError):
        return Machine(boot, fixed, msgspec.json.decode(blob, type=TimelineState))
    return Machine(boot, fixed)
