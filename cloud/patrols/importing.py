"""The import of points, routes, plans, people and wands: checked whole, brought in by one transaction or not at all.

A row is laid over the one that stands: columns that a file does not have stay as they are. The points of a route, and
the carriers of a wand, are one thing each: those of a file take the place of all that stood.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from sqlalchemy import Connection, and_, delete, insert, or_, select, update

from cloud.areas import cells
from cloud.areas.chunks import chunked
from cloud.areas.faults import Faults, Where
from cloud.areas.importing import Source
from cloud.areas.rows import Entry
from cloud.areas.sheets import Key, Row, Sheet
from cloud.areas.spreadsheets import read_csv, write_csv
from cloud.database.area_tables import area, registered_gateway, site
from cloud.database.patrol_tables import patrol_card, patrol_plan, patrol_tour
from cloud.desk.changes import Actor
from cloud.i18n import N_
from cloud.patrols.making import forget_tours
from cloud.patrols.rules import whole_faults
from cloud.patrols.sheets import CARRIERS, PLANS, POINTS, ROUTE_POINTS, SHEETS, ids_of
from cloud.people.audit import note
from cloud.people.roles import is_inside

IMPORTED = "patrols-imported"
# One thing each: by what its rows belong together.
_WHOLES = {ROUTE_POINTS.name: "route", CARRIERS.name: "wand"}
# Few enough keys of several columns for one statement on every database.
_KEYS_AT_ONCE = 100
_NAME = re.compile(r"[a-z_]+")

State = dict[str, dict[Key, Row]]
Incoming = Mapping[str, Sequence[Entry]]


class Outcome(Struct):
    """What an import changed, by sheet: rows added, changed, removed, unchanged."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def touched(self) -> int:
        """How many rows are not as they were."""
        return sum(count for one in self.counts.values() for name, count in one.items() if name != "unchanged")


def sheet_of(name: str) -> Sheet | None:
    """Tell the sheet of a file from its name: points.csv, points-north.csv; None: of none."""
    path = Path(name.lower())
    found = _NAME.match(path.name)
    return SHEETS.get(found[0]) if found and path.suffix == ".csv" else None


def read_sheets(sources: Iterable[Source], faults: Faults) -> Incoming:
    """Read the rows of files; what is wrong is noted.

    Raises:
        ImportRefusedError: a file could not be read to its end, so that nothing more can be said of the others.
    """
    incoming: dict[str, list[Entry]] = {}
    for source in sources:
        sheet = sheet_of(source.name)
        if sheet is None:
            names = ", ".join(f"{name}.csv" for name in SHEETS)
            faults.lose(Where(source.name), N_("is called like none of {names}"), names=names)
        else:
            incoming.setdefault(sheet.name, []).extend(read_csv(source.data, source.name, sheet, faults))
    if faults.is_blind:
        faults.settle()
    return incoming


def bring_in(
    connection: Connection,
    incoming: Incoming,
    faults: Faults,
    *,
    actor: Actor,
    now_us: int,
    scope: str | None = None,
    replace: bool = False,
    dry_run: bool = False,
) -> Outcome:
    """Compare with what stands, write what is new, changed or gone, and plan anew what that changes.

    Args:
        connection: a transaction for writing; for reading with `dry_run`.
        incoming: from `read_sheets`.
        faults: those of the reading; more may come.
        actor: who imports; it is audited.
        now_us: tours that have begun by then stay as they are.
        scope: the path of the subtree that may be changed; None: everything.
        replace: rows that the files' sheets do not have go.
        dry_run: nothing is written.

    Raises:
        ImportRefusedError: with every fault; nothing was written.
    """
    standing = read_state(connection)
    origins = _origins(incoming, faults)
    after = _laid_over(standing, incoming, replace=replace)
    _check(connection, standing, after, origins, faults, scope)
    faults.settle()
    outcome = Outcome()
    for name in SHEETS:
        if name in incoming:
            outcome.counts[name] = _counts(standing[name], after[name])
    if dry_run or not outcome.touched:
        return outcome
    stale = _stale_plans(standing, after)
    for name in incoming:
        _write(connection, SHEETS[name], standing[name], after[name], now_us)
    _plan_anew(connection, stale, now_us)
    note(
        connection, actor=actor, what=IMPORTED, object_=", ".join(outcome.counts), details=outcome.counts, at_us=now_us
    )
    return outcome


