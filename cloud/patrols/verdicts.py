"""From visits to verdicts. Pure: what is said of a tour depends on what was heard, not on when or how often it came.

Each visit belongs to one tour at most (`choose_tour`), and counts there for one planned visit at most (`judge`):

1. On a route with an order, visits in the order of the route are chosen: as many as can be; of such choices that with
   the most visits inside their windows; then the least time off plan in all; then the earliest visits.
2. What is left of planned visits takes what is left of visits at the same point, in the same way: those are out of
   order. On a free route this is the only step, and nothing is out of order.
3. What is left of visits is repeated, where its point is on the route, else unplanned.
"""

from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum

from msgspec import Struct

from cloud.patrols.plans import RouteOrder, Stop, Tour

MAX_VISITS = 2_000
"""So many visits of a tour are judged, the earliest; whoever touches a card more often plays with it."""


class VisitVerdict(StrEnum):
    """What became of a planned visit; stored."""

    OPEN = "open"
    """Its window is not over."""
    ON_TIME = "on-time"
    EARLY = "early"
    LATE = "late"
    WRONG_ORDER = "wrong-order"
    PENDING = "pending"
    """Not heard of, and may still be uploaded: a provisional `missed`."""
    UNHEARD = "unheard"
    """Not heard of, and the wand is silent: nobody knows."""
    MISSED = "missed"
    """The wand was read out after the window, and the visit was not in it."""


VISITED = frozenset({VisitVerdict.ON_TIME, VisitVerdict.EARLY, VisitVerdict.LATE, VisitVerdict.WRONG_ORDER})


class ExtraVerdict(StrEnum):
    """What a visit is that counts for no planned one."""

    REPEATED = "repeated"
    UNPLANNED = "unplanned"


class Visit(Struct, frozen=True, order=True):
    """Somebody was at a point.

    Attributes:
        at_us: when, by the wand's clock as the gateway has corrected it.
        id: of who, which card and when: what comes twice has the same.
        point: None: a card that nobody knows.
        wand, person: None: not known.
    """

    at_us: int
    id: str
    point: str | None = None
    wand: str | None = None
    person: str | None = None


class Heard(Struct, frozen=True):
    """How far the wands have been read out.

    Attributes:
        until_us: by wand, the latest moment up to which all its visits must have come; a wand that was never read out
            is not in it.
    """

    until_us: dict[str, int] = {}


class Patience(Struct, frozen=True):
    """How long is waited after a window, in microseconds: for an upload, and for a wand that says nothing at all."""

    grace_us: int
    silent_us: int


class Judgement(Struct, frozen=True):
    """What is said of one planned visit.

    Attributes:
        visit, visited_at_us: that counts for it; None: none.
        off_us: how far it lies from the plan, later is positive; from the window where there is no planned time.
    """

    position: int
    verdict: VisitVerdict
    visit: str | None = None
    visited_at_us: int | None = None
    off_us: int = 0


class Judged(Struct, frozen=True):
    """What is said of a tour.

    Attributes:
        stops: along the route.
        extras: visits that count for nothing planned, by time.
        due_us: when time alone may change it; None: never.
        waits: for a wand to be read out.
        silent: wands that were waited for too long.
    """

    stops: tuple[Judgement, ...]
    extras: tuple[tuple[str, ExtraVerdict], ...]
    due_us: int | None
    waits: bool
    silent: tuple[str, ...]


def choose_tour(visit: Visit, tours: Iterable[Tour]) -> Tour | None:
    """Find the tour that a visit belongs to; it depends on the visit and the plans alone.

    Of tours that catch the moment and may be walked by this wand or person: first one that has the point, where it may
    count; then one that names wand or person, then the one whose period is nearest, then the one that begins last, then
    by id. A tour without the point takes only visits of those it names, as unplanned.
    """
    ranked = [(rank, tour) for tour in tours if (rank := _rank(visit, tour)) is not None]
    return min(ranked, key=lambda pair: (*pair[0], pair[1].id))[1] if ranked else None


def judge(tour: Tour, visits: Collection[Visit], heard: Heard, *, now_us: int, patience: Patience) -> Judged:
    """Say of each planned visit what became of it, and of each other visit what it is.

    Args:
        tour: with its windows.
        visits: those that belong to it (`choose_tour`), in any order, the same any number of times.
        heard: of the wands that may have walked it.
        now_us: the clock.
        patience: see there; `silent_us` counts from a window's end as `grace_us` does.
    """
    known = sorted({one.id: one for one in visits}.values())[:MAX_VISITS]
    pairs = match(tour, known)
    awaited = _awaited(tour, known)
    stops: list[Judgement] = []
    dues: list[int] = []
    waits, silent = False, set[str]()
    for stop in tour.stops:
        if (found := pairs.get(stop.position)) is not None:
            stops.append(_visited(stop, found[0], is_in_order=found[1]))
            continue
        missing = _missing(stop, awaited, heard, now_us, patience)
        stops.append(Judgement(stop.position, missing.verdict))
        dues += [] if missing.due_us is None else [missing.due_us]
        waits = waits or missing.waits
        silent.update(missing.silent)
    used = {one.visit for one in stops}
    points = {stop.point for stop in tour.stops}
    extras = [
        (one.id, ExtraVerdict.REPEATED if one.point in points else ExtraVerdict.UNPLANNED)
        for one in known
        if one.id not in used
    ]
    return Judged(tuple(stops), tuple(extras), min(dues, default=None), waits, tuple(sorted(silent)))


