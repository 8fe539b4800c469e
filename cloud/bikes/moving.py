"""What follows from where tags have come: gateways are told, cases grow, movements are suspected. Decided later."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, and_, bindparam, or_, select, update

from cloud.areas.chunks import chunked
from cloud.bikes import cases
from cloud.bikes.arming import FAILED, How, Wish, not_disarmed, tell
from cloud.bikes.life import Life, Stay
from cloud.bikes.settings import Bikes
from cloud.bikes.stations import Stations
from cloud.database.bike_tables import bike, bike_arming, bike_told
from cloud.orders.orders import outcome_of

WATCH = "bike watch"
"""Who does what nobody has asked for."""


class Moved(Struct, frozen=True):
    """A tag whose stays have changed.

    Attributes:
        stays: the new and changed ones, in their order.
        life: as it is now.
        is_bikes: it is a bike's, not an owner's alone.
    """

    tag: str
    stays: tuple[Stay, ...]
    life: Life
    is_bikes: bool


def after_moves(
    connection: Connection, moved: Sequence[Moved], stations: Stations, *, settings: Bikes, now_us: int
) -> None:
    """Do what follows.

    Args:
        connection: the transaction in which the rows of these tags are locked.
        moved: by tag.
        stations: all.
        settings: of bike watch.
        now_us: the clock.
    """
    of_tag = {one.tag: one for one in moved}
    rows = _bikes(connection, list(of_tag))
    mine = {row.id: of_tag[row.tag] for row in rows if row.tag in of_tag}
    owners = {row.id: row for row in rows if row.owner_tag in of_tag}
    # Rows of bikes before those of armings, and those before cases, as everywhere.
    _watch_owners(connection, rows, of_tag, settings, now_us)
    armings, over = _armings(connection, [row.id for row in rows], now_us - round(settings.late_s * 1e6))
    open_cases = {case.bike: case for case in _open_cases(connection, sorted(mine))}
    changes, wishes = [], []
    judged = [(row, one) for row in rows for one in (*over.get(row.id, ()), armings.get(row.id)) if one is not None]
    for row, arming in judged:
        change: dict[str, Any] = {}
        if row.id in mine:
            one = mine[row.id]
            change = suspect(arming, one.stays, stations, settings=settings, now_us=now_us)
        if row.id in mine and arming.until_us is None:
            station = stations.get(mine[row.id].life.head.station)
            known = open_cases.get(row.id)
            # Of a theft that is known every further gateway would only raise one alarm more.
            if station is not None and (known is None or (known.kind == cases.THEFT and known.arming != arming.id)):
                wishes.append(Wish(row.tag, station.gateway, is_armed=True, owner=row.owner_tag))
        if row.id in owners and arming.moved_to is not None and not change:
            # Perhaps the owner was near after all.
            change = {"due_us": now_us}
        if change:
            changes.append({"which": arming.id} | {name: getattr(arming, name) for name in _JUDGED} | change)
    if changes:
        statement = update(bike_arming).where(bike_arming.c.id == bindparam("which"))
        connection.execute(statement.values({name: bindparam(name) for name in _JUDGED}), changes)
    for case in open_cases.values():
        cases.seen(connection, case, mine[case.bike].stays)
    at_rest = sorted(one.tag for bike_id, one in mine.items() if bike_id not in armings)
    wishes = _unknown(connection, wishes) + not_disarmed(connection, at_rest)
    tell(connection, wishes, by=WATCH, now_us=now_us)


_JUDGED = ("station", "moved_us", "moved_to", "due_us")


def suspect(
    arming: Any, stays: Sequence[Stay], stations: Stations, *, settings: Bikes, now_us: int
) -> dict[str, Any]:  # fmt: skip
    """Look for a movement from the gateway where a bike was armed to another. Pure.

    Args:
        arming: a row of `bike_arming`; stays that began after its end are none of its.
        stays: of the bike's tag, in their order.
        stations: all.
        settings: of bike watch.
        now_us: the clock.

    Returns:
        What to change in the row.
    """
    change: dict[str, Any] = {}
    place, known_us = stations.get(arming.station), arming.since_us
    if arming.moved_us is not None and arming.moved_to is None:
        # What is said late of the time before its owner moved it takes it back nowhere.
        known_us = arming.moved_us
    settled_us = known_us + round(settings.clock_difference_s * 1e6)
    for stay in stays:
        if arming.until_us is not None and stay.from_us >= arming.until_us:
            break
        station = stations[stay.station]
        if stay.from_us <= settled_us:
            # Where it was when it was armed, or when its owner had moved it, as far as clocks tell.
            if stay.until_us is None or stay.until_us > known_us or place is None:
                place = station
        elif place is None:
            place = station
        elif place.gateway != station.gateway and arming.moved_to is None:
            due_us = now_us + round(settings.theft_wait_s * 1e6)
            change = {"moved_us": stay.from_us, "moved_to": station.id, "due_us": due_us}
            break
    if place is not None and place.id != arming.station:
        change["station"] = place.id
    return change


def _bikes(connection: Connection, tags: Sequence[str]) -> list[Any]:
    found: dict[str, Any] = {}
    columns = bike.c.id, bike.c.tag, bike.c.owner_tag, bike.c.by_owner
    # Two questions, an index each: where no bike has an owner's tag, SQLite would read all bikes for both at once.
    for some in chunked(tags):
        for of in (bike.c.tag, bike.c.owner_tag):
            found |= {row.id: row for row in connection.execute(select(*columns).where(of.in_(some)))}
    return [found[one] for one in sorted(found)]


def _armings(
    connection: Connection, bikes: Sequence[str], after_us: int
) -> tuple[dict[str, Any], dict[str, list[Any]]]:  # fmt: skip
    """Find the armings that last, and those that their hours have ended since; of them words still come late."""
    lasting: dict[str, Any] = {}
    over: dict[str, list[Any]] = {}
    row = bike_arming.c
    by_hours = and_(row.how == How.HOURS.value, row.ended_by == WATCH, row.until_us >= after_us)
    for some in chunked(bikes):
        query = select(bike_arming).where(or_(row.until_us.is_(None), by_hours), row.bike.in_(some))
        for found in connection.execute(query.order_by(row.bike, row.id).with_for_update()):
            if found.until_us is None:
                lasting[found.bike] = found
            else:
                over.setdefault(found.bike, []).append(found)
    return lasting, over


def _open_cases(connection: Connection, bikes: Sequence[str]) -> list[cases.Open]:
    return [case for some in chunked(bikes) for case in cases.find_open(connection, bikes=some)]


def _watch_owners(
    connection: Connection, rows: Sequence[Any], of_tag: Mapping[str, Moved], settings: Bikes, now_us: int
) -> None:
    """Look later whether the owner's tag is near, where that arms a bike; soon when it has come."""
    away_us = round(settings.owner_away_s * 1e6)
    dues = []
    for row in rows:
        if row.by_owner and row.owner_tag is not None:
            owner = of_tag.get(row.owner_tag)
            has_come = owner is not None and owner.life.head.station is not None
            dues.append({"which": row.id, "due_us": now_us if has_come else now_us + away_us})
    if dues:
        statement = update(bike).where(bike.c.id == bindparam("which")).values(owner_due_us=bindparam("due_us"))
        connection.execute(statement, dues)


def _unknown(connection: Connection, wishes: Sequence[Wish]) -> list[Wish]:
    """Leave out what gateways know, or will be told by an order that is on its way."""
    if not wishes:
        return []
    told: dict[tuple[str, str], str] = {}
    for some in chunked([wish.tag for wish in wishes]):
        query = select(bike_told).where(bike_told.c.tag.in_(some), bike_told.c.is_armed)
        told |= {(row.tag, row.gateway): row.order_id for row in connection.execute(query)}
    outcomes = outcome_of(connection, [told[key] for wish in wishes if (key := (wish.tag, wish.gateway)) in told])

    def is_known(wish: Wish) -> bool:
        order_id = told.get((wish.tag, wish.gateway))
        outcome = None if order_id is None else outcomes.get(order_id)
        return order_id is not None and (outcome is None or outcome.state not in FAILED)

    return [wish for wish in wishes if not is_known(wish)]
