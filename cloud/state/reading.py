"""What stands, out of the SQL database; questions only."""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, func, or_, select

from cloud.areas.chunks import chunked
from cloud.database import area_tables as tables
from cloud.database.number_tables import presence_change
from cloud.database.people_tables import audit
from cloud.database.tables import cursor, gateway, occurrence
from cloud.database.vehicle_tables import vehicle, vehicle_position
from cloud.desk.core import Alarm
from cloud.desk.keeping import to_alarm
from cloud.grafana.kind_uid import uid_of
from cloud.state.city import EVERYTHING, NOWHERE, Area, City, Gateway, Open, Site, Spot
from cloud.state.lines import SITE_BOARD, Device, Vehicle
from cloud.state.picture import Picture
from cloud.vehicles.alarms import title_of
from contract.alarms import Mode
from device_profiles.catalogue import list_profiles, load_profile
from device_profiles.faults import ConfigError

_log = logging.getLogger(__name__)
UNKNOWN_KIND = "unknown"
"""Kind of a device whose profile neither comes with Langyan nor is in the folder of one's own."""
_OPEN = tuple(occurrence.c[name] for name in Open.__struct_fields__)


def read_city(connection: Connection) -> City:
    """Read all areas, sites and gateways."""
    at, of = tables.area.c, tables.site.c
    query = select(at.id, at.level, at.name, at.path, at.latitude_deg, at.longitude_deg)
    areas = [
        Area(row.id, row.level, row.name, row.path, Spot(row.latitude_deg, row.longitude_deg))
        for row in connection.execute(query)
    ]
    placed = select(of.id, of.name, of.kind, at.path, of.address, of.latitude_deg, of.longitude_deg)
    sites = [
        Site(row.id, row.name, row.kind, row.path, row.address, Spot(row.latitude_deg, row.longitude_deg))
        for row in connection.execute(placed.select_from(tables.site.join(tables.area, of.area == at.id)))
    ]
    return City(areas, sites, read_gateways(connection))


def read_picture(connection: Connection) -> Picture:
    """Read what stands where, and up to where the audit's changes are in it."""
    return Picture(read_city(connection), audited=newest_audit(connection))


def read_gateways(connection: Connection, ids: Collection[str] | None = None) -> list[Gateway]:
    """Read gateways as they stand: those that are registered or were heard; None: all."""
    registered: dict[str, Mapping[Any, Any]] = {}
    heard: dict[str, Mapping[Any, Any]] = {}
    for some in [None] if ids is None else chunked(sorted(ids)):
        registered |= {row["id"]: row for row in _registered(connection, some)}
        heard |= {row["id"]: row for row in _heard(connection, some)}
    return [_gateway(one, registered.get(one), heard.get(one)) for one in sorted(registered.keys() | heard.keys())]


def _registered(connection: Connection, ids: Collection[str] | None) -> Iterable[RowMapping]:
    own, at = tables.registered_gateway.c, tables.site.c
    joined = tables.registered_gateway.join(tables.site, own.site == at.id)
    joined = joined.join(tables.area, at.area == tables.area.c.id)
    spots = func.coalesce(own.latitude_deg, at.latitude_deg), func.coalesce(own.longitude_deg, at.longitude_deg)
    address = func.coalesce(func.nullif(own.address, ""), at.address)
    columns = own.id, own.name, own.site, tables.area.c.path, address.label("address"), spots[0].label("latitude_deg")
    query = select(*columns, spots[1].label("longitude_deg")).select_from(joined)
    return connection.execute(query if ids is None else query.where(own.id.in_(ids))).mappings()


def _heard(connection: Connection, ids: Collection[str] | None) -> Iterable[RowMapping]:
    # An inventory is long: its length is enough.
    count = func.json_array_length(gateway.c.inventory).label("devices")
    columns = (one for one in gateway.c if one.name not in ("boot", "inventory"))
    query = select(*columns, count)
    return connection.execute(query if ids is None else query.where(gateway.c.id.in_(ids))).mappings()


def _gateway(name: str, row: Mapping[Any, Any] | None, heard: Mapping[Any, Any] | None) -> Gateway:
    """Put together what the registry and the gateway itself say; the registry is right."""
    row, said = row or {}, heard or {}
    return Gateway(
        id=name,
        name=row.get("name") or said.get("name", ""),
        site=row.get("site") or said.get("site", ""),
        area_path=row.get("path", EVERYTHING),
        address=row.get("address", ""),
        spot=Spot(row.get("latitude_deg"), row.get("longitude_deg")),
        is_heard=heard is not None,
        is_online=bool(said.get("online", False)),
        since_us=said.get("since_us", 0),
        reason=said.get("reason", ""),
        version=said.get("version", ""),
        devices=said.get("devices", 0),
    )


def count_heard(connection: Connection) -> int:
    """Count the gateways that were heard."""
    count: int = connection.execute(select(func.count()).select_from(gateway)).scalar_one()
    return count


def list_heard(connection: Connection) -> list[str]:
    """List the ids of the gateways that were heard."""
    return list(connection.execute(select(gateway.c.id).order_by(gateway.c.id)).scalars())


def newest_presence(connection: Connection) -> int:
    """Tell the id of the newest coming or going of a gateway, 0 before the first."""
    newest: int = connection.execute(select(func.coalesce(func.max(presence_change.c.id), 0))).scalar_one()
    return newest


def changed_gateways(connection: Connection, after: int, limit: int) -> list[tuple[int, str]]:
    """List comings and goings after one: (id, gateway), the oldest first."""
    at = presence_change.c
    query = select(at.id, at.gateway).where(at.id > after).order_by(at.id).limit(limit)
    return [(row.id, row.gateway) for row in connection.execute(query)]


