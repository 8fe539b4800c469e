"""The keeper: judges every sample, puts alarms on the disk at once and readings in groups."""

import logging

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from contract.alarms import AlarmEvent, Transition
from contract.compression import pack
from contract.limits import MAX_PAYLOAD_BYTES
from contract.telemetry import Sample, encode_telemetry
from edge.errors import StoreFullError
from edge.health import StoreHealth
from edge.rules import Judge
from edge.store import Store

log = logging.getLogger(__name__)

# One batch stays under the broker's and the ingester's limits: about 60 bytes of JSON a reading.
MAX_BATCH_READINGS = 2_000
# While the disk takes nothing, so many stay in memory: some minutes of a school.
MAX_PENDING_READINGS = 20_000
FULL_DISK_RETRY_S = 1.0


class Keeper:
    """Takes samples from all buses until every bus has hung up."""

    def __init__(
        self, store: Store, judge: Judge, *, commit_s: float, deflate_from_bytes: int, health: StoreHealth
    ) -> None:
        """`commit_s` is the longest a reading stays in memory only."""
        self._store = store
        self._judge = judge
        self._commit_s = commit_s
        self._deflate_from_bytes = deflate_from_bytes
        self._health = health
        self._is_full = False
        self._pending: list[Sample] = []
        self._readings = 0

    async def run(self, inbox: MemoryObjectReceiveStream[Sample], stop: anyio.Event) -> None:
        """Keep all that comes; returns when the inbox is closed and everything is on the disk.

        No wait on the inbox is ever cut short: a receive that is cancelled in the moment a sample arrives
        would lose it. The clock of the commits therefore runs in a task of its own.
        """
        ended = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._commit_for_ever, ended)
            async with inbox:
                async for sample in inbox:
                    self._add(sample)
                    await self._judge_sample(sample, stop)
                    if self._readings >= MAX_BATCH_READINGS and not self._is_full:
                        await self._commit()
            ended.set()
        # What came while the clock's last commit was under way.
        await self._commit()
        if self._readings:
            log.error("%d readings found no room on the disk and are lost with this stop", self._readings)

    async def _commit_for_ever(self, ended: anyio.Event) -> None:
        while not ended.is_set():
            with anyio.move_on_after(FULL_DISK_RETRY_S + self._commit_s if self._is_full else self._commit_s):
                await ended.wait()
            await self._commit()

    def _add(self, sample: Sample) -> None:
        self._pending.append(sample)
        self._readings += len(sample.points)

    async def _judge_sample(self, sample: Sample, stop: anyio.Event) -> None:
        events = self._judge.feed(sample, anyio.current_time())
        if not events:
            return
        for event in events:
            log.info("alarm %s %s: %s", event.transition.value, event.source, event.text.get("en", event.kind))
        while not await self._kept(events):
            if stop.is_set():
                log.error("stopping with %d alarm events that found no room", len(events))
                return
            # The field waits: an alarm that is not kept must not be overtaken by readings.
            with anyio.move_on_after(FULL_DISK_RETRY_S):
                await stop.wait()
        self._health.alarms_raised += sum(event.transition is Transition.RAISED for event in events)

    async def _kept(self, events: list[AlarmEvent]) -> bool:
        try:
            await self._store.put_alarms(events)
        except StoreFullError as error:
            self._say(error)
            return False
        self._is_full = False
        return True

    async def _commit(self) -> None:
        samples = self._pending
        if not samples:
            return
        self._pending, self._readings = [], 0
        await self._put(samples)

    async def _put(self, samples: list[Sample]) -> None:
        encoding, payload = pack(encode_telemetry(samples), at_least=self._deflate_from_bytes)
        is_large = len(payload) > MAX_PAYLOAD_BYTES or _readings(samples) > 2 * MAX_BATCH_READINGS
        if is_large and len(samples) > 1:
            half = len(samples) // 2
            await self._put(samples[:half])
            await self._put(samples[half:])
            return
        try:
            await self._store.put_telemetry(payload, encoding, readings=_readings(samples))
        except StoreFullError as error:
            self._say(error)
            self._take_back(samples)
        else:
            self._is_full = False

    def _take_back(self, samples: list[Sample]) -> None:
        """Keep in memory what found no room on the disk, up to `MAX_PENDING_READINGS`; the oldest goes first."""
        self._pending[:0] = samples
        self._readings += _readings(samples)
        given_up = 0
        while self._readings - given_up > MAX_PENDING_READINGS:
            given_up += len(self._pending.pop(0).points)
        self._readings -= given_up
        if given_up:
            self._store.give_up(given_up)

    def _say(self, error: StoreFullError) -> None:
        log.log(logging.DEBUG if self._is_full else logging.ERROR, "%s. %s", error, error.hint)
        self._is_full = True


def _readings(samples: list[Sample]) -> int:
    return sum(len(sample.points) for sample in samples)