def export(connection: Connection) -> dict[str, bytes]:
    """Write every sheet as a CSV file, by file name; what is exported can be imported."""
    state = read_state(connection)
    return {
        f"{name}.csv": write_csv(sheet, [_cells(row) for _key, row in sorted(state[name].items(), key=_by_key)])
        for name, sheet in SHEETS.items()
    }


def read_state(connection: Connection) -> State:
    """Read all rows of all sheets, by sheet and key."""
    state: State = {}
    for name, sheet in SHEETS.items():
        columns = [sheet.table.c[one.name] for one in sheet.columns if one.name in sheet.table.c]
        rows = [
            {str(key): value for key, value in row.items()} for row in connection.execute(select(*columns)).mappings()
        ]
        if sheet is POINTS:
            cards: dict[str, list[str]] = {}
            for card, point in connection.execute(select(patrol_card.c.card, patrol_card.c.point)):
                cards.setdefault(point, []).append(card)
            rows = [row | {"cards": " ".join(sorted(cards.get(row["id"], [])))} for row in rows]
        state[name] = {sheet.key_of(row): row for row in rows}
    return state


def weaknesses(connection: Connection) -> list[tuple[str, str, dict[str, Any]]]:
    """List what an import allows and a leader should know: what, the text for `translate`, and its values."""
    state = read_state(connection)
    areas = frozenset(connection.execute(select(area.c.id)).scalars())
    found: list[tuple[str, str, dict[str, Any]]] = []
    for name, rows in state.items():
        for key, row in sorted(rows.items(), key=str):
            if "area" in row and row["area"] not in areas:
                found.append((SHEETS[name].shown(key), N_("lies in area {area}, which is gone"), {"area": row["area"]}))
    routes = {row["route"] for row in state["plans"].values()}
    points = {row["point"] for row in state["route_points"].values()}
    for (one,) in sorted(state["routes"].keys()):
        if one not in routes:
            found.append((f"route {one}", N_("no plan walks it"), {}))
    for (one,), row in sorted(state["points"].items()):
        if one not in points:
            found.append((f"point {one}", N_("stands on no route"), {}))
        if not row["cards"] and row["latitude_deg"] is None and not row["outline"]:
            found.append((f"point {one}", N_("has neither card nor place: nobody can visit it"), {}))
    unnamed = N_("no plan names it or who carries it: its positions visit nothing")
    found += [(f"wand {one}", unnamed, {}) for one in _unnamed_receivers(state)]
    return found


def _unnamed_receivers(state: State) -> list[str]:
    plans = state["plans"].values()
    walkers = {one for row in plans for one in ids_of(row["people"])}
    named = {one for row in plans for one in ids_of(row["wands"])}
    named |= {row["wand"] for row in state["carriers"].values() if row["person"] in walkers}
    return sorted(row["id"] for row in state["wands"].values() if row["gps"] and row["id"] not in named)


def _by_key(pair: tuple[Key, Row]) -> tuple[tuple[bool, Any], ...]:
    return tuple(
        (value is not None, str(value).zfill(64) if isinstance(value, int) else str(value)) for value in pair[0]
    )


def _cells(row: Row) -> Row:
    told = dict(row)
    for name in ("must", "gps", "tell_late"):
        if name in told:
            told[name] = "yes" if told[name] else "no"
    if told.get("outline"):
        told["outline"] = "; ".join(f"{cells.plain(one)} {cells.plain(other)}" for one, other in told["outline"])
    return told


Origins = dict[str, dict[Key, Where]]


def _origins(incoming: Incoming, faults: Faults) -> Origins:
    origins: Origins = {}
    for name, entries in incoming.items():
        sheet, seen = SHEETS[name], origins.setdefault(name, {})
        for entry in entries:
            key = sheet.key_of(sheet.new_row() | entry.row)
            if (first := seen.setdefault(key, entry.where)) is not entry.where:
                row = sheet.shown(key)
                faults.add(entry.where, N_("{row} stands there twice, first at {first}"), row=row, first=str(first))
    return origins


