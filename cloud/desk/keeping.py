"""The one door through which an alarm changes: its row, its history and its escalation, in one transaction."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, insert, text, update

from cloud.database.tables import change, occurrence
from cloud.desk.changes import Actor, Changed, What
from cloud.desk.core import Alarm
from cloud.desk.history import changed_fields
from cloud.escalation.follow import follow

# "history", so that no other advisory lock meets it.
_HISTORY_LOCK = 0x686973746F7279


def keep(connection: Connection, changes: Sequence[Changed]) -> None:
    """Write what changed: the rows of `occurrence`, then its history, then what escalation makes of it.

    On PostgreSQL whoever appends to the history holds it until the commit, so that its ids are in the order of the
    commits and a reader that goes on after the last id it saw misses nothing. Lock rows before the first `keep` of a
    transaction, never after it.

    Args:
        connection: a transaction for writing, in which each `before` was read and locked.
        changes: in their order; of several of one occurrence each begins where the one before it ends.

    Raises:
        IntegrityError: another worker was first; repeat the transaction.
    """
    if not changes:
        return
    _write_rows(connection, changes)
    lock_history(connection)
    connection.execute(insert(change), [_to_change(one) for one in changes])
    follow(connection, changes)


def note(
    connection: Connection, what: What, *, target: str, area_path: str, actor: Actor, at_us: int, why: str
) -> None:
    """Append to the history what concerns no alarm but a source, or all sources whose name begins with `target`."""
    lock_history(connection)
    row = _change_row(what, actor, at_us=at_us, why=why)
    row |= {"alarm_id": None, "source": target, "area_path": area_path, "fields": {}}
    connection.execute(insert(change).values(row))


def lock_history(connection: Connection) -> None:
    """Let nobody else append to `change` until the commit; SQLite has one writer at a time anyhow."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:history)"), {"history": _HISTORY_LOCK})


def to_row(alarm: Alarm) -> dict[str, Any]:
    """Write a row of `occurrence`."""
    row: dict[str, Any] = msgspec.to_builtins(alarm)
    row["open_key"] = alarm.open_key
    return row


def to_alarm(row: Mapping[Any, Any]) -> Alarm:
    """Read a row of `occurrence`."""
    # The keys of SQLAlchemy are a subclass of str, which msgspec does not take.
    return msgspec.convert({str(key): value for key, value in row.items()}, Alarm)


def _write_rows(connection: Connection, changes: Sequence[Changed]) -> None:
    """Write each occurrence once, as it is after the last of its changes.

    Closed rows give up their source before new ones take it.
    """
    first: dict[str, Alarm | None] = {}
    last: dict[str, Alarm] = {}
    for one in changes:
        first.setdefault(one.after.alarm_id, one.before)
        last[one.after.alarm_id] = one.after
    opened: list[dict[str, Any]] = []
    # One statement for all rows in which the same columns changed.
    updates: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for alarm_id, after in last.items():
        before, new = first[alarm_id], to_row(after)
        if before is None:
            opened.append(new)
            continue
        old = to_row(before)
        columns = tuple(name for name, value in new.items() if old[name] != value)
        if columns:
            updates.setdefault(columns, []).append({"changed_id": alarm_id} | {name: new[name] for name in columns})
    for columns, rows in updates.items():
        statement = update(occurrence).where(occurrence.c.alarm_id == bindparam("changed_id"))
        connection.execute(statement.values({name: bindparam(name) for name in columns}), rows)
    if opened:
        connection.execute(insert(occurrence), opened)


def _to_change(one: Changed) -> dict[str, Any]:
    return _change_row(one.what, one.actor, at_us=one.at_us, why=one.why) | {
        "alarm_id": one.after.alarm_id,
        "source": one.after.source,
        "area_path": one.after.area_path,
        "fields": changed_fields(one.before, one.after),
    }


def _change_row(what: What, actor: Actor, *, at_us: int, why: str) -> dict[str, Any]:
    return {"at_us": at_us, "what": what.value, "by": actor.name, "origin": actor.origin, "why": why}
