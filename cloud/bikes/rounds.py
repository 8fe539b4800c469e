"""What bike watch does by itself when its time comes: hours, owners, decisions, silences, counts, and what is old."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    and_,
    bindparam,
    cast,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from cloud.areas.chunks import chunked
from cloud.areas.places import NOWHERE
from cloud.bikes import alarms, arming, cases, thefts
from cloud.bikes.arming import How
from cloud.bikes.hours import Hours, next_turn
from cloud.bikes.moving import WATCH
from cloud.bikes.stations import Station, Stations, read_stations
from cloud.bikes.taking import count_standing
from cloud.database.bike_tables import bike, bike_arming, bike_case, bike_stay, bike_tag, bike_told
from cloud.database.bike_tables import bike_station as station_table
from cloud.desk.following import has_changes
from cloud.desk.own import Said, say
from cloud.feed.measures import line_of, put
from cloud.influx.schema import label_of, path_tag
from cloud.settings import Settings

AT_ONCE = 500
"""So many rows change in one transaction."""
_SILENT_AT_ONCE = 50
_CASES_AT_ONCE = 20
_OWNER_LOOKS_AGAIN_US = 60_000_000
_PRUNE_EVERY_US = 60_000_000
_DAY_US = 86_400_000_000


class Duty(Struct, frozen=True):
    """One thing to do.

    Attributes:
        is_due: tells whether there is something; changes nothing.
        work: does some of it in a transaction, and returns how much it was.
    """

    name: str
    is_due: Callable[[Connection, Settings, int], bool]
    work: Callable[[Connection, Settings, int], int]


def duties() -> list[Duty]:
    """List what is looked at every second, in the order in which it is done."""
    return [
        Duty("alarms", lambda connection, _settings, _now_us: has_changes(connection, thefts.READER), _follow),
        Duty("thefts", _any(bike_arming.c.due_us), _decide),
        Duty("trails", lambda connection, _settings, now_us: bool(cases.untold(connection, now_us=now_us)), _tell),
        Duty("hours", _any(bike.c.hours_due_us), turn_hours),
        Duty("owners", _any(bike.c.owner_due_us), look_for_owners),
    ]


def _any(due_us: Any) -> Callable[[Connection, Settings, int], bool]:
    def is_due(connection: Connection, _settings: Settings, now_us: int) -> bool:
        return bool(connection.scalar(select(exists(select(due_us).where(due_us <= now_us)))))

    return is_due


def _follow(connection: Connection, settings: Settings, now_us: int) -> int:
    return thefts.follow_alarms(connection, settings, read_stations(connection), now_us=now_us)


def _decide(connection: Connection, settings: Settings, now_us: int) -> int:
    return thefts.decide(connection, settings, read_stations(connection), now_us=now_us)


def _tell(connection: Connection, settings: Settings, now_us: int) -> int:
    """Write one trail: each is a transaction of its own, in which one alarm is locked."""
    waiting = cases.untold(connection, now_us=now_us)
    if waiting:
        zone = ZoneInfo(settings.desk.timezone)
        cases.tell_trail(connection, waiting[0], read_stations(connection), zone, now_us=now_us)
    return len(waiting)


def turn_hours(connection: Connection, settings: Settings, now_us: int) -> int:
    """Arm and disarm bikes whose hours begin or end; who was armed by something else stays so.

    A bike whose hours are new, or were not looked at for a while, begins with the next turn.
    """
    zone = ZoneInfo(settings.desk.timezone)
    columns = bike.c.id, bike.c.arm_from, bike.c.arm_to, bike.c.arm_days, bike.c.hours_due_us
    query = select(*columns).where(bike.c.hours_due_us <= now_us).order_by(bike.c.hours_due_us, bike.c.id)
    rows = connection.execute(query.limit(AT_ONCE).with_for_update(skip_locked=True)).all()
    begins: list[str] = []
    ends: list[str] = []
    following: list[dict[str, Any]] = []
    for row in rows:
        if row.arm_from is None or row.arm_to is None or not row.arm_days:
            following.append({"which": row.id, "due_us": None})
            continue
        hours = Hours(row.arm_from, row.arm_to, tuple(row.arm_days.split()))
        if row.hours_due_us:
            # Of several that were missed the last one counts.
            turn = last = next_turn(hours, row.hours_due_us - 1, zone)
            while turn.at_us <= now_us:
                last, turn = turn, next_turn(hours, turn.at_us, zone)
            (begins if last.is_begin else ends).append(row.id)
        following.append({"which": row.id, "due_us": next_turn(hours, now_us, zone).at_us})
    if following:
        statement = update(bike).where(bike.c.id == bindparam("which")).values(hours_due_us=bindparam("due_us"))
        connection.execute(statement, following)
        stations = read_stations(connection)
        arming.arm(connection, begins, how=How.HOURS, by=WATCH, now_us=now_us, stations=stations)
        arming.disarm(connection, ends, by=WATCH, now_us=now_us, only=How.HOURS)
    return len(rows)


def look_for_owners(connection: Connection, _settings: Settings, now_us: int) -> int:
    """Arm bikes whose owner's tag has gone, and disarm those to which it has come back."""
    mine, owner = bike_tag.alias("mine"), bike_tag.alias("owner")
    joined = bike.outerjoin(mine, mine.c.tag == bike.c.tag).outerjoin(owner, owner.c.tag == bike.c.owner_tag)
    columns = bike.c.id, bike.c.by_owner, bike.c.owner_tag
    query = select(*columns, mine.c.station.label("at"), owner.c.station.label("owner_at")).select_from(joined)
    query = query.where(bike.c.owner_due_us <= now_us).order_by(bike.c.id).limit(AT_ONCE)
    rows = connection.execute(query.with_for_update(of=bike, skip_locked=True)).all()
    stations = read_stations(connection)
    here: list[str] = []
    gone: list[str] = []
    for row in rows:
        if not row.by_owner or row.owner_tag is None or row.at is None:
            continue
        is_near = row.owner_at is not None and row.owner_at in stations.near([row.at])
        (here if is_near else gone).append(row.id)
    for some in chunked([row.id for row in rows]):
        connection.execute(update(bike).where(bike.c.id.in_(some)).values(owner_due_us=None))
    arming.arm(connection, gone, how=How.OWNER, by=WATCH, now_us=now_us, stations=stations)
    arming.disarm(connection, here, by=WATCH, now_us=now_us, only=How.OWNER)
    return len(rows)


