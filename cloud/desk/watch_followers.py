"""Alarms that another of the cloud's own stands for: they are heard again when that one stands no more.

Whoever suppresses an alarm in favour of one of his own (a fire for those of its detectors) gives it its voice back.
This is the net below: should he not be there to do so, nothing that lasts stays unheard.
"""

import msgspec
from sqlalchemy import ColumnElement, Connection, exists, select

from cloud.database.tables import occurrence
from cloud.desk.changes import DESK, Changed, What
from cloud.desk.controls import find_silences, lock_controls
from cloud.desk.core import Alarm, lived
from cloud.desk.keeping import keep, to_alarm
from cloud.desk.life import Event
from cloud.desk.own import OWN_GATEWAY
from cloud.settings import Settings

_LEADER = occurrence.alias("leader")
_BATCH = 200


def next_freed_us(connection: Connection, _settings: Settings, at_us: int) -> int | None:
    """Tell whether an alarm waits to be heard again: now, or not at all. Changes nothing."""
    query = select(occurrence.c.alarm_id).where(*_is_left_alone()).limit(1)
    return None if connection.execute(query).first() is None else at_us


def free(connection: Connection, _settings: Settings, at_us: int) -> int:
    """Give the alarms that nothing stands for any more their voice back; returns how many."""
    lock_controls(connection, shared=True)
    query = select(occurrence).where(*_is_left_alone()).order_by(occurrence.c.alarm_id).limit(_BATCH)
    locked = query.with_for_update(of=occurrence, skip_locked=True)
    alarms = [to_alarm(row) for row in connection.execute(locked).mappings()]
    controls = find_silences(connection, {alarm.source for alarm in alarms})
    changes = [given_back(alarm, controls[alarm.source].suppressed_by, at_us) for alarm in alarms]
    keep(connection, changes)
    return len(changes)


def given_back(alarm: Alarm, control: str | None, at_us: int) -> Changed:
    """Give an alarm its voice back, unless a control has taken it meanwhile. Pure."""
    if control is not None:
        after = msgspec.structs.replace(alarm, suppressed_by=control)
        return Changed(alarm, after, What.SUPPRESSED, DESK, at_us, control)
    heard = lived(alarm, Event.UNSUPPRESS) or alarm
    return Changed(alarm, heard, What.UNSUPPRESSED, DESK, at_us, alarm.suppressed_by or "")


def _is_left_alone() -> tuple[ColumnElement[bool], ...]:
    at = occurrence.c
    stands = (
        _LEADER.c.source == at.suppressed_by,
        _LEADER.c.closed_at_us.is_(None),
        _LEADER.c.cleared_at_us.is_(None),
    )
    # A control has its own target, which no alarm of the cloud's own lies under.
    by_own = at.suppressed_by.startswith(f"{OWN_GATEWAY}/", autoescape=True)
    return at.closed_at_us.is_(None), at.cleared_at_us.is_(None), by_own, ~exists().where(*stands)
