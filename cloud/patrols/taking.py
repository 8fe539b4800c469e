"""What was heard into the database: visits to their tours, hits, and how far wands have been read out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, and_, bindparam, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cloud.areas.chunks import chunked
from cloud.areas.places import Place
from cloud.database.area_tables import area
from cloud.database.patrol_tables import (
    patrol_card,
    patrol_carrier,
    patrol_hit,
    patrol_person,
    patrol_point,
    patrol_stop,
    patrol_sync,
    patrol_tour,
    patrol_tour_wand,
    patrol_visit,
    patrol_wake,
    patrol_wand,
)
from cloud.desk.own import Said
from cloud.patrols.heard import HeardHit, HeardSync, HeardVisit
from cloud.patrols.lone import FUTURE_US, Sign, take_signs
from cloud.patrols.making import find_place
from cloud.patrols.plans import Carrier, Tour, carried_by
from cloud.patrols.rules import carrier_of
from cloud.patrols.saying import silent_event
from cloud.patrols.sheets import card_key
from cloud.patrols.verdicts import Visit, choose_tour
from cloud.settings import Settings

SYNCS_KEPT = 8
_TOURS_AT_ONCE = 100


class Taken(Struct, frozen=True):
    """What became of visits.

    Attributes:
        new, known: how many are new, how many were there already.
        tours: those of the new ones, by id.
        said: what there is to say of people alone; the caller says it when it has locked all that it needs.
    """

    new: int
    known: int
    tours: frozenset[str]
    said: tuple[Said, ...] = ()


def take_visits(connection: Connection, heard: Iterable[HeardVisit], *, settings: Settings, now_us: int) -> Taken:
    """Keep visits, each once however often it comes, and let their tours be judged.

    Args:
        connection: a transaction for writing.
        heard: in any order.
        settings: the time zone of who carries which wand.
        now_us: when they came.
    """
    by_id = {one.id: one for one in heard}
    rows = _visit_rows(connection, by_id, ZoneInfo(settings.desk.timezone), now_us)
    new: set[str] = set()
    for some in chunked(sorted(rows, key=lambda row: str(row["id"]))):
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(patrol_visit).on_conflict_do_nothing().returning(patrol_visit.c.id)
        new.update(connection.execute(statement, list(some)).scalars())
    fresh = [row for row in rows if row["id"] in new]
    tours = assign(connection, [_visit(row) for row in fresh])
    signs = [
        Sign(row["visited_at_us"], f"{row['point'] or row['card']}", row["wand"], row["person"], tours.get(row["id"]))
        for row in fresh
    ]
    said = take_signs(connection, signs, settings=settings, now_us=now_us)
    return Taken(len(new), len(by_id) - len(new), frozenset(tours.values()), tuple(said))


def assign(connection: Connection, visits: Sequence[Visit]) -> dict[str, str]:
    """Give visits to the tours they belong to, and let those be judged; returns tours by visit."""
    found: dict[str, str] = {}
    borrowed: dict[tuple[str, str], Tour] = {}
    for some in chunked(sorted(visits), _TOURS_AT_ONCE):
        by_point, by_wand = _by_words(_candidates(connection, some))
        for visit in some:
            tours = {**by_point.get(visit.point, {}), **by_wand.get(visit.wand, {})}
            if (tour := choose_tour(visit, tours.values())) is not None:
                found[visit.id] = tour.id
                if visit.wand is not None and visit.wand not in tour.wands:
                    borrowed[tour.id, visit.wand] = tour
    _keep_wands(connection, borrowed)
    wake(connection, found.values())
    if found:
        statement = update(patrol_visit).where(patrol_visit.c.id == bindparam("visit_id"))
        pairs = [{"visit_id": visit, "of_tour": tour} for visit, tour in sorted(found.items())]
        connection.execute(statement.values(tour=bindparam("of_tour")), pairs)
    return found


def _keep_wands(connection: Connection, borrowed: Mapping[tuple[str, str], Tour]) -> None:
    """Note that tours are walked with wands that nobody named before: their read-outs are news of them too."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    rows = [
        {"tour": id_, "wand": wand, "catch_from_us": tour.catch_from_us, "catch_until_us": tour.catch_until_us}
        for (id_, wand), tour in sorted(borrowed.items(), key=lambda pair: pair[0])
    ]
    for some in chunked(rows):
        connection.execute(dialect.insert(patrol_tour_wand).on_conflict_do_nothing(), list(some))


