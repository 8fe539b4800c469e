"""From plans to tours: when each begins and ends, and when each of its points is to be visited. Pure.

Times of a plan are read off a wall clock; a tour is made of moments. Where the clock is put forward, a start in the gap
is as long after the change as it would have been after the hour before; where it is put back, of two equal times the
first is meant. A tour lasts as long as it lasts: eight hours are eight hours in the nights of the change too. So a plan
that is to end at six by the wall clock ends at seven or at five in those two nights.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from msgspec import Struct

MINUTE_US = 60_000_000
_DAY = timedelta(days=1)
_DAY_S = 86_400
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RouteOrder(StrEnum):
    """How a route is walked; stored."""

    TIMED = "timed"
    """In its order, each point at its time."""
    ORDERED = "ordered"
    """In its order, at any time of the tour."""
    FREE = "free"
    """In any order, at any time of the tour."""


class RoutePoint(Struct, frozen=True):
    """A point on a route.

    Attributes:
        point: its id; the same may come again further on.
        must: it is worse when this one is missed.
        minutes_to_next: from here to the next; counts on a timed route alone.
        early_min, late_min: what is still on time; None: as the route has it.
    """

    point: str
    must: bool = False
    minutes_to_next: int = 0
    early_min: int | None = None
    late_min: int | None = None


class Route(Struct, frozen=True):
    """Points in their order; `early_min` and `late_min` hold where a point says nothing."""

    id: str
    order: RouteOrder
    points: tuple[RoutePoint, ...]
    early_min: int = 0
    late_min: int = 0

    @property
    def minutes(self) -> int:
        """How long it takes on a timed route, from the first point to the last."""
        return sum(one.minutes_to_next for one in self.points[:-1])


class Plan(Struct, frozen=True):
    """When a route is walked, and by whom.

    Attributes:
        weekdays: of `mon` to `sun`, those on which a tour begins.
        starts: times of the wall clock, to the second.
        duration_min: of each tour, in minutes that pass.
        first_day, last_day: on which tours begin; None: no bound.
        people, wands: who may walk it; both empty: anybody.
    """

    id: str
    route: str
    weekdays: frozenset[str]
    starts: tuple[time, ...]
    duration_min: int
    first_day: date | None = None
    last_day: date | None = None
    people: tuple[str, ...] = ()
    wands: tuple[str, ...] = ()


class Stop(Struct, frozen=True):
    """A planned visit.

    Attributes:
        position: from 0, along the route.
        planned_us: when it is to be; None: at any time in the window.
        from_us, until_us: the window, both ends within it.
    """

    position: int
    point: str
    from_us: int
    until_us: int
    planned_us: int | None = None
    must: bool = False


class Tour(Struct, frozen=True):
    """A route that is to be walked once.

    Attributes:
        id: plan and local time of the start, `night.20261123T2200`, to the second where that has one.
        day: the local day on which it begins.
        begins_us, ends_us: of the period.
        catch_from_us, catch_until_us: visits from the first and before the second may be counted to it.
        wands: the wands that may walk it, with those that its people carry.
    """

    id: str
    plan: str
    route: str
    order: RouteOrder
    day: date
    begins_us: int
    ends_us: int
    catch_from_us: int
    catch_until_us: int
    stops: tuple[Stop, ...]
    people: tuple[str, ...] = ()
    wands: tuple[str, ...] = ()


class Catch(Struct, frozen=True):
    """How long before a tour's begin and after its end a visit may still be its, in seconds."""

    early_s: int = 1_800
    late_s: int = 3_600


class Carrier(Struct, frozen=True):
    """Who carries which wand: on some days of the week, from one time of the wall clock to another.

    An end that is not after the beginning lies on the next day.
    """

    wand: str
    person: str
    weekdays: frozenset[str]
    begins: time
    ends: time
    first_day: date | None = None
    last_day: date | None = None


def moment_us(day: date, at: time, zone: ZoneInfo) -> int:
    """Tell when a wall clock shows this: see the head of this module."""
    return _to_us(datetime.combine(day, at, zone).astimezone(UTC))


def tours_of(plan: Plan, route: Route, *, from_us: int, until_us: int, zone: ZoneInfo, catch: Catch) -> list[Tour]:
    """Make the tours of a plan that begin from one moment on and before another, by their beginning.

    Two starts of one day that are the same moment, as one of them lies in the gap of a clock that is put forward, are
    one tour.
    """
    found: dict[int, Tour] = {}
    for day in _days(from_us, until_us, zone):
        if not _is_day(day, plan.weekdays, plan.first_day, plan.last_day):
            continue
        for start in sorted(plan.starts, key=lambda at: (_is_in_gap(day, at, zone), at)):
            begins_us = moment_us(day, start, zone)
            if from_us <= begins_us < until_us and begins_us not in found:
                found[begins_us] = _tour(plan, route, day, start, begins_us, catch)
    return [found[begins_us] for begins_us in sorted(found)]


