"""The loop of what stands: one worker of all says it, and each step of an alarm's life is queued."""

import uuid
from collections.abc import Awaitable, Callable
from functools import partial

import anyio

from cloud.clock import now_us
from cloud.database import PersistentDatabase
from cloud.desk.following import begin_here
from cloud.feed.lease import hold
from cloud.influx import open_writer
from cloud.settings import Settings
from cloud.state.alarms import READER, AlarmTeller
from cloud.state.events import tell_events
from cloud.state.reading import read_picture
from cloud.state.things import ThingTeller
from cloud.state.writer import PresentWriter

_LEASE = "present"
_LEASE_S = 15.0
# A third of it: two may fail.
_KEEP_S = 5.0
# An alarm's change is in InfluxDB within a second.
_ALARMS_S = 0.25
_THINGS_S = 1.0


async def run_state(database: PersistentDatabase, settings: Settings, *, clock: Callable[[], int] = now_us) -> None:
    """Say how everything stands, until cancelled. Any number of workers may run: one at a time says it.

    What stands is written at once or not at all: while InfluxDB is away nothing waits, and the next beat says it again.

    Args:
        database: waited for when it is away.
        settings: as loaded.
        clock: wall time, microseconds UTC.

    Raises:
        DatabaseRefusedError: the database cannot note how far the history was followed.
    """
    keep = partial(hold, name=_LEASE, holder=uuid.uuid4().hex, for_s=_LEASE_S)
    async with anyio.create_task_group() as tasks, open_writer(settings.influx) as raw_writer:
        tasks.start_soon(tell_events, database, settings)
        writer = PresentWriter(raw_writer, batch_lines=settings.influx.batch_lines)
        while True:
            if await database.call(lambda connection: keep(connection, now_us=clock())):
                await _speak(database, writer, settings, clock, keep)
            await anyio.sleep(_KEEP_S)


async def _speak(
    database: PersistentDatabase,
    writer: PresentWriter,
    settings: Settings,
    clock: Callable[[], int],
    keep: Callable[..., bool],
) -> None:
    """Say it for as long as the lease is ours. Two that both think so do no harm: each line has its own time."""
    await database.call(partial(begin_here, name=READER))
    picture = await database.ask(read_picture)
    alarms = AlarmTeller(database, writer, picture, settings, clock)
    things = ThingTeller(database, writer, picture, settings, clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_repeat, alarms.step, _ALARMS_S)
        tasks.start_soon(_repeat, things.step, _THINGS_S)
        while True:
            await anyio.sleep(_KEEP_S)
            if not await database.call(lambda connection: keep(connection, now_us=clock())):
                break
        tasks.cancel_scope.cancel()


async def _repeat(step: Callable[[], Awaitable[bool]], idle_s: float) -> None:
    while True:
        if not await step():
            await anyio.sleep(idle_s)
