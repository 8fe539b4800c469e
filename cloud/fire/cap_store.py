"""CAP messages about fires, kept as they were sent: numbered, each naming those before."""

import hashlib
from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, insert, select

from cloud.areas.chunks import chunked
from cloud.database.area_tables import area, site
from cloud.database.detection_tables import fire, fire_cap
from cloud.database.fire_tables import fire_day, fire_station
from cloud.desk.changes import DESK
from cloud.fire.cap import (
    MOST_REFERENCES,
    MsgType,
    Notice,
    Scope,
    Sent,
    Weather,
    identifier_of,
    status_of,
    to_sent,
    write,
)
from cloud.fire.classes import danger_of
from cloud.fire.detection import Detection
from cloud.fire.detection_store import Fire, Judgement, evidence_of, find_heir, lock_fires
from cloud.geo import Spot, distance_m
from cloud.settings import Settings

RENEWED_AFTER = 0.75
"""Of the time for which a message holds: then the next one is made, though nothing has changed."""
MOST_RENEWED = 20
"""Fires in one transaction."""
# A station farther away stands in other weather.
_FARTHEST_STATION_M = 100_000.0


def issue(
    connection: Connection,
    one: Fire,
    evidence: Sequence[Detection],
    *,
    settings: Settings,
    scope: Scope,
    by: str,
    now_us: int,
) -> str | None:
    """Make and keep the next message about a fire, in the transaction that found the reason; the caller holds its row.

    The first is an Alert, those that follow Updates; of a fire that is none, or is another, a Cancel. One that is
    another has no evidence left: its Cancel names that fire, and says how that one stands.

    Returns:
        Its identifier; None: there is nothing to cancel.
    """
    latest = select(fire_cap).where(fire_cap.c.fire == one.id).order_by(fire_cap.c.number.desc())
    before = connection.execute(latest.limit(MOST_REFERENCES)).all()
    is_none = _is_cancelled(one)
    # After a Cancel begins another story.
    is_first = not before or before[0].msg_type == MsgType.CANCEL.value
    if is_none and is_first:
        return None
    number = before[0].number + 1 if before else 1
    told = one
    if one.merged_into is not None:
        told = find_heir(connection, one)
        evidence = evidence_of(connection, [told.id])[told.id]
    notice = _notice(
        connection,
        one,
        told,
        evidence,
        settings=settings,
        number=number,
        msg_type=MsgType.CANCEL if is_none else MsgType.ALERT if is_first else MsgType.UPDATE,
        scope=scope,
        references=() if is_first else [Sent(row.sender, row.identifier, row.sent) for row in reversed(before)],
        now_us=now_us,
    )
    row = {
        "identifier": notice.identifier,
        "fire": one.id,
        "number": number,
        "sent_at_us": now_us,
        "msg_type": notice.msg_type.value,
        "status": notice.status.value,
        "scope": scope.value,
        "sender": notice.sender,
        "sent": to_sent(now_us, notice.zone),
        "by": by,
        "state": state_of(one),
        "xml": write(notice),
    }
    connection.execute(insert(fire_cap).values(row))
    return notice.identifier


def follow_fires(connection: Connection, fires: Iterable[Fire], *, settings: Settings, now_us: int) -> int:
    """Make the messages that are due, for those who heard of a fire before; returns how many.

    A fire that somebody has closed needs none, unless it was none: whoever heard of it must hear that.
    """
    due = [one for one in fires if one.told and (one.ended_at_us is None or _is_cancelled(one))]
    said: dict[str, str] = {}
    for some in chunked([one.id for one in due]):
        query = select(fire_cap.c.fire, fire_cap.c.state).where(fire_cap.c.fire.in_(some)).order_by(fire_cap.c.number)
        said |= {row.fire: row.state for row in connection.execute(query)}
    due = [one for one in due if said.get(one.id) != state_of(one)]
    evidence = evidence_of(connection, [one.id for one in due])
    for one in due:
        # Whoever heard of a fire must hear of its end, or where it is told from now on.
        scope = (last_scope(connection, one.id) if _is_cancelled(one) else None) or Scope.PRIVATE
        by = one.judged_by if one.judgement is Judgement.FALSE and one.judged_by else DESK.name
        issue(connection, one, evidence[one.id], settings=settings, scope=scope, by=by, now_us=now_us)
    return len(due)


