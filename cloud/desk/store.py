"""Alarm events into the database: idempotent by event id, one open row a source, a burst in a few statements."""

import zlib
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, Select, bindparam, func, insert, select, text, update

from cloud.areas.chunks import chunked
from cloud.areas.places import find_places
from cloud.database.tables import alarm_event, occurrence
from cloud.desk.changes import GATEWAY, Actor
from cloud.desk.controls import end_by_rise, find_silences, lock_controls
from cloud.desk.core import Alarm, Arrival, Situation
from cloud.desk.folding import Folded, Known, fold
from cloud.desk.keeping import keep, to_alarm
from cloud.escalation.follow import target_seconds
from contract.alarms import AlarmEvent, Mode, Transition

# "alar": the first of two numbers of the lock on a source; the second is one of so many, because a server has room for
# some thousands of locks.
_SOURCE_LOCKS = 0x616C6172
_SOURCE_LOCK_BUCKETS = 1024

_CLEARED = alarm_event.c.transition == Transition.CLEARED.value

# Built once: building them takes longer than asking.
_SOME: BindParameter[Any] = bindparam("some", expanding=True)
_STORED = select(alarm_event.c.event_id).where(alarm_event.c.event_id.in_(_SOME))
_BY_ALARM = alarm_event.c.alarm_id, alarm_event.c.occurrence, _CLEARED
_COUNTED = (
    select(*_BY_ALARM, func.max(alarm_event.c.at_us)).where(alarm_event.c.alarm_id.in_(_SOME)).group_by(*_BY_ALARM)
)
_ROWS = select(occurrence).order_by(occurrence.c.alarm_id).with_for_update()
_ROWS_BY_ID = _ROWS.where(occurrence.c.alarm_id.in_(_SOME))
_ROWS_BY_SOURCE = _ROWS.where(occurrence.c.open_key.in_(_SOME))
_CLEAR = alarm_event.alias("clear")
_ITS_CLEAR = (_CLEAR.c.alarm_id == alarm_event.c.alarm_id) & (_CLEAR.c.transition == Transition.CLEARED.value)
_ENDS = (
    select(alarm_event.c.alarm_id, alarm_event.c.occurrence, _CLEAR.c.at_us)
    .distinct()
    .select_from(alarm_event.outerjoin(_CLEAR, _ITS_CLEAR))
    .where(alarm_event.c.transition != Transition.CLEARED.value, alarm_event.c.occurrence.in_(_SOME))
)


def apply_events(connection: Connection, arrivals: Sequence[Arrival], *, actor: Actor = GATEWAY) -> int:
    """Apply events in their order; ids already stored are skipped. `actor` says them: a gateway, or the desk itself.

    Returns:
        How many were new.

    Raises:
        IntegrityError: another worker was first with a source or an event; repeat the transaction.
    """
    lock_for(connection, {arrival.event.source for arrival in arrivals})
    fresh = _new_ones(connection, arrivals)
    if fresh:
        known = _read(connection, [arrival.event for arrival in fresh])
        folded = fold(fresh, known, _situations(connection, fresh, known), actor=actor)
        keep(connection, [*folded.changes, *end_by_rise(connection, folded.changes)])
        _keep_events(connection, fresh, folded)
    return len(fresh)


def lock_for(connection: Connection, sources: Collection[str]) -> None:
    """Take what stands before the rows of alarms in the order of locks, for events of these sources.

    `apply_events` does it; whoever locks rows before he calls that does it first.
    """
    lock_controls(connection, shared=True)
    _lock_sources(connection, sources)


def _new_ones(connection: Connection, arrivals: Sequence[Arrival]) -> list[Arrival]:
    """Those whose id is not stored, each once."""
    by_id: dict[str, Arrival] = {}
    for arrival in arrivals:
        by_id.setdefault(arrival.event.event_id, arrival)
    for some in chunked(list(by_id)):
        for event_id in connection.execute(_STORED, {"some": some}).scalars():
            del by_id[event_id]
    return list(by_id.values())


def _read(connection: Connection, events: Sequence[AlarmEvent]) -> Known:
    """Read what is known of the alarms of these events, and lock their rows."""
    counted: dict[str, list[str]] = {}
    ends: dict[str, int] = {}
    waiting: set[str] = set()
    for some in chunked(sorted({event.alarm_id for event in events})):
        for alarm_id, row, is_clear, at_us in connection.execute(_COUNTED, {"some": some}):
            if not is_clear:
                counted.setdefault(alarm_id, []).append(row)
                continue
            ends[alarm_id] = at_us
            if row is None:
                waiting.add(alarm_id)
    rows = _read_rows(connection, _ROWS_BY_ID, {row for found in counted.values() for row in found})
    triggered = {event.source for event in events if event.transition is not Transition.CLEARED}
    rows |= _read_rows(connection, _ROWS_BY_SOURCE, triggered)
    clearing = {event.source for event in events if event.transition is Transition.CLEARED}
    lasting, last_ends = _read_ends(connection, [row for row in rows.values() if row.source in clearing])
    return Known(rows, counted, ends, waiting, lasting, last_ends)


