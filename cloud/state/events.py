"""Each step of an alarm's life as a point of `alarm_event`, once, however long InfluxDB is away."""

from collections.abc import Mapping
from functools import partial

import anyio
from sqlalchemy import Connection, select

from cloud.areas.chunks import chunked
from cloud.database import PersistentDatabase
from cloud.database.area_tables import site
from cloud.desk.core import Alarm
from cloud.desk.following import begin_here, has_changes, take_changes
from cloud.feed import measures
from cloud.settings import Settings
from cloud.state.alarm_lines import Step, event_lines
from cloud.state.reading import read_alarms

READER = "alarm-events"
"""The name of the cursor."""
STEPS_AT_ONCE = 100
"""Changes taken in one transaction: while it lasts SQLite takes no alarm."""
GAP_S = 0.02
"""Between two transactions, so that the desk has its turn."""
_IDLE_S = 0.5


async def tell_events(database: PersistentDatabase, settings: Settings) -> None:
    """Queue the line of each change of the history, until cancelled; any number of workers may.

    It begins where the history ends when it runs for the first time.

    Args:
        database: waited for when it is away.
        settings: as loaded.
    """
    await database.call(partial(begin_here, name=READER))
    while True:
        if await database.ask(partial(has_changes, name=READER)):
            await database.call(partial(take_steps, settings=settings))
            await anyio.sleep(GAP_S)
        else:
            await anyio.sleep(_IDLE_S)


def take_steps(connection: Connection, *, settings: Settings) -> int:
    """Take the next changes of the history and queue their lines, in one transaction.

    Returns:
        How many lines were queued; what concerns no alarm has none.
    """
    rows = [row for row in take_changes(connection, READER, limit=STEPS_AT_ONCE) if row["alarm_id"]]
    steps = [Step(row["id"], row["at_us"], row["what"], row["alarm_id"]) for row in rows]
    alarms = read_alarms(connection, {step.alarm_id for step in steps})
    lines = list(event_lines(_site_names(connection, alarms), alarms, steps))
    measures.put(connection, lines, limit=settings.trades.measures)
    return len(lines)


def _site_names(connection: Connection, alarms: Mapping[str, Alarm]) -> dict[str, str]:
    found: dict[str, str] = {}
    for some in chunked(sorted({alarm.site for alarm in alarms.values() if alarm.site})):
        query = select(site.c.id, site.c.name).where(site.c.id.in_(some))
        found |= {row.id: row.name for row in connection.execute(query) if row.name}
    return found
