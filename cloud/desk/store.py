"""Alarm events into the database: idempotent by event id, one open row a source."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, insert, select, text, update

from cloud.database.tables import alarm_event, occurrence
from cloud.desk.core import Alarm, Arrival, cleared, opened, retriggered
from contract.alarms import AlarmEvent, Mode, Transition


def apply_events(connection: Connection, arrivals: Sequence[Arrival]) -> int:
    """Apply events in their order; ids already stored are skipped.

    Returns:
        How many were new.

    Raises:
        IntegrityError: another worker was first with a source or an event; repeat the transaction.
    """
    _lock_sources(connection, arrivals)
    ids = {arrival.event.event_id for arrival in arrivals}
    known = set(connection.execute(select(alarm_event.c.event_id).where(alarm_event.c.event_id.in_(ids))).scalars())
    new = 0
    for arrival in arrivals:
        if arrival.event.event_id not in known:
            known.add(arrival.event.event_id)
            apply_event(connection, arrival)
            new += 1
    return new


def apply_event(connection: Connection, arrival: Arrival) -> None:
    """Apply one event whose id is not stored yet."""
    if arrival.event.transition is Transition.CLEARED:
        _clear(connection, arrival)
    else:
        _trigger(connection, arrival)


def to_alarm(row: RowMapping) -> Alarm:
    """Read a row of `occurrence`."""
    # The keys are a subclass of str, which msgspec does not take.
    return msgspec.convert({str(key): value for key, value in row.items()}, Alarm)


def save(connection: Connection, before: Alarm, after: Alarm) -> None:
    """Write what changed, which may be the id itself (the events' references follow)."""
    old, new = to_row(before), to_row(after)
    changes = {key: value for key, value in new.items() if old[key] != value}
    if changes:
        connection.execute(update(occurrence).where(occurrence.c.alarm_id == before.alarm_id).values(changes))


def to_row(alarm: Alarm) -> dict[str, Any]:
    """Write a row of `occurrence`."""
    row: dict[str, Any] = msgspec.to_builtins(alarm)
    row["open_key"] = alarm.open_key
    return row


def _trigger(connection: Connection, arrival: Arrival) -> None:
    event = arrival.event
    clear = alarm_event.c.alarm_id == event.alarm_id, alarm_event.c.transition == Transition.CLEARED.value
    cleared_at_us = connection.execute(select(alarm_event.c.at_us).where(*clear)).scalar_one_or_none()
    counted = _rows_of(connection, event)
    before = _row_to_count_to(connection, event, counted)
    if before is None:
        alarm = opened(arrival, cleared_at_us=cleared_at_us, is_reopened=bool(counted))
        connection.execute(insert(occurrence).values(to_row(alarm)))
    else:
        alarm = retriggered(before, arrival, cleared_at_us=cleared_at_us)
        save(connection, before, alarm)
    _keep_event(connection, arrival, counted_to=alarm.alarm_id)
    if cleared_at_us is not None:
        connection.execute(update(alarm_event).where(*clear).values(occurrence=alarm.alarm_id))


def _row_to_count_to(connection: Connection, event: AlarmEvent, counted: dict[str, Alarm]) -> Alarm | None:
    """Find the row a trigger belongs to; None when it opens one.

    A raise belongs to the row that a second press of it has opened already, whatever became of that. A second press
    belongs to a row that is open: what comes after a person has closed its alarm is news.
    """
    if event.transition is Transition.RAISED and counted:
        return counted.get(event.alarm_id) or next(iter(counted.values()))
    still_open = (alarm for alarm in counted.values() if alarm.is_open)
    if (own := next(still_open, None)) is not None or event.mode is not Mode.LIVE:
        return own
    open_row = select(occurrence).where(occurrence.c.open_key == event.source).with_for_update()
    row = connection.execute(open_row).mappings().one_or_none()
    return None if row is None else to_alarm(row)


def _rows_of(connection: Connection, event: AlarmEvent) -> dict[str, Alarm]:
    """The rows, by id, to which triggers of the event's alarm are counted; a second one when the first was closed."""
    counted = select(alarm_event.c.occurrence).where(
        alarm_event.c.alarm_id == event.alarm_id, alarm_event.c.transition != Transition.CLEARED.value
    )
    query = select(occurrence).where(occurrence.c.alarm_id.in_(counted)).order_by(occurrence.c.raised_at_us)
    rows = connection.execute(query.with_for_update()).mappings()
    return {alarm.alarm_id: alarm for alarm in map(to_alarm, rows)}


def _clear(connection: Connection, arrival: Arrival) -> None:
    event = arrival.event
    counted = _rows_of(connection, event)
    for before in counted.values():
        save(connection, before, cleared(before, cleared_at_us=_end_of(connection, before.alarm_id, event)))
    # Without a trigger it waits: the first that comes finds it.
    _keep_event(connection, arrival, counted_to=next(iter(counted), None))


def _end_of(connection: Connection, row: str, clear: AlarmEvent) -> int | None:
    """Tell when the last condition of a row ended, once `clear` is counted; None while a trigger has no clear."""
    counted = select(alarm_event.c.alarm_id).where(
        alarm_event.c.occurrence == row,
        alarm_event.c.transition != Transition.CLEARED.value,
        alarm_event.c.alarm_id != clear.alarm_id,
    )
    ends = connection.execute(
        select(alarm_event.c.alarm_id, alarm_event.c.at_us).where(
            alarm_event.c.alarm_id.in_(counted), alarm_event.c.transition == Transition.CLEARED.value
        )
    ).all()
    if set(connection.execute(counted).scalars()) - {end.alarm_id for end in ends}:
        return None
    return max([clear.at_us, *(int(end.at_us) for end in ends)])


def _lock_sources(connection: Connection, arrivals: Sequence[Arrival]) -> None:
    """Keep other desks from the same sources until the commit: a raise and its clear must see each other.

    SQLite has one writer at a time anyhow.
    """
    if connection.dialect.name == "postgresql":
        for source in sorted({arrival.event.source for arrival in arrivals}):
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:source))"), {"source": source})


def _keep_event(connection: Connection, arrival: Arrival, *, counted_to: str | None) -> None:
    event: AlarmEvent = arrival.event
    connection.execute(
        insert(alarm_event).values(
            event_id=event.event_id,
            alarm_id=event.alarm_id,
            occurrence=counted_to,
            transition=event.transition.value,
            at_us=event.at_us,
            received_at_us=arrival.received_at_us,
            stored_at_us=arrival.stored_at_us,
            value=event.value,
        )
    )
