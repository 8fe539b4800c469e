"""What the trades found out, as line protocol: queued with the finding itself, written when InfluxDB is there."""

import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import anyio
from sqlalchemy import Connection, delete, exists, func, insert, select

from cloud.areas.chunks import chunked
from cloud.clock import now_us
from cloud.counters import Counters
from cloud.database import PersistentDatabase
from cloud.database.feed_tables import measure
from cloud.feed.lease import hold
from cloud.influx import open_writer
from cloud.influx.lines import line_of
from cloud.influx.persistent import PersistentWriter
from cloud.influx.routing import write_lines
from cloud.settings import Settings

__all__ = ["line_of", "put", "run_measures"]

_log = logging.getLogger(__name__)
_AT_ONCE = 2_000
_IDLE_S = 1.0
_LEASE_S = 120.0
# A write waits for InfluxDB as long as it is away. It is given up in time, and begun anew with the lease: what this
# worker has in hand may not come after what another has written since.
_WRITE_S = 90.0


def put(connection: Connection, lines: Iterable[bytes | None], *, limit: int) -> None:
    """Queue lines in the transaction that keeps what they say; beyond `limit` rows the oldest go."""
    rows = [{"line": line} for line in lines if line is not None]
    if not rows:
        return
    connection.execute(insert(measure), rows)
    newest: int = connection.execute(select(func.max(measure.c.id))).scalar_one()
    gone = connection.execute(delete(measure).where(measure.c.id <= newest - limit)).rowcount
    if gone:
        _log.error("%d lines for InfluxDB are lost: it was away for too long; trades.measures bounds them", gone)


async def run_measures(database: PersistentDatabase, settings: Settings, *, clock: Callable[[], int] = now_us) -> None:
    """Write what waits, oldest first, until cancelled; one worker at a time, so that the latest word on a time wins.

    Args:
        database: waited for when it is away; so is InfluxDB.
        settings: where InfluxDB is.
        clock: wall time, microseconds UTC.

    Raises:
        DatabaseRefusedError: the database cannot note what was written.
    """
    holder = uuid.uuid4().hex
    async with open_writer(settings.influx) as raw_writer:
        writer = PersistentWriter(raw_writer, counters=Counters())
        while True:
            if not await database.ask(_waits):
                await anyio.sleep(_IDLE_S)
                continue
            began_s = anyio.current_time()
            rows = await database.call(partial(_take, holder=holder, clock=clock))
            if not rows:
                await anyio.sleep(_IDLE_S)
                continue
            with anyio.CancelScope(deadline=began_s + _WRITE_S) as in_time:
                await _write([line for _id, line in rows], writer)
            if not in_time.cancelled_caught:
                await database.call(partial(_forget, written=[number for number, _line in rows]))


def _waits(connection: Connection) -> bool:
    return bool(connection.execute(select(exists(select(measure.c.id)))).scalar_one())


def _take(connection: Connection, holder: str, clock: Callable[[], int]) -> list[tuple[int, bytes]]:
    if not hold(connection, "measures", holder=holder, now_us=clock(), for_s=_LEASE_S):
        return []
    query = select(measure.c.id, measure.c.line).order_by(measure.c.id).limit(_AT_ONCE)
    return [(row.id, bytes(row.line)) for row in connection.execute(query)]


def _forget(connection: Connection, written: Sequence[int]) -> None:
    # By their ids: on PostgreSQL one with a smaller id may have been committed since.
    for some in chunked(written):
        connection.execute(delete(measure).where(measure.c.id.in_(some)))


async def _write(lines: Sequence[bytes], writer: PersistentWriter) -> None:
    for line, why in await write_lines(lines, writer):
        # Nobody's data: whatever is wrong with it is wrong with us, and everything else must go on.
        _log.error("InfluxDB refuses a measure: %s: %s", why, line.decode(errors="replace"))
