"""What places are called, for messages: looked up when a message is sent."""

from collections.abc import Collection, Sequence

from msgspec import Struct
from sqlalchemy import Connection, Table, select

from cloud.areas.chunks import chunked
from cloud.areas.tree import ids_of
from cloud.database.area_tables import area, registered_device, registered_gateway, site
from cloud.telling.queue import Facts


class Names(Struct, frozen=True):
    """How people call where an alarm is; "" where nobody wrote it down.

    Attributes:
        areas: from the smallest area up, joined by the reader's punctuation later.
        device: its name.
        place: where in the site.
        latitude_deg, longitude_deg: of the device, else the gateway, else the site (WGS 84); None: unknown.
    """

    areas: tuple[str, ...] = ()
    site: str = ""
    address: str = ""
    device: str = ""
    place: str = ""
    latitude_deg: float | None = None
    longitude_deg: float | None = None


def find_names(connection: Connection, wanted: Sequence[Facts]) -> list[Names]:
    """Look up the names for each of `wanted`, in their order."""
    sites = _by_id(connection, site, {one.site for one in wanted if one.site})
    gateways = _by_id(connection, registered_gateway, {one.gateway for one in wanted})
    devices: dict[tuple[str, str], dict[str, object]] = {}
    for some in chunked(sorted({one.gateway for one in wanted})):
        query = select(registered_device).where(registered_device.c.gateway.in_(some))
        for row in connection.execute(
            query.where(registered_device.c.device.in_(sorted({one.device for one in wanted})))
        ).mappings():
            devices[row["gateway"], row["device"]] = dict(row)
    leaves = _by_id(connection, area, {one.area for one in wanted if one.area})
    upwards = {name: ids_of(str(row["path"]))[::-1] for name, row in leaves.items()}
    areas = _by_id(connection, area, {name for path in upwards.values() for name in path})
    return [
        _names(
            [str(areas[name]["name"]) for name in upwards.get(one.area or "", ()) if name in areas],
            sites.get(one.site or "", {}),
            gateways.get(one.gateway, {}),
            devices.get((one.gateway, one.device), {}),
        )
        for one in wanted
    ]


def _names(
    areas: Sequence[str], site_row: dict[str, object], gateway_row: dict[str, object], device_row: dict[str, object]
) -> Names:
    located = next((row for row in (device_row, gateway_row, site_row) if row.get("latitude_deg") is not None), {})
    latitude, longitude = located.get("latitude_deg"), located.get("longitude_deg")
    return Names(
        areas=tuple(areas),
        site=str(site_row.get("name", "")),
        address=str(gateway_row.get("address") or site_row.get("address", "")),
        device=str(device_row.get("name", "")),
        place=str(device_row.get("place", "")),
        latitude_deg=latitude if isinstance(latitude, float) else None,
        longitude_deg=longitude if isinstance(longitude, float) else None,
    )


def _by_id(connection: Connection, table: Table, ids: Collection[str | None]) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for some in chunked(sorted(one for one in ids if one)):
        for row in connection.execute(select(table).where(table.c.id.in_(some))).mappings():
            found[row["id"]] = dict(row)
    return found
