"""People who walk alone: signs of life, and what happens when one is overdue.

A watch lasts from its beginning to its end, and whoever is watched gives a sign of life at least once an interval: a
visit, a movement, a press, a call at the desk. When one is overdue the watch says so, and some time later it is an
alarm. A sign that was given before and comes late counts as of when it was given.
"""

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct, structs
from sqlalchemy import Connection, and_, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cloud.areas.chunks import chunked
from cloud.areas.places import NOWHERE, Place
from cloud.database.area_tables import area
from cloud.database.patrol_tables import patrol_person, patrol_tour, patrol_watch
from cloud.desk.changes import DESK
from cloud.desk.operations import comment
from cloud.desk.own import Said, say
from cloud.patrols.saying import lone_event, source_of
from cloud.people.roles import is_inside
from cloud.settings import Settings
from contract.ids import alarm_id

WATCHES_AT_ONCE = 100
FUTURE_US = 600_000_000
"""What lies further ahead was told by a clock that is wrong."""
_MAX_SIGN_CHARS = 200
_MOST_NAMESAKES = 1_000
Row = Mapping[Any, Any]


class WatchState(StrEnum):
    """How a watch stands; stored."""

    WALKING = "walking"
    OVERDUE = "overdue"
    """A sign of life is overdue: the pre-alarm."""
    ALARM = "alarm"
    ENDED = "ended"


class Sign(Struct, frozen=True):
    """Somebody lives.

    Attributes:
        at_us: when.
        words: by what: a point's id, `check-in`, `moved`.
        wand, person: whose; None: not known.
        tour: whose visit it was; a plan may have a watch begin with it.
    """

    at_us: int
    words: str
    wand: str | None = None
    person: str | None = None
    tour: str | None = None


def begin_watch(
    connection: Connection,
    *,
    person: str,
    wand: str | None,
    tour: str | None,
    place: Place,
    interval_s: int,
    by: str,
    now_us: int,
) -> str:
    """Begin to watch over somebody; returns the watch's id."""
    id_ = uuid.uuid4().hex[:16]
    connection.execute(insert(patrol_watch).values(
        _new(id_, person, wand, tour, place, interval_s) | _begun(by, now_us, "begin", interval_s)
    ))  # fmt: skip
    return id_


def check_in(connection: Connection, row: Row, sign: Sign, *, settings: Settings, now_us: int) -> list[Said]:
    """Take a sign of life; an older one than is known says nothing. Returns what there is to say.

    Args:
        connection: a transaction for writing.
        row: of a watch that lasts, locked.
        sign: see there.
        settings: of the desk.
        now_us: the clock.
    """
    if sign.at_us <= row["sign_at_us"]:
        return []
    interval_us = row["interval_s"] * 1_000_000
    values = {"sign_at_us": sign.at_us, "sign": sign.words[:_MAX_SIGN_CHARS]}
    if sign.at_us + interval_us > now_us:
        values |= {"state": WatchState.WALKING.value, "due_us": sign.at_us + interval_us, "alarm_raised_at_us": None}
    connection.execute(update(patrol_watch).where(patrol_watch.c.id == row["id"]).values(values))
    return _cleared(connection, row, settings, now_us) if values.get("state") else []


def end_watch(connection: Connection, row: Row, *, by: str, settings: Settings, now_us: int) -> list[Said]:
    """End a watch that lasts, of a locked row. Returns what there is to say."""
    values = {
        "state": WatchState.ENDED.value,
        "due_us": None,
        "ended_at_us": now_us,
        "ended_by": by,
        "alarm_raised_at_us": None,
    }
    connection.execute(update(patrol_watch).where(patrol_watch.c.id == row["id"]).values(values))
    return _cleared(connection, row, settings, now_us)


def end_watches_of(connection: Connection, tours: Iterable[str], *, settings: Settings, now_us: int) -> list[Said]:
    """End the watches of tours whose last point was visited. Returns what there is to say."""
    said: list[Said] = []
    for some in chunked(sorted(tours)):
        lasting = and_(patrol_watch.c.tour.in_(some), patrol_watch.c.ended_at_us.is_(None))
        query = select(patrol_watch).where(lasting).order_by(patrol_watch.c.id).with_for_update()
        for row in connection.execute(query).mappings().all():
            said += end_watch(connection, row, by="last point", settings=settings, now_us=now_us)
    return said


def find_watch(connection: Connection, id_: str, *, locked: bool = False) -> Row | None:
    """Find a watch by its id."""
    query = select(patrol_watch).where(patrol_watch.c.id == id_)
    return connection.execute(query.with_for_update() if locked else query).mappings().one_or_none()


def take_signs(connection: Connection, signs: Iterable[Sign], *, settings: Settings, now_us: int) -> list[Said]:
    """Give signs of life to the watches of whoever gave them; where a plan says so, the first of a tour begins one.

    One from the future is none: nobody can tell when it was given, and it would hide every true one until then.

    Returns:
        What there is to say; the caller says it when it has locked all that it needs.
    """
    said: list[Said] = []
    sound = [one for one in signs if one.at_us <= now_us + FUTURE_US]
    told = [structs.replace(one, at_us=min(one.at_us, now_us)) for one in sorted(sound, key=lambda one: one.at_us)]
    _begin_planned(connection, told, now_us)
    wands = sorted({one.wand for one in told if one.wand is not None})
    people = sorted({one.person for one in told if one.person is not None})
    rows: dict[str, Row] = {}
    for column, wanted in ((patrol_watch.c.wand, wands), (patrol_watch.c.person, people)):
        for some in chunked(wanted):
            query = select(patrol_watch).where(column.in_(some), patrol_watch.c.ended_at_us.is_(None))
            rows |= {row["id"]: row for row in connection.execute(query).mappings()}
    for id_ in sorted(rows):
        row = find_watch(connection, id_, locked=True)
        if row is None or row["ended_at_us"] is not None:
            continue
        mine = [
            one
            for one in told
            if (one.wand and one.wand == row["wand"]) or (one.person and one.person == row["person"])
        ]
        if mine:
            said += check_in(connection, row, mine[-1], settings=settings, now_us=now_us)
    return said


