"""The loops: fires found by towers together, what is measured around them, how often towers look, what CAP says on."""

import logging
import uuid
from collections.abc import Callable
from functools import partial

import anyio
from sqlalchemy import Connection

from cloud.clock import now_us
from cloud.database import PersistentDatabase
from cloud.desk.following import begin_here, has_changes, take_changes
from cloud.errors import DatabaseRefusedError
from cloud.feed.lease import hold
from cloud.fire.cap_store import renew
from cloud.fire.detection_pace import give_paces
from cloud.fire.detection_surroundings import run_surroundings
from cloud.fire.detection_taking import AT_ONCE, CURSOR, take_news
from cloud.settings import Settings

_log = logging.getLogger(__name__)
IDLE_S = 0.25
"""How often it looks for news when there was none: so long an alarm of a tower sounds alone at most."""
EVERY_S = 60.0
"""How often the towers' pace and messages that run out are looked after."""
# Who dies with it in hand is followed by another after two looks.
_LEASE_S = 150.0


async def run_detection(database: PersistentDatabase, settings: Settings, *, clock: Callable[[], int] = now_us) -> None:
    """Make fires of what towers say, until cancelled.

    Args:
        database: waited for when it is away.
        settings: as loaded; InfluxDB may be away for ever, fires are found all the same.
        clock: wall time, microseconds UTC.
    """
    await database.call(partial(begin_here, name=CURSOR))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_follow, database, settings, clock)
        tasks.start_soon(run_surroundings, database, settings, clock)
        tasks.start_soon(_each_minute, database, "tower-pace", partial(_pace, settings), clock)
        tasks.start_soon(_each_minute, database, "fire-messages", partial(_renew, settings), clock)


async def _follow(database: PersistentDatabase, settings: Settings, clock: Callable[[], int]) -> None:
    while True:
        if not await database.ask(partial(has_changes, name=CURSOR)):
            await anyio.sleep(IDLE_S)
            continue
        try:
            await _take(database, settings, clock, at_once=AT_ONCE)
        except DatabaseRefusedError as error:
            _log.warning("fires: %d changes are taken one by one: %s", AT_ONCE, error)
            await _take_each(database, settings, clock)


async def _take(database: PersistentDatabase, settings: Settings, clock: Callable[[], int], *, at_once: int) -> None:
    await database.call(lambda connection: take_news(connection, settings, clock(), at_once=at_once))


async def _take_each(database: PersistentDatabase, settings: Settings, clock: Callable[[], int]) -> None:
    """Take changes of which the database refused one, which is passed over: detection must not stand still for it."""
    for _ in range(AT_ONCE):
        try:
            await _take(database, settings, clock, at_once=1)
        except DatabaseRefusedError as error:
            # The tower's own alarm stays as it is, and heard; its next change brings it again.
            _log.error("fires: a change is passed over: %s", error)
            try:
                await database.call(partial(take_changes, name=CURSOR, limit=1))
            except DatabaseRefusedError as also:
                _log.error("fires: not taken: %s", also)
                await anyio.sleep(IDLE_S)
                return


def _pace(settings: Settings, connection: Connection, at_us: int) -> int:
    return give_paces(connection, settings.fire.detection, at_us)


def _renew(settings: Settings, connection: Connection, at_us: int) -> int:
    return renew(connection, settings=settings, now_us=at_us)


async def _each_minute(
    database: PersistentDatabase, what: str, work: Callable[[Connection, int], object], clock: Callable[[], int]
) -> None:
    """Do something now and then, one of all workers at a time."""
    holder = uuid.uuid4().hex

    def step(connection: Connection) -> None:
        at_us = clock()
        if hold(connection, what, holder=holder, now_us=at_us, for_s=_LEASE_S):
            work(connection, at_us)

    while True:
        try:
            await database.call(step)
        except DatabaseRefusedError as error:
            _log.error("%s: not done: %s", what, error)
        await anyio.sleep(EVERY_S)