def assign_waiting(connection: Connection, *, from_us: int, limit: int) -> None:
    """Give visits that came before their tour was made to it; at most so many, the latest first."""
    query = select(patrol_visit).where(patrol_visit.c.tour.is_(None), patrol_visit.c.visited_at_us >= from_us)
    rows = connection.execute(query.order_by(patrol_visit.c.visited_at_us.desc()).limit(limit)).mappings()
    assign(connection, [_visit(row) for row in rows])


def wake(connection: Connection, tours: Iterable[str]) -> None:
    """Let tours be judged as soon as may be."""
    rows = [{"tour": tour} for tour in sorted(set(tours))]
    if rows:
        connection.execute(insert(patrol_wake), rows)


def take_hits(connection: Connection, heard: Iterable[HeardHit], *, now_us: int) -> None:
    """Keep hits, each once."""
    hits = {(one.origin, one.at_us): one for one in heard}
    wands = find_wands(connection, list(hits.values()))
    rows = [
        {"origin": origin, "hit_at_us": at_us, "wand": wands.get(_key(one)), "received_at_us": now_us}
        for (origin, at_us), one in sorted(hits.items())
    ]
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    for some in chunked(rows):
        connection.execute(dialect.insert(patrol_hit).on_conflict_do_nothing(), list(some))


def take_syncs(connection: Connection, heard: Iterable[HeardSync], *, now_us: int) -> list[Said]:
    """Note how far wands have been read out; what waited for that is judged. Returns what there is to say."""
    # From the future: nobody can tell how far it was read out, and everything of until then would be missed.
    syncs = sorted((one for one in heard if one.at_us <= now_us + FUTURE_US), key=lambda one: one.at_us)
    wands = find_wands(connection, syncs)
    of_wand: dict[str, list[HeardSync]] = {}
    for one in syncs:
        if (wand := wands.get(_key(one))) is not None:
            of_wand.setdefault(wand, []).append(one)
    _wake_waiting(connection, of_wand, now_us)
    return note_syncs(
        connection,
        {
            wand: ([[min(one.at_us, now_us), now_us] for one in some],
                   {"records": some[-1].records, "hits": some[-1].hits, "clock_error_s": some[-1].clock_error_s})
            for wand, some in of_wand.items()
        },
        now_us=now_us,
    )  # fmt: skip


def read_out(connection: Connection, wands: Iterable[str], until_us: int, *, now_us: int) -> list[Said]:
    """Note that all visits of some wands up to a moment have come; what waited for that is judged.

    Returns:
        What there is to say.
    """
    found = sorted(set(wands))
    _wake_waiting(connection, found, now_us)
    # 0: nothing more is to come of it.
    return note_syncs(connection, {wand: ([[until_us, 0]], {}) for wand in found}, now_us=now_us)


def _wake_waiting(connection: Connection, wands: Iterable[str], now_us: int) -> None:
    """Let the tours that wait for some wands be judged."""
    for some in chunked(sorted(wands)):
        mine = patrol_tour_wand.c.wand.in_(some), patrol_tour_wand.c.catch_from_us <= now_us
        waiting = or_(patrol_tour.c.due_us.is_not(None), patrol_tour.c.waits.is_(True))
        query = select(patrol_tour.c.id).join(patrol_tour_wand, patrol_tour_wand.c.tour == patrol_tour.c.id)
        wake(connection, connection.execute(query.where(*mine, waiting)).scalars())


