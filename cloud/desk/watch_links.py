"""Gateways that are lost: an alarm of the desk's own, and the silence of what follows from it."""

from collections.abc import Collection, Mapping, Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, exists, func, select

from cloud.areas.chunks import chunked
from cloud.database.tables import alarm_event, change, gateway, occurrence
from cloud.desk import watch_rules as rules
from cloud.desk.changes import DESK, Changed, What
from cloud.desk.controls import find_silences, lock_controls
from cloud.desk.core import Alarm, Arrival, lived
from cloud.desk.keeping import keep, to_alarm
from cloud.desk.life import Event
from cloud.desk.store import apply_events
from cloud.settings import Settings
from contract.alarms import AlarmEvent, Transition

_LIVE_AND_OPEN = occurrence.c.closed_at_us.is_(None), occurrence.c.open_key.is_not(None)
# The desk's own: `rules.loss_source`.
_IS_LOSS = tuple(occurrence.c[name] == word for name, word in rules.LOSS.items())
_LOOK_AGAIN_US = 30_000_000
_IS_RAISE = alarm_event.c.transition == Transition.RAISED.value


class Absences(Struct, frozen=True):
    """Which gateways are offline, and since when.

    Attributes:
        lost: those of `offline` that count as lost.
        next_us: when the next one will; None when none is on its way.
    """

    offline: Mapping[str, int]
    lost: Mapping[str, int]
    next_us: int | None


class LinkWatch:
    """Looks closely only when the history or the absences are others than when all was last done."""

    def __init__(self) -> None:
        self._done: tuple[int, Absences] | None = None
        self._looked_us = 0

    def next_us(self, connection: Connection, settings: Settings, now_us: int) -> int | None:
        """Tell when there is something to say or to silence; in the past: now. Changes nothing."""
        absences = find_absences(connection, settings, now_us)
        newest = connection.execute(select(func.coalesce(func.max(change.c.id), 0))).scalar_one()
        # An inventory that came with a birth is in neither.
        is_recent = 0 <= now_us - self._looked_us < _LOOK_AGAIN_US
        if not is_recent or self._done != (newest, absences):
            if find_news(connection, absences, now_us) or find_silenced(connection, absences.lost):
                return now_us
            self._done, self._looked_us = (newest, absences), now_us
        return absences.next_us


def find_absences(connection: Connection, settings: Settings, now_us: int) -> Absences:
    """Read the gateway table. A gateway that the registry of the settings does not name any more is nobody's loss."""
    after_us = round(settings.desk.gateway_lost_after_s * 1e6)
    query = select(gateway.c.id, gateway.c.since_us).where(gateway.c.online.is_(False))
    offline = {
        row.id: row.since_us
        for row in connection.execute(query)
        if settings.gateways is None or row.id in settings.gateways
    }
    lost = {one: since_us for one, since_us in offline.items() if since_us + after_us <= now_us}
    coming = [since_us + after_us for one, since_us in offline.items() if one not in lost]
    return Absences(offline, lost, min(coming, default=None))


def find_news(connection: Connection, absences: Absences, now_us: int) -> list[AlarmEvent]:
    """Compare the absences with the alarms that stand: first what is over, then what is new. Changes nothing."""
    standing = _standing(connection)
    over = [(one, at_us) for one, at_us in standing if absences.lost.get(one) != at_us]
    births = _births(connection, {one for one, _ in over if one not in absences.offline})
    events = [rules.back(one, at_us, now_us, since_us=births.get(one)) for one, at_us in over]
    unheard = sorted(absences.lost.keys() - {one for one, _ in standing})
    return events + _unsaid(connection, [rules.lost(one, absences.lost[one]) for one in unheard])


def tell_links(connection: Connection, settings: Settings, now_us: int, *, limit: int) -> int:
    """Raise and clear the alarms of lost gateways; returns how many events were new."""
    events = find_news(connection, find_absences(connection, settings, now_us), now_us)[:limit]
    return _say(connection, settings, events, now_us)


def clear_closed_losses(connection: Connection, settings: Settings, now_us: int, *, limit: int) -> int:
    """Note when the loss of a gateway ended that somebody has closed before; returns how many."""
    query = (
        select(occurrence.c.gateway, alarm_event.c.at_us, gateway.c.since_us)
        .select_from(gateway)
        .join(occurrence, occurrence.c.source == gateway.c.id + rules.loss_source(""))
        .join(alarm_event, alarm_event.c.occurrence == occurrence.c.alarm_id)
        .where(gateway.c.online.is_(True), occurrence.c.closed_at_us.is_not(None), occurrence.c.cleared_at_us.is_(None))
        .where(_IS_RAISE, ~_has_clear())
        .limit(limit)
    )
    events = [
        rules.back(row.gateway, row.at_us, now_us, since_us=row.since_us) for row in connection.execute(query).all()
    ]
    return _say(connection, settings, events, now_us)


def _say(connection: Connection, settings: Settings, events: Sequence[AlarmEvent], now_us: int) -> int:
    latching = rules.GATEWAY_LOST in settings.desk.latching_kinds
    arrivals = [Arrival(event, now_us, now_us, late=False, latching=latching) for event in events]
    return apply_events(connection, arrivals, actor=DESK) if arrivals else 0


