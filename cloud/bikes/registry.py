"""The registry of bikes and their owners: brought in from files, all or nothing, and written into files again."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from msgspec import Struct
from msgspec.msgpack import Decoder, Encoder
from sqlalchemy import Connection, bindparam, delete, func, insert, select, text, update

from cloud.areas.chunks import chunked
from cloud.areas.faults import Faults, Where
from cloud.areas.rows import Entry
from cloud.areas.sheets import Row, Sheet
from cloud.bikes import altering
from cloud.bikes.arming import How, disarm
from cloud.bikes.sheets import BIKES, EVERY_DAY, OWNERS, SHEETS, read_file, write_row
from cloud.database import Database
from cloud.database.area_tables import area
from cloud.database.bike_tables import bike, bike_arming, bike_owner, bike_tag
from cloud.desk.changes import Actor
from cloud.i18n import N_
from cloud.people.audit import note

_ROWS_AT_ONCE = 500
# "bikes", so that two imports come one after the other.
_IMPORT_LOCK = 0x62696B6573
IMPORTED = "bikes-imported"
EXPORTED = "bike-owners-exported"
OWNER_FORGOTTEN = "bike-owner-forgotten"
"""What the audit calls them."""

_HELD = N_("bike {bike} is stolen or has an open case: it keeps its tag until it is recovered")
_LENGTH_BYTES = 4
_decoder = Decoder(tuple[str, list[Row]])

OnRows = Callable[[int], None]


class Brought(Struct):
    """How many rows of a sheet became what."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0


def find_sheet(path: Path) -> Sheet | None:
    """Tell from its name what a file holds: bikes.csv, bikes-wuzhong.csv, owners.csv; None: neither."""
    name = path.name.lower()
    return next((SHEETS[one] for one in SHEETS if name.startswith(one) and name.endswith(".csv")), None)


def bring_in(
    database: Database, paths: Sequence[Path], *, actor: Actor, at_us: int, dry_run: bool, on_rows: OnRows
) -> dict[str, Brought]:
    """Bring in files of bikes and owners: new rows are added, others changed, none removed.

    All or nothing, in one transaction; what columns a file does not have stays as it is. Reading and checking holds up
    no writer. Memory: the ids and tags of the files, and 500 rows; the rows themselves wait in a temporary file.

    Args:
        database: the desk's.
        paths: called as `find_sheet` says; bikes come before owners.
        actor: who imports.
        at_us: when.
        dry_run: only find the faults, and say what would change.
        on_rows: told of rows taken, once as they are read and once as they are written.

    Raises:
        ImportRefusedError: with every fault; nothing was written.
        DatabaseAwayError, DatabaseRefusedError: as `Database.run`.
    """
    with TemporaryFile() as spool:
        brought = database.read(partial(_check, paths, spool, on_rows))
        if not dry_run:
            brought = database.run(partial(_bring_in, spool, actor, at_us, on_rows))
        return brought


def _check(
    paths: Sequence[Path], spool: BinaryIO, on_rows: OnRows, connection: Connection
) -> dict[str, Brought]:  # fmt: skip
    """Read all files into the spool, and tell what would change."""
    faults, encoder = Faults(), Encoder()
    brought: dict[str, Brought] = {}
    new_bikes: set[str] = set()
    for sheet in SHEETS.values():
        known = _Known(connection, sheet, new_bikes)
        for path in paths:
            if find_sheet(path) is sheet:
                for some in _pieces(known.sound(read_file(path, sheet, faults), faults)):
                    rows = known.checked(some, faults)
                    _compare(connection, sheet, rows, brought.setdefault(sheet.name, Brought()))
                    data = encoder.encode((sheet.name, rows))
                    spool.write(len(data).to_bytes(_LENGTH_BYTES) + data)
                    on_rows(len(some))
    for path in paths:
        if find_sheet(path) is None:
            faults.lose(Where(str(path)), N_("is called like none of {names}"), names="bikes*.csv, owners*.csv")
    faults.settle()
    return brought


