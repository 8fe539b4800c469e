"""What the desk hears of fires: one alarm for each, its evidence as comments, and silence over its detectors' alarms.

All of it follows from how fires, evidence and alarms stand, so it is done again without harm, and what could not be
done now (an alarm that somebody holds) is found again by the next change of that alarm.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, select

from cloud.areas.chunks import chunked
from cloud.areas.places import Place
from cloud.database.detection_tables import fire, fire_evidence
from cloud.database.tables import occurrence
from cloud.desk.changes import DESK, Changed, What
from cloud.desk.controls import find_silences, lock_controls
from cloud.desk.core import URGENCY, Alarm, ClosingCode, lived
from cloud.desk.keeping import keep, to_alarm
from cloud.desk.life import Event
from cloud.desk.own import OWN_GATEWAY, Said, say
from cloud.desk.watch_followers import given_back
from cloud.fire.detection import Certainty, Detection, Sign
from cloud.fire.detection_reading import FIRE_DEVICE, FIRE_SOURCE
from cloud.fire.detection_store import POINT, RULE, Fire, source_of, to_fire
from cloud.settings import Desk
from contract.alarms import AlarmEvent, Transition

KIND = "fire"
MOST_COMMENTS = 20
"""So many pieces of evidence are told one by one in a transaction."""
_ROUNDS_TO = 5

_SIGNS = {
    Sign.SMOKE: ("smoke", "烟雾"),
    Sign.HEAT: ("heat", "高温"),
    Sign.FLAME: ("flame", "火焰"),
    Sign.FIRE: ("fire detector", "火警"),
    Sign.TEMPERATURE: ("temperature", "温度"),
}
_CERTAINTIES = {
    Certainty.OBSERVED: ("confirmed", "已确认"),
    Certainty.LIKELY: ("likely", "很可能"),
    Certainty.POSSIBLE: ("possible", "可能"),
}


class Touched(Struct, frozen=True):
    """A fire that something has happened to.

    Attributes:
        after: as it is now, but for what this module notes of its alarm.
        evidence: all of it.
        new: what has just joined.
        notes: what else is to be said in the history of its alarm.
    """

    after: Fire
    evidence: tuple[Detection, ...]
    new: tuple[Detection, ...] = ()
    notes: tuple[str, ...] = ()


def tell(connection: Connection, touched: Sequence[Touched], *, desk: Desk, now_us: int) -> list[Fire]:
    """Raise, retrigger, clear and comment fires' own alarms, and let the alarms of their detectors follow.

    Args:
        connection: a transaction for writing that holds the rows of these fires.
        touched: fires that are none of the merged ones, and those that have just been merged into them.
        desk: its settings.
        now_us: the clock.

    Returns:
        The fires with what is noted of their alarms; the caller keeps them.
    """
    lock_controls(connection, shared=True)
    concerned = sorted({one.occurrence for fire_ in touched for one in fire_.evidence})
    followers = _lock_followers(connection, concerned)
    _own_alarms(connection, [one.after for one in touched], locked=True)
    said: list[Said] = []
    after: list[Fire] = []
    for one in touched:
        events, now = _events(one, now_us)
        place = Place(one.after.site, one.after.area, one.after.area_path)
        said += [Said(event, place) for event in events]
        after.append(now)
    say(connection, said, desk=desk, now_us=now_us)
    own = _own_alarms(connection, after)
    changes = _comments(touched, own, now_us)
    changes += _closed_as_merged(after, own, now_us)
    keep(connection, changes)
    _follow(connection, followers, {one.id: one for one in after}, own, now_us)
    return after


def follow_ended(connection: Connection, ended: Fire, occurrences: Collection[str], *, now_us: int) -> None:
    """Give the alarms of a fire that takes no more evidence their voice back, or close them with it."""
    lock_controls(connection, shared=True)
    followers = _lock_followers(connection, occurrences)
    _follow(connection, followers, {ended.id: ended}, _own_alarms(connection, [ended]), now_us)


def find_own_alarms(connection: Connection, fires: Iterable[Fire]) -> dict[str, Alarm]:
    """Find the latest occurrence of the own alarm of each fire that has one."""
    return _own_alarms(connection, fires)


def words_of(one: Fire) -> dict[str, str]:
    """Say what a fire is, in a line, by language; the confidence is rounded to what it is good for."""
    percent = _ROUNDS_TO * round(one.confidence * 100 / _ROUNDS_TO)
    certain = _CERTAINTIES[one.certainty]
    english = ", ".join(_SIGNS[sign][0] for sign in one.signs)
    chinese = "、".join(_SIGNS[sign][1] for sign in one.signs)
    count = len(one.towers)
    towers = "1 tower" if count == 1 else f"{count} towers"
    return {
        "en": f"Fire {certain[0]} ({percent} %): {english} at {towers}",
        "zh": f"火情{certain[1]}（{percent}%）：{count}座瞭望塔报{chinese}",
    }


def _events(one: Touched, now_us: int) -> tuple[list[AlarmEvent], Fire]:
    """What a fire's alarm has to say, and the fire with that noted."""
    now = one.after
    if not now.told or (now.ended_at_us is not None and now.merged_into is None):
        return [], now
    stands = now.cleared_at_us is None and now.merged_into is None
    began_us = now.alarm_raised_at_us
    events: list[AlarmEvent] = []
    if began_us is None or (stands and not now.alarm_stands):
        if now.merged_into is not None:
            return [], now
        # A further raise is another one, whatever the detectors' clocks say.
        began_us = now.began_at_us if began_us is None else max(now.last_at_us, began_us + 1)
        now = msgspec.structs.replace(now, alarm_raised_at_us=began_us, alarm_stands=True, alarm_severity=now.urgency)
        events.append(_event(now, Transition.RAISED, began_us))
    elif stands and now.alarm_severity is not None and URGENCY[now.urgency] < URGENCY[now.alarm_severity]:
        now = msgspec.structs.replace(now, alarm_severity=now.urgency)
        events.append(_event(now, Transition.RETRIGGERED, max(now_us, began_us)))
    if now.alarm_stands and not stands:
        over_us = now_us if now.cleared_at_us is None else now.cleared_at_us
        events.append(_event(now, Transition.CLEARED, max(over_us, began_us)))
        now = msgspec.structs.replace(now, alarm_stands=False)
    return events, now


