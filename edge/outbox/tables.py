"""The tables of the alarm file, on the disk or in memory, and what SQLite's errors mean for them."""

import contextlib
import shutil
import sqlite3
import tempfile
from pathlib import Path

SCHEMA_VERSION = 2
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- clock: how good the times are; empty while they are steady times of the machine boot in `machine`.
CREATE TABLE alarm (
    id INTEGER PRIMARY KEY, boot TEXT NOT NULL, source TEXT NOT NULL, at_us INTEGER NOT NULL,
    machine TEXT NOT NULL, guess_us INTEGER NOT NULL, clock TEXT NOT NULL, payload BLOB NOT NULL
);
-- What the rules remember of an alarm that stands, so that a restart neither raises it again nor forgets to clear it.
CREATE TABLE active (source TEXT PRIMARY KEY, standing BLOB NOT NULL) WITHOUT ROWID;
-- When a standing alarm was raised: as the rules count, and the wall time that its id was made of, once it has one.
CREATE TABLE raised (
    source TEXT PRIMARY KEY, raised_us INTEGER NOT NULL, machine TEXT NOT NULL, wall_us INTEGER
) WITHOUT ROWID;
-- The machine's boots in their order, and the offset from steady to wall time, once fixed.
CREATE TABLE machine (
    seq INTEGER PRIMARY KEY, boot TEXT NOT NULL UNIQUE, offset_us INTEGER, clock TEXT NOT NULL, timeline BLOB NOT NULL
);
"""
TABLES = ("meta", "alarm", "active", "raised", "machine")
_MEMORY = ":memory:"
_MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - a folder of a random name is made in it


def open_file(path: Path) -> sqlite3.Connection:
    """Open or make an alarm file.

    Raises:
        DatabaseError: see SQLite; also for a file of another version.
    """
    connection = sqlite3.connect(path, timeout=2.0, isolation_level=None, check_same_thread=False)
    try:
        # Nobody else reads it while it is open, so there is no shared memory file that would be written too.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL: a commit is on the disk when it returns, also after a power cut.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 1048576")
        _check_pages(connection)
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            make_tables(connection)
        _check_schema(connection)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def make_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of the present version in an empty file."""
    connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")


def open_memory() -> sqlite3.Connection:
    """Make the same tables in memory."""
    connection = sqlite3.connect(_MEMORY, isolation_level=None, check_same_thread=False)
    make_tables(connection)
    return connection


def read_without_writing(path: Path, target: sqlite3.Connection) -> bool:
    """Take over a file on a disk that cannot be written; true when all of it was had.

    SQLite reads its journal only where it may write too, so a copy is read, in memory: the disk may be full.
    """
    if not path.exists():
        return True
    try:
        with tempfile.TemporaryDirectory(dir=_MEMORY_FOLDER if _MEMORY_FOLDER.is_dir() else None) as folder:
            for suffix in ("", "-wal"):
                if Path(f"{path}{suffix}").exists():
                    shutil.copy(f"{path}{suffix}", folder)
            with contextlib.closing(sqlite3.connect(Path(folder) / path.name)) as copy:
                return copy_tables(copy, target)
    except (OSError, sqlite3.DatabaseError):
        return False


def copy_tables(source: sqlite3.Connection, target: sqlite3.Connection) -> bool:
    """Copy all tables, or what can be read of them; true when that is everything."""
    # Every one of them, though one before it was damaged.
    had = [copy_table(source, target, table) for table in TABLES]
    return all(had)


def copy_table(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> bool:
    """Copy a table, or what can be read of it; true when that is everything."""
    rows: list[tuple[object, ...]] = []
    try:
        # Row by row, so that those before the damage are had.
        rows.extend(source.execute(f"SELECT * FROM {table}"))  # noqa: S608 - our own words
        is_whole = True
    except sqlite3.DatabaseError:
        is_whole = False
    if rows:
        places = ", ".join("?" * len(rows[0]))
        with contextlib.suppress(sqlite3.IntegrityError):
            target.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({places})", rows)  # noqa: S608
    return is_whole


def kind_of(error: sqlite3.DatabaseError) -> str:
    """Name SQLite's primary result code, or the extended one for failures of reading and writing."""
    name = getattr(error, "sqlite_errorname", "SQLITE_CORRUPT")
    return name if name.startswith("SQLITE_IOERR") else "_".join(name.split("_")[:2])


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Tell a file that cannot be read for what it was written from one that cannot be written."""
    kinds = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT", "SQLITE_ERROR", "SQLITE_IOERR_READ")
    return kind_of(error) in (*kinds, "SQLITE_IOERR_SHORT_READ", "SQLITE_IOERR_CORRUPTFS")


def _check_pages(connection: sqlite3.Connection) -> None:
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)


def _check_schema(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    if version != SCHEMA_VERSION or not set(TABLES) <= set(names):
        raise sqlite3.DatabaseError(f"version {version} is not {SCHEMA_VERSION}, or a table is missing")