def _laid_over(standing: State, incoming: Incoming, *, replace: bool) -> State:
    after = {name: dict(rows) for name, rows in standing.items()}
    for name, entries in incoming.items():
        sheet, new = SHEETS[name], SHEETS[name].new_row()
        if replace:
            after[name] = {}
        elif whole := _WHOLES.get(name):
            given = {entry.row[whole] for entry in entries}
            after[name] = {key: row for key, row in after[name].items() if row[whole] not in given}
        for entry in entries:
            key = sheet.key_of(new | entry.row)
            after[name][key] = standing[name].get(key, new) | entry.row
    return after


def _check(
    connection: Connection, standing: State, after: State, origins: Origins, faults: Faults, scope: str | None
) -> None:
    paths = {row.id: row.path for row in connection.execute(select(area.c.id, area.c.path))}
    sites = {row.id: paths.get(row.area, "") for row in connection.execute(select(site.c.id, site.c.area))}
    for name, rows in after.items():
        sheet = SHEETS[name]
        for key, row in rows.items():
            where = origins.get(name, {}).get(key)
            for fault, values in _row_faults(sheet, row, after, paths, sites, is_new=where is not None):
                faults.add(where or Where("database"), fault, **({"row": sheet.shown(key)} | values))
    for name, key, fault, values in whole_faults(_whole_rows(after)):
        faults.add(origins.get(name, {}).get(key) or Where("database"), fault, **values)
    if scope is not None:
        gateways = {
            row.id: sites.get(row.site, "")
            for row in connection.execute(select(registered_gateway.c.id, registered_gateway.c.site))
        }
        for sheet, key, row in _touched(standing, after):
            where = origins.get(sheet.name, {}).get(key) or Where("database")
            if not is_inside(scope, _path_of(row, standing, after, paths)):
                faults.add(where, N_("{row} lies outside your area"), row=sheet.shown(key))
            if row == after[sheet.name].get(key):
                for what in _outside(scope, _named(sheet, row, after, paths, sites, gateways)):
                    faults.add(where, N_("{row}: {what} lies outside your area"), row=sheet.shown(key), what=what)


def _outside(scope: str, named: Iterable[tuple[str, str]]) -> Iterator[str]:
    return (what for what, path in named if not is_inside(scope, path))


def _named(
    sheet: Sheet,
    row: Row,
    after: State,
    paths: Mapping[str, str],
    sites: Mapping[str, str],
    gateways: Mapping[str, str],
) -> Iterator[tuple[str, str]]:
    """List what a row refers to, with where that lies: whoever names a point or a wand gets its visits."""
    mentioned = list(sheet.mentions(row))
    if sheet is PLANS:
        mentioned += [(target, one) for target in ("people", "wands") for one in ids_of(row[target])]
    for target, one in mentioned:
        if (found := after[target].get((one,))) is not None:
            yield SHEETS[target].shown((one,)), paths.get(found["area"], "")
    for word, known in (("site", sites), ("gateway", gateways)):
        if (name := str(row.get(word))) in known:
            yield f"{word} {name}", known[name]


def _whole_rows(after: State) -> State:
    """Leave out rows of which a cell was bad, which has been told."""
    return {
        name: {
            key: row
            for key, row in rows.items()
            if all(row[column.name] is not None for column in SHEETS[name].columns if column.is_required)
        }
        for name, rows in after.items()
    }


