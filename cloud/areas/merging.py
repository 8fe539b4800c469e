"""What an import would change: the rows that stand, the rows of the files, and what becomes of both. Pure.

A row of a file is laid over the one that stands: columns that the file does not have stay as they are. The roster of
an area is one thing: the shifts that a file gives an area take the place of all that the area had.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, field

from cloud.areas.faults import Bad, Faults, Where
from cloud.areas.rows import Entry
from cloud.areas.sheets import AREAS, CONTACTS, DUTIES, POLICIES, SHEETS, Key, Row, Sheet
from cloud.areas.tree import Level, cycles, is_inverted, paths_of
from cloud.i18n import N_

MAX_KEPT_TOLD = 100
IN_DATABASE = Where("database")

State = dict[str, dict[Key, Row]]
"""By sheet and key."""
Incoming = Mapping[str, Sequence[Entry]]
"""By sheet; a sheet is there when a file of it is, even an empty one."""
Hanging = Mapping[str, Mapping[Key, Bad]]
"""By sheet and key, why a row must stay: what is open hangs on it."""


class Changes(Struct):
    """What becomes of one sheet's rows.

    Attributes:
        added, changed: whole rows, as they will be.
        removed: as they were.
        unchanged: how many.
    """

    added: list[Row] = field(default_factory=list)
    changed: list[Row] = field(default_factory=list)
    removed: list[Row] = field(default_factory=list)
    unchanged: int = 0


class Kept(Struct, frozen=True):
    """A row that no file has and that stays all the same, and why."""

    sheet: str
    key: Key
    why: Bad


class Merged(Struct):
    """What an import comes to.

    Attributes:
        changes: by sheet, those of the files, what is referred to first.
        kept: what `replace` would have removed, the first `MAX_KEPT_TOLD`; `kept_count`: how many.
    """

    changes: dict[str, Changes]
    kept: list[Kept]
    kept_count: int


def merge(
    standing: State,
    incoming: Incoming,
    faults: Faults,
    *,
    channels: frozenset[str] | None,
    hanging: Hanging | None = None,
) -> Merged:
    """Work out what an import changes, and note what is wrong with it.

    Args:
        standing: the rows that stand, of each sheet in `incoming` and of all that those refer to; with `hanging`, of
            every sheet.
        incoming: the rows of the files.
        faults: takes duplicates, what refers to nothing, and what makes no tree.
        channels: the names that addresses may have; None: any.
        hanging: given, what the sheets of `incoming` do not have is removed, but for what hangs on it.

    Raises:
        ImportRefusedError: something is wrong, now or before.
    """
    origins = _origins(incoming, faults)
    after = _laid_over(standing, incoming)
    kept: list[Kept] = []
    if hanging is not None:
        kept = _remove(after, origins, hanging)
    _check_references(after, origins, faults)
    if channels is not None:
        _check_channels(after, origins, channels, faults)
    if AREAS.name in incoming:
        _check_tree(after[AREAS.name], origins, faults)
    faults.settle()
    if AREAS.name in incoming:
        paths = paths_of({row["id"]: row["parent"] for row in after[AREAS.name].values()})
        after[AREAS.name] = {key: row | {"path": paths[row["id"]]} for key, row in after[AREAS.name].items()}
    changes = {
        name: _difference(standing[name], after[name], sheet) for name, sheet in SHEETS.items() if name in incoming
    }
    return Merged(changes, kept[:MAX_KEPT_TOLD], len(kept))


Origins = dict[str, dict[Key, Where]]


def _origins(incoming: Incoming, faults: Faults) -> Origins:
    origins: Origins = {}
    for name, entries in incoming.items():
        sheet, seen = SHEETS[name], origins.setdefault(name, {})
        for entry in entries:
            key = sheet.key_of(entry.row) if sheet is not DUTIES else DUTIES.key_of(DUTIES.new_row() | entry.row)
            if (first := seen.setdefault(key, entry.where)) is not entry.where:
                shown = sheet.shown(key)
                faults.add(entry.where, N_("{row} stands there twice, first at {first}"), row=shown, first=str(first))
    return origins


def _laid_over(standing: State, incoming: Incoming) -> State:
    after = {name: dict(rows) for name, rows in standing.items()}
    if DUTIES.name in incoming:
        given = {entry.row["area"] for entry in incoming[DUTIES.name]}
        duties = standing[DUTIES.name]
        after[DUTIES.name] = {key: row for key, row in duties.items() if row["area"] not in given}
    for name, entries in incoming.items():
        sheet, rows = SHEETS[name], after[name]
        new = sheet.new_row()
        for entry in entries:
            whole = new | entry.row
            key = sheet.key_of(whole)
            rows[key] = (before | entry.row) if (before := standing[name].get(key)) else whole
    return after


def _remove(after: State, origins: Origins, hanging: Hanging) -> list[Kept]:
    """Take out what the files do not have and nothing hangs on; say what stays and why."""
    absent = {name: after[name].keys() - origins[name].keys() for name in SHEETS if name in origins}
    kept: dict[tuple[str, Key], Bad] = {}
    # Whatever stays keeps what it refers to, and so on upwards.
    ways = [(name, key) for name in after for key in after[name].keys() - absent.get(name, set())]
    for name, keys in absent.items():
        for key in sorted(keys & hanging.get(name, {}).keys(), key=str):
            kept[name, key] = hanging[name][key]
            ways.append((name, key))
    while ways:
        name, key = ways.pop()
        sheet = SHEETS[name]
        for target, one in sheet.mentions(after[name][key]):
            goal = (target, (one,))
            if goal not in kept and (one,) in absent.get(target, ()):
                kept[goal] = Bad(N_("{row} refers to it"), {"row": sheet.shown(key)})
                ways.append(goal)
    for name, keys in absent.items():
        for key in keys:
            if (name, key) not in kept:
                del after[name][key]
    return [Kept(name, key, why) for (name, key), why in sorted(kept.items(), key=str)]


def _given(after: State, origins: Origins) -> Iterator[tuple[Sheet, Row, Where]]:
    for name, wheres in origins.items():
        for key, where in wheres.items():
            yield SHEETS[name], after[name][key], where


def _check_references(after: State, origins: Origins, faults: Faults) -> None:
    ids = {name: {key[0] for key in rows} for name, rows in after.items()}
    for sheet, row, where in _given(after, origins):
        for target, one in sheet.mentions(row):
            if one not in ids[target]:
                faults.add(where, N_("there is no {kind} {id}"), kind=SHEETS[target].kind, id=one)


def _check_channels(after: State, origins: Origins, channels: frozenset[str], faults: Faults) -> None:
    for sheet, row, where in _given(after, origins):
        if sheet not in (CONTACTS, POLICIES):
            continue
        named = [one["channel"] for one in row.get("addresses", ())]
        steps = row.get("policy", {}).get("steps", ())
        named += [channel for step in steps for channel in step.get("channels", ())]
        for channel in dict.fromkeys(named):
            if channel not in channels:
                names = ", ".join(sorted(channels)) or "-"
                faults.add(where, N_("no channel of the settings is called {name}; there are: {names}"), name=channel,
                           names=names)  # fmt: skip


def _check_tree(areas: Mapping[Key, Row], origins: Origins, faults: Faults) -> None:
    wheres = defaultdict(lambda: IN_DATABASE, origins[AREAS.name])
    parents = {row["id"]: row["parent"] for row in areas.values()}
    for ring in cycles(parents):
        # Told where a file closes it: what stands has none.
        first = next((one for one in ring if (one,) in origins[AREAS.name]), ring[0])
        shown = " -> ".join([*ring, ring[0]] if len(ring) < 10 else [*ring[:9], "..."])  # noqa: PLR2004 - for one line
        faults.add(wheres[first,], N_("a cycle of parents: {ring}"), ring=shown)
    for row in areas.values():
        above = areas.get((row["parent"],))
        # A level that could not be read has been noted.
        if (
            above is not None
            and row["level"]
            and above["level"]
            and is_inverted(Level(row["level"]), Level(above["level"]))
        ):
            where = wheres[row["id"],] if (row["id"],) in origins[AREAS.name] else wheres[above["id"],]
            faults.add(
                where,
                N_("area {id} is a {level} and cannot lie in {parent}, a {above}"),
                id=row["id"],
                level=str(row["level"]),
                parent=above["id"],
                above=str(above["level"]),
            )


def _difference(standing: Mapping[Key, Row], after: Mapping[Key, Row], sheet: Sheet) -> Changes:
    changes = Changes(removed=[row for key, row in standing.items() if key not in after])
    for key, row in after.items():
        before = standing.get(key)
        if before is None:
            changes.added.append(row)
        elif before is row or before == row:
            changes.unchanged += 1
        else:
            changes.changed.append(row)
    if sheet is AREAS:
        # Parents first, and the other way round when they go.
        changes.added.sort(key=lambda row: row["path"].count("/"))
        changes.removed.sort(key=lambda row: -row["path"].count("/"))
    return changes
