"""How much of the time gateways and devices were there."""

from collections import defaultdict
from collections.abc import Set as AbstractSet
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Select, case, func, select

from cloud.areas.chunks import AT_ONCE
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


def gateways_of(connection: Connection, area_path: str) -> set[str]:
    """Find the gateways of an area and all below it; of "" all that were ever born, placed or not."""
    query = (
        select(gateway.c.id)
        if not area_path
        else _placed(registered_gateway.c.id).where(*within(area.c.path, area_path))
    )
    return set(connection.execute(query).scalars())


def gateway_availability(
    connection: Connection, gateways: AbstractSet[str], *, from_us: int, until_us: int
) -> Availability:
    """Measure gateways by their births and deaths.

    Args:
        connection: any.
        gateways: their ids.
        from_us: beginning of the span, microseconds UTC.
        until_us: its end, not in the future.
    """
    lost = [one for name, one in _lost(connection, gateways, from_us, until_us).items() if name in gateways]
    losses, lost_us = sum(one[0] for one in lost), sum(one[1] for one in lost)
    return availability(len(gateways), losses, lost_us // 1_000_000, (until_us - from_us) / 1e6)


def availability_by_area(connection: Connection, *, from_us: int, until_us: int) -> dict[str, Availability]:
    """Measure the gateways of every area that has some, by path; "" is all that the registry knows.

    Args:
        connection: any.
        from_us: beginning of the span, microseconds UTC.
        until_us: its end, not in the future.
    """
    lost = _lost(connection, None, from_us, until_us)
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


def count_devices(connection: Connection, gateways: AbstractSet[str] | None) -> int:
    """Count the registered devices of gateways; None: all."""
    query = select(func.count()).select_from(registered_device)
    if gateways is None or len(gateways) <= AT_ONCE:
        narrow = query if gateways is None else query.where(registered_device.c.gateway.in_(gateways))
        return int(connection.execute(narrow).scalar_one())
    each = select(registered_device.c.gateway, func.count()).group_by(registered_device.c.gateway)
    return sum(count for name, count in connection.execute(each) if name in gateways)


def _placed(*columns: Any) -> Select[Any]:
    joined = registered_gateway.join(site, registered_gateway.c.site == site.c.id).join(area, site.c.area == area.c.id)
    return select(*columns).select_from(joined)


def _lost(
    connection: Connection, gateways: AbstractSet[str] | None, from_us: int, until_us: int
) -> dict[str, tuple[int, int]]:
    """Count the outages and their microseconds within a span, by gateway; of a few gateways only theirs are read."""
    began, ended = presence_change.c.before_us, presence_change.c.at_us
    clipped = case((ended < until_us, ended), else_=until_us) - _later(began, from_us)
    over: Any = select(presence_change.c.gateway, func.count(), func.sum(clipped)).where(
        presence_change.c.online.is_(True), ended > from_us, began < until_us, began < ended
    )
    lasts: Any = select(gateway.c.id, gateway.c.since_us).where(
        gateway.c.online.is_(False), gateway.c.since_us < until_us
    )
    if gateways is not None and len(gateways) <= AT_ONCE:
        over = over.where(presence_change.c.gateway.in_(gateways))
        lasts = lasts.where(gateway.c.id.in_(gateways))
    found = {
        name: (int(count), int(lost_us))
        for name, count, lost_us in connection.execute(over.group_by(presence_change.c.gateway))
    }
    for name, since_us in connection.execute(lasts):
        losses, lost_us = found.get(name, (0, 0))
        found[name] = losses + 1, lost_us + until_us - max(since_us, from_us)
    return found


def _later(moment: ColumnElement[int], from_us: int) -> ColumnElement[int]:
    return case((moment > from_us, moment), else_=from_us)
