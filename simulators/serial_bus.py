"""Modbus RTU slaves on a line that is as slow as the wire it stands for.

What carries the bytes, a pseudo-terminal or a TCP connection, carries them at once, so the time they would take is
added here: a request is complete when its last character would have arrived and 3.5 characters of silence are over,
and an answer's bytes are handed over when they would have ended. One task owns the line; there is never more than one
talker.
"""

import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from anyio import move_on_after, wait_readable

from simulators.bus import BusServer
from simulators.device import Answer, SimulatedDevice
from simulators.errors import SimulatorError
from simulators.framing import RtuFramer, RtuRequest, rtu_frame
from simulators.modbus import is_read
from simulators.noise import MAX_BURST_BYTES, Disturbed, Noise
from simulators.wire import LineClock, wire_at

BROADCAST = 0

# Bytes are handed over in pieces of this length, as an adapter does; each costs a wake-up.
_PIECE_S = 0.008
# A sender may be descheduled between two writes of one request; a real line would have fallen silent.
_PATIENCE_S = 0.05
# Bytes that nobody has read for this long were sent to a closed port, whose driver would have dropped them.
_STALE_S = 1.0


class BytePort(Protocol):
    """What carries the bytes of a line.

    Attributes:
        fd: our end, non-blocking.
    """

    fd: int

    def read(self) -> bytes:
        """Take what the gateway has sent; empty when nothing is there.

        Raises:
            OSError: the gateway is gone for good.
        """
        ...

    def has_pending(self) -> bool:
        """Tell whether the gateway has sent something that is not read yet."""
        ...

    def write(self, data: bytes) -> bool:
        """Send to the gateway; False when not everything found room."""
        ...

    def drop_unread(self) -> None:
        """Throw away what was sent and never read, where a driver would."""
        ...

    def close(self) -> None:
        """Give it up."""
        ...


class SerialBusServer(BusServer):
    """One serial line and the devices on it, whatever carries its bytes.

    Attributes:
        wire: its timing.
    """

    def __init__(self, bus_id: str, *, baud: int, devices: Sequence[SimulatedDevice]) -> None:
        super().__init__(bus_id, devices)
        self.wire = wire_at(baud)
        self._noise = Noise(bus_id)
        self._port: BytePort | None = None
        self._free_at = 0.0
        self._is_disturbed = False
        self._piece = max(1, int(_PIECE_S / self.wire.char_s))

    def set_noise(self, rate: float) -> None:
        """Disturb this share of the answers, 0 to 1: half of them by bytes before, half by a wrong byte inside."""
        self._noise.rate = rate

    def burst(self, size: int) -> None:
        """Send random bytes to the gateway now, through whatever is being said.

        Raises:
            SimulatorError: the bus is unplugged, or the size is not 1 to 256.
        """
        if self._port is None:
            why = "has nobody connected; start the gateway first" if self.is_plugged else "is unplugged; plug it first"
            raise SimulatorError(f"bus {self.id!r} {why}")
        if not 1 <= size <= MAX_BURST_BYTES:
            raise SimulatorError(f"bus {self.id!r}: a burst of {size} bytes; 1 to {MAX_BURST_BYTES} are allowed")
        self._is_disturbed = True
        self._port.write(self._noise.burst(size))

    @abstractmethod
    async def _serve(self) -> None: ...

    async def _listen(self, port: BytePort) -> None:
        """Serve one port until cancelled, or until it raises that the gateway is gone."""
        framer, clock = RtuFramer(), LineClock()
        try:
            while True:
                requests = await self._hear(port, framer)
                for place, request in enumerate(requests, 1):
                    await self._take(port, clock, request, is_last=place == len(requests))
        finally:
            clock.close()

    async def _hear(self, port: BytePort, framer: RtuFramer) -> list[RtuRequest]:
        """Wait for bytes, book the time they take on the wire, and hand out what is complete."""
        noise_before = framer.noise_bytes
        if not framer.waiting:
            with move_on_after(_STALE_S) as idle:
                await wait_readable(port.fd)
            if idle.cancelled_caught:
                port.drop_unread()
                await wait_readable(port.fd)
        else:
            patience_s = max(0.0, self._free_at + self.wire.gap_s - time.monotonic()) + _PATIENCE_S
            with move_on_after(patience_s) as silence:
                await wait_readable(port.fd)
            if silence.cancelled_caught:
                requests = framer.silence()
                self.counts.noise_bytes += framer.noise_bytes - noise_before
                return requests
        data, now = port.read(), time.monotonic()
        if not data:
            return []
        ready_at = self._free_at
        if not framer.waiting:
            ready_at += self.wire.gap_s
            self.counts.early += now < ready_at
        self._book(max(now, ready_at), len(data))
        requests = framer.feed(data)
        self.counts.noise_bytes += framer.noise_bytes - noise_before
        return requests

    async def _take(self, port: BytePort, clock: LineClock, request: RtuRequest, *, is_last: bool) -> None:
        self.counts.requests += 1
        self.counts.busy_s += self.wire.gap_s
        heard_at = self._free_at + self.wire.gap_s
        if request.unit == BROADCAST:
            await clock.until(heard_at)
            if not is_read(request.pdu):
                # Everybody does it, nobody answers (MODBUS over Serial Line V1.02, 2.1).
                for listener in self.devices:
                    listener.answer(request.pdu)
            return
        device = self._by_unit.get(request.unit)
        if device is None:
            self.counts.strangers += 1
            return
        start = heard_at + (0.0 if device.mute else device.delay_s)
        await clock.until(start)
        answer = device.answer(request.pdu)
        if answer is None:
            return
        if not is_last or port.has_pending():
            # The master talks already; a device that answered now would be a second talker.
            device.counts.abandoned += 1
            return
        await self._say(port, clock, device, answer, start=start)

    async def _say(
        self, port: BytePort, clock: LineClock, device: SimulatedDevice, answer: Answer, *, start: float
    ) -> None:
        """Hand an answer over byte by byte in time; count it when the last byte is gone."""
        frame = rtu_frame(device.unit, answer.pdu)
        spoiled = device.spoiler.spoil(frame)
        said = self._noise.disturb(frame) if spoiled is None else Disturbed(spoiled, is_broken=True)
        is_noisy, self._is_disturbed = said.is_noisy or self._is_disturbed, False
        is_whole = False
        try:
            is_whole = await self._send(port, clock, said.data, start=start)
        finally:
            if said.is_broken or self._is_disturbed or not is_whole:
                device.counts.broken += 1
            else:
                device.handed_over(answer, noisy=is_noisy)
            self._is_disturbed = False

    async def _send(self, port: BytePort, clock: LineClock, data: bytes, *, start: float) -> bool:
        self._book(start, len(data))
        self.counts.busy_s += self.wire.gap_s
        for begin in range(0, len(data), self._piece):
            piece = data[begin : begin + self._piece]
            await clock.until(start + self.wire.duration_s(begin + len(piece)))
            if not port.write(piece):
                return False
        return True

    def _book(self, start: float, size: int) -> None:
        self._free_at = start + self.wire.duration_s(size)
        self.counts.busy_s += self.wire.duration_s(size)
