"""The control channel: one JSON object a line over TCP on the loopback, answered in order."""

import msgspec
from anyio import (
    BrokenResourceError,
    ClosedResourceError,
    DelimiterNotFound,
    EndOfStream,
    IncompleteRead,
    create_task_group,
    current_time,
    sleep,
)
from anyio.abc import Listener, SocketStream, TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream

from simulators import control_messages as say
from simulators.device import SimulatedDevice
from simulators.errors import SimulatorError
from simulators.faults import FLOOD_EVERY_S, Flood
from simulators.running_site import RunningSite
from simulators.serial_bus import SerialBusServer
from simulators.talking import TalkingDevice

MAX_CLIENTS = 32
MAX_TIMED = 256
"""Timed presses and floods under way."""

_DECODER: msgspec.json.Decoder[say.Op] = msgspec.json.Decoder(say.Op)
_ENCODER = msgspec.json.Encoder()
_TOO_MANY = f"{MAX_TIMED} timed presses and floods are under way; wait for one to end"
_TOO_LONG = f"a request is one line of at most {say.MAX_LINE_BYTES} bytes"


def parse(line: bytes) -> say.Op:
    """Read one request.

    Raises:
        SimulatorError: it is too long, no JSON object, or no request this channel knows.
    """
    if len(line) > say.MAX_LINE_BYTES:
        raise SimulatorError(_TOO_LONG)
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SimulatorError(f"the request cannot be read: {error}; see simulators/control_messages.py") from error


class ControlServer:
    """Does what control clients ask of a running site."""

    def __init__(self, site: RunningSite, tasks: TaskGroup) -> None:
        """Take a site; `tasks` holds the releases of timed presses."""
        self._site = site
        self._tasks = tasks
        self._clients = 0
        self._timed = 0

    async def talk(self, stream: SocketStream) -> None:
        """Serve one client until it goes; a line that is too long ends the talk."""
        self._clients += 1
        try:
            async with stream:
                if self._clients > MAX_CLIENTS:
                    await _send(stream, say.Failed(f"{MAX_CLIENTS} control clients are connected; close one"))
                    return
                await self._answer_all(stream)
        except (BrokenResourceError, ClosedResourceError, EndOfStream, IncompleteRead):
            return  # the client has gone
        finally:
            self._clients -= 1

    async def do(self, op: say.Op) -> say.Reply:
        """Do one thing; what cannot be done is said, never raised."""
        try:
            return await self._do(op)
        except SimulatorError as error:
            return say.Failed(str(error))

    async def _answer_all(self, stream: SocketStream) -> None:
        lines = BufferedByteReceiveStream(stream)
        while True:
            try:
                op = parse(await lines.receive_until(b"\n", say.MAX_LINE_BYTES))
            except DelimiterNotFound:
                await _send(stream, say.Failed(_TOO_LONG))
                return
            except SimulatorError as error:
                await _send(stream, say.Failed(str(error)))
                continue
            await _send(stream, await self.do(op))

    async def _do(self, op: say.Op) -> say.Reply:
        match op:
            case say.Ping():
                return say.Done()
            case say.Describe():
                return self._site.describe()
            case say.StatsOf():
                return self._site.stats()
            case say.Reset():
                self._site.reset()
                return say.Done()
            case say.Unplug() | say.Plug() | say.MakeNoise() | say.MakeFlood():
                return await self._do_to_bus(op)
        found = self._site.anybody(op.device)
        return self._do_to_talker(op, found) if isinstance(found, TalkingDevice) else self._do_to_device(op, found)

    def _do_to_talker(self, op: say.DeviceOp, talker: TalkingDevice) -> say.Reply:
        match op:
            case say.Push():
                return say.Changed(self._press(talker, op))
            case say.Release():
                return say.Changed(talker.release(op.point))
            case say.SetValue():
                return say.Changed(talker.set(op.point, op.value))
            case say.PressesOf():
                return say.Presses(tuple(talker.presses))
            case say.Mute():
                talker.mute = True
            case say.Unmute():
                talker.mute = False
            case say.SetClock():
                talker.clock.off_s = op.off_s
            case _:
                text = f"device {talker.id!r} speaks by itself; press, release, set, mute, unmute and clock are for it"
                raise SimulatorError(text)
        return say.Done()

    async def _do_to_bus(self, op: say.BusOp) -> say.Reply:
        match op:
            case say.Unplug():
                await self._site.bus(op.bus).unplug()
            case say.Plug():
                await self._site.bus(op.bus).plug()
            case say.MakeNoise():
                line = self._site.serial_bus(op.bus)
                if op.rate is None and op.now is None:
                    raise SimulatorError("noise wants a rate (0 to 1), a number of bytes for now, or both")
                if op.rate is not None:
                    line.set_noise(op.rate)
                if op.now is not None:
                    line.burst(op.now)
            case say.MakeFlood():
                if self._timed >= MAX_TIMED:
                    raise SimulatorError(_TOO_MANY)
                self._timed += 1
                self._tasks.start_soon(self._flood, self._site.serial_bus(op.bus), Flood(op.bytes_s, op.for_s))
        return say.Done()

    def _do_to_device(self, op: say.DeviceOp, device: SimulatedDevice) -> say.Reply:
        match op:
            case say.Push():
                return say.Changed(self._press(device, op))
            case say.Release():
                return say.Changed(device.release(op.point))
            case say.SetValue():
                return say.Changed(device.set(op.point, op.value))
            case say.Auto():
                return say.Changed(device.set_auto(op.point))
            case say.PressesOf():
                return say.Presses(tuple(device.presses))
        return self._do_wrong(op, device)

    def _do_wrong(self, op: say.DeviceFault, device: SimulatedDevice) -> say.Reply:
        match op:
            case say.Stick():
                return say.Changed(device.stick(op.point))
            case say.Reboot():
                return say.Changed(device.reboot(op.silent_s))
            case say.Mute():
                device.mute = True
            case say.Unmute():
                device.mute = False
            case say.Delay():
                device.delay_s = op.s
            case say.Spoil():
                device.spoiler.rate = op.rate
            case say.SetClock():
                raise SimulatorError(f"device {device.id!r} is asked and tells no time")
        return say.Done()

    async def _flood(self, line: SerialBusServer, flood: Flood) -> None:
        began_at = current_time()
        try:
            since_s = 0.0
            while not flood.is_over(since_s):
                await sleep(FLOOD_EVERY_S)
                since_s = current_time() - began_at
                if (due := flood.due(since_s)) > 0:
                    line.burst(due)
        except SimulatorError:
            return  # unplugged meanwhile: nothing is left to flood
        finally:
            self._timed -= 1

    def _press(self, device: SimulatedDevice | TalkingDevice, op: say.Push) -> int:
        if op.for_s is not None and self._timed >= MAX_TIMED:
            raise SimulatorError(_TOO_MANY)
        at_us = device.press(op.point)
        if op.for_s is not None:
            self._timed += 1
            self._tasks.start_soon(self._release_later, device, op.point, op.for_s, device.changes(op.point))
        return at_us

    async def _release_later(
        self, device: SimulatedDevice | TalkingDevice, point: str, after_s: float, change: int
    ) -> None:
        await sleep(after_s)
        self._timed -= 1
        if device.changes(point) == change:
            device.release(point)


async def serve_control(listener: Listener[SocketStream], site: RunningSite) -> None:
    """Serve control clients until cancelled."""
    async with create_task_group() as tasks:
        await listener.serve(ControlServer(site, tasks).talk, tasks)


async def _send(stream: SocketStream, reply: say.Reply) -> None:
    await stream.send(_ENCODER.encode(reply) + b"\n")
