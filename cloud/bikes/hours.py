"""Hours in which a bike is armed, by the wall clock of its place: when they begin and end next. Pure."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from cloud.areas.rosters import WEEKDAYS

# Those that began yesterday may end today; a day of a week comes again within eight.
_DAYS = range(-1, 9)


class Hours(Struct, frozen=True):
    """From `begins` to `ends` (HH:MM), over midnight where the end is not later, beginning on `days` (mon ... sun)."""

    begins: str
    ends: str
    days: tuple[str, ...] = WEEKDAYS


class Turn(Struct, frozen=True):
    """A moment at which hours begin or end."""

    at_us: int
    is_begin: bool


def next_turn(hours: Hours, after_us: int, zone: ZoneInfo) -> Turn:
    """Find when they begin or end next, after a moment.

    A wall time that does not exist is as much later as the clock goes forward, one that exists twice is the first.
    Where one span of hours ends as the next begins, they go on.

    Args:
        hours: with at least one day.
        after_us: microseconds UTC.
        zone: whose clock.
    """
    return min((turn for turn in _turns(hours, after_us, zone) if turn.at_us > after_us), key=_order)


def is_in(hours: Hours, at_us: int, zone: ZoneInfo) -> bool:
    """Tell whether a moment lies within."""
    return any(begin <= at_us < end for begin, end in _spans(hours, at_us, zone))


def _turns(hours: Hours, after_us: int, zone: ZoneInfo) -> Iterator[Turn]:
    spans = list(_spans(hours, after_us, zone))
    begins, ends = {begin for begin, _ in spans}, {end for _, end in spans}
    yield from (Turn(at_us, True) for at_us in begins - ends)
    yield from (Turn(at_us, False) for at_us in ends - begins)


def _order(turn: Turn) -> tuple[int, bool]:
    return turn.at_us, turn.is_begin


def _spans(hours: Hours, around_us: int, zone: ZoneInfo) -> Iterator[tuple[int, int]]:
    today = datetime.fromtimestamp(around_us // 1_000_000, UTC).astimezone(zone).date()
    begins, ends = time.fromisoformat(hours.begins), time.fromisoformat(hours.ends)
    for number in _DAYS:
        day = today + timedelta(days=number)
        if WEEKDAYS[day.weekday()] in hours.days:
            last = day if ends > begins else day + timedelta(days=1)
            span = _instant_us(day, begins, zone), _instant_us(last, ends, zone)
            if span[0] < span[1]:
                yield span


def _instant_us(day: date, wall: time, zone: ZoneInfo) -> int:
    # In a gap the offset before it holds (fold 0), which moves the time forward by the gap.
    return round(datetime.combine(day, wall, zone).timestamp()) * 1_000_000
