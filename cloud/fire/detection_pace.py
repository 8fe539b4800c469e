"""Towers look more often while the danger is high: orders to their gateways, given again each hour, taken back after.

The gateways forget them by themselves, so a cloud that is gone leaves nothing behind but an hour and a half.
"""

from collections.abc import Mapping

from msgspec import Struct
from sqlalchemy import Connection, delete, insert, select

from cloud.areas.chunks import chunked
from cloud.database.area_tables import area, registered_gateway, site
from cloud.database.detection_tables import tower_pace
from cloud.fire.classes import Danger
from cloud.fire.danger import current_levels
from cloud.fire.detection_settings import Detection as DetectionSettings
from cloud.fire.stations import places_of, read_all
from cloud.orders.orders import GatewayOrder, give
from contract.commands import Pace
from contract.ids import alarm_id, is_id

EVERY_US = 3_600_000_000
"""So often an order is given again."""
LASTS_S = 5_400.0
"""Longer than an hour, so that one order that comes late leaves no gap."""
_BY = "fire danger"
_KEY = "pace"


class Wish(Struct, frozen=True):
    """How often the towers of an area shall look."""

    level: str
    factor: float


def give_paces(connection: Connection, settings: DetectionSettings, now_us: int) -> int:
    """Order what the danger asks for and is not ordered, or was an hour ago; returns how many orders were given.

    Args:
        connection: a transaction for writing; one worker at a time (`cloud.feed.lease`).
        settings: the factors, and which sites have towers.
        now_us: the clock.
    """
    wanted = wishes(connection, settings)
    rows = {row.gateway: row for row in connection.execute(select(tower_pace))}
    orders: list[GatewayOrder] = []
    given: list[dict[str, object]] = []
    for gateway, wish in wanted.items():
        row = rows.get(gateway)
        # A clock that was set back does not put it off.
        is_fresh = row is not None and 0 <= now_us - row.told_at_us < EVERY_US
        if row is None or not is_fresh or (row.level, row.factor) != (wish.level, wish.factor):
            orders.append(_order(gateway, Pace(wish.factor, LASTS_S), f"danger {wish.level}", now_us))
            given.append({"gateway": gateway, "level": wish.level, "factor": wish.factor, "told_at_us": now_us})
    over = sorted(rows.keys() - wanted.keys())
    orders += [_order(gateway, Pace(1.0), "danger has fallen", now_us) for gateway in over]
    gone = [*over, *(str(one["gateway"]) for one in given)]
    for some in chunked(gone):
        connection.execute(delete(tower_pace).where(tower_pace.c.gateway.in_(some)))
    if given:
        connection.execute(insert(tower_pace), given)
    give(connection, orders, now_us)
    return len(orders)


def wishes(connection: Connection, settings: DetectionSettings) -> dict[str, Wish]:
    """Tell of each tower how often it shall look, where that is not as usual: as the worst station of its area asks.

    A station counts for its area and all below it.
    """
    factors = _factors(settings)
    levels = {key: level for key, level in current_levels(connection).items() if level in factors}
    if not levels:
        return {}
    stations = read_all(connection, sorted(levels))
    by_path: dict[str, Danger] = {}
    for key, place in places_of(connection, stations).items():
        if place.area_path:
            by_path[place.area_path] = max(levels[key], by_path.get(place.area_path, levels[key]))
    found: dict[str, Wish] = {}
    joined = registered_gateway.join(site, registered_gateway.c.site == site.c.id).join(area, site.c.area == area.c.id)
    query = (
        select(registered_gateway.c.id, area.c.path).select_from(joined).where(site.c.kind.in_(list(settings.sites)))
    )
    for row in connection.execute(query):
        if is_id(row.id) and (around := [level for path, level in by_path.items() if row.path.startswith(path)]):
            worst = max(around)
            found[row.id] = Wish(worst.word, factors[worst])
    return found


def _factors(settings: DetectionSettings) -> Mapping[Danger, float]:
    factors = {
        Danger.HIGH: settings.pace_high,
        Danger.VERY_HIGH: settings.pace_very_high,
        Danger.EXTREME: settings.pace_extreme,
    }
    return {level: factor for level, factor in factors.items() if factor != 1.0}


def _order(gateway: str, pace: Pace, why: str, now_us: int) -> GatewayOrder:
    return GatewayOrder(
        id=f"pace-{alarm_id(gateway, now_us)}",
        gateway=gateway,
        order=pace,
        by=_BY,
        why=why,
        expires_at_us=now_us + EVERY_US,
        replaces=_KEY,
        sequence=_KEY,
    )
