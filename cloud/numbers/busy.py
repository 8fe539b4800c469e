"""Sources that are annunciated again and again: month by month, those with three alarms or more.

A bad actor is busy by nature, so a source with one or two alarms in a month need not be kept; that bounds what is
searched for a year of a city.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import Connection, delete, func, insert, select

from cloud.areas.chunks import chunked
from cloud.database.number_tables import busy_source
from cloud.database.tables import alarm_event, occurrence
from cloud.numbers.days import begin_us, month_after
from cloud.numbers.paths import within
from contract.alarms import Mode, Transition

BUSY_FROM = 3
"""Alarms of a source in a local month from which on it is kept."""


class Busy(Struct, frozen=True):
    """One source and how often it was annunciated."""

    source: str
    kind: str
    severity: str
    triggers: int


def count_sources(connection: Connection, sources: Collection[tuple[str, date]], zone: ZoneInfo) -> None:
    """Count sources anew for the months they are named with.

    Args:
        connection: a transaction for writing.
        sources: with months by their first days.
        zone: of the months.
    """
    by_month: dict[date, set[str]] = defaultdict(set)
    for source, month in sources:
        by_month[month].add(source)
    for month, names in sorted(by_month.items()):
        for some in chunked(sorted(names)):
            connection.execute(delete(busy_source).where(busy_source.c.month == month, busy_source.c.source.in_(some)))
            _count(connection, month, zone, sources=some)


def count_month(connection: Connection, month: date, zone: ZoneInfo) -> None:
    """Count all sources of a month anew."""
    connection.execute(delete(busy_source).where(busy_source.c.month == month))
    _count(connection, month, zone, sources=None)


def busiest(connection: Connection, area_path: str, months: Sequence[date], *, limit: int = 10) -> list[Busy]:
    """Find the sources of an area and all below it with the most alarms in these months together.

    Args:
        connection: any.
        area_path: "" for everything.
        months: by their first days.
        limit: at most so many.
    """
    triggers = func.sum(busy_source.c.triggers).label("triggers")
    query = (
        select(busy_source.c.source, triggers)
        .where(busy_source.c.month.in_(months), *within(busy_source.c.area_path, area_path))
        .group_by(busy_source.c.source)
        .order_by(triggers.desc(), busy_source.c.source)
        .limit(limit)
    )
    found = {row.source: int(row.triggers) for row in connection.execute(query)}
    # What they are is looked up only of these, so that the sums need nothing but an index.
    words = busy_source.c.source, func.max(busy_source.c.kind), func.max(busy_source.c.severity)
    named = select(*words).where(busy_source.c.month.in_(months), busy_source.c.source.in_(found))
    kinds = {row[0]: row[1:] for row in connection.execute(named.group_by(busy_source.c.source))}
    return [Busy(source, *kinds[source], count) for source, count in found.items()]


def _count(connection: Connection, month: date, zone: ZoneInfo, *, sources: Collection[str] | None) -> None:
    triggers = func.count().label("triggers")
    last = occurrence.c.source, func.max(occurrence.c.area_path), func.max(occurrence.c.kind)
    query = (
        select(*last, func.max(occurrence.c.severity), triggers)
        .select_from(alarm_event.join(occurrence, alarm_event.c.occurrence == occurrence.c.alarm_id))
        .where(
            alarm_event.c.at_us >= begin_us(month, zone),
            alarm_event.c.at_us < begin_us(month_after(month), zone),
            alarm_event.c.transition != Transition.CLEARED.value,
            occurrence.c.mode == Mode.LIVE.value,
        )
        .group_by(occurrence.c.source)
        .having(func.count() >= BUSY_FROM)
    )
    if sources is not None:
        query = query.where(occurrence.c.source.in_(sources))
    names = "source", "area_path", "kind", "severity", "triggers"
    rows = [dict(zip(names, row, strict=True)) | {"month": month} for row in connection.execute(query)]
    if rows:
        connection.execute(insert(busy_source), rows)