def watch_due(connection: Connection, settings: Settings, *, now_us: int) -> int:
    """Say of some watches that a sign is overdue, or raise the alarm; returns how many."""
    query = (
        select(patrol_watch).where(patrol_watch.c.due_us <= now_us).order_by(patrol_watch.c.due_us, patrol_watch.c.id)
    )
    rows = connection.execute(query.limit(WATCHES_AT_ONCE).with_for_update(skip_locked=True)).mappings().all()
    pre_alarm_us = settings.patrols.lone_pre_alarm_s * 1_000_000
    said: list[tuple[Said, Row]] = []
    row: Row
    for row in rows:
        alarm_us = row["sign_at_us"] + row["interval_s"] * 1_000_000 + pre_alarm_us
        values: dict[str, Any] = {"state": WatchState.OVERDUE.value, "due_us": alarm_us}
        if now_us >= alarm_us:
            values = {"state": WatchState.ALARM.value, "due_us": None, "alarm_raised_at_us": now_us}
            event = lone_event(row["id"], name_of(connection, row["person"]), _told(row, settings), raised_at_us=now_us)
            said.append((Said(event, _place(row)), row))
        connection.execute(update(patrol_watch).where(patrol_watch.c.id == row["id"]).values(values))
    say(connection, [one for one, _row in said], desk=settings.desk, now_us=now_us)
    for one, row in said:
        due_us = row["sign_at_us"] + row["interval_s"] * 1_000_000
        why = f"预警/pre-alarm: {_local(due_us, settings)}; 巡更/patrol: {row['tour'] or '-'}"
        comment(connection, alarm_id(source_of(one.event), now_us), actor=DESK, now_us=now_us, why=why)
    return len(rows)


def find_people(connection: Connection, word: str, scope: str | None) -> list[str]:
    """Find the ids of those whom a word means within a subtree: the one of that id, else all of that name."""
    query = select(patrol_person.c.id, area.c.path).join(area, area.c.id == patrol_person.c.area)
    for column in (patrol_person.c.id, patrol_person.c.name):
        rows = connection.execute(query.where(column == word).order_by(patrol_person.c.id).limit(_MOST_NAMESAKES))
        if found := [row.id for row in rows if scope is None or is_inside(scope, row.path)]:
            return found
    return []


def name_of(connection: Connection, person: str) -> str:
    """Tell somebody's name; the id where nobody is known by it."""
    found = connection.execute(select(patrol_person.c.name).where(patrol_person.c.id == person)).scalar_one_or_none()
    return person if found is None else str(found)


def _begin_planned(connection: Connection, signs: Iterable[Sign], now_us: int) -> None:
    first = {one.tour: one for one in signs if one.tour is not None}
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    for some in chunked(sorted(first)):
        wanted = and_(patrol_tour.c.id.in_(some), patrol_tour.c.lone_min.is_not(None), patrol_tour.c.state != "done")
        for row in connection.execute(select(patrol_tour).where(wanted).order_by(patrol_tour.c.id)).mappings().all():
            sign, interval_s = first[row["id"]], row["lone_min"] * 60
            # What is heard hours later says nothing of now.
            if sign.at_us + interval_s * 1_000_000 <= now_us:
                continue
            place = Place(row["site"], row["area"], row["area_path"])
            id_ = hashlib.sha256(row["id"].encode()).hexdigest()[:24]
            new = _new(id_, sign.person or sign.wand or "?", sign.wand, row["id"], place, interval_s)
            begun = _begun("plan", sign.at_us, sign.words[:_MAX_SIGN_CHARS], interval_s)
            connection.execute(dialect.insert(patrol_watch).on_conflict_do_nothing(), new | begun)


def _new(id_: str, person: str, wand: str | None, tour: str | None, place: Place, interval_s: int) -> dict[str, Any]:
    return {
        "id": id_, "person": person, "wand": wand, "tour": tour, "site": place.site, "area": place.area,
        "area_path": place.area_path, "interval_s": interval_s,
    }  # fmt: skip


def _begun(by: str, at_us: int, sign: str, interval_s: int) -> dict[str, Any]:
    return {
        "begun_at_us": at_us, "begun_by": by, "sign_at_us": at_us, "sign": sign, "state": WatchState.WALKING.value,
        "due_us": at_us + interval_s * 1_000_000,
    }  # fmt: skip


def _cleared(connection: Connection, row: Row, settings: Settings, now_us: int) -> list[Said]:
    """What to say when the alarm of a watch is over; nothing where there is none."""
    if row["alarm_raised_at_us"] is None:
        return []
    name, sign = name_of(connection, row["person"]), _told(row, settings)
    event = lone_event(row["id"], name, sign, raised_at_us=row["alarm_raised_at_us"], cleared_at_us=now_us)
    return [Said(event, _place(row))]


def _place(row: Row) -> Place:
    return Place(row["site"], row["area"], row["area_path"]) if row["area"] is not None else NOWHERE


def _told(row: Row, settings: Settings) -> str:
    return f"{row['sign']} {_local(row['sign_at_us'], settings)}"


def _local(at_us: int, settings: Settings) -> str:
    return (
        datetime.fromtimestamp(at_us // 1_000_000, UTC).astimezone(ZoneInfo(settings.desk.timezone)).strftime("%H:%M")
    )
