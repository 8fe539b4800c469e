"""What a simulated device that speaks by itself is to the bus that carries it. Pure.

A talker is one device. Where several share a line (radio codes behind one bridge), the bus writes what each of them
says on it one after the other, and lets each of them hear what comes. Where each has a connection of its own, it is
opened with `open`, as often as it is connected.

On UDP and MQTT what one call returns is one message; more of them are asked for as long as `next_at` is due. An MQTT
message is its topic, a NUL (no topic has one: MQTT 5.0, 1.5.4) and its payload.

The module `simulators/talkers/<language>.py` has a maker:

    def make_talker(placed: PlacedDevice, *, secret: bytes, seed: int, wall_us: Callable[[], int]) -> Talker

`secret` is the device's key, empty without one; the same `seed` makes the same device say the same; `wall_us` is its
clock, microseconds UTC, which a fault may set wrong.
"""

from collections.abc import Callable
from typing import Protocol

from contract.telemetry import Value
from device_profiles.site import PlacedDevice


class Talker(Protocol):
    """One device that speaks by itself; `now` is in monotonic seconds."""

    def open(self, now: float) -> bytes:
        """Begin on a new line or connection, and say what one says first."""

    def hear(self, data: bytes, now: float) -> bytes:
        """Take what came, in pieces of any size, and say what that makes it say."""

    def speak(self, now: float) -> bytes:
        """Say what is due; empty when nothing is."""

    def next_at(self) -> float | None:
        """Tell when `speak` wants to be called; None: it says nothing by itself."""

    def press(self, point: str, now: float) -> bytes:
        """Press a button (or whatever raises an alarm) by hand, and say what that makes it say.

        Raises:
            SimulatorError: it has no such thing to press.
        """

    def set(self, key: str, value: Value, now: float) -> bytes:
        """Hold a value from now on (a button that is set to false is let go), and say what that makes it say.

        Raises:
            SimulatorError: it has no such point, or the point no such value.
        """


class TalkerMaker(Protocol):
    """What makes the talkers of one language; see the head of this module."""

    def __call__(self, placed: PlacedDevice, *, secret: bytes, seed: int, wall_us: Callable[[], int]) -> Talker:
        """Make the talker of one device.

        Raises:
            SimulatorError: its profile cannot be simulated; says why.
        """
