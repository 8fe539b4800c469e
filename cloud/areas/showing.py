"""What the registry says of areas, for people: the tree with what it holds, and one area with all that counts there."""

from collections import Counter
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import Connection, func, select, true

from cloud.areas.chunks import chunked
from cloud.areas.duty import Contact, on_duty, to_contact
from cloud.areas.policies import FoundPolicy, find_policies
from cloud.areas.tree import Area, Level, depth_below, ids_of, top_down
from cloud.database.area_tables import area, contact, registered_gateway, site
from cloud.errors import UnknownPlaceError
from contract.alarms import Severity

_TREE = area.c.id, area.c.parent, area.c.level, area.c.name, area.c.path


class AreaLine(Struct, frozen=True):
    """One area of the tree.

    Attributes:
        depth: below the top that was asked for.
        sites, gateways, contacts: of the area itself, without those within.
    """

    depth: int
    area: Area
    sites: int
    gateways: int
    contacts: int


class AreaView(Struct, frozen=True):
    """One area.

    Attributes:
        above: the areas around it, from the root down, itself at the end.
        within: how many areas lie directly in it.
        sites: of it and all within.
        contacts: who belongs to it.
        duty: who is on duty now, by area: of the area itself and of those around it, the nearest first.
        policies: what holds, by severity; the settings' default where a severity is missing.
    """

    area: Area
    above: list[Area]
    within: int
    sites: int
    contacts: list[Contact]
    duty: list[tuple[Area, list[Contact]]]
    policies: Mapping[Severity, FoundPolicy]


def find_area(connection: Connection, area_id: str) -> Area:
    """Find one area.

    Raises:
        UnknownPlaceError: there is none of that id.
    """
    row = connection.execute(select(*_TREE).where(area.c.id == area_id)).one_or_none()
    if row is None:
        raise UnknownPlaceError("area", area_id)
    return _area(row)


def list_areas(
    connection: Connection, top: str | None, *, depth: int | None = None, limit: int = 10_000
) -> list[AreaLine]:
    """List a subtree from the top down, or everything.

    Args:
        connection: reading is enough.
        top: an area's id; None: all.
        depth: so many levels below the top; None: all.
        limit: at most so many areas.

    Raises:
        UnknownPlaceError: there is no such area.
    """
    path = "" if top is None else find_area(connection, top).path
    areas = [_area(row) for row in connection.execute(select(*_TREE).where(_within(area.c.path, path)))]
    # A root is as deep below nothing as the top is below itself.
    steps = {one.id: depth_below(one.path, path) - (not path) for one in areas}
    shown = [one for one in top_down(areas) if depth is None or steps[one.id] <= depth][:limit]
    sites = _counts(connection, select(site.c.area, func.count()).group_by(site.c.area))
    joined = registered_gateway.join(site, registered_gateway.c.site == site.c.id)
    gateways = _counts(connection, select(site.c.area, func.count()).select_from(joined).group_by(site.c.area))
    contacts = _counts(connection, select(contact.c.area, func.count()).group_by(contact.c.area))
    return [AreaLine(steps[one.id], one, sites[one.id], gateways[one.id], contacts[one.id]) for one in shown]


def show_area(connection: Connection, area_id: str, *, at_us: int, zone: ZoneInfo) -> AreaView:
    """Say all that counts in an area.

    Raises:
        UnknownPlaceError: there is no such area.
    """
    one = find_area(connection, area_id)
    chain = _areas(connection, ids_of(one.path))
    above = [chain[name] for name in ids_of(one.path)]
    people = on_duty(connection, chain, at_us, zone)
    joined = site.join(area, site.c.area == area.c.id)
    sites = select(func.count()).select_from(joined).where(_within(area.c.path, one.path))
    mine = select(contact).where(contact.c.area == area_id).order_by(contact.c.id)
    policies = find_policies(connection, [(one.path, severity) for severity in Severity])
    return AreaView(
        area=one,
        above=above,
        within=connection.scalar(select(func.count()).select_from(area).where(area.c.parent == area_id)) or 0,
        sites=connection.scalar(sites) or 0,
        contacts=[to_contact(dict(row)) for row in connection.execute(mine).mappings()],
        duty=[(place, people[place.id]) for place in reversed(above)],
        policies={severity: found for (_path, severity), found in policies.items()},
    )


def _areas(connection: Connection, ids: list[str]) -> dict[str, Area]:
    found = {}
    for some in chunked(ids):
        for row in connection.execute(select(*_TREE).where(area.c.id.in_(some))):
            found[row.id] = _area(row)
    return found


def _within(path: Any, top: str) -> Any:
    """Whether a path begins with another: a range, which an index answers. "0" comes next after "/"."""
    return (path >= top) & (path < top[:-1] + "0") if top else true()


def _counts(connection: Connection, query: Any) -> Counter[str]:
    return Counter({row[0]: row[1] for row in connection.execute(query)})


def _area(row: Any) -> Area:
    return Area(row.id, row.parent, Level(row.level), row.name, row.path)
