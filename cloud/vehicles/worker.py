"""The loops of vehicles: reports are judged, totals told, and alarms of terminals get their positions."""

from collections.abc import Callable, Sequence
from functools import partial
from zoneinfo import ZoneInfo

import anyio
from sqlalchemy import Connection

from cloud.clock import now_us
from cloud.database import PersistentDatabase
from cloud.feed import queue
from cloud.feed.queue import Observation
from cloud.feed.sorting import Trade
from cloud.patrols.positions import take_positions
from cloud.settings import Settings
from cloud.vehicles.keeping import FenceCache, keep_positions
from cloud.vehicles.locating import follow_alarms
from cloud.vehicles.positions import read_positions
from cloud.vehicles.totals import tell_totals


async def run_vehicles(database: PersistentDatabase, settings: Settings, *, clock: Callable[[], int] = now_us) -> None:
    """Judge what terminals report, until cancelled.

    Args:
        database: waited for when it is away.
        settings: as loaded.
        clock: wall time, microseconds UTC.

    Raises:
        DatabaseRefusedError: what is no fault of a single report.
    """
    work = partial(judge, settings=settings, clock=clock, fences=FenceCache(), zone=ZoneInfo(settings.desk.timezone))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(queue.follow, database, settings, Trade.VEHICLES, work)
        tasks.start_soon(tell_totals, database, settings, clock)
        tasks.start_soon(follow_alarms, database, settings, clock)


def judge(
    connection: Connection,
    observations: Sequence[Observation],
    *,
    settings: Settings,
    clock: Callable[[], int],
    fences: FenceCache,
    zone: ZoneInfo,
) -> None:
    """Keep where vehicles are, say what they must not do, and hand on to patrols what everybody reports.

    The queue's `Work`: in the transaction that takes the reports.
    """
    positions = read_positions(observations)
    if not positions:
        return
    at_us = clock()
    say_crossings = keep_positions(connection, positions, settings=settings, now_us=at_us, fences=fences, zone=zone)
    take_positions(connection, positions, settings=settings, now_us=at_us)
    say_crossings()
