"""What a person does at the desk: list, acknowledge, close."""

import re
from typing import Literal

import msgspec
from sqlalchemy import Connection, select, union

from cloud.clock import now_us
from cloud.database import Database
from cloud.database.dead_letters import clean
from cloud.database.tables import alarm_event, occurrence
from cloud.desk.changes import Actor, Changed, What
from cloud.desk.core import Alarm, ClosingCode
from cloud.desk.keeping import keep, to_alarm
from cloud.errors import AlreadyClosedError, AmbiguousAlarmError, UnknownAlarmError
from contract.alarms import Mode, Transition

_PREFIX = re.compile(r"[0-9a-f]{1,24}")
_MAX_PERSON_CHARS = 200
_MAX_COMMENT_CHARS = 4_000
_SHOWN_CANDIDATES = 10


def list_alarms(
    database: Database, *, state: Literal["open", "all"] = "open", mode: Mode | None = None, limit: int = 100
) -> list[Alarm]:
    """List alarms, the latest trigger first.

    Args:
        database: of the desk.
        state: open are those that somebody has still to close, and tests and drills while they last.
        mode: only those raised in it; None lists all.
        limit: at most so many.

    Raises:
        DatabaseAwayError: the database does not answer.
    """
    query = select(occurrence).order_by(occurrence.c.last_raised_at_us.desc(), occurrence.c.alarm_id).limit(limit)
    if state == "open":
        lasts = occurrence.c.cleared_at_us.is_(None) & occurrence.c.closed_at_us.is_(None)
        query = query.where(occurrence.c.open_key.is_not(None) | ((occurrence.c.mode != Mode.LIVE.value) & lasts))
    if mode is not None:
        query = query.where(occurrence.c.mode == mode.value)
    return database.run(lambda connection: [to_alarm(row) for row in connection.execute(query).mappings()])


def find_alarm(database: Database, alarm_id: str) -> Alarm:
    """Find one alarm by its id, the id of any raise counted to it, or a unique beginning of either.

    Raises:
        UnknownAlarmError, AmbiguousAlarmError, DatabaseAwayError.
    """
    return database.run(lambda connection: _find(connection, alarm_id))


def acknowledge(database: Database, alarm_id: str, by: str) -> Alarm:
    """Note that a person has seen it; who was first stays until the source is raised again.

    Raises:
        UnknownAlarmError, AmbiguousAlarmError, AlreadyClosedError, DatabaseAwayError.
    """

    def work(connection: Connection) -> Alarm:
        alarm = _find_open(connection, alarm_id)
        if alarm.acknowledged_at_us is not None:
            return alarm
        person = clean(by, _MAX_PERSON_CHARS)
        seen = msgspec.structs.replace(alarm, acknowledged_at_us=now_us(), acknowledged_by=person)
        keep(connection, [Changed(alarm, seen, What.ACKNOWLEDGED, Actor(person, "local"), now_us())])
        return seen

    return database.run(work)


def close(database: Database, alarm_id: str, by: str, code: ClosingCode, comment: str = "") -> Alarm:
    """Close it with what it turned out to be; closing acknowledges as well. The next raise opens a new row.

    Raises:
        UnknownAlarmError, AmbiguousAlarmError, AlreadyClosedError, DatabaseAwayError.
    """

    def work(connection: Connection) -> Alarm:
        alarm = _find_open(connection, alarm_id)
        at_us, person = now_us(), clean(by, _MAX_PERSON_CHARS)
        is_seen = alarm.acknowledged_at_us is not None
        closed = msgspec.structs.replace(
            alarm,
            acknowledged_at_us=alarm.acknowledged_at_us if is_seen else at_us,
            acknowledged_by=alarm.acknowledged_by if is_seen else person,
            closed_at_us=at_us,
            closed_by=person,
            closing_code=code,
            comment=clean(comment, _MAX_COMMENT_CHARS),
        )
        keep(connection, [Changed(alarm, closed, What.CLOSED, Actor(person, "local"), at_us)])
        return closed

    return database.run(work)


def _find_open(connection: Connection, alarm_id: str) -> Alarm:
    alarm = _find(connection, alarm_id)
    if not alarm.is_open:
        raise AlreadyClosedError(alarm.alarm_id, alarm.closed_by)
    return alarm


def _find(connection: Connection, alarm_id: str) -> Alarm:
    prefix = alarm_id.strip().lower()
    if not _PREFIX.fullmatch(prefix):
        raise UnknownAlarmError(alarm_id)
    by_id = select(occurrence.c.alarm_id).where(occurrence.c.alarm_id.startswith(prefix))
    by_raise = select(alarm_event.c.occurrence).where(
        alarm_event.c.alarm_id.startswith(prefix), alarm_event.c.transition == Transition.RAISED.value
    )
    # A union holds each id once: many raises of one row are no ambiguity.
    ids = sorted(connection.execute(union(by_id, by_raise).limit(_SHOWN_CANDIDATES)).scalars())
    if not ids:
        raise UnknownAlarmError(alarm_id)
    if len(ids) > 1:
        raise AmbiguousAlarmError(alarm_id, tuple(ids))
    query = select(occurrence).where(occurrence.c.alarm_id == ids[0]).with_for_update()
    return to_alarm(connection.execute(query).mappings().one())
