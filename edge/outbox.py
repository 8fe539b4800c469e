"""The outbox: a SQLite file in which every batch waits until the cloud says that it is stored.

One row is one MQTT message, exactly as it will be sent. Used from one thread at a time; no network, no clock.

Room: telemetry has `max_bytes`, and when it is used up the oldest telemetry goes and is counted; alarms have
`alarm_bytes` of their own, which telemetry can never take.
"""

import contextlib
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from msgspec import Struct

from contract.alarms import AlarmEvent, Transition, encode_alarm
from contract.compression import ContentEncoding
from contract.telemetry import Lane
from edge.errors import StoreDamagedError, StoreFullError, StoreUnusableError

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
# A row costs about this much beside its payload.
_ROW_BYTES = 64


class Batch(Struct, frozen=True):
    """One stored message.

    Attributes:
        id: number in this outbox; rises, never used twice.
        is_alarm: one alarm event rather than readings.
        readings: how many readings (or events) it holds.
        boot: run of the gateway that made it.
    """

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

    def put_telemetry(self, payload: bytes, encoding: ContentEncoding, *, readings: int, boot: str) -> int:
        """Keep one batch of readings; returns its number.

        Raises:
            StoreFullError: the disk is full; nothing was kept.
        """
        with self._transaction():
            self._make_room(len(payload) + _ROW_BYTES)
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
        rows = self._connection.execute(
            "SELECT id, is_alarm, readings, boot, encoding, payload FROM batch"
            " WHERE is_alarm = ? AND id > ? AND id <= ? ORDER BY id LIMIT ?",
            (lane is Lane.ALARM, low, high, limit),
        )
        return [_batch(row) for row in rows]

    def get(self, number: int) -> Batch | None:
        """Return one batch; None when it is no longer there."""
        row = self._connection.execute(
            "SELECT id, is_alarm, readings, boot, encoding, payload FROM batch WHERE id = ?", (number,)
        ).fetchone()
        return row and _batch(row)

    def settle(self, numbers: Sequence[int]) -> None:
        """Forget batches whose receipt has come; unknown numbers are skipped."""
        with self._transaction():
            for number in numbers:
                gone = self._connection.execute(
                    "DELETE FROM batch WHERE id = ? RETURNING is_alarm, readings, length(payload)", (number,)
                ).fetchone()
                if gone:
                    self._count(bool(gone[0]), batches=-1, readings=-gone[1], size=-gone[2])

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
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                self._create(connection)
        except sqlite3.DatabaseError:
            connection.close()
            raise
        return connection

    @staticmethod
    def _create(connection: sqlite3.Connection) -> None:
        connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;")
        connection.execute("INSERT INTO meta VALUES ('store', ?)", (secrets.token_hex(6),))

    def set_damaged_aside(self) -> None:
        """Put the damaged file aside and go on with a new one: nobody stands beside a gateway in a cabinet.

        Raises:
            StoreUnusableError: not even a new file can be made.
        """
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

    def _meta(self, key: str) -> str:
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if row is None:
            # Killed between making the tables and naming the file.
            self._connection.execute("INSERT INTO meta VALUES (?, ?)", (key, secrets.token_hex(6)))
            return self._meta(key)
        return str(row[0])

    def _measure(self, *, is_alarm: bool) -> Depth:
        row = self._connection.execute(
            "SELECT count(*), coalesce(sum(readings), 0), coalesce(sum(length(payload)), 0) FROM batch"
            " WHERE is_alarm = ?",
            (is_alarm,),
        ).fetchone()
        return Depth(row[0], row[1], row[2] + row[0] * _ROW_BYTES)

    def _check_alarm_room(self, size: int) -> None:
        if self._depth[True].bytes + size > self._alarm_bytes:
            raise StoreFullError(f"outbox {self._path}: {self._alarm_bytes} bytes for alarms are used up")

    def _make_room(self, size: int) -> None:
        while self._depth[False].bytes + size > self._max_bytes:
            gone = self._connection.execute(
                "DELETE FROM batch WHERE id = (SELECT min(id) FROM batch WHERE is_alarm = 0)"
                " RETURNING readings, length(payload)"
            ).fetchone()
            if gone is None:
                return
            self.evicted += gone[0]
            self._count(is_alarm=False, batches=-1, readings=-gone[0], size=-gone[1])

    def _insert(self, payload: bytes, encoding: ContentEncoding, *, is_alarm: bool, readings: int, boot: str) -> int:
        number = self._connection.execute(
            "INSERT INTO batch (is_alarm, readings, boot, encoding, payload) VALUES (?, ?, ?, ?, ?)",
            (is_alarm, readings, boot, encoding.value, payload),
        ).lastrowid
        self._count(is_alarm, batches=1, readings=readings, size=len(payload))
        return number or 0

    def _count(self, is_alarm: bool, *, batches: int, readings: int, size: int) -> None:  # noqa: FBT001
        old = self._depth[is_alarm]
        self._depth[is_alarm] = Depth(
            old.batches + batches, old.readings + readings, old.bytes + size + batches * _ROW_BYTES
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, the counts of what waits included."""
        before, evicted = dict(self._depth), self.evicted
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except (sqlite3.DatabaseError, StoreFullError) as error:
            self._depth, self.evicted = before, evicted
            with contextlib.suppress(sqlite3.DatabaseError):
                self._connection.execute("ROLLBACK")
            if isinstance(error, StoreFullError):
                raise
            if isinstance(error, sqlite3.OperationalError):
                raise StoreFullError(f"outbox {self._path} cannot be written: {error}") from error
            raise StoreDamagedError(f"outbox {self._path}: {error}") from error


def _check(connection: sqlite3.Connection) -> None:
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)


def _batch(row: tuple[int, int, int, str, str, bytes]) -> Batch:
    return Batch(row[0], bool(row[1]), row[2], row[3], ContentEncoding(row[4]), row[5])
