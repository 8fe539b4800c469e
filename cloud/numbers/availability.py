"""How much of the time gateways and devices were there."""

from collections import defaultdict
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Select, case, func, select

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


def gateway_availability(connection: Connection, area_path: str, *, from_us: int, until_us: int) -> Availability:
    """Measure the gateways of an area and all below it, by their births and deaths.

    Args:
        connection: any.
        area_path: "" for all gateways ever born, placed or not.
        from_us: beginning of the span, microseconds UTC.
        until_us: its end, not in the future.
    """
    losses, lost_us = 0, 0
    over, lasts = _outages(from_us, until_us)
    if area_path:
        over = over.where(presence_change.c.gateway.in_(_gateways(area_path)))
        lasts = lasts.where(gateway.c.id.in_(_gateways(area_path)))
    for query in (over, lasts):
        number, time_us = connection.execute(query).one()
        losses, lost_us = losses + int(number), lost_us + int(time_us)
    counted = _gateways(area_path).subquery() if area_path else gateway
    count = connection.execute(select(func.count()).select_from(counted)).scalar_one()
    return availability(count, losses, lost_us // 1_000_000, (until_us - from_us) / 1e6)


def availability_by_area(connection: Connection, *, from_us: int, until_us: int) -> dict[str, Availability]:
    """Measure the gateways of every area that has some, by path; "" is all that the registry knows.

    Args:
        connection: any.
        from_us: beginning of the span, microseconds UTC.
        until_us: its end, not in the future.
    """
    over, lasts = _outages(from_us, until_us)
    lost: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for query, column in ((over, presence_change.c.gateway), (lasts, gateway.c.id)):
        for number, time_us, name in connection.execute(query.add_columns(column).group_by(column)):
            lost[name].append((int(number), int(time_us)))
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for name, path in connection.execute(_placed(registered_gateway.c.id, area.c.path)):
        losses, times_us = [part[0] for part in lost[name]], [part[1] for part in lost[name]]
        for one in (*path_above(path), path):
            found = sums[one]
            found[0] += 1
            found[1] += sum(losses)
            found[2] += sum(times_us)
    length_s = (until_us - from_us) / 1e6
    return {path: availability(one[0], one[1], one[2] // 1_000_000, length_s) for path, one in sums.items()}


def count_devices(connection: Connection, area_path: str) -> int:
    """Count the registered devices of an area and all below it; "" counts all."""
    query = select(func.count()).select_from(registered_device)
    if area_path:
        query = query.where(registered_device.c.gateway.in_(_gateways(area_path)))
    return int(connection.execute(query).scalar_one())


def _gateways(area_path: str) -> Select[tuple[str]]:
    return _placed(registered_gateway.c.id).where(*within(area.c.path, area_path))


def _placed(*columns: Any) -> Select[Any]:
    joined = registered_gateway.join(site, registered_gateway.c.site == site.c.id).join(area, site.c.area == area.c.id)
    return select(*columns).select_from(joined)


def _outages(from_us: int, until_us: int) -> tuple[Select[Any], Select[Any]]:
    """Make the queries for number and time of outages that are over, and of those that last."""
    began, ended = presence_change.c.before_us, presence_change.c.at_us
    clipped = case((ended < until_us, ended), else_=until_us) - _later(began, from_us)
    over: Any = select(func.count(), func.coalesce(func.sum(clipped), 0)).where(
        presence_change.c.online.is_(True), ended > from_us, began < until_us, began < ended
    )
    lasting = until_us - _later(gateway.c.since_us, from_us)
    lasts: Any = select(func.count(), func.coalesce(func.sum(lasting), 0)).where(
        gateway.c.online.is_(False), gateway.c.since_us < until_us
    )
    return over, lasts


def _later(moment: ColumnElement[int], from_us: int) -> ColumnElement[int]:
    return case((moment > from_us, moment), else_=from_us)
