"""Who is on duty, pure: weekly shifts in local time, and hand-overs, which for their time replace them.

A shift belongs to the day on which it begins; its weekdays, first and last day mean that one. Its bounds are moments,
not readings of a clock: where a clock is put back a shift still begins and ends once, at the first of two equal times,
and where it is put forward a bound in the gap falls as long after the change as it would have after the hour before.
So shifts that join each other in local time join each other on every day, and nobody is missing between two.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = timedelta(days=1)
# A shift is at most a day long and may end on the next; some places once skipped a whole day at the date line.
_DAYS_BACK = 2


class Duty(Struct, frozen=True):
    """One shift of the regular roster.

    Attributes:
        contact: whose it is, an id.
        weekdays: the days on which it begins, of `WEEKDAYS`.
        begins, ends: local times; an end that is not after the beginning lies on the next day.
        first_day, last_day: the days on which it may begin; None: no bound.
        rank: 1 is told first, 2 stands in.
    """

    contact: str
    weekdays: frozenset[str]
    begins: time
    ends: time
    first_day: date | None = None
    last_day: date | None = None
    rank: int = 1


class Handover(Struct, frozen=True):
    """Somebody takes over an area.

    Attributes:
        id: goes up with each that is made.
        contact: who takes over, an id.
        from_us, until_us: microseconds UTC; the end no longer belongs to it.
    """

    id: int
    contact: str
    from_us: int
    until_us: int


def who_is_on_duty(duties: Iterable[Duty], handovers: Iterable[Handover], at_us: int, zone: ZoneInfo) -> list[str]:
    """Say who is on duty in one area.

    Args:
        duties: that area's regular roster.
        handovers: that area's hand-overs, in force or not.
        at_us: wall time, microseconds UTC.
        zone: the shifts' time zone.

    Returns:
        Ids of contacts, each once, in the order in which they are told: while hand-overs are in force theirs alone,
        the one made last first; else those of the roster by rank.
    """
    taken = sorted((one for one in handovers if one.from_us <= at_us < one.until_us), key=lambda one: -one.id)
    if taken:
        return list(dict.fromkeys(one.contact for one in taken))
    on = [one for one in duties if _is_on(one, at_us, zone)]
    return list(dict.fromkeys(one.contact for one in sorted(on, key=lambda one: (one.rank, one.contact))))


def shifts(duties: Iterable[Duty], from_us: int, until_us: int, zone: ZoneInfo) -> list[tuple[int, int]]:
    """List the shifts that touch a span of time: begin and end, microseconds UTC, in the order of their begins."""
    first, last = _day_of(from_us, zone) - _DAYS_BACK * _DAY, _day_of(until_us, zone) + _DAY
    days = [first + number * _DAY for number in range((last - first).days + 1)]
    all_of_them = (_bounds_us(one, day, zone) for one in duties for day in days if _begins_on(one, day))
    return sorted((begin, end) for begin, end in all_of_them if begin < min(end, until_us) and end > from_us)


def gaps(spans: Iterable[tuple[int, int]], from_us: int, until_us: int) -> list[tuple[int, int]]:
    """List when none of some spans lasts, within a span of time; begin and end, microseconds UTC."""
    found = []
    covered_us = from_us
    for begin, end in sorted(spans):
        if begin > covered_us:
            found.append((covered_us, min(begin, until_us)))
        covered_us = max(covered_us, end)
        if covered_us >= until_us:
            return found
    return [*found, (covered_us, until_us)]


def _is_on(duty: Duty, at_us: int, zone: ZoneInfo) -> bool:
    today = _day_of(at_us, zone)
    for back in range(-1, _DAYS_BACK + 1):
        day = today - back * _DAY
        if _begins_on(duty, day):
            begin_us, end_us = _bounds_us(duty, day, zone)
            if begin_us <= at_us < end_us:
                return True
    return False


def _begins_on(duty: Duty, day: date) -> bool:
    if WEEKDAYS[day.weekday()] not in duty.weekdays:
        return False
    return (duty.first_day or date.min) <= day <= (duty.last_day or date.max)


def _bounds_us(duty: Duty, day: date, zone: ZoneInfo) -> tuple[int, int]:
    last = day if duty.begins < duty.ends else day + _DAY
    return _moment_us(day, duty.begins, zone), _moment_us(last, duty.ends, zone)


def _moment_us(day: date, at: time, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, at, zone).timestamp()) * 1_000_000


def _day_of(at_us: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).astimezone(zone).date()
