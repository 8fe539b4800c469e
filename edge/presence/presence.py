"""Presence: from sightings of tags to who is where, who has moved, and who is gone. Pure; the caller reads the clocks."""

from typing import Self

from device_profiles.site import Site
from device_profiles.speech.said import Sighting
from edge.presence.found import NOTHING, Found


class Presence:
    """All tags that the readers of one gateway hear."""

    def seen(self, reader: str, sighting: Sighting, now: float, at_us: int) -> Found:
        """Take one sighting.

        Args:
            reader: id of the device that heard the tag.
            sighting: as it was said.
            now: monotonic seconds, as in all that follows.
            at_us: the clock that samples are stamped with.
        """
        del reader, sighting, now, at_us
        return NOTHING

    def alive(self, reader: str, now: float) -> None:
        """Note that a reader has said something, though it heard no tag: its silence about a tag means something."""

    def lost(self, reader: str, now: float) -> None:
        """Note that a reader is gone: nobody leaves its station until it speaks again."""

    def tick(self, now: float, at_us: int, *, wall_us: int | None = None) -> Found:
        """Look at the clock; call it at `next_at`, and as often besides as one likes.

        Args:
            now: monotonic seconds.
            at_us: the clock that samples are stamped with.
            wall_us: wall time, microseconds UTC, once it can be trusted; schedules wait for it.
        """
        del now, at_us, wall_us
        return NOTHING

    def next_at(self) -> float | None:
        """Tell when `tick` wants to be called, monotonic seconds; None when only a sighting can change anything."""

    @classmethod
    def of(cls, site: Site, *, now: float) -> Self | None:
        """Make the presence of a site; None when none of its devices speaks by itself."""
        del site, now
        return None
