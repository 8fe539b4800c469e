"""The history of alarms for whoever acts on it: each reader goes on from its own cursor and misses nothing."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cloud.database.tables import change, cursor

AT_ONCE = 500
"""So many changes are read in one transaction."""


def begin_here(connection: Connection, name: str) -> None:
    """Give a new reader its cursor, at the end of the history; one that has one goes on from there."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    newest = connection.execute(select(func.coalesce(func.max(change.c.id), 0))).scalar_one()
    connection.execute(dialect.insert(cursor).on_conflict_do_nothing(), {"name": name, "change_id": newest})


def has_changes(connection: Connection, name: str) -> bool:
    """Tell whether anything has happened since a reader's cursor; changes nothing."""
    after = select(cursor.c.change_id).where(cursor.c.name == name).scalar_subquery()
    return connection.execute(select(change.c.id).where(change.c.id > after).limit(1)).first() is not None


def take_changes(connection: Connection, name: str, *, limit: int = AT_ONCE) -> Sequence[RowMapping]:
    """Read the next rows of `change` and move the cursor behind them, in the caller's transaction.

    One worker at a time: the cursor stays locked until the commit.
    """
    mine = select(cursor.c.change_id).where(cursor.c.name == name).with_for_update()
    after = connection.execute(mine).scalar_one_or_none()
    if after is None:
        return []
    query = select(change).where(change.c.id > after).order_by(change.c.id).limit(limit)
    rows = connection.execute(query).mappings().all()
    if rows:
        connection.execute(update(cursor).where(cursor.c.name == name).values(change_id=rows[-1]["id"]))
    return rows
