"""One simulated device: the cells its profile says it has, values that move, and honest counts. Does no I/O."""

import time
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from contract.telemetry import Value
from device_profiles.codec import BadValue, ValueKind, decode_point, value_kind
from device_profiles.site import PlacedDevice
from simulators.bank import Bank
from simulators.errors import SimulatorError
from simulators.faults import Spoiler
from simulators.modbus import respond
from simulators.point import SimulatedPoint, Source

MAX_PRESSES = 4096
"""Presses a device remembers; the oldest are forgotten first."""


class Answer(Struct, frozen=True):
    """An answer that is not given yet.

    Attributes:
        pdu: what to send.
        points: keys of the points that stand whole in it; empty unless it is a successful read.
        number: the number that the device's counting point carries in it, None without such a point.
        is_refusal: it is an exception answer.
    """

    pdu: bytes
    points: tuple[str, ...] = ()
    number: int | None = None
    is_refusal: bool = False


class Press(Struct, frozen=True):
    """A state that was changed by hand; `at_us` is wall time, microseconds UTC."""

    point: str
    value: bool
    at_us: int


class Counts(Struct):
    """What a device heard and said since the start or the last reset.

    Attributes:
        requests: requests for it that were heard while it was not mute; broadcasts too.
        ignored: requests for it while it was mute.
        answers: answers handed over whole and clean, refusals included.
        refused: of these, exception answers.
        noisy: read answers handed over whole with noise before them; a reader may take them or not.
        broken: answers that noise or a pulled plug broke, or that found no room on the line.
        abandoned: answers not begun because the master had already begun its next request.
        readings: by point key, how often the point stood whole in a clean read answer.
    """

    requests: int = 0
    ignored: int = 0
    answers: int = 0
    refused: int = 0
    noisy: int = 0
    broken: int = 0
    abandoned: int = 0
    readings: dict[str, int] = {}


