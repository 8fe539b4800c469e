"""Tallies in the database: what an area's day holds is counted anew, and all above it changes by the difference.

The rows of `tally` are a function of those of `occurrence` and `alarm_event`. A change of one occurrence makes the days
dirty on which it was raised and triggered; such a day of such an area is counted from its rows, and what it differs by
from what stood there before is added, in the same transaction, to the days of the areas above it and to the months of
all of them. Counting twice adds nothing, so it does no harm to count too often.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, bindparam, func, insert, select, update
from sqlalchemy.sql import Select

from cloud.areas.chunks import chunked
from cloud.database.area_tables import site
from cloud.database.number_tables import tally
from cloud.database.tables import alarm_event, occurrence
from cloud.numbers.days import DAY, MONTH, month_of, span_us
from cloud.numbers.paths import path_above
from cloud.numbers.tally import (
    NOTHING,
    PERIOD_US,
    Content,
    Fact,
    content_difference,
    content_of,
    merged_contents,
)
from cloud.numbers.written import read_content, write_content
from contract.alarms import Mode, Transition

Place = tuple[str, date]
"""An area's path and a local day."""

_Key = tuple[str, str, date]
_FACT = (
    occurrence.c.source,
    occurrence.c.area_path,
    occurrence.c.kind,
    occurrence.c.severity,
    occurrence.c.mode,
    occurrence.c.late,
    occurrence.c.triggers,
    occurrence.c.raised_at_us,
    occurrence.c.stored_at_us,
    func.coalesce(occurrence.c.first_acknowledged_at_us, occurrence.c.acknowledged_at_us),
    occurrence.c.dispatched_at_us,
    occurrence.c.arrived_at_us,
    occurrence.c.cleared_at_us,
    occurrence.c.closed_at_us,
    occurrence.c.closing_code,
    occurrence.c.target_s,
    occurrence.c.latching,
    occurrence.c.chattering,
    func.coalesce(site.c.transmission_class, ""),
    func.coalesce(occurrence.c.site, ""),
)


def count_days(connection: Connection, places: Collection[Place], zone: ZoneInfo) -> None:
    """Count the days of areas anew, and carry what changed upwards.

    Args:
        connection: a transaction for writing.
        places: areas' paths with their days; "" is what has no area.
        zone: of the days.
    """
    by_day: dict[date, set[str]] = defaultdict(set)
    for path, day in places:
        by_day[day].add(path)
    for day, paths in sorted(by_day.items()):
        for some in chunked(sorted(paths)):
            found = contents_of(connection, span_us(day, zone), some)
            _put(connection, day, {path: found.get(path, NOTHING) for path in some})


def contents_of(connection: Connection, span: tuple[int, int], paths: Collection[str] | None) -> dict[str, Content]:
    """Count what happened in a span of time in areas themselves, without what lies below them.

    Args:
        connection: any.
        span: beginning and end, microseconds UTC.
        paths: of the areas, at most some hundred; None means all.

    Returns:
        By path; areas in which nothing happened may be missing.
    """
    raised = occurrence.c.raised_at_us >= span[0], occurrence.c.raised_at_us < span[1]
    joined = occurrence.outerjoin(site, occurrence.c.site == site.c.id)
    facts: dict[str, list[Fact]] = defaultdict(list)
    for row in connection.execute(_limited(select(*_FACT).select_from(joined).where(*raised), paths)):
        facts[row[1]].append(Fact(*row))
    loads: dict[str, dict[int, int]] = defaultdict(dict)
    for row in connection.execute(_limited(_loads(span), paths)):
        loads[row.area_path][row.period] = row.triggers
    return {path: content_of(facts[path], loads[path]) for path in facts.keys() | loads.keys()}


def totals_of(contents: Mapping[str, Content]) -> dict[str, Content]:
    """Sum up what happened in areas, level by level; pure.

    Args:
        contents: what happened in areas themselves, by path.

    Returns:
        With all below it, of each area below which something happened.
    """
    below: dict[str, list[Content]] = defaultdict(list)
    totals: dict[str, Content] = {}
    levels: dict[int, set[str]] = defaultdict(set)
    for path in {*contents, *(above for one in contents for above in path_above(one))}:
        levels[path.count("/")].add(path)
    for level in sorted(levels, reverse=True):
        for path in levels[level]:
            own = [contents[path]] if path in contents else []
            if path in below:
                totals[path] = merged_contents([*own, *below[path]])
            if path:
                below[path_above(path)[-1]].append(totals[path] if path in totals else contents[path])
    return totals


