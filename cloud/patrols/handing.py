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
from cloud.patrols.taking import Taken, find_wands, read_out, take_visits
from cloud.patrols.visit_files import FileVisit
from cloud.settings import Settings

_AT_ONCE = 1_000
_Known = tuple[str, str, str]
"""How a wand is known: its machine, else its gateway and device."""
_NOBODYS: _Known = ("", "", "")


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
    until_us: int | None = None,
    dry_run: bool = False,
) -> FileOutcome:
    """Keep the visits of a table; one that was known, from the wand itself or from this table, stays one.

    A table is a read-out of the wands in it: what is not in it was not visited.

    Args:
        connection: a transaction for writing.
        visits: good lines.
        file: its name, for faults.
        faults: takes checkpoints that nobody knows.
        settings: of the desk.
        now_us: the clock.
        until_us: so far its wands were read out for it; None: to its latest visit.
        dry_run: nothing is written; every visit is told as new.
    """
    cards = cards_of_points(connection, {one.checkpoint for one in visits if not one.card})
    wands = _wands(connection, {one.device for one in visits if one.device})
    heard: list[HeardVisit] = []
    for one in visits:
        card = one.card or cards.get(one.checkpoint, "")
        if not card:
            faults.add(
                Where(file, one.line), N_("there is no point {name} with a card"), name=repr(one.checkpoint[:60])
            )
            continue
        machine, gateway, device = wands.get(one.device, (one.device[:64], "", ""))
        origin = origin_of(machine, gateway or "file", device or "-")
        heard.append(HeardVisit(origin, card, one.at_us, gateway, device, machine, one.person, Source.FILE))
    if dry_run:
        return FileOutcome(len({one.id for one in heard}), 0)
    taken = [take_visits(connection, some, settings=settings, now_us=now_us) for some in chunked(heard, _AT_ONCE)]
    said = [said for one in taken for said in one.said]
    if heard:
        latest_us = max(one.at_us for one in heard) if until_us is None else until_us
        said += read_out(connection, find_wands(connection, heard).values(), min(latest_us, now_us), now_us=now_us)
    say(connection, said, desk=settings.desk, now_us=now_us)
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
    machine, gateway, device = _NOBODYS if wand is None else _wands(connection, {wand}).get(wand, _NOBODYS)
    origin = origin_of(machine, gateway or "hand", device or person or "-")
    one = HeardVisit(origin, card_key(card), at_us, gateway, device, machine, person, Source.HAND)
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


def _wands(connection: Connection, names: set[str]) -> dict[str, _Known]:
    """By what a table calls a wand, its id or a name that only one has: how it is known."""
    by_id: dict[str, _Known] = {}
    by_name: dict[str, list[_Known]] = {}
    for some in chunked(sorted(names)):
        wanted = or_(patrol_wand.c.id.in_(some), patrol_wand.c.name.in_(some))
        for row in connection.execute(select(patrol_wand).where(wanted)):
            # A wand with a machine is found by that alone, as its own visits are.
            known = (row.machine, "", "") if row.machine is not None else ("", row.gateway, row.device)
            by_id[row.id] = known
            by_name.setdefault(row.name, []).append(known)
    return {name: known[0] for name, known in by_name.items() if name and len(known) == 1} | by_id
