"""Tags that should always be heard: the fire pump, the cash box. Pure."""

import math
from collections.abc import Iterable

from device_profiles.site import KnownTag
from edge.rules.timers import Timers


class Silences:
    """Those tags of a site that have a time after which their silence is an alarm."""

    def __init__(self, tags: Iterable[KnownTag], *, now: float) -> None:
        """Begin to listen for them at `now`, monotonic seconds."""
        self._limits = {tag.id: tag.silent_after_s for tag in tags if tag.silent_after_s is not None}
        self._heard_at = dict.fromkeys(self._limits, -math.inf)
        self._timers: Timers[str] = Timers()
        for tag, limit in self._limits.items():
            self._timers.put(tag, now + limit)

    def heard(self, tag: str, now: float) -> bool:
        """Note that a tag is heard; tell whether this ends its silence, also one of before a restart."""
        last = self._heard_at.get(tag)
        if last is None:
            return False
        self._heard_at[tag] = now
        if now - last < self._limits[tag]:
            return False
        self._timers.put(tag, now + self._limits[tag])
        return True

    def due(self, now: float) -> list[str]:
        """Give the tags whose silence has become too long."""
        silent = []
        for tag in self._timers.due(now):
            heard_until = self._heard_at[tag] + self._limits[tag]
            if heard_until > now:
                self._timers.put(tag, heard_until)
            else:
                silent.append(tag)
        return silent

    def next_at(self) -> float | None:
        """Tell when one may be due."""
        return self._timers.next_at()
