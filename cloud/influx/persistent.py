"""Writing that does not give up: what waits is kept until the database has it or has refused it."""

import logging
import time

import anyio

from cloud.backoff import Backoff, Outage
from cloud.counters import Counters
from cloud.errors import DatabaseAwayError, DatabaseRefusedError, HoldError, TooLargeError
from cloud.influx.writer import InfluxWriter

_log = logging.getLogger(__name__)


class PersistentWriter:
    """A writer's `write` with the retry policy: away and hold are waited out, refusals go to the caller.

    Args:
        writer: talks to the server.
        counters: its `retries` are counted.
        backoff: waits between tries.
    """

    def __init__(self, writer: InfluxWriter, *, counters: Counters, backoff: Backoff | None = None) -> None:
        self._writer = writer
        self._counters = counters
        self._backoff = backoff or Backoff(longest_s=5.0)
        self._outage = Outage(_log, "InfluxDB")
        self._is_database_sure = False

    async def write(self, lines: bytes, *, policy: str = "") -> None:
        """Write lines to a retention policy; return when the server has them.

        Raises:
            DatabaseRefusedError, TooLargeError: as the writer does; everything else is waited out.
        """
        while True:
            try:
                if not self._is_database_sure:
                    await self._ensure_database()
                await self._writer.write(lines, policy=policy)
            except HoldError as error:
                # The database may have been dropped or set up anew; before the next try it is made again.
                self._is_database_sure = False
                await self._wait(error, self._backoff.next_s())
            except DatabaseAwayError as error:
                await self._wait(error, max(self._backoff.next_s(), error.retry_after_s or 0.0))
            except (DatabaseRefusedError, TooLargeError):
                self._worked()
                raise
            else:
                self._worked()
                return

    async def _ensure_database(self) -> None:
        try:
            await self._writer.ensure_database()
        except HoldError as error:
            # A user who may write need not be one who may create databases; writing will tell.
            _log.debug("the database could not be created: %s", error)
        self._is_database_sure = True

    async def _wait(self, error: DatabaseAwayError | HoldError, wait_s: float) -> None:
        self._counters.retries += 1
        self._outage.failed(error, now_s=time.monotonic(), wait_s=wait_s)
        await anyio.sleep(wait_s)

    def _worked(self) -> None:
        self._outage.over(now_s=time.monotonic())
        self._backoff.reset()
