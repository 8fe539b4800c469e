"""One round of ingest: messages in hand into InfluxDB, culprits to the dead letters, receipts to the gateways."""

import logging
from collections.abc import Sequence
from functools import partial

import anyio
from msgspec import Struct

from cloud.answers import Refused, answer, dead_letter
from cloud.clock import now_us
from cloud.counters import Counters
from cloud.database import DeadLetter, PersistentDatabase, dead_letters
from cloud.errors import DatabaseRefusedError, TooLargeError
from cloud.feed import queue
from cloud.influx.bisection import Culprit, bisect
from cloud.influx.persistent import PersistentWriter
from cloud.ingest.core import Batch
from cloud.ingest.pace import Pace
from cloud.mqtt_worker import Message, MqttWorker
from contract.errors import Refusal

_log = logging.getLogger(__name__)


class Taken(Struct, frozen=True):
    """A message and what it turned out to be."""

    message: Message
    content: Batch | Refused


class Storing:
    """Stores what was taken; nothing is answered before it is stored.

    Args:
        worker: answers.
        writer, database: both wait out their outages, and so does `store`.
        dead_letter_limit, observation_limit: rows to keep.
        pace: what is stored is counted there.

    Attributes:
        in_hand: messages that are being stored.
    """

    def __init__(
        self,
        worker: MqttWorker,
        writer: PersistentWriter,
        database: PersistentDatabase,
        *,
        counters: Counters,
        dead_letter_limit: int,
        observation_limit: int,
        pace: Pace | None = None,
    ) -> None:
        self._worker = worker
        self._writer = writer
        self._database = database
        self._counters = counters
        self._dead_letter_limit = dead_letter_limit
        self._observation_limit = observation_limit
        self._pace = pace or Pace(anyio.current_time())
        self.in_hand = 0

    async def store(self, taken: Sequence[Taken]) -> None:
        """Write, keep what the trades must judge and what was refused, answer in the order of arrival."""
        self.in_hand, began_s = len(taken), anyio.current_time()
        culprits = await self._write(taken)
        if any(isinstance(entry.content, Batch) for entry in taken):
            self._pace.wrote(anyio.current_time() - began_s)
        await self._keep_for_trades(taken)
        letters = [letter for entry, found in zip(taken, culprits, strict=True) for letter in _letters(entry, found)]
        if letters:
            keep = partial(dead_letters.keep, letters=letters, limit=self._dead_letter_limit)
            await self._database.call(keep)
            self._count_refused(taken, culprits)
        for entry, found in zip(taken, culprits, strict=True):
            self._answer(entry, found)
        self._counters.lag_s = (now_us() - taken[0].message.received_at_us) / 1e6
        self._pace.take(len(taken))
        self.in_hand = 0

    async def _keep_for_trades(self, taken: Sequence[Taken]) -> None:
        waiting = [one for entry in taken if isinstance(entry.content, Batch) for one in entry.content.waiting]
        if not waiting:
            return
        gone = await self._database.call(partial(queue.put, waiting=waiting, limit=self._observation_limit))
        if gone:
            self._counters.untaken += gone
            _log.error(
                "%d messages were not judged by any trade: run `langyan cloud trades`, or set trades.follow = []", gone
            )

    async def _write(self, taken: Sequence[Taken]) -> list[list[Culprit]]:
        """Write all batches in one request; when that is refused, each alone, and halve those refused."""
        batches = [entry.content for entry in taken if isinstance(entry.content, Batch)]
        lines = [line for batch in batches for line in batch.lines]
        if not lines:
            return [[] for _ in taken]
        try:
            await self._writer.write(b"\n".join(lines))
        except (DatabaseRefusedError, TooLargeError) as error:
            known = str(error) if len(batches) == 1 and isinstance(error, DatabaseRefusedError) else None
            return [
                await bisect(entry.content.lines, self._writer.write, refused=known)
                if isinstance(entry.content, Batch)
                else []
                for entry in taken
            ]
        return [[] for _ in taken]

    def _count_refused(self, taken: Sequence[Taken], culprits: Sequence[Sequence[Culprit]]) -> None:
        """Count messages refused as a whole, and single lines: a block that was given up may be several letters."""
        for entry, found in zip(taken, culprits, strict=True):
            if isinstance(entry.content, Refused):
                self._counters.refused[entry.content.refusal.value] += 1
            elif found:
                lines = sum(culprit.stop - culprit.start for culprit in found)
                self._counters.refused[Refusal.DATABASE.value] += lines

    def _answer(self, entry: Taken, culprits: Sequence[Culprit]) -> None:
        content = entry.content
        if isinstance(content, Refused):
            reason = f"{content.refusal}: {content.why}"
            answer(self._worker, entry.message, gateway=content.gateway, reason=reason)
            return
        refused = sum(sum(content.readings[culprit.start : culprit.stop]) for culprit in culprits)
        stored = sum(content.readings) - refused
        self._pace.stored(content.at_us, received_at_us=entry.message.received_at_us)
        self._counters.stored += stored
        reason = f"{Refusal.DATABASE}: {culprits[0].why}" if culprits else ""
        answer(self._worker, entry.message, gateway=content.gateway, stored=stored, refused=refused, reason=reason)


def _letters(entry: Taken, culprits: Sequence[Culprit]) -> list[DeadLetter]:
    content, message = entry.content, entry.message
    if isinstance(content, Refused):
        return [dead_letter(message, content)]
    return [
        DeadLetter(
            topic=message.topic,
            gateway=content.gateway,
            reason=Refusal.DATABASE,
            why=culprit.why,
            payload=payload,
            received_at_us=message.received_at_us,
        )
        for culprit in culprits
        for payload in dead_letters.split_lines(content.lines[culprit.start : culprit.stop])
    ]
