"""The loops: fires found by towers together, what is measured around them, and how often towers look."""

import logging
from collections.abc import Callable
from functools import partial

import anyio

from cloud.clock import now_us
from cloud.database import PersistentDatabase
from cloud.desk.following import begin_here, has_changes
from cloud.fire.detection_taking import CURSOR, take_news
from cloud.settings import Settings

_log = logging.getLogger(__name__)
IDLE_S = 0.25
"""How often it looks for news when there was none: so long an alarm of a tower sounds alone at most."""


async def run_detection(database: PersistentDatabase, settings: Settings, *, clock: Callable[[], int] = now_us) -> None:
    """Make fires of what towers say, until cancelled.

    Args:
        database: waited for when it is away.
        settings: as loaded; InfluxDB may be away for ever, fires are found all the same.
        clock: wall time, microseconds UTC.

    Raises:
        DatabaseRefusedError: a fire cannot be stored.
    """
    await database.call(partial(begin_here, name=CURSOR))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_follow, database, settings, clock)


async def _follow(database: PersistentDatabase, settings: Settings, clock: Callable[[], int]) -> None:
    while True:
        if not await database.ask(partial(has_changes, name=CURSOR)):
            await anyio.sleep(IDLE_S)
            continue
        await database.call(lambda connection: take_news(connection, settings, clock()))
