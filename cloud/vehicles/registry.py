"""The registry of vehicles: brought in from a file, all or nothing, and written into one again."""

from collections.abc import Collection
from functools import partial
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, delete, insert, select, text, update

from cloud.areas import cells
from cloud.areas.chunks import chunked
from cloud.areas.faults import Bad, Faults, Where
from cloud.areas.rows import Entry
from cloud.areas.sheets import Column, Row, Sheet
from cloud.areas.spreadsheets import read_csv, write_csv
from cloud.database import Database
from cloud.database.area_tables import area
from cloud.database.vehicle_tables import vehicle, vehicle_position
from cloud.desk.changes import Actor
from cloud.desk.own import say
from cloud.i18n import N_
from cloud.people.audit import note
from cloud.settings import Desk
from cloud.vehicles.hours import ALWAYS_WEEKDAYS
from cloud.vehicles.keeping import KNOWN, end_alarms

IMPORTED = "vehicles-imported"
"""What the audit calls an import."""
# "vehicle", so that two imports come one after the other.
_IMPORT_LOCK = 0x76656869636C65
_MAX_ID = 48
_WORDS = {"yes": True, "no": False, "true": True, "false": False, "1": True, "0": False, "是": True, "否": False}


def _vehicle_id(cell: str) -> str | Bad:
    found = cells.identifier(cell)
    if isinstance(found, str) and len(found) > _MAX_ID:
        return Bad(N_("{count} characters are too many: at most {most}"), {"count": len(found), "most": _MAX_ID})
    return found


def _flag(cell: str) -> bool | Bad:
    found = _WORDS.get(cell.lower())
    return Bad(N_("{cell} is neither yes nor no"), {"cell": repr(cell[:60])}) if found is None else found


_NAME = cells.text(cells.MAX_NAME_CHARS)
VEHICLES = Sheet(
    "vehicles",
    "vehicle",
    vehicle,
    (
        Column("id", _vehicle_id, is_required=True, also=("编号",)),
        Column("plate", _NAME, "", also=("车牌", "车牌号")),
        Column("name", _NAME, "", also=("名称",)),
        Column("kind", cells.text(64), "", also=("类型",)),
        Column("fleet", _NAME, "", also=("车队",)),
        Column("area", cells.identifier, is_required=True, also=("区域",)),
        Column("gateway", cells.identifier, is_required=True, also=("网关",)),
        Column("device", cells.identifier, is_required=True, also=("设备", "终端")),
        Column("guarded", _flag, False, also=("熄火防盗",)),
        Column("weekdays", cells.weekdays, ALWAYS_WEEKDAYS, also=("星期",)),
        Column("begins", cells.clock, also=("开始",)),
        Column("ends", cells.clock, also=("结束",)),
    ),
)


class Brought(Struct, frozen=True):
    """How many vehicles became what."""

    added: int
    changed: int
    removed: int
    unchanged: int


def bring_in(
    database: Database,
    data: bytes,
    file: str,
    *,
    actor: Actor,
    at_us: int,
    desk: Desk,
    replace: bool = False,
    dry_run: bool = False,
) -> Brought:
    """Bring in a file: new vehicles are added, others changed; columns that it does not have stay as they are.

    Args:
        database: the desk's.
        data: CSV, UTF-8 or GBK.
        file: its name, for faults.
        actor: who imports.
        at_us: the clock.
        desk: its settings.
        replace: vehicles that the file does not have go, with their fences, and their alarms end.
        dry_run: only find the faults, and say what would change.

    Raises:
        ImportRefusedError: with every fault; nothing was written.
        DatabaseAwayError, DatabaseRefusedError: as `Database.run`.
    """
    faults = Faults()
    entries = list(read_csv(data, file, VEHICLES, faults))
    if faults.is_blind:
        faults.settle()
    prepare = partial(_prepare, entries=entries, file=file, faults=faults, replace=replace)
    if dry_run:
        return database.read(prepare).brought

    def work(connection: Connection) -> Brought:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _IMPORT_LOCK})
        plan = prepare(connection)
        _write(connection, plan, desk=desk, at_us=at_us)
        if plan.added or plan.changed or plan.removed:
            details = {"added": len(plan.added), "changed": len(plan.changed), "removed": len(plan.removed)}
            note(connection, actor=actor, what=IMPORTED, object_=file, details=details, at_us=at_us)
        return plan.brought

    return database.run(work)


