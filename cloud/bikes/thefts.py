"""Thefts: what gateways say, what the cloud finds out itself, and when it turns out to be the owner."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, or_, select, update

from cloud.areas.places import NOWHERE
from cloud.bikes import alarms, cases
from cloud.bikes.life import Life, Stay, read_life
from cloud.bikes.moving import WATCH, suspect
from cloud.bikes.stations import Stations
from cloud.bikes.theft import Movement, is_owner_near
from cloud.database.bike_tables import bike, bike_arming, bike_case, bike_stay, bike_tag
from cloud.database.tables import occurrence
from cloud.desk.changes import What
from cloud.desk.core import ClosingCode
from cloud.desk.following import take_changes
from cloud.desk.own import OWN_GATEWAY, Said, say
from cloud.settings import Settings
from contract.alarms import Mode

READER = "bikes"
"""The name of bike watch's cursor in the history."""
AT_ONCE = 200
OWNER = "owner"
_TAG_POINT = "tag-"
_TRIGGERS = frozenset({What.RAISED.value, What.RETRIGGERED.value})
# So much of where a bike went after a movement is looked at.
_STAYS = 100


def decide(connection: Connection, settings: Settings, stations: Stations, *, now_us: int) -> int:
    """Decide about movements whose time has come: the owner's, a theft that its gateway has told, or one to tell.

    Returns:
        How many were decided.
    """
    row = bike_arming.c
    query = select(bike_arming).where(row.due_us <= now_us).order_by(row.bike, row.id).limit(AT_ONCE)
    rows = connection.execute(query.with_for_update(skip_locked=True)).all()
    said: list[Said] = []
    for arming in rows:
        said += _decide(connection, arming, settings, stations, now_us)
    if said:
        say(connection, said, desk=settings.desk, now_us=now_us)
    return len(rows)


def _decide(
    connection: Connection, arming: Any, settings: Settings, stations: Stations, now_us: int
) -> list[Said]:  # fmt: skip
    columns = bike.c.id, bike.c.tag, bike.c.owner_tag, bike.c.plate
    row = connection.execute(select(*columns).where(bike.c.id == arming.bike)).one()
    case = next(iter(cases.find_open(connection, bikes=[row.id])), None)
    said: list[Said] = []
    change: dict[str, Any] = {"due_us": None}
    if arming.moved_to is None or row.tag is None:
        pass
    elif _is_owners(connection, arming, row.owner_tag, settings, stations):
        if case is not None and case.arming == arming.id and is_own(case.source):
            said.append(over(case, stations, arming.moved_to, now_us=now_us))
            # One that was opened in an arming before says more than this movement.
            if case.opened_us >= arming.since_us:
                cases.close_case(connection, case, outcome=OWNER, by=WATCH, at_us=now_us)
        change |= {"station": arming.moved_to, "moved_to": None}
        change |= _next(connection, arming, row.tag, settings, stations, now_us)
    else:
        said += _open(connection, arming, row, case, stations, now_us)
    connection.execute(update(bike_arming).where(bike_arming.c.id == arming.id).values(change))
    return said


def _is_owners(
    connection: Connection, arming: Any, owner_tag: str | None, settings: Settings, stations: Stations
) -> bool:
    if owner_tag is None:
        return False
    found = connection.execute(select(bike_tag.c.life).where(bike_tag.c.tag == owner_tag)).scalar_one_or_none()
    life = Life() if found is None else read_life(found)
    moved = Movement(arming.moved_us, stations.near([arming.station, arming.moved_to]))
    bikes = settings.bikes
    return is_owner_near(
        life, moved, stations.rules(bikes),
        within_us=round(bikes.owner_within_s * 1e6), clocks_us=round(bikes.clock_difference_s * 1e6),
    )  # fmt: skip


def _next(
    connection: Connection, arming: Any, tag: str, settings: Settings, stations: Stations, now_us: int
) -> dict[str, Any]:  # fmt: skip
    """Where its owner took it, look on: it may have been moved again since."""
    query = select(bike_stay).where(bike_stay.c.tag == tag, bike_stay.c.from_us > arming.moved_us)
    rows = connection.execute(query.order_by(bike_stay.c.from_us).limit(_STAYS)).all()
    stays = [Stay(row.from_us, row.until_us, row.station) for row in rows]
    after = _After(arming)
    return suspect(after, stays, stations, settings=settings.bikes, now_us=now_us)


class _After:
    """An arming as it goes on after a movement of the owner's."""

    moved_to = None

    def __init__(self, arming: Any) -> None:
        self.station = arming.moved_to
        self.since_us, self.until_us = arming.since_us, arming.until_us
        self.moved_us = arming.moved_us


def _open(
    connection: Connection, arming: Any, row: Any, case: cases.Open | None, stations: Stations, now_us: int
) -> list[Said]:  # fmt: skip
    """Say a theft, unless it is known already: of this arming, or of a bike of the stolen list."""
    station = stations[arming.moved_to]
    about = alarms.device_of("bike", row.id)
    theft = alarms.event(
        alarms.THEFT, about, raised_at_us=arming.moved_us, place=station.place, what=row.plate or row.id,
        where=station.name, value="moved",
    )  # fmt: skip
    opening = cases.Opening(
        row.id, row.tag, cases.THEFT, arming.moved_us, WATCH, arming=arming.id, source=theft.event.source,
        raised_us=arming.moved_us, alarm_id=theft.event.alarm_id,
    )  # fmt: skip
    if case is None:
        return [] if cases.open_case(connection, opening) is None else [theft]
    if not cases.take_in(connection, case, opening, station=station.id):
        return []
    return [over(case, stations, arming.moved_to, now_us=now_us), theft] if is_own(case.source) else [theft]


