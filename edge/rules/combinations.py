"""Alarms made of alarms: all or any of several rules, together or shortly after one another. Pure."""

from collections.abc import Sequence

from device_profiles.model import CombinationRule
from edge.rules.watch import Watch

COMBINATION_POINT = "combination"
"""Stands for the point in the source of a combination."""


class Combination:
    """One combination: its members, each the watches of one rule, and the alarm that it is.

    Attributes:
        watch: its own alarm.
    """

    def __init__(self, rule: CombinationRule, watch: Watch, members: Sequence[Sequence[Watch]]) -> None:
        self.watch = watch
        self.members = members
        self._needs_all = bool(rule.all_of)
        self._within_s = rule.within_s

    def holds(self, now: float) -> bool:
        """Tell whether all (or any) of the members count at `now`."""
        counts = (any(self.counts(watch, now) for watch in member) for member in self.members)
        return all(counts) if self._needs_all else any(counts)

    def counts(self, watch: Watch, now: float) -> bool:
        """Tell whether one watch holds, or held at most the window ago."""
        return watch.is_on or (watch.off_at is not None and now < watch.off_at + self._within_s)

    def next_at(self, now: float) -> float | None:
        """Tell when the first member that is over stops counting."""
        ends = (
            watch.off_at + self._within_s
            for member in self.members
            for watch in member
            if watch.off_at is not None and self.counts(watch, now)
        )
        return min(ends, default=None)
