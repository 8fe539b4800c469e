"""A simulated device that speaks by itself, on the line that it is connected to. Does no I/O."""

import time
from collections import Counter, deque
from collections.abc import Callable

from msgspec import Struct

from contract.telemetry import Value
from device_profiles.site import PlacedDevice
from simulators.device import MAX_PRESSES, Press
from simulators.faults import DeviceClock
from simulators.talkers.talker import Talker


class TalkCounts(Struct):
    """What a device that speaks by itself said and heard since the start or the last reset.

    Attributes:
        opened: lines or connections it began on.
        said: what it said, one for each time it spoke.
        said_bytes: of them.
        unsaid: what it would have said while it was mute or had no line.
        heard_bytes: what came back.
    """

    opened: int = 0
    said: int = 0
    said_bytes: int = 0
    unsaid: int = 0
    heard_bytes: int = 0


class TalkingDevice:
    """A talker as the site file places it.

    Attributes:
        placed: device and profile.
        talker: what thinks for it.
        mute: true while it says nothing and hears nothing.
        counts: what it said and heard.
        presses: the last presses and releases.
        clock: what time it thinks it is.
        line: takes what it says; None while it is not connected. Must not wait.
    """

    def __init__(
        self,
        placed: PlacedDevice,
        talker: Talker,
        *,
        clock: DeviceClock | None = None,
        clock_s: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Take a talker; it says nothing before it is opened."""
        self.placed, self.talker = placed, talker
        self.clock = clock or DeviceClock(wall_ns)
        self.mute = False
        self.counts = TalkCounts()
        self.presses: deque[Press] = deque(maxlen=MAX_PRESSES)
        self.line: Callable[[bytes], None] | None = None
        self._clock_s, self._wall_ns = clock_s, wall_ns
        self._changes: Counter[str] = Counter()

    @property
    def id(self) -> str:
        """The device's id in the site file."""
        return self.placed.device.id

    def open(self, line: Callable[[bytes], None]) -> None:
        """Begin on a new line."""
        self.line = line
        self.counts.opened += 1
        self._say(self.talker.open(self._clock_s()))

    def close(self) -> None:
        """Lose the line."""
        self.line = None

    def hear(self, data: bytes) -> None:
        """Take what came."""
        if not self.mute:
            self.counts.heard_bytes += len(data)
            self._say(self.talker.hear(data, self._clock_s()))

    def speak(self) -> float | None:
        """Say what is due; tells when more will be, monotonic seconds."""
        while (due_at := self.talker.next_at()) is not None and due_at <= self._clock_s():
            self._say(self.talker.speak(self._clock_s()))
            if self.talker.next_at() == due_at:
                # It wants to be asked again and again; once in a while must do.
                return due_at
        return due_at

    def press(self, key: str) -> int:
        """Press a button, and return the wall time in microseconds.

        Raises:
            SimulatorError: it has no such thing to press.
        """
        at_us = self._note(key, value=True)
        self._say(self.talker.press(key, self._clock_s()))
        return at_us

    def release(self, key: str) -> int:
        """Let a button go, and return the wall time in microseconds.

        Raises:
            SimulatorError: it has no such thing.
        """
        self._say(self.talker.set(key, False, self._clock_s()))
        return self._note(key, value=False)

    def set(self, key: str, value: Value) -> int:
        """Hold a value, and return the wall time in microseconds.

        Raises:
            SimulatorError: it has no such point, or not such a value.
        """
        self._say(self.talker.set(key, value, self._clock_s()))
        self._changes[key] += 1
        return self._wall_ns() // 1000

    def changes(self, key: str) -> int:
        """Tell how often something was pressed, set or let go."""
        return self._changes[key]

    def reset(self) -> None:
        """Begin counting and remembering presses anew."""
        self.counts = TalkCounts()
        self.presses.clear()

    def _note(self, key: str, *, value: bool) -> int:
        at_us = self._wall_ns() // 1000
        self._changes[key] += 1
        self.presses.append(Press(key, value, at_us))
        return at_us

    def _say(self, data: bytes) -> None:
        if not data:
            return
        if self.line is None or self.mute:
            self.counts.unsaid += 1
            return
        self.counts.said += 1
        self.counts.said_bytes += len(data)
        self.line(data)
