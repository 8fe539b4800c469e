"""How much of the time gateways and devices were there."""

from collections import defaultdict
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, and_, case, func, not_, select, text

from cloud.database.area_tables import area, registered_device, registered_gateway, site
from cloud.database.number_tables import presence_change
from cloud.database.tables import gateway
from cloud.numbers.paths import path_above, within


class Availability(Struct, frozen=True):
    """What was there of some gateways or devices in a span of time.

    Attributes:
        count: how many there are, as the registry has it now.
        losses: how often one was lost.
        lost_s: seconds all of them together were lost.
        share: available, 0 to 1; None where there is nothing to count.
    """

    count: int
    losses: int
    lost_s: int
    share: float | None


def availability(count: int, losses: int, lost_s: int, length_s: float) -> Availability:
    """Relate lost time to the time there was. Pure."""
    whole_s = count * length_s
    share = max(0.0, 1 - lost_s / whole_s) if whole_s > 0 else None
    return Availability(count, losses, lost_s, share)


class Gateways(Struct, frozen=True):
    """The gateways of an area and all below it.

    Attributes:
        area_path: "" for all that were ever born, placed or not.
        count: how many.
        are_all: there are no others.
    """

    area_path: str
    count: int
    are_all: bool


def find_gateways(connection: Connection, area_path: str) -> Gateways:
    """Tell how many gateways lie in an area, and whether these are all: then nothing need be sorted out."""
    if not area_path:
        return Gateways("", _count(connection, select(gateway.c.id)), are_all=True)
    registered = _count(connection, select(registered_gateway.c.id))
    outside = select(area.c.id).where(not_(and_(*within(area.c.path, area_path)))).limit(1)
    # Each has an area: where there is no other, no gateway need be looked at.
    is_everything = connection.execute(outside).first() is None
    count = registered if is_everything else _count(connection, _ids(area_path))
    are_all = count == registered
    if are_all:
        stranger = select(gateway.c.id).where(gateway.c.id.not_in(select(registered_gateway.c.id))).limit(1)
        are_all = connection.execute(stranger).first() is None
    return Gateways(area_path, count, are_all)


def gateway_availability(connection: Connection, gateways: Gateways, *, from_us: int, until_us: int) -> Availability:
    """Measure gateways by their births and deaths.

    Args:
        connection: any.
        gateways: as found.
        from_us: beginning of the span, microseconds UTC.
        until_us: its end, not in the future.
    """
    over, lasts = _over(from_us, until_us), _lasts(until_us)
    if not gateways.are_all:
        ids = _ids(gateways.area_path)
        over, lasts = over.where(presence_change.c.gateway.in_(ids)), lasts.where(gateway.c.id.in_(ids))
    losses, lost_us = connection.execute(over).one()
    standing = [until_us - max(since_us, from_us) for _id, since_us in connection.execute(lasts)]
    lost_s = (int(lost_us or 0) + sum(standing)) // 1_000_000
    return availability(gateways.count, int(losses) + len(standing), lost_s, (until_us - from_us) / 1e6)


def availability_by_area(connection: Connection, *, from_us: int, until_us: int) -> dict[str, Availability]:
    """Measure the gateways of every area that has some, by path; "" is all that the registry knows.

    Args:
        connection: any.
        from_us: beginning of the span, microseconds UTC.
        until_us: its end, not in the future.
    """
    lost = _lost(connection, from_us, until_us)
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for name, path in connection.execute(_placed(registered_gateway.c.id, area.c.path)):
        losses, lost_us = lost.get(name, (0, 0))
        for one in (*path_above(path), path):
            found = sums[one]
            found[0] += 1
            found[1] += losses
            found[2] += lost_us
    length_s = (until_us - from_us) / 1e6
    return {path: availability(one[0], one[1], one[2] // 1_000_000, length_s) for path, one in sums.items()}


def count_devices(connection: Connection, gateways: Gateways) -> int:
    """Count the registered devices of gateways."""
    query = select(registered_device.c.device)
    if not gateways.are_all:
        query = query.where(registered_device.c.gateway.in_(_ids(gateways.area_path)))
    return _count(connection, query)


def _count(connection: Connection, query: Select[Any]) -> int:
    return int(connection.execute(query.with_only_columns(func.count(), maintain_column_froms=True)).scalar_one())


def _ids(area_path: str) -> Select[Any]:
    return _placed(registered_gateway.c.id).where(*within(area.c.path, area_path))


def _placed(*columns: Any) -> Select[Any]:
    joined = registered_gateway.join(site, registered_gateway.c.site == site.c.id).join(area, site.c.area == area.c.id)
    return select(*columns).select_from(joined)


def _lost(connection: Connection, from_us: int, until_us: int) -> dict[str, tuple[int, int]]:
    """Count the outages and their microseconds within a span, by gateway."""
    whose = presence_change.c.gateway
    over = _over(from_us, until_us).add_columns(whose).group_by(whose)
    found = {name: (int(count), int(lost_us)) for count, lost_us, name in connection.execute(over)}
    for name, since_us in connection.execute(_lasts(until_us)):
        losses, lost_us = found.get(name, (0, 0))
        found[name] = losses + 1, lost_us + until_us - max(since_us, from_us)
    return found


def _over(from_us: int, until_us: int) -> Select[Any]:
    """Count the outages of a span that are over, and add up their microseconds within it."""
    began, ended = presence_change.c.before_us, presence_change.c.at_us
    clipped = case((ended < until_us, ended), else_=until_us) - case((began > from_us, began), else_=from_us)
    query: Any = select(func.count(), func.sum(clipped))
    counted: Select[Any] = query.where(
        # Word for word as the index of births has it.
        text("online"),
        ended > from_us,
        began < until_us,
        began < ended,
    )
    return counted


def _lasts(until_us: int) -> Select[Any]:
    """Find the gateways that are away, and since when."""
    return select(gateway.c.id, gateway.c.since_us).where(gateway.c.online.is_(False), gateway.c.since_us < until_us)
