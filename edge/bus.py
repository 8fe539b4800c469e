"""One task owns one line: it asks the schedule, sends one request, decodes, hands on the sample."""

import logging
import random
from collections import deque
from collections.abc import Callable, Collection, Sequence
from math import inf
from time import monotonic
from typing import Protocol

import anyio
from msgspec import Struct

from contract.telemetry import Point, Sample, Value
from device_profiles.codec import BlockDecoder
from device_profiles.model import Transport
from device_profiles.site import PlacedDevice
from edge.clock import Clock
from edge.commands import Write, plan_write
from edge.errors import (
    BusBusyError,
    DeviceRefusedError,
    EdgeError,
    FrameError,
    LinkDownError,
    LinkTimeoutError,
    WriteExpiredError,
)
from edge.health import BusHealth
from edge.line import Line
from edge.modbus.pdu import read_request, reader_of
from edge.plan import Block, plan_device
from edge.schedule import Poll, Schedule, UnitState
from edge.waker import Waker

log = logging.getLogger(__name__)

FIRST_REOPEN_S = 0.5
LONGEST_REOPEN_S = 15.0
NO_ANSWER_LIMIT_S = 10.0
# An event loop wakes on whole milliseconds, late rather than early: what is due within one is due.
GRAIN_S = 0.001
# Nothing may be due for long; the task still says that it lives.
LONGEST_REST_S = 5.0
# Commands that wait for their turn: people press a few, and a rule switches one siren a device.
MAX_WAITING_WRITES = 64
# No order draws a period out farther than this.
LONGEST_PACE = 2.0
WRITE_LIMIT_S = 30.0


class Sink(Protocol):
    """Where samples go.

    Attributes:
        is_behind: it has as much as it can hold; wait in `room` before the next.
    """

    is_behind: bool

    def take(self, sample: Sample) -> None:
        """Take one sample; never waits."""

    async def room(self) -> None:
        """Wait until it is no longer behind."""


class Watch(Protocol):
    """Who keeps an eye on the devices."""

    def heard(self, device: str, now: float) -> None:
        """Note that the device answered."""

    def missed(self, device: str, now: float) -> None:
        """Note that it did not."""

    def bus_down(self, bus: str, now: float) -> None:
        """Note that its line cannot be opened."""


class _Pace(Struct, frozen=True):
    """By what the periods of a device are multiplied, and until when."""

    factor: float
    until: float


class _Read(Struct, frozen=True):
    """One planned read with everything its turn needs, looked up once."""

    unit: int
    device: str
    block: Block
    timeout_s: float
    turnaround_s: float
    longest_s: float
    request: bytes
    cells_of: Callable[[bytes], Sequence[int]]
    decoder: BlockDecoder


