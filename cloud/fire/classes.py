"""Danger classes of the fire weather index. Pure."""

from bisect import bisect_right
from enum import IntEnum, StrEnum
from math import floor
from types import MappingProxyType


class Scheme(StrEnum):
    """Whose bounds divide the index; stored and written in settings."""

    EFFIS = "effis"
    """European Forest Fire Information System (JRC)."""
    CANADA = "canada"
    """Canadian Forest Service, by the index in whole numbers."""


class Danger(IntEnum):
    """Six levels, alike in both schemes; more is worse."""

    VERY_LOW = 1
    LOW = 2
    MODERATE = 3
    HIGH = 4
    VERY_HIGH = 5
    EXTREME = 6

    @property
    def word(self) -> str:
        """As it is written: `very-high`."""
        return self.name.lower().replace("_", "-")


# From which value on the next level holds. Source: EFFIS technical background; the Canadian bands are 0-1, 2-4, 5-8,
# 9-16, 17-30 and more, of whole numbers.
BOUNDS = MappingProxyType({
    Scheme.EFFIS: (5.2, 11.2, 21.3, 38.0, 50.0),
    Scheme.CANADA: (2.0, 5.0, 9.0, 17.0, 31.0),
})  # fmt: skip


def danger_of(fwi: float, scheme: Scheme = Scheme.EFFIS) -> Danger:
    """Tell the level of an index; in the Canadian scheme it is rounded to a whole number first, halves up."""
    value = floor(fwi + 0.5) if scheme is Scheme.CANADA else fwi
    return Danger(1 + bisect_right(BOUNDS[scheme], value))