def _event(one: Fire, transition: Transition, at_us: int) -> AlarmEvent:
    return AlarmEvent(
        gateway=OWN_GATEWAY,
        device=f"{FIRE_DEVICE}{one.id}",
        point=POINT,
        rule=RULE,
        transition=transition,
        raised_at_us=one.alarm_raised_at_us or at_us,
        at_us=at_us,
        kind=KIND,
        severity=one.urgency,
        text=words_of(one),
        value=one.confidence,
        unit="/",
        mode=one.mode,
    )


def _own_alarms(connection: Connection, fires: Iterable[Fire], *, locked: bool = False) -> dict[str, Alarm]:
    of_source = {one.source: one.id for one in fires}
    found: dict[str, Alarm] = {}
    for some in chunked(sorted(of_source)):
        query = select(occurrence).where(occurrence.c.source.in_(some))
        query = query.order_by(occurrence.c.raised_at_us, occurrence.c.alarm_id)
        for row in connection.execute(query.with_for_update() if locked else query).mappings():
            found[of_source[row["source"]]] = to_alarm(row)
    return found


def _comments(touched: Sequence[Touched], own: Mapping[str, Alarm], now_us: int) -> list[Changed]:
    changes: list[Changed] = []
    for one in touched:
        alarm = own.get(one.after.id)
        # What it was raised by, its text says.
        if alarm is None or one.after.alarm_raised_at_us is None:
            continue
        words = [_evidence_words(new) for new in one.new[:MOST_COMMENTS]]
        if len(one.new) > MOST_COMMENTS:
            words.append(f"and {len(one.new) - MOST_COMMENTS} more")
        if words:
            words[-1] += f"; confidence {one.after.confidence:.2f}, {len(one.after.towers)} towers"
        changes += [Changed(alarm, alarm, What.COMMENTED, DESK, now_us, why) for why in (*words, *one.notes)]
    return changes


def _evidence_words(one: Detection) -> str:
    looked = "" if one.bearing_deg is None else f", bearing {one.bearing_deg:g} deg"
    return f"evidence: {one.sign.value} at {one.source}, raised at {one.raised_at_us} us{looked}"


