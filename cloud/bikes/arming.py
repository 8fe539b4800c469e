"""Armed and disarmed: the wish is kept, and every gateway where the tag is or comes is told."""

import uuid
from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cloud.areas.chunks import chunked
from cloud.bikes.stations import Stations
from cloud.database.bike_tables import bike, bike_arming, bike_tag, bike_told
from cloud.orders.life import OrderState
from cloud.orders.orders import MAX_HOLD_US, GatewayOrder, give, outcome_of
from contract.tags import Arm, Disarm

# A gateway that is away for longer is told to arm when it hears the tag the next time. That it is to disarm it is told
# whenever it comes back, or it would go on raising thefts of a tag that nobody has armed.
_ARM_STANDS_US = 86_400_000_000
FAILED = frozenset({OrderState.REFUSED, OrderState.FAILED, OrderState.EXPIRED})
"""What an order has come to that is given again when the tag comes the next time."""


class How(StrEnum):
    """Why a bike is armed; stored."""

    OWNER = "owner"
    """Its owner's tag went away; that ends it when it comes back."""
    HOURS = "hours"
    """Its hours have begun; their end ends it."""
    PERSON = "person"
    """Somebody asked for it, and somebody ends it."""


class Wish(Struct, frozen=True):
    """What a gateway shall hold of a tag; `owner` is the tag of whoever may move it."""

    tag: str
    gateway: str
    is_armed: bool
    owner: str | None = None


def arm(
    connection: Connection, bikes: Collection[str], *, how: How, by: str, now_us: int, stations: Stations
) -> list[str]:
    """Arm bikes that have a tag and are not armed, and tell the gateways where they are.

    Returns:
        The bikes that were armed by this.

    Raises:
        IntegrityError: another worker was first; repeat the transaction.
    """
    armed: list[str] = []
    for some in chunked(sorted(bikes)):
        lasting = select(bike_arming.c.bike).where(bike_arming.c.until_us.is_(None), bike_arming.c.bike.in_(some))
        query = select(bike.c.id, bike.c.tag, bike.c.owner_tag, bike_tag.c.station)
        query = query.select_from(bike.outerjoin(bike_tag, bike_tag.c.tag == bike.c.tag))
        query = query.where(bike.c.id.in_(some), bike.c.tag.is_not(None), bike.c.id.not_in(lasting)).order_by(bike.c.id)
        rows = connection.execute(query.with_for_update(of=bike)).all()
        if not rows:
            continue
        values = {"how": how.value, "since_us": now_us, "by": by[:200]}
        connection.execute(insert(bike_arming), [values | {"bike": row.id, "station": row.station} for row in rows])
        wishes = [
            Wish(row.tag, station.gateway, is_armed=True, owner=row.owner_tag)
            for row in rows
            if (station := stations.get(row.station)) is not None
        ]
        tell(connection, wishes, by=by, now_us=now_us)
        armed += [row.id for row in rows]
    return armed


def disarm(
    connection: Connection, bikes: Collection[str], *, by: str, now_us: int, only: How | None = None
) -> list[str]:
    """Disarm bikes, and tell every gateway that holds their tags armed.

    Args:
        connection: a transaction for writing.
        bikes: their ids.
        by: who.
        now_us: when.
        only: only those that are armed for this reason.

    Returns:
        The bikes that were disarmed by this.
    """
    disarmed: list[str] = []
    for some in chunked(sorted(bikes)):
        query = select(bike_arming.c.id, bike_arming.c.bike, bike.c.tag)
        query = query.join(bike, bike.c.id == bike_arming.c.bike)
        query = query.where(bike_arming.c.until_us.is_(None), bike_arming.c.bike.in_(some)).order_by(bike_arming.c.bike)
        if only is not None:
            query = query.where(bike_arming.c.how == only.value)
        rows = connection.execute(query.with_for_update(of=bike_arming)).all()
        if not rows:
            continue
        # What moved within its hours is judged also when they are over.
        ended: dict[str, Any] = {"until_us": now_us, "ended_by": by[:200]}
        if only is not How.HOURS:
            ended["due_us"] = None
        ids = [row.id for row in rows]
        connection.execute(update(bike_arming).where(bike_arming.c.id.in_(ids)).values(ended))
        tags = [row.tag for row in rows if row.tag is not None]
        told = select(bike_told.c.tag, bike_told.c.gateway).where(bike_told.c.tag.in_(tags), bike_told.c.is_armed)
        wishes = [Wish(tag, gateway, is_armed=False) for tag, gateway in connection.execute(told)]
        tell(connection, wishes, by=by, now_us=now_us)
        disarmed += [row.bike for row in rows]
    return disarmed


def tell(connection: Connection, wishes: Iterable[Wish], *, by: str, now_us: int) -> None:
    """Tell gateways what they shall hold of tags; the latest wish of a tag and gateway wins."""
    wanted = {(wish.tag, wish.gateway): wish for wish in wishes}
    if not wanted:
        return
    orders, rows = [], []
    for (tag, gateway), wish in sorted(wanted.items()):
        order_id = f"bike-{uuid.uuid4().hex}"
        order = Arm((tag,), wish.owner) if wish.is_armed else Disarm((tag,))
        stands_us = _ARM_STANDS_US if wish.is_armed else MAX_HOLD_US
        word = f"arm {tag}"
        orders.append(GatewayOrder(
            id=order_id, gateway=gateway, order=order, by=by, why="bike watch",
            expires_at_us=now_us + stands_us, replaces=word, sequence=word,
        ))  # fmt: skip
        rows.append({
            "tag": tag, "gateway": gateway, "is_armed": wish.is_armed, "order_id": order_id, "at_us": now_us,
        })  # fmt: skip
    _upsert(connection, rows)
    give(connection, orders, now_us)


def not_disarmed(connection: Connection, tags: Sequence[str]) -> list[Wish]:
    """Find who was told to disarm some tags, and has not done so for good."""
    told: dict[str, Wish] = {}
    for some in chunked(tags):
        query = select(bike_told).where(bike_told.c.tag.in_(some), bike_told.c.is_armed.is_(False))
        told |= {row.order_id: Wish(row.tag, row.gateway, is_armed=False) for row in connection.execute(query)}
    outcomes = outcome_of(connection, list(told))
    return [wish for order_id, wish in told.items() if order_id in outcomes and outcomes[order_id].state in FAILED]


def _upsert(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(bike_told)
    new = {name: statement.excluded[name] for name in ("is_armed", "order_id", "at_us")}
    connection.execute(statement.on_conflict_do_update(index_elements=["tag", "gateway"], set_=new), rows)