def over(case: cases.Open, stations: Stations, station: int | None, *, now_us: int) -> Said:
    """Say that a theft alarm of the cloud's own is over."""
    found = stations.get(station)
    place = found.place if found is not None else NOWHERE
    raised_us = case.raised_us or case.opened_us
    return alarms.event(
        alarms.THEFT, alarms.device_of("bike", case.bike), raised_at_us=raised_us, place=place, what=case.bike,
        where=stations.name_of(station), ended_at_us=max(now_us, raised_us),
    )  # fmt: skip


def is_own(source: str | None) -> bool:
    """Tell whether an alarm is the cloud's own."""
    return source is not None and source.startswith(f"{OWN_GATEWAY}/")


def follow_alarms(connection: Connection, settings: Settings, stations: Stations, *, now_us: int) -> int:
    """Read on in the history of alarms: thefts and hits that gateways tell, and what people closed.

    Returns:
        How many changes were read.
    """
    rows = take_changes(connection, READER)
    said: list[Said] = []
    for row in rows:
        gateway, _, rest = row["source"].partition("/")
        parts = rest.split("/")
        if row["alarm_id"] is None or len(parts) != 3:  # noqa: PLR2004 - device, point, rule
            continue
        device, point, rule = parts
        if row["what"] == What.CLOSED.value:
            _closed(connection, row)
        elif row["what"] in _TRIGGERS and point.startswith(_TAG_POINT) and rule in (cases.THEFT, cases.STOLEN):
            station = stations.find(gateway, device)
            place = None if station is None else station.id
            said += _told(connection, row, rule, point.removeprefix(_TAG_POINT), place, settings, stations, now_us)
    if said:
        say(connection, said, desk=settings.desk, now_us=now_us)
    return len(rows)


def _told(
    connection: Connection, row: Mapping[Any, Any], rule: str, tag: str, station: int | None, settings: Settings,
    stations: Stations, now_us: int,
) -> list[Said]:  # fmt: skip
    """Take a theft or a hit that a gateway tells."""
    bike_id = cases.bike_of_tag(connection, tag)
    mode = select(occurrence.c.mode).where(occurrence.c.alarm_id == row["alarm_id"])
    if bike_id is None or connection.scalar(mode) != Mode.LIVE.value:
        return []
    fields = row["fields"]
    moment = fields.get("last_raised_at_us") or fields.get("raised_at_us")
    at_us = moment[1] if moment else row["at_us"]
    case = next(iter(cases.find_open(connection, bikes=[bike_id])), None)
    room_us = round(settings.bikes.clock_difference_s * 1e6)
    arming = cases.arming_at(connection, bike_id, at_us, room_us=room_us) if rule == cases.THEFT else None
    opening = cases.Opening(
        bike_id, tag, rule, at_us, row["by"], arming=arming, source=row["source"], raised_us=at_us,
        alarm_id=row["alarm_id"],
    )  # fmt: skip
    own = case is not None and is_own(case.source)
    if case is None:
        if rule == cases.STOLEN and not cases.is_listed(connection, tag):
            # A hit that comes after the bike has come back.
            return []
        if cases.open_case(connection, opening) is None or rule == cases.THEFT:
            return []
        (case,) = cases.find_open(connection, bikes=[bike_id])
    if rule == cases.STOLEN:
        cases.hit(connection, case, station=station, at_us=at_us, within_us=round(settings.bikes.hit_within_s * 1e6))
    elif cases.take_in(connection, case, opening, station=station):
        return [over(case, stations, station, now_us=now_us)] if own else []
    elif row["alarm_id"] != case.alarm_id:
        cases.add_step(connection, case.id, cases.ALARM, at_us, station=station, words=row["source"])
    if case.alarm_id is None or (own and rule == cases.THEFT):
        # From now on the gateway's alarm has the trail; two alarms of one theft are one too many.
        taken = {"source": row["source"], "raised_us": at_us, "alarm_id": row["alarm_id"]}
        connection.execute(update(bike_case).where(bike_case.c.id == case.id).values(taken))
        return [over(case, stations, station, now_us=now_us)] if own else []
    return []


def _closed(connection: Connection, row: Mapping[Any, Any]) -> None:
    """Close the case of a theft alarm that somebody has closed as none; one that was genuine stays."""
    code = (row["fields"].get("closing_code") or (None, None))[1]
    is_its = or_(bike_case.c.alarm_id == row["alarm_id"], bike_case.c.source == row["source"])
    query = select(bike_case.c.bike).where(is_its, bike_case.c.closed_us.is_(None))
    bikes = list(connection.execute(query).scalars())
    if code in (None, ClosingCode.GENUINE.value) or not bikes:
        return
    for case in cases.find_open(connection, bikes=bikes):
        if case.kind == cases.THEFT:
            cases.close_case(connection, case, outcome=code, by=row["by"], at_us=row["at_us"])