class Bus:
    """One line and the devices on it.

    Attributes:
        turned_at: when the task last turned, by the loop's clock; a task that hangs stops turning.
    """

    def __init__(
        self,
        name: str,
        devices: Sequence[PlacedDevice],
        *,
        line: Line,
        health: BusHealth,
        clock: Clock,
        watch: Watch,
        transport: Transport = Transport.RTU,
    ) -> None:
        """Plan the reads; nothing is opened yet."""
        self.turned_at = 0.0
        self._name = name
        self._line = line
        self._health = health
        health.line = line.counters
        self._clock = clock
        self._watch = watch
        self._devices = {placed.device.id: placed for placed in devices}
        self._is_down = False
        self._reopen_s = 0.0
        self._answered_at = 0.0
        self._waker = Waker()
        # Each with the limit of its waiting.
        self._writes: deque[tuple[Write, anyio.CancelScope]] = deque()
        self._wrote_last = False
        self._schedule: Schedule | None = None
        self._paces: dict[str, _Pace] = {}
        self._reads = [
            _plan_read(placed, block)
            for placed in devices
            for block in plan_device(placed.profile, transport=transport)
        ]

    @property
    def units(self) -> dict[int, UnitState]:
        """How each unit stands; empty before the first turn."""
        return {} if self._schedule is None else self._schedule.units

    def has_device(self, device: str) -> bool:
        """Tell whether the device hangs on this line."""
        return device in self._devices

    def pace(self, devices: Collection[str] | None, factor: float, for_s: float) -> int:
        """Ask devices of this line more often, or less, for a time; alarm inputs keep their periods.

        Args:
            devices: ids, also of other lines; None: all.
            factor: by what the periods are multiplied.
            for_s: 0 ends it.

        Returns:
            How many devices of this line are meant.
        """
        now = monotonic()
        meant = [one for one in self._devices if devices is None or one in devices]
        self._paces |= dict.fromkeys(meant, _Pace(factor, now + for_s))
        if self._schedule is not None:
            self._set_pace(self._schedule, meant, now)
            self._waker.wake()
        return len(meant)

    def pace_of(self, device: str) -> float:
        """Tell by what the periods of a device are multiplied now; 1 where nobody ordered anything."""
        pace = self._paces.get(device)
        return 1.0 if pace is None or pace.until <= monotonic() else pace.factor

    def _set_pace(self, schedule: Schedule, devices: Collection[str], now: float) -> None:
        for device in devices:
            pace = self._paces[device]
            blocks = {index for index, read in enumerate(self._reads) if read.device == device}
            schedule.pace(blocks, pace.factor, now=now, until=pace.until)

    async def run(self, sink: Sink, stop: anyio.Event) -> None:
        """Poll until `stop`; the transaction under way is finished, its sample handed on.

        A port that is not there is said once, tried again with growing rests, and said once when a unit answers again.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._wake_at, stop)
            while not stop.is_set():
                try:
                    await self._line.open()
                    self._health.is_up = True
                    await self._poll(sink, stop)
                except LinkDownError as error:
                    self._note_down(error)
                    await self._rest(self._reopen_s * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret
                    self._reopen_s = min(max(self._reopen_s * 2, FIRST_REOPEN_S), LONGEST_REOPEN_S)
                finally:
                    self._health.is_up = False
                    self._line.close()
            self._refuse_writes(LinkDownError(f"bus {self._name}: the gateway is stopping"))

    async def write(self, device: str, point: str, value: Value) -> Value:
        """Write one point when its turn comes, and read it back.

        Returns:
            The value read back, equal to the one written but for the rounding of the point's scale.

        Raises:
            UnknownPointError, NotWritableError, BadCommandError: nothing was sent.
            BusBusyError: too many wait already.
            WriteExpiredError: its turn did not come within `WRITE_LIMIT_S`; it will not come any more.
            LinkDownError, LinkTimeoutError, FrameError, DeviceRefusedError: the device may or may not have done it.
            NotTakenError: it answered, and reads back as something else.
        """
        write = plan_write(self._devices, device, point, value)
        if len(self._writes) >= MAX_WAITING_WRITES:
            raise BusBusyError(f"bus {self._name}: {MAX_WAITING_WRITES} commands wait already")
        with anyio.move_on_after(WRITE_LIMIT_S) as limit:
            self._writes.append((write, limit))
            self._waker.wake()
            return await write.done
        raise WriteExpiredError(f"bus {self._name}, device {device}: no turn in {WRITE_LIMIT_S:.0f} s")

    async def _wake_at(self, stop: anyio.Event) -> None:
        await stop.wait()
        self._waker.wake()

    async def _rest(self, seconds: float) -> None:
        until = monotonic() + seconds
        while (now := monotonic()) < until:
            self.turned_at = now
            if await self._waker.wait_until(min(until, now + LONGEST_REST_S)):
                return

    async def _poll(self, sink: Sink, stop: anyio.Event) -> None:
        if self._schedule is None:
            self._schedule = Schedule(self._polls(), now=monotonic())
            self._set_pace(self._schedule, self._paces, monotonic())
        schedule = self._schedule
        self._answered_at = monotonic()
        while not stop.is_set():
            self.turned_at = now = monotonic()
            if self._writes and not (self._wrote_last and schedule.is_urgent_due(now)):
                self._wrote_last = True
                await self._write(*self._writes.popleft(), sink)
                continue
            self._wrote_last = False
            poll = schedule.take(now + GRAIN_S)
            if poll is None:
                until = schedule.next_at()
                await self._waker.wait_until(
                    now + LONGEST_REST_S if until is None else min(until, now + LONGEST_REST_S)
                )
                continue
            await self._transact(schedule, poll, sink)
            if sink.is_behind:
                await sink.room()

    def _polls(self) -> list[Poll]:
        return [
            Poll(read.unit, index, read.block.every_s, read.block.is_urgent, longest_s=read.longest_s)
            for index, read in enumerate(self._reads)
        ]

    async def _transact(self, schedule: Schedule, poll: Poll, sink: Sink) -> None:
        read, health = self._reads[poll.block], self._health
        timeout_s = schedule.wait_s(poll, read.timeout_s) if self._line.is_tagged else read.timeout_s
        started_at = monotonic()
        health.polls += 1
        try:
            reply = await self._line.transact(
                poll.unit, read.request, timeout_s=timeout_s, turnaround_s=read.turnaround_s
            )
        except (LinkTimeoutError, FrameError, LinkDownError) as error:
            health.timeouts += isinstance(error, LinkTimeoutError)
            health.frame_errors += isinstance(error, FrameError)
            self._note_silence(schedule, poll, error, cost_s=monotonic() - started_at)
            if isinstance(error, LinkDownError):
                raise
            self._check_progress(schedule)
        except DeviceRefusedError as error:
            # It answers, so it is not mute; it just does not have this block.
            health.refusals += 1
            log.debug("device %s: %s. %s", read.device, error, error.hint)
            self._note_answer(schedule, poll, started_at)
        else:
            health.answers += 1
            self._note_answer(schedule, poll, started_at)
            points, bad = read.decoder.decode(read.cells_of(reply))
            if bad:
                health.bad_values += len(bad)
                log.debug("device %s: no reading of %s", read.device, ", ".join(f"{key}: {why}" for key, why in bad))
            if points:
                sink.take(Sample(read.device, self._clock.stamp(read.device), points))

    def _note_answer(self, schedule: Schedule, poll: Poll, started_at: float) -> None:
        now = monotonic()
        device = self._reads[poll.block].device
        self._answered_at = now
        self._watch.heard(device, now)
        if self._is_down:
            log.info("bus %s: back", self._name)
        self._is_down, self._reopen_s = False, 0.0
        if schedule.answered(poll, now, took_s=now - started_at):
            self._health.mute_units = schedule.mute_units()
            log.info("device %s answers again", device)

    def _note_silence(self, schedule: Schedule, poll: Poll, error: EdgeError, *, cost_s: float) -> None:
        now = monotonic()
        device = self._reads[poll.block].device
        self._watch.missed(device, now)
        if schedule.silent(poll, now, cost_s=cost_s):
            log.warning("device %s is mute: %s. %s", device, error, error.hint)
        self._health.mute_units = schedule.mute_units()

    def _note_down(self, error: LinkDownError) -> None:
        log.log(logging.DEBUG if self._is_down else logging.WARNING, "%s. %s", error, error.hint)
        self._is_down = True
        self._watch.bus_down(self._name, monotonic())
        self._refuse_writes(error)

    def _check_progress(self, schedule: Schedule) -> None:
        """Open the line anew when all of it has been mute for long: a half-open connection looks just like that.

        Raises:
            LinkDownError: nobody has answered for `NO_ANSWER_LIMIT_S`.
        """
        silence_s = monotonic() - self._answered_at
        if schedule.is_all_mute() and silence_s > NO_ANSWER_LIMIT_S:
            raise LinkDownError(f"bus {self._name}: nobody has answered for {silence_s:.0f} s; opening it anew")

    async def _write(self, write: Write, limit: anyio.CancelScope, sink: Sink) -> None:
        """Do one write; whatever becomes of it is told to who asked, and what reads back is a reading."""
        if write.done.done():
            return
        # It has its turn: "not sent" would be a lie from now on.
        limit.deadline = inf
        try:
            value = await write.perform(self._line)
        except EdgeError as error:
            self._health.writes_failed += 1
            if not write.done.done():
                write.done.set_exception(error)
            if isinstance(error, LinkDownError):
                raise
        else:
            self._health.writes += 1
            device, point = write.placed.device.id, write.point
            sink.take(Sample(device, self._clock.stamp(device), (Point(point.key, value, point.unit),)))
            if not write.done.done():
                write.done.set_result(value)
        finally:
            # The bus is ended in the middle of it; whoever asked must not wait for ever.
            if not write.done.done():
                write.done.set_exception(LinkDownError(f"bus {self._name}: the gateway is stopping"))

    def _refuse_writes(self, error: LinkDownError) -> None:
        while self._writes:
            write, _ = self._writes.popleft()
            if not write.done.done():
                write.done.set_exception(error)


def _plan_read(placed: PlacedDevice, block: Block) -> _Read:
    link, request = placed.profile.link, read_request(block.table, block.address, block.count)
    return _Read(
        placed.unit,
        placed.device.id,
        block,
        link.timeout_s,
        link.turnaround_s,
        # Rules call a reading stale after some periods, and supervision a device lost after its own time.
        max(block.every_s, min(LONGEST_PACE * block.every_s, placed.profile.supervision_s / 2)),
        request,
        reader_of(request),
        BlockDecoder(block.points, block.address),
    )
