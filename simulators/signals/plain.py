"""Signals of one value: constant, day curve, random walk, counter. Pure."""

from collections.abc import Mapping
from math import cos, floor, pi
from typing import Annotated

from msgspec import Meta, Struct

from contract.ids import Id
from contract.telemetry import Value
from device_profiles.codec import ValueKind
from simulators.signals import chance
from simulators.signals.signal import DAY_S, ONLY, Moment

Hour = Annotated[float, Meta(ge=0.0, le=24.0)]
Span = Annotated[float, Meta(gt=0.0, le=31_536_000.0)]

_NUMBER: Mapping[str, ValueKind] = {ONLY: ValueKind.NUMBER}


class Constant(Struct, frozen=True, forbid_unknown_fields=True, tag_field="signal", tag="constant"):
    """Always the same: a number, true or false, or a word."""

    id: Id
    value_is: float | bool | str

    @property
    def parts(self) -> Mapping[str, ValueKind]:
        """One, of the value's own kind."""
        if isinstance(self.value_is, bool):
            return {ONLY: ValueKind.STATE}
        return {ONLY: ValueKind.WORD if isinstance(self.value_is, str) else ValueKind.NUMBER}

    def value(self, _part: str, _moment: Moment) -> Value:
        """Tell it."""
        return self.value_is


class DayCurve(Struct, frozen=True, forbid_unknown_fields=True, tag_field="signal", tag="day"):
    """Up and down once a day.

    Attributes:
        lowest, highest: reached twelve hours apart.
        peak_h: hour of the day at which it is highest.
    """

    id: Id
    lowest: float
    highest: float
    peak_h: Hour = 15.0

    @property
    def parts(self) -> Mapping[str, ValueKind]:
        """One number."""
        return _NUMBER

    def value(self, _part: str, moment: Moment) -> Value:
        """Tell it."""
        wave = cos(2 * pi * (moment.day_s / DAY_S - self.peak_h / 24))
        return (self.lowest + self.highest) / 2 + (self.highest - self.lowest) / 2 * wave


class Walk(Struct, frozen=True, forbid_unknown_fields=True, tag_field="signal", tag="walk"):
    """A random walk between two walls, which throw it back.

    Attributes:
        start: where it begins.
        step: how far it goes in `step_s`, a standard deviation.
        lowest, highest: the walls.
    """

    id: Id
    start: float
    step: Annotated[float, Meta(ge=0.0)]
    lowest: float
    highest: float
    step_s: Span = 1.0

    @property
    def parts(self) -> Mapping[str, ValueKind]:
        """One number."""
        return _NUMBER

    def value(self, _part: str, moment: Moment) -> Value:
        """Tell it."""
        free = self.start + self.step * chance.walk(f"{moment.seed}/{self.id}", moment.t_s / self.step_s)
        width = self.highest - self.lowest
        if width <= 0:
            return self.lowest
        folded = (free - self.lowest) % (2 * width)
        return self.lowest + min(folded, 2 * width - folded)


class Counter(Struct, frozen=True, forbid_unknown_fields=True, tag_field="signal", tag="counter"):
    """Counts up evenly, in whole numbers.

    Attributes:
        start: where it begins.
        per_s: how many a second.
        wraps_at: begins again at 0 there; 0 never.
    """

    id: Id
    start: float = 0.0
    per_s: Annotated[float, Meta(ge=0.0, le=1_000_000.0)] = 1.0
    wraps_at: Annotated[float, Meta(ge=0.0)] = 0.0

    @property
    def parts(self) -> Mapping[str, ValueKind]:
        """One number."""
        return _NUMBER

    def value(self, _part: str, moment: Moment) -> Value:
        """Tell it."""
        count = float(floor(self.start + self.per_s * max(0.0, moment.t_s)))
        return count % self.wraps_at if self.wraps_at else count
