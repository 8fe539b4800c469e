"""The loops of bike watch: what readers say, and what time brings."""

import logging
import uuid
from collections.abc import Callable, Sequence
from functools import partial

import anyio
from sqlalchemy import Connection

from cloud.bikes import rounds, thefts
from cloud.bikes.taking import Counts, take
from cloud.clock import now_us
from cloud.database import PersistentDatabase
from cloud.desk.following import begin_here
from cloud.errors import DatabaseRefusedError
from cloud.feed import queue
from cloud.feed.lease import hold
from cloud.feed.sorting import Trade
from cloud.settings import Settings

_log = logging.getLogger(__name__)
_EVERY_S = 1.0
_LEASE_S = 30.0
_SILENT_EVERY_US = 60_000_000
_PRUNE_EVERY_US = 10_000_000


async def run_bikes(database: PersistentDatabase, settings: Settings, *, clock: Callable[[], int] = now_us) -> None:
    """Run until cancelled.

    Args:
        database: waited for when it is away.
        settings: as loaded.
        clock: wall time, microseconds UTC.
    """
    counts = Counts()

    def work(connection: Connection, observations: Sequence[queue.Observation]) -> None:
        take(connection, observations, settings=settings, counts=counts, now_us=clock())

    await database.call(partial(begin_here, name=thefts.READER))
    async with anyio.create_task_group() as loops:
        loops.start_soon(queue.follow, database, settings, Trade.BIKES, work)
        loops.start_soon(_run_rounds, database, settings, counts, clock)


async def _run_rounds(
    database: PersistentDatabase, settings: Settings, counts: Counts, clock: Callable[[], int]
) -> None:  # fmt: skip
    """Do what is due, one worker at a time; a clock that was set back waits for nothing."""
    holder, after = uuid.uuid4().hex, ""
    told_us = counted_us = pruned_us = 0
    while True:
        at_us = clock()
        busy = False
        for duty in await database.ask(partial(_due, settings=settings, at_us=at_us)):
            busy = bool(await _do(duty, database, settings, at_us)) or busy
        if _is_time(told_us, at_us, _SILENT_EVERY_US):
            told_us = at_us
            silent = rounds.Duty("silences", lambda *_: True, rounds.tell_silent)
            if await _do(silent, database, settings, at_us):
                told_us = at_us - _SILENT_EVERY_US // 2
        if _is_time(counted_us, at_us, round(settings.bikes.count_every_s * 1e6)):
            counted_us = at_us
            await database.call(partial(_count, settings=settings, counts=counts, at_us=at_us, holder=holder))
        if _is_time(pruned_us, at_us, _PRUNE_EVERY_US):
            pruned_us = at_us
            after = await database.call(partial(rounds.prune, settings=settings, now_us=at_us, after=after))
        if not busy:
            await anyio.sleep(_EVERY_S)


def _is_time(last_us: int, at_us: int, every_us: int) -> bool:
    return not 0 <= at_us - last_us < every_us


def _due(connection: Connection, settings: Settings, at_us: int) -> list[rounds.Duty]:
    return [duty for duty in rounds.duties() if duty.is_due(connection, settings, at_us)]


async def _do(duty: rounds.Duty, database: PersistentDatabase, settings: Settings, at_us: int) -> int:
    try:
        return await database.call(lambda connection: duty.work(connection, settings, at_us))
    except DatabaseRefusedError as error:
        # The other duties go on, and this one is tried again.
        _log.warning("bike watch: %s: not done: %s", duty.name, error)
        return 0


def _count(connection: Connection, settings: Settings, counts: Counts, at_us: int, holder: str) -> None:
    if hold(connection, "bike-counts", holder=holder, now_us=at_us, for_s=2 * settings.bikes.count_every_s):
        rounds.count(connection, settings, at_us, counts.unknown, counts.late)
