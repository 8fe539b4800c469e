"""One task owns one line: it asks the schedule, sends one request, decodes, hands on the sample."""

import logging
import random
from collections.abc import Sequence

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from msgspec import Struct

from contract.telemetry import Sample
from device_profiles.codec import BlockDecoder
from device_profiles.site import PlacedDevice
from edge.clock import Clock
from edge.errors import DeviceRefusedError, FrameError, LinkDownError, LinkTimeoutError
from edge.health import BusHealth
from edge.modbus_line import Line
from edge.plan import Block, plan_device
from edge.schedule import Poll, Schedule

log = logging.getLogger(__name__)

FIRST_REOPEN_S = 0.5
LONGEST_REOPEN_S = 15.0
NO_ANSWER_LIMIT_S = 10.0


class _Read(Struct, frozen=True):
    """One planned read with everything its turn needs."""

    placed: PlacedDevice
    block: Block
    decoder: BlockDecoder


class Bus:
    """One line and the devices on it."""

    def __init__(
        self, name: str, devices: Sequence[PlacedDevice], *, line: Line, health: BusHealth, clock: Clock
    ) -> None:
        """Plan the reads; nothing is opened yet."""
        self._name = name
        self._line = line
        self._health = health
        self._clock = clock
        self._is_down = False
        self._reopen_s = FIRST_REOPEN_S
        self._answered_at = 0.0
        self._reads = [
            _Read(placed, block, BlockDecoder(block.points, block.address))
            for placed in devices
            for block in plan_device(placed.profile)
        ]

    async def run(self, out: MemoryObjectSendStream[Sample], stop: anyio.Event) -> None:
        """Poll until `stop`; the transaction under way is finished, its sample handed on.

        A port that is not there is said once, tried again with growing rests, and said once when a unit answers again.
        """
        async with out:
            while not stop.is_set():
                try:
                    await self._line.open()
                    self._health.is_up = True
                    await self._poll(out, stop)
                except LinkDownError as error:
                    log.log(logging.DEBUG if self._is_down else logging.WARNING, "%s. %s", error, error.hint)
                    self._is_down = True
                    await _rest(self._reopen_s * random.uniform(0.8, 1.2), stop)  # noqa: S311 - jitter, not a secret
                    self._reopen_s = min(self._reopen_s * 2, LONGEST_REOPEN_S)
                finally:
                    self._health.is_up = False
                    self._line.close()

    async def _poll(self, out: MemoryObjectSendStream[Sample], stop: anyio.Event) -> None:
        polls = [
            Poll(read.placed.unit, index, read.block.every_s, read.block.is_urgent)
            for index, read in enumerate(self._reads)
        ]
        schedule = Schedule(polls, now=anyio.current_time())
        self._answered_at = anyio.current_time()
        while not stop.is_set():
            now = anyio.current_time()
            poll = schedule.most_urgent(now)
            if poll is None:
                await _rest(max(0.0, (schedule.next_at() or now + 1.0) - now), stop)
                continue
            await self._transact(schedule, poll, out)
            self._check_progress(schedule)

    async def _transact(self, schedule: Schedule, poll: Poll, out: MemoryObjectSendStream[Sample]) -> None:
        read = self._reads[poll.block]
        block, link, device = read.block, read.placed.profile.link, read.placed.device.id
        cells: list[int] = []
        try:
            cells = await self._line.read(poll.unit, block.table, block.address, block.count, timeout_s=link.timeout_s)
        except (LinkTimeoutError, FrameError) as error:
            if isinstance(error, LinkTimeoutError):
                self._health.timeouts += 1
            else:
                self._health.frame_errors += 1
            if schedule.silent(poll, anyio.current_time()):
                log.warning("device %s is mute: %s. %s", device, error, error.hint)
            await self._line.listen_out(link.timeout_s)
        except DeviceRefusedError as error:
            # It answers, so it is not mute; it just does not have this block.
            self._health.refusals += 1
            log.debug("device %s: %s. %s", device, error, error.hint)
            self._note_answer(schedule, poll, device)
        else:
            self._health.answers += 1
            self._note_answer(schedule, poll, device)
        self._health.mute_units = schedule.mute_units()
        if cells:
            await self._hand_on(read, cells, out)
        await anyio.sleep(max(self._line.gap_s, link.turnaround_s))

    def _note_answer(self, schedule: Schedule, poll: Poll, device: str) -> None:
        self._answered_at = anyio.current_time()
        if self._is_down:
            log.info("bus %s: back", self._name)
        self._is_down, self._reopen_s = False, FIRST_REOPEN_S
        if schedule.answered(poll, self._answered_at):
            log.info("device %s answers again", device)

    def _check_progress(self, schedule: Schedule) -> None:
        """Open the line anew when all of it has been mute for long: a half-open connection looks just like that.

        Raises:
            LinkDownError: nobody has answered for `NO_ANSWER_LIMIT_S`.
        """
        silence_s = anyio.current_time() - self._answered_at
        if schedule.is_all_mute() and silence_s > NO_ANSWER_LIMIT_S:
            raise LinkDownError(f"bus {self._name}: nobody has answered for {silence_s:.0f} s; opening it anew")

    async def _hand_on(self, read: _Read, cells: list[int], out: MemoryObjectSendStream[Sample]) -> None:
        device = read.placed.device.id
        points, bad = read.decoder.decode(cells)
        self._health.bad_values += len(bad)
        for key, why in bad:
            log.debug("device %s, point %s: no reading: %s", device, key, why)
        if points:
            await out.send(Sample(device, self._clock.stamp(device), points))


async def _rest(seconds: float, stop: anyio.Event) -> None:
    """Wait, but not past `stop`."""
    with anyio.move_on_after(seconds):
        await stop.wait()
