"""Has an ingest worker write how it does, as a point of the measurement `ingest`; at once or not at all."""

import logging
import uuid
from collections.abc import Callable
from functools import partial

import anyio
from sqlalchemy import Connection

from cloud.clock import now_us
from cloud.counters import Counters
from cloud.database import Database
from cloud.errors import DatabaseAwayError, DatabaseRefusedError
from cloud.feed.lease import hold
from cloud.influx.lines import line_of
from cloud.influx.schema import INGEST
from cloud.ingest.pace import Pace
from cloud.state.writer import PresentWriter

_log = logging.getLogger(__name__)
MOST_WORKERS = 64
"""That have a name of their own; more than these write nothing of themselves."""
EVERY_S = float(INGEST.every_s)
_LEASE_S = 180.0
_RENEW_EVERY_US = 60_000_000
# Neither database is waited for: there is another point soon, and a stop must not wait for this one.
_LIMIT_S = 3.0


class Teller:
    """Names this worker, and writes its points.

    Workers are numbered by leases, the lowest number that is free: a worker that starts again takes one that was
    there before, and however often they start there are no more series than workers at a time.

    Args:
        pace: what is told.
        counters: of the worker.
        waiting: how many messages are taken and not yet stored.
        clock: wall time, microseconds UTC.
    """

    def __init__(
        self,
        pace: Pace,
        *,
        counters: Counters,
        waiting: Callable[[], int],
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._pace, self._counters, self._waiting, self._clock = pace, counters, waiting, clock
        self._holder = uuid.uuid4().hex
        self._number: int | None = None
        self._held_at_us = 0

    async def run(self, writer: PresentWriter, database: Database, *, stop: anyio.Event) -> None:
        """Write a point every `EVERY_S` until `stop`, and a last one then."""
        while not stop.is_set():
            with anyio.move_on_after(EVERY_S):
                await stop.wait()
            with anyio.move_on_after(_LIMIT_S):
                await self.tell(writer, database)

    async def tell(self, writer: PresentWriter, database: Database) -> None:
        """Write one point, unless a database is away or nobody gives this worker a number."""
        fields = self._pace.point(now_s=anyio.current_time(), counters=self._counters, waiting=self._waiting())
        at_us = self._clock()
        try:
            if self._number is None or at_us - self._held_at_us >= _RENEW_EVERY_US:
                self._number = await database.call(partial(self._take_number, at_us=at_us))
                self._held_at_us = at_us
        except (DatabaseAwayError, DatabaseRefusedError) as error:
            _log.debug("no number for this worker: %s", error)
        if self._number is not None:
            line = line_of(INGEST.name, {"worker": f"ingest-{self._number}"}, fields, at_us)
            await writer.write([line] if line else [])

    def _take_number(self, connection: Connection, at_us: int) -> int | None:
        numbers = list(range(1, MOST_WORKERS + 1))
        if self._number is not None:
            # The one it has comes before a lower one that has become free.
            numbers.insert(0, self._number)
        for number in numbers:
            if hold(connection, f"ingest-{number}", holder=self._holder, now_us=at_us, for_s=_LEASE_S):
                return number
        return None
