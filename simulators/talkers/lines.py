"""What simulated devices have in common that speak by themselves again and again. Pure.

Each of them puts its bytes together by hand, from its maker's pages, and shares nothing with what reads them at the
gateway: an error must not cancel itself out.
"""

import math
import random
from collections.abc import Callable
from typing import ClassVar

from msgspec import Struct

from contract.telemetry import Value
from device_profiles.site import Device
from simulators.errors import SimulatorError


class Parts(Struct, frozen=True):
    """What a talker is made of.

    Attributes:
        device: as the site file has it.
        random: its own chance, seeded.
        wall_us: its clock, microseconds UTC.
    """

    device: Device
    random: random.Random
    wall_us: Callable[[], int]


class LineTalker:
    """A device that says how it stands every `period_s`; each kind says by itself how that is written.

    Attributes:
        period_s: how often it speaks by itself; None: only when something happens.
    """

    period_s: float | None = None

    def __init__(self, parts: Parts) -> None:
        """Make the device; it is silent until its line is open."""
        self.device = parts.device
        self.random = parts.random
        self.wall_us = parts.wall_us
        self._next_at: float | None = None

    def open(self, now: float) -> bytes:
        """Begin on a new line: devices of one kind do not all speak at the same moment."""
        if self.period_s is not None:
            self._next_at = now + self.random.random() * self.period_s
        return b""

    def hear(self, data: bytes, now: float) -> bytes:  # noqa: ARG002
        """Take what came: such devices do not listen."""
        return b""

    def speak(self, now: float) -> bytes:
        """Say what is due; what was missed while nobody asked is not said after all."""
        if self._next_at is None or self.period_s is None or now < self._next_at:
            return b""
        missed = math.floor((now - self._next_at) / self.period_s)
        self._next_at += self.period_s * (missed + 1)
        return self.say(now)

    def next_at(self) -> float | None:
        """Tell when it speaks next; None before its line is open, and where it says nothing by itself."""
        return self._next_at

    def press(self, point: str, now: float) -> bytes:  # noqa: ARG002
        """Press a button by hand.

        Raises:
            SimulatorError: it has no such button.
        """
        raise SimulatorError(f"device {self.device.id!r} has nothing to press at {point!r}")

    def set(self, key: str, value: Value, now: float) -> bytes:  # noqa: ARG002
        """Hold a value from now on.

        Raises:
            SimulatorError: it has no such point, or the point no such value.
        """
        raise SimulatorError(f"device {self.device.id!r} has no point {key!r} to set to {value!r}")

    def say(self, now: float) -> bytes:  # noqa: ARG002
        """Say how it stands, without being asked."""
        return b""


class MeasuringTalker(LineTalker):
    """A device that measures: each value swings about its middle, or is held by hand.

    Attributes:
        middles: value in the middle and how far it swings, by point.
    """

    middles: ClassVar[dict[str, tuple[float, float]]] = {}

    def __init__(self, parts: Parts) -> None:
        """Make the device."""
        super().__init__(parts)
        self._held: dict[str, float] = {}
        self._phase = self.random.random() * math.tau

    def value(self, key: str, now: float) -> float:
        """What it measures now."""
        middle, swing = self.middles[key]
        return self._held.get(key, middle + swing * math.sin(math.tau * now / 600.0 + self._phase))

    def set(self, key: str, value: Value, now: float) -> bytes:
        """Hold a value from now on; it is said at the next turn.

        Raises:
            SimulatorError: it has no such point, or the point no such value.
        """
        if key not in self.middles or isinstance(value, bool | str):
            return super().set(key, value, now)
        self._held[key] = float(value)
        return b""
