"""The loops of the patrols: what wands say is taken, tours are made and judged, people alone are watched over."""

from collections.abc import Callable, Sequence
from functools import partial
from zoneinfo import ZoneInfo

import anyio
from sqlalchemy import Connection, delete, exists, select

from cloud.clock import now_us
from cloud.database import PersistentDatabase
from cloud.database.patrol_tables import patrol_fix, patrol_hit, patrol_tour, patrol_visit, patrol_wake, patrol_watch
from cloud.desk.following import begin_here, has_changes
from cloud.desk.own import say
from cloud.feed import queue
from cloud.feed.queue import Observation
from cloud.feed.sorting import Trade
from cloud.patrols.heard import HeardHit, HeardSync, HeardVisit, read_samples
from cloud.patrols.judging import judge_due
from cloud.patrols.links import CURSOR, follow_alarms
from cloud.patrols.lone import watch_due
from cloud.patrols.making import has_plans_due, make_tours, purge
from cloud.patrols.taking import assign_waiting, take_hits, take_syncs, take_visits
from cloud.settings import Settings

IDLE_S = 1.0
_PURGE_EVERY_US = 3_600_000_000
_PURGED_AT_ONCE = 500
_WAITING_AT_ONCE = 2_000
_DAY_US = 86_400_000_000


async def run_patrols(database: PersistentDatabase, settings: Settings, *, clock: Callable[[], int] = now_us) -> None:
    """Do all of it until cancelled; any number of workers side by side.

    Args:
        database: waited for when it is away.
        settings: as loaded.
        clock: wall time, microseconds UTC.
    """
    await database.call(lambda connection: begin_here(connection, CURSOR))
    async with anyio.create_task_group() as loops:
        work = partial(take_observations, settings=settings, clock=clock)
        loops.start_soon(partial(queue.follow, database, settings, Trade.PATROLS, work))
        loops.start_soon(_keep_on, database, settings, clock)


async def _keep_on(database: PersistentDatabase, settings: Settings, clock: Callable[[], int]) -> None:
    purged_us = clock()
    while True:
        at_us = clock()
        is_news = await database.ask(partial(has_work, settings=settings, now_us=at_us))
        done = await database.call(partial(work_once, settings=settings, now_us=at_us)) if is_news else 0
        if not 0 <= at_us - purged_us < _PURGE_EVERY_US:
            await database.call(partial(_purge, settings=settings, now_us=at_us))
            purged_us = at_us
        if not done:
            await anyio.sleep(IDLE_S)


def take_observations(
    connection: Connection, observations: Sequence[Observation], *, settings: Settings, clock: Callable[[], int]
) -> None:
    """Take what wands say; a `cloud.feed.queue.Work`."""
    heard = [one for told in observations for one in read_samples(told.gateway, told.samples)]
    at_us = clock()
    visits = [one for one in heard if isinstance(one, HeardVisit)]
    taken = take_visits(connection, visits, settings=settings, now_us=at_us)
    take_hits(connection, [one for one in heard if isinstance(one, HeardHit)], now_us=at_us)
    silent = take_syncs(connection, [one for one in heard if isinstance(one, HeardSync)], now_us=at_us)
    say(connection, [*taken.said, *silent], desk=settings.desk, now_us=at_us)


def has_work(connection: Connection, *, settings: Settings, now_us: int) -> bool:
    """Tell whether anything is due; changes nothing."""
    if connection.execute(select(exists(select(patrol_wake.c.id)))).scalar_one():
        return True
    for table in (patrol_tour, patrol_watch):
        if connection.execute(select(exists(select(table.c.id).where(table.c.due_us <= now_us)))).scalar_one():
            return True
    return has_plans_due(connection, settings.patrols, now_us) or has_changes(connection, CURSOR)


def work_once(connection: Connection, *, settings: Settings, now_us: int) -> int:
    """Do some of what is due; returns how much it was."""
    # First: whoever walks alone does not wait for a night of tours to be judged.
    if watched := watch_due(connection, settings, now_us=now_us):
        return watched
    zone, ours = ZoneInfo(settings.desk.timezone), settings.patrols
    made = make_tours(connection, ours, zone=zone, now_us=now_us)
    if made:
        from_us = now_us - (ours.early_catch_s + ours.late_catch_s) * 1_000_000 - _DAY_US
        assign_waiting(connection, from_us=from_us, limit=_WAITING_AT_ONCE)
    done = made or judge_due(connection, settings, now_us=now_us)
    return done or follow_alarms(connection, settings, now_us=now_us)


def _purge(connection: Connection, *, settings: Settings, now_us: int) -> None:
    """Take out what is older than it is kept."""
    before_us = now_us - settings.patrols.keep_days * _DAY_US
    purge(connection, before_us, limit=_PURGED_AT_ONCE)
    for table, column in (
        (patrol_visit, patrol_visit.c.visited_at_us),
        (patrol_hit, patrol_hit.c.hit_at_us),
        (patrol_fix, patrol_fix.c.at_us),
        (patrol_watch, patrol_watch.c.ended_at_us),
    ):
        connection.execute(delete(table).where(column < before_us))
