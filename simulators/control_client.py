"""A client of the control channel, for tests, the demo and the command line."""

import socket
from typing import Any, Self, TypeVar

import msgspec

from simulators import control_messages as say
from simulators.device import Press
from simulators.errors import SimulatorError

# A description of a large site; more is no answer of ours.
_MAX_REPLY_BYTES = 16 * 1024 * 1024

_Reply = TypeVar("_Reply")


class ControlError(SimulatorError):
    """The simulator did not do what was asked, or cannot be reached; carries its own text."""


class Control:
    """A connection to a simulated site; a context manager. Every method raises `ControlError`."""

    def __init__(self, port: int, host: str = "127.0.0.1", timeout_s: float = 5) -> None:
        """Connect, and make sure that a simulator answers.

        Raises:
            ControlError: nobody listens there, or it is something else.
        """
        self._where = f"{host}:{port}"
        try:
            self._socket = socket.create_connection((host, port), timeout_s)
        except OSError as error:
            raise ControlError(f"no simulator answers on {self._where}: {error}; is it running?") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines = self._socket.makefile("rb")
        try:
            self.ping()
        except ControlError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()

    def ping(self) -> None:
        """Make sure the simulator answers."""
        self._ask(say.Ping(), say.Done)

    def describe(self) -> say.Description:
        """Tell what is simulated, and what every point says now."""
        return self._ask(say.Describe(), say.Description)

    def stats(self) -> say.Stats:
        """Tell what was heard and said."""
        return self._ask(say.StatsOf(), say.Stats)

    def reset(self) -> None:
        """Begin all counts anew, and forget presses; the counting points' numbers go on."""
        self._ask(say.Reset(), say.Done)

    def press(self, device: str, point: str, *, for_s: float | None = None) -> int:
        """Make a state true, for a while or until `release`; returns the wall time of it, microseconds UTC."""
        return self._ask(say.Push(device, point, for_s), say.Changed).at_us

    def release(self, device: str, point: str) -> int:
        """Make a state false; returns the wall time of it, microseconds UTC."""
        return self._ask(say.Release(device, point), say.Changed).at_us

    def set(self, device: str, point: str, value: float | bool | str) -> int:  # noqa: FBT001 - the value is the point
        """Hold a point at a value until `auto`; returns the wall time of it, microseconds UTC."""
        return self._ask(say.SetValue(device, point, value), say.Changed).at_us

    def auto(self, device: str, point: str) -> int:
        """Let a point move by itself again; returns the wall time of it, microseconds UTC."""
        return self._ask(say.Auto(device, point), say.Changed).at_us

    def presses(self, device: str) -> tuple[Press, ...]:
        """Tell the presses and releases that a device remembers, oldest first."""
        return self._ask(say.PressesOf(device), say.Presses).presses

    def mute(self, device: str) -> None:
        """Let a device answer nothing."""
        self._ask(say.Mute(device), say.Done)

    def unmute(self, device: str) -> None:
        """Let a device answer again."""
        self._ask(say.Unmute(device), say.Done)

    def delay(self, device: str, s: float) -> None:
        """Let a device on a serial line think this long about each request."""
        self._ask(say.Delay(device, s), say.Done)

    def stick(self, device: str, point: str) -> int:
        """Hold a point at what it says now until `auto`; returns the wall time of it, microseconds UTC."""
        return self._ask(say.Stick(device, point), say.Changed).at_us

    def spoil(self, device: str, rate: float) -> None:
        """Give this share of a device's answers on a serial line a wrong checksum from now on."""
        self._ask(say.Spoil(device, rate), say.Done)

    def reboot(self, device: str, *, silent_s: float = 1.0) -> int:
        """Restart a device, which answers nothing for a while; returns the wall time of it, microseconds UTC."""
        return self._ask(say.Reboot(device, silent_s), say.Changed).at_us

    def clock(self, device: str, off_s: float) -> None:
        """Set the clock of a device that tells time wrong, by so many seconds; 0 sets it right."""
        self._ask(say.SetClock(device, off_s), say.Done)

    def flood(self, bus: str, *, bytes_s: float, for_s: float) -> None:
        """Send random bytes on a serial line, so many a second for so long; returns when it has begun."""
        self._ask(say.MakeFlood(bus, bytes_s, for_s), say.Done)

    def noise(self, bus: str, *, rate: float | None = None, now: int | None = None) -> None:
        """Disturb this share of a serial line's answers from now on, or send so many random bytes now, or both."""
        self._ask(say.MakeNoise(bus, rate, now), say.Done)

    def unplug(self, bus: str) -> None:
        """Take a bus away; it is gone when this returns."""
        self._ask(say.Unplug(bus), say.Done)

    def plug(self, bus: str) -> None:
        """Bring a bus back; it is there when this returns."""
        self._ask(say.Plug(bus), say.Done)

    def _ask(self, op: say.Op, reply: type[_Reply]) -> _Reply:
        try:
            self._socket.sendall(msgspec.json.encode(op) + b"\n")
            line = self._lines.readline(_MAX_REPLY_BYTES)
        except OSError as error:
            raise ControlError(f"the simulator on {self._where} does not answer: {error}") from error
        if not line.endswith(b"\n"):
            raise ControlError(f"the simulator on {self._where} has hung up; is it still running?")
        try:
            fields = msgspec.json.decode(line, type=dict[str, Any])
            if "error" in fields:
                raise ControlError(str(fields["error"]))
            return msgspec.convert(fields, reply)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            text = f"{self._where} is no simulator's control channel: {error}; is the port right?"
            raise ControlError(text) from error
