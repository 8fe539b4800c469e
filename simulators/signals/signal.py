"""What every signal is: parts with a kind each, and a value of each part at a moment and a place."""

from collections.abc import Mapping
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from contract.telemetry import Value
from device_profiles.codec import ValueKind

Metres = Annotated[float, Meta(ge=-1_000_000.0, le=1_000_000.0)]
Place = tuple[Metres, Metres]
"""Metres east and north of a point that the scenario chooses."""

ONLY = "value"
"""The part of a signal that has one."""
DAY_S = 86_400.0


class Moment(Struct, frozen=True):
    """When and where a signal is asked.

    Attributes:
        t_s: seconds of the story since it began.
        begins_s: time of day at which it began, seconds since midnight.
        at_m: where.
        seed: of the story.
        others: the story's signals by id: a fire asks the weather.
    """

    t_s: float
    begins_s: float = 0.0
    at_m: tuple[float, float] = (0.0, 0.0)
    seed: int = 0
    others: "Mapping[str, Signal]" = {}

    @property
    def day_s(self) -> float:
        """Seconds since the midnight before the story began."""
        return self.begins_s + self.t_s


class Signal(Protocol):
    """Something that moves by itself; a function of the moment and the seed, and of nothing else."""

    @property
    def id(self) -> str:
        """What the scenario calls it."""

    @property
    def parts(self) -> Mapping[str, ValueKind]:
        """What can be asked of it, and what kind of value that has."""

    def value(self, part: str, moment: Moment) -> Value:
        """Tell one of `parts` at a moment."""