def note_syncs(
    connection: Connection, syncs: Mapping[str, tuple[list[list[int]], dict[str, Any]]], *, now_us: int
) -> list[Said]:
    """Note of each wand moments up to which it was read out, with when that was heard, and what it said beside.

    Returns:
        What there is to say of wands that were silent.
    """
    said: list[Said] = []
    for wand, (moments, told) in sorted(syncs.items()):
        row = lock_sync(connection, wand)
        recent = sorted([*row["recent"], *moments])[-SYNCS_KEPT:]
        latest_us = max(row["synced_at_us"], *(at_us for at_us, _received_us in moments))
        values = {"recent": recent, "synced_at_us": latest_us}
        if latest_us > row["synced_at_us"]:
            values |= told
        raised_us = row["silent_raised_at_us"]
        if raised_us is not None and latest_us > row["synced_at_us"]:
            values["silent_raised_at_us"] = None
            name, place = wand_place(connection, wand)
            said.append(Said(silent_event(wand, name, raised_at_us=raised_us, cleared_at_us=now_us), place))
        connection.execute(update(patrol_sync).where(patrol_sync.c.wand == wand).values(values))
    return said


def lock_sync(connection: Connection, wand: str) -> Mapping[Any, Any]:
    """Lock what is known of a wand's read-outs; a row is made where there is none."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = {"wand": wand, "recent": [], "synced_at_us": 0}
    connection.execute(dialect.insert(patrol_sync).on_conflict_do_nothing(), new)
    return connection.execute(select(patrol_sync).where(patrol_sync.c.wand == wand).with_for_update()).mappings().one()


def wand_place(connection: Connection, wand: str) -> tuple[str, Place]:
    """Tell a wand's name and where it belongs."""
    row = connection.execute(select(patrol_wand).where(patrol_wand.c.id == wand)).one_or_none()
    return (
        ("", find_place(connection, site_id=None, area_id=None))
        if row is None
        else (row.name, find_place(connection, site_id=None, area_id=row.area))
    )


Told = HeardVisit | HeardHit | HeardSync
Key = tuple[str, str, str]


def find_wands(connection: Connection, heard: Sequence[Told]) -> dict[Key, str]:
    """Tell whose wand each was: by its machine, else by the device that was heard. Unknown ones are not in it."""
    by_machine: dict[str, str] = {}
    by_device: dict[tuple[str, str], str] = {}
    machines = sorted({card_key(one.machine) for one in heard if one.machine})
    gateways = sorted({one.gateway for one in heard if one.gateway})
    columns = patrol_wand.c.id, patrol_wand.c.machine, patrol_wand.c.gateway, patrol_wand.c.device
    for some in chunked(machines):
        for row in connection.execute(select(*columns).where(patrol_wand.c.machine.in_(some))):
            by_machine[row.machine] = row.id
    for some in chunked(gateways):
        query = select(*columns).where(patrol_wand.c.gateway.in_(some), patrol_wand.c.machine.is_(None))
        for row in connection.execute(query):
            by_device[row.gateway, row.device] = row.id
    found: dict[Key, str] = {}
    for one in heard:
        wand = by_machine.get(card_key(one.machine)) or by_device.get((one.gateway, one.device))
        if wand is not None:
            found[_key(one)] = wand
    return found


def _key(one: Told) -> Key:
    return one.machine, one.gateway, one.device


def _visit_rows(
    connection: Connection, visits: Mapping[str, HeardVisit], zone: ZoneInfo, now_us: int
) -> list[dict[str, Any]]:
    wands = find_wands(connection, list(visits.values()))
    points = _points(connection, {one.card for one in visits.values()})
    people = _people(connection, {one.person for one in visits.values() if one.person})
    carriers = _carriers(connection, set(wands.values()))
    rows = []
    for id_, one in visits.items():
        wand = wands.get(_key(one))
        point, path = points.get(one.card, (None, ""))
        person = people.get(one.person)
        if person is None and wand is not None:
            person = carried_by(carriers.get(wand, ()), one.at_us, zone).get(wand)
        rows.append({
            "id": id_, "origin": one.origin, "wand": wand, "person": person, "card": one.card, "point": point,
            "visited_at_us": one.at_us, "received_at_us": now_us, "source": one.source.value, "area_path": path,
            "tour": None,
        })  # fmt: skip
    return rows


