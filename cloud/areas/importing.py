"""The import: files of every form, read whole, checked whole, and brought in by one transaction or not at all."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from msgspec import Struct
from sqlalchemy import Connection

from cloud.areas import store
from cloud.areas.decoding import MAX_FILE_BYTES
from cloud.areas.faults import Faults, Where
from cloud.areas.geojson import read_geojson
from cloud.areas.merging import Changes, Hanging, Incoming, Merged, merge
from cloud.areas.policy_files import CheckPolicy, read_policies
from cloud.areas.rows import Entry
from cloud.areas.sheets import POLICIES, SHEETS
from cloud.areas.spreadsheets import read_csv
from cloud.database import Database
from cloud.desk.changes import Actor
from cloud.i18n import N_
from cloud.people.audit import note

MAX_FILES = 200
MAX_BYTES = 4 * MAX_FILE_BYTES
_GEOJSON = (".geojson", ".json")
_SHEET = re.compile(r"[a-z]+")

OnProgress = Callable[[int, int], None]
"""Told how much is done, of how much."""


class Source(Struct, frozen=True):
    """One file: its name as it was given, and what is in it."""

    name: str
    data: bytes


class Options(Struct, frozen=True):
    """How an import goes.

    Attributes:
        check_policy: tells what is wrong with a policy.
        channels: the names that addresses may have, those of the settings; None: any.
        replace: rows that the files' sheets do not have go, but for what hangs on them.
        dry_run: nothing is written.
    """

    check_policy: CheckPolicy
    channels: frozenset[str] | None = None
    replace: bool = False
    dry_run: bool = False


def find_files(given: Sequence[Path], faults: Faults) -> list[Path]:
    """Find the files to import: those named, and of a folder those that an import knows by their names."""
    found: list[Path] = []
    for path in given:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(one for one in path.iterdir() if one.is_file() and _kind_of(one.name) is not None)
        if not inside:
            faults.lose(Where(str(path)), N_("holds none of {names}"), names=_names())
        found += inside
    if len(found) > MAX_FILES:
        faults.lose(Where(str(given[0])), N_("more than {most} files"), most=MAX_FILES)
        return []
    return found


def read_sources(paths: Iterable[Path], faults: Faults) -> list[Source]:
    """Read files into memory; one that is not there or too large is noted."""
    sources: list[Source] = []
    room = MAX_BYTES
    for path in paths:
        where = Where(str(path))
        try:
            with path.open("rb") as file:
                data = file.read(min(room, MAX_FILE_BYTES) + 1)
        except OSError as error:
            faults.lose(where, N_("cannot be read: {why}"), why=error.strerror or str(error))
            continue
        if len(data) > min(room, MAX_FILE_BYTES):
            faults.lose(where, N_("more than {most} bytes, or more than {all} in all"), most=MAX_FILE_BYTES,
                        all=MAX_BYTES)  # fmt: skip
            break
        room -= len(data)
        sources.append(Source(str(path), data))
    return sources


def read_rows(
    sources: Sequence[Source], check_policy: CheckPolicy, faults: Faults, on_progress: OnProgress
) -> Incoming:
    """Read the rows of all files; what is wrong is noted.

    Raises:
        ImportRefusedError: a file could not be read to its end, so that nothing more can be said of the others.
    """
    incoming: dict[str, list[Entry]] = {}
    whole, done = sum(len(source.data) for source in sources), 0
    for source in sources:
        _read(source, check_policy, faults, incoming)
        done += len(source.data)
        on_progress(done, whole)
    if faults.is_blind:
        faults.settle()
    return incoming


def bring_in(
    database: Database,
    incoming: Incoming,
    faults: Faults,
    *,
    options: Options,
    actor: Actor,
    at_us: int,
    on_progress: OnProgress,
) -> Merged:
    """Compare with what stands, and write what is new, changed or gone, with a row of the audit.

    The comparing holds up no writer; only when another import came between is it done again while writing.

    Args:
        database: the alarm database.
        incoming: from `read_rows`.
        faults: those of the reading; more may come.
        options: see there.
        actor: who imports.
        at_us: when.
        on_progress: told of rows written.

    Raises:
        ImportRefusedError: with every fault; nothing was written.
        DatabaseAwayError, DatabaseRefusedError: as `Database.run`.
    """
    prepared = database.read(partial(_prepare, incoming, faults, options, at_us))
    if options.dry_run:
        return prepared.merged

    def work(connection: Connection) -> Merged:
        store.lock(connection)
        ready = prepared
        if store.read_revision(connection) != ready.revision or _hanging(connection, options, at_us) != ready.hanging:
            ready = _prepare(incoming, faults, options, at_us, connection)
        _write(connection, ready.merged, actor=actor, at_us=at_us, on_progress=on_progress)
        return ready.merged

    return database.run(work)


class _Prepared(Struct, frozen=True):
    merged: Merged
    revision: int
    hanging: Hanging | None


def _prepare(incoming: Incoming, faults: Faults, options: Options, at_us: int, connection: Connection) -> _Prepared:
    revision, hanging = store.read_revision(connection), _hanging(connection, options, at_us)
    standing = store.read_state(connection, SHEETS if options.replace else store.needed_for(incoming))
    merged = merge(standing, incoming, faults, channels=options.channels, hanging=hanging)
    return _Prepared(merged, revision, hanging)


def _hanging(connection: Connection, options: Options, at_us: int) -> Hanging | None:
    return store.read_hanging(connection, now_us=at_us) if options.replace else None


def _write(connection: Connection, merged: Merged, *, actor: Actor, at_us: int, on_progress: OnProgress) -> None:
    whole, done = sum(touched(one) for one in merged.changes.values()), 0

    def on_rows(count: int) -> None:
        nonlocal done
        done += count
        on_progress(done, whole)

    store.write(connection, merged, on_rows)
    if whole:
        details = {name: counts_of(one) for name, one in merged.changes.items() if touched(one)}
        note(connection, actor=actor, what=store.IMPORTED, object_=", ".join(details), details=details, at_us=at_us)


def touched(changes: Changes) -> int:
    """How many rows are not as they were."""
    return len(changes.added) + len(changes.changed) + len(changes.removed)


def counts_of(changes: Changes) -> dict[str, int]:
    """How many rows became what."""
    return {
        "added": len(changes.added),
        "changed": len(changes.changed),
        "removed": len(changes.removed),
        "unchanged": changes.unchanged,
    }


def _read(source: Source, check_policy: CheckPolicy, faults: Faults, incoming: dict[str, list[Entry]]) -> None:
    kind = _kind_of(Path(source.name).name)
    if kind is None:
        faults.lose(Where(source.name), N_("is called like none of {names}"), names=_names())
    elif kind == "geojson":
        for sheet, entry in read_geojson(source.data, source.name, faults):
            incoming.setdefault(sheet.name, []).append(entry)
    elif kind == POLICIES.name:
        entries = read_policies(source.data, source.name, check_policy, faults)
        incoming.setdefault(kind, []).extend(entries)
    else:
        incoming.setdefault(kind, []).extend(read_csv(source.data, source.name, SHEETS[kind], faults))


def _kind_of(name: str) -> str | None:
    """Tell the sheet of a file from its name, or "geojson": areas.csv, areas-wuzhong.csv, policies.toml, x.geojson."""
    path = Path(name.lower())
    if path.suffix in _GEOJSON:
        return "geojson"
    found = _SHEET.match(path.name)
    sheet = SHEETS.get(found[0]) if found else None
    if sheet is None or path.suffix != (".toml" if sheet is POLICIES else ".csv"):
        return None
    return sheet.name


def _names() -> str:
    names = [f"{name}.toml" if name == POLICIES.name else f"{name}.csv" for name in SHEETS]
    return ", ".join([*names, "*.geojson"])
