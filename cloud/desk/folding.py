"""Many events at once into rows, in memory: what is known of their alarms before, what changed after. No I/O."""

from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import Struct

from cloud.desk.changes import GATEWAY, Actor, Changed, What
from cloud.desk.core import Alarm, Arrival, Situation, cleared, opened, retriggered
from contract.alarms import AlarmEvent, Mode, Transition


class Known(Struct, frozen=True):
    """What the database has of the alarms of some events; an alarm id here is an event's.

    Attributes:
        rows: the rows that any of them may be counted to, by id.
        counted: of an alarm id the ids of the rows that its triggers are counted to.
        ends: of an alarm id when its clear says that it ended.
        waiting: alarm ids whose clear is stored and belongs to no row yet.
        lasting: of a row the alarm ids that are counted to it and have no clear; at least for each row that a clear
            among the events may concern.
        last_ends: of such a row the latest end of all others.
    """

    rows: Mapping[str, Alarm]
    counted: Mapping[str, Sequence[str]]
    ends: Mapping[str, int]
    waiting: Collection[str]
    lasting: Mapping[str, Collection[str]]
    last_ends: Mapping[str, int]


class Folded(Struct, frozen=True):
    """What the events made.

    Attributes:
        changes: in the order of the events.
        counted_to: of each event, in their order, the row that it belongs to; None of a clear that waits for a trigger.
        found: of alarm ids whose stored clear has waited, the row that it belongs to now.
    """

    changes: list[Changed]
    counted_to: list[str | None]
    found: dict[str, str]


def fold(
    arrivals: Sequence[Arrival],
    known: Known,
    situation_of: Callable[[AlarmEvent], Situation],
    *,
    actor: Actor = GATEWAY,
) -> Folded:
    """Apply events in their order.

    Args:
        arrivals: none of them stored yet, none twice.
        known: of their alarms.
        situation_of: of an event's source; asked where a row is opened.
        actor: who says them.
    """
    folding = _Folding(known, situation_of, actor)
    for arrival in arrivals:
        if arrival.event.transition is Transition.CLEARED:
            folding.clear(arrival)
        else:
            folding.trigger(arrival)
    return Folded(folding.changes, folding.counted_to, folding.found)


class _Folding:
    def __init__(self, known: Known, situation_of: Callable[[AlarmEvent], Situation], actor: Actor) -> None:
        self.changes: list[Changed] = []
        self.counted_to: list[str | None] = []
        self.found: dict[str, str] = {}
        self._situation_of = situation_of
        self._actor = actor
        self._rows = dict(known.rows)
        self._open = {alarm.open_key: alarm.alarm_id for alarm in known.rows.values() if alarm.open_key is not None}
        self._counted = {alarm_id: list(rows) for alarm_id, rows in known.counted.items()}
        self._ends = dict(known.ends)
        self._waiting = set(known.waiting)
        # Of alarm ids whose clear is among these events, its place among them.
        self._waiting_here: dict[str, int] = {}
        self._lasting = {row: set(ids) for row, ids in known.lasting.items()}
        self._last_ends = dict(known.last_ends)

    def trigger(self, arrival: Arrival) -> None:
        event = arrival.event
        end_us = self._ends.get(event.alarm_id)
        counted = self._rows_of(event)
        before = self._row_to_count_to(event, counted)
        if before is None:
            situation = self._situation_of(event)
            after = opened(arrival, cleared_at_us=end_us, is_reopened=bool(counted), situation=situation)
        else:
            after = retriggered(before, arrival, cleared_at_us=end_us)
        self._write(before, after, What.RAISED if before is None else What.RETRIGGERED, arrival)
        self._count(event.alarm_id, after.alarm_id, end_us)
        self.counted_to.append(after.alarm_id)

    def clear(self, arrival: Arrival) -> None:
        event = arrival.event
        self._ends[event.alarm_id] = event.at_us
        counted = self._rows_of(event)
        for before in counted:
            row = before.alarm_id
            lasting = self._lasting.setdefault(row, set())
            lasting.discard(event.alarm_id)
            self._last_ends[row] = max(self._last_ends.get(row, event.at_us), event.at_us)
            after = cleared(before, cleared_at_us=None if lasting else self._last_ends[row])
            if after != before:
                self._write(before, after, What.CLEARED, arrival)
        if not counted:
            # Without a trigger it waits: the first that comes finds it.
            self._waiting_here[event.alarm_id] = len(self.counted_to)
        self.counted_to.append(counted[0].alarm_id if counted else None)

    def _row_to_count_to(self, event: AlarmEvent, counted: Sequence[Alarm]) -> Alarm | None:
        """Find the row a trigger belongs to; None when it opens one.

        A raise belongs to the row that a second press of it has opened already, whatever became of that. A second
        press belongs to a row that is open: what comes after a person has closed its alarm is news.
        """
        if event.transition is Transition.RAISED and counted:
            return next((alarm for alarm in counted if alarm.alarm_id == event.alarm_id), counted[0])
        own = next((alarm for alarm in counted if alarm.is_open), None)
        if own is not None or event.mode is not Mode.LIVE:
            return own
        row = self._open.get(event.source)
        return None if row is None else self._rows[row]

    def _rows_of(self, event: AlarmEvent) -> list[Alarm]:
        """The rows to which triggers of the event's alarm are counted; a second one when the first was closed."""
        rows = [self._rows[row] for row in self._counted.get(event.alarm_id, ())]
        return sorted(rows, key=lambda alarm: alarm.raised_at_us)

    def _count(self, alarm_id: str, row: str, end_us: int | None) -> None:
        rows = self._counted.setdefault(alarm_id, [])
        if row not in rows:
            rows.append(row)
        if end_us is None:
            self._lasting.setdefault(row, set()).add(alarm_id)
        else:
            self._last_ends[row] = max(self._last_ends.get(row, end_us), end_us)
        if alarm_id in self._waiting:
            self._waiting.discard(alarm_id)
            self.found[alarm_id] = row
        if (place := self._waiting_here.pop(alarm_id, None)) is not None:
            self.counted_to[place] = row

    def _write(self, before: Alarm | None, after: Alarm, what: What, arrival: Arrival) -> None:
        self._rows[after.alarm_id] = after
        if after.open_key is not None:
            self._open[after.open_key] = after.alarm_id
        self.changes.append(Changed(before, after, what, self._actor, arrival.stored_at_us))