def carried_by(carriers: Iterable[Carrier], at_us: int, zone: ZoneInfo) -> dict[str, str]:
    """Tell who carries which wand at a moment; of two who are said to, the first by name."""
    found: dict[str, str] = {}
    for one in carriers:
        if _is_carried(one, at_us, zone):
            found[one.wand] = min(found.get(one.wand, one.person), one.person)
    return found


def wands_of(people: Iterable[str], carriers: Sequence[Carrier], at_us: int, zone: ZoneInfo) -> tuple[str, ...]:
    """Tell which wands some people carry at a moment."""
    wanted = frozenset(people)
    return tuple(sorted({one.wand for one in carriers if one.person in wanted and _is_carried(one, at_us, zone)}))


def overlaps(plan: Plan) -> list[tuple[time, time]]:
    """Find starts whose period lasts beyond the next one, in weeks without a change of the clock."""
    days = [number for number, name in enumerate(_WEEKDAYS) if name in plan.weekdays]
    begins = sorted((day * _DAY_S + _second(at), at) for day in days for at in set(plan.starts))
    following = [*begins[1:], *((second + 7 * _DAY_S, at) for second, at in begins[:1])]
    found = {
        (one, other)
        for (second, one), (next_second, other) in zip(begins, following, strict=True)
        if second + plan.duration_min * 60 > next_second
    }
    return sorted(found)


def _tour(plan: Plan, route: Route, day: date, start: time, begins_us: int, catch: Catch) -> Tour:
    ends_us = begins_us + plan.duration_min * MINUTE_US
    stops = tuple(_stops(route, begins_us, ends_us))
    return Tour(
        id=f"{plan.id}.{day:%Y%m%d}T{start:{'%H%M%S' if start.second else '%H%M'}}",
        plan=plan.id,
        route=route.id,
        order=route.order,
        day=day,
        begins_us=begins_us,
        ends_us=ends_us,
        # A window may open before and close after what is caught anyhow.
        catch_from_us=min([begins_us - catch.early_s * 1_000_000, *(one.from_us for one in stops)]),
        catch_until_us=max([ends_us + catch.late_s * 1_000_000, *(one.until_us for one in stops)]) + 1,
        stops=stops,
        people=plan.people,
        wands=plan.wands,
    )


def _stops(route: Route, begins_us: int, ends_us: int) -> Iterator[Stop]:
    offset_min = 0
    for position, one in enumerate(route.points):
        early_us = (route.early_min if one.early_min is None else one.early_min) * MINUTE_US
        late_us = (route.late_min if one.late_min is None else one.late_min) * MINUTE_US
        if route.order is RouteOrder.TIMED:
            planned_us = begins_us + offset_min * MINUTE_US
            yield Stop(position, one.point, planned_us - early_us, planned_us + late_us, planned_us, one.must)
        else:
            yield Stop(position, one.point, begins_us - early_us, ends_us + late_us, None, one.must)
        offset_min += one.minutes_to_next


def _is_carried(one: Carrier, at_us: int, zone: ZoneInfo) -> bool:
    today = _local(at_us, zone).date()
    for day in (today - _DAY, today):
        if _is_day(day, one.weekdays, one.first_day, one.last_day):
            last = day if one.begins < one.ends else day + _DAY
            if moment_us(day, one.begins, zone) <= at_us < moment_us(last, one.ends, zone):
                return True
    return False


def _is_day(day: date, weekdays: frozenset[str], first_day: date | None, last_day: date | None) -> bool:
    return _WEEKDAYS[day.weekday()] in weekdays and (first_day or date.min) <= day <= (last_day or date.max)


def _is_in_gap(day: date, at: time, zone: ZoneInfo) -> bool:
    told = datetime.combine(day, at, zone)
    return told.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != told.replace(tzinfo=None)


def _days(from_us: int, until_us: int, zone: ZoneInfo) -> Iterator[date]:
    # A day more on both sides: a gap may move a start over midnight.
    day, last = _local(from_us, zone).date() - _DAY, _local(until_us, zone).date() + _DAY
    while day <= last:
        yield day
        day += _DAY


def _local(at_us: int, zone: ZoneInfo) -> datetime:
    return (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone)


def _to_us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _second(at: time) -> int:
    return (at.hour * 60 + at.minute) * 60 + at.second
