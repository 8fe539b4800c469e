"""Visits that no wand hands in by itself: from a maker's table, or said by hand."""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from sqlalchemy import Connection, or_, select

from cloud.areas.chunks import chunked
from cloud.areas.faults import Faults, Where
from cloud.database.patrol_tables import patrol_card, patrol_point, patrol_wand
from cloud.desk.own import say
from cloud.i18n import N_
from cloud.patrols.heard import HeardVisit, Source, origin_of
from cloud.patrols.sheets import card_key
from cloud.patrols.taking import Taken, take_visits
from cloud.patrols.visit_files import FileVisit
from cloud.settings import Settings

_AT_ONCE = 1_000


class FileOutcome(Struct, frozen=True):
    """What became of a table: visits that are new, and those that were known."""

    new: int
    known: int


def bring_in_visits(
    connection: Connection,
    visits: Sequence[FileVisit],
    file: str,
    faults: Faults,
    *,
    settings: Settings,
    now_us: int,
    dry_run: bool = False,
) -> FileOutcome:
    """Keep the visits of a table; one that was known, from the wand itself or from this table, stays one.

    Args:
        connection: a transaction for writing.
        visits: good lines.
        file: its name, for faults.
        faults: takes checkpoints that nobody knows.
        settings: of the desk.
        now_us: the clock.
        dry_run: nothing is written; every visit is told as new.
    """
    cards = cards_of_points(connection, {one.checkpoint for one in visits if not one.card})
    machines = _machines(connection, {one.device for one in visits if one.device})
    heard: list[HeardVisit] = []
    for one in visits:
        card = one.card or cards.get(one.checkpoint, "")
        if not card:
            faults.add(
                Where(file, one.line), N_("there is no point {name} with a card"), name=repr(one.checkpoint[:60])
            )
            continue
        machine = machines.get(one.device, one.device)[:64]
        origin = origin_of(machine, "file", "-")
        heard.append(HeardVisit(origin, card, one.at_us, machine=machine, person=one.person, source=Source.FILE))
    if dry_run:
        return FileOutcome(len({one.id for one in heard}), 0)
    taken = [take_visits(connection, some, settings=settings, now_us=now_us) for some in chunked(heard, _AT_ONCE)]
    say(connection, [said for one in taken for said in one.said], desk=settings.desk, now_us=now_us)
    return FileOutcome(sum(one.new for one in taken), sum(one.known for one in taken))


def hand_in(
    connection: Connection, *, wand: str | None, person: str, card: str, at_us: int, settings: Settings, now_us: int
) -> Taken:
    """Keep a visit that somebody reports.

    Args:
        connection: a transaction for writing.
        wand: its id, where it was made with one.
        person: an id or a name; "" for nobody known.
        card: of the point.
        at_us: when.
        settings: of the desk.
        now_us: the clock.
    """
    machine = "" if wand is None else _machine(connection, wand)
    origin = origin_of(machine, "hand", person or "-")
    one = HeardVisit(origin, card_key(card), at_us, machine=machine, person=person, source=Source.HAND)
    taken = take_visits(connection, [one], settings=settings, now_us=now_us)
    say(connection, taken.said, desk=settings.desk, now_us=now_us)
    return taken


def cards_of_points(connection: Connection, names: Iterable[str]) -> dict[str, str]:
    """By id or name of a point, as far as only one has it: the first of its cards."""
    found: dict[str, dict[str, str]] = {}
    for some in chunked(sorted(set(names))):
        joined = patrol_point.join(patrol_card, patrol_card.c.point == patrol_point.c.id)
        query = select(patrol_point.c.id, patrol_point.c.name, patrol_card.c.card).select_from(joined)
        wanted = or_(patrol_point.c.id.in_(some), patrol_point.c.name.in_(some))
        for row in connection.execute(query.where(wanted).order_by(patrol_card.c.card)):
            for word in {row.id, row.name}:
                found.setdefault(word, {}).setdefault(row.id, row.card)
    return {word: next(iter(points.values())) for word, points in found.items() if len(points) == 1}


def _machines(connection: Connection, names: set[str]) -> dict[str, str]:
    """By what a table calls a wand, its id or name: its machine."""
    found: dict[str, str] = {}
    for some in chunked(sorted(names)):
        wanted = or_(patrol_wand.c.id.in_(some), patrol_wand.c.name.in_(some))
        for row in connection.execute(select(patrol_wand).where(wanted, patrol_wand.c.machine.is_not(None))):
            found |= {row.id: row.machine, row.name: row.machine}
    return found


def _machine(connection: Connection, wand: str) -> str:
    query = select(patrol_wand.c.machine).where(patrol_wand.c.id == wand)
    return connection.execute(query).scalar_one_or_none() or ""
