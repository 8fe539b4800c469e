"""Keeping the tallies up with the history: which days a change makes dirty, and building everything anew."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from cloud.areas.chunks import chunked
from cloud.database import Database
from cloud.database.number_tables import tally
from cloud.database.tables import alarm_event, change, cursor, occurrence
from cloud.desk.changes import What
from cloud.numbers.busy import count_month, count_sources
from cloud.numbers.days import DAY, MONTH, day_of, days_from, month_after, month_of, span_us
from cloud.numbers.store import Place, contents_of, count_days, totals_of
from cloud.numbers.tally import merged_contents
from cloud.numbers.written import read_content, write_content

Work = Callable[[Connection], Any]

CURSOR = "numbers"
AT_ONCE = 200
"""Changes counted in one transaction: while it lasts SQLite takes no alarm."""

_MOMENTS = ("raised_at_us", "last_raised_at_us")
_MOVES = frozenset({What.RAISED, What.RETRIGGERED, What.PLACED})
_AREAS_AT_ONCE = 400
# Stands in the cursor until everything was counted once.
_UNCOUNTED = -1


class Dirty(Struct, frozen=True):
    """What must be counted anew: days of areas, and months of sources."""

    places: set[Place]
    sources: set[tuple[str, date]]


def follow_changes(connection: Connection, zone: ZoneInfo, *, limit: int = AT_ONCE) -> int | None:
    """Count what the next changes of the history made dirty; exactly once, whoever else does it.

    Args:
        connection: a transaction for writing.
        zone: of the days.
        limit: at most so many changes.

    Returns:
        How many changes were taken; 0 when there is nothing new or another worker is at it; None when nothing was ever
        counted in this database (`rebuild`).
    """
    mine = select(cursor.c.change_id).where(cursor.c.name == CURSOR)
    at = connection.execute(mine.with_for_update(skip_locked=True)).scalar_one_or_none()
    if at is None:
        return None if connection.execute(mine).first() is None else 0
    if at == _UNCOUNTED:
        return None
    query = select(change).where(change.c.id > at).order_by(change.c.id).limit(limit)
    changes = connection.execute(query).mappings().all()
    if not changes:
        return 0
    dirty = _dirty(connection, changes, zone)
    count_days(connection, dirty.places, zone)
    count_sources(connection, dirty.sources, zone)
    connection.execute(update(cursor).where(cursor.c.name == CURSOR).values(change_id=changes[-1]["id"]))
    return len(changes)


def dirty_of(changes: Iterable[Mapping[str, Any]], raised_at_us: Mapping[str, int], zone: ZoneInfo) -> Dirty:
    """Tell what changes make dirty. Pure.

    Args:
        changes: rows of `change`.
        raised_at_us: of each occurrence named, as it is now.
        zone: of the days.
    """
    dirty = Dirty(set(), set())
    for row in changes:
        if row["alarm_id"] is None:
            continue
        moments = {raised_at_us[row["alarm_id"]]} if row["alarm_id"] in raised_at_us else set()
        moments |= set(_moments(row))
        paths = {row["area_path"], *_both(row, "area_path")}
        days = {day_of(moment, zone) for moment in moments}
        dirty.places.update((path, day) for path in paths for day in days)
        if row["what"] in _MOVES:
            dirty.sources.update((row["source"], month_of(day)) for day in days)
    return dirty


def last_change(connection: Connection) -> int:
    """Tell the id of the newest change; 0 for none."""
    return int(connection.execute(select(func.coalesce(func.max(change.c.id), 0))).scalar_one())


def set_cursor(connection: Connection, change_id: int) -> None:
    """Say that all up to a change is counted."""
    connection.execute(update(cursor).where(cursor.c.name == CURSOR).values(change_id=change_id))


def counted_days(connection: Connection, zone: ZoneInfo) -> list[date]:
    """List the local days from the first alarm to the last, of rows and of what was counted before."""
    moments: list[int] = []
    for column in (occurrence.c.raised_at_us, alarm_event.c.at_us):
        low, high = connection.execute(select(func.min(column), func.max(column))).one()
        moments += [low, high] if low is not None else []
    days = [day_of(moment, zone) for moment in moments]
    counted = connection.execute(select(func.min(tally.c.first_day), func.max(tally.c.first_day))).one()
    days += [day for day in counted if day is not None]
    return [*days_from(min(days), max(days)), max(days)] if days else []


def rebuild_day(connection: Connection, day: date, zone: ZoneInfo) -> None:
    """Count one day of all areas from its rows, whatever stood there; its month is to follow."""
    contents = contents_of(connection, span_us(day, zone), None)
    totals = totals_of(contents)
    connection.execute(delete(tally).where(tally.c.span == DAY, tally.c.first_day == day))
    rows = []
    for path in sorted(contents.keys() | totals.keys()):
        own, total = contents.get(path), totals.get(path)
        row = {"area_path": path, "span": DAY, "first_day": day, "untold": 1}
        row["own"] = None if own is None else write_content(own)
        row["total"] = None if total is None else write_content(total)
        rows.append(row)
    for some in chunked(rows, 5_000):
        connection.execute(insert(tally), list(some))


def areas_of_month(connection: Connection, month: date) -> list[str]:
    """List the paths of areas that have counted days in a month."""
    days = tally.c.first_day >= month, tally.c.first_day < month_after(month)
    known = select(tally.c.area_path).where(tally.c.span == DAY, *days)
    stale = select(tally.c.area_path).where(tally.c.span == MONTH, tally.c.first_day == month)
    return sorted(connection.execute(known.union(stale)).scalars())


def rebuild_areas(connection: Connection, paths: Sequence[str], month: date) -> None:
    """Let the month of these areas be the sum of its days."""
    days = tally.c.first_day >= month, tally.c.first_day < month_after(month)
    query = select(tally.c.area_path, func.coalesce(tally.c.total, tally.c.own).label("content"))
    sums: dict[str, list[str]] = {}
    for row in connection.execute(query.where(tally.c.span == DAY, *days, tally.c.area_path.in_(paths))):
        sums.setdefault(row.area_path, []).append(row.content)
    old = tally.c.span == MONTH, tally.c.first_day == month, tally.c.area_path.in_(paths)
    connection.execute(delete(tally).where(*old))
    rows = [
        {"area_path": path, "span": MONTH, "first_day": month, "own": None, "untold": None,
         "total": write_content(merged_contents(map(read_content, contents)))}
        for path, contents in sums.items()
    ]  # fmt: skip
    if rows:
        connection.execute(insert(tally), rows)


def rebuild_steps(zone: ZoneInfo) -> Generator[Work, Any, int]:
    """Count everything anew, a day or some hundred areas in each transaction.

    What changes meanwhile is counted when the cursor comes to it; counting it twice adds nothing. While this runs, the
    numbers of months may be those of a part of their days.

    Args:
        zone: of the days.

    Yields:
        What to do in a transaction for writing; send its result back.

    Returns:
        How many days were counted.
    """
    began_at = yield _alone(last_change)
    days: list[date] = yield _alone(partial(counted_days, zone=zone))
    for day in days:
        yield _alone(partial(rebuild_day, day=day, zone=zone))
    for month in sorted({month_of(day) for day in days}):
        paths: list[str] = yield _alone(partial(areas_of_month, month=month))
        for some in chunked(paths, _AREAS_AT_ONCE):
            yield _alone(partial(rebuild_areas, paths=some, month=month))
        yield _alone(partial(count_month, month=month, zone=zone))
    yield _alone(partial(set_cursor, change_id=began_at))
    return len(days)


def rebuild(database: Database, zone: ZoneInfo) -> int:
    """Do all of `rebuild_steps`.

    Returns:
        How many days were counted.

    Raises:
        DatabaseAwayError, DatabaseRefusedError: as `Database.run`.
    """
    steps, answer = rebuild_steps(zone), None
    while True:
        try:
            work = steps.send(answer)
        except StopIteration as end:
            return int(end.value)
        answer = database.run(work)


def _alone(work: Work) -> Work:
    """Make it something that is done while nobody else counts."""

    def do(connection: Connection) -> Any:
        mine = select(cursor.c.change_id).where(cursor.c.name == CURSOR)
        if connection.execute(mine.with_for_update()).first() is None:
            # Another worker may do the same in this moment: one of them fails, repeats, and then waits.
            connection.execute(insert(cursor).values(name=CURSOR, change_id=_UNCOUNTED))
        return work(connection)

    return do


def _dirty(connection: Connection, changes: Sequence[RowMapping], zone: ZoneInfo) -> Dirty:
    ids = sorted({row["alarm_id"] for row in changes if row["alarm_id"] is not None})
    raised: dict[str, int] = {}
    for some in chunked(ids):
        columns = occurrence.c.alarm_id, occurrence.c.raised_at_us
        rows = connection.execute(select(*columns).where(occurrence.c.alarm_id.in_(some)))
        raised |= {row.alarm_id: row.raised_at_us for row in rows}
    return dirty_of([{str(key): value for key, value in row.items()} for row in changes], raised, zone)


def _moments(row: Mapping[str, Any]) -> Iterator[int]:
    """The moments of raises and triggers that a change speaks of."""
    for name in _MOMENTS:
        yield from _both(row, name)
    for recent in _both(row, "recent_us"):
        yield from recent


def _both(row: Mapping[str, Any], name: str) -> Sequence[Any]:
    both: Sequence[Any] = row["fields"].get(name, ())
    return [value for value in both if value is not None]
