"""An area's numbers for a span of days, from the tallies: as fast for a year of a city as for a day of a cell."""

import heapq
from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import Connection, case, func, select

from cloud.database.area_tables import area, site
from cloud.database.number_tables import tally
from cloud.database.tables import change, cursor, occurrence
from cloud.desk.noise import STALE_AFTER_US
from cloud.desk.watch_rules import DEVICE_LOST
from cloud.errors import SpanError, UnknownPlaceError
from cloud.numbers.availability import (
    Availability,
    Gateways,
    availability,
    count_devices,
    find_gateways,
    gateway_availability,
)
from cloud.numbers.busy import busiest
from cloud.numbers.days import DAY, MONTH, begin_us, day_of, days_from, month_after, month_of, parts
from cloud.numbers.figures import (
    Noise,
    Numbers,
    Scope,
    SiteCalls,
    counts_of,
    judge_more,
    judgements_of,
    reporting_of,
    response_of,
    share_of,
    times_of,
)
from cloud.numbers.following import CURSOR
from cloud.numbers.load import measure_load
from cloud.numbers.paths import within
from cloud.numbers.settings import Numbers as NumberSettings
from cloud.numbers.tally import Count, Stage, Tally, merged
from cloud.numbers.written import Span, Together, joined, read_calls, read_span
from contract.alarms import Mode, Severity

MAX_DAYS = 5 * 366
CALLS_DAYS = 365
_SHOWN_SITES = 50


class _Standing(Struct, frozen=True):
    """What of a span stands now: how many for too long, and the losses of devices with their time."""

    stale: int
    losses: int
    lost_s: int


def path_of(connection: Connection, area_id: str) -> str:
    """Find an area's path.

    Raises:
        UnknownPlaceError: there is no such area.
    """
    path = connection.execute(select(area.c.path).where(area.c.id == area_id)).scalar_one_or_none()
    if path is None:
        raise UnknownPlaceError("area", area_id)
    return str(path)


def numbers(
    connection: Connection,
    area_path: str,
    *,
    from_us: int,
    until_us: int,
    now_us: int,
    zone: ZoneInfo,
    kind: str | None = None,
    severity: Severity | None = None,
    operators: int = 1,
    false_call_kinds: Collection[str] = NumberSettings().false_call_kinds,
) -> Numbers:
    """Tell the numbers of an area and all below it.

    Args:
        connection: for reading.
        area_path: "" for everything; see `path_of`.
        from_us: beginning, microseconds UTC; rounded down to the beginning of a local day of `zone`.
        until_us: end; rounded up.
        now_us: for what stands; a span that is not over ends there.
        zone: that of the settings, by which days were counted.
        kind: only alarms of it.
        severity: only alarms of it.
        operators: at the desk at a time, at least 1.
        false_call_kinds: whose false calls count by site.

    Raises:
        SpanError: the span is empty or longer than 5 years.
    """
    first, after = _days(from_us, until_us, zone)
    counted = _Counted(connection, area_path)
    whole = joined(counted.spans(first, after))
    chosen = {name: one for name, one in whole.by.items() if _fits(name, kind, severity)}
    is_all = kind is None and severity is None
    scope = _scope(connection, area_path, (first, after), now_us, zone, kind, severity, operators)
    together = merged(chosen.values())
    standing = _standing(connection, scope, now_us)
    noise = _noise(connection, counted, scope, whole, together, standing)
    known = find_gateways(connection, area_path) if is_all else None
    span = {"from_us": scope.from_us, "until_us": scope.until_us}
    load = measure_load(whole.load, operators=operators, **span) if is_all else None
    counts, response, transmission = counts_of(chosen), response_of(together), times_of(together, Stage.TRANSMISSION)
    reporting = reporting_of(whole.reporting)
    calls = _false_calls(counted, after, false_call_kinds)
    judged = [*judgements_of(counts, response, transmission, load, noise), *judge_more(reporting, calls)]
    return Numbers(
        scope=scope,
        counts=counts,
        response=response,
        transmission=transmission,
        reporting=reporting,
        load=load,
        noise=noise,
        false_call_sites=_worst_sites(connection, calls),
        gateways=None if known is None else gateway_availability(connection, known, **span),
        devices=None if known is None else _devices(connection, known, scope, whole, standing),
        judgements=judged,
    )


def _scope(
    connection: Connection,
    area_path: str,
    days: tuple[date, date],
    now_us: int,
    zone: ZoneInfo,
    kind: str | None,
    severity: str | None,
    operators: int,
) -> Scope:
    first, after = days
    from_us = begin_us(first, zone)
    return Scope(
        area_path=area_path,
        first_day=first,
        last_day=after - timedelta(days=1),
        from_us=from_us,
        until_us=max(from_us + 1, min(begin_us(after, zone), now_us)),
        timezone=zone.key,
        kind=kind,
        severity=severity,
        operators=operators,
        uncounted=_uncounted(connection),
    )


def _days(from_us: int, until_us: int, zone: ZoneInfo) -> tuple[date, date]:
    if until_us <= from_us:
        raise SpanError("ends before it begins")
    first, after = day_of(from_us, zone), day_of(until_us - 1, zone) + timedelta(days=1)
    if (after - first).days > MAX_DAYS:
        raise SpanError(f"{(after - first).days} days, and at most {MAX_DAYS} are counted at once")
    return first, after


