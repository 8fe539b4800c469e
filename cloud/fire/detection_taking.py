"""News of detectors into fires, in one transaction: found, joined, merged, told.

Whoever does it holds the cursor of the history, and then the fires near the news, in the order of their ids: so two
workers never make two fires of one, and nobody's judgement is passed over.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

import msgspec
from sqlalchemy import Connection, select

from cloud.areas.places import find_places
from cloud.database.tables import cursor
from cloud.desk.core import Alarm, ClosingCode
from cloud.desk.following import take_changes
from cloud.feed.measures import line_of, put
from cloud.fire.cap_store import follow_fires
from cloud.fire.detection import Detection, Reach, assess, group
from cloud.fire.detection_reading import NOW_US, read_news
from cloud.fire.detection_settings import Detection as DetectionSettings
from cloud.fire.detection_store import (
    Fire,
    Judgement,
    assessed,
    evidence_of,
    find_known,
    find_near,
    found_fire,
    keep_evidence,
    keep_fires,
    keep_surroundings,
    lock_fires,
    move_evidence,
    update_evidence,
)
from cloud.fire.detection_telling import Touched, find_own_alarms, follow_ended, tell
from cloud.influx.schema import path_tag
from cloud.settings import Settings
from contract.alarms import Mode

CURSOR = "fires"
AT_ONCE = 100
"""So many changes in a transaction: it holds the history of alarms, and the desk's intake waits for that."""


def reach_of(settings: DetectionSettings) -> Reach:
    """Take from the settings how far apart two detections of one fire may lie."""
    return Reach(reach_m=settings.reach_m, window_s=settings.window_s, sight_m=settings.sight_m)


def take_news(connection: Connection, settings: Settings, now_us: int, *, at_once: int = AT_ONCE) -> int:
    """Take the next changes of the history, `at_once` at most, and make of them what they are.

    Returns:
        How many there were.
    """
    changes = take_changes(connection, CURSOR, limit=at_once)
    if not changes:
        return 0
    news = read_news(connection, changes, sites=settings.fire.detection.sites)
    known = find_known(connection, [one.id for one in (*news.fresh, *news.others)])
    update_evidence(connection, [one for one in (*news.fresh, *news.others) if one.id in known])
    new = [one for one in news.fresh if one.id not in known]
    # Fires are held before the desk's rows and the history, which `_settle` goes on to.
    _hold_fires(connection, news.fires, now_us)
    _settle(connection, new, settings, now_us, touched=set(known.values()))
    fires = list(lock_fires(connection, news.fires).values())
    for one in fires:
        _let_go(connection, one, now_us)
    follow_fires(connection, fires, settings=settings, now_us=now_us)
    return len(changes)


def hold_cursor(connection: Connection) -> None:
    """Let nobody else make or merge fires until the commit."""
    connection.execute(select(cursor.c.change_id).where(cursor.c.name == CURSOR).with_for_update())


def take_surroundings(connection: Connection, found: Sequence[Detection], settings: Settings, now_us: int) -> None:
    """Note what was found around detections, which may make one fire of two.

    One that was looked around before its ten minutes were over is looked around once more then.

    Args:
        connection: a transaction for writing that holds the cursor of the history.
        found: known detections with wind, readings and bearing.
        settings: as loaded.
        now_us: the clock.
    """
    for one in found:
        whole_us = one.raised_at_us + NOW_US
        keep_surroundings(connection, one, look_at_us=whole_us if now_us < whole_us else None)
    known = find_known(connection, [one.id for one in found])
    _settle(
        connection, [], settings, now_us, touched=set(known.values()), known=[one for one in found if one.id in known]
    )


def retell(connection: Connection, one: Fire, settings: Settings, now_us: int, *, note: str) -> Fire:
    """Have a fire's alarm follow what a person has said of it; the caller holds its row."""
    evidence = evidence_of(connection, [one.id])[one.id]
    after = tell(connection, [Touched(one, tuple(evidence), notes=(note,))], desk=settings.desk, now_us=now_us)[0]
    keep_fires(connection, [after], known=[one.id])
    return after


def _settle(
    connection: Connection,
    new: Sequence[Detection],
    settings: Settings,
    now_us: int,
    *,
    touched: Collection[str],
    known: Sequence[Detection] = (),
) -> None:
    """Put new detections, and known ones of which more is known, where they belong, and tell what became of it."""
    reach = reach_of(settings.fire.detection)
    near, fire_of = find_near(connection, [*new, *known], reach)
    held = _hold_fires(connection, {*fire_of.values(), *touched}, now_us)
    # One that takes no more evidence joins nothing through what it has.
    near = [one for one in near if held[fire_of[one.id]].ended_at_us is None]
    takes = {one.id: fire_of[one.id] for one in near}
    news = _News({key: held[key] for key in touched if key in held})
    by_id = {one.id: one for one in (*new, *known)}
    for found in group([*new, *(one for one in known if one.id in takes)], near, takes, reach):
        members = [by_id[key] for key in found.new if key not in takes]
        ranked = sorted((held[key] for key in found.fires), key=lambda one: (one.began_at_us, one.id))
        stays = ranked[0] if ranked else _founded(connection, members, reach, now_us)
        news.join(_heir(stays, ranked[1:]), ranked[1:], members, now_us)
    keep_fires(connection, [one for key, one in news.fires.items() if key not in held], known=())
    keep_evidence(connection, news.placed, [by_id[key] for key in news.placed], look_at_us=now_us)
    for one in news.fires.values():
        if one.merged_into is not None and one.ended_at_us == now_us:
            move_evidence(connection, of=one.id, to=one.merged_into)
    if news.fires:
        _weigh(connection, news, settings, now_us)