def tell_silent(connection: Connection, settings: Settings, now_us: int) -> int:
    """Raise alarms of tags that nobody has heard for too long, a few at a time; and end those of clones.

    A tag whose station itself has said nothing since is not silent: its station is.
    """
    said = _over_clones(connection, settings, now_us)
    room = min(settings.bikes.silent_most - count_standing(connection, alarms.SILENT), _SILENT_AT_ONCE)
    rows: Sequence[Any] = ()
    if room > 0 and (is_silent := _is_silent(settings, now_us)) is not None:
        query = select(bike_tag.c.tag, bike_tag.c.heard_us, bike_tag.c.life, bike.c.id, bike.c.plate)
        query = query.join(bike, bike.c.tag == bike_tag.c.tag).where(is_silent, bike_tag.c.silent_us.is_(None))
        # By the tag alone: what is raised says so, and the next ones follow in the next round.
        query = query.order_by(bike_tag.c.heard_us, bike_tag.c.tag).limit(room)
        rows = connection.execute(query.with_for_update(of=bike_tag, skip_locked=True)).all()
    if rows:
        stations = read_stations(connection)
        statement = update(bike_tag).where(bike_tag.c.tag == bindparam("which")).values(silent_us=now_us)
        connection.execute(statement, [{"which": row.tag} for row in rows])
        said += [_silent(row, stations, now_us) for row in rows]
    if said:
        say(connection, said, desk=settings.desk, now_us=now_us)
    return len(said)


def _silent(row: Any, stations: Stations, now_us: int) -> Said:
    last = stations.get(alarms.last_station(row.life))
    place, where = (NOWHERE, "-") if last is None else (last.place, last.name)
    what = f"{row.plate or row.id} ({row.tag})"
    about = alarms.device_of("tag", row.tag)
    return alarms.event(alarms.SILENT, about, raised_at_us=now_us, place=place, what=what, where=where)


def _is_silent(settings: Settings, now_us: int) -> ColumnElement[bool] | None:
    """Whom nobody has heard for as long as its bike says, else the settings; None: nobody counts."""
    default_us = round(settings.bikes.silent_after_s * 1e6)
    own_us = cast(bike.c.silent_after_s, BigInteger) * 1_000_000
    own = and_(bike.c.silent_after_s.is_not(None), bike_tag.c.heard_us < now_us - own_us)
    usual = and_(bike.c.silent_after_s.is_(None), bike_tag.c.heard_us < now_us - default_us)
    is_late = or_(own, usual) if default_us else own
    last_heard = select(func.max(station_table.c.heard_us)).scalar_subquery()
    of_station = select(station_table.c.heard_us).where(station_table.c.id == bike_tag.c.station).scalar_subquery()
    speaks = func.coalesce(of_station, last_heard) > bike_tag.c.heard_us + 1_000_000
    return and_(is_late, bike_tag.c.heard_us > 0, speaks)


def _over_clones(connection: Connection, settings: Settings, now_us: int) -> list[Said]:
    before_us = now_us - round(settings.bikes.cloned_again_s * 1e6)
    query = select(bike_tag.c.tag, bike_tag.c.cloned_us, bike_tag.c.life).where(bike_tag.c.cloned_last_us < before_us)
    rows = connection.execute(query.order_by(bike_tag.c.tag).limit(AT_ONCE).with_for_update(skip_locked=True)).all()
    if not rows:
        return []
    stations = read_stations(connection)
    for some in chunked([row.tag for row in rows]):
        connection.execute(update(bike_tag).where(bike_tag.c.tag.in_(some)).values(cloned_us=None, cloned_last_us=None))
    said = []
    for row in rows:
        last = stations.get(alarms.last_station(row.life))
        said.append(alarms.event(
            alarms.CLONED, alarms.device_of("tag", row.tag), raised_at_us=row.cloned_us, ended_at_us=now_us,
            place=NOWHERE if last is None else last.place, what=row.tag, where="-" if last is None else last.name,
        ))  # fmt: skip
    return said


