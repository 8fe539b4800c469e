"""Thefts and stolen bikes as cases: opened once an arming, grown by every station that hears it, closed by people."""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import Connection, func, insert, select, update

from cloud.bikes.life import Stay
from cloud.bikes.stations import Stations
from cloud.database.bike_tables import bike, bike_arming, bike_case, bike_case_step, bike_stay
from cloud.database.order_tables import stolen_tag
from cloud.database.tables import alarm_event
from cloud.desk.changes import DESK
from cloud.desk.operations import comment

THEFT, STOLEN = "theft", "stolen"
SEEN, HIT, ALARM, MARKED, RECOVERED, CLOSED = "seen", "hit", "alarm", "marked", "recovered", "closed"
"""The words of steps; stored."""

TRAIL_BEFORE = 10
"""So many stays before a theft are in its case."""
MOST_STEPS = 2_000
"""A case that has more is not added to but by people: whoever carries a tag to and fro fills no database."""
MOST_COMMENTS = 50
COMMENT_EVERY_US = 60_000_000
"""So many comments of one trail are written at most into an alarm's history, and so seldom."""
_AT_ONCE = 100


class Open(Struct, frozen=True):
    """A case that is not closed; the fields are the table's."""

    id: int
    bike: str
    tag: str
    kind: str
    opened_us: int
    arming: int | None
    source: str | None
    raised_us: int | None
    alarm_id: str | None


class Opening(Struct, frozen=True):
    """What a case is opened with; the fields are the table's."""

    bike: str
    tag: str
    kind: str
    opened_us: int
    opened_by: str
    arming: int | None = None
    source: str | None = None
    raised_us: int | None = None
    alarm_id: str | None = None


def find_open(connection: Connection, *, bikes: Sequence[str] = (), tags: Sequence[str] = ()) -> list[Open]:
    """Find the open cases of some bikes, or of some tags; their rows are locked."""
    columns = [bike_case.c[name] for name in Open.__struct_fields__]
    wanted = bike_case.c.bike.in_(bikes) if bikes else bike_case.c.tag.in_(tags)
    query = select(*columns).where(bike_case.c.closed_us.is_(None), wanted).order_by(bike_case.c.id)
    return [Open(*row) for row in connection.execute(query.with_for_update())]


def open_case(connection: Connection, opening: Opening) -> int | None:
    """Open a case, with the trail of the tag so far: before its moment, and what was heard of it since.

    Returns:
        Its id; None when the bike has an open one, or this arming has had its case.

    Raises:
        IntegrityError: another worker was first; repeat the transaction.
    """
    if find_open(connection, bikes=[opening.bike]):
        return None
    if opening.arming is not None:
        had = select(func.count()).select_from(bike_case).where(bike_case.c.arming == opening.arming)
        if connection.scalar(had):
            return None
    values = {name: getattr(opening, name) for name in Opening.__struct_fields__}
    case: int = connection.execute(insert(bike_case).values(values).returning(bike_case.c.id)).scalar_one()
    trail = select(bike_stay).where(bike_stay.c.tag == opening.tag, bike_stay.c.from_us <= opening.opened_us)
    rows = connection.execute(trail.order_by(bike_stay.c.from_us.desc()).limit(TRAIL_BEFORE)).all()
    after = select(bike_stay).where(bike_stay.c.tag == opening.tag, bike_stay.c.from_us > opening.opened_us)
    later = connection.execute(after.order_by(bike_stay.c.from_us).limit(MOST_STEPS - TRAIL_BEFORE)).all()
    for row in (*reversed(rows), *later):
        _add(connection, case, Stay(row.from_us, row.until_us, row.station))
    add_step(connection, case, ALARM if opening.kind == THEFT else MARKED, opening.opened_us, words=opening.opened_by)
    return case


def take_in(connection: Connection, case: Open, opening: Opening, *, station: int | None) -> bool:
    """Take a theft in a later arming into the open case of an earlier one: from now on its alarm has the trail.

    Returns:
        Whether it was news: not of an arming that the case has, nor of a bike of the stolen list.
    """
    if case.kind != THEFT or opening.arming is None or opening.arming <= (case.arming or 0):
        return False
    taken = {name: getattr(opening, name) for name in ("arming", "source", "raised_us", "alarm_id")}
    connection.execute(update(bike_case).where(bike_case.c.id == case.id).values(taken))
    add_step(connection, case.id, ALARM, opening.raised_us or opening.opened_us, station=station,
             words=opening.source or opening.opened_by)  # fmt: skip
    return True


def add_step(
    connection: Connection, case: int, what: str, at_us: int, *, station: int | None = None, words: str = ""
) -> None:
    """Add a step, at most `MOST_STEPS` of what machines say."""
    if what in (SEEN, HIT) and _count(connection, case) >= MOST_STEPS:
        return
    values = {"case": case, "what": what, "at_us": at_us, "until_us": at_us, "count": 1, "words": words[:1_000]}
    connection.execute(insert(bike_case_step).values(values | {"station": station}))


def seen(connection: Connection, case: Open, came: Sequence[Stay]) -> None:
    """Add stations where the tag of an open case has come since; a stay that is known is no news."""
    step = bike_case_step.c
    for stay in came:
        if stay.until_us is not None and stay.until_us < case.opened_us:
            continue
        same = step.case == case.id, step.what == SEEN, step.at_us == stay.from_us, step.station == stay.station
        is_known = connection.execute(select(step.id).where(*same)).first() is not None
        if not is_known and _count(connection, case.id) < MOST_STEPS:
            _add(connection, case.id, stay)


