"""Gateways that are lost: an alarm of the desk's own, and the silence of what follows from it."""

from collections.abc import Collection, Mapping, Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, exists, select

from cloud.areas.chunks import chunked
from cloud.database.tables import alarm_event, gateway, occurrence
from cloud.desk import watch_rules as rules
from cloud.desk.changes import DESK, Changed, What
from cloud.desk.controls import find_silences
from cloud.desk.core import Alarm, Arrival, lived
from cloud.desk.keeping import keep, to_alarm
from cloud.desk.life import Event
from cloud.desk.store import apply_events
from cloud.settings import Settings
from contract.alarms import AlarmEvent, Mode, Transition

_LIVE_AND_OPEN = occurrence.c.closed_at_us.is_(None), occurrence.c.open_key.is_not(None)
# The desk's own: `rules.loss_source`.
_IS_LOSS = occurrence.c.source == occurrence.c.gateway + rules.loss_source("")
_IS_RAISE = alarm_event.c.transition == Transition.RAISED.value


class Links(Struct, frozen=True):
    """How the gateways stand.

    Attributes:
        lost: those that count as lost, since when they are offline.
        next_us: when the next one will; None when none is on its way.
        events: what is to be said: first what is over, then what is new.
    """

    lost: Mapping[str, int]
    next_us: int | None
    events: Sequence[AlarmEvent]


def look_at_links(connection: Connection, settings: Settings, now_us: int) -> Links:
    """Compare the gateway table with the alarms that stand. Changes nothing.

    A gateway that the registry of the settings does not name any more is nobody's loss.
    """
    after_us = round(settings.desk.gateway_lost_after_s * 1e6)
    query = select(gateway.c.id, gateway.c.since_us).where(gateway.c.online.is_(False))
    offline = {
        row.id: row.since_us
        for row in connection.execute(query)
        if settings.gateways is None or row.id in settings.gateways
    }
    lost = {one: since_us for one, since_us in offline.items() if since_us + after_us <= now_us}
    coming = [since_us + after_us for one, since_us in offline.items() if one not in lost]
    standing = _standing(connection)
    over = [(one, at_us) for one, at_us in standing if lost.get(one) != at_us]
    births = _births(connection, {one for one, _ in over if one not in offline})
    events = [rules.back(one, at_us, now_us, since_us=births.get(one)) for one, at_us in over]
    news = [rules.lost(one, lost[one]) for one in sorted(lost.keys() - {one for one, at_us in standing})]
    return Links(lost, min(coming, default=None), events + _unsaid(connection, news))


def tell_links(connection: Connection, settings: Settings, now_us: int, *, limit: int) -> int:
    """Raise and clear the alarms of lost gateways; returns how many events were new."""
    events = look_at_links(connection, settings, now_us).events[:limit]
    arrivals = [Arrival(event, received_at_us=now_us, stored_at_us=now_us, late=False) for event in events]
    return apply_events(connection, arrivals, actor=DESK) if arrivals else 0


def clear_closed_losses(connection: Connection, _settings: Settings, now_us: int, *, limit: int) -> int:
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
    arrivals = [Arrival(event, received_at_us=now_us, stored_at_us=now_us, late=False) for event in events]
    return apply_events(connection, arrivals, actor=DESK) if arrivals else 0


def find_silenced(connection: Connection, lost: Collection[str]) -> dict[str, str | None]:
    """Find the alarms that are to be suppressed for another reason than they are. Changes nothing.

    Returns:
        alarm_id -> the source of the reason; None: it is to be heard again.
    """
    query = select(occurrence).where(*_LIVE_AND_OPEN, occurrence.c.kind.in_(rules.FOLLOWS_FROM_LOSS))
    alarms = [to_alarm(row) for row in connection.execute(query).mappings()]
    silences = _silences(connection, alarms, lost)
    return {alarm.alarm_id: reason for alarm, reason in _differing(alarms, silences)}


def silence(connection: Connection, settings: Settings, now_us: int, *, limit: int) -> int:
    """Suppress what follows from a lost gateway or line, and give it back its voice; returns how many changed."""
    lost = look_at_links(connection, settings, now_us).lost
    ids = sorted(find_silenced(connection, lost))[:limit]
    alarms: list[Alarm] = []
    for some in chunked(ids):
        query = select(occurrence).where(*_LIVE_AND_OPEN, occurrence.c.alarm_id.in_(some)).order_by("alarm_id")
        rows = connection.execute(query.with_for_update(skip_locked=True)).mappings()
        alarms += map(to_alarm, rows)
    silences = _silences(connection, alarms, lost)
    differing = _differing(alarms, silences)
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


def _differing(alarms: Sequence[Alarm], silences: rules.Silences) -> list[tuple[Alarm, str | None]]:
    """The alarms whose reason is not the one they should have; what others have suppressed is left to them."""
    wanted = [(alarm, silences.of(alarm)) for alarm in alarms if alarm.suppressed_by is None or rules.is_ours(alarm)]
    return [(alarm, reason) for alarm, reason in wanted if reason != alarm.suppressed_by]


def _silences(connection: Connection, alarms: Sequence[Alarm], lost: Collection[str]) -> rules.Silences:
    """Find the lines that are lost, and what hangs on them, of the gateways of these alarms."""
    named = sorted({alarm.gateway for alarm in alarms if alarm.kind == rules.DEVICE_LOST})
    lines: dict[str, str] = {}
    for some in chunked(named):
        # Closed or not: who has closed the loss of a line does not want to hear of each of its devices.
        stands = occurrence.c.kind == rules.BUS_LOST, occurrence.c.cleared_at_us.is_(None)
        query = select(occurrence.c.source, occurrence.c.gateway).where(*stands, occurrence.c.gateway.in_(some))
        rows = connection.execute(query.where(occurrence.c.mode == Mode.LIVE.value))
        lines |= {row.source: row.gateway for row in rows}
    bus_of: dict[tuple[str, str], str] = {}
    for some in chunked(sorted(set(lines.values()))):
        query = select(gateway.c.id, gateway.c.inventory).where(gateway.c.id.in_(some))
        for one, inventory in connection.execute(query):
            bus_of |= {(one, device["id"]): device.get("bus", "") for device in inventory}
    return rules.Silences(lost, lines, bus_of)


def _standing(connection: Connection) -> list[tuple[str, int]]:
    """The raises of lost gateways that have no clear: gateway and moment."""
    query = (
        select(occurrence.c.gateway, alarm_event.c.at_us)
        .join(alarm_event, alarm_event.c.occurrence == occurrence.c.alarm_id)
        .where(*_LIVE_AND_OPEN, _IS_LOSS, occurrence.c.cleared_at_us.is_(None), _IS_RAISE, ~_has_clear())
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
