"""The outbox: a SQLite file in which every batch waits until the cloud says that it is stored.

One row is one MQTT message, exactly as it will be sent. Used from one thread at a time; no network, no clock.

Room: telemetry has `max_bytes`, and when it is used up the oldest telemetry goes and is counted; alarms have
`alarm_bytes` of their own, which telemetry can never take.
"""

import contextlib
import fcntl
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from msgspec import Struct

from contract.alarms import AlarmEvent, Transition, encode_alarm
from contract.closed import member
from contract.compression import ContentEncoding
from contract.telemetry import Lane
from edge.errors import StoreDamagedError, StoreFullError, StoreInUseError, StoreUnusableError

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- AUTOINCREMENT: a number is never used twice, so a late receipt can never take the wrong batch.
CREATE TABLE batch (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    is_alarm INTEGER NOT NULL,
    readings INTEGER NOT NULL,
    boot TEXT NOT NULL,
    encoding TEXT NOT NULL,
    payload BLOB NOT NULL
);
CREATE INDEX batch_by_lane ON batch (is_alarm, id);
-- Alarms whose condition stands, so that a restart neither raises them again nor forgets to clear them.
CREATE TABLE active (source TEXT PRIMARY KEY, raised_at_us INTEGER NOT NULL) WITHOUT ROWID;
"""
_TABLES = ("active", "batch", "meta")
_COLUMNS = "id, is_alarm, readings, boot, encoding, payload"
# What a payload of length {0} takes in the file: a row's head, and whole pages once it no longer fits into a
# quarter of one. Source: SQLite file format, 1.5 and 1.6.
_LARGE = 1000
_COST = "CASE WHEN length({0}) > 1000 THEN (length({0}) + 4159) / 4096 * 4096 ELSE length({0}) + 64 END"


class Batch(Struct, frozen=True):
    """One stored message.

    Attributes:
        store: random name of the outbox file that holds it.
        id: number in that file; rises, never used twice.
        is_alarm: one alarm event rather than readings.
        readings: how many readings (or events) it holds.
        boot: run of the gateway that made it.
    """

    store: str
    id: int
    is_alarm: bool
    readings: int
    boot: str
    encoding: ContentEncoding
    payload: bytes


class Depth(Struct, frozen=True):
    """What waits: batches, readings in them, bytes they take."""

    batches: int = 0
    readings: int = 0
    bytes: int = 0


class Outbox:
    """An open outbox file.

    Attributes:
        store: random name of this file; part of every batch's correlation data.
        evicted: readings given up for want of room since it was opened.
        set_aside: the damaged file that this one replaced, if any.
    """

    def __init__(self, path: Path, *, max_bytes: int, alarm_bytes: int) -> None:
        """Open or create the file; a damaged one is set aside and a new one begun.

        Raises:
            StoreUnusableError: it can neither be opened nor made.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._alarm_bytes = alarm_bytes
        self.evicted = 0
        self.set_aside: Path | None = None
        self._lock = _lock(path)
        try:
            self._connection = self._connect()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise StoreUnusableError(f"outbox {path} cannot be opened: {error}") from error
            self._start_anew()
        self._load()

    def _load(self) -> None:
        self.store = self._meta("store")
        self._depth = {is_alarm: self._measure(is_alarm=is_alarm) for is_alarm in (False, True)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; everything put into it is already on the disk."""
        self._connection.close()
        os.close(self._lock)

    def put_telemetry(self, payload: bytes, encoding: ContentEncoding, *, readings: int, boot: str) -> int:
        """Keep one batch of readings; returns its number.

        Raises:
            StoreFullError: the disk is full; nothing was kept.
        """
        with self._transaction():
            self._make_room(_cost(len(payload)))
            return self._insert(payload, encoding, is_alarm=False, readings=readings, boot=boot)

    def put_alarms(self, events: Iterable[AlarmEvent], *, boot: str) -> None:
        """Keep alarm events, one row each, and remember which conditions stand; on the disk when it returns.

        Raises:
            StoreFullError: the room for alarms is used up, or the disk is full; nothing was kept.
        """
        with self._transaction():
            for event in events:
                payload = encode_alarm(event)
                self._check_alarm_room(len(payload))
                self._insert(payload, ContentEncoding.IDENTITY, is_alarm=True, readings=1, boot=boot)
                if event.transition is Transition.RAISED:
                    row = (event.source, event.raised_at_us)
                    self._connection.execute("INSERT OR REPLACE INTO active VALUES (?, ?)", row)
                else:
                    self._connection.execute("DELETE FROM active WHERE source = ?", (event.source,))

    def next_batches(self, lane: Lane, *, mark: int, after: int, limit: int) -> list[Batch]:
        """Return up to `limit` batches of a lane with numbers above `after`, oldest first.

        Args:
            lane: alarm; live is telemetry above `mark`; backfill is telemetry up to `mark`.
            mark: number of the newest batch that counts as backlog.
            after: the caller has already seen the numbers up to here.
            limit: at most so many.
        """
        low, high = after, 2**62
        if lane is Lane.LIVE:
            low = max(after, mark)
        elif lane is Lane.BACKFILL:
            high = mark
        return self._read(
            "WHERE is_alarm = ? AND id > ? AND id <= ? ORDER BY id LIMIT ?", (lane is Lane.ALARM, low, high, limit)
        )

    def get(self, number: int) -> Batch | None:
        """Return one batch; None when it is no longer there."""
        return next(iter(self._read("WHERE id = ?", (number,))), None)

    def settle(self, numbers: Sequence[int]) -> None:
        """Forget batches whose receipt has come; unknown numbers are skipped."""
        with self._transaction():
            for number in numbers:
                self._delete("WHERE id = ?", (number,))

    def newest(self) -> int:
        """Return the number of the newest batch ever put, 0 before the first."""
        row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'batch'").fetchone()
        return row[0] if row else 0

    def depth(self, *, is_alarm: bool) -> Depth:
        """Return what waits among alarms, or among telemetry."""
        return self._depth[is_alarm]

    def active(self) -> dict[str, int]:
        """Return the alarms whose condition stands: source -> raised_at_us."""
        return dict(self._connection.execute("SELECT source, raised_at_us FROM active").fetchall())

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # FULL: a commit is on the disk when it returns, also after a power cut.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA journal_size_limit = 8388608")
            _check(connection)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._create(connection)
            _check_schema(connection)
        except sqlite3.DatabaseError:
            connection.close()
            raise
        return connection

    @staticmethod
    def _create(connection: sqlite3.Connection) -> None:
        connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;")
        connection.execute("INSERT INTO meta VALUES ('store', ?)", (secrets.token_hex(6),))

    def set_damaged_aside(self, store: str) -> None:
        """Put the damaged file aside and go on with a new one: nobody stands beside a gateway in a cabinet.

        Alarms that can still be read, and which conditions stand, are taken over.

        Args:
            store: name of the damaged file; nothing happens when it has been replaced already.

        Raises:
            StoreUnusableError: not even a new file can be made.
        """
        if store != self.store:
            return
        self._connection.close()
        self._start_anew()
        self._load()

    def _start_anew(self) -> None:
        aside = self._path.with_name(f"{self._path.name}.damaged-{secrets.token_hex(4)}")
        try:
            self._path.rename(aside)
            for suffix in ("-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    Path(f"{self._path}{suffix}").rename(f"{aside}{suffix}")
            self._connection = self._connect()
        except (OSError, sqlite3.DatabaseError) as error:
            raise StoreUnusableError(f"outbox {self._path} is damaged and cannot be replaced: {error}") from error
        self.set_aside = aside
        self._salvage(aside)

    def _salvage(self, aside: Path) -> None:
        """Take over from the damaged file what can be read of its alarms; telemetry is left where it is."""
        alarms: list[tuple[object, ...]] = []
        active: list[tuple[object, ...]] = []
        with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(sqlite3.connect(aside)) as old:
            query = "SELECT is_alarm, readings, boot, encoding, payload FROM batch WHERE is_alarm = 1 ORDER BY id"
            for found, ql in ((active, "SELECT source, raised_at_us FROM active"), (alarms, query)):
                with contextlib.suppress(sqlite3.DatabaseError):
                    # Row by row, so that those before the damage are had.
                    found.extend(old.execute(ql))
        ql = "INSERT INTO batch (is_alarm, readings, boot, encoding, payload) VALUES (?, ?, ?, ?, ?)"
        with contextlib.suppress(sqlite3.DatabaseError):
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(ql, alarms)
            self._connection.executemany("INSERT OR REPLACE INTO active VALUES (?, ?)", active)
            self._connection.execute("COMMIT")

    def _meta(self, key: str) -> str:
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if row is None:
            # Killed between making the tables and naming the file.
            self._connection.execute("INSERT INTO meta VALUES (?, ?)", (key, secrets.token_hex(6)))
            return self._meta(key)
        return str(row[0])

    def _measure(self, *, is_alarm: bool) -> Depth:
        row = self._connection.execute(
            "SELECT count(*), coalesce(sum(readings), 0), coalesce(sum("  # noqa: S608 - our own words
            + _COST.format("payload")
            + "), 0) FROM batch WHERE is_alarm = ?",
            (is_alarm,),
        ).fetchone()
        return Depth(row[0], row[1], row[2])

    def _check_alarm_room(self, size: int) -> None:
        if self._depth[True].bytes + _cost(size) > self._alarm_bytes:
            raise StoreFullError(f"outbox {self._path}: {self._alarm_bytes} bytes for alarms are used up")

    def _make_room(self, size: int) -> None:
        while self._depth[False].bytes + size > self._max_bytes:
            readings = self._delete("WHERE id = (SELECT min(id) FROM batch WHERE is_alarm = 0)", ())
            if readings is None:
                return
            self.evicted += readings

    def _insert(self, payload: bytes, encoding: ContentEncoding, *, is_alarm: bool, readings: int, boot: str) -> int:
        number = self._connection.execute(
            "INSERT INTO batch (is_alarm, readings, boot, encoding, payload) VALUES (?, ?, ?, ?, ?)",
            (is_alarm, readings, boot, encoding.value, payload),
        ).lastrowid
        self._count(is_alarm, batches=1, readings=readings, cost=_cost(len(payload)))
        return number or 0

    def _delete(self, where: str, values: tuple[int, ...]) -> int | None:
        """Delete one row inside a transaction; returns its readings, None when there is no such row."""
        gone = self._connection.execute(
            f"DELETE FROM batch {where} RETURNING is_alarm, readings, length(payload)",  # noqa: S608 - our own words
            values,
        ).fetchone()
        if gone is None:
            return None
        self._count(bool(gone[0]), batches=-1, readings=-gone[1], cost=-_cost(gone[2]))
        return int(gone[1])

    def _read(self, where: str, values: tuple[int | bool, ...]) -> list[Batch]:
        """Read batches; a row that cannot be one is deleted and counted, so that it cannot come up for ever.

        Raises:
            StoreDamagedError: SQLite cannot read the file.
        """
        try:
            rows = self._connection.execute(f"SELECT {_COLUMNS} FROM batch {where}", values).fetchall()  # noqa: S608
        except sqlite3.DatabaseError as error:
            raise StoreDamagedError(f"outbox {self._path}: {error}") from error
        batches = [_batch(self.store, row) for row in rows]
        for row, batch in zip(rows, batches, strict=True):
            if batch is None:
                with self._transaction():
                    self.evicted += self._delete("WHERE id = ?", (row[0],)) or 0
        return [batch for batch in batches if batch is not None]

    def _count(self, is_alarm: bool, *, batches: int, readings: int, cost: int) -> None:  # noqa: FBT001
        old = self._depth[is_alarm]
        self._depth[is_alarm] = Depth(old.batches + batches, old.readings + readings, old.bytes + cost)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, the counts of what waits included."""
        before, evicted, is_done = dict(self._depth), self.evicted, False
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
            is_done = True
        except sqlite3.OperationalError as error:
            raise StoreFullError(f"outbox {self._path} cannot be written: {error}") from error
        except sqlite3.DatabaseError as error:
            raise StoreDamagedError(f"outbox {self._path}: {error}") from error
        finally:
            if not is_done:
                self._depth, self.evicted = before, evicted
                with contextlib.suppress(sqlite3.DatabaseError):
                    self._connection.execute("ROLLBACK")


def _lock(path: Path) -> int:
    """Take the lock beside the file, so that two gateways never share an outbox; the kernel frees it at any end."""
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnusableError(f"outbox {path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StoreInUseError(f"outbox {path} is used by another gateway that is running") from error
    return lock


def _check_schema(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    if version != _SCHEMA_VERSION or not set(_TABLES) <= set(names):
        raise sqlite3.DatabaseError(f"version {version} is not {_SCHEMA_VERSION}, or a table is missing")


def _check(connection: sqlite3.Connection) -> None:
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)


def _batch(store: str, row: tuple[int, int, int, object, object, object]) -> Batch | None:
    """Make a batch of a row; None when a damaged sector has made it something else."""
    encoding = member(ContentEncoding, str(row[4]))
    boot, payload = row[3], row[5]
    if encoding is None or not isinstance(payload, bytes) or not isinstance(boot, str):
        return None
    return Batch(store, row[0], bool(row[1]), row[2], boot, encoding, payload)


def _cost(size: int) -> int:
    """The same as `_COST`, for a payload of `size` bytes."""
    return (size + 4159) // 4096 * 4096 if size > _LARGE else size + 64