def _loads(span: tuple[int, int]) -> Select[Any]:
    period = (alarm_event.c.at_us // PERIOD_US).label("period")
    return (
        select(occurrence.c.area_path, period, func.count().label("triggers"))
        .select_from(alarm_event.join(occurrence, alarm_event.c.occurrence == occurrence.c.alarm_id))
        .where(
            alarm_event.c.at_us >= span[0],
            alarm_event.c.at_us < span[1],
            alarm_event.c.transition != Transition.CLEARED.value,
            occurrence.c.mode == Mode.LIVE.value,
        )
        .group_by(occurrence.c.area_path, period)
    )


def _limited(query: Select[Any], paths: Collection[str] | None) -> Select[Any]:
    return query if paths is None else query.where(occurrence.c.area_path.in_(paths))


def _put(connection: Connection, day: date, contents: Mapping[str, Content]) -> None:
    """Let `contents` be what happened on a day in each of these areas itself."""
    columns = tally.c.area_path, tally.c.own
    query = select(*columns).where(tally.c.span == DAY, tally.c.first_day == day, tally.c.area_path.in_(contents))
    before = {row.area_path: read_content(row.own) for row in connection.execute(query)}
    changed = {
        path: content_difference(content, before.get(path, NOTHING))
        for path, content in contents.items()
        if content != before.get(path, NOTHING)
    }
    additions: dict[_Key, list[Content]] = defaultdict(list)
    for path, change in changed.items():
        additions[path, DAY, day].append(change)
        additions[path, MONTH, month_of(day)].append(change)
        for above in path_above(path):
            additions[above, DAY, day].append(change)
            additions[above, MONTH, month_of(day)].append(change)
    _add(connection, additions, {path: contents[path] for path in changed})


def _add(connection: Connection, additions: Mapping[_Key, list[Content]], own: Mapping[str, Content]) -> None:
    known = _rows(connection, additions)
    new: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for key, changes in additions.items():
        path, span, first_day = key
        before = known.get(key)
        is_own = span == DAY and path in own
        row = {
            "area_path": path,
            "span": span,
            "first_day": first_day,
            "own": write_content(own[path]) if is_own else before and before["own"],
            "total": None,
            "untold": 1 + ((before and before["untold"]) or 0) if span == DAY else None,
        }
        # Where nothing has happened below, the total would say the same again.
        has_total = before is not None and before["total"] is not None
        if has_total or not is_own or len(changes) > 1:
            standing = before and (before["total"] if has_total else before["own"])
            row["total"] = write_content(merged_contents([read_content(standing or None), *changes]))
        (new if before is None else rows).append(row)
    _write(connection, new, rows)


def _rows(connection: Connection, keys: Iterable[_Key]) -> dict[_Key, dict[str, Any]]:
    paths: dict[tuple[str, date], list[str]] = defaultdict(list)
    for path, span, first_day in keys:
        paths[span, first_day].append(path)
    found: dict[_Key, dict[str, Any]] = {}
    for (span, first_day), of_span in paths.items():
        for some in chunked(of_span):
            query = select(tally).where(
                tally.c.span == span, tally.c.first_day == first_day, tally.c.area_path.in_(some)
            )
            for row in connection.execute(query).mappings():
                found[row["area_path"], span, first_day] = dict(row)
    return found


def _write(connection: Connection, new: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    if new:
        connection.execute(insert(tally), new)
    if rows:
        key = {"area_path": "key_path", "span": "key_span", "first_day": "key_day"}
        statement = update(tally).where(*(tally.c[column] == bindparam(name) for column, name in key.items()))
        connection.execute(
            statement.values({name: bindparam(name) for name in ("own", "total", "untold")}),
            [{key.get(name, name): value for name, value in row.items()} for row in rows],
        )