def count(connection: Connection, settings: Settings, now_us: int, unknown: int, late: int) -> None:
    """Write the measurements `bike_station`, a line a station, and `bike_watch`.

    Args:
        connection: a transaction for writing.
        settings: the whole file's.
        now_us: the clock.
        unknown: words of tags that are not followed, since this worker began.
        late: words that came too late.
    """
    stations = read_stations(connection)
    here = select(bike_tag.c.station, func.count()).where(bike_tag.c.station.is_not(None)).group_by(bike_tag.c.station)
    present: dict[int, int] = {row[0]: row[1] for row in connection.execute(here)}
    low: dict[int, int] = {row[0]: row[1] for row in connection.execute(here.where(bike_tag.c.low_us.is_not(None)))}
    today = datetime.fromtimestamp(now_us // 1_000_000, UTC).astimezone(ZoneInfo(settings.desk.timezone)).date()
    counted = connection.execute(select(station_table.c.id, station_table.c.day, station_table.c.moves)).all()
    moves = {row.id: row.moves if row.day == today else 0 for row in counted}
    lines = []
    for one in stations:
        counts = {"present": present.get(one.id, 0), "moves": moves.get(one.id, 0), "low": low.get(one.id, 0)}
        lines.append(line_of("bike_station", _tags_of(one), _described(one) | counts, now_us))

    def total(query: Any) -> int:
        return connection.scalar(query) or 0

    totals = {
        "registered": total(select(func.count()).select_from(bike)),
        "present": sum(present.values()),
        "armed": total(select(func.count()).select_from(bike_arming).where(bike_arming.c.until_us.is_(None))),
        "stolen": total(select(func.count()).select_from(bike).where(bike.c.stolen_us.is_not(None))),
        "cases": total(select(func.count()).select_from(bike_case).where(bike_case.c.closed_us.is_(None))),
        "low": total(select(func.count()).select_from(bike_tag).where(bike_tag.c.low_us.is_not(None))),
        "silent": total(select(func.count()).select_from(bike_tag).where(bike_tag.c.silent_us.is_not(None))),
        "unknown": unknown,
        "late": late,
    }
    put(connection, [*lines, line_of("bike_watch", {}, totals, now_us)], limit=settings.trades.measures)


def _tags_of(one: Station) -> dict[str, str]:
    place = one.place
    tags = {"gateway": one.gateway, "station": one.device, "site": place.site or "", "area": place.area or ""}
    return tags | {"path": path_tag(place.area_path)}


def _described(one: Station) -> dict[str, str | float]:
    known = {"label": label_of(one.site_name or one.gateway, one.gateway), "name": one.name}
    spot = {} if one.spot is None else {"latitude": one.spot.latitude_deg, "longitude": one.spot.longitude_deg}
    return known | spot


def prune(connection: Connection, settings: Settings, now_us: int, after: str) -> str:
    """Delete the stays of some tags that ended before what is kept; and some armings, orders and cases as old.

    Args:
        connection: a transaction for writing.
        settings: how long they are kept.
        now_us: the clock.
        after: the tag with which the round before ended, "" at first.

    Returns:
        The tag with which this one ended; "" at the end of all.
    """
    before_us = now_us - settings.bikes.keep_days * _DAY_US
    _prune_ended(connection, before_us)
    tags = select(bike_tag.c.tag).where(bike_tag.c.tag > after).order_by(bike_tag.c.tag).limit(AT_ONCE)
    some = list(connection.execute(tags).scalars())
    if some:
        old = bike_stay.c.tag.in_(some), bike_stay.c.from_us < before_us, bike_stay.c.until_us < before_us
        connection.execute(delete(bike_stay).where(*old))
    return some[-1] if len(some) == AT_ONCE else ""


def _prune_ended(connection: Connection, before_us: int) -> None:
    """Delete what ended before a moment, some of each; never an arming that an open case names."""
    row = bike_arming.c
    is_named = exists().where(bike_case.c.arming == row.id, bike_case.c.closed_us.is_(None))
    old = select(row.id).where(row.until_us < before_us, row.due_us.is_(None), ~is_named).limit(AT_ONCE)
    gone = connection.execute(old).scalars().all()
    connection.execute(delete(bike_arming).where(row.id.in_(gone)))
    told = bike_told.c
    # The order to disarm itself stands as long as it stands.
    off = select(told.order_id).where(told.at_us < before_us, told.is_armed.is_(False)).limit(AT_ONCE)
    connection.execute(delete(bike_told).where(told.order_id.in_(connection.execute(off).scalars().all())))
    closed = select(bike_case.c.id).where(bike_case.c.closed_us < before_us).limit(_CASES_AT_ONCE)
    # Their steps go with them.
    connection.execute(delete(bike_case).where(bike_case.c.id.in_(connection.execute(closed).scalars().all())))