def hit(connection: Connection, case: Open, *, station: int | None, at_us: int, within_us: int) -> bool:
    """Count a hit to a case; those of one station within `within_us` of each other are one.

    Returns:
        Whether it is a new one.
    """
    step = bike_case_step.c
    place = step.station.is_(None) if station is None else step.station == station
    near = step.at_us - within_us <= at_us, step.until_us + within_us >= at_us
    query = select(bike_case_step).where(step.case == case.id, step.what == HIT, place, *near)
    row = connection.execute(query.order_by(step.id).limit(1)).mappings().one_or_none()
    if row is not None:
        wider = {"at_us": min(row["at_us"], at_us), "until_us": max(row["until_us"], at_us), "count": row["count"] + 1}
        connection.execute(update(bike_case_step).where(step.id == row["id"]).values(wider))
        return False
    add_step(connection, case.id, HIT, at_us, station=station)
    connection.execute(update(bike_case).where(bike_case.c.id == case.id).values(hits=bike_case.c.hits + 1))
    return True


def close_case(connection: Connection, case: Open, *, outcome: str, by: str, at_us: int) -> None:
    """Close a case with what it turned out to be."""
    values = {"closed_us": at_us, "closed_by": by[:200], "outcome": outcome}
    connection.execute(update(bike_case).where(bike_case.c.id == case.id).values(values))
    add_step(connection, case.id, RECOVERED if outcome == "recovered" else CLOSED, at_us, words=f"{by}: {outcome}")


def untold(connection: Connection, *, now_us: int) -> list[int]:
    """Find open cases with an alarm whose trail has grown since it was written into that alarm's history."""
    step, case = bike_case_step.c, bike_case.c
    query = select(step.case).distinct().join(bike_case, case.id == step.case)
    query = query.where(step.is_told.is_(False), case.closed_us.is_(None), case.alarm_id.is_not(None))
    query = query.where(case.comments < MOST_COMMENTS, case.told_us <= now_us - COMMENT_EVERY_US)
    return list(connection.execute(query.order_by(step.case).limit(_AT_ONCE)).scalars())


def tell_trail(connection: Connection, case: int, stations: Stations, zone: ZoneInfo, *, now_us: int) -> None:
    """Write the stations that are new in a case into the history of its alarm, as one comment."""
    locked = select(bike_case.c.alarm_id).where(bike_case.c.id == case, bike_case.c.closed_us.is_(None))
    alarm_id = connection.execute(locked.with_for_update()).scalar_one_or_none()
    step = bike_case_step.c
    query = select(step.id, step.station, step.at_us).where(step.case == case, step.is_told.is_(False))
    rows = connection.execute(query.order_by(step.at_us, step.id).limit(_AT_ONCE)).all()
    if alarm_id is None or not rows:
        return
    connection.execute(update(bike_case_step).where(step.id.in_([row.id for row in rows])).values(is_told=True))
    counted = {"told_us": now_us, "comments": bike_case.c.comments + 1}
    connection.execute(update(bike_case).where(bike_case.c.id == case).values(counted))
    words = " → ".join(f"{stations.name_of(row.station)} {_moment(row.at_us, zone)}" for row in rows)
    # What the desk counts to an alarm that stood already is that alarm.
    counted_to = select(alarm_event.c.occurrence).where(alarm_event.c.alarm_id == alarm_id)
    counted_to = counted_to.where(alarm_event.c.occurrence.is_not(None)).limit(1)
    occurrence = connection.execute(counted_to).scalar_one_or_none()
    if occurrence is not None:
        comment(connection, occurrence, actor=DESK, now_us=now_us, why=words)


def arming_at(connection: Connection, bike_id: str, at_us: int, *, room_us: int) -> int | None:
    """Find the arming of a bike that lasted at a moment, or began or ended within `room_us` of it; the latest."""
    row = bike_arming.c
    lasts = (row.until_us.is_(None)) | (row.until_us >= at_us - room_us)
    query = select(row.id).where(row.bike == bike_id, row.since_us <= at_us + room_us, lasts)
    return connection.execute(query.order_by(row.id.desc()).limit(1)).scalar_one_or_none()


def is_listed(connection: Connection, tag: str) -> bool:
    """Tell whether a tag is on the stolen list, whoever has put it there."""
    return connection.execute(select(stolen_tag.c.tag).where(stolen_tag.c.tag == tag)).first() is not None


def bike_of_tag(connection: Connection, tag: str) -> str | None:
    """Find the bike that has a tag."""
    return connection.execute(select(bike.c.id).where(bike.c.tag == tag)).scalar_one_or_none()


def _add(connection: Connection, case: int, stay: Stay) -> None:
    until_us = stay.from_us if stay.until_us is None else stay.until_us
    values = {"case": case, "what": SEEN, "at_us": stay.from_us, "until_us": until_us, "count": 1, "words": ""}
    connection.execute(insert(bike_case_step).values(values | {"station": stay.station, "is_told": False}))


def _count(connection: Connection, case: int) -> int:
    query = select(func.count()).select_from(bike_case_step).where(bike_case_step.c.case == case)
    return connection.scalar(query) or 0


def _moment(at_us: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
