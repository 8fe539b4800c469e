"""The worker that counts: follows the history, and writes what it counts to InfluxDB too."""

import logging
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import anyio
from msgspec import Struct
from sqlalchemy import Connection, bindparam, func, select, update

from cloud.clock import now_us
from cloud.counters import Counters
from cloud.database import PersistentDatabase
from cloud.database.number_tables import tally
from cloud.influx import open_writer
from cloud.influx.persistent import PersistentWriter
from cloud.influx.routing import write_lines
from cloud.numbers.availability import availability_by_area
from cloud.numbers.days import DAY, day_of, span_us
from cloud.numbers.following import AT_ONCE, follow_changes, rebuild_steps
from cloud.numbers.lines import availability_lines, day_lines
from cloud.numbers.written import read_content
from cloud.settings import Settings

_log = logging.getLogger(__name__)
_DAYS_AT_ONCE = 100
_AVAILABILITY_EVERY_US = 600_000_000


class Untold(Struct, frozen=True):
    """A day of an area that InfluxDB has not got as it is now."""

    area_path: str
    day: date
    untold: int
    content: str | None


async def run_numbers(database: PersistentDatabase, settings: Settings, *, clock: Callable[[], int] = now_us) -> None:
    """Count for ever; ends by being cancelled. Any number of workers may run: one at a time counts.

    A database that was never counted is counted as a whole first. InfluxDB may be away for as long as it likes: what it
    has not got is marked in the database.

    Args:
        database: of the desk.
        settings: as loaded.
        clock: microseconds UTC.

    Raises:
        DatabaseRefusedError: the database cannot store what was counted.
    """
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_count, database, settings)
        if settings.numbers.influx:
            tasks.start_soon(_tell, database, settings, clock)


async def count_everything(database: PersistentDatabase, zone: ZoneInfo) -> int:
    """Do all of `rebuild_steps`; returns how many days were counted."""
    steps, answer = rebuild_steps(zone), None
    while True:
        try:
            work = steps.send(answer)
        except StopIteration as end:
            return int(end.value)
        answer = await database.call(work)


async def _count(database: PersistentDatabase, settings: Settings) -> None:
    zone = ZoneInfo(settings.desk.timezone)
    while True:
        taken = await database.call(partial(follow_changes, zone=zone))
        if taken is None:
            days = await count_everything(database, zone)
            _log.info("counted for the first time: %d days", days)
        elif taken < AT_ONCE:
            await anyio.sleep(settings.numbers.every_s)


async def _tell(database: PersistentDatabase, settings: Settings, clock: Callable[[], int]) -> None:
    """Write what InfluxDB has not got; it decides the pace, and nothing waits for it."""
    zone = ZoneInfo(settings.desk.timezone)
    availability_due_us = 0
    async with open_writer(settings.influx) as raw_writer:
        writer = PersistentWriter(raw_writer, counters=Counters())
        while True:
            untold = await database.ask(find_untold)
            await _write([line for day in untold for line in _lines(day, settings, zone)], writer)
            await database.call(partial(mark_told, told=untold))
            if clock() >= availability_due_us:
                availability_due_us = clock() + _AVAILABILITY_EVERY_US
                await _write(await database.ask(partial(_availability_lines, at_us=clock(), zone=zone)), writer)
            if len(untold) < _DAYS_AT_ONCE:
                await anyio.sleep(settings.numbers.every_s)


async def _write(lines: Sequence[bytes], writer: PersistentWriter) -> None:
    for line, why in await write_lines(lines, writer):
        # Nobody's data: whatever is wrong with it is wrong with us, and everything else must go on.
        _log.error("InfluxDB refuses numbers: %s: %s", why, line.decode(errors="replace"))


def find_untold(connection: Connection) -> list[Untold]:
    """Find the next days of areas that InfluxDB has not got, the oldest first."""
    content = func.coalesce(tally.c.total, tally.c.own)
    query = (
        select(tally.c.area_path, tally.c.first_day, tally.c.untold, content)
        .where(tally.c.untold.is_not(None), tally.c.span == DAY)
        .order_by(tally.c.first_day, tally.c.area_path)
        .limit(_DAYS_AT_ONCE)
    )
    return [Untold(*row) for row in connection.execute(query)]


def mark_told(connection: Connection, told: Sequence[Untold]) -> None:
    """Note that InfluxDB has them; one that changed meanwhile stays untold."""
    if told:
        statement = update(tally).where(
            tally.c.area_path == bindparam("path"),
            tally.c.span == DAY,
            tally.c.first_day == bindparam("day"),
            tally.c.untold == bindparam("seen"),
        )
        rows = [{"path": one.area_path, "day": one.day, "seen": one.untold} for one in told]
        connection.execute(statement.values(untold=None), rows)


def _lines(one: Untold, settings: Settings, zone: ZoneInfo) -> list[bytes]:
    from_us, until_us = span_us(one.day, zone)
    content, operators = read_content(one.content), settings.numbers.operators
    return list(day_lines(one.area_path, content, from_us=from_us, until_us=until_us, operators=operators))


def _availability_lines(connection: Connection, at_us: int, zone: ZoneInfo) -> list[bytes]:
    """Write the availability of today so far and of yesterday."""
    today = day_of(at_us, zone)
    lines: list[bytes] = []
    for day in (today - timedelta(days=1), today):
        from_us, until_us = span_us(day, zone)
        found = availability_by_area(connection, from_us=from_us, until_us=min(until_us, max(at_us, from_us + 1)))
        for path, one in sorted(found.items()):
            lines += availability_lines(path, one, at_us=from_us)
    return lines
