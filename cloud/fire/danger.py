"""The danger level of a station: when it is an alarm, what InfluxDB is told, and how it stands now."""

import hashlib
from datetime import date

from msgspec import Struct
from sqlalchemy import Connection, delete, insert, select, update

from cloud.areas.places import Place
from cloud.database.fire_tables import fire_level
from cloud.desk.own import OWN_GATEWAY, Said, say
from cloud.fire.classes import Danger
from cloud.settings import Desk
from contract.alarms import AlarmEvent, Severity, Transition

KIND = "fire-danger"
MEASUREMENT = "fire_danger"
UNKNOWN = 0
_MAX_DEVICE = 64
_WORDS = {
    Danger.VERY_LOW: ("very low", "很低"),
    Danger.LOW: ("low", "低"),
    Danger.MODERATE: ("moderate", "中等"),
    Danger.HIGH: ("high", "高"),
    Danger.VERY_HIGH: ("very high", "很高"),
    Danger.EXTREME: ("extreme", "极高"),
}


class Level(Struct, frozen=True):
    """How a station stands.

    Attributes:
        day: of the level.
        level: 1 to 6 by the settings' scheme; `UNKNOWN`: nobody knows it any more.
        raised_at_us: of the alarm that stands; None: none does.
    """

    day: date
    level: int
    raised_at_us: int | None = None


def current_levels(connection: Connection) -> dict[str, Danger]:
    """Tell the level of every station whose level is known, by its id."""
    query = select(fire_level.c.station, fire_level.c.level).where(fire_level.c.level > UNKNOWN)
    return {row.station: Danger(row.level) for row in connection.execute(query)}


def follow(
    before: Level | None, day: date, level: int, *, alarm_from: Danger, now_us: int
) -> tuple[Level, Transition | None]:
    """Tell how a station stands after a level was worked out, and what that is to its alarm. Pure.

    A level that rises to `alarm_from` or beyond is an alarm, or triggers the one that stands again; one that falls ends
    it. While nobody knows the level the alarm stands.
    """
    was = before.level if before else UNKNOWN
    standing = before.raised_at_us if before else None
    if level in (UNKNOWN, was):
        return Level(day, level, standing), None
    if level > was and level >= alarm_from:
        kind = Transition.RAISED if standing is None else Transition.RETRIGGERED
        return Level(day, level, now_us if standing is None else standing), kind
    if standing is not None and (level < was or level < alarm_from):
        return Level(day, level, None), Transition.CLEARED
    return Level(day, level, standing), None


def device_of(station: str) -> str:
    """Name a station as the device of an alarm."""
    plain = f"danger.{station}"
    return plain if len(plain) <= _MAX_DEVICE else f"danger.{hashlib.sha256(station.encode()).hexdigest()[:32]}"


class Told(Struct, frozen=True):
    """What an alarm tells of a station."""

    station: str
    name: str
    place: Place
    fwi: float | None


def keep_level(
    connection: Connection, told: Told, day: date, level: int, *, alarm_from: Danger, desk: Desk, now_us: int
) -> None:
    """Keep how a station stands, and say at the desk what follows; in the transaction that worked it out.

    Args:
        connection: a transaction for writing that holds the station's row.
        told: for the alarm.
        day: of the level.
        level: 1 to 6, or `UNKNOWN`.
        alarm_from: see `follow`.
        desk: settings of the desk.
        now_us: the clock.
    """
    row = connection.execute(select(fire_level).where(fire_level.c.station == told.station)).one_or_none()
    before = None if row is None else Level(row.day, row.level, row.raised_at_us)
    after, transition = follow(before, day, level, alarm_from=alarm_from, now_us=now_us)
    kept = {"day": after.day, "level": after.level, "raised_at_us": after.raised_at_us}
    if before is None:
        connection.execute(insert(fire_level).values(kept | {"station": told.station}))
    elif after != before:
        connection.execute(update(fire_level).where(fire_level.c.station == told.station).values(kept))
    if transition is not None:
        raised_at_us = after.raised_at_us or (before.raised_at_us if before else None) or now_us
        event = _event(told, after.level, transition, raised_at_us=raised_at_us, now_us=now_us)
        say(connection, [Said(event, told.place)], desk=desk, now_us=now_us)


def forget_level(connection: Connection, told: Told, *, desk: Desk, now_us: int) -> None:
    """Take a station's level away, as it is no longer worked out; an alarm that stands ends."""
    row = connection.execute(select(fire_level).where(fire_level.c.station == told.station)).one_or_none()
    if row is None:
        return
    connection.execute(delete(fire_level).where(fire_level.c.station == told.station))
    if row.raised_at_us is not None:
        event = _event(told, row.level, Transition.CLEARED, raised_at_us=row.raised_at_us, now_us=now_us)
        say(connection, [Said(event, told.place)], desk=desk, now_us=now_us)


def _event(told: Told, level: int, transition: Transition, *, raised_at_us: int, now_us: int) -> AlarmEvent:
    english, chinese = _WORDS[Danger(level)] if level else ("unknown", "未知")
    fwi = "" if told.fwi is None else f", FWI {told.fwi:.1f}"
    return AlarmEvent(
        gateway=OWN_GATEWAY,
        device=device_of(told.station),
        point="level",
        rule="rise",
        transition=transition,
        raised_at_us=raised_at_us,
        at_us=now_us,
        kind=KIND,
        severity=Severity.LOW,
        text={
            "en": f"Fire danger {english}: {told.name}{fwi}",
            "zh": f"森林火险{chinese}：{told.name}{fwi}",
        },
        value=told.fwi,
    )
