"""Steps that are due are taken: history, messages and the next moment in one transaction, so each exactly once."""

import logging
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, bindparam, func, select, update

from cloud.areas.chunks import chunked
from cloud.areas.duty import find_contacts, on_duty
from cloud.database.escalation_tables import escalation
from cloud.database.people_tables import user
from cloud.database.tables import occurrence
from cloud.desk.changes import DESK, Changed, What
from cloud.desk.core import Alarm, ClosingCode
from cloud.desk.keeping import keep, to_alarm
from cloud.errors import GarbledPlanError
from cloud.escalation.follow import facts_of
from cloud.escalation.people import Known, Person, deliveries
from cloud.escalation.plan import Action, Advance, Close, Plan, Remind, TakeBack, Tell, advance
from cloud.escalation.settings import Fallback
from cloud.escalation.store import Escalation, to_columns, to_escalation
from cloud.settings import Settings
from cloud.telling.queue import Delivery, Kind, enqueue

_log = logging.getLogger(__name__)
# In one transaction: other writers wait for it.
AT_ONCE = 200


class Rules(Struct, frozen=True):
    """What the settings say of escalation.

    Attributes:
        zone: in which rosters and business hours are meant.
        fallback: told where there is nobody else.
    """

    zone: ZoneInfo
    fallback: tuple[Fallback, ...] = ()


class _Due(Struct, frozen=True):
    """One alarm and what is due of its plan."""

    alarm: Alarm
    plan: Plan
    found: Advance


class _Done(Struct, frozen=True):
    """What actions come to."""

    changes: list[Changed]
    deliveries: list[Delivery]


def rules_of(settings: Settings) -> Rules:
    """Take what escalation needs from the settings."""
    return Rules(ZoneInfo(settings.desk.timezone), settings.escalation.fallback)


def next_due_us(connection: Connection) -> int | None:
    """Tell when the next step of any alarm is due; None: no step is."""
    moment: int | None = connection.execute(select(func.min(escalation.c.next_at_us))).scalar_one()
    return moment


def take_due(connection: Connection, now_us: int, rules: Rules, *, limit: int = AT_ONCE) -> int:
    """Take what is due, the longest overdue first.

    Rows that another worker has in hand, and alarms that change in this moment, are left to the next call.

    Args:
        connection: a transaction for writing.
        now_us: wall time.
        rules: of the settings.
        limit: at most so many alarms.

    Returns:
        How many alarms were looked at; 0: there is nothing to do for now.
    """
    rows = _claim(connection, now_us, limit)
    if not rows:
        return 0
    alarms = _alarms(connection, [row.alarm_id for row in rows])
    due = []
    for row in rows:
        found = advance(row.plan, row.progress, facts_of(alarms[row.alarm_id]), now_us, rules.zone)
        due.append(_Due(alarms[row.alarm_id], row.plan, found))
    known = _known(connection, [one for one in due if one.found.actions], now_us, rules)
    due = [_with_duty(one, known) for one in due]
    _write(connection, due)
    done = _Done([], [])
    for one in due:
        for action in one.found.actions:
            _do(action, one, known, now_us, done)
    enqueue(connection, done.deliveries)
    keep(connection, done.changes)
    return len(rows)


def _claim(connection: Connection, now_us: int, limit: int) -> list[Escalation]:
    """Lock alarms that are due and that nobody else has in hand; read how far their plans have come.

    Whoever writes a row of `escalation` holds the lock of its occurrence, and we hold no other: who acknowledges in
    this moment and we would wait for each other. What the first statement saw may be over by the time it had the lock;
    the second sees what is so now.
    """
    is_due = escalation.c.next_at_us <= now_us
    query = (
        select(occurrence.c.alarm_id)
        .join(escalation, escalation.c.alarm_id == occurrence.c.alarm_id)
        .where(is_due)
        .order_by(escalation.c.next_at_us, occurrence.c.alarm_id)
        .limit(limit)
        .with_for_update(of=occurrence, skip_locked=True)
    )
    ids = connection.execute(query).scalars().all()
    due = select(escalation).where(escalation.c.alarm_id.in_(ids), is_due)
    found: list[Escalation] = []
    for row in connection.execute(due.order_by(escalation.c.next_at_us, escalation.c.alarm_id)).mappings().all():
        try:
            found.append(to_escalation(row))
        except GarbledPlanError as error:
            _log.error("%s; %s", error, error.hint)
            nothing = update(escalation).where(escalation.c.alarm_id == row["alarm_id"])
            connection.execute(nothing.values(next_at_us=None, idle_why=None))
    return found


def _alarms(connection: Connection, alarm_ids: Sequence[str]) -> dict[str, Alarm]:
    query = select(occurrence).where(occurrence.c.alarm_id.in_(alarm_ids))
    return {row["alarm_id"]: to_alarm(row) for row in connection.execute(query).mappings()}


