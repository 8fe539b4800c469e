"""Emergencies of wands and vehicles: the desk is told which tour, whose, and where somebody was last."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, and_, select

from cloud.database.patrol_tables import (
    patrol_fix,
    patrol_point,
    patrol_tour,
    patrol_tour_wand,
    patrol_visit,
    patrol_wand,
    patrol_watch,
)
from cloud.database.tables import occurrence
from cloud.desk.changes import DESK, What
from cloud.desk.following import take_changes
from cloud.desk.operations import comment
from cloud.desk.own import OWN_GATEWAY, say
from cloud.patrols.lone import Sign, name_of, take_signs
from cloud.settings import Settings

CURSOR = "patrols"
_TRIGGERS = frozenset({What.RAISED.value, What.RETRIGGERED.value})
Row = Mapping[Any, Any]


def follow_alarms(connection: Connection, settings: Settings, *, now_us: int) -> int:
    """Read what has happened at the desk; emergencies of wands get a comment, other calls are signs of life.

    Returns:
        How many changes were read.
    """
    changes = take_changes(connection, CURSOR)
    raised = [one["alarm_id"] for one in changes if one["what"] in _TRIGGERS and _is_gateways(one)]
    kinds = (*settings.patrols.emergency_kinds, *settings.patrols.check_in_kinds)
    if not raised:
        return len(changes)
    wanted = and_(occurrence.c.alarm_id.in_(raised), occurrence.c.kind.in_(kinds))
    alarms = connection.execute(select(occurrence).where(wanted).order_by(occurrence.c.alarm_id)).mappings().all()
    calls = [(alarm, wand) for alarm in alarms for wand in _wands_at(connection, alarm)]
    # Watches are locked before anything of the desk's is.
    check_ins = [
        Sign(alarm["last_raised_at_us"], "check-in", wand=wand)
        for alarm, wand in calls
        if _is_check_in(alarm, settings)
    ]
    said = take_signs(connection, check_ins, settings=settings, now_us=now_us) if check_ins else []
    say(connection, said, desk=settings.desk, now_us=now_us)
    for alarm, wand in calls:
        if not _is_check_in(alarm, settings):
            _tell(connection, alarm, wand, settings, now_us)
    return len(changes)


def _is_check_in(alarm: Row, settings: Settings) -> bool:
    return alarm["kind"] in settings.patrols.check_in_kinds


def _is_gateways(change: Row) -> bool:
    return change["alarm_id"] is not None and not change["source"].startswith(f"{OWN_GATEWAY}/")


def _wands_at(connection: Connection, alarm: Row) -> list[str]:
    """Tell which wands a device is: one of its own, or those that it reads."""
    query = select(patrol_wand.c.id).where(
        patrol_wand.c.gateway == alarm["gateway"], patrol_wand.c.device == alarm["device"]
    )
    return list(connection.execute(query.order_by(patrol_wand.c.id)).scalars())


def _tell(connection: Connection, alarm: Row, wand: str, settings: Settings, now_us: int) -> None:
    at_us = alarm["last_raised_at_us"]
    tour, watch = _tour_at(connection, wand, at_us), _watch_of(connection, wand)
    visit = _last_visit(connection, wand, at_us)
    if tour is None and watch is None and visit is None:
        return
    people = [] if tour is None else tour["tour"].get("people", [])
    person = next(filter(None, [visit and visit["person"], watch and watch["person"], *people]), None)
    words = [
        f"巡更/patrol: {tour['name']} ({tour['id']})" if tour is not None else "",
        f"人员/person: {name_of(connection, person)}" if person is not None else "",
        f"最后地点/last point: {_where(connection, visit, settings)}" if visit is not None else "",
    ]
    comment(connection, alarm["alarm_id"], actor=DESK, now_us=now_us, why="; ".join(filter(None, words)))


def _tour_at(connection: Connection, wand: str, at_us: int) -> Row | None:
    joined = patrol_tour.join(patrol_tour_wand, patrol_tour_wand.c.tour == patrol_tour.c.id)
    is_on = and_(patrol_tour.c.begins_us <= at_us, patrol_tour.c.catch_until_us > at_us)
    query = select(patrol_tour).select_from(joined).where(patrol_tour_wand.c.wand == wand, is_on)
    return (
        connection.execute(query.order_by(patrol_tour.c.begins_us.desc(), patrol_tour.c.id).limit(1)).mappings().first()
    )


def _watch_of(connection: Connection, wand: str) -> Row | None:
    lasting = and_(patrol_watch.c.wand == wand, patrol_watch.c.ended_at_us.is_(None))
    return (
        connection.execute(select(patrol_watch).where(lasting).order_by(patrol_watch.c.id).limit(1)).mappings().first()
    )


def _last_visit(connection: Connection, wand: str, at_us: int) -> Row | None:
    """Find the last point at which a wand was within a day: by a card, or by a position."""
    since_us = at_us - 86_400_000_000
    time_us = patrol_visit.c.visited_at_us
    query = select(patrol_visit).where(patrol_visit.c.wand == wand, time_us <= at_us, time_us > since_us)
    visit = connection.execute(query.order_by(time_us.desc()).limit(1)).mappings().first()
    of_wand = patrol_fix.c.wand == wand, patrol_fix.c.at_us <= at_us, patrol_fix.c.at_us > since_us
    fix = connection.execute(select(patrol_fix).where(*of_wand).order_by(patrol_fix.c.at_us.desc()).limit(1)).first()
    if fix is None or (visit is not None and visit["visited_at_us"] >= fix.at_us):
        return visit
    person = None if visit is None else visit["person"]
    return {"point": fix.point, "card": fix.point, "visited_at_us": fix.at_us, "person": person}


def _where(connection: Connection, visit: Row, settings: Settings) -> str:
    query = select(patrol_point.c.name).where(patrol_point.c.id == visit["point"])
    name = connection.execute(query).scalar_one_or_none() or visit["card"]
    zone = ZoneInfo(settings.desk.timezone)
    return f"{name} {datetime.fromtimestamp(visit['visited_at_us'] // 1_000_000, UTC).astimezone(zone):%H:%M}"