def find_silenced(connection: Connection, lost: Collection[str]) -> list[str]:
    """Find the ids of the alarms that are to be suppressed for another reason than they are. Changes nothing."""
    columns = [occurrence.c[name] for name in rules.Follower.__struct_fields__]
    query = select(*columns).where(*_LIVE_AND_OPEN, occurrence.c.kind.in_(rules.FOLLOWS_FROM_LOSS))
    followers = [rules.Follower(*row) for row in connection.execute(query)]
    silences = _silences(connection, followers, lost)
    return sorted(one.alarm_id for one in followers if silences.differs(one))


def silence(connection: Connection, settings: Settings, now_us: int, *, limit: int) -> int:
    """Suppress what follows from a lost gateway or line, and give it back its voice; returns how many changed."""
    lock_controls(connection, shared=True)
    lost = find_absences(connection, settings, now_us).lost
    ids = find_silenced(connection, lost)[:limit]
    query = select(occurrence).where(*_LIVE_AND_OPEN, occurrence.c.alarm_id.in_(ids)).order_by(occurrence.c.alarm_id)
    rows = connection.execute(query.with_for_update(skip_locked=True)).mappings().all()
    alarms = {rules.Follower.of(alarm): alarm for alarm in map(to_alarm, rows)}
    # They may have changed before they were locked.
    silences = _silences(connection, list(alarms), lost)
    differing = [(alarm, silences.reason(one)) for one, alarm in alarms.items() if silences.differs(one)]
    controls = find_silences(connection, {alarm.source for alarm, _reason in differing})
    changes = [_silenced(alarm, reason or controls[alarm.source].suppressed_by, now_us) for alarm, reason in differing]
    keep(connection, changes)
    return len(changes)


def _silenced(alarm: Alarm, reason: str | None, now_us: int) -> Changed:
    if reason is not None:
        # It may have been suppressed for another reason before, which is none of the life's events.
        after = msgspec.structs.replace(alarm, suppressed_by=reason)
        return Changed(alarm, after, What.SUPPRESSED, DESK, now_us, reason)
    heard = lived(alarm, Event.UNSUPPRESS) or alarm
    return Changed(alarm, heard, What.UNSUPPRESSED, DESK, now_us, alarm.suppressed_by or "")


def _silences(connection: Connection, alarms: Sequence[rules.Follower], lost: Collection[str]) -> rules.Silences:
    """Find the lines that are lost, and what hangs on them, of the gateways of these alarms."""
    query = select(occurrence.c.source, occurrence.c.gateway)
    query = query.where(*_LIVE_AND_OPEN, occurrence.c.kind == rules.BUS_LOST, occurrence.c.cleared_at_us.is_(None))
    lines = {row.source: row.gateway for row in connection.execute(query)}
    # Who has closed the loss of a line does not want to hear of each of its devices instead.
    named = {one.suppressed_by for one in alarms if one.suppressed_by is not None and not one.is_others} - lines.keys()
    for some in chunked(sorted(named - {rules.loss_source(one) for one in lost})):
        closed = select(occurrence.c.source, occurrence.c.gateway).where(occurrence.c.source.in_(some))
        closed = closed.where(occurrence.c.kind == rules.BUS_LOST, occurrence.c.cleared_at_us.is_(None))
        lines |= {row.source: row.gateway for row in connection.execute(closed)}
    concerned = {one.gateway for one in alarms if one.kind == rules.DEVICE_LOST}
    bus_of: dict[tuple[str, str], str] = {}
    for some in chunked(sorted(concerned & set(lines.values()))):
        inventories = select(gateway.c.id, gateway.c.inventory).where(gateway.c.id.in_(some))
        for one, inventory in connection.execute(inventories):
            bus_of |= {(one, device["id"]): device.get("bus", "") for device in inventory}
    return rules.Silences(lost, lines, bus_of)


def _standing(connection: Connection) -> list[tuple[str, int]]:
    """The raises of lost gateways that have no clear: gateway and moment."""
    query = (
        select(occurrence.c.gateway, alarm_event.c.at_us)
        .join(alarm_event, alarm_event.c.occurrence == occurrence.c.alarm_id)
        .where(*_LIVE_AND_OPEN, *_IS_LOSS, occurrence.c.cleared_at_us.is_(None), _IS_RAISE, ~_has_clear())
        .order_by(occurrence.c.gateway, alarm_event.c.at_us)
    )
    return [(row.gateway, row.at_us) for row in connection.execute(query)]


def _has_clear() -> ColumnElement[bool]:
    clear = alarm_event.alias("clear")
    is_its = clear.c.alarm_id == alarm_event.c.alarm_id
    return exists().where(is_its, clear.c.transition == Transition.CLEARED.value)


def _births(connection: Connection, gateways: Collection[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for some in chunked(sorted(gateways)):
        query = select(gateway.c.id, gateway.c.since_us).where(gateway.c.id.in_(some), gateway.c.online.is_(True))
        found |= {row.id: row.since_us for row in connection.execute(query)}
    return found


def _unsaid(connection: Connection, events: Sequence[AlarmEvent]) -> list[AlarmEvent]:
    """Those that are not stored yet: a loss that somebody has closed while it lasts is not said again."""
    said: set[str] = set()
    for some in chunked([event.event_id for event in events]):
        said |= set(
            connection.execute(select(alarm_event.c.event_id).where(alarm_event.c.event_id.in_(some))).scalars()
        )
    return [event for event in events if event.event_id not in said]
