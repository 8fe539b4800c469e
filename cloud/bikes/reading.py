"""What is shown of bikes: lists, one bike, where it was, cases, stations. Everything is read by an index, in pages."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from cloud.bikes.stations import Stations, read_stations
from cloud.database.area_tables import area
from cloud.database.bike_tables import (
    bike,
    bike_arming,
    bike_case,
    bike_case_step,
    bike_owner,
    bike_stay,
    bike_tag,
    bike_told,
)
from cloud.database.bike_tables import bike_station as station_table
from cloud.desk.changes import Actor
from cloud.orders.orders import outcome_of
from cloud.people.audit import note

OWNER_SEEN, TRAIL_SEEN, CASE_SEEN = "bike-owner-seen", "bike-trail-seen", "bike-case-seen"
"""What the audit calls looks at what is personal, or shows where somebody was."""
MOST_HITS = 500
MOST_STEPS = 3_000


class Only(StrEnum):
    """Which bikes are listed."""

    STOLEN = "stolen"
    ARMED = "armed"
    LOW = "low"
    """Of whose tag the battery is low."""
    SILENT = "silent"
    """Of whose silent tag an alarm stands."""


class Filters(Struct, frozen=True):
    """Which bikes.

    Attributes:
        scope, below: paths of areas in which they lie; None: everywhere.
        only: see there; None: all.
        tag, station: only of this tag; only those that are at this station.
        after: the id with which the page before ended.
        limit: at most so many.
    """

    scope: str | None = None
    below: str | None = None
    only: Only | None = None
    tag: str | None = None
    station: int | None = None
    after: str = ""
    limit: int = 100


class Hit(Struct, frozen=True):
    """A bike of the stolen list was heard: `count` times from `at_us` to `until_us`."""

    at_us: int
    until_us: int
    count: int
    station: int | None
    case: int


class Trail(Struct, frozen=True):
    """A page of where a tag was.

    Attributes:
        stays: (station, from, until), the earliest first; until None: it lasts.
        hits: of the same time, at most `MOST_HITS`.
        next_us: as `after_us` gives the following page; None: there is none.
    """

    stays: Sequence[tuple[int, int, int | None]]
    hits: Sequence[Hit]
    next_us: int | None


def list_bikes(connection: Connection, filters: Filters) -> list[dict[str, Any]]:
    """List bikes by id, without whose they are."""
    query = _bikes().where(*_where(filters)).order_by(bike.c.id).limit(filters.limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def find_bike(connection: Connection, bike_id: str, scope: str | None) -> dict[str, Any] | None:
    """Find one bike, in a subtree; None: it is not there."""
    query = _bikes().where(bike.c.id == bike_id, *_inside(scope))
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else dict(row)


def told(connection: Connection, tag: str | None) -> list[dict[str, Any]]:
    """Tell what gateways were told of a tag last, and what each answered."""
    rows = connection.execute(select(bike_told).where(bike_told.c.tag == tag).order_by(bike_told.c.gateway)).all()
    outcomes = outcome_of(connection, [row.order_id for row in rows])
    found = []
    for row in rows:
        outcome = outcomes.get(row.order_id)
        state, reason = (None, "") if outcome is None else (outcome.state.value, outcome.reason)
        found.append({
            "gateway": row.gateway, "is_armed": row.is_armed, "at_us": row.at_us, "state": state, "reason": reason,
        })  # fmt: skip
    return found


def see_owner(connection: Connection, bike_id: str, *, actor: Actor, at_us: int) -> dict[str, Any] | None:
    """Show whose a bike is; that somebody looked is written into the audit, also where there is nobody."""
    note(connection, actor=actor, what=OWNER_SEEN, object_=bike_id, details={}, at_us=at_us)
    row = connection.execute(select(bike_owner).where(bike_owner.c.bike == bike_id)).mappings().one_or_none()
    return None if row is None else dict(row)


def read_trail(connection: Connection, tag: str, *, from_us: int, until_us: int, after_us: int, limit: int) -> Trail:
    """Read where a tag was in a time.

    Args:
        connection: reading is enough.
        tag: whose.
        from_us: stays that end after this; until_us: and begin before this.
        until_us: see there.
        after_us: the `next_us` of the page before, 0 at first.
        limit: so many stays.
    """
    row = bike_stay.c
    # Stays of a tag do not overlap: of those that begin before the time only the last can reach into it.
    last = select(func.max(row.from_us)).where(row.tag == tag, row.from_us <= from_us)
    first_us = max(connection.scalar(last) or 0, after_us + 1 if after_us else 0)
    query = select(row.station, row.from_us, row.until_us).where(row.tag == tag, row.from_us >= first_us)
    query = query.where(row.from_us < until_us, or_(row.until_us.is_(None), row.until_us >= from_us))
    found = [(one.station, one.from_us, one.until_us) for one in
             connection.execute(query.order_by(row.from_us).limit(limit + 1))]  # fmt: skip
    stays, is_more = found[:limit], len(found) > limit
    # The page before has had the hits until its last stay ended, which is where this one begins.
    begin_us = (stays[0][1] if stays else until_us) if after_us else from_us
    end_us = found[limit][1] if is_more else until_us
    hits = _hits(connection, tag, begin_us, end_us)
    return Trail(stays, hits, stays[-1][1] if is_more else None)


def _hits(connection: Connection, tag: str, from_us: int, until_us: int) -> list[Hit]:
    step = bike_case_step.c
    query = select(step.at_us, step.until_us, step.count.label("times"), step.station, step.case)
    query = query.join(bike_case, bike_case.c.id == step.case).where(bike_case.c.bike == bike.c.id, bike.c.tag == tag)
    query = query.where(step.what == "hit", step.at_us >= from_us, step.at_us < until_us).order_by(step.at_us, step.id)
    return [Hit(*row) for row in connection.execute(query.limit(MOST_HITS))]


def list_cases(
    connection: Connection, *, scope: str | None, is_open: bool, bike_id: str | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """List cases, the latest first, without their trails.

    Args:
        connection: reading is enough.
        scope: the path of the subtree in which their bikes lie; None: everywhere.
        is_open: only those that are.
        bike_id: only of this one.
        before: the id with which the page before ended.
        limit: at most so many.
    """
    query = _cases().where(*_inside(scope)).order_by(bike_case.c.id.desc()).limit(limit)
    if is_open:
        query = query.where(bike_case.c.closed_us.is_(None))
    if bike_id is not None:
        query = query.where(bike_case.c.bike == bike_id)
    if before is not None:
        query = query.where(bike_case.c.id < before)
    return [dict(row) for row in connection.execute(query).mappings()]


def find_case(connection: Connection, case: int, scope: str | None) -> dict[str, Any] | None:
    """Find one case, in a subtree; None: it is not there."""
    row = connection.execute(_cases().where(bike_case.c.id == case, *_inside(scope))).mappings().one_or_none()
    return None if row is None else dict(row)


def steps_of(connection: Connection, case: int, stations: Stations) -> list[dict[str, Any]]:
    """Tell what is known of a case, in the order of its moments; at most `MOST_STEPS`."""
    query = select(bike_case_step).where(bike_case_step.c.case == case)
    query = query.order_by(bike_case_step.c.at_us, bike_case_step.c.id).limit(MOST_STEPS)
    return [
        {name: row[name] for name in ("what", "at_us", "until_us", "count", "station", "words")}
        | {"station_name": None if row["station"] is None else stations.name_of(row["station"])}
        for row in connection.execute(query).mappings()
    ]


def list_stations(connection: Connection, *, scope: str | None, today: object) -> list[dict[str, Any]]:
    """List the stations of a subtree, how many tags are there now, and how many came today.

    Args:
        connection: reading is enough.
        scope: the path of the subtree; None: everything, also what nobody has placed.
        today: the local day.
    """
    here = select(bike_tag.c.station, func.count()).where(bike_tag.c.station.is_not(None)).group_by(bike_tag.c.station)
    present: dict[int, int] = {row[0]: row[1] for row in connection.execute(here)}
    counted = {row.id: row for row in connection.execute(select(station_table))}
    return [
        {
            "id": one.id, "gateway": one.gateway, "device": one.device, "name": one.name, "site": one.place.site,
            "area_path": one.place.area_path, "heard_us": one.heard_us, "present": present.get(one.id, 0),
            "moves": counted[one.id].moves if counted[one.id].day == today else 0,
            "latitude_deg": None if one.spot is None else one.spot.latitude_deg,
            "longitude_deg": None if one.spot is None else one.spot.longitude_deg,
        }
        for one in sorted(read_stations(connection), key=lambda one: one.id)
        if scope is None or one.place.area_path.startswith(scope)
    ]  # fmt: skip


def _bikes() -> Select[Any]:
    lasting = and_(bike_arming.c.bike == bike.c.id, bike_arming.c.until_us.is_(None))
    joined = bike.outerjoin(area, area.c.id == bike.c.area).outerjoin(bike_tag, bike_tag.c.tag == bike.c.tag)
    columns = [bike.c[name] for name in (
        "id", "area", "tag", "owner_tag", "plate", "note", "by_owner", "arm_from", "arm_to", "arm_days",
        "silent_after_s", "stolen_us",
    )]  # fmt: skip
    state = [bike_tag.c[name] for name in ("station", "since_us", "heard_us", "battery_v", "low_us", "silent_us")]
    return select(
        *columns, *state, func.coalesce(area.c.path, "").label("area_path"),
        bike_arming.c.how.label("armed_how"), bike_arming.c.since_us.label("armed_us"),
        bike_arming.c.by.label("armed_by"),
    ).select_from(joined.outerjoin(bike_arming, lasting))  # fmt: skip


def _cases() -> Select[Any]:
    joined = bike_case.join(bike, bike.c.id == bike_case.c.bike).outerjoin(area, area.c.id == bike.c.area)
    columns = [bike_case.c[name] for name in (
        "id", "bike", "tag", "kind", "opened_us", "opened_by", "alarm_id", "hits", "closed_us", "closed_by", "outcome",
    )]  # fmt: skip
    return select(*columns, bike.c.plate, func.coalesce(area.c.path, "").label("area_path")).select_from(joined)


def _where(filters: Filters) -> list[ColumnElement[bool]]:
    terms = [bike.c.id > filters.after, *_inside(filters.scope), *_inside(filters.below)]
    if filters.only is not None:
        terms.append({
            Only.STOLEN: bike.c.stolen_us,
            Only.ARMED: bike_arming.c.since_us,
            Only.LOW: bike_tag.c.low_us,
            Only.SILENT: bike_tag.c.silent_us,
        }[filters.only].is_not(None))  # fmt: skip
    if filters.tag is not None:
        terms.append(bike.c.tag == filters.tag)
    if filters.station is not None:
        terms.append(bike_tag.c.station == filters.station)
    return terms


def _inside(path: str | None) -> list[ColumnElement[bool]]:
    # A path ends in "/", and "0" is the character after it.
    return [] if path is None else [area.c.path >= path, area.c.path < path[:-1] + "0"]
