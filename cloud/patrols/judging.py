"""Tours that are due: judged, their history written, what is missed said to the desk, what came of it to InfluxDB."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, and_, delete, insert, select, update

from cloud.areas.chunks import chunked
from cloud.areas.places import Place
from cloud.database.patrol_tables import (
    patrol_fix,
    patrol_point,
    patrol_sync,
    patrol_tour,
    patrol_tour_wand,
    patrol_verdict,
    patrol_visit,
    patrol_wake,
)
from cloud.desk.changes import DESK
from cloud.desk.operations import comment
from cloud.desk.own import Said, say
from cloud.feed import measures
from cloud.influx.schema import label_of, path_tag
from cloud.patrols.lone import Sign, end_watches_of, take_signs
from cloud.patrols.plans import Tour
from cloud.patrols.saying import Standing, Words, silent_event, tour_news
from cloud.patrols.staying import Fix, stays
from cloud.patrols.taking import carriers_at, lock_sync, wand_place
from cloud.patrols.verdicts import (
    VISITED,
    ExtraVerdict,
    Heard,
    Judged,
    Patience,
    Visit,
    VisitVerdict,
    choose_tour,
    judge,
)
from cloud.settings import Settings

TOURS_AT_ONCE = 50
_SECOND_US = 1_000_000
Row = Mapping[Any, Any]


class TourState(StrEnum):
    """How a tour stands, of what was heard; stored."""

    PLANNED = "planned"
    """Never looked at."""
    OPEN = "open"
    """A window is not over."""
    WAITING = "waiting"
    """All windows are over, and something may still be uploaded."""
    UNHEARD = "unheard"
    """A wand is silent: nobody knows."""
    MISSED = "missed"
    """Something is missed."""
    DONE = "done"
    """Every point was visited."""


class _Looked(Struct):
    """A tour that was looked at."""

    row: Row
    tour: Tour
    judged: Judged
    due_us: int | None
    by_gps: Sequence[Visit]


def judge_due(connection: Connection, settings: Settings, *, now_us: int) -> int:
    """Judge some tours that are due; those that another worker has in hand are left to it.

    Returns:
        How many were judged.
    """
    rows = _take_due(connection, now_us)
    if not rows:
        return 0
    looked = _look(connection, rows, settings, now_us)
    for one in looked:
        _write(connection, one, now_us)
    signs = _signs(connection, looked, settings)
    ended = take_signs(connection, signs, settings=settings, now_us=now_us) if signs else []
    done = [one.row["id"] for one in looked if state_of(one.judged) is TourState.DONE]
    ended += end_watches_of(connection, done, settings=settings, now_us=now_us)
    _tell(connection, looked, ended, settings, now_us)
    return len(rows)


def state_of(judged: Judged) -> TourState:
    """Sum up what is said of a tour: the worst that is sure, else what is waited for."""
    said = {one.verdict for one in judged.stops}
    for verdict, state in (
        (VisitVerdict.MISSED, TourState.MISSED),
        (VisitVerdict.OPEN, TourState.OPEN),
        (VisitVerdict.PENDING, TourState.WAITING),
        (VisitVerdict.UNHEARD, TourState.UNHEARD),
    ):
        if verdict in said:
            return state
    return TourState.DONE


def gps_visits(
    fixes: Iterable[tuple[str, Fix]], tours: Collection[Tour], stay_s: Mapping[str, int], gap_s: int
) -> dict[str, list[Visit]]:
    """Find the visits that positions make, by tour: each position belongs to one tour at most, as a visit does.

    Args:
        fixes: with their wands.
        tours: all that may have any of them: what is judged with them changes nothing.
        stay_s: by point, how long a stay must last.
        gap_s: a longer silence, or absence, ends a stay.
    """
    given: dict[tuple[str, str], list[Fix]] = {}
    for wand, fix in fixes:
        if (tour := choose_tour(Visit(fix.at_us, "", fix.point, wand), tours)) is not None:
            given.setdefault((tour.id, wand), []).append(fix)
    points = {tour.id: {stop.point for stop in tour.stops} for tour in tours}
    found: dict[str, list[Visit]] = {}
    for (tour_id, wand), some in sorted(given.items()):
        for stay in stays([fix for fix in some if fix.point in points[tour_id]], stay_s, gap_s=gap_s):
            id_ = hashlib.sha256(f"gps|{wand}|{stay.point}|{stay.at_us}".encode()).hexdigest()[:24]
            found.setdefault(tour_id, []).append(Visit(stay.at_us, id_, stay.point, wand))
    return found


def _take_due(connection: Connection, now_us: int) -> Sequence[Row]:
    """Lock the tours of which there is news, and some whose time has come.

    News is taken away before the visits are read: what comes while they are judged is news again.
    """
    query = select(patrol_wake.c.id, patrol_wake.c.tour).order_by(patrol_wake.c.id).limit(TOURS_AT_ONCE)
    news = connection.execute(query.with_for_update(skip_locked=True)).all()
    connection.execute(delete(patrol_wake).where(patrol_wake.c.id.in_([one.id for one in news])))
    woken = select(patrol_tour).where(patrol_tour.c.id.in_({one.tour for one in news})).order_by(patrol_tour.c.id)
    # Of two workers with news of one tour the second waits, and sees then what the first has made of it.
    rows = list(connection.execute(woken.with_for_update()).mappings())
    due = select(patrol_tour).where(patrol_tour.c.due_us <= now_us).order_by(patrol_tour.c.due_us, patrol_tour.c.id)
    due = due.limit(TOURS_AT_ONCE - len(rows)).with_for_update(skip_locked=True)
    have = {row["id"] for row in rows}
    return rows + [row for row in connection.execute(due).mappings() if row["id"] not in have]


def _look(connection: Connection, rows: Sequence[Row], settings: Settings, now_us: int) -> list[_Looked]:
    tours = {row["id"]: msgspec.convert(row["tour"], Tour) for row in rows}
    visits, by_gps = _visits(connection, tours), _visits_by_gps(connection, tours, settings)
    for id_ in visits:
        visits[id_] += by_gps.get(id_, [])
    wands = {wand for tour in tours.values() for wand in tour.wands}
    wands |= {one.wand for some in visits.values() for one in some if one.wand is not None}
    heard, settling_us = _heard(connection, wands, settings, now_us)
    ours = settings.patrols
    patience = Patience(ours.grace_s * _SECOND_US, ours.silent_after_s * _SECOND_US)
    found = []
    for row in rows:
        tour = tours[row["id"]]
        judged = judge(tour, visits[tour.id], heard, now_us=now_us, patience=patience)
        dues = [judged.due_us] if judged.due_us is not None else []
        if judged.waits:
            dues += [settling_us[wand] for wand in wands if wand in settling_us]
        found.append(_Looked(row, tour, judged, min(dues, default=None), by_gps.get(tour.id, [])))
    return found


def _visits(connection: Connection, tours: Mapping[str, Tour]) -> dict[str, list[Visit]]:
    found: dict[str, list[Visit]] = {one: [] for one in tours}
    for row in connection.execute(select(patrol_visit).where(patrol_visit.c.tour.in_(list(tours)))).mappings():
        found[row["tour"]].append(Visit(row["visited_at_us"], row["id"], row["point"], row["wand"], row["person"]))
    return found


def _visits_by_gps(connection: Connection, tours: Mapping[str, Tour], settings: Settings) -> dict[str, list[Visit]]:
    """Find what positions make of some tours, and of those that may have the same positions."""
    mine, other = patrol_tour_wand, patrol_tour_wand.alias()
    is_caught = and_(patrol_fix.c.at_us >= mine.c.catch_from_us, patrol_fix.c.at_us < mine.c.catch_until_us)
    caught = patrol_fix.join(mine, and_(patrol_fix.c.wand == mine.c.wand, is_caught))
    query = select(patrol_fix).distinct().select_from(caught).where(mine.c.tour.in_(list(tours)))
    fixes = [(row.wand, Fix(row.at_us, row.point)) for row in connection.execute(query)]
    if not fixes:
        return {}
    meets = and_(other.c.catch_from_us < mine.c.catch_until_us, other.c.catch_until_us > mine.c.catch_from_us)
    rivals = select(other.c.tour).join(mine, and_(other.c.wand == mine.c.wand, meets))
    rivals = rivals.where(mine.c.tour.in_(list(tours)), other.c.tour.not_in(list(tours)))
    query = select(patrol_tour.c.tour).where(patrol_tour.c.id.in_(rivals))
    others = [msgspec.convert(row, Tour) for row in connection.execute(query).scalars()]
    stay_s: dict[str, int] = {}
    for some in chunked(sorted({fix.point for _wand, fix in fixes})):
        columns = patrol_point.c.id, patrol_point.c.stay_s
        wanted = select(*columns).where(patrol_point.c.id.in_(some))
        stay_s |= {row.id: row.stay_s for row in connection.execute(wanted)}
    return gps_visits(fixes, [*tours.values(), *others], stay_s, settings.patrols.gps_gap_s)


def _signs(connection: Connection, looked: Sequence[_Looked], settings: Settings) -> list[Sign]:
    """Visits by GPS that were not known before: whoever made them lives. Those of wands were told when they came."""
    new: list[tuple[str, Visit]] = []
    for one in looked:
        before = None if one.row["judged"] is None else msgspec.convert(one.row["judged"], Judged)
        known = set() if before is None else {stop.visit for stop in before.stops} | {id_ for id_, _ in before.extras}
        new += [(one.tour.id, visit) for visit in one.by_gps if visit.id not in known]
    people = carriers_at(connection, [visit for _tour, visit in new], ZoneInfo(settings.desk.timezone)) if new else {}
    return [
        Sign(visit.at_us, visit.point or "gps", visit.wand, people.get(visit.id), tour)
        for tour, visit in sorted(new, key=lambda pair: pair[1].at_us)
    ]


def _heard(connection: Connection, wands: set[str], settings: Settings, now_us: int) -> tuple[Heard, dict[str, int]]:
    """Tell how far each wand has been read out for sure, and when more of it will be."""
    until_us: dict[str, int] = {}
    settling_us: dict[str, int] = {}
    settle_us = settings.patrols.settle_s * _SECOND_US
    for some in chunked(sorted(wands)):
        for row in connection.execute(select(patrol_sync).where(patrol_sync.c.wand.in_(some))).mappings():
            settled = [at_us for at_us, received_us in row["recent"] if received_us + settle_us <= now_us]
            coming = [received_us + settle_us for _, received_us in row["recent"] if received_us + settle_us > now_us]
            if settled:
                until_us[row["wand"]] = max(settled)
            if coming:
                settling_us[row["wand"]] = min(coming)
    return Heard(until_us), settling_us


def _write(connection: Connection, one: _Looked, now_us: int) -> None:
    before = None if one.row["judged"] is None else msgspec.convert(one.row["judged"], Judged)
    was = {} if before is None else {stop.position: stop for stop in before.stops}
    changes = []
    for stop in one.judged.stops:
        old = was.get(stop.position)
        if (old is None and stop.verdict is VisitVerdict.OPEN) or (
            old is not None and (old.verdict, old.visit) == (stop.verdict, stop.visit)
        ):
            continue
        changes.append({
            "tour": one.row["id"], "position": stop.position, "at_us": now_us,
            "before": None if old is None else old.verdict.value, "after": stop.verdict.value,
            "visit": stop.visit, "visited_at_us": stop.visited_at_us,
        })  # fmt: skip
    if changes:
        connection.execute(insert(patrol_verdict), changes)
    values = {
        "judged": msgspec.to_builtins(one.judged),
        "due_us": one.due_us,
        "waits": one.judged.waits,
        "state": state_of(one.judged).value,
    }
    connection.execute(update(patrol_tour).where(patrol_tour.c.id == one.row["id"]).values(values))


def _tell(
    connection: Connection, looked: Sequence[_Looked], ended: Sequence[Said], settings: Settings, now_us: int
) -> None:
    """Say what is news at the desk, and put the tours whose windows are over into InfluxDB."""
    said: list[Said] = list(ended)
    comments: list[tuple[str, str]] = []
    names = _names(connection, looked)
    for one in looked:
        row = one.row
        standing = msgspec.convert(row["alarms"], dict[str, Standing])
        words = Words(row["name"], _when(one.tour, settings), names)
        news = tour_news(one.tour, one.judged, standing, words=words, tell_late=row["tell_late"], now_us=now_us)
        place = Place(row["site"], row["area"], row["area_path"])
        said += [Said(event, place) for event in news.events]
        comments += news.comments
        if news.standing != standing:
            alarms = msgspec.to_builtins(news.standing)
            connection.execute(update(patrol_tour).where(patrol_tour.c.id == row["id"]).values(alarms=alarms))
    silent_us = settings.patrols.silent_after_s * _SECOND_US
    said += _silent(connection, {wand for one in looked for wand in one.judged.silent}, silent_us, now_us)
    measures.put(connection, [_line(one) for one in looked], limit=settings.trades.measures)
    say(connection, said, desk=settings.desk, now_us=now_us)
    for alarm, words_added in comments:
        comment(connection, alarm, actor=DESK, now_us=now_us, why=words_added)


def _silent(connection: Connection, wands: set[str], silent_us: int, now_us: int) -> list[Said]:
    said = []
    for wand in sorted(wands):
        row = lock_sync(connection, wand)
        # One that was put in just now is not silent, though what it holds has still some time to come.
        if row["silent_raised_at_us"] is None and row["synced_at_us"] + silent_us <= now_us:
            mine = update(patrol_sync).where(patrol_sync.c.wand == wand)
            connection.execute(mine.values(silent_raised_at_us=now_us))
            name, place = wand_place(connection, wand)
            said.append(Said(silent_event(wand, name, raised_at_us=now_us), place))
    return said


def _names(connection: Connection, looked: Sequence[_Looked]) -> dict[str, str]:
    ids = sorted({stop.point for one in looked for stop in one.tour.stops})
    found: dict[str, str] = {}
    for some in chunked(ids):
        query = select(patrol_point.c.id, patrol_point.c.name).where(patrol_point.c.id.in_(some))
        found |= {row.id: row.name for row in connection.execute(query)}
    return found


def _when(tour: Tour, settings: Settings) -> str:
    zone = ZoneInfo(settings.desk.timezone)
    return datetime.fromtimestamp(tour.begins_us // _SECOND_US, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M")


def _line(one: _Looked) -> bytes | None:
    """Write what came of a tour; nothing while a window is open. A correction writes the same line anew."""
    state = state_of(one.judged)
    if any(stop.verdict is VisitVerdict.OPEN for stop in one.judged.stops):
        return None
    counts = dict.fromkeys(VisitVerdict, 0)
    for stop in one.judged.stops:
        counts[stop.verdict] += 1
    is_late = state is TourState.DONE and counts[VisitVerdict.LATE] > 0
    name = one.row["name"]
    fields = {
        "label": label_of(name, one.tour.route),
        "route_name": name,
        "tours": 1,
        "tours_on_time": int(state is TourState.DONE and not is_late),
        "tours_late": int(is_late),
        "tours_missed": int(state is TourState.MISSED),
        "planned": len(one.judged.stops),
        "visited": sum(counts[verdict] for verdict in VISITED),
        "unplanned": sum(extra is ExtraVerdict.UNPLANNED for _visit, extra in one.judged.extras),
    } | {
        verdict.value.replace("-", "_"): counts[verdict] for verdict in VisitVerdict if verdict is not VisitVerdict.OPEN
    }
    tags = {"area": one.row["area"] or "", "path": path_tag(one.row["area_path"])}
    tags |= {"route": one.tour.route, "plan": one.tour.plan}
    return measures.line_of("patrol", tags, fields, one.tour.begins_us)
