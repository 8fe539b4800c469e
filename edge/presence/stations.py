"""Stations: which readers make one place, whether it hears at all, and the times of what it says. Pure."""

from collections.abc import Iterable, Sequence

from device_profiles.site import PlacedDevice
from device_profiles.site import Station as StationEntry
from edge.clock import LEAST_STEP_US, is_wall

# One or two tags may leave together; when more fall silent in one moment, it is the reader.
CROWD = 3


class Station:
    """One place.

    Attributes:
        device: the reader that speaks for it.
        name: for people.
        is_deaf: nobody leaves it: it has not heard anything yet, or no longer hears anybody.
        fell_silent: it is deaf because a crowd of tags fell silent at once.
        heard_at: when it last showed a sign of life, monotonic seconds.
        back_at: when it was deaf last: silence counts from here at the earliest.
        present: how many tags are there.
    """

    __slots__ = (
        "_last_us", "_lost", "_readers", "back_at", "device", "fell_silent", "heard_at", "is_deaf", "name", "present",
    )  # fmt: skip

    def __init__(self, readers: Sequence[str], name: str, *, now: float) -> None:
        """Begin deaf: nothing was heard yet."""
        self.device = readers[0]
        self.name = name
        self.heard_at = self.back_at = now
        self.is_deaf = True
        self.fell_silent = False
        self.present = 0
        self._readers = frozenset(readers)
        self._lost: set[str] = set()
        self._last_us = 0

    def hear(self, reader: str, now: float) -> None:
        """Note a sign of life."""
        self.heard_at = now
        if self.is_deaf:
            self.is_deaf = self.fell_silent = False
            self.back_at = now
        if self._lost:
            self._lost.discard(reader)

    def lose(self, reader: str) -> None:
        """Note that a reader is gone; with the last one the station is deaf."""
        self._lost.add(reader)
        self.is_deaf = self.is_deaf or self._lost >= self._readers

    def is_hushed(self, now: float, left_after_s: float) -> bool:
        """Tell whether a crowd of tags seems to have fallen silent at once; it is deaf when that has lasted."""
        if self.is_deaf:
            return True
        silent_s = now - self.heard_at
        if self.present < CROWD or silent_s < left_after_s / 2:
            return False
        self.is_deaf = self.fell_silent = silent_s >= left_after_s
        return True

    def stamp(self, at_us: int) -> int:
        """Give the time of its next sample: a device says one thing at a moment.

        What was told with a time before the machine was switched on has wall time, and is nobody's neighbour.
        """
        if is_wall(at_us):
            return at_us
        self._last_us = max(at_us, self._last_us + LEAST_STEP_US)
        return self._last_us


def make_stations(
    entries: Iterable[StationEntry], devices: Iterable[PlacedDevice], *, now: float
) -> dict[str, Station]:
    """Make the stations of a site, by reader; a reader that is in no entry is one by itself.

    Args:
        entries: as the site file has them.
        devices: all of the site; those that speak by themselves are readers.
        now: monotonic seconds.
    """
    names = {placed.device.id: placed.device.name or placed.device.id for placed in devices if placed.profile.speaks}
    stations: dict[str, Station] = {}
    for entry in entries:
        name = entry.name or names.get(entry.readers[0], entry.readers[0])
        station = Station(entry.readers, name, now=now)
        stations.update(dict.fromkeys(entry.readers, station))
    for reader, name in names.items():
        if reader not in stations:
            stations[reader] = Station((reader,), name, now=now)
    return stations