def _points(connection: Connection, cards: set[str]) -> dict[str, tuple[str, str]]:
    """By card: its point and the path of the point's area."""
    joined = patrol_card.join(patrol_point, patrol_point.c.id == patrol_card.c.point)
    joined = joined.outerjoin(area, area.c.id == patrol_point.c.area)
    found: dict[str, tuple[str, str]] = {}
    for some in chunked(sorted(cards)):
        query = select(patrol_card.c.card, patrol_card.c.point, area.c.path).select_from(joined)
        for row in connection.execute(query.where(patrol_card.c.card.in_(some))):
            found[row.card] = (row.point, row.path or "")
    return found


def _people(connection: Connection, names: set[str]) -> dict[str, str]:
    """By what was said, an id or a name that only one has: the id."""
    found: dict[str, set[str]] = {}
    for some in chunked(sorted(names)):
        columns = patrol_person.c.id, patrol_person.c.name
        wanted = or_(patrol_person.c.id.in_(some), patrol_person.c.name.in_(some))
        for row in connection.execute(select(*columns).where(wanted)):
            for word in (row.id, row.name):
                found.setdefault(word, set()).add(row.id)
    return {word: min(ids) for word, ids in found.items() if len(ids) == 1}


def carriers_at(connection: Connection, visits: Iterable[Visit], zone: ZoneInfo) -> dict[str, str]:
    """Tell by visit who carried its wand then; those that nobody carried are not in it."""
    with_wand = [(one, one.wand) for one in visits if one.wand is not None]
    carriers = _carriers(connection, {wand for _one, wand in with_wand})
    told = {one.id: carried_by(carriers.get(wand, ()), one.at_us, zone).get(wand) for one, wand in with_wand}
    return {visit: person for visit, person in told.items() if person is not None}


def _carriers(connection: Connection, wands: set[str]) -> dict[str, list[Carrier]]:
    found: dict[str, list[Carrier]] = {}
    for some in chunked(sorted(wands)):
        for row in connection.execute(select(patrol_carrier).where(patrol_carrier.c.wand.in_(some))).mappings():
            found.setdefault(row["wand"], []).append(carrier_of(row))
    return found


def _candidates(connection: Connection, visits: Sequence[Visit]) -> list[Tour]:
    """Read the tours that some visits, ordered by time, may belong to."""
    first_us, last_us = visits[0].at_us, visits[-1].at_us
    ids: set[str] = set()
    for table, column, wanted in (
        (patrol_stop, patrol_stop.c.point, {one.point for one in visits if one.point is not None}),
        (patrol_tour_wand, patrol_tour_wand.c.wand, {one.wand for one in visits if one.wand is not None}),
    ):
        if wanted:
            is_caught = and_(table.c.catch_from_us <= last_us, table.c.catch_until_us > first_us)
            query = select(table.c.tour).distinct().where(column.in_(sorted(wanted)), is_caught)
            ids.update(connection.execute(query).scalars())
    found: list[Tour] = []
    for some in chunked(sorted(ids)):
        rows = connection.execute(select(patrol_tour.c.tour).where(patrol_tour.c.id.in_(some))).scalars()
        found += [msgspec.convert(row, Tour) for row in rows]
    return found


_Tours = dict[str | None, dict[str, Tour]]


def _by_words(tours: Iterable[Tour]) -> tuple[_Tours, _Tours]:
    """Sort tours by the points on them, and by the wands that may walk them."""
    by_point: _Tours = {}
    by_wand: _Tours = {}
    for tour in tours:
        for stop in tour.stops:
            by_point.setdefault(stop.point, {})[tour.id] = tour
        for wand in tour.wands:
            by_wand.setdefault(wand, {})[tour.id] = tour
    return by_point, by_wand


def _visit(row: Mapping[Any, Any]) -> Visit:
    return Visit(row["visited_at_us"], row["id"], row["point"], row["wand"], row["person"])
