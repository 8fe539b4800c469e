"""Tours into the database: made some time before they begin, and taken back when their plan changes."""

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, exists, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cloud.areas.chunks import chunked
from cloud.areas.places import NOWHERE, Place
from cloud.database.area_tables import area, site
from cloud.database.patrol_tables import (
    patrol_carrier,
    patrol_plan,
    patrol_route,
    patrol_route_point,
    patrol_stop,
    patrol_tour,
    patrol_tour_wand,
    patrol_verdict,
    patrol_visit,
)
from cloud.patrols.plans import Carrier, Catch, Route, Tour, tours_of, wands_of
from cloud.patrols.rules import carrier_of, plan_of, route_of
from cloud.patrols.settings import Patrols

PLANS_AT_ONCE = 50
_HOUR_US = 3_600_000_000
# Made again when less than this is left.
_SLACK_US = 12 * _HOUR_US


def has_plans_due(connection: Connection, settings: Patrols, now_us: int) -> bool:
    """Tell whether tours are to be made; changes nothing."""
    return bool(connection.execute(select(exists(_due(settings, now_us)))).scalar_one())


def make_tours(connection: Connection, settings: Patrols, *, zone: ZoneInfo, now_us: int) -> int:
    """Make the tours to come of some plans that need it.

    Plans that another worker has in hand are left to it. Visits that came before their tour find it now.

    Returns:
        How many plans were looked at.
    """
    query = _due(settings, now_us).order_by(patrol_plan.c.id).limit(PLANS_AT_ONCE)
    plans = connection.execute(query.with_for_update(skip_locked=True)).mappings().all()
    if not plans:
        return 0
    routes = _routes(connection, {row["route"] for row in plans})
    places = {one: _place(connection, row) for one, (row, _route) in routes.items()}
    carriers = [carrier_of(row) for row in connection.execute(select(patrol_carrier)).mappings()]
    until_us = now_us + settings.ahead_h * _HOUR_US
    catch = Catch(settings.early_catch_s, settings.late_catch_s)
    for row in plans:
        if row["route"] in routes:
            route_row, route = routes[row["route"]]
            tours = tours_of(
                plan_of(row), route, from_us=row["made_until_us"], until_us=until_us, zone=zone, catch=catch
            )
            known = [_with_wands(tour, carriers, zone) for tour in tours]
            _keep(connection, known, plan=row, route=route_row, place=places[row["route"]])
    ids = [row["id"] for row in plans]
    connection.execute(update(patrol_plan).where(patrol_plan.c.id.in_(ids)).values(made_until_us=until_us))
    return len(plans)


def forget_tours(connection: Connection, which: ColumnElement[bool]) -> int:
    """Take tours out, with their stops and verdicts; their visits are nobody's again. Returns how many."""
    ids = list(connection.execute(select(patrol_tour.c.id).where(which).order_by(patrol_tour.c.id)).scalars())
    for some in chunked(ids):
        for table in (patrol_stop, patrol_tour_wand, patrol_verdict):
            connection.execute(delete(table).where(table.c.tour.in_(some)))
        connection.execute(update(patrol_visit).where(patrol_visit.c.tour.in_(some)).values(tour=None))
        connection.execute(delete(patrol_tour).where(patrol_tour.c.id.in_(some)))
    return len(ids)


def find_place(connection: Connection, *, site_id: str | None, area_id: str | None) -> Place:
    """Find where a site lies, else where an area is; `NOWHERE` when neither is there."""
    if site_id is not None:
        joined = site.join(area, site.c.area == area.c.id)
        query = select(site.c.id, site.c.area, area.c.path).select_from(joined).where(site.c.id == site_id)
        if (row := connection.execute(query).one_or_none()) is not None:
            return Place(row.id, row.area, row.path)
    path: str | None = connection.execute(select(area.c.path).where(area.c.id == area_id)).scalar_one_or_none()
    return NOWHERE if path is None else Place(None, area_id, path)


def _due(settings: Patrols, now_us: int) -> Any:
    return select(patrol_plan).where(patrol_plan.c.made_until_us < now_us + settings.ahead_h * _HOUR_US - _SLACK_US)


def _routes(connection: Connection, ids: set[str]) -> dict[str, tuple[Mapping[Any, Any], Route]]:
    found: dict[str, tuple[Mapping[Any, Any], Route]] = {}
    for some in chunked(sorted(ids)):
        points: dict[str, list[Mapping[Any, Any]]] = {}
        for row in connection.execute(
            select(patrol_route_point).where(patrol_route_point.c.route.in_(some))
        ).mappings():
            points.setdefault(row["route"], []).append(row)
        for row in connection.execute(select(patrol_route).where(patrol_route.c.id.in_(some))).mappings():
            found[row["id"]] = (row, route_of(row, points.get(row["id"], ())))
    return found


def _place(connection: Connection, route: Mapping[Any, Any]) -> Place:
    return find_place(connection, site_id=route["site"], area_id=route["area"])


def _with_wands(tour: Tour, carriers: Sequence[Carrier], zone: ZoneInfo) -> Tour:
    carried = wands_of(tour.people, carriers, tour.begins_us, zone)
    return msgspec.structs.replace(tour, wands=tuple(sorted({*tour.wands, *carried})))


def _keep(
    connection: Connection, tours: Sequence[Tour], *, plan: Mapping[Any, Any], route: Mapping[Any, Any], place: Place
) -> None:
    """Write tours with their stops; one that is there already stays as it is."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    rows, stops, wands = [], [], []
    for tour in tours:
        caught = {"tour": tour.id, "catch_from_us": tour.catch_from_us, "catch_until_us": tour.catch_until_us}
        rows.append({
            "id": tour.id, "plan": tour.plan, "route": tour.route, "name": route["name"], "site": place.site,
            "area": place.area, "area_path": place.area_path, "day": tour.day, "begins_us": tour.begins_us,
            "ends_us": tour.ends_us, "catch_from_us": tour.catch_from_us, "catch_until_us": tour.catch_until_us,
            "tour": msgspec.to_builtins(tour), "tell_late": plan["tell_late"], "lone_min": plan["lone_min"],
            "due_us": tour.catch_from_us, "waits": False, "judged": None, "state": "planned", "alarms": {},
        })  # fmt: skip
        stops += [caught | {"position": stop.position, "point": stop.point} for stop in tour.stops]
        wands += [caught | {"wand": wand} for wand in tour.wands]
    for table, new in ((patrol_tour, rows), (patrol_stop, stops), (patrol_tour_wand, wands)):
        for some in chunked(new):
            connection.execute(dialect.insert(table).on_conflict_do_nothing(), some)


def purge(connection: Connection, before_us: int, *, limit: int) -> int:
    """Take out tours that ended before, at most so many; returns how many."""
    old = select(patrol_tour.c.id).where(patrol_tour.c.ends_us < before_us).order_by(patrol_tour.c.id).limit(limit)
    ids = list(connection.execute(old).scalars())
    return forget_tours(connection, or_(patrol_tour.c.id.in_(ids))) if ids else 0