def export(connection: Connection) -> bytes:
    """Write all vehicles, so that `bring_in` reads the same out of it."""
    rows = connection.execute(select(vehicle).order_by(vehicle.c.id)).mappings()
    return write_csv(VEHICLES, ({**row, "guarded": "yes" if row["guarded"] else "no"} for row in rows))


class _Plan(Struct, frozen=True):
    added: list[Row]
    changed: list[Row]
    removed: list[str]
    moved: list[str]
    unchanged: int

    @property
    def brought(self) -> Brought:
        return Brought(len(self.added), len(self.changed), len(self.removed), self.unchanged)


def _prepare(connection: Connection, entries: Collection[Entry], file: str, faults: Faults, *, replace: bool) -> _Plan:
    standing = {row["id"]: dict(row) for row in connection.execute(select(vehicle)).mappings()}
    areas = set(connection.execute(select(area.c.id)).scalars())
    wanted: dict[str, Row] = {} if replace else dict(standing)
    seen: set[str] = set()
    found = Faults() if not faults.count else faults
    for entry in entries:
        row = standing.get(entry.row["id"], VEHICLES.new_row()) | entry.row
        if row["id"] in seen:
            found.add(entry.where, N_("{row} stands in the files twice"), row=f"vehicle {row['id']}")
        if entry.row["area"] is not None and row["area"] not in areas:
            found.add(entry.where, N_("there is no area {area}"), area=row["area"])
        if (row["begins"] is None) != (row["ends"] is None):
            found.add(entry.where, N_("{one} and {other} come together"), one="begins", other="ends")
        seen.add(row["id"])
        wanted[row["id"]] = row
    _check_terminals(wanted, {entry.row["id"]: entry.where for entry in entries}, found, file)
    found.settle()
    added = [row for key, row in wanted.items() if key not in standing]
    changed = [row for key, row in wanted.items() if key in standing and row != standing[key]]
    moved = [row["id"] for row in changed if _terminal(row) != _terminal(standing[row["id"]])]
    removed = sorted(standing.keys() - wanted.keys())
    return _Plan(added, changed, removed, moved, len(seen) - len(added) - len(changed))


def _check_terminals(wanted: dict[str, Row], places: dict[str, Where], faults: Faults, file: str) -> None:
    """A terminal is in one vehicle."""
    holders: dict[tuple[str, str], str] = {}
    for key in sorted(wanted, key=lambda one: one in places):
        terminal = _terminal(wanted[key])
        if None in terminal:
            continue
        other = holders.setdefault(terminal, key)
        if other != key:
            where = places.get(key) or places.get(other) or Where(file)
            shown = "/".join(terminal)
            faults.add(where, N_("terminal {terminal} is in vehicle {vehicle}"), terminal=shown, vehicle=other)


def _terminal(row: Row) -> tuple[str, str]:
    return row["gateway"], row["device"]


def _write(connection: Connection, plan: _Plan, *, desk: Desk, at_us: int) -> None:
    said = []
    for some in chunked(plan.removed):
        locked = KNOWN.where(vehicle.c.id.in_(some)).order_by(vehicle.c.id).with_for_update(of=vehicle_position)
        rows = connection.execute(locked).mappings().all()
        said += end_alarms(connection, rows, lambda _key: True, now_us=at_us)
        connection.execute(delete(vehicle).where(vehicle.c.id.in_(some)))
    for some in chunked(plan.moved):
        # Two vehicles may swap their terminals, and a terminal is in one at any moment.
        aside = update(vehicle).where(vehicle.c.id.in_(some)).values(device="~" + vehicle.c.id)
        connection.execute(aside)
    if plan.changed:
        columns: dict[str, Any] = {one.name: bindparam(f"new_{one.name}") for one in vehicle.c if one.name != "id"}
        statement = update(vehicle).where(vehicle.c.id == bindparam("of_id")).values(columns)
        connection.execute(statement, [_bound(row) for row in plan.changed])
    if plan.added:
        connection.execute(insert(vehicle), plan.added)
        connection.execute(insert(vehicle_position), [{"vehicle": row["id"]} for row in plan.added])
    say(connection, said, desk=desk, now_us=at_us)


def _bound(row: Row) -> dict[str, Any]:
    return {f"new_{key}": value for key, value in row.items() if key != "id"} | {"of_id": row["id"]}
