"""One simulated point: what its registers hold, by itself, held by hand, or written by the master."""

from collections.abc import Callable, Sequence
from math import floor, pi, sin

from contract.telemetry import Value
from device_profiles.codec import ValueKind, encode_point, encode_raw, raw_bits, raw_limits, value_kind
from device_profiles.faults import CodecError
from device_profiles.model import PointDef
from simulators.errors import SimulatorError

REFRESH_S = 1.0
"""How often a moving value is worked out anew, as a sensor samples at its own pace; the wire may be faster."""
DRIVEN_REFRESH_S = 0.1
"""The same where a signal drives it, whose story may run faster than the clock."""

Source = Callable[[float], Value]
"""What drives a point: its value at an age of the device in seconds."""


class SimulatedPoint:
    """The cells of one point as a function of the device's age.

    Attributes:
        definition: the profile's point.
        address, end: first cell, and the one after the last.
        is_writable: the master may write it.
        is_number: it numbers the device's answers.
        changes: how often it was set, written or let go.
    """

    def __init__(self, definition: PointDef, *, device: str, is_number: bool) -> None:
        """Make the point and try its extremes.

        Raises:
            SimulatorError: the profile's simulation gives values that its own codec refuses.
        """
        self.definition = definition
        self.address = definition.address
        self.end = definition.address + definition.type.words
        self.is_writable = definition.writable and not is_number
        self._where = f"device {device!r}, point {definition.key!r}"
        self.is_number = is_number
        self.changes = 0
        self._numbers = _believable_numbers(definition)
        # The point's own bits of its cells: several bit fields may share one word.
        self._mask = encode_raw(definition, -1)
        self._held: tuple[int, ...] | None = None
        self._is_written = False
        self._source: Source | None = None
        self._tick = -1
        self._cells = self._encode(_value(definition, 0.0))
        self._moves = definition.simulate.swing != 0.0 and value_kind(definition) is ValueKind.NUMBER
        for quarter in (1, 3) if self._moves else ():
            self._encode(_value(definition, definition.simulate.period_s * quarter / 4))

    def cells(self, age_s: float, number: int) -> tuple[int, ...]:
        """Give the registers at an age; `number` is what a counting point holds, wrapping where its range ends."""
        if self.is_number:
            return encode_raw(self.definition, number % self._numbers)
        if self._held is not None:
            return self._held
        if self._source is not None:
            return self._driven(self._source, age_s)
        tick = floor(age_s / REFRESH_S)
        if self._moves and tick != self._tick:
            self._cells = self._encode(_value(self.definition, tick * REFRESH_S))
            self._tick = tick
        return self._cells

    def set(self, value: Value) -> None:
        """Hold the point at a value.

        Raises:
            SimulatorError: it cannot have this value, or it numbers the answers.
        """
        if self.is_number:
            text = f"{self._where}: it numbers the answers (simulate.count_in) and cannot be set"
            raise SimulatorError(text)
        self._held, self._is_written = self._encode(value), False
        self.changes += 1

    def set_auto(self) -> None:
        """Let the point move by itself again."""
        self._held = None
        self.changes += 1

    def stick(self, age_s: float) -> None:
        """Hold the point at what it says now, as a sensor that has died.

        Raises:
            SimulatorError: it numbers the answers.
        """
        if self.is_number:
            raise SimulatorError(f"{self._where}: it numbers the answers (simulate.count_in) and cannot stick")
        self._held, self._is_written = self.cells(age_s, 0), False
        self.changes += 1

    def drive(self, source: Source | None) -> None:
        """Let a signal make the value, or let the profile's own simulation do it again.

        Raises:
            SimulatorError: it numbers the answers.
        """
        if self.is_number:
            raise SimulatorError(f"{self._where}: it numbers the answers (simulate.count_in); no signal drives it")
        self._source, self._tick = source, -1
        self._cells = self._encode(_value(self.definition, 0.0))

    def restart(self) -> None:
        """Forget what the master wrote, as a device does when its power returns; what the world holds, stays held."""
        if self._is_written:
            self._held = None
            self.changes += 1
        self._tick = -1

    def write(self, address: int, cells: Sequence[int], *, age_s: float) -> None:
        """Take what the master writes from `address` on; cells and bits that are not the point's are left alone."""
        held = list(self.cells(age_s, 0))
        for place, mask in enumerate(self._mask):
            at = self.address + place - address
            if 0 <= at < len(cells):
                held[place] = cells[at] & mask
        self._held, self._is_written = tuple(held), True
        self.changes += 1

    def _driven(self, source: Source, age_s: float) -> tuple[int, ...]:
        tick = floor(age_s / DRIVEN_REFRESH_S)
        if tick != self._tick:
            self._cells = self._encode(self._fitted(source(age_s)))
            self._tick = tick
        return self._cells

    def _fitted(self, value: Value) -> Value:
        """Bring a number into what the point can say: a sensor stops at the end of its scale."""
        definition = self.definition
        if isinstance(value, bool | str) or value_kind(definition) is not ValueKind.NUMBER:
            return value
        if not definition.type.value.startswith("f"):
            ends = [raw * definition.scale + definition.offset for raw in raw_limits(definition)]
            value = min(max(value, min(ends)), max(ends))
        return value if definition.range is None else min(max(value, definition.range[0]), definition.range[1])

    def _encode(self, value: Value) -> tuple[int, ...]:
        try:
            return encode_point(self.definition, value)
        except CodecError as error:
            raise SimulatorError(f"{self._where}: {error}") from error


def _value(point: PointDef, age_s: float) -> Value:
    """What the point says by itself: `start + swing * sin(2 pi t / period_s)`, kept inside its range."""
    simulate, kind = point.simulate, value_kind(point)
    start = simulate.start
    if kind is ValueKind.STATE:
        return bool(start)
    if kind is ValueKind.WORD:
        # A start of another kind is the model's default, which is not written for words.
        return start if isinstance(start, str) else next(iter(point.values.values()))
    if isinstance(start, bool | str):
        return start
    value = start + simulate.swing * sin(2 * pi * age_s / simulate.period_s)
    return value if point.range is None else min(max(value, point.range[0]), point.range[1])


def _believable_numbers(definition: PointDef) -> int:
    """Count the raw numbers from 0 that the profile's range believes: beyond, a number would be no reading."""
    if definition.range is None or definition.scale <= 0:
        return 1 << raw_bits(definition)
    highest = floor((definition.range[1] - definition.offset) / definition.scale)
    return min(highest, raw_limits(definition)[1]) + 1