def _bring_in(
    spool: BinaryIO, actor: Actor, at_us: int, on_rows: OnRows, connection: Connection
) -> dict[str, Brought]:  # fmt: skip
    """Write what is in the spool."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _IMPORT_LOCK})
    brought: dict[str, Brought] = {}
    spool.seek(0)
    while length := spool.read(_LENGTH_BYTES):
        name, rows = _decoder.decode(spool.read(int.from_bytes(length)))
        sheet = SHEETS[name]
        added, pairs = _compare(connection, sheet, rows, brought.setdefault(name, Brought()))
        if sheet is BIKES:
            _refuse_held(connection, rows)
            altering.disarm_altered(connection, pairs, by=actor.name, now_us=at_us)
        _write(connection, sheet, added, [row for _, row in pairs])
        if sheet is BIKES:
            altering.forget_tags(connection, pairs, now_us=at_us)
        on_rows(len(rows))
    if any(one.added or one.changed for one in brought.values()):
        details = {name: {"added": one.added, "changed": one.changed} for name, one in brought.items()}
        note(connection, actor=actor, what=IMPORTED, object_=", ".join(details), details=details, at_us=at_us)
    return brought


def _refuse_held(connection: Connection, rows: Sequence[Row]) -> None:
    """Look again at what was checked before: somebody may have stolen a bike since."""
    faults = Faults()
    for bike_id in sorted(altering.held(connection, rows)):
        faults.add(Where(BIKES.name), _HELD, bike=bike_id)
    faults.settle()


class _Known:
    """What rows of a sheet may say: areas that there are, tags that are free, bikes that there are."""

    def __init__(self, connection: Connection, sheet: Sheet, new_bikes: set[str]) -> None:
        self._connection = connection
        self._sheet = sheet
        self._areas = set(connection.execute(select(area.c.id)).scalars()) if sheet is BIKES else set()
        # What the files name; of bikes, for their owners too.
        self._new_bikes = new_bikes
        self._keys: set[str] = new_bikes if sheet is BIKES else set()
        self._tags: set[str] = set()

    def sound(self, entries: Iterator[Entry], faults: Faults) -> Iterator[Entry]:
        """Pass on what contradicts nothing before it; the rest is noted."""
        (key,) = self._sheet.key
        for entry in entries:
            row, where = entry.row, entry.where
            count = faults.count
            if row[key] in self._keys:
                faults.add(where, N_("{row} stands in the files twice"), row=f"{self._sheet.kind} {row[key]}")
            if self._sheet is BIKES and row["area"] is not None and row["area"] not in self._areas:
                faults.add(where, N_("there is no area {area}"), area=row["area"])
            if (tag := row.get("tag")) is not None:
                if tag in self._tags:
                    faults.add(where, N_("tag {tag} stands in the files twice"), tag=tag)
                self._tags.add(tag)
            self._keys.add(row[key])
            if faults.count == count:
                yield entry

    def checked(self, entries: Sequence[Entry], faults: Faults) -> list[Row]:
        """Pass on what contradicts nothing in the database; nothing once there is a fault, for nothing is kept."""
        if self._sheet is OWNERS:
            wanted = [entry.row["bike"] for entry in entries]
            found = set(self._connection.execute(select(bike.c.id).where(bike.c.id.in_(wanted))).scalars())
            for entry in entries:
                if entry.row["bike"] not in found and entry.row["bike"] not in self._new_bikes:
                    faults.add(entry.where, N_("there is no bike {bike}"), bike=entry.row["bike"])
        else:
            tags = {entry.row["tag"]: entry for entry in entries if entry.row.get("tag") is not None}
            query = select(bike.c.tag, bike.c.id).where(bike.c.tag.in_(tags))
            for tag, holder in self._connection.execute(query) if tags else ():
                entry = tags[tag]
                if holder != entry.row["id"]:
                    faults.add(entry.where, N_("bike {bike} has tag {tag}"), bike=holder, tag=tag)
            held = altering.held(self._connection, [entry.row for entry in entries])
            for entry in entries:
                if entry.row["id"] in held:
                    faults.add(entry.where, _HELD, bike=entry.row["id"])
        return [] if faults.count else [entry.row for entry in entries]


def _pieces(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    piece: list[Entry] = []
    for entry in entries:
        piece.append(entry)
        if len(piece) == _ROWS_AT_ONCE:
            yield piece
            piece = []
    if piece:
        yield piece


def _compare(
    connection: Connection, sheet: Sheet, rows: Sequence[Row], counts: Brought
) -> tuple[list[Row], list[altering.Pair]]:  # fmt: skip
    """Tell which rows are new and which change, as they are and as they will be; they are counted."""
    (key,) = sheet.key
    if not rows:
        return [], []
    columns = [column.name for column in sheet.columns] + (["hours_due_us"] if sheet is BIKES else [])
    query = select(*(sheet.table.c[name] for name in columns))
    query = query.where(sheet.table.c[key].in_([row[key] for row in rows])).order_by(sheet.table.c[key])
    standing = {row[key]: dict(row) for row in connection.execute(query).mappings()}
    empty = {column.name: column.empty for column in sheet.columns}
    added, changed = [], []
    for row in rows:
        before = standing.get(row[key])
        if before is None:
            added.append(_due(sheet, empty, empty | row))
        elif any(before[name] != value for name, value in row.items()):
            changed.append((before, _due(sheet, before, {str(name): value for name, value in before.items()} | row)))
        else:
            counts.unchanged += 1
    counts.added += len(added)
    counts.changed += len(changed)
    return added, changed


def _write(connection: Connection, sheet: Sheet, added: Sequence[Row], changed: Sequence[Row]) -> None:
    (key,) = sheet.key
    if added:
        connection.execute(insert(sheet.table), added)
    if changed:
        values: dict[str, Any] = {name: bindparam(name) for name in changed[0] if name != key}
        statement = update(sheet.table).where(sheet.table.c[key] == bindparam("changed_key")).values(values)
        connection.execute(
            statement,
            [
                {"changed_key": row[key]} | {name: value for name, value in row.items() if name != key}
                for row in changed
            ],
        )


def _due(sheet: Sheet, before: Row, row: Row) -> Row:
    """Let the worker work out when the hours of a bike begin or end next, where they are not as they were."""
    if sheet is not BIKES:
        return row
    if row["arm_from"] is not None:
        row["arm_days"] = row["arm_days"] or EVERY_DAY
    if "hours_due_us" not in row or any(before[name] != row[name] for name in ("arm_from", "arm_to", "arm_days")):
        row["hours_due_us"] = None if row["arm_from"] is None else 0
    return row


def export(
    database: Database, folder: Path, *, with_owners: bool, actor: Actor, at_us: int, on_rows: OnRows
) -> list[Path]:
    """Write bikes.csv, and owners.csv where wanted, which is written into the audit; never a whole table in memory.

    Raises:
        OSError: the folder cannot be written to.
        DatabaseAwayError, DatabaseRefusedError: as `Database.read`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sheets = [BIKES, OWNERS] if with_owners else [BIKES]
    if with_owners:
        database.run(partial(note, actor=actor, what=EXPORTED, object_="", details={}, at_us=at_us))
    paths = []
    for sheet in sheets:
        path = folder / f"{sheet.name}.csv"
        database.read(partial(_export, path, sheet, on_rows))
        paths.append(path)
    return paths


