"""When something holds: hours of the week in local time, and whether a moment lies in them. Pure."""

from datetime import time
from functools import lru_cache
from zoneinfo import ZoneInfo

from msgspec import Struct

from cloud.areas.rosters import WEEKDAYS, Duty, shifts

ALWAYS_WEEKDAYS = " ".join(WEEKDAYS)
_DAY_US = 86_400_000_000


class Hours(Struct, frozen=True):
    """Hours of the week, with the rules of rosters: an end that is not after the beginning lies on the next day.

    A local time that does not exist lies as long after the change as it would have after the hour before; of one that
    comes twice the first is meant.

    Attributes:
        weekdays: days on which they begin, as `mon tue`.
        begins, ends: HH:MM; None, both: at any time.
    """

    weekdays: str = ALWAYS_WEEKDAYS
    begins: str | None = None
    ends: str | None = None

    def hold(self, at_us: int, zone: ZoneInfo) -> bool:
        """Tell whether a moment lies in them; the end no longer does."""
        if self.begins is None or self.ends is None:
            return True
        return any(begin_us <= at_us < end_us for begin_us, end_us in _of_day(self, at_us // _DAY_US, zone))


@lru_cache(maxsize=4_096)
def _of_day(hours: Hours, day: int, zone: ZoneInfo) -> tuple[tuple[int, int], ...]:
    """The spans that touch a day of UTC, counted from 1970: what thousands of reports ask for again and again."""
    duty = Duty(
        contact="",
        weekdays=frozenset(hours.weekdays.split()),
        begins=time.fromisoformat(hours.begins or "00:00"),
        ends=time.fromisoformat(hours.ends or "00:00"),
    )
    return tuple(shifts([duty], day * _DAY_US, (day + 1) * _DAY_US, zone))
