"""The control channel: one JSON object a line over TCP on the loopback, answered in order."""

import msgspec
from anyio import (
    BrokenResourceError,
    ClosedResourceError,
    DelimiterNotFound,
    EndOfStream,
    IncompleteRead,
    create_task_group,
    sleep,
)
from anyio.abc import Listener, SocketStream, TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream

from simulators import control_messages as say
from simulators.device import SimulatedDevice
from simulators.errors import SimulatorError
from simulators.running_site import RunningSite

MAX_CLIENTS = 32
MAX_TIMED_RELEASES = 256

_DECODER: msgspec.json.Decoder[say.Op] = msgspec.json.Decoder(say.Op)
_ENCODER = msgspec.json.Encoder()
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
            case say.Unplug() | say.Plug() | say.MakeNoise():
                return await self._do_to_bus(op)
        return self._do_to_device(op, self._site.device(op.device))

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
            case say.Mute():
                device.mute = True
            case say.Unmute():
                device.mute = False
            case say.Delay():
                device.delay_s = op.s
            case say.PressesOf():
                return say.Presses(tuple(device.presses))
        return say.Done()

    def _press(self, device: SimulatedDevice, op: say.Push) -> int:
        if op.for_s is not None and self._timed >= MAX_TIMED_RELEASES:
            raise SimulatorError(f"{MAX_TIMED_RELEASES} timed presses are under way; wait for one to end")
        at_us = device.press(op.point)
        if op.for_s is not None:
            self._timed += 1
            self._tasks.start_soon(self._release_later, device, op.point, op.for_s, device.changes(op.point))
        return at_us

    async def _release_later(self, device: SimulatedDevice, point: str, after_s: float, change: int) -> None:
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