class _Counted:
    """What was counted of an area, read once, however many spans are asked for; a city's month is long."""

    def __init__(self, connection: Connection, area_path: str) -> None:
        self._connection = connection
        self._area_path = area_path
        self._known: dict[tuple[str, date], str | None] = {}

    def texts(self, first: date, after: date) -> list[str]:
        """Find the whole months of a span and the days at its ends, in their order, as JSON."""
        wanted = [(span, day) for span, some in zip((MONTH, DAY), parts(first, after), strict=True) for day in some]
        wanted.sort(key=lambda key: key[1])
        for span in (MONTH, DAY):
            missing = [day for one, day in wanted if one == span and (span, day) not in self._known]
            if missing:
                self._known |= dict.fromkeys((span, day) for day in missing) | self._find(span, missing)
        return [text for key in wanted if (text := self._known[key]) is not None]

    def spans(self, first: date, after: date) -> list[Span]:
        """Read them, but for their false calls: these are another question, of another span."""
        return [read_span(text) for text in self.texts(first, after)]

    def _find(self, span: str, days: Sequence[date]) -> dict[tuple[str, date], str | None]:
        query = select(tally.c.first_day, func.coalesce(tally.c.total, tally.c.own).label("content")).where(
            tally.c.area_path == self._area_path, tally.c.span == span, tally.c.first_day.in_(days)
        )
        return {(span, row.first_day): row.content for row in self._connection.execute(query)}


def _fits(name: str, kind: str | None, severity: Severity | None) -> bool:
    of_kind, of_severity = name.split("/")
    return kind in (None, of_kind) and severity in (None, of_severity)


def _uncounted(connection: Connection) -> int:
    last = select(func.coalesce(func.max(change.c.id), 0)).scalar_subquery()
    done = select(func.coalesce(func.max(cursor.c.change_id), 0)).where(cursor.c.name == CURSOR).scalar_subquery()
    return max(0, int(connection.execute(select(last - done)).scalar_one()))


def _standing(connection: Connection, scope: Scope, now_us: int) -> _Standing:
    """Look at what still stands of the span; the tallies hold only what is over."""
    # Not by the index of raises, which a planner likes better: what is open is little, whatever the span.
    raised = occurrence.c.raised_at_us + 0
    is_lost = occurrence.c.kind == DEVICE_LOST
    query = select(
        func.coalesce(func.sum(case((raised < now_us - STALE_AFTER_US, 1), else_=0)), 0),
        func.coalesce(func.sum(case((is_lost, 1), else_=0)), 0),
        func.coalesce(func.sum(case((is_lost, scope.until_us - raised), else_=0)), 0),
    ).where(
        occurrence.c.closed_at_us.is_(None),
        occurrence.c.cleared_at_us.is_(None),
        occurrence.c.mode == Mode.LIVE.value,
        raised >= scope.from_us,
        raised < scope.until_us,
        *within(occurrence.c.area_path.concat(""), scope.area_path),
    )
    if scope.kind is not None:
        query = query.where(occurrence.c.kind == scope.kind)
    if scope.severity is not None:
        query = query.where(occurrence.c.severity == scope.severity)
    stale, losses, lost_us = connection.execute(query).one()
    return _Standing(int(stale), int(losses), int(lost_us) // 1_000_000)


def _noise(
    connection: Connection, counted: _Counted, scope: Scope, whole: Together, together: Tally, standing: _Standing
) -> Noise:
    months = sorted({month_of(day) for day in days_from(scope.first_day, scope.last_day)} | {month_of(scope.last_day)})
    actors, share = None, None
    if scope.kind is None and scope.severity is None:
        actors = busiest(connection, scope.area_path, months)
        touched = months[0], month_after(months[-1])
        is_whole = touched == (scope.first_day, scope.last_day + timedelta(days=1))
        load = whole.load if is_whole else joined(counted.spans(*touched)).load
        annunciated = sum(sum(counts) for _first, counts in load)
        share = share_of(sum(actor.triggers for actor in actors), annunciated)
    return Noise(
        chattering=together.counts.get(Count.CHATTERING, 0),
        fleeting=together.counts.get(Count.FLEETING, 0),
        stale=together.counts.get(Count.STALE, 0) + standing.stale,
        standing_stale=standing.stale,
        bad_actors=actors,
        bad_actor_share=share,
    )


def _false_calls(counted: _Counted, after: date, kinds: Collection[str]) -> dict[str, int]:
    """Count false calls by site."""
    found: dict[str, int] = {}
    for content in counted.texts(after - timedelta(days=CALLS_DAYS), after):
        for sites in read_calls(content, kinds):
            for name, count in sites.items():
                found[name] = found.get(name, 0) + count
    return found


def _worst_sites(connection: Connection, calls: Mapping[str, int]) -> list[SiteCalls]:
    """Name the sites with most false calls, the worst first."""
    worst = heapq.nsmallest(_SHOWN_SITES, calls.items(), key=lambda one: (-one[1], one[0]))
    names = _names(connection, [name for name, _calls in worst])
    return [SiteCalls(name, names.get(name, ""), count) for name, count in worst]


def _names(connection: Connection, sites: Sequence[str]) -> dict[str, str]:
    rows = connection.execute(select(site.c.id, site.c.name).where(site.c.id.in_(sites)))
    return {row.id: row.name for row in rows}


def _devices(
    connection: Connection, gateways: Gateways, scope: Scope, whole: Together, standing: _Standing
) -> Availability:
    lost = merged(one for name, one in whole.by.items() if name.split("/")[0] == DEVICE_LOST)
    return availability(
        count_devices(connection, gateways),
        lost.counts.get(Count.RAISED, 0),
        lost.counts.get(Count.STOOD_S, 0) + standing.lost_s,
        (scope.until_us - scope.from_us) / 1e6,
    )