def match(tour: Tour, visits: Sequence[Visit]) -> dict[int, tuple[Visit, bool]]:
    """Choose the visit that counts for each planned one, and tell whether it is in the route's order.

    Args:
        tour: with its windows.
        visits: each once, by time.

    Returns:
        By position; the rules stand at the head of this module.
    """
    found: dict[int, tuple[Visit, bool]] = {}
    stops, left = list(tour.stops), list(visits)
    if tour.order is not RouteOrder.FREE:
        found = {position: (visit, True) for position, visit in _chain(stops, left)}
        used = {visit.id for visit, _ in found.values()}
        stops = [stop for stop in stops if stop.position not in found]
        left = [visit for visit in left if visit.id not in used]
    for point in {stop.point for stop in stops}:
        rest = _chain([stop for stop in stops if stop.point == point], [one for one in left if one.point == point])
        found |= {position: (visit, tour.order is RouteOrder.FREE) for position, visit in rest}
    return found


class _Awaited(Struct, frozen=True):
    """The wands that must be read out before anything of a tour is missed.

    Attributes:
        is_any_enough: nobody knows which of them was taken along.
    """

    wands: tuple[str, ...]
    is_any_enough: bool

    def unread(self, heard: Heard, until_us: int) -> tuple[str, ...]:
        """List those that are still waited for."""
        unread = tuple(wand for wand in self.wands if heard.until_us.get(wand, -1) < until_us)
        return () if self.is_any_enough and len(unread) < len(self.wands) else unread


class _Missing(Struct, frozen=True):
    """What is said of a planned visit that nobody has heard of, and until when."""

    verdict: VisitVerdict
    due_us: int | None = None
    waits: bool = False
    silent: tuple[str, ...] = ()


def _missing(stop: Stop, awaited: _Awaited, heard: Heard, now_us: int, patience: Patience) -> _Missing:
    over_us = stop.until_us + 1
    grace_over_us = over_us + patience.grace_us
    silent_from_us = over_us + max(patience.silent_us, patience.grace_us)
    if now_us < over_us:
        return _Missing(VisitVerdict.OPEN, over_us)
    if now_us < grace_over_us:
        return _Missing(VisitVerdict.PENDING, grace_over_us)
    unread = awaited.unread(heard, stop.until_us)
    if not unread:
        return _Missing(VisitVerdict.MISSED)
    if now_us < silent_from_us:
        return _Missing(VisitVerdict.PENDING, silent_from_us, waits=True)
    return _Missing(VisitVerdict.UNHEARD, waits=True, silent=unread)


def _awaited(tour: Tour, visits: Iterable[Visit]) -> _Awaited:
    """Wait for the wands that have been on this tour, else for those that may have been."""
    used = tuple(sorted({one.wand for one in visits if one.wand is not None}))
    return _Awaited(used or tour.wands, is_any_enough=not used)


def _rank(visit: Visit, tour: Tour) -> tuple[bool, bool, int, int] | None:
    """Tell how well a visit fits, the lower the better; None: not at all."""
    if not tour.catch_from_us <= visit.at_us < tour.catch_until_us:
        return None
    is_named = visit.wand in tour.wands or visit.person in tour.people
    has_point = any(stop.point == visit.point for stop in tour.stops)
    if not is_named and (tour.wands or tour.people or not has_point):
        return None
    away_us = max(tour.begins_us - visit.at_us, visit.at_us - tour.ends_us, 0)
    return not has_point, not is_named, away_us, -tour.begins_us


def _visited(stop: Stop, visit: Visit, *, is_in_order: bool) -> Judgement:
    if not is_in_order:
        verdict = VisitVerdict.WRONG_ORDER
    elif visit.at_us < stop.from_us:
        verdict = VisitVerdict.EARLY
    else:
        verdict = VisitVerdict.LATE if visit.at_us > stop.until_us else VisitVerdict.ON_TIME
    return Judgement(stop.position, verdict, visit.id, visit.at_us, _off_us(stop, visit))


def _off_us(stop: Stop, visit: Visit) -> int:
    if stop.planned_us is not None:
        return visit.at_us - stop.planned_us
    return min(visit.at_us - stop.from_us, 0) + max(visit.at_us - stop.until_us, 0)


_Score = tuple[int, int, int]
"""Of a choice: visits that count, those inside their windows, time off plan (negative)."""
_NOTHING: _Score = (0, 0, 0)


def _chain(stops: Sequence[Stop], visits: Sequence[Visit]) -> list[tuple[int, Visit]]:
    """Choose visits for planned ones, both in their order: the best common subsequence by `_Score`.

    The table has the best score of what is left, from the end; so of equal choices the earliest visits are found.
    """
    points = {stop.point for stop in stops}
    visits = [one for one in visits if one.point in points]
    width = len(visits)
    table: list[list[_Score]] = [[_NOTHING] * (width + 1)]
    for stop in reversed(stops):
        below, row = table[-1], [_NOTHING] * (width + 1)
        for at in range(width - 1, -1, -1):
            best = max(row[at + 1], below[at])
            if visits[at].point == stop.point:
                best = max(best, _sum(below[at + 1], stop, visits[at]))
            row[at] = best
        table.append(row)
    table.reverse()
    chosen: list[tuple[int, Visit]] = []
    index = at = 0
    while index < len(stops) and at < width:
        stop, visit, best = stops[index], visits[at], table[index][at]
        if visit.point == stop.point and _sum(table[index + 1][at + 1], stop, visit) == best:
            chosen.append((stop.position, visit))
            index, at = index + 1, at + 1
        elif table[index][at + 1] == best:
            at += 1
        else:
            index += 1
    return chosen


def _sum(rest: _Score, stop: Stop, visit: Visit) -> _Score:
    is_inside = stop.from_us <= visit.at_us <= stop.until_us
    return rest[0] + 1, rest[1] + is_inside, rest[2] - abs(_off_us(stop, visit))