def _read_rows(connection: Connection, query: Select[Any], wanted: Iterable[str]) -> dict[str, Alarm]:
    found: dict[str, Alarm] = {}
    for some in chunked(sorted(wanted)):
        found |= {row["alarm_id"]: to_alarm(row) for row in connection.execute(query, {"some": some}).mappings()}
    return found


def _read_ends(connection: Connection, rows: Collection[Alarm]) -> tuple[dict[str, set[str]], dict[str, int]]:
    """Of each row the alarm ids that have no clear, and the latest clear of the others."""
    lasting: dict[str, set[str]] = {row.alarm_id: set() for row in rows}
    last_ends = {row.alarm_id: row.cleared_at_us for row in rows if row.cleared_at_us is not None}
    # Of a row that is cleared all have ended, and it says when.
    active = sorted(row.alarm_id for row in rows if row.cleared_at_us is None)
    for some in chunked(active):
        for alarm_id, row, end_us in connection.execute(_ENDS, {"some": some}):
            if end_us is None:
                lasting[row].add(alarm_id)
            else:
                last_ends[row] = max(last_ends.get(row, end_us), end_us)
    return lasting, last_ends


def _situations(connection: Connection, arrivals: Sequence[Arrival], known: Known) -> Callable[[AlarmEvent], Situation]:
    """Look up what is known of the sources that may get a row."""
    standing = {row.open_key for row in known.rows.values()}
    triggers = [one.event for one in arrivals if one.event.transition is not Transition.CLEARED]
    opening = [event for event in triggers if event.source not in standing or event.mode is not Mode.LIVE]
    if not opening:
        return lambda _event: Situation()
    places = find_places(connection, {(event.gateway, event.device) for event in opening})
    places |= {(one.event.gateway, one.event.device): one.place for one in arrivals if one.place is not None}
    silences = find_silences(connection, {event.source for event in opening})
    wanted = {
        (places[event.gateway, event.device].area_path, event.severity) for event in opening if event.mode is Mode.LIVE
    }
    targets = target_seconds(connection, wanted)

    def situation_of(event: AlarmEvent) -> Situation:
        place, silence = places[event.gateway, event.device], silences[event.source]
        return Situation(
            site=place.site,
            area=place.area,
            area_path=place.area_path,
            # Nobody is sent to a test.
            target_s=targets[place.area_path, event.severity] if event.mode is Mode.LIVE else None,
            shelved_until_us=silence.shelved_until_us,
            suppressed_by=silence.suppressed_by,
            out_of_service=silence.out_of_service,
        )

    return situation_of


def _keep_events(connection: Connection, arrivals: Sequence[Arrival], folded: Folded) -> None:
    pairs = zip(arrivals, folded.counted_to, strict=True)
    connection.execute(insert(alarm_event), [_to_row(arrival, counted_to) for arrival, counted_to in pairs])
    if folded.found:
        waited = update(alarm_event).where(_CLEARED, alarm_event.c.alarm_id == bindparam("ended"))
        rows = [{"ended": alarm_id, "counted_to": row} for alarm_id, row in folded.found.items()]
        connection.execute(waited.values(occurrence=bindparam("counted_to")), rows)


def _to_row(arrival: Arrival, counted_to: str | None) -> dict[str, Any]:
    event = arrival.event
    return {
        "event_id": event.event_id,
        "alarm_id": event.alarm_id,
        "occurrence": counted_to,
        "transition": event.transition.value,
        "at_us": event.at_us,
        "received_at_us": arrival.received_at_us,
        "stored_at_us": arrival.stored_at_us,
        "value": event.value,
    }


def _lock_sources(connection: Connection, sources: Collection[str]) -> None:
    """Keep other desks from the same sources until the commit: a raise and its clear must see each other.

    SQLite has one writer at a time anyhow. In one order, so that two desks never wait for each other.
    """
    if connection.dialect.name == "postgresql":
        keys = sorted({zlib.crc32(source.encode()) % _SOURCE_LOCK_BUCKETS for source in sources})
        locks = text("SELECT pg_advisory_xact_lock(:sources, key) FROM unnest(CAST(:keys AS integer[])) AS key")
        connection.execute(locks, {"sources": _SOURCE_LOCKS, "keys": keys})