class SimulatedDevice:
    """A device made from its profile as the site file places it.

    Attributes:
        placed: device, profile and unit.
        mute: True while it answers nothing and takes nothing.
        delay_s: how long it thinks about each request (serial lines only).
        spoiler: gives its answers wrong checksums (serial lines only).
        counts: what it heard and said.
        number: numbers given by its counting point so far; never reset.
        presses: the last `MAX_PRESSES` presses and releases.
    """

    def __init__(
        self,
        placed: PlacedDevice,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Make the device; its values begin to move now.

        Raises:
            SimulatorError: the profile's simulation gives values that its own codec refuses, or `count_in` names
                no point in use.
        """
        self.placed = placed
        self.mute = False
        self.delay_s = 0.0
        self.spoiler = Spoiler(placed.device.id)
        self.number = 0
        self.presses: deque[Press] = deque(maxlen=MAX_PRESSES)
        self._clock_s, self._wall_ns, self._born_s = clock_s, wall_ns, clock_s()
        self._up_at_s = self._born_s
        count_in = placed.device.simulate.count_in
        self._points = {
            point.key: SimulatedPoint(point, device=placed.device.id, is_number=point.key == count_in)
            for point in placed.profile.point
        }
        if count_in is not None and count_in not in self._points:
            text = f"device {self.id!r}: simulate.count_in names {count_in!r}, which is no point in use"
            raise SimulatorError(text)
        self._bank = Bank(placed.profile, tuple(self._points.values()))
        self.counts = Counts()
        self.reset()

    @property
    def id(self) -> str:
        """The device's id in the site file."""
        return self.placed.device.id

    @property
    def unit(self) -> int:
        """Its unit on its bus."""
        return self.placed.unit

    @property
    def age_s(self) -> float:
        """Seconds since it was made or last restarted: the time its values are a function of."""
        return self._clock_s() - self._born_s

    def answer(self, pdu: bytes) -> Answer | None:
        """Work a request out; nothing of the answer counts before `handed_over`.

        Returns:
            None from a device that is mute or still starting.
        """
        if self.mute or self._clock_s() < self._up_at_s:
            self.counts.ignored += 1
            return None
        self.counts.requests += 1
        image = self._bank.image(age_s=self.age_s, number=self.number + 1)
        reply = respond(pdu, image)
        if reply[0] & 0x80:
            return Answer(reply, is_refusal=True)
        number = self.number + 1 if image.is_numbered else None
        return Answer(reply, points=image.points, number=number)

    def handed_over(self, answer: Answer, *, noisy: bool = False) -> None:
        """Count an answer whose last byte is on the line; `noisy` when noise went before it.

        A noisy read answer uses its number up, because its reader may have understood it, but counts no readings.
        """
        if answer.number is not None:
            self.number = answer.number
        if noisy and answer.points:
            self.counts.noisy += 1
            return
        self.counts.answers += 1
        self.counts.refused += answer.is_refusal
        for key in answer.points:
            self.counts.readings[key] += 1

    def reset(self) -> None:
        """Begin counting and remembering presses anew; the counting point's number goes on."""
        self.counts = Counts(readings=dict.fromkeys(self._points, 0))
        self.presses.clear()

    def set(self, key: str, value: Value) -> int:
        """Hold a point at a value until `set_auto`, and return the wall time of the change in microseconds.

        Raises:
            SimulatorError: no such point, a value it cannot have, or the point that numbers answers.
        """
        self._point(key).set(value)
        return self._wall_ns() // 1000

    def set_auto(self, key: str) -> int:
        """Let a point move by itself again, and return the wall time of the change in microseconds.

        Raises:
            SimulatorError: no such point.
        """
        self._point(key).set_auto()
        return self._wall_ns() // 1000

    def press(self, key: str) -> int:
        """Make a state true (for a normally closed contact: open it), and return the wall time in microseconds.

        Raises:
            SimulatorError: no such point, or it is no state.
        """
        return self._push(key, value=True)

    def release(self, key: str) -> int:
        """Make a state false, and return the wall time of the change in microseconds.

        Raises:
            SimulatorError: no such point, or it is no state.
        """
        return self._push(key, value=False)

    def stick(self, key: str) -> int:
        """Hold a point at what it says now until `set_auto`, and return the wall time in microseconds.

        Raises:
            SimulatorError: no such point, or the point that numbers answers.
        """
        self._point(key).stick(self.age_s)
        return self._wall_ns() // 1000

    def drive(self, key: str, source: Source | None) -> None:
        """Let a signal make a point's value, or its profile's own simulation again; what is held by hand stays held.

        Raises:
            SimulatorError: no such point, or the point that numbers answers.
        """
        self._point(key).drive(source)

    def reboot(self, silent_s: float) -> int:
        """Restart: its age and what counts by it begin at 0, writes are forgotten, it answers nothing for `silent_s`.

        Returns:
            The wall time in microseconds.
        """
        self._born_s = self._clock_s()
        self._up_at_s = self._born_s + silent_s
        for point in self._points.values():
            point.restart()
        return self._wall_ns() // 1000

    def changes(self, key: str) -> int:
        """Tell how often a point was set, written or let go: whether it is still as somebody left it.

        Raises:
            SimulatorError: no such point.
        """
        return self._point(key).changes

    def values(self) -> dict[str, Value | None]:
        """Tell what each point would say now; None where that is no reading."""
        age_s, found = self.age_s, dict[str, Value | None]()
        for key, point in self._points.items():
            value = decode_point(point.definition, point.cells(age_s, self.number))
            found[key] = None if isinstance(value, BadValue) else value
        return found

    def _push(self, key: str, *, value: bool) -> int:
        point = self._point(key)
        if value_kind(point.definition) is not ValueKind.STATE:
            text = f"device {self.id!r}: point {key!r} is no button or contact; use set with a value"
            raise SimulatorError(text)
        at_us = self.set(key, value)
        self.presses.append(Press(key, value, at_us))
        return at_us

    def _point(self, key: str) -> SimulatedPoint:
        point = self._points.get(key)
        if point is None:
            raise SimulatorError(f"device {self.id!r} has no point {key!r}; it has {', '.join(self._points)}")
        return point
