"""The keeper: judges every sample at once, puts alarms on the disk at once and readings in groups."""

import logging
from collections.abc import Callable
from time import monotonic

import anyio

from contract.alarms import AlarmEvent, Transition
from contract.telemetry import Sample
from device_profiles.speech.said import Report
from edge.errors import StoreFullError
from edge.health import StoreHealth
from edge.promises import Promises
from edge.rules import Action, Judge, Judged
from edge.store import Store
from edge.waker import Waker

log = logging.getLogger(__name__)

# A commit, and the message it becomes, cost the same for one reading or for thousands; more would be a late first one.
COMMIT_READINGS = 4_000
# So many wait in memory before the buses wait: a disk that is this slow is slower than the field.
MAX_PENDING_READINGS = 20_000
MAX_PENDING_EVENTS = 1_000
FULL_DISK_RETRY_S = 1.0
# Delays and windows of rules are judged this often between readings.
TICK_S = 0.2
# The disk is made to take readings for somebody who waits for it once a second, which an SD card bears for years;
# a patrol wand that is read out record by record may do so more often for a while.
SYNC_EVERY_S = 1.0
SYNC_BURST_S = 100.0


class Keeper:
    """Takes samples from all buses until it is closed.

    Attributes:
        is_behind: it holds as much as it can; wait in `room` before the next sample.
        kept_at: when it last turned, by the loop's clock.
    """

    def __init__(
        self,
        store: Store,
        judge: Judge,
        *,
        commit_s: float,
        act: Callable[[Action], None],
        noted: Callable[[AlarmEvent], None],
        health: StoreHealth,
    ) -> None:
        """Prepare.

        Args:
            store: where everything goes.
            judge: the rules.
            commit_s: longest time that a reading stays in memory only.
            act: carries out what a rule wants switched; must not wait.
            noted: told of every event before it is on the disk; must not wait.
            health: counters to move.
        """
        self.is_behind = False
        self.kept_at = 0.0
        self._store = store
        self._judge = judge
        self._commit_s = commit_s
        self._act = act
        self._noted = noted
        self._health = health
        self._is_closed = self._is_full = False
        self._pending: list[Sample] = []
        self._readings = 0
        self._events: list[AlarmEvent] = []
        self._standing: dict[str, bytes | None] = {}
        self._promises = Promises()
        # Counted since the start: what was taken, and how much of it the disk has.
        self._samples_taken = self._samples_put = self._samples_synced = 0
        self._judged_taken = self._judged_put = 0
        self._next_sync_at = 0.0
        self._wakers = self._to_commit, self._to_keep, self._to_tick, self._to_retry = [Waker() for _ in range(4)]
        self._room = anyio.Event()

    def take(self, sample: Sample) -> None:
        """Judge one sample and keep it in memory; the next commit puts it on the disk."""
        self._pending.append(sample)
        self._samples_taken += 1
        self._readings += len(sample.points)
        judged = self._judge.feed(sample, monotonic())
        if judged:
            self.take_judged(judged)
        if self._readings >= COMMIT_READINGS:
            self.is_behind = self.is_behind or self._readings >= MAX_PENDING_READINGS
            self._to_commit.wake()

    def take_judged(self, judged: Judged) -> None:
        """Keep what the rules (or somebody else) found, and have switched what they want switched."""
        for action in judged.actions:
            self._act(action)
        for event in judged.events:
            text = event.text.get("en", event.kind)
            log.info("alarm %s %s (%s): %s", event.transition.value, event.source, event.mode.value, text)
            self._health.alarms_raised += event.transition is Transition.RAISED
            self._noted(event)
        if judged.events or judged.standing:
            self._judged_taken += 1
            self._events.extend(judged.events)
            self._standing.update(judged.standing)
            self.is_behind = self.is_behind or len(self._events) >= MAX_PENDING_EVENTS
            self._to_keep.wake()

    def told(self, device: str, report: Report, at_us: int) -> None:
        """Take an alarm, or its end, that a device says by itself."""
        self.take_judged(self._judge.told(device, report, monotonic(), at_us))

    def mark(self) -> int:
        """Begin something that is to be acknowledged; for `when_kept`."""
        return self._samples_taken

    def when_kept(self, call: Callable[[bool], None], *, since: int) -> None:
        """Tell somebody once all that was taken since a mark is on the disk, through a power cut too.

        Args:
            call: told true when it is; false when the disk does not take it, so that its sender has to say it again.
                Never called before this returns; must not wait.
            since: what `mark` gave before the first of it was taken.
        """
        has_samples = self._samples_taken > since
        self._promises.add(
            call,
            events=self._judged_taken,
            samples=self._samples_taken if has_samples else None,
            breaks=self._store.breaks,
            now=monotonic(),
        )
        (self._to_commit if has_samples else self._to_tick).wake()

    async def room(self) -> None:
        """Wait until there is room; the field waits rather than losing what it says."""
        while self.is_behind:
            await self._room.wait()

    def close(self) -> None:
        """Say that no more samples come: `run` puts down what it holds and returns."""
        self._is_closed = True
        for waker in self._wakers:
            waker.wake()

    async def run(self) -> None:
        """Keep all that comes; returns when closed and everything is on the disk, or alarms find no room there."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._commit_for_ever)
            tasks.start_soon(self._keep_events_for_ever)
            tasks.start_soon(self._tick_for_ever)
        if self._events:
            log.error("%d alarm events found no room on the disk and are lost with this stop", len(self._events))

    async def _commit_for_ever(self) -> None:
        due_at = monotonic()
        while not self._is_closed:
            self.kept_at = monotonic()
            # What was committed early must not make the next ones late.
            due_at = min(max(due_at, self.kept_at - self._commit_s), self.kept_at) + self._commit_s
            await self._wait_for_commit(due_at)
            await self._commit()
            await self._sync_promised()
        await self._commit()

    async def _wait_for_commit(self, due_at: float) -> None:
        while self._readings < COMMIT_READINGS and not self._is_closed:
            until = min(due_at, self._next_sync_at) if self._promises.wants_sync else due_at
            if monotonic() >= until:
                return
            await self._to_commit.wait_until(until)

    async def _commit(self) -> None:
        samples = self._pending
        if samples:
            self._pending, self._readings = [], 0
            taken = self._samples_taken
            await self._store.put_telemetry(samples)
            self._samples_put = taken
            if self._store.is_in_memory(is_alarm=False):
                self._promises.break_samples(taken)
            self._look_for_room()

    async def _sync_promised(self) -> None:
        now = monotonic()
        if self._promises.wants_sync and now >= self._next_sync_at:
            self._next_sync_at = max(self._next_sync_at, now - SYNC_BURST_S) + SYNC_EVERY_S
            put = self._samples_put
            await self._store.sync()
            self._samples_synced = put
            self._settle()

    def _settle(self) -> None:
        events = 0 if self._store.is_in_memory(is_alarm=True) else self._judged_put
        self._promises.settle(events=events, samples=self._samples_synced, breaks=self._store.breaks, now=monotonic())

    async def _keep_events_for_ever(self) -> None:
        while self._events or self._standing or not self._is_closed:
            if not self._events and not self._standing:
                await self._to_keep.wait_until(monotonic() + 60.0)
                continue
            events, standing, judged = tuple(self._events), dict(self._standing), self._judged_taken
            self._standing.clear()
            try:
                await self._store.put_alarms(events, tuple(standing.items()))
            except StoreFullError as error:
                self._standing = standing | self._standing
                log.log(logging.DEBUG if self._is_full else logging.ERROR, "%s. %s", error, error.hint)
                self._is_full = True
                if self._is_closed:
                    return
                await self._to_retry.wait_until(monotonic() + FULL_DISK_RETRY_S)
            else:
                self._is_full = False
                del self._events[: len(events)]
                self._judged_put = judged
                self._settle()
                self._look_for_room()

    async def _tick_for_ever(self) -> None:
        clock = self._store.clock
        while not self._is_closed:
            due_at, now = self._judge.next_at(), monotonic()
            if due_at is not None and due_at <= now:
                wall_us = clock.now_us() if clock.timeline.is_trusted else None
                self.take_judged(self._judge.tick(now, clock.steady_us(), wall_us=wall_us))
            if self._promises:
                self._settle()
            await self._to_tick.wait_until(monotonic() + TICK_S)

    def _look_for_room(self) -> None:
        if self.is_behind and self._readings < MAX_PENDING_READINGS // 2 and len(self._events) < MAX_PENDING_EVENTS:
            self.is_behind = False
            self._room.set()
            self._room = anyio.Event()