def _closed_as_merged(fires: Iterable[Fire], own: Mapping[str, Alarm], now_us: int) -> list[Changed]:
    changes: list[Changed] = []
    for one in fires:
        alarm = own.get(one.id)
        if one.merged_into is None or alarm is None or not alarm.is_open:
            continue
        why = f"it is the same fire as {source_of(one.merged_into)}"
        changes.append(Changed(alarm, _closed(alarm, ClosingCode.UNKNOWN, DESK.name, why, now_us), What.CLOSED, DESK,
                               now_us, why))  # fmt: skip
    return changes


def _closed(alarm: Alarm, code: ClosingCode, by: str, comment: str, now_us: int) -> Alarm:
    seen = {"acknowledged_at_us": now_us, "acknowledged_by": by}
    if alarm.first_acknowledged_at_us is None:
        seen["first_acknowledged_at_us"] = now_us
    acknowledged = lived(alarm, Event.ACKNOWLEDGE, **seen) or alarm
    return msgspec.structs.replace(
        acknowledged,
        closed_at_us=now_us,
        closed_by=by,
        closing_code=code,
        comment=comment,
        latched=False,
        shelved_until_us=None,
        suppressed_by=None,
        out_of_service=False,
    )


def _lock_followers(connection: Connection, occurrences: Collection[str]) -> list[Alarm]:
    """Read and hold the open ones; one that somebody holds is done after what he does."""
    found: list[Alarm] = []
    for some in chunked(sorted(occurrences)):
        query = select(occurrence).where(occurrence.c.alarm_id.in_(some), occurrence.c.closed_at_us.is_(None))
        query = query.order_by(occurrence.c.alarm_id).with_for_update(skip_locked=True)
        found += [to_alarm(row) for row in connection.execute(query).mappings()]
    return found


def _follow(
    connection: Connection,
    followers: Sequence[Alarm],
    known: Mapping[str, Fire],
    own: Mapping[str, Alarm],
    now_us: int,
) -> None:
    """Suppress the alarms of a fire's detectors while it speaks for them; close or give back what it let go."""
    fire_of = _fires_of(connection, followers, known)
    changes: list[Changed] = []
    freed: list[Alarm] = []
    for alarm in followers:
        found = fire_of.get(alarm.alarm_id)
        reason = found.source if found is not None and found.speaks else None
        is_ours = alarm.suppressed_by is not None and alarm.suppressed_by.startswith(FIRE_SOURCE)
        if alarm.suppressed_by == reason or (alarm.suppressed_by is not None and not is_ours):
            continue
        if reason is not None:
            after = (
                msgspec.structs.replace(alarm, suppressed_by=reason)
                if is_ours
                else lived(alarm, Event.SUPPRESS, suppressed_by=reason)
            )
            if after is not None:
                changes.append(Changed(alarm, after, What.SUPPRESSED, DESK, now_us, reason))
            continue
        end = None if found is None else own.get(found.id)
        if alarm.cleared_at_us is not None and end is not None and end.closing_code is not None:
            why = f"closed with {end.source}: {end.comment or ''}"
            closed = _closed(alarm, end.closing_code, end.closed_by or DESK.name, why, now_us)
            changes.append(Changed(alarm, closed, What.CLOSED, DESK, now_us, why))
        else:
            freed.append(alarm)
    controls = find_silences(connection, {alarm.source for alarm in freed})
    changes += [given_back(alarm, controls[alarm.source].suppressed_by, now_us) for alarm in freed]
    keep(connection, changes)


def _fires_of(connection: Connection, alarms: Sequence[Alarm], known: Mapping[str, Fire]) -> dict[str, Fire]:
    """Find of each alarm the fire that its latest raise is evidence of."""
    newest: dict[str, str] = {}
    for some in chunked([alarm.alarm_id for alarm in alarms]):
        at = fire_evidence.c
        query = select(at.occurrence, at.fire).where(at.occurrence.in_(some)).order_by(at.raised_at_us, at.id)
        newest |= {row.occurrence: row.fire for row in connection.execute(query)}
    missing = sorted(set(newest.values()) - known.keys())
    others: dict[str, Fire] = defaultdict()
    for some in chunked(missing):
        rows = connection.execute(select(fire).where(fire.c.id.in_(some))).mappings()
        others |= {row["id"]: to_fire(row) for row in rows}
    found = dict(known) | others
    return {alarm_id: found[fire_id] for alarm_id, fire_id in newest.items()}
