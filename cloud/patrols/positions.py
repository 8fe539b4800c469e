"""Patrols that go by GPS: positions that visit points by being there."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, exists, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cloud.areas.chunks import chunked
from cloud.database.patrol_tables import (
    patrol_fix,
    patrol_point,
    patrol_stop,
    patrol_tour,
    patrol_tour_wand,
    patrol_wand,
    patrol_watch,
)
from cloud.desk.own import Said, say
from cloud.geo import Spot, distance_m
from cloud.patrols.lone import FUTURE_US, Sign, take_signs
from cloud.patrols.staying import Zone, points_at
from cloud.patrols.taking import note_syncs, wake
from cloud.settings import Settings
from cloud.vehicles.positions import Position


def take_positions(connection: Connection, positions: Sequence[Position], *, settings: Settings, now_us: int) -> None:
    """Find the visits that positions make, in the transaction that keeps them.

    Where no wand goes by GPS it costs one look at an index.

    Args:
        connection: a transaction for writing.
        positions: in any order, late, any number of times; those without a fix, or from the future, are passed over.
        settings: how exact a receiver is.
        now_us: when they came.
    """
    wands = _gps_wands(connection, positions)
    if not wands:
        return
    of_wand: dict[str, list[Position]] = {}
    for one in positions:
        is_sound = one.is_fixed and one.at_us <= now_us + FUTURE_US
        if is_sound and (wand := wands.get((one.gateway, one.device))) is not None:
            of_wand.setdefault(wand, []).append(one)
    for wand in sorted(of_wand):
        _take(connection, wand, sorted(of_wand[wand], key=lambda one: one.at_us), settings)
    said = _move(connection, of_wand, settings, now_us)
    # Their positions are the visits themselves, so nothing of before the latest is to come.
    syncs: dict[str, tuple[list[list[int]], dict[str, Any]]] = {
        wand: ([[min(max(one.at_us for one in some), now_us), 0]], {}) for wand, some in of_wand.items()
    }
    said += note_syncs(connection, syncs, now_us=now_us)
    say(connection, said, desk=settings.desk, now_us=now_us)


def _gps_wands(connection: Connection, positions: Sequence[Position]) -> dict[tuple[str, str], str]:
    is_gps = patrol_wand.c.gps.is_(True)
    if not positions or not connection.execute(select(exists(select(patrol_wand.c.id).where(is_gps)))).scalar_one():
        return {}
    found: dict[tuple[str, str], str] = {}
    for some in chunked(sorted({one.gateway for one in positions})):
        columns = patrol_wand.c.id, patrol_wand.c.gateway, patrol_wand.c.device
        for row in connection.execute(select(*columns).where(is_gps, patrol_wand.c.gateway.in_(some))):
            found[row.gateway, row.device] = row.id
    return found


def _take(connection: Connection, wand: str, positions: Sequence[Position], settings: Settings) -> None:
    """Keep those positions of a wand that lie within points of tours it may be on, and let those be judged."""
    first_us, last_us = positions[0].at_us, positions[-1].at_us
    is_caught = and_(patrol_tour_wand.c.catch_from_us <= last_us, patrol_tour_wand.c.catch_until_us > first_us)
    query = select(patrol_tour_wand.c.tour).where(patrol_tour_wand.c.wand == wand, is_caught)
    tours = set(connection.execute(query).scalars())
    zones: dict[str, Zone] = {}
    for some in chunked(sorted(tours)):
        points = select(patrol_stop.c.point).where(patrol_stop.c.tour.in_(some))
        for row in connection.execute(select(patrol_point).where(patrol_point.c.id.in_(points))).mappings():
            zones[row["id"]] = _zone(row)
    accuracy_m = settings.patrols.gps_accuracy_m
    fixes = [
        {"wand": wand, "at_us": one.at_us, "point": point}
        for one in positions
        for point in points_at(one.spot, zones.values(), accuracy_m=accuracy_m)
    ]
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    for some_fixes in chunked(fixes):
        connection.execute(dialect.insert(patrol_fix).on_conflict_do_nothing(), list(some_fixes))
    joined = patrol_tour.join(patrol_tour_wand, patrol_tour_wand.c.tour == patrol_tour.c.id)
    waiting = select(patrol_tour.c.id).select_from(joined)
    waiting = waiting.where(patrol_tour_wand.c.wand == wand, patrol_tour.c.waits.is_(True))
    wake(connection, {*(tours if fixes else ()), *connection.execute(waiting).scalars()})


def _zone(row: Mapping[Any, Any]) -> Zone:
    outline = tuple(Spot(latitude, longitude) for latitude, longitude in row["outline"] or ())
    centre = None if row["latitude_deg"] is None else Spot(row["latitude_deg"], row["longitude_deg"])
    return Zone(row["id"], centre, row["radius_m"] or 0.0, outline, row["stay_s"])


def _move(
    connection: Connection, of_wand: Mapping[str, Sequence[Position]], settings: Settings, now_us: int
) -> list[Said]:
    """Whoever walks alone and has moved lives; a position older than the last tells nothing of now."""
    signs: list[Sign] = []
    for some in chunked(sorted(of_wand)):
        query = select(patrol_watch).where(patrol_watch.c.wand.in_(some), patrol_watch.c.ended_at_us.is_(None))
        for row in connection.execute(query.order_by(patrol_watch.c.id).with_for_update()).mappings().all():
            latest = max(of_wand[row["wand"]], key=lambda one: one.at_us)
            known = None if row["latitude_deg"] is None else Spot(row["latitude_deg"], row["longitude_deg"])
            if latest.at_us <= max(row["placed_at_us"] or 0, row["begun_at_us"]):
                continue
            values: dict[str, Any] = {"placed_at_us": latest.at_us}
            if known is None or distance_m(known, latest.spot) >= settings.patrols.lone_move_m:
                values |= {"latitude_deg": latest.spot.latitude_deg, "longitude_deg": latest.spot.longitude_deg}
                signs += [] if known is None else [Sign(latest.at_us, "moved", wand=row["wand"])]
            connection.execute(update(patrol_watch).where(patrol_watch.c.id == row["id"]).values(values))
    return take_signs(connection, signs, settings=settings, now_us=now_us)
