"""The rows of the sheets in the database: read as they stand, written in bulk."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Table, and_, bindparam, delete, func, insert, select, text, update

from cloud.areas.chunks import chunked
from cloud.areas.faults import Bad
from cloud.areas.merging import Changes, Merged, State
from cloud.areas.sheets import AREAS, CONTACTS, DEVICES, DUTIES, GATEWAYS, SHEETS, SITES, Key, Row, Sheet
from cloud.database.area_tables import handover
from cloud.database.people_tables import audit, user
from cloud.database.tables import occurrence
from cloud.i18n import N_

# "areas", so that two imports come one after the other.
_IMPORT_LOCK = 0x6172656173
_ROWS_AT_ONCE = 5_000
IMPORTED = "areas-imported"
"""What the audit calls an import; nothing else changes these rows."""

OnRows = Callable[[int], None]
"""Told how many rows more have been written."""


def needed_for(names: Iterable[str]) -> list[str]:
    """The sheets that must be known to check rows of some: themselves, and all that they refer to."""
    needed: set[str] = set()
    ways = list(names)
    while ways:
        name = ways.pop()
        if name not in needed:
            needed.add(name)
            ways += [target for _column, target in SHEETS[name].refers]
            # Steps of a policy name contacts.
            ways += [CONTACTS.name] if name == "policies" else []
    return [name for name in SHEETS if name in needed]


def lock(connection: Connection) -> None:
    """Let no other import come between; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _IMPORT_LOCK})


def read_revision(connection: Connection) -> int:
    """Tell the last import that changed something; 0 before the first."""
    return connection.scalar(select(func.max(audit.c.id)).where(audit.c.what == IMPORTED)) or 0


def read_state(connection: Connection, names: Iterable[str]) -> State:
    """Read all rows of some sheets."""
    state: State = {}
    for sheet in (SHEETS[name] for name in names):
        columns = [column.name for column in sheet.table.columns]
        rows = (dict(zip(columns, row, strict=True)) for row in connection.execute(select(sheet.table)))
        state[sheet.name] = {sheet.key_of(row): row for row in rows}
    return state


def read_hanging(connection: Connection, *, now_us: int) -> dict[str, dict[Key, Bad]]:
    """Read what must stay: places of open alarms, what users belong to, and whoever takes over now or later."""
    hanging: dict[str, dict[Key, Bad]] = {name: {} for name in SHEETS}
    where = occurrence.c.gateway, occurrence.c.device, occurrence.c.site, occurrence.c.area
    for row in connection.execute(select(*where).where(occurrence.c.closed_at_us.is_(None)).distinct()):
        why = Bad(N_("an alarm is open there"))
        hanging[DEVICES.name][row.gateway, row.device] = why
        for sheet, one in ((GATEWAYS, row.gateway), (SITES, row.site), (AREAS, row.area)):
            hanging[sheet.name][one,] = why
    for name, of_area, of_contact in connection.execute(select(user.c.name, user.c.area, user.c.contact)):
        for sheet, one in ((AREAS, of_area), (CONTACTS, of_contact)):
            hanging[sheet.name].setdefault((one,), Bad(N_("user {name} belongs to it"), {"name": name}))
    lasting = select(handover.c.area, handover.c.contact).where(handover.c.until_us > now_us)
    for of_area, of_contact in connection.execute(lasting):
        for sheet, one in ((AREAS, of_area), (CONTACTS, of_contact)):
            hanging[sheet.name].setdefault((one,), Bad(N_("a hand-over is not over")))
    return hanging


def write(connection: Connection, merged: Merged, on_rows: OnRows) -> None:
    """Write what an import comes to: what is referred to comes first, and goes last."""
    for name, changes in merged.changes.items():
        sheet = SHEETS[name]
        _write(connection, insert(sheet.table), changes.added, on_rows)
        _write(connection, _update(sheet), [_with_key(sheet, row) for row in changes.changed], on_rows)
    for name, changes in reversed(merged.changes.items()):
        _remove(connection, SHEETS[name], changes, on_rows)


def _update(sheet: Sheet) -> Any:
    table = sheet.table
    others = (column.name for column in table.columns if column.name not in sheet.key)
    values: dict[str, Any] = {name: bindparam(name) for name in others}
    return update(table).where(_is_key(table, sheet.key)).values(values)


def _is_key(table: Table, key: Collection[str]) -> Any:
    return and_(*(table.c[name] == bindparam(f"key_{name}") for name in key))


def _with_key(sheet: Sheet, row: Row) -> Row:
    return {f"key_{name}" if name in sheet.key else name: value for name, value in row.items()}


def _remove(connection: Connection, sheet: Sheet, changes: Changes, on_rows: OnRows) -> None:
    if sheet in (AREAS, CONTACTS):
        # Those that are over tell nothing any more; that they were is in the audit.
        gone = [row["id"] for row in changes.removed]
        column = handover.c.area if sheet is AREAS else handover.c.contact
        for some in chunked(gone):
            connection.execute(delete(handover).where(column.in_(some)))
    key = ("id",) if sheet is DUTIES else sheet.key
    rows = [{f"key_{name}": row[name] for name in key} for row in changes.removed]
    _write(connection, delete(sheet.table).where(_is_key(sheet.table, key)), rows, on_rows)


def _write(connection: Connection, statement: Any, rows: Sequence[Row], on_rows: OnRows) -> None:
    for some in chunked(rows, _ROWS_AT_ONCE):
        connection.execute(statement, some)
        on_rows(len(some))
