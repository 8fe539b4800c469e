"""The outbox in an async world: one worker thread at a time, and a doorbell for the uplink."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import anyio
from anyio import to_thread

from contract.alarms import AlarmEvent
from contract.compression import ContentEncoding
from contract.telemetry import Lane
from edge.errors import StoreDamagedError
from edge.health import StoreHealth
from edge.outbox import Batch, Outbox

log = logging.getLogger(__name__)

T = TypeVar("T")


class Store:
    """An outbox whose every use goes to one thread, in order.

    Attributes:
        boot: id of this run of the gateway, put into every batch.
        name: random name of the outbox file.
        bell: set when something new was put, or something else wants to be looked at.
    """

    def __init__(self, outbox: Outbox, *, boot: str, health: StoreHealth) -> None:
        """Take over the outbox; nobody else may use it from now on."""
        self._outbox = outbox
        self._health = health
        self._one_thread = anyio.CapacityLimiter(1)
        self.bell = anyio.Event()
        self.boot = boot
        self.name = outbox.store
        self._measure()

    async def put_telemetry(self, payload: bytes, encoding: ContentEncoding, *, readings: int) -> None:
        """See `Outbox.put_telemetry`; rings the bell."""
        put = partial(self._outbox.put_telemetry, payload, encoding, readings=readings, boot=self.boot)
        await self._use(put)
        self.ring()

    async def put_alarms(self, events: Sequence[AlarmEvent]) -> None:
        """See `Outbox.put_alarms`; rings the bell."""
        await self._use(partial(self._outbox.put_alarms, events, boot=self.boot))
        self.ring()

    async def next_batches(self, lane: Lane, *, mark: int, after: int, limit: int) -> list[Batch]:
        """See `Outbox.next_batches`."""
        return await self._use(partial(self._outbox.next_batches, lane, mark=mark, after=after, limit=limit))

    async def get(self, number: int) -> Batch | None:
        """See `Outbox.get`."""
        return await self._use(partial(self._outbox.get, number))

    async def settle(self, numbers: Sequence[int]) -> None:
        """See `Outbox.settle`."""
        await self._use(partial(self._outbox.settle, numbers))

    async def newest(self) -> int:
        """See `Outbox.newest`."""
        return await self._use(self._outbox.newest)

    def give_up(self, readings: int) -> None:
        """Count readings that could not be put."""
        self._outbox.evicted += readings
        self._measure()

    def waiting_batches(self) -> int:
        """Count the batches that wait for their receipt."""
        return sum(self._outbox.depth(is_alarm=is_alarm).batches for is_alarm in (False, True))

    def is_empty(self) -> bool:
        """Tell whether nothing waits for a receipt."""
        return self.waiting_batches() == 0

    def ring(self) -> None:
        """Wake whoever waits for the bell, and hang up a new one."""
        self.bell.set()
        self.bell = anyio.Event()

    async def _use(self, call: Callable[[], T]) -> T:
        name = self.name
        try:
            return await to_thread.run_sync(call, limiter=self._one_thread)
        except StoreDamagedError as error:
            log.error("%s. %s", error, error.hint)  # noqa: TRY400 - the disk is not a bug
            await to_thread.run_sync(self._outbox.set_damaged_aside, name, limiter=self._one_thread)
            if self.name != self._outbox.store:
                self.name = self._outbox.store
                self._health.files_set_aside += 1
            return await to_thread.run_sync(call, limiter=self._one_thread)
        finally:
            self._measure()

    def _measure(self) -> None:
        telemetry, alarms = self._outbox.depth(is_alarm=False), self._outbox.depth(is_alarm=True)
        self._health.readings_waiting = telemetry.readings
        self._health.alarms_waiting = alarms.readings
        self._health.bytes_waiting = telemetry.bytes + alarms.bytes
        self._health.readings_evicted = self._outbox.evicted
