"""From the outbox of version 1, one SQLite file for everything, to an alarm file and a telemetry log.

The old file stays as it is until everything stands in the new ones; an upgrade that is cut short begins anew.
"""

import contextlib
import os
import sqlite3
from pathlib import Path

from contract.alarms import decode_alarm
from contract.closed import member
from contract.compression import ContentEncoding
from contract.errors import DecodeError
from contract.telemetry import NO_BOOT, ClockMark, ClockSource
from edge.errors import StoreUnusableError
from edge.outbox.batch import Batch
from edge.outbox.log import TelemetryLog, remove
from edge.outbox.segment import sync_folder
from edge.outbox.tables import make_tables

_OLD_VERSION = 1
_ROWS_AT_ONCE = 200
_UNKNOWN = ClockMark(ClockSource.ESTIMATED)


def migrate(path: Path, folder: Path, *, max_bytes: int, gateway: str) -> None:
    """Take over what an outbox of version 1 holds; does nothing for any other file.

    Args:
        path: the outbox, which becomes the alarm file.
        folder: of the telemetry log.
        max_bytes: room for telemetry; what is beyond it goes, the oldest first, as ever.
        gateway: id of the gateway, to read its alarms.

    Raises:
        StoreUnusableError: the disk has no room for both; the old file is as it was.
    """
    if not path.exists():
        return
    fresh = path.with_name(f"{path.name}.new")
    try:
        with contextlib.closing(sqlite3.connect(path)) as old:
            if old.execute("PRAGMA user_version").fetchone()[0] != _OLD_VERSION:
                return
            remove(folder)
            _move_telemetry(old, folder, max_bytes=max_bytes)
            _make_alarm_file(old, fresh, gateway)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorname", "") not in ("SQLITE_FULL", "SQLITE_READONLY"):
            # Damaged: the alarm file sets it aside and saves what it can.
            return
        raise StoreUnusableError(f"outbox {path} cannot be brought to the present version: {error}") from error
    except OSError as error:
        raise StoreUnusableError(f"outbox {path} cannot be brought to the present version: {error}") from error
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    fresh.replace(path)
    # Were the name lost in a power cut, the move would begin anew and remove what has come since.
    with contextlib.suppress(OSError):
        sync_folder(path.parent)


def _move_telemetry(old: sqlite3.Connection, folder: Path, *, max_bytes: int) -> None:
    log = TelemetryLog(folder, max_bytes=max_bytes, run=NO_BOOT, machine="")
    try:
        rows = old.execute("SELECT readings, encoding, payload FROM batch WHERE is_alarm = 0 ORDER BY id")
        while some := rows.fetchmany(_ROWS_AT_ONCE):
            log.put([_batch(log, row) for row in some if _is_whole(row)])
            if log.fault:
                raise OSError(f"{folder} cannot be written: {log.fault}")
        log.sync()
    finally:
        log.close()


def _is_whole(row: tuple[object, ...]) -> bool:
    return member(ContentEncoding, str(row[1])) is not None and isinstance(row[2], bytes)


def _batch(log: TelemetryLog, row: tuple[int, str, bytes]) -> Batch:
    readings, encoding, payload = row
    number = log.next_number()
    return Batch(log.store, number, False, readings, NO_BOOT, ContentEncoding(encoding), payload, clock=_UNKNOWN)


def _make_alarm_file(old: sqlite3.Connection, fresh: Path, gateway: str) -> None:
    fresh.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(fresh, isolation_level=None)) as new:
        new.execute("PRAGMA synchronous = FULL")
        make_tables(new)
        new.execute("BEGIN")
        newest = old.execute("SELECT seq FROM sqlite_sequence WHERE name = 'batch'").fetchone()
        store = old.execute("SELECT value FROM meta WHERE key = 'store'").fetchone()
        new.execute("INSERT INTO meta VALUES ('reserved', ?)", (str((newest[0] if newest else 0) + 1),))
        new.execute("INSERT INTO meta SELECT 'store', ? WHERE ? IS NOT NULL", (store and store[0], store and store[0]))
        for number, boot, payload in old.execute("SELECT id, boot, payload FROM batch WHERE is_alarm = 1 ORDER BY id"):
            with contextlib.suppress(DecodeError):
                event = decode_alarm(payload, gateway=gateway)
                row = (number, boot, event.source, event.at_us, "", 0, _UNKNOWN.to_text(), payload)
                new.execute("INSERT INTO alarm VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        for source, raised_at_us in old.execute("SELECT source, raised_at_us FROM active"):
            new.execute("INSERT INTO raised VALUES (?, ?, '', ?)", (source, raised_at_us, raised_at_us))
        new.execute("COMMIT")
    descriptor = os.open(fresh, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
