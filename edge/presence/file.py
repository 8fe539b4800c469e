"""What must outlive a restart of tags: which are armed, and the stolen list. A small SQLite file beside the outbox."""

import contextlib
import logging
import sqlite3
from pathlib import Path

from contract.limits import MAX_STOLEN
from contract.tags import checksum_of
from edge.errors import StoreFullError
from edge.presence.arming import MAX_ARMED, Armed, decode_armed, encode_armed
from edge.presence.presence import Changes, Kept

log = logging.getLogger(__name__)

_TABLES = """
CREATE TABLE IF NOT EXISTS armed (tag TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stolen (tag TEXT PRIMARY KEY, note TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS list
    (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, checksum TEXT NOT NULL);
"""
# Nobody else uses it; a backup program may for a moment.
BUSY_S = 5.0


class TagFile:
    """The file; it is made when something is to be kept for the first time. To be used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Take the path; nothing is opened."""
        self._path = path

    def load(self) -> Kept:
        """Read what was kept; a damaged file is set aside, and nothing was kept then."""
        if not self._path.exists():
            return Kept()
        try:
            with contextlib.closing(self._open()) as connection:
                return _read(connection)
        except sqlite3.DatabaseError as error:
            aside = self._path.with_name(f"{self._path.name}.damaged")
            log.error("what was kept of tags cannot be read (%s); set aside as %s", error, aside)  # noqa: TRY400
            with contextlib.suppress(OSError):
                self._path.replace(aside)
            return Kept()

    def put(self, changes: Changes) -> None:
        """Keep changes, all or none of them; on the disk when it returns.

        Raises:
            StoreFullError: the file cannot be written; nothing was kept.
        """
        try:
            with contextlib.closing(self._open()) as connection, connection:
                _write(connection, changes)
        except sqlite3.Error as error:
            raise StoreFullError(f"{self._path} cannot be written: {error}") from error

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=BUSY_S)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_TABLES)
        except sqlite3.Error:
            connection.close()
            raise
        return connection


def _read(connection: sqlite3.Connection) -> Kept:
    rows = connection.execute(
        "SELECT tag, state FROM armed WHERE typeof(tag) = 'text' AND typeof(state) = 'blob' LIMIT ?", (MAX_ARMED,)
    )
    armed: dict[str, Armed] = {tag: state for tag, raw in rows if (state := decode_armed(raw)) is not None}
    stolen: dict[str, str] = dict(
        connection.execute(
            "SELECT tag, note FROM stolen WHERE typeof(tag) = 'text' AND typeof(note) = 'text' LIMIT ?", (MAX_STOLEN,)
        ).fetchall()
    )
    row = connection.execute("SELECT version, checksum FROM list").fetchone()
    if row is None or row[1] != checksum_of(stolen):
        # A list that has lost an entry is better than none; as version 0 the next push replaces it.
        return Kept(armed, 0, stolen)
    return Kept(armed, int(row[0]), stolen)


def _write(connection: sqlite3.Connection, changes: Changes) -> None:
    connection.executemany(
        "REPLACE INTO armed VALUES (?, ?)",
        [(tag, encode_armed(state)) for tag, state in changes.armed.items() if state is not None],
    )
    gone = [(tag,) for tag, state in changes.armed.items() if state is None]
    connection.executemany("DELETE FROM armed WHERE tag = ?", gone)
    if changes.stolen is not None:
        version, notes = changes.stolen
        connection.execute("DELETE FROM stolen")
        connection.executemany("INSERT INTO stolen VALUES (?, ?)", notes.items())
        connection.execute("REPLACE INTO list VALUES (1, ?, ?)", (version, checksum_of(notes)))
