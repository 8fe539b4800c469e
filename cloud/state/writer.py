"""Writing what stands: at once or not at all, as it is said again anyway."""

import logging
from collections.abc import Sequence

import anyio

from cloud.areas.chunks import chunked
from cloud.backoff import Backoff, Outage
from cloud.errors import DatabaseAwayError, HoldError
from cloud.influx.bisection import bisect
from cloud.influx.writer import InfluxWriter

_log = logging.getLogger(__name__)
_LONGEST_S = 15.0


class PresentWriter:
    """Writes lines to the default retention policy, and gives them up where InfluxDB is away.

    Args:
        writer: talks to the server.
        batch_lines: sent at once.
        backoff: waits after a failure; nothing is tried meanwhile.
    """

    def __init__(self, writer: InfluxWriter, *, batch_lines: int, backoff: Backoff | None = None) -> None:
        self._writer = writer
        self._batch_lines = batch_lines
        self._backoff = backoff or Backoff(first_s=0.5, longest_s=_LONGEST_S)
        self._outage = Outage(_log, "InfluxDB, for what stands now")
        self._is_database_sure = False
        self._again_at_s = 0.0

    @property
    def is_waiting(self) -> bool:
        """Whether it has failed so lately that nothing is tried: spare yourself the lines."""
        return anyio.current_time() < self._again_at_s

    async def write(self, lines: Sequence[bytes]) -> bool:
        """Write lines; those that are refused are logged, as nobody but us can be wrong.

        Returns:
            False when the server is away, or refuses us: some of them may have been written.
        """
        if self.is_waiting:
            return False
        try:
            await self._ensure_database()
            for some in chunked(lines, self._batch_lines):
                for culprit in await bisect(some, self._write):
                    words = some[culprit.start].decode(errors="replace")
                    _log.error("InfluxDB refuses what stands: %s: %s", culprit.why, words)
        except (DatabaseAwayError, HoldError) as error:
            self._failed(error)
            return False
        self._outage.over(now_s=anyio.current_time())
        self._backoff.reset()
        return True

    async def _write(self, lines: bytes) -> None:
        await self._writer.write(lines)

    async def _ensure_database(self) -> None:
        if self._is_database_sure:
            return
        try:
            await self._writer.ensure_database()
        except HoldError as error:
            # A user who may write need not be one who may create databases; writing will tell.
            _log.debug("the database could not be created: %s", error)
        self._is_database_sure = True

    def _failed(self, error: DatabaseAwayError | HoldError) -> None:
        # The database may have been dropped: before the next try it is made again.
        self._is_database_sure = not isinstance(error, HoldError)
        asked_s = error.retry_after_s or 0.0 if isinstance(error, DatabaseAwayError) else 0.0
        wait_s = max(self._backoff.next_s(), asked_s)
        now_s = anyio.current_time()
        self._again_at_s = now_s + wait_s
        self._outage.failed(error, now_s=now_s, wait_s=wait_s)
