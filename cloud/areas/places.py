"""Where a gateway and its devices are, as the registry in the database has it."""

from collections.abc import Collection

from sqlalchemy import Connection, select

from cloud.areas.chunks import chunked
from cloud.areas.tree import NOWHERE, Place
from cloud.database.area_tables import area, registered_gateway, site

__all__ = ["NOWHERE", "Key", "Place", "find_places"]

Key = tuple[str, str]


def find_places(connection: Connection, keys: Collection[Key]) -> dict[Key, Place]:
    """Find where each (gateway, device) is: at its gateway's site; every key is in the answer, unknown: `NOWHERE`."""
    gateways = sorted({gateway for gateway, _device in keys})
    of_gateway: dict[str, Place] = {}
    for some in chunked(gateways):
        joined = registered_gateway.join(site, registered_gateway.c.site == site.c.id)
        columns = registered_gateway.c.id, site.c.id.label("site"), site.c.area, area.c.path
        query = select(*columns).select_from(joined.join(area, site.c.area == area.c.id))
        for row in connection.execute(query.where(registered_gateway.c.id.in_(some))):
            of_gateway[row.id] = Place(row.site, row.area, row.path)
    return {key: of_gateway.get(key[0], NOWHERE) for key in keys}