def _known(connection: Connection, due: Sequence[_Due], now_us: int, rules: Rules) -> Known:
    """Read who can be told, for all of them at once."""
    area_ids = {area_id for one in due for area_id in one.plan.line}
    duty = on_duty(connection, area_ids, now_us, rules.zone)
    users = {one.alarm.acknowledged_by for one in due if one.alarm.acknowledged_by is not None}
    contact_of_user: dict[str, str] = {}
    for some in chunked(sorted(users)):
        query = select(user.c.name, user.c.contact).where(user.c.name.in_(some), user.c.contact.is_not(None))
        contact_of_user |= {row.name: row.contact for row in connection.execute(query)}
    named = {name for one in due for stage in one.plan.stages for name in (*stage.contacts, *(stage.on_duty or ()))}
    contacts = find_contacts(connection, named | set(contact_of_user.values()))
    return Known(duty, contacts, contact_of_user, rules.fallback)


def _with_duty(due: _Due, known: Known) -> _Due:
    """Note in the plan who is on duty when its first step is taken, unless it stands there."""
    if not due.found.actions or any(stage.on_duty is not None for stage in due.plan.stages):
        return due
    stages = tuple(
        msgspec.structs.replace(stage, on_duty=tuple(one.id for one in known.duty.get(stage.area or "", ())))
        for stage in due.plan.stages
    )
    return msgspec.structs.replace(due, plan=msgspec.structs.replace(due.plan, stages=stages))


def _write(connection: Connection, due: Sequence[_Due]) -> None:
    rows: list[dict[str, Any]] = [
        {
            "due_id": one.alarm.alarm_id,
            "next_at_us": one.found.next_at_us,
            "idle_why": None if one.found.idle is None else one.found.idle.value,
            **to_columns(one.plan, one.found.progress),
        }
        for one in due
    ]
    values: dict[str, Any] = {name: bindparam(name) for name in rows[0] if name != "due_id"}
    connection.execute(update(escalation).where(escalation.c.alarm_id == bindparam("due_id")).values(values), rows)


def _do(action: Action, due: _Due, known: Known, now_us: int, done: _Done) -> None:
    """Turn an action into history and messages."""
    alarm, plan, progress = due.alarm, due.plan, due.found.progress
    match action:
        case Tell():
            stage = plan.stages[action.stage]
            people = known.of_stage(plan, stage)
            done.changes.append(Changed(alarm, alarm, What.ESCALATED, DESK, now_us, _words(action, due, people)))
            done.deliveries.extend(
                deliveries(
                    people,
                    alarm,
                    kind=Kind.ALARM if action.stage == 0 and action.first == 1 else Kind.ESCALATED,
                    now_us=now_us,
                    about=("step", progress.round, action.stage, action.first),
                    channels=stage.channels,
                    step=action.stage + 1,
                )
            )
        case Remind():
            people = known.to_remind(plan, alarm)
            done.changes.append(Changed(alarm, alarm, What.REMINDED, DESK, now_us, _names(people)))
            about = ("reminder", action.acknowledged_at_us)
            done.deliveries.extend(deliveries(people, alarm, kind=Kind.REMINDER, now_us=now_us, about=about))
        case TakeBack():
            people = known.of_acknowledger(alarm)
            after = msgspec.structs.replace(alarm, acknowledged_at_us=None, acknowledged_by=None)
            why = f"nothing followed the acknowledgement of {alarm.acknowledged_by}"
            done.changes.append(Changed(alarm, after, What.UNACKNOWLEDGED, DESK, now_us, why))
            about = ("unacknowledged", alarm.acknowledged_at_us or 0)
            done.deliveries.extend(deliveries(people, alarm, kind=Kind.UNACKNOWLEDGED, now_us=now_us, about=about))
        case Close():
            why = f"{plan.auto_close_after_s} s after its condition ended, as its policy says"
            after = msgspec.structs.replace(
                alarm, closed_at_us=now_us, closed_by=DESK.name, closing_code=ClosingCode.UNKNOWN, comment=why
            )
            done.changes.append(Changed(alarm, after, What.CLOSED, DESK, now_us, why))


def _words(tell: Tell, due: _Due, people: Sequence[Person]) -> str:
    """Say in the history which step it was and who is told."""
    stage = due.plan.stages[tell.stage]
    times = f"time {tell.first}" if tell.first == tell.last else f"times {tell.first} to {tell.last}"
    place = "" if stage.area is None else f" ({stage.level} {stage.area})"
    step = f"step {tell.stage + 1} of {len(due.plan.stages)}{place}"
    return f"round {due.found.progress.round}, {step}, {times}: {_names(people)}"


def _names(people: Sequence[Person]) -> str:
    return ", ".join(person.name for person in people) or "nobody to tell"