def newest_audit(connection: Connection) -> int:
    """Tell the id of the newest row of the audit, which notes every change of the registry."""
    newest: int = connection.execute(select(func.coalesce(func.max(audit.c.id), 0))).scalar_one()
    return newest


def is_in_audit(connection: Connection, what: str, *, after: int) -> bool:
    """Tell whether something was noted after a row of the audit."""
    query = select(audit.c.id).where(audit.c.id > after, audit.c.what == what).limit(1)
    return connection.execute(query).first() is not None


def read_open(connection: Connection) -> list[Open]:
    """Read all open alarms, as far as they are counted; tests and drills, which nobody closes, while they last."""
    lasts = or_(occurrence.c.mode == Mode.LIVE.value, occurrence.c.cleared_at_us.is_(None))
    query = select(*_OPEN).where(occurrence.c.closed_at_us.is_(None), lasts)
    return [Open(*row) for row in connection.execute(query)]


def read_alarms(connection: Connection, ids: Iterable[str]) -> dict[str, Alarm]:
    """Read alarms by their ids, open or closed; those that are not there are left out."""
    found: dict[str, Alarm] = {}
    for some in chunked(sorted(ids)):
        query = select(occurrence).where(occurrence.c.alarm_id.in_(some))
        found |= {row["alarm_id"]: to_alarm(row) for row in connection.execute(query).mappings()}
    return found


def read_spots(connection: Connection, gateways: Iterable[str]) -> dict[tuple[str, str], Spot]:
    """Read where devices of gateways are, of those somebody wrote it down for."""
    at = tables.registered_device.c
    found: dict[tuple[str, str], Spot] = {}
    for some in chunked(sorted(gateways)):
        query = select(at.gateway, at.device, at.latitude_deg, at.longitude_deg).where(at.gateway.in_(some))
        for row in connection.execute(query.where(at.latitude_deg.is_not(None))):
            found[row.gateway, row.device] = Spot(row.latitude_deg, row.longitude_deg)
    return found


def read_devices(connection: Connection, gateways: Iterable[str], *, profiles: str = "") -> Iterator[Device]:
    """Read the devices of gateways: those of their inventories, and those that are registered only.

    Args:
        connection: of the database.
        gateways: their ids.
        profiles: folder with profiles of one's own, "" none; its files are read once.
    """
    for some in chunked(sorted(gateways)):
        at = tables.registered_device.c
        registered: dict[tuple[str, str], Mapping[Any, Any]] = {}
        for row in connection.execute(select(tables.registered_device).where(at.gateway.in_(some))).mappings():
            registered[row["gateway"], row["device"]] = row
        query = select(gateway.c.id, gateway.c.inventory).where(gateway.c.id.in_(some))
        for name, inventory in connection.execute(query):
            for said in inventory:
                yield _device(name, said["id"], registered.pop((name, said["id"]), {}), said, profiles)
        for (name, device), only in registered.items():
            yield _device(name, device, only, {}, profiles)


def _device(of_gateway: str, name: str, row: Mapping[Any, Any], said: Mapping[str, Any], profiles: str) -> Device:
    profile = said.get("profile", "")
    kind = _kind_of(profile, profiles)
    return Device(
        gateway=of_gateway,
        id=name,
        name=row.get("name") or said.get("name", ""),
        place=row.get("place", ""),
        profile=profile,
        kind=kind,
        board=SITE_BOARD if kind == UNKNOWN_KIND else uid_of(kind),
        spot=Spot(row["latitude_deg"], row["longitude_deg"]) if row else NOWHERE,
    )


@cache
def _profiles(folder: str) -> frozenset[str]:
    return frozenset(list_profiles(extra=Path(folder) if folder else None))


@lru_cache(maxsize=4_096)
def _kind_of(profile: str, folder: str) -> str:
    """Tell the kind of a profile; what a gateway says may be anything, and what somebody wrote may have faults."""
    if profile not in _profiles(folder):
        return UNKNOWN_KIND
    try:
        return load_profile(profile, extra=Path(folder) if folder else None).kind
    except ConfigError as error:
        _log.warning("profile %s has faults, its devices are of no known kind: %s", profile, error)
        return UNKNOWN_KIND


def read_vehicles(connection: Connection, *, received_from_us: int | None = None) -> Iterator[Vehicle]:
    """Read vehicles with their last positions: all, or those heard from a moment on."""
    of, at = vehicle.c, vehicle_position.c
    joined = vehicle.join(vehicle_position, at.vehicle == of.id)
    joined = joined.outerjoin(tables.area, tables.area.c.id == of.area)
    spot = at.latitude_deg, at.longitude_deg
    columns = of.id, of.plate, of.name, tables.area.c.path, at.at_us, at.received_at_us, *spot, at.speed_kmh
    query = select(*columns, at.course_deg, of.gateway, of.device).select_from(joined)
    if received_from_us is not None:
        query = query.where(at.received_at_us >= received_from_us)
    for row in connection.execute(query).mappings():
        yield Vehicle(
            id=row["id"],
            name=title_of(row),
            area_path=row["path"] or EVERYTHING,
            at_us=row["at_us"],
            received_at_us=row["received_at_us"],
            spot=Spot(row["latitude_deg"], row["longitude_deg"]),
            speed_kmh=row["speed_kmh"],
            course_deg=row["course_deg"],
            terminal=f"{row['gateway']}/{row['device']}",
        )


def read_cursor(connection: Connection, name: str) -> int | None:
    """Tell how far a reader of the history has come; None: it has no cursor yet."""
    return connection.execute(select(cursor.c.change_id).where(cursor.c.name == name)).scalar_one_or_none()