def renew(connection: Connection, *, settings: Settings, now_us: int) -> int:
    """Say again, before it runs out, what was said of fires that burn on without news; returns how many messages.

    To those who are addressed alone: in public a person speaks, each time.

    Args:
        connection: a transaction for writing.
        settings: as loaded.
        now_us: the clock.
    """
    sent = func.max(fire_cap.c.sent_at_us)
    until_us = now_us - round(RENEWED_AFTER * settings.fire.detection.cap_expires_s * 1e6)
    burning = (fire.c.ended_at_us.is_(None), fire.c.cleared_at_us.is_(None), fire.c.told)
    query = select(fire.c.id).join(fire_cap, fire_cap.c.fire == fire.c.id).where(*burning).group_by(fire.c.id)
    query = query.having(sent <= until_us).order_by(sent, fire.c.id).limit(MOST_RENEWED)
    fires = lock_fires(connection, connection.execute(query).scalars().all())
    # What has become of it before the lock was had is said by whoever held it.
    due = [one for one in fires.values() if one.ended_at_us is None and one.cleared_at_us is None]
    due = [one for one in due if not _is_cancelled(one)]
    evidence = evidence_of(connection, [one.id for one in due])
    for one in due:
        by = DESK.name
        issue(connection, one, evidence[one.id], settings=settings, scope=Scope.PRIVATE, by=by, now_us=now_us)
    return len(due)


def _is_cancelled(one: Fire) -> bool:
    """Tell whether what was said of a fire holds no longer: it is none, or another."""
    return one.judgement is Judgement.FALSE or one.merged_into is not None


def state_of(one: Fire) -> str:
    """Name how a fire stands, as far as those who heard of it must know."""
    facts = (one.towers, one.alarm_stands, one.alarm_severity, one.judgement, one.merged_into)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:24]


def last_scope(connection: Connection, fire_id: str) -> Scope | None:
    """Tell the widest scope of the messages about a fire: who heard of it must hear of its end; None: nobody did."""
    found = set(connection.execute(select(fire_cap.c.scope).where(fire_cap.c.fire == fire_id).distinct()).scalars())
    return None if not found else Scope.PUBLIC if Scope.PUBLIC.value in found else Scope.PRIVATE


def _notice(
    connection: Connection,
    one: Fire,
    told: Fire,
    evidence: Sequence[Detection],
    *,
    settings: Settings,
    number: int,
    msg_type: MsgType,
    scope: Scope,
    references: Sequence[Sent],
    now_us: int,
) -> Notice:
    """Put together all that the message with that number says: in the name of one fire, of what is `told`."""
    detection = settings.fire.detection
    return Notice(
        identifier=identifier_of(detection.sender, one.id, number),
        sender=detection.sender,
        sent_at_us=now_us,
        expires_at_us=now_us + round(detection.cap_expires_s * 1e6),
        zone=ZoneInfo(settings.desk.timezone),
        status=status_of(one.mode, told.towers, detection.simulated_gateways),
        msg_type=msg_type,
        scope=scope,
        addresses=detection.addresses or (detection.sender,),
        references=references,
        fire=one.id,
        began_at_us=told.began_at_us,
        is_over=told.cleared_at_us is not None,
        certainty=told.certainty,
        confidence=told.confidence,
        place=_place_of(connection, told),
        latitude_deg=told.latitude_deg,
        longitude_deg=told.longitude_deg,
        radius_m=told.radius_m,
        evidence=evidence,
        weather=_weather(connection, told, settings),
        merged_into=None if told is one else told.id,
    )


def _place_of(connection: Connection, one: Fire) -> str:
    """Say where in words: the area, and the site of the tower that it was found by."""
    names = [
        connection.execute(select(table.c.name).where(table.c.id == key)).scalar_one_or_none()
        for table, key in ((area, one.area), (site, one.site))
        if key is not None
    ]
    return " ".join(name for name in names if name) or "-"


def _weather(connection: Connection, one: Fire, settings: Settings) -> Weather | None:
    """Find the latest index of the nearest station."""
    spot = Spot(one.latitude_deg, one.longitude_deg)
    at = fire_station.c
    # A degree of latitude is 111 km.
    near = at.latitude_deg.between(spot.latitude_deg - 1.0, spot.latitude_deg + 1.0)
    stations = connection.execute(select(at.id, at.latitude_deg, at.longitude_deg).where(near)).all()
    ranked = sorted((distance_m(spot, Spot(row.latitude_deg, row.longitude_deg)), row.id) for row in stations)
    for far_m, station in ranked[:3]:
        query = select(fire_day.c.fwi).where(fire_day.c.station == station, fire_day.c.fwi.is_not(None))
        fwi = connection.execute(query.order_by(fire_day.c.day.desc()).limit(1)).scalar_one_or_none()
        if fwi is not None and far_m <= _FARTHEST_STATION_M:
            return Weather(station, fwi, danger_of(fwi, settings.fire.scheme).word)
    return None