class _News:
    """What becomes of the fires that some news are about."""

    def __init__(self, fires: dict[str, Fire]) -> None:
        self.fires = fires
        self.joined: dict[str, list[Detection]] = defaultdict(list)
        self.notes: dict[str, list[str]] = defaultdict(list)
        self.placed: dict[str, str] = {}

    def join(self, stays: Fire, merged: Iterable[Fire], members: Sequence[Detection], now_us: int) -> None:
        """Count detections, and fires that turn out to be the same, to one fire."""
        self.fires[stays.id] = stays
        self.joined[stays.id] += members
        self.placed |= {one.id: stays.id for one in members}
        for other in merged:
            self.fires[other.id] = msgspec.structs.replace(other, ended_at_us=now_us, merged_into=stays.id)
            self.notes[stays.id].append(f"{other.source} is the same fire and is counted to this one")


def _founded(connection: Connection, members: Sequence[Detection], reach: Reach, now_us: int) -> Fire:
    """Make a fire of its first detections; it is called after the earliest of them."""
    first, found = members[0], assess(members, reach)
    place = find_places(connection, {(first.gateway, first.device)})[first.gateway, first.device]
    return found_fire(first, found, place, now_us)


def _heir(stays: Fire, merged: Iterable[Fire]) -> Fire:
    """What somebody has seen stays seen."""
    seen = next((one for one in merged if one.judgement is Judgement.CONFIRMED), None)
    if seen is None or stays.judgement is not None:
        return stays
    said = {name: getattr(seen, name) for name in ("judgement", "judged_by", "judged_at_us", "judged_why")}
    return msgspec.structs.replace(stays, **said)


def _weigh(connection: Connection, news: _News, settings: Settings, now_us: int) -> None:
    """Weigh the whole evidence of each fire, tell the desk, and keep and measure what came of it."""
    reach = reach_of(settings.fire.detection)
    evidence = evidence_of(connection, sorted(news.fires))
    touched = [
        Touched(
            assessed(one, assess(evidence[key], reach), now_us) if evidence[key] else one,
            tuple(evidence[key]),
            tuple(news.joined.get(key, ())),
            tuple(news.notes.get(key, ())),
        )
        for key, one in sorted(news.fires.items())
    ]
    after = tell(connection, touched, desk=settings.desk, now_us=now_us)
    keep_fires(connection, after, known=[one.id for one in after])
    lines = [_line(one, len(evidence[one.id]), now_us + number) for number, one in enumerate(after) if one.told]
    put(connection, lines, limit=settings.trades.measures)


def _line(one: Fire, evidence: int, at_us: int) -> bytes | None:
    fields: dict[str, str | float | int | bool | None] = {
        "fire": one.id,
        "confidence": one.confidence,
        "evidence": evidence,
        "towers": len(one.towers),
        "stands": one.alarm_stands,
        "judgement": one.judgement and one.judgement.value,
        "latitude": one.latitude_deg,
        "longitude": one.longitude_deg,
        "radius": one.radius_m,
    }
    tags = {"area": one.area or "", "mode": one.mode.value, "path": path_tag(one.area_path)}
    return line_of("fire", tags, fields, at_us)


def _hold_fires(connection: Connection, ids: Iterable[str], now_us: int) -> dict[str, Fire]:
    """Hold fires until the commit, and end those whose own alarm somebody has closed: they take no more evidence."""
    held = lock_fires(connection, ids)
    alarms = find_own_alarms(connection, [one for one in held.values() if one.ended_at_us is None])
    ended = {
        key: _closed(held[key], alarm, alarm.closed_at_us, now_us)
        for key, alarm in alarms.items()
        if alarm.closed_at_us is not None
    }
    keep_fires(connection, ended.values(), known=ended)
    return held | ended


def _closed(one: Fire, alarm: Alarm, closed_at_us: int, now_us: int) -> Fire:
    """End a fire with its alarm; who closes it as something that was no fire calls it false."""
    ended = msgspec.structs.replace(one, ended_at_us=closed_at_us, alarm_stands=False, changed_at_us=now_us)
    is_drill = alarm.closing_code is ClosingCode.DRILL and one.mode is not Mode.LIVE
    if is_drill or alarm.closing_code in (None, ClosingCode.GENUINE, ClosingCode.UNKNOWN):
        return ended
    return msgspec.structs.replace(
        ended,
        judgement=Judgement.FALSE,
        judged_by=alarm.closed_by,
        judged_at_us=closed_at_us,
        judged_why=alarm.comment,
    )


def _let_go(connection: Connection, one: Fire, now_us: int) -> None:
    """Let a fire that has ended go of its detectors' alarms."""
    if one.merged_into is not None or one.ended_at_us is None:
        return
    found = evidence_of(connection, [one.id])[one.id]
    follow_ended(connection, one, {each.occurrence for each in found}, now_us=now_us)
