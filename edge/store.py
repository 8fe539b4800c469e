"""The outbox in an async world: a thread for alarms, one for telemetry, and a doorbell for the uplink."""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

import anyio
from anyio import to_thread

from contract.alarms import AlarmEvent
from contract.telemetry import ClockSource, Lane, Sample
from edge.clock import Clock
from edge.errors import StoreFullError
from edge.health import ClockHealth, StoreHealth
from edge.outbox import Batch, Outbox, Ref

log = logging.getLogger(__name__)

T = TypeVar("T")

DAMAGED = "outbox-damaged"
# The kernel's clock is asked, and the disk tried again, at least this often.
LONGEST_CARE_S = 5.0


class Store:
    """An outbox that never makes anybody wait who does not want its answer.

    Attributes:
        boot: id of this run of the gateway, part of every batch.
        bell: set when something new was put, or something else wants to be looked at.
        on_fault: told when a fault of the disk begins (true) and ends: "outbox-full", "outbox-unwritable",
            "outbox-damaged"; must not wait.
    """

    def __init__(
        self, outbox: Outbox, *, health: StoreHealth, clock_health: ClockHealth | None = None, sync_s: float = 5.0
    ) -> None:
        """Take over the outbox; nobody else may use it from now on.

        Args:
            outbox: open.
            health: counters to move.
            clock_health: likewise.
            sync_s: what a power cut may cost of readings, at most; `run` sees to it.
        """
        self._outbox = outbox
        self._health = health
        self._clock_health = clock_health or ClockHealth()
        self._sync_s = sync_s
        self._threads = {is_alarm: anyio.CapacityLimiter(1) for is_alarm in (False, True)}
        self._faults: set[str] = set()
        self._files_set_aside = 0
        self.bell = anyio.Event()
        self.boot = outbox.boot
        self.on_fault: Callable[[str, bool], None] = lambda _kind, _stands: None
        self._measure()

    @property
    def clock(self) -> Clock:
        """The gateway's clock."""
        return self._outbox.clock

    @property
    def is_timed(self) -> bool:
        """Whether what is put now gets its wall time at once; until then nothing new can be sent."""
        return self._outbox.is_timed

    async def run(self) -> None:
        """Keep the disk, the clock and the faults in view, until cancelled."""
        while True:
            await self._care()
            await anyio.sleep(min(self._sync_s, LONGEST_CARE_S))

    async def put_telemetry(self, samples: Sequence[Sample]) -> None:
        """Keep samples; a `kill -9` no longer costs them when it returns. Rings the bell."""
        await self._use(partial(self._outbox.put_telemetry, samples), is_alarm=False)
        self.ring()

    async def put_alarms(self, events: Sequence[AlarmEvent], standing: Sequence[tuple[str, bytes | None]] = ()) -> None:
        """Keep alarm events, and by source what the rules remember; nothing costs them when it returns. Rings the bell.

        Raises:
            StoreFullError: the room for alarms is used up; nothing was kept.
        """
        await self._use(partial(self._outbox.put_alarms, events, standing), is_alarm=True)
        self.ring()

    async def next_batches(self, lane: Lane, *, mark: int, after: int, limit: int) -> list[Batch]:
        """Return up to `limit` batches of a lane with numbers above `after`; see `Outbox.next_telemetry`."""
        if lane is Lane.ALARM:
            return await self._use(partial(self._outbox.next_alarms, after=after, limit=limit), is_alarm=True)
        find = partial(self._outbox.next_telemetry, lane, mark=mark, after=after, limit=limit)
        return await self._use(find, is_alarm=False)

    async def get(self, ref: Ref) -> Batch | None:
        """Return one batch; None when it is no longer there."""
        return await self._use(partial(self._outbox.get, ref), is_alarm=ref.store == self._outbox.alarm_store)

    async def settle(self, refs: Iterable[Ref]) -> None:
        """Forget batches whose receipt has come.

        Raises:
            StoreFullError: another program holds the alarm file; nothing of the alarms was forgotten.
        """
        refs = list(refs)
        alarms = [ref for ref in refs if ref.store == self._outbox.alarm_store]
        if len(alarms) < len(refs):
            await self._use(partial(self._outbox.settle_telemetry, refs), is_alarm=False)
        if alarms:
            await self._use(partial(self._outbox.settle_alarms, alarms), is_alarm=True)

    async def sync(self) -> None:
        """Have the disk take the telemetry that was put; `breaks` and `is_in_memory` say whether it did."""
        await self._use(self._outbox.sync, is_alarm=False)

    @property
    def breaks(self) -> int:
        """How often telemetry that had been put may not have reached the disk."""
        return self._outbox.breaks

    def is_in_memory(self, *, is_alarm: bool) -> bool:
        """Tell whether alarms, or telemetry, are in memory only, because the disk does not take them."""
        return self._outbox.is_in_memory(is_alarm=is_alarm)

    async def put_note(self, key: str, text: bytes) -> None:
        """Keep a few bytes of UTF-8 through restarts; `Outbox.note` has them.

        Raises:
            StoreFullError: another program holds the alarm file.
        """
        await self._use(partial(self._outbox.put_note, key, text), is_alarm=True)

    async def learn_time(self, source: ClockSource, wall_us: int, error_us: int, *, ago_us: int = 0) -> None:
        """Take somebody's word for what time it is; with the first, what waits gets its time."""
        if self._outbox.clock.learn(source, wall_us, error_us, ago_us=ago_us):
            await self._keep_clock()

    async def estimate_time(self) -> None:
        """Give what waits the time by the machine's own clock: it can wait no longer for somebody to tell better."""
        if not self.is_timed:
            log.warning("nobody has told the time yet; going by this machine's own clock, and saying so")
            await self._fix_times()

    def stores(self) -> tuple[str, str]:
        """Return the random names of the alarm file and of the telemetry log."""
        return self._outbox.alarm_store, self._outbox.log_store

    def newest(self) -> int:
        """Return the number of the newest telemetry batch."""
        return self._outbox.newest()

    def give_up(self, readings: int) -> None:
        """Count readings that could not be put."""
        self._outbox.give_up(readings)
        self._measure()

    def waiting_batches(self) -> int:
        """Count the batches that wait for their receipt."""
        return sum(self._outbox.depth(is_alarm=is_alarm).batches for is_alarm in (False, True))

    def waiting_alarms(self) -> int:
        """Count the alarm events that wait for their receipt."""
        return self._outbox.depth(is_alarm=True).batches

    def is_empty(self) -> bool:
        """Tell whether nothing waits for a receipt."""
        return self.waiting_batches() == 0

    def ring(self) -> None:
        """Wake whoever waits for the bell, and hang up a new one."""
        self.bell.set()
        self.bell = anyio.Event()

    async def _care(self) -> None:
        await self.sync()
        if self._outbox.faults:
            try:
                await self._use(self._outbox.recover, is_alarm=True)
            except StoreFullError as error:
                log.debug("the disk does not take everything yet: %s", error)
        if self._outbox.clock.ask_kernel():
            await self._keep_clock()
        ages = [
            await self._use(partial(self._outbox.oldest_s, is_alarm=is_alarm), is_alarm=is_alarm)
            for is_alarm in (False, True)
        ]
        self._health.oldest_reading_s, self._health.oldest_alarm_s = ages
        # That a file was damaged is over as soon as another has taken its place and has been written.
        self._tell(self._outbox.faults)
        self._measure_clock()

    async def _keep_clock(self) -> None:
        if not self.is_timed:
            await self._fix_times()
            return
        try:
            await self._use(self._outbox.keep_clock, is_alarm=True)
        except StoreFullError as error:
            log.debug("the clock's state is not kept: %s", error)

    async def _fix_times(self) -> None:
        unstamped = await self._use(self._outbox.unstamped_telemetry, is_alarm=False)
        try:
            await self._use(partial(self._outbox.fix_times, unstamped), is_alarm=True)
        except StoreFullError as error:
            log.debug("the time is not kept: %s", error)
        self._measure_clock()
        self.ring()

    async def _use(self, call: Callable[[], T], *, is_alarm: bool) -> T:
        try:
            return await to_thread.run_sync(call, limiter=self._threads[is_alarm])
        finally:
            self._measure()
            self._look_for_faults()

    def _measure(self) -> None:
        telemetry, alarms = self._outbox.depth(is_alarm=False), self._outbox.depth(is_alarm=True)
        health = self._health
        health.readings_waiting, health.alarms_waiting = telemetry.readings, alarms.readings
        health.bytes_waiting, health.alarm_bytes_waiting = telemetry.bytes, alarms.bytes
        health.readings_evicted = self._outbox.evicted

    def _look_for_faults(self) -> None:
        set_aside = self._outbox.set_aside
        for path in set_aside[self._files_set_aside :]:
            log.error("a file of the outbox was damaged; it was set aside as %s and a new one begun", path)
        is_damaged = len(set_aside) > self._files_set_aside
        self._files_set_aside = self._health.files_set_aside = len(set_aside)
        now = self._outbox.faults
        self._tell(now | {DAMAGED} if is_damaged or DAMAGED in self._faults else now)

    def _tell(self, now: set[str]) -> None:
        before, self._faults = self._faults, set(now)
        self._health.faults = set(now)
        for kind in sorted(now - before):
            log.error("the outbox has a fault: %s", kind)
            self.on_fault(kind, True)
        for kind in sorted(before - now):
            log.info("the outbox is well again: %s is over", kind)
            self.on_fault(kind, False)

    def _measure_clock(self) -> None:
        clock, health = self._outbox.clock, self._clock_health
        mark = clock.mark()
        health.is_trusted, health.source = clock.timeline.is_trusted, mark.source.value
        health.error_ms = float(mark.error_ms)
        health.offset_ms = (clock.now_us() - clock.readers.wall_us()) / 1000