def _row_faults(
    sheet: Sheet, row: Row, after: State, paths: Mapping[str, str], sites: Iterable[str], *, is_new: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    if is_new and "area" in row and row["area"] not in paths:
        yield N_("{row}: there is no area {area}"), {"area": row["area"]}
    if is_new and row.get("site") is not None and row["site"] not in sites:
        yield N_("{row}: there is no site {site}"), {"site": row["site"]}
    for target, one in sheet.mentions(row):
        if (one,) not in after[target]:
            yield N_("{row} refers to {target}, which is not there"), {"target": SHEETS[target].shown((one,))}
    if sheet is PLANS:
        for target, words in (("people", row["people"]), ("wands", row["wands"])):
            for one in ids_of(words):
                if (one,) not in after[target]:
                    yield N_("{row} refers to {target}, which is not there"), {"target": SHEETS[target].shown((one,))}


def _touched(standing: State, after: State) -> Iterator[tuple[Sheet, Key, Row]]:
    """Every row that is not as it was, both as it was and as it will be."""
    for name, sheet in SHEETS.items():
        before, now = standing[name], after[name]
        for key in sorted(before.keys() | now.keys(), key=str):
            if before.get(key) != now.get(key):
                for row in (before.get(key), now.get(key)):
                    if row is not None:
                        yield sheet, key, row


def _path_of(row: Row, standing: State, after: State, paths: Mapping[str, str]) -> str:
    """Where a row lies: at its own area, or at that of the route or wand to which it belongs."""
    for name, sheet in (("route", "routes"), ("wand", "wands")):
        if name in row and "area" not in row:
            row = after[sheet].get((row[name],)) or standing[sheet].get((row[name],)) or {}
            break
    return paths.get(row.get("area", ""), "")


def _counts(before: Mapping[Key, Row], after: Mapping[Key, Row]) -> dict[str, int]:
    both = before.keys() & after.keys()
    changed = sum(before[key] != after[key] for key in both)
    return {
        "added": len(after.keys() - before.keys()),
        "changed": changed,
        "removed": len(before.keys() - after.keys()),
        "unchanged": len(both) - changed,
    }


def _write(
    connection: Connection, sheet: Sheet, before: Mapping[Key, Row], after: Mapping[Key, Row], now_us: int
) -> None:
    gone = [key for key in before if before[key] != after.get(key)]
    new = [row for key, row in after.items() if before.get(key) != row]
    for some in chunked(gone, _KEYS_AT_ONCE):
        columns = [sheet.table.c[name] for name in sheet.key]
        connection.execute(delete(sheet.table).where(or_(*(_is_key(columns, key) for key in some))))
        if sheet is POINTS:
            connection.execute(delete(patrol_card).where(patrol_card.c.point.in_([key[0] for key in some])))
    for rows in chunked(new):
        kept = [{name: value for name, value in row.items() if name in sheet.table.c} for row in rows]
        if sheet is PLANS:
            kept = [row | {"made_until_us": now_us} for row in kept]
        connection.execute(insert(sheet.table), kept)
        if sheet is POINTS:
            cards = [{"card": card, "point": row["id"]} for row in rows for card in ids_of(row["cards"])]
            if cards:
                connection.execute(insert(patrol_card), cards)


def _is_key(columns: Sequence[Any], key: Key) -> Any:
    return and_(
        *(column.is_(None) if value is None else column == value for column, value in zip(columns, key, strict=True))
    )


def _stale_plans(standing: State, after: State) -> set[str]:
    """Plans whose tours to come are not what they were: theirs, their route's or their people's rows have changed."""
    touched: dict[str, set[Any]] = {"plan": set(), "route": set(), "person": set()}
    for sheet, _key, row in _touched(standing, after):
        match sheet.name:
            case "plans":
                touched["plan"].add(row["id"])
            case "routes":
                touched["route"].add(row["id"])
            case "route_points":
                touched["route"].add(row["route"])
            case "carriers":
                touched["person"].add(row["person"])
    stale = set(touched["plan"])
    for (one,), row in [*standing["plans"].items(), *after["plans"].items()]:
        if row["route"] in touched["route"] or touched["person"].intersection(ids_of(row["people"])):
            stale.add(one)
    return stale


def _plan_anew(connection: Connection, plans: Iterable[str], now_us: int) -> None:
    """Take back the tours of plans that have not begun; the worker makes them again."""
    for some in chunked(sorted(plans)):
        # First: whoever is making their tours has their rows locked, and has made them when we go on.
        connection.execute(update(patrol_plan).where(patrol_plan.c.id.in_(some)).values(made_until_us=now_us))
        forget_tours(connection, and_(patrol_tour.c.plan.in_(some), patrol_tour.c.begins_us > now_us))