def _export(path: Path, sheet: Sheet, on_rows: OnRows, connection: Connection) -> None:
    (key,) = sheet.key
    # Its mark, by which spreadsheets know it.
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(column.name for column in sheet.columns)
        columns = [sheet.table.c[column.name] for column in sheet.columns]
        query = select(*columns).order_by(sheet.table.c[key]).limit(_ROWS_AT_ONCE)
        after = ""
        while rows := connection.execute(query.where(sheet.table.c[key] > after)).mappings().all():
            writer.writerows(write_row(sheet, dict(row)) for row in rows)
            after = rows[-1][key]
            on_rows(len(rows))


def forget_owner(connection: Connection, bike_id: str, *, actor: Actor, at_us: int) -> bool:
    """Delete all that is personal of a bike: its owner's row, and the owner's tag with what was heard of it.

    The bike, where it was, and its cases stay, and say of nobody.

    Returns:
        Whether there was anything.
    """
    row = connection.execute(select(bike.c.owner_tag).where(bike.c.id == bike_id).with_for_update()).one_or_none()
    if row is None:
        return False
    gone = connection.execute(delete(bike_owner).where(bike_owner.c.bike == bike_id)).rowcount
    if row.owner_tag is not None:
        disarm(connection, [bike_id], by=actor.name, now_us=at_us, only=How.OWNER)
        # When somebody was away from home says something of him too.
        by_owner = bike_arming.c.bike == bike_id, bike_arming.c.how == How.OWNER.value
        connection.execute(delete(bike_arming).where(*by_owner, bike_arming.c.until_us.is_not(None)))
        forgotten = {"owner_tag": None, "by_owner": False}
        connection.execute(update(bike).where(bike.c.id == bike_id).values(forgotten))
        others = select(func.count()).select_from(bike).where(bike.c.owner_tag == row.owner_tag)
        is_bikes = select(func.count()).select_from(bike).where(bike.c.tag == row.owner_tag)
        if not connection.scalar(others) and not connection.scalar(is_bikes):
            connection.execute(delete(bike_tag).where(bike_tag.c.tag == row.owner_tag))
    is_any = bool(gone or row.owner_tag)
    if is_any:
        note(connection, actor=actor, what=OWNER_FORGOTTEN, object_=bike_id, details={}, at_us=at_us)
    return is_any


def find_tags(connection: Connection, tags: Sequence[str]) -> Mapping[str, bool]:
    """Tell which tags are followed, and of each whether it is a bike's (else an owner's alone)."""
    found: dict[str, bool] = {}
    for some in chunked(tags):
        found |= dict.fromkeys(connection.execute(select(bike.c.owner_tag).where(bike.c.owner_tag.in_(some))).scalars(),
                               False)  # fmt: skip
        found |= dict.fromkeys(connection.execute(select(bike.c.tag).where(bike.c.tag.in_(some))).scalars(), True)
    return found
